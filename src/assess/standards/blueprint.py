"""Blueprints: the coverage of a framework that a form owes, and whether it pays.

A requirement counts items by the code of their *primary* alignment, by their
cognitive process, or by their interaction. A code counts everything below it:
an item aligned to TL.3.a counts for TL.3 and for aspect 3; a level such as KD
counts every item whose code lies in that level. Secondary alignments count for
nothing, so that the rows of a blueprint can add up exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from assess.errors import InvalidContent
from assess.items import INTERACTION_TYPES, PROCESSES, Alignment, Requirement
from assess.standards.frameworks import load, resolve

if TYPE_CHECKING:
    import pandas as pd


class AlignedItem(Protocol):
    """What a blueprint needs to know of an item."""

    @property
    def id(self) -> str: ...
    @property
    def alignments(self) -> Sequence[Alignment]: ...
    @property
    def process(self) -> str: ...
    @property
    def interaction_type(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong: the label of a requirement or the id of an item, and what."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


@dataclass(frozen=True, slots=True, repr=False)
class Blueprint:
    """Required coverage, checked for codes that do not exist and sums that cannot be met.

    Parameters
    ----------
    requirements : tuple of Requirement
        Each counts one of: a code (or level) of a framework version, a
        process, an interaction.
    n_items : int, optional
        Operational items of the form, for a fixed length.

    Raises
    ------
    InvalidContent
        A requirement that names nothing, or contradicts another.

    Examples
    --------
    >>> blueprint = Blueprint((
    ...     Requirement("a", 8, 8, "unesco-ict-cft", "2", "TL.3.a"),
    ...     Requirement("b", 9, 9, "unesco-ict-cft", "2", "TL.3.b"),
    ...     Requirement("recall", 0, 6, process="recall")), n_items=24)
    >>> blueprint
    <Blueprint: 3 requirements, 24 items>
    """

    requirements: tuple[Requirement, ...]
    n_items: int | None = None

    def __repr__(self) -> str:
        length = "" if self.n_items is None else f", {self.n_items} items"
        return f"<Blueprint: {len(self.requirements)} requirements{length}>"

    def __post_init__(self) -> None:
        labels = [requirement.label for requirement in self.requirements]
        for requirement in self.requirements:
            if labels.count(requirement.label) > 1:
                raise InvalidContent("two requirements have this label", place=requirement.label)
            _check_requirement(requirement)
        self._refuse_impossible_sums()

    def _refuse_impossible_sums(self) -> None:
        """The minima inside a requirement, or inside the form, may not exceed what it can hold."""
        ceilings: list[tuple[Requirement | None, int]] = [
            (requirement, requirement.maximum)
            for requirement in self.requirements
            if requirement.maximum is not None
        ]
        if self.n_items is not None:
            ceilings.append((None, self.n_items))
        for outer, ceiling in ceilings:
            inside = [r for r in self.requirements if r is not outer and _lies_inside(r, outer)]
            # Only the topmost of nested requirements: what lies deeper is counted with them.
            top = [r for r in inside if not any(s is not r and _lies_inside(r, s) for s in inside)]
            for family in {_family(r) for r in top}:
                least = sum(r.minimum for r in top if _family(r) == family)
                if least > ceiling:
                    whole = "the form" if outer is None else repr(outer.label)
                    parts = ", ".join(r.label for r in top if _family(r) == family)
                    raise InvalidContent(f"{parts} ask for {least} items, {whole} holds {ceiling} at most")

    def matches(self, requirement: Requirement, item: AlignedItem) -> bool:
        """Whether an item counts for a requirement; see `counts`."""
        return counts(requirement, item)


def counts(requirement: Requirement, item: AlignedItem) -> bool:
    """Whether an item counts for a requirement: the one meaning, from the check of a bank to a session.

    Raises
    ------
    InvalidContent
        The item's alignment does not exist.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> item = SimpleNamespace(
    ...     id="i1", process="apply", interaction_type="single_choice",
    ...     alignments=(Alignment("unesco-ict-cft", "2", "TL.3.a", primary=True),))
    >>> [counts(Requirement(code, 1, None, "unesco-ict-cft", "2", code), item) for code in ("TL.3", "TL.4")]
    [True, False]
    """
    if requirement.process:
        return item.process == requirement.process
    if requirement.interaction:
        return item.interaction_type == requirement.interaction
    for alignment in item.alignments:
        if alignment.primary and _same_framework(alignment, requirement):
            if requirement.code == alignment.code:
                return True
            competency = resolve(alignment)
            if requirement.code in (competency.level, *_codes_upwards(alignment)):
                return True
    return False


def covered(
    blueprint: Sequence[Requirement], items: Sequence[AlignedItem], maxima: Sequence[int | None] | None = None
) -> list[dict[str, Any]]:
    """What some items hold of each row of a blueprint; plain data for the record.

    Parameters
    ----------
    maxima : sequence, optional
        In place of those of the blueprint.

    Examples
    --------
    >>> covered([Requirement("applied", 3, process="apply")], [])
    [{'label': 'applied', 'minimum': 3, 'maximum': None, 'found': 0, 'met': False}]
    """
    rows = []
    for requirement, most in zip(blueprint, maxima or [r.maximum for r in blueprint], strict=True):
        found, least = sum(counts(requirement, item) for item in items), requirement.minimum
        met = found >= least and (most is None or found <= most)
        rows.append(
            {"label": requirement.label, "minimum": least, "maximum": most, "found": found, "met": met}
        )
    return rows


def _same_framework(one: Alignment | Requirement, other: Alignment | Requirement) -> bool:
    return (one.framework, one.version) == (other.framework, other.version)


def _codes_upwards(reference: Alignment | Requirement) -> Iterator[str]:
    framework = load(reference.framework, reference.version)
    return (part.code for part in framework.lineage(reference.code))


def _is_level(requirement: Requirement) -> bool:
    levels = load(requirement.framework, requirement.version).levels
    return any(level.code == requirement.code for level in levels)


def _check_requirement(requirement: Requirement) -> None:
    place = requirement.label
    named = [bool(requirement.code), bool(requirement.process), bool(requirement.interaction)]
    if sum(named) != 1:
        raise InvalidContent("count one of: a code, a process, an interaction", place=place)
    if requirement.minimum < 0 or (
        requirement.maximum is not None and requirement.maximum < requirement.minimum
    ):
        raise InvalidContent(
            f"minimum {requirement.minimum} and maximum {requirement.maximum} leave no number between them",
            place=place,
        )
    words = {
        "process": (requirement.process, PROCESSES),
        "interaction": (requirement.interaction, INTERACTION_TYPES),
    }
    for name, (word, allowed) in words.items():
        if word and word not in allowed:
            raise InvalidContent(f"{name} {word!r} is not one of {', '.join(allowed)}", place=place)
    if requirement.code:
        try:
            if not _is_level(requirement):
                load(requirement.framework, requirement.version).competency(requirement.code)
        except InvalidContent as fault:
            raise InvalidContent(str(fault), place=place) from None


def _family(requirement: Requirement) -> tuple[str, ...]:
    """Requirements of one family count different items, unless one lies inside the other."""
    if requirement.process:
        return ("process",)
    if requirement.interaction:
        return ("interaction",)
    kind = "level" if _is_level(requirement) else "code"
    return (kind, requirement.framework, requirement.version)


def _lies_inside(inner: Requirement, outer: Requirement | None) -> bool:
    """Whether every item that counts for one requirement counts for another, or for the form."""
    if outer is None:
        return True
    if not (inner.code and outer.code and _same_framework(inner, outer)) or _is_level(inner):
        return False
    if _is_level(outer):
        return load(inner.framework, inner.version).competency(inner.code).level == outer.code
    return inner.code != outer.code and outer.code in _codes_upwards(inner)


def coverage(items: Iterable[AlignedItem], blueprint: Blueprint) -> pd.DataFrame:
    """Required and found, one row per requirement.

    Returns
    -------
    DataFrame
        Index `label`; columns counts (what is counted), minimum, maximum
        (nullable integer), found, state (met, short or over), items (their
        ids, in the order given).

    Raises
    ------
    InvalidContent
        An item's alignment does not exist; `check` lists all of these.
    """
    import pandas as pd

    items = list(items)
    rows = []
    for requirement in blueprint.requirements:
        found = [str(item.id) for item in items if blueprint.matches(requirement, item)]
        code = f"{requirement.framework} {requirement.version} {requirement.code}" if requirement.code else ""
        rows.append(
            {
                "label": requirement.label,
                "counts": code or requirement.process or requirement.interaction,
                "minimum": requirement.minimum,
                "maximum": requirement.maximum,
                "found": len(found),
                "state": _state(requirement, len(found)),
                "items": tuple(found),
            }
        )
    columns = ["label", "counts", "minimum", "maximum", "found", "state", "items"]
    return pd.DataFrame(rows, columns=columns).astype({"maximum": "Int64"}).set_index("label")


def _state(requirement: Requirement, found: int) -> str:
    if found < requirement.minimum:
        return "short"
    return "over" if requirement.maximum is not None and found > requirement.maximum else "met"


def check(items: Iterable[AlignedItem], blueprint: Blueprint) -> list[Fault]:
    """Everything in which a set of items fails a blueprint; empty if it meets it.

    Items with alignments that do not exist, or listed twice, are faults too
    and count for nothing.
    """
    faults: list[Fault] = []
    usable: dict[str, AlignedItem] = {}
    given = list(items)
    counted = {(r.framework, r.version) for r in blueprint.requirements if r.code}
    for item in given:
        if item.id in usable:
            faults.append(Fault(item.id, "is listed twice"))
            continue
        wrong = list(_unresolved(item))
        faults += wrong
        if not wrong:
            usable[item.id] = item
            primary = {(a.framework, a.version) for a in item.alignments if a.primary}
            faults += [
                Fault(
                    item.id, f"has no primary alignment to {framework} {version}, which the blueprint counts"
                )
                for framework, version in sorted(counted - primary)
            ]
    if blueprint.n_items is not None and len(given) != blueprint.n_items:
        faults.append(Fault("form", f"has {len(given)} items; the blueprint asks for {blueprint.n_items}"))
    for requirement in blueprint.requirements:
        found = sum(blueprint.matches(requirement, item) for item in usable.values())
        state = _state(requirement, found)
        if state != "met":
            bound = (
                f"at least {requirement.minimum}" if state == "short" else f"at most {requirement.maximum}"
            )
            faults.append(Fault(requirement.label, f"{found} items; {bound} are asked for"))
    return faults


def _unresolved(item: AlignedItem) -> Iterator[Fault]:
    for alignment in item.alignments:
        try:
            resolve(alignment)
        except InvalidContent as fault:
            yield Fault(item.id, str(fault))
