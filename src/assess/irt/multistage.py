r"""Multistage tests: modules given whole, and which module next.

A panel is a tree of modules. After the modules :math:`m_1, \dots, m_k` of a path
the score so far, raw or the posterior mean, is compared with rising thresholds
:math:`t_1 < t_2 < \dots`, and the module that follows is the one of number

.. math:: \#\{ i : t_i \le s \} .

One kernel serves the engine with one examinee and a simulation with thousands.
A posterior mean is compared with nine digits after the point, as decisions are.

References
----------
Luecht & Nungester (1998), *Journal of Educational Measurement* 35, 229-249,
doi:10.1111/j.1745-3984.1998.tb00537.x (panels, modules, routing).
Zenisky, Hambleton & Luecht (2010), in *Elements of Adaptive Testing*, 355-372,
doi:10.1007/978-0-387-85461-8_18 (designs and routing).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from assess.errors import InvalidParameters
from assess.irt.adaptive import AdaptiveTest
from assess.irt.batch import Answers
from assess.irt.design import StopRule
from assess.irt.parameters import FloatArray, IntArray, ItemParameters, same_units
from assess.irt.quadrature import Prior

Routing = Literal["raw", "theta"]
Path = tuple[int, ...]
_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Branch:
    """Modules that may follow, the easiest first, and the rising thresholds between them."""

    to: Path
    thresholds: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class ModulePanel:
    """The module that comes first, and what follows each path that goes on."""

    start: int
    branches: Mapping[Path, Branch] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class MultistageRun:
    """What happened to N simulated examinees.

    Parameters
    ----------
    units, categories : arrays (N, T)
        What was given in order and what was answered; -1 after the end.
    theta, se, p_above : arrays (N,)
        At the end.
    path : array (N,)
        Index into `MultistageTest.paths`.
    """

    units: IntArray
    categories: NDArray[np.int8]
    theta: FloatArray
    se: FloatArray
    p_above: FloatArray
    path: IntArray

    def __repr__(self) -> str:
        return f"<MultistageRun: {len(self.theta):,} examinees, {len(np.unique(self.path))} paths taken>"


@dataclass(frozen=True, eq=False)
class MultistageTest:
    """Modules of units and panels of modules, with all that routing needs.

    Parameters
    ----------
    parameters : ItemParameters
        The J units.
    modules : sequence of sequences of int
        Units of each module, in the order in which they are given.
    panels : sequence of ModulePanel
    routing : str
        "raw": the sum of the categories so far; "theta": the posterior mean.
    prior : Prior
    cut : float
        Where `p_above` is taken.

    Raises
    ------
    InvalidParameters
        A module or unit that does not exist.

    Examples
    --------
    >>> bank = ItemParameters(["i1", "i2", "i3", "i4"], "2PL", [1.0] * 4, [[-0.5], [0.5], [-1.0], [1.0]])
    >>> panel = ModulePanel(0, {(0,): Branch((1, 2), (1,))})
    >>> test = MultistageTest(bank, [[0, 1], [2], [3]], [panel])
    >>> test.following(panel, (0,), [0, 0]), test.following(panel, (0,), [1, 0])
    (1, 2)
    """

    parameters: ItemParameters
    modules: Sequence[Sequence[int]]
    panels: Sequence[ModulePanel]
    routing: Routing = "raw"
    prior: Prior = field(default_factory=Prior)
    cut: float = 0.0

    def __post_init__(self) -> None:
        n_units, n_modules = len(self.parameters), len(self.modules)
        for units in self.modules:
            for unit in units:
                if not 0 <= unit < n_units:
                    raise InvalidParameters(f"unit {unit} of a module is outside 0..{n_units - 1}")
        for panel in self.panels:
            named = {panel.start, *(m for branch in panel.branches.values() for m in branch.to)}
            strange = sorted(named - set(range(n_modules)))
            if strange:
                raise InvalidParameters(f"module {strange[0]} of a panel is outside 0..{n_modules - 1}")
            for branch in panel.branches.values():
                if len(branch.thresholds) != len(branch.to) - 1:
                    raise InvalidParameters(
                        f"{len(branch.to)} modules need {len(branch.to) - 1} thresholds between them, "
                        f"not {len(branch.thresholds)}"
                    )

    @cached_property
    def paths(self) -> tuple[tuple[int, Path], ...]:
        """Every panel with every way through it."""
        found: list[tuple[int, Path]] = []
        for p, panel in enumerate(self.panels):
            going: list[Path] = [(panel.start,)]
            while going:
                path = going.pop()
                branch = panel.branches.get(path)
                if branch is None:
                    found.append((p, path))
                else:
                    going += [(*path, module) for module in reversed(branch.to)]
        return tuple(found)

    def units_of(self, path: Path) -> list[int]:
        """Units of some modules in the order in which they are given."""
        return [unit for module in path for unit in self.modules[module]]

    def score(self, path: Path, categories: ArrayLike) -> FloatArray:
        """What is compared with the thresholds after a path, (N,).

        Parameters
        ----------
        categories : array (N, T)
            Of the units of the path, in their order.
        """
        given = np.asarray(categories)
        if self.routing == "raw":
            return np.asarray(given.sum(axis=1), dtype=float)
        return np.asarray(np.round(self.estimate(path, given)[0], _DIGITS))

    def estimate(self, path: Path, categories: ArrayLike) -> FloatArray:
        """Posterior mean, standard deviation and probability at or above the cut after a path, (3, N)."""
        given, units = np.asarray(categories), self.units_of(path)
        state, rows = self._test.begin(len(given)), np.arange(len(given))
        # In the order of the units, so that the order of the answers leaves no trace.
        for place in np.argsort(units, kind="stable").tolist():
            unit = np.full(len(given), units[place])
            self._test.update(state, rows, unit, given[:, place].astype(np.int64))
        return np.stack(self._test.estimate(state))

    def following(self, panel: ModulePanel, path: Path, categories: Sequence[int]) -> int | None:
        """The module that follows a path for one examinee; None at the end of the panel."""
        branch = panel.branches.get(path)
        if branch is None:
            return None
        return branch.to[int(_above(branch, self.score(path, [categories]))[0])]

    def simulate(
        self, theta: ArrayLike, rng: np.random.Generator, *, answering: ItemParameters | None = None
    ) -> MultistageRun:
        """Send examinees with known thetas through panels drawn at random.

        Parameters
        ----------
        theta : array (N,)
        rng : numpy.random.Generator
            One uniform number per examinee for the panel and one for every answer, person by person.
        answering : ItemParameters, optional
            By which they answer, where that is not what the test scores by; the same units.
        """
        persons = np.atleast_1d(np.asarray(theta, dtype=float))
        longest = max(len(self.units_of(path)) for _, path in self.paths)
        chance = rng.random((len(persons), 1 + longest))
        panels = np.minimum((chance[:, 0] * len(self.panels)).astype(np.int64), len(self.panels) - 1)
        return self.run(persons, panels, chance[:, 1:], answering=answering)

    def run(
        self,
        theta: FloatArray,
        panels: IntArray,
        chance: FloatArray,
        *,
        answering: ItemParameters | None = None,
    ) -> MultistageRun:
        """Send examinees through given panels.

        Parameters
        ----------
        theta : array (N,)
        panels : array (N,)
            Index of the panel of each.
        chance : array (N, T)
            Numbers in [0, 1), one for every answer.
        """
        answers = Answers(self.parameters if answering is None else same_units(answering, self.parameters))
        n = len(theta)
        units = np.full(chance.shape, -1, dtype=np.int64)
        categories = np.full(chance.shape, -1, dtype=np.int8)
        final, taken = np.empty((3, n)), np.empty(n, dtype=np.int64)
        going: list[tuple[Path, int, IntArray]] = [
            ((panel.start,), p, np.flatnonzero(panels == p)) for p, panel in enumerate(self.panels)
        ]
        number = {found: index for index, found in enumerate(self.paths)}
        while going:
            path, p, rows = going.pop()
            if not len(rows):
                continue
            done = len(self.units_of(path[:-1]))
            for step, unit in enumerate(self.modules[path[-1]], start=done):
                units[rows, step] = unit
                own = answers.drawn(np.full(len(rows), unit), theta[rows], chance[rows, step])
                categories[rows, step] = own
            given = categories[rows, : done + len(self.modules[path[-1]])]
            branch = self.panels[p].branches.get(path)
            if branch is None:
                final[:, rows], taken[rows] = self.estimate(path, given), number[p, path]
                continue
            which = _above(branch, self.score(path, given))
            going += [((*path, module), p, rows[which == k]) for k, module in enumerate(branch.to)]
        return MultistageRun(units, categories, final[0], final[1], final[2], taken)

    @cached_property
    def _test(self) -> AdaptiveTest:
        """Nodes, tables and posteriors; nothing is chosen by it."""
        longest = max(len(self.units_of(path)) for _, path in self.paths)
        return AdaptiveTest(self.parameters, self.prior, self.cut, stop=StopRule(1, longest))


def _above(branch: Branch, score: FloatArray) -> IntArray:
    """How many thresholds each score reaches."""
    return np.searchsorted(np.asarray(branch.thresholds, dtype=float), score, side="right")
