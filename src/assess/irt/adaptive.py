r"""Adaptive testing: which unit next, and when to stop.

One kernel works on arrays of examinees, for a simulation with thousands; its
twin takes one examinee as vectors, for the engine, where arrays of one cost
more than the arithmetic. A test holds the two to the same choices, to the bit.

Theta is the mean of the posterior on fixed nodes, and the next unit is the one
of greatest priority

.. math:: \mathrm{PI}_i = I_i(\hat\theta) \prod_{k \ni i} f_k ,

Fisher information times one factor for every content constraint the unit
belongs to. While the minimum l of a constraint is not met,
:math:`f = 1 + (l - x)/l` for the x already given; then
:math:`f = (u - x)/u` of its maximum u. This is the two-phase maximum priority
index of Cheng & Chang, with the phase taken per constraint, so that
overlapping constraints do not block each other. Maxima are never exceeded, and
no unit is chosen that would leave too few places for the minima still open;
this look-ahead adds up needs that exclude each other, and is exact for one way
of dividing the bank (by content), nearly so for several that cross.

References
----------
Cheng & Chang (2009), *British Journal of Mathematical and Statistical Psychology* 62, 369-383,
doi:10.1348/000711008X304376.
Kingsbury & Zara (1989), *Applied Measurement in Education* 2, 359-375,
doi:10.1207/s15324818ame0204_6 (randomesque).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from assess.errors import InvalidParameters
from assess.irt.content import Content
from assess.irt.design import EXHAUSTED, REASONS, BoolArray, Constraint, StopRule
from assess.irt.examinee import GRID_STEP, OneExaminee
from assess.irt.models import information, log_category_probabilities
from assess.irt.parameters import FloatArray, IntArray, ItemParameters
from assess.irt.quadrature import Prior, TailMass, default_nodes

__all__ = ["REASONS", "AdaptiveTest", "Constraint", "Selection", "State", "StopRule"]


@dataclass(frozen=True, slots=True)
class Selection:
    """What comes next for one examinee.

    Either `unit` (a row of the parameters) or `reason` ("length", "precision",
    "certainty", or "exhausted": no admissible unit is left) is None.
    """

    unit: int | None
    reason: str | None
    theta: float
    se: float
    p_above: float


@dataclass(eq=False, slots=True)
class State:
    """Where N examinees stand; `AdaptiveTest.update` writes into it."""

    log_weights: FloatArray
    available: BoolArray
    counts: FloatArray
    n_units: IntArray

    def take(self, rows: BoolArray) -> State:
        """Some of the examinees."""
        return State(self.log_weights[rows], self.available[rows], self.counts[rows], self.n_units[rows])


@dataclass(frozen=True, eq=False)
class AdaptiveTest:
    """An adaptive test with all it needs tabulated, built once per release.

    Parameters
    ----------
    parameters : ItemParameters
        The J units to draw from.
    prior : Prior
        Before the first answer.
    cut : float
        Where `p_above` is taken, on the same scale.
    constraints : sequence of Constraint
        Content.
    enemies : sequence of collections of int
        Units (by row) of which at most one may be given.
    stop : StopRule
        When to end.
    randomesque : int
        The draw is among this many units of highest priority.

    Raises
    ------
    InvalidParameters
        Where a constraint or an enemy set does not fit the units.

    Examples
    --------
    >>> items = ItemParameters(["i1", "i2", "i3"], "2PL", [1.0, 1.0, 1.0], [[-1.0], [0.1], [1.0]])
    >>> test = AdaptiveTest(items, stop=StopRule(min_units=1, max_units=2))
    >>> test.next_unit([], u=0.5).unit
    1
    >>> test.next_unit([(1, 0)], u=0.5).unit
    0
    >>> test.next_unit([(1, 0), (0, 1)], u=0.5).reason
    'length'
    """

    parameters: ItemParameters
    prior: Prior = field(default_factory=Prior)
    cut: float = 0.0
    constraints: Sequence[Constraint] = ()
    enemies: Sequence[Iterable[int]] = ()
    stop: StopRule = field(default_factory=lambda: StopRule(1, 30))
    randomesque: int = 1

    def __post_init__(self) -> None:
        n_units = len(self.parameters)
        if n_units == 0:
            raise InvalidParameters("an adaptive test needs units to draw from")
        if self.randomesque < 1:
            raise InvalidParameters(f"randomesque is {self.randomesque}; draw among at least one unit")
        for constraint in self.constraints:
            if len(constraint.coefficients) != n_units:
                raise InvalidParameters(
                    f"constraint {constraint.label!r}: {len(constraint.coefficients)} coefficients "
                    f"for {n_units} units; give one per unit"
                )
        for group in self.enemies:
            for unit in group:
                if not 0 <= unit < n_units:
                    raise InvalidParameters(f"enemy unit {unit} is outside 0..{n_units - 1}")

    # --- one examinee ---------------------------------------------------------

    def next_unit(
        self, categories: Sequence[tuple[int, int]], *, u: float, excluded: Iterable[int] = frozenset()
    ) -> Selection:
        """The next unit for one examinee, or why the test ends.

        Parameters
        ----------
        categories : sequence of (unit, category)
            What was given so far; a negative category was given but not scored.
        u : float in [0, 1)
            The random number of this step.
        excluded : collection of int
            Units that this examinee must not meet.
        """
        one = self._one
        given = one.given(categories)
        counts = self.content.counts_of(given.units)
        relative = one.relative(given)
        theta, se = one.moments(relative)
        p_above = float(self._tail.above(relative[None])[0])
        code = self.stop.code(len(given.units), se, p_above, self._minima_met(counts))
        unit = -1 if code >= 0 else one.chosen(given, counts, theta, u, excluded)
        code = EXHAUSTED if code < 0 and unit < 0 else code
        reason = REASONS[code] if code >= 0 else None
        return Selection(unit if unit >= 0 else None, reason, theta, se, p_above)

    def choose(
        self, categories: Sequence[tuple[int, int]], *, u: float, excluded: Iterable[int] = frozenset()
    ) -> int | None:
        """The unit of `next_unit` alone: the tail of the posterior is left out where it cannot end the test.

        Examples
        --------
        >>> items = ItemParameters(["i1", "i2", "i3"], "2PL", [1.0, 1.0, 1.0], [[-1.0], [0.1], [1.0]])
        >>> AdaptiveTest(items, stop=StopRule(min_units=1, max_units=2)).choose([(1, 0)], u=0.5)
        0
        """
        one, stop = self._one, self.stop
        given = one.given(categories)
        if len(given.units) >= stop.max_units:
            return None
        counts = self.content.counts_of(given.units)
        relative = one.relative(given)
        if stop.ends_early and len(given.units) >= stop.min_units and self._minima_met(counts):
            theta, se = one.moments(relative)
            p_above = math.nan if stop.certainty is None else float(self._tail.above(relative[None])[0])
            if stop.code(len(given.units), se, p_above, True) >= 0:
                return None
        else:
            theta = one.mean(relative)
        unit = one.chosen(given, counts, theta, u, excluded)
        return unit if unit >= 0 else None

    def _minima_met(self, counts: Sequence[float]) -> bool:
        return all(count >= least for count, least in zip(counts, self._minima, strict=True))

    # --- many examinees -------------------------------------------------------

    def begin(self, n_examinees: int) -> State:
        """The state of examinees to whom nothing was given yet."""
        return State(
            log_weights=self._log_prior[None].repeat(n_examinees, axis=0),
            available=np.ones((n_examinees, len(self.parameters)), dtype=bool),
            counts=np.zeros((n_examinees, len(self.constraints))),
            n_units=np.zeros(n_examinees, dtype=np.int64),
        )

    def update(self, state: State, rows: IntArray, units: IntArray, categories: NDArray[np.integer]) -> None:
        """Enter one answer of each of the examinees `rows`."""
        state.log_weights[rows] += self._log_table[units, categories]
        self._mark(state, rows, units)

    def estimate(self, state: State) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Posterior mean, standard deviation and probability at or above the cut, each (N,)."""
        peak = state.log_weights.max(axis=1, keepdims=True)
        weights = np.exp(state.log_weights - peak)
        weights /= np.add.reduce(weights, axis=1)[:, None]
        theta = np.add.reduce(weights * self.nodes, axis=1)
        variance = np.add.reduce(weights * (self.nodes - theta[:, None]) ** 2, axis=1)
        return theta, np.sqrt(variance), self._tail.above(state.log_weights - peak)

    def stopped(self, state: State, se: FloatArray, p_above: FloatArray) -> IntArray:
        """Index into `REASONS` per examinee, -1 to go on."""
        met = np.all(state.counts >= self.content.minima, axis=1)
        return self.stop.codes(state.n_units, se, p_above, met)

    def select(self, state: State, theta: FloatArray, u: FloatArray) -> IntArray:
        """The next unit of each examinee, -1 where no admissible unit is left, (N,)."""
        allowed = self._admissible(state)
        priority = np.where(allowed, self._information_at(theta) * self._content_factor(state), -1.0)
        n_choices = np.minimum(np.count_nonzero(allowed, axis=1), self.randomesque)
        wanted = np.minimum((u * n_choices).astype(np.int64), n_choices - 1)
        rows = np.arange(len(priority))
        chosen = np.full(len(priority), -1, dtype=np.int64)
        for rank in range(self.randomesque):
            best = priority.argmax(axis=1)
            chosen = np.where(wanted == rank, best, chosen)
            priority[rows, best] = -2.0
        return chosen

    # --- inside ---------------------------------------------------------------

    @cached_property
    def _one(self) -> OneExaminee:
        return OneExaminee(self)

    @cached_property
    def _minima(self) -> list[float]:
        return [float(least) for least in self.content.minima]

    @cached_property
    def nodes(self) -> FloatArray:
        """Nodes of the posterior, (Q,)."""
        return default_nodes(self.parameters, self.prior, self.stop.max_units)

    @cached_property
    def _log_table(self) -> FloatArray:
        """Log-probability by unit, category and node, (J, K, Q)."""
        return np.ascontiguousarray(
            log_category_probabilities(self.parameters, self.nodes).transpose(1, 2, 0)
        )

    @cached_property
    def _log_prior(self) -> FloatArray:
        return np.asarray(self.prior.log_density(self.nodes))

    @cached_property
    def _theta_grid(self) -> FloatArray:
        return np.arange(
            self.prior.mean - 4.5 * self.prior.sd, self.prior.mean + 4.5 * self.prior.sd, GRID_STEP
        )

    @cached_property
    def _information_table(self) -> FloatArray:
        return information(self.parameters, self._theta_grid)

    def _information_at(self, theta: FloatArray) -> FloatArray:
        """Information of every unit, linear between the points of the grid, (N, J)."""
        cell, share = self._cell_of(theta)
        low, high = self._information_table[cell], self._information_table[cell + 1]
        return np.asarray(low + share * (high - low))

    def _cell_of(self, theta: FloatArray) -> tuple[IntArray, FloatArray]:
        """Cell of the grid that holds each theta, (N,), and the share of it that lies below, (N, 1)."""
        position = np.clip((theta - self._theta_grid[0]) / GRID_STEP, 0.0, len(self._theta_grid) - 1.000001)
        cell = position.astype(np.int64)
        return cell, (position - cell)[:, None]

    @cached_property
    def content(self) -> Content:
        """What the test must hold."""
        return Content(self.constraints, len(self.parameters), self.stop)

    @cached_property
    def _enemies(self) -> BoolArray | None:
        if not self.enemies:
            return None
        matrix = np.zeros((len(self.parameters), len(self.parameters)), dtype=bool)
        for group in self.enemies:
            members = np.array(sorted(group), dtype=np.int64)
            matrix[np.ix_(members, members)] = True
        return matrix

    @cached_property
    def _tail(self) -> TailMass:
        return TailMass(self.nodes, self.cut)

    def _mark(self, state: State, rows: IntArray, units: IntArray) -> None:
        """One unit was given to each of different examinees."""
        state.available[rows, units] = False
        state.n_units[rows] += 1
        state.counts[rows] += self.content.coefficients[:, units].T
        if self._enemies is not None:
            state.available[rows] &= ~self._enemies[units]

    def _content_factor(self, state: State) -> FloatArray | float:
        """Product of f over the constraints of each unit, (N, J)."""
        if not self.constraints:
            return 1.0
        return self.content.factor(state.counts)[:, self.content.class_of]

    def _admissible(self, state: State) -> BoolArray:
        """Units that exceed no maximum and leave room for every open minimum, (N, J)."""
        if not self.constraints:
            return state.available
        content = self.content
        of_class = content.allowed(content.left(state.available), state.counts, state.n_units)
        return np.asarray(state.available & of_class[:, content.class_of])
