r"""Panels of modules for a multistage test, assembled all at once by integer programming.

With :math:`x_{jmp}` = 1 where unit j stands in module m of panel p, every path
of every panel keeps the rows of a `Composition` (content, enemies), every module
has its length, no unit stands twice in a panel, two panels share no more units
than they may, and no unit is met more often than it may, when the stated shares
of learners go to each module. Among all that is possible one of two is best:

maximin
    the least information per item of any module at any of its points, and the
    mean over modules of what each has at least in all panels, are greatest
    together, :math:`\max y + \sum_m v_m / M` under
    :math:`\sum_j I_j(\theta_{mc}) x_{jmp} \ge n_m v_m, v_m \ge y`. By y alone a
    module that is not the weakest could be anything that is good enough;
target
    the largest distance of any module from its targets is smallest,
    :math:`\min y : |\sum_j I_j(\theta_{mc}) x_{jmp} - T_{mc}| \le y`.

References
----------
Luecht & Nungester (1998), *Journal of Educational Measurement* 35, 229-249,
doi:10.1111/j.1745-3984.1998.tb00537.x.
van der Linden (2005), *Linear Models for Optimal Test Design*, doi:10.1007/0-387-29054-0, ch. 9.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from assess.errors import InvalidParameters
from assess.irt.composition import Composition, Conflict
from assess.irt.design import BoolArray, Constraint
from assess.irt.models import information
from assess.irt.multistage import Path
from assess.irt.parameters import FloatArray, ItemParameters
from assess.irt.program import Program

if TYPE_CHECKING:
    import pandas as pd

# Panels are alike, so that many solutions are nearly as good; to prove the last percents costs minutes.
_GAP, _MOST_NODES = 0.02, 200


@dataclass(frozen=True, slots=True)
class ModuleSpec:
    """What one module is to be.

    Parameters
    ----------
    name : str
    minimum, maximum : int
        Length in items.
    points : tuple of float
        Thetas where its information counts.
    targets : tuple of float
        Information wanted at each; empty to have as much as there is.
    share : float
        Of the learners of a panel, how many are expected to meet it.
    """

    name: str
    minimum: int
    maximum: int
    points: tuple[float, ...]
    targets: tuple[float, ...] = ()
    share: float = 1.0


@dataclass(frozen=True, eq=False)
class AssembledPanels:
    """Panels that were assembled together.

    Attributes
    ----------
    panels : tuple of tuple of tuple of int
        Units of each module of each panel, in their order in the bank.
    modules : tuple of ModuleSpec
    information : tuple of tuple of array (C,)
        Of each module of each panel at its points.
    """

    panels: tuple[tuple[tuple[int, ...], ...], ...]
    modules: tuple[ModuleSpec, ...]
    information: tuple[tuple[FloatArray, ...], ...]

    def __repr__(self) -> str:
        return f"<AssembledPanels: {len(self.panels)} panels of {len(self.modules)} modules>"

    def to_frame(self) -> pd.DataFrame:
        """One row per panel, module and point: units, theta, information, what was wanted."""
        import pandas as pd

        rows = [
            {
                "panel": p + 1,
                "module": spec.name,
                "units": len(self.panels[p][m]),
                "theta": point,
                "information": float(found),
                "wanted": spec.targets[c] if spec.targets else math.nan,
            }
            for p in range(len(self.panels))
            for m, spec in enumerate(self.modules)
            for c, (point, found) in enumerate(zip(spec.points, self.information[p][m], strict=True))
        ]
        return pd.DataFrame(rows).set_index(["panel", "module"])


@dataclass(frozen=True, eq=False)
class PanelAssembly:
    """The question: which units, into how many panels of which modules, under what.

    Parameters
    ----------
    parameters : ItemParameters
        The J units that may be used.
    composition : Composition
        What each path must keep; its length is that of its modules.
    modules : sequence of ModuleSpec
    paths : sequence of tuple of int
        Modules that a learner may meet together.
    n_panels : int
    sizes : array (J,), optional
        Items of each unit; one unless given.
    max_overlap : int
        Units that two panels may share.
    max_exposure : float
        Largest share of sessions that may be expected to meet a unit, panels being drawn alike.

    Examples
    --------
    >>> bank = ItemParameters(["i1", "i2", "i3", "i4"], "Rasch", [1.0] * 4, [[-1.0], [0.1], [0.0], [1.0]])
    >>> modules = [ModuleSpec("1", 2, 2, (0.0,)), ModuleSpec("2-1", 1, 1, (-1.0,)),
    ...            ModuleSpec("2-2", 1, 1, (1.0,))]
    >>> PanelAssembly(bank, Composition(bank.item_ids), modules, [(0, 1), (0, 2)]).solve().panels
    (((1, 2), (0,), (3,)),)
    """

    parameters: ItemParameters
    composition: Composition
    modules: Sequence[ModuleSpec]
    paths: Sequence[Path]
    n_panels: int = 1
    sizes: Sequence[float] | None = None
    max_overlap: int = 0
    max_exposure: float = 1.0

    def __post_init__(self) -> None:
        n_units = len(self.parameters)
        if len(self.composition.names) != n_units:
            raise InvalidParameters(
                f"the composition is of {len(self.composition.names)} units, the parameters of {n_units}"
            )
        if self.sizes is not None and (len(self.sizes) != n_units or min(self.sizes) < 1):
            raise InvalidParameters("sizes: the items of each unit, one or more")
        if self.n_panels < 1 or not self.modules or not self.paths:
            raise InvalidParameters("panels are assembled of one module or more, one panel or more")
        for spec in self.modules:
            if not 1 <= spec.minimum <= spec.maximum:
                raise InvalidParameters(f"module {spec.name}: {spec.minimum} to {spec.maximum} is no length")
            if not spec.points or not np.isfinite((*spec.points, *spec.targets)).all():
                raise InvalidParameters(f"module {spec.name}: name one finite theta or more")
            if spec.targets and len(spec.targets) != len(spec.points):
                raise InvalidParameters(f"module {spec.name}: one target for each of its points")
            if not 0.0 < spec.share <= 1.0:
                raise InvalidParameters(f"module {spec.name}: {spec.share} is no share of the learners")
        if len({bool(spec.targets) for spec in self.modules}) > 1:
            raise InvalidParameters("targets are stated for every module or for none")
        if self.max_overlap < 0 or not 0.0 < self.max_exposure <= 1.0:
            raise InvalidParameters("max_overlap is 0 or more, max_exposure a share above 0, at most 1")

    def solve(self) -> AssembledPanels:
        """The best panels: nearest to the targets where modules have them, else of greatest information.

        Within two percent of the best, or what a bounded search has found: of many modules in several
        panels that may be some percent less.

        Raises
        ------
        InvalidParameters
            No such panels exist; the message is the conflict, in the words of the labels.
        """
        conflict = self.conflict()
        if conflict is not None:
            raise InvalidParameters(str(conflict))
        rows, targets, owners = [], [], []
        for p in range(self.n_panels):
            for m, spec in enumerate(self.modules):
                for c, own in enumerate(self._information[m]):
                    row = np.zeros(self._n_columns)
                    row[self._block(p, m)] = own if spec.targets else own / spec.minimum
                    rows.append(row)
                    targets.append(spec.targets[c] if spec.targets else 0.0)
                    owners.append(m)
        worth = np.array(rows)
        if self.modules[0].targets:
            return self._assembled(self._program.nearest(worth, np.array(targets), gap=_GAP))
        n_modules = len(self.modules)
        # Of each module its v, and last y: v_m - y >= 0 holds no unit.
        least = np.zeros((len(rows), n_modules + 1))
        least[np.arange(len(rows)), owners] = -1.0
        above = np.append(np.eye(n_modules), np.full((n_modules, 1), -1.0), axis=1)
        marks = self._program.best(
            np.append(worth, np.zeros((n_modules, self._n_columns)), axis=0),
            np.zeros(len(rows) + n_modules),
            y=np.append(least, above, axis=0),
            value=np.append(np.full(n_modules, 1.0 / n_modules), 1.0),
            gap=_GAP,
        )
        return self._assembled(marks)

    def conflict(self) -> Conflict | None:
        """The smallest set of demands that cannot be met together; None where such panels exist."""
        for path in self.paths:
            alone = self._alone(path)
            if alone is not None:
                return alone
        clash = self._program.clash()
        return Conflict(tuple(self._said(label) for label in clash)) if clash else None

    # --- inside ---------------------------------------------------------------

    @cached_property
    def _information(self) -> list[FloatArray]:
        """Of each unit at the points of each module, (C, J) each."""
        return [information(self.parameters, np.array(spec.points)) for spec in self.modules]

    @cached_property
    def _items(self) -> FloatArray:
        n_units = len(self.parameters)
        return np.ones(n_units) if self.sizes is None else np.asarray(self.sizes, dtype=float)

    @property
    def _pairs(self) -> list[tuple[int, int]]:
        """Pairs of panels, where they may share units."""
        return [(p, q) for p in range(self.n_panels) for q in range(p)] if self.max_overlap else []

    @property
    def _n_columns(self) -> int:
        return len(self.parameters) * (self.n_panels * len(self.modules) + len(self._pairs))

    def _block(self, panel: int, module: int) -> slice:
        """Columns of the units of one module of one panel."""
        n_units, place = len(self.parameters), panel * len(self.modules) + module
        return slice(place * n_units, (place + 1) * n_units)

    @cached_property
    def _program(self) -> Program:
        program, n_units = Program(self._n_columns, most_nodes=_MOST_NODES), len(self.parameters)
        panels, modules = range(self.n_panels), range(len(self.modules))
        for p in panels:
            for m, spec in enumerate(self.modules):
                row = np.zeros(self._n_columns)
                row[self._block(p, m)] = self._items
                program.add(f"module {spec.name}", row, spec.minimum, spec.maximum)
            for path in self.paths:
                for constraint in self.composition.rows[:-1]:
                    row = np.zeros(self._n_columns)
                    for m in path:
                        row[self._block(p, m)] = constraint.coefficients
                    program.add(constraint.label, row, constraint.minimum, constraint.maximum)
        shared, columns = self._pairs, np.arange(self._n_columns)
        for unit in range(n_units):
            stands = [[columns[self._block(p, m)][unit] for m in modules] for p in panels]
            for p in panels if shared or self.n_panels == 1 else ():
                program.add("panel", _marked(self._n_columns, stands[p]), 0.0, 1.0)
            if not shared and self.n_panels > 1:
                anywhere = [column for own in stands for column in own]
                program.add("panels", _marked(self._n_columns, anywhere), 0.0, 1.0)
            for pair, (p, q) in enumerate(shared):
                # Both panels hold the unit: then the pair's column must be 1.
                row = _marked(self._n_columns, [*stands[p], *stands[q]])
                row[(self.n_panels * len(self.modules) + pair) * n_units + unit] = -1.0
                program.add("panels", row, -1.0, 1.0)
            if self.max_exposure < 1.0:
                row = np.zeros(self._n_columns)
                for own in stands:
                    row[own] = [spec.share / self.n_panels for spec in self.modules]
                program.add("exposure", row, 0.0, self.max_exposure)
        for pair in range(len(shared)):
            start = (self.n_panels * len(self.modules) + pair) * n_units
            row = _marked(self._n_columns, list(range(start, start + n_units)))
            program.add("panels", row, 0.0, float(self.max_overlap))
        return program

    def _alone(self, path: Path) -> Conflict | None:
        """Why not even one path of one panel can be had."""
        least, most = (sum(getattr(self.modules[m], b) for m in path) for b in ("minimum", "maximum"))
        said = " > ".join(self.modules[m].name for m in path)
        items = Constraint(f"items of the path {said}", self._items, least, most)
        one = Composition(
            self.composition.names, (*self.composition.constraints, items), self.composition.enemies
        )
        return one.conflict(1, len(self.parameters))

    def _said(self, label: str) -> str:
        """A demand in numbers that an author can count himself."""
        of = f"of each of {self.n_panels} panels" if self.n_panels > 1 else "of the panel"
        if label == "panel":
            return "no unit stands twice in a panel"
        if label == "panels":
            if not self.max_overlap:
                return "no unit stands twice in a panel or in two panels"
            return f"no two panels share more than {self.max_overlap} units"
        if label == "exposure":
            return f"exposure: no unit is met in more than {self.max_exposure:g} of the sessions"
        spec = next((spec for spec in self.modules if label == f"module {spec.name}"), None)
        if spec is not None:
            length = (
                f"{spec.minimum}" if spec.minimum == spec.maximum else f"{spec.minimum} to {spec.maximum}"
            )
            return f"{label}: {length} items {of}; the units hold {self._items.sum():g}"
        row = next(row for row in self.composition.rows if row.label == label)
        return f"{row.demand} on every path {of}; the units hold {row.coefficients.sum():g}"

    def _assembled(self, marks: BoolArray) -> AssembledPanels:
        panels = tuple(
            tuple(tuple(np.flatnonzero(marks[self._block(p, m)]).tolist()) for m in range(len(self.modules)))
            for p in range(self.n_panels)
        )
        found = tuple(
            tuple(self._information[m][:, list(units)].sum(axis=1) for m, units in enumerate(panel))
            for panel in panels
        )
        return AssembledPanels(panels, tuple(self.modules), found)


def _marked(n_columns: int, at: Sequence[int]) -> FloatArray:
    row = np.zeros(n_columns)
    row[list(at)] = 1.0
    return row
