"""Parallel forms of a bank, assembled after the pattern of a form that it has.

The pattern gives blueprint, length, parameters, cut, clocks and policies. What
may be used are the newest active items and the case sets that the parameter set
knows; items that help with each other (`notes.not_with`) never meet in a form,
in whichever direction they are named, among the unscored items either.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from string import ascii_lowercase

import numpy as np

from assess.errors import InvalidContent
from assess.irt.adaptive import Constraint
from assess.irt.assembly import Assembled, Assembly, Objective
from assess.irt.composition import Composition
from assess.irt.models import information
from assess.irt.scoring import Prior
from assess.items import Form, Item, Requirement, split_reference
from assess.publishing.banks import ItemBank, release_document
from assess.publishing.files import write_yaml
from assess.publishing.judged import unit_references
from assess.session.release import Release, count_items
from assess.standards.blueprint import Blueprint

_POINTS_APART = 1


@dataclass(frozen=True, slots=True)
class AssemblyOptions:
    """What to assemble.

    Parameters
    ----------
    n_forms : int
    objective : str
        maximin, target (the information of the pattern), or accuracy.
    points : sequence of float or None
        Thetas where information counts; the cut unless given, for "target" one to either side too.
    max_overlap : int
        Units that two of the forms may share.
    common : collection of str
        References of units that stand in every form.
    avoid : collection of str
        References of forms whose units stay out.
    requirements : sequence of Requirement
        Asked for beside the blueprint of the pattern.
    """

    n_forms: int = 3
    objective: Objective = "maximin"
    points: Sequence[float] | None = None
    max_overlap: int = 0
    common: Collection[str] = ()
    avoid: Collection[str] = ()
    requirements: Sequence[Requirement] = ()


def assemble(
    bank: ItemBank, pattern: Form, name: str, options: AssemblyOptions
) -> tuple[tuple[Form, ...], Assembled]:
    """Forms after a pattern, checked as releases; nothing is written.

    Raises
    ------
    InvalidContent
        The pattern is no fixed form, a form of the name exists, a unit or form is unknown.
    InvalidParameters
        No such forms exist; the message names the requirements in conflict.
    """
    if pattern.kind != "fixed":
        raise InvalidContent(f"{pattern.reference} is adaptive; a fixed form is the pattern of fixed forms")
    if options.n_forms > len(ascii_lowercase):
        raise InvalidContent(f"{options.n_forms} forms have no letters; at most {len(ascii_lowercase)}")
    ids = [f"{name}-{letter}" for letter in ascii_lowercase[: options.n_forms]]
    taken = sorted({form.id for form in bank.forms.values()} & set(ids))
    if taken:
        raise InvalidContent(f"bank {bank.id} has a form {taken[0]} already; choose another name")
    pattern = up_to_date(bank, pattern)
    parameter_set = bank.parameter_sets[pattern.parameter_set]
    usable = usable_units(bank, parameter_set.parameters.item_ids, options.avoid, options.common)
    parameters = parameter_set.parameters.take(usable)
    cut = bank.cuts[pattern.cut].cut.theta
    points = _points(options, cut)
    held = [bank.unit_items(unit) for unit in usable]
    wanted = [item for unit in pattern.units for item in bank.unit_items(unit)]
    requirements = (*pattern.blueprint, *options.requirements)
    # Refuses codes that do not exist and sums that no form of this length can meet.
    Blueprint(requirements, n_items=len(wanted))
    question = Assembly(
        parameters,
        Composition(usable, _constraints(held, requirements, wanted), enemies(bank, usable)),
        n_forms=options.n_forms,
        min_units=1,
        max_units=len(wanted),
        points=points,
        max_overlap=options.max_overlap,
        common=[_place(usable, reference) for reference in options.common],
        population=Prior(0.0, 1.0),
    )
    target = None
    if options.objective == "target":
        own = parameter_set.parameters.take(pattern.units)
        target = information(own, np.asarray(points)).sum(axis=1).tolist()
    found = question.solve(options.objective, target=target)
    forms = tuple(
        _form(bank, pattern, identity, letter, [usable[unit] for unit in units])
        for identity, letter, units in zip(ids, ascii_lowercase, found.forms, strict=False)
    )
    together = replace(bank, forms={**bank.forms, **{form.reference: form for form in forms}})
    for form in forms:
        Release.from_document(release_document(together, form.reference))
    return forms, found


def write_forms(bank: ItemBank, forms: Sequence[Form], comment: str) -> tuple[Path, ...]:
    """Write the files of new forms into the bank; all of them, or none."""
    paths = [bank.folder / "forms" / f"{form.reference}.yaml" for form in forms]
    there = [path for path in paths if path.exists()]
    if there:
        raise InvalidContent("the file exists; a published version is not edited", place=str(there[0]))
    for path, form in zip(paths, forms, strict=True):
        write_yaml(path, form.to_mapping(), comment=comment)
    return tuple(paths)


def enemies(bank: ItemBank, units: Sequence[str]) -> list[tuple[int, ...]]:
    """Pairs of units of which a form holds at most one, from the notes of their items.

    Raises
    ------
    InvalidContent
        Two items of one case set name each other.
    """
    unit_of = {str(item.id): u for u, unit in enumerate(units) for item in bank.unit_items(unit)}
    pairs = set()
    for u, unit in enumerate(units):
        for item in bank.unit_items(unit):
            for other in _foes(item):
                v = unit_of.get(other)
                if v == u:
                    raise InvalidContent(f"{item.reference} is not to stand with {other}, both are in {unit}")
                if v is not None:
                    pairs.add((min(u, v), max(u, v)))
    return sorted(pairs)


# --- inside -------------------------------------------------------------------


def up_to_date(bank: ItemBank, pattern: Form) -> Form:
    """The pattern with the newest versions of its parameter set and cut: older ones know fewer units."""
    return replace(
        pattern,
        parameter_set=_newest(bank.parameter_sets, pattern.parameter_set),
        cut=_newest(bank.cuts, pattern.cut),
    )


def _newest(known: Mapping[str, object], reference: str) -> str:
    identity = split_reference(reference)[0]
    versions = [other for other in known if split_reference(other)[0] == identity]
    return max(versions, key=lambda other: split_reference(other)[1], default=reference)


def _foes(item: Item) -> Sequence[str]:
    found = item.notes.get("not_with", ())
    return found if isinstance(found, list | tuple) else ()


def usable_units(
    bank: ItemBank, known: Sequence[str], avoid: Collection[str], common: Collection[str] = ()
) -> list[str]:
    """Newest versions of active units with parameters, in the order of the bank."""
    unknown = [reference for reference in avoid if reference not in bank.forms]
    if unknown:
        raise InvalidContent(f"{unknown[0]} is not a form of bank {bank.id}")
    avoided = {unit for reference in avoid for unit in bank.forms[reference].units}
    newest: dict[str, str] = {}
    for reference in unit_references(bank):
        identity, version = split_reference(reference)
        if identity not in newest or split_reference(newest[identity])[1] < version:
            newest[identity] = reference
    return [
        reference
        for reference in newest.values()
        if reference in set(known)
        and (reference not in avoided or reference in common)
        and all(item.state == "active" for item in bank.unit_items(reference))
    ]


def _place(usable: Sequence[str], reference: str) -> int:
    if reference not in usable:
        raise InvalidContent(f"{reference} cannot stand in a form: it is not an active unit with parameters")
    return usable.index(reference)


def _points(options: AssemblyOptions, cut: float) -> tuple[float, ...]:
    if options.points is not None:
        return tuple(float(point) for point in options.points)
    return (cut, cut - 1.0, cut + 1.0) if options.objective == "target" else (cut,)


def _constraints(
    held: Sequence[Sequence[Item]], requirements: Sequence[Requirement], wanted: Sequence[Item]
) -> list[Constraint]:
    """Blueprint, number of items as in the pattern, points within one of it."""
    points = sum(item.n_categories - 1 for item in wanted)
    sizes = np.array([float(len(items)) for items in held])
    worth = np.array([float(sum(item.n_categories - 1 for item in items)) for items in held])
    return [
        *content_rows(held, requirements),
        Constraint("items", sizes, len(wanted), len(wanted)),
        Constraint("points", worth, points - _POINTS_APART, points + _POINTS_APART),
    ]


def content_rows(held: Sequence[Sequence[Item]], requirements: Sequence[Requirement]) -> list[Constraint]:
    """A blueprint in terms of units, of which the items are given."""
    return [
        Constraint(
            requirement.label,
            np.array([float(count_items(items, requirement)) for items in held]),
            float(requirement.minimum),
            math.inf if requirement.maximum is None else float(requirement.maximum),
        )
        for requirement in requirements
    ]


def _form(bank: ItemBank, pattern: Form, identity: str, letter: str, units: Sequence[str]) -> Form:
    pilot = unscored_units(bank, pattern, units)
    return replace(
        pattern,
        id=identity,
        version=1,
        title={language: f"{text} ({letter.upper()})" for language, text in pattern.title.items()},
        units=tuple(units),
        pilot=tuple(pilot),
        pilot_slots=min(pattern.pilot_slots, len(pilot)),
        # A section names the units of the pattern, which are not these.
        sections=(),
    )


def unscored_units(bank: ItemBank, pattern: Form, units: Sequence[str]) -> list[str]:
    """As many unscored items as the pattern has, of those not scored here, by objective in turn."""
    chosen: dict[str, Item] = {str(item.id): item for unit in units for item in bank.unit_items(unit)}
    left: dict[str, list[Item]] = {}
    for reference in unit_references(bank):
        item = bank.items.get(reference)
        if item is None or item.id in chosen or item.state not in ("active", "pilot"):
            continue
        left.setdefault(next((a.code for a in item.alignments if a.primary), ""), []).append(item)
    found: list[Item] = []
    while len(found) < len(pattern.pilot) and any(left.values()):
        for waiting in left.values():
            if waiting and len(found) < len(pattern.pilot):
                item = waiting.pop(0)
                if not _clashes(item, chosen):
                    chosen[item.id] = item
                    found.append(item)
    return [item.reference for item in found]


def _clashes(item: Item, shown: Mapping[str, Item]) -> bool:
    return any(foe in shown for foe in _foes(item)) or any(
        item.id in _foes(other) for other in shown.values()
    )
