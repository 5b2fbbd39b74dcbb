"""What item banks hold of a framework: the matrix of its parts and levels, with the gaps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assess.standards.blueprint import AlignedItem
from assess.standards.frameworks import Competency, Framework, load, resolve

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Holding:
    """How many items are primarily aligned to a code, or to something below it, and in which courses."""

    n_items: int = 0
    courses: tuple[str, ...] = ()


NOTHING = Holding()


@dataclass(frozen=True, repr=False)
class FrameworkMatrix:
    """A framework with the items that measure it.

    Attributes
    ----------
    framework : Framework
        One version of it.
    cells : mapping of (part, level) to Holding
        By the code of a part (aspect, standard, area) and of a level; the
        level is empty where a framework, or a code of it, has none.
    codes : mapping of str to Holding
        Every code of the framework; an item counts for its code and for all
        that the code is a part of.
    """

    framework: Framework
    cells: Mapping[tuple[str, str], Holding] = field(repr=False)
    codes: Mapping[str, Holding] = field(repr=False)

    def __repr__(self) -> str:
        return (
            f"<FrameworkMatrix {self.framework.id} {self.framework.version}: {self.n_items} items, "
            f"{len(self.gaps)} of {len(self.cells)} cells empty>"
        )

    @property
    def n_items(self) -> int:
        """Items with a primary alignment to this framework and version."""
        return sum(self.codes[part.code].n_items for part in self.parts)

    @property
    def parts(self) -> tuple[Competency, ...]:
        """The rows: what the framework consists of."""
        return self.framework.children("")

    @property
    def levels(self) -> tuple[str, ...]:
        """The columns: codes of levels, or one empty code."""
        return tuple(dict.fromkeys(level for _, level in self.cells))

    @property
    def gaps(self) -> tuple[tuple[str, str], ...]:
        """Part and level of every cell without an item."""
        return tuple(cell for cell, held in self.cells.items() if not held.n_items)

    def to_frame(self) -> pd.DataFrame:
        """Number of items, parts as rows and levels as columns."""
        import pandas as pd

        counts = {
            level or "items": [self.cells[part.code, level].n_items for part in self.parts]
            for level in self.levels
        }
        return pd.DataFrame(counts, index=pd.Index([part.name for part in self.parts], name="part"))


def framework_matrix(
    framework_id: str, version: str, items: Iterable[tuple[str, AlignedItem]]
) -> FrameworkMatrix:
    """Count items over the parts and levels of one framework.

    Only primary alignments count, as in a blueprint, and an item that stands
    in several forms or versions counts once.

    Parameters
    ----------
    framework_id, version : str
        As in `frameworks.load`.
    items : iterable of (course, item)
        What the banks hold, or what is live.

    Raises
    ------
    InvalidContent
        No such framework, or an item is aligned to a code that it does not have.

    Examples
    --------
    >>> from assess.items import Item
    >>> item = Item.from_mapping({
    ...     "id": "x-1", "version": 1, "state": "active", "interaction": "single_choice",
    ...     "options": ["a", "b"], "key": "a", "process": "apply",
    ...     "alignments": [{"framework": "unesco-ict-cft", "version": "3", "code": "KD.3.a"}],
    ...     "texts": {"en": {"stem": "Which?", "options": {"a": "This", "b": "That"}}}}, "x-1")
    >>> matrix = framework_matrix("unesco-ict-cft", "3", [("c-1", item)])
    >>> matrix.cells["3", "KD"], matrix.codes["KD.3"].n_items
    (Holding(n_items=1, courses=('c-1',)), 1)
    >>> matrix
    <FrameworkMatrix unesco-ict-cft 3: 1 items, 17 of 18 cells empty>
    """
    framework = load(framework_id, version)
    cells: dict[tuple[str, str], dict[str, set[str]]] = {}
    for competency in framework.competencies:
        top = list(framework.lineage(competency.code))[-1]
        if competency.level or not framework.levels:
            cells.setdefault((top.code, competency.level), {})
    if not cells:  # levels that describe persons, not codes, as in DigCompEdu
        cells = {(part.code, ""): {} for part in framework.children("")}
    codes: dict[str, dict[str, set[str]]] = {competency.code: {} for competency in framework.competencies}
    for course, item in items:
        for alignment in item.alignments:
            if not alignment.primary or (alignment.framework, alignment.version) != (framework_id, version):
                continue
            lineage = list(framework.lineage(resolve(alignment).code))
            for part in lineage:
                codes[part.code].setdefault(str(item.id), set()).add(course)
            cell = cells.get((lineage[-1].code, lineage[0].level))
            if cell is not None:
                cell.setdefault(str(item.id), set()).add(course)
    return FrameworkMatrix(
        framework,
        {key: _holding(found) for key, found in cells.items()},
        {code: _holding(found) for code, found in codes.items()},
    )


def _holding(found: Mapping[str, set[str]]) -> Holding:
    return Holding(len(found), tuple(sorted({course for courses in found.values() for course in courses})))
