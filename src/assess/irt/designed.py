r"""An adaptive test whose form says more than maximum information: criteria, starts, shadows, ends.

`DesignedTest` is `AdaptiveTest` with every rule open to choice. Two posteriors
are kept apart. The *scored* one has the course's prior; the probability at or
above the cut, the standard error and the score come from it. Units may be
chosen by another, with a prior from the learner's earlier courses; nothing that
is reported or decided ever sees it.

With `shadow`, a whole test that satisfies every constraint and contains what was
given is composed before each unit, of the greatest worth to this examinee; the
next unit is the best of its free ones. So no constraint is ever violated, and no
unit is given that leads into a corner. While a test may end early its shadow has
the minimum length, then one unit more than was given; else it has the maximum length.

References
----------
van der Linden & Reese (1998), *Applied Psychological Measurement* 22, 259-270,
doi:10.1177/01466216980223006 (shadow tests).
van der Linden (1999), *Applied Psychological Measurement* 23, 21-29, doi:10.1177/01466219922031149
(a prior from what is known of the examinee).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from assess.errors import InvalidParameters
from assess.irt.adaptive import AdaptiveTest, Selection, State
from assess.irt.composition import Composition, Conflict
from assess.irt.criteria import Criterion, SelectionRule
from assess.irt.design import EXHAUSTED, REASONS, BoolArray
from assess.irt.examinee import ranked
from assess.irt.interim import UPDATING, Interim, Updating
from assess.irt.models import information, log_category_probabilities
from assess.irt.parameters import FloatArray, IntArray
from assess.irt.quadrature import Prior, cubic_basis
from assess.irt.stopping import DesignedStop, Evidence

# What a shadow test may miss of the best one: the next unit is its best unit, which is hardly ever another.
_SHADOW_GAP = 0.02
_SHADOW_STEP = 0.25


@dataclass(eq=False, slots=True)
class DesignedState(State):
    """Where N examinees stand, with all that the rules of a form look at."""

    given: BoolArray = field(default_factory=lambda: np.empty((0, 0), dtype=bool))
    curves: FloatArray = field(default_factory=lambda: np.empty((0, 3, 0)))
    log_ratio: FloatArray = field(default_factory=lambda: np.empty(0))
    tilt: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    """Log of the prior for choosing over the prior of the score, (N, Q)."""

    def take(self, rows: BoolArray) -> DesignedState:
        """Some of the examinees."""
        return DesignedState(
            self.log_weights[rows],
            self.available[rows],
            self.counts[rows],
            self.n_units[rows],
            self.given[rows],
            self.curves[rows],
            self.log_ratio[rows],
            self.tilt[rows],
        )


@dataclass(frozen=True, eq=False)
class DesignedTest(AdaptiveTest):
    """An adaptive test with stated rules for choosing, estimating, starting and ending.

    Parameters
    ----------
    parameters, prior, cut, constraints, enemies, stop, randomesque
        As in `AdaptiveTest`; `stop` is a `DesignedStop`.
    selection : str
        One of `assess.irt.criteria.SELECTION_RULES`.
    updating : str
        The estimate at which units are chosen: EAP, MAP, ML or WL. Where ML or WL has no finite
        value, the posterior mean stands in.
    start : float or None
        The first unit has the greatest information here; None leaves it to the criterion.
    first_among : int or None
        The first unit is drawn among this many; `randomesque` unless given.
    shadow : bool
        Compose a whole test before each unit.

    Raises
    ------
    InvalidParameters
        Where a rule is unknown, or shadow tests are asked for that cannot be composed.

    Examples
    --------
    >>> from assess.irt import ItemParameters
    >>> bank = ItemParameters(["i1", "i2", "i3"], "2PL", [1.0, 1.0, 1.0], [[-1.0], [0.1], [1.0]])
    >>> test = DesignedTest(bank, stop=DesignedStop(1, 2), selection="MEPV", updating="WL", start=0.8)
    >>> test.next_unit([], u=0.5).unit
    2
    """

    stop: DesignedStop = field(default_factory=lambda: DesignedStop(1, 30))
    selection: SelectionRule = "MFI"
    updating: Updating = "EAP"
    start: float | None = None
    first_among: int | None = None
    shadow: bool = False

    def __post_init__(self) -> None:
        AdaptiveTest.__post_init__(self)
        if self.updating not in UPDATING:
            raise InvalidParameters(
                f"updating {self.updating!r} is not known; say one of {', '.join(UPDATING)}"
            )
        if self.start is not None and not math.isfinite(self.start):
            raise InvalidParameters(f"start is {self.start}; say a finite theta")
        if self.first_among is not None and self.first_among < 1:
            raise InvalidParameters(f"first_among is {self.first_among}; draw among at least one unit")
        _ = self.criterion

    # --- one examinee ---------------------------------------------------------

    def next_unit(
        self,
        categories: Sequence[tuple[int, int]],
        *,
        u: float,
        excluded: Iterable[int] = frozenset(),
        choosing: Prior | None = None,
    ) -> Selection:
        """The next unit for one examinee, or why the test ends.

        Parameters
        ----------
        categories, u, excluded
            As in `AdaptiveTest.next_unit`.
        choosing : Prior, optional
            By which units are chosen, where that is not the prior of the score.
        """
        state = self._state_of(categories, excluded, choosing)
        theta, se, p_above = self.estimate(state)
        code = int(self.stopped(state, se, p_above)[0])
        unit = -1 if code >= 0 else self._select_one(state, u)
        code = EXHAUSTED if code < 0 and unit < 0 else code
        return Selection(
            unit if unit >= 0 else None,
            REASONS[code] if code >= 0 else None,
            float(theta[0]),
            float(se[0]),
            float(p_above[0]),
        )

    def choose(
        self, categories: Sequence[tuple[int, int]], *, u: float, excluded: Iterable[int] = frozenset()
    ) -> int | None:
        """The unit of `next_unit` alone: nothing is estimated where no estimate can end the test."""
        state, stop = self._state_of(categories, excluded), self.stop
        n_units = int(state.n_units[0])
        if n_units >= stop.max_units:
            return None
        if stop.ends_early and n_units >= stop.min_units:
            _, se, p_above = self.estimate(state)
            if self.stopped(state, se, p_above)[0] >= 0:
                return None
        unit = self._select_one(state, u)
        return unit if unit >= 0 else None

    def _select_one(self, state: DesignedState, u: float) -> int:
        """`select` for one examinee: -1 where no admissible unit is left."""
        if not self.shadow:
            # It looks at an estimate of its own.
            return int(self.select(state, np.zeros(1), np.array([u]))[0])
        aim = self._aim(state)
        at_start = self.start is not None and not state.n_units[0]
        plain = self.selection == "MFI" and not at_start
        worth = self._one.information(float(aim[0])) if plain else self.worth(state, aim)[0]
        composed = self.shadow_of(state, worth, 0, float(aim[0]))
        if composed is None:
            return -1
        allowed = composed & state.available[0]
        first = self.randomesque if self.first_among is None else self.first_among
        n_choices = min(int(np.count_nonzero(allowed)), self.randomesque if state.n_units[0] else first)
        if n_choices == 0:
            return -1
        return ranked(np.where(allowed, worth, -1.0), min(int(u * n_choices), n_choices - 1))

    def _state_of(
        self, categories: Sequence[tuple[int, int]], excluded: Iterable[int], choosing: Prior | None = None
    ) -> DesignedState:
        """Where one examinee stands: all answers at once, in the order of the units."""
        given = self._one.given(categories)
        state = self.begin(1, choosing=None if choosing is None else [choosing])
        state.log_weights[0] = self._one.log_weights(given)
        state.n_units[0] = len(given.units)
        if given.units:
            state.counts[0] = np.add.reduce(self.content.coefficients[:, given.units], axis=1)
            state.given[0, given.units] = True
            state.available[0, given.units] = False
            if self._enemies is not None:
                state.available[0] &= ~np.logical_or.reduce(self._enemies[given.units], axis=0)
        if self._interim is not None or self._ratio_table is not None:
            scored, answered = np.divmod(np.array(given.rows, dtype=np.int64), self._log_table.shape[1])
            if self._interim is not None:
                self._interim.enter_all(state.curves, scored, answered)
            if self._ratio_table is not None:
                state.log_ratio[0] = np.add.reduce(self._ratio_table[scored, answered])
        state.available[0, list(excluded)] = False
        return state

    # --- many examinees -------------------------------------------------------

    def begin(self, n_examinees: int, choosing: Sequence[Prior] | None = None) -> DesignedState:
        """The state of examinees to whom nothing was given yet.

        Parameters
        ----------
        choosing : sequence of Prior (N,), optional
            By which units are chosen, where that is not the prior of the score.
        """
        plain = AdaptiveTest.begin(self, n_examinees)
        shape = (n_examinees, len(self.nodes) if choosing is not None else 0)
        tilt = np.zeros(shape)
        if choosing is not None:
            for row, prior in enumerate(choosing):
                tilt[row] = prior.log_density(self.nodes) - self.prior.log_density(self.nodes)
        interim = self._interim
        return DesignedState(
            plain.log_weights,
            plain.available,
            plain.counts,
            plain.n_units,
            given=np.zeros(plain.available.shape, dtype=bool),
            curves=np.zeros((n_examinees, 3, 0)) if interim is None else interim.begin(n_examinees),
            log_ratio=np.zeros(n_examinees),
            tilt=tilt,
        )

    def update(self, state: State, rows: IntArray, units: IntArray, categories: IntArray) -> None:  # type: ignore[override]
        """Enter one answer of each of the examinees `rows`."""
        assert isinstance(state, DesignedState)
        AdaptiveTest.update(self, state, rows, units, categories)
        state.given[rows, units] = True
        if self._interim is not None:
            self._interim.enter(state.curves, rows, units, np.asarray(categories, dtype=np.int64))
        if self._ratio_table is not None:
            state.log_ratio[rows] += self._ratio_table[units, categories]

    def stopped(self, state: State, se: FloatArray, p_above: FloatArray) -> IntArray:
        """Index into `REASONS` per examinee, -1 to go on."""
        assert isinstance(state, DesignedState)
        met = np.all(state.counts >= self.content.minima, axis=1)
        theta, own_se = np.zeros(len(se)), se
        if self._looks_at_theta:
            theta, own_se = self._point(state)
        left = np.full(len(se), np.inf)
        if self.stop.information is not None:
            worth = np.where(self._admissible(state), self._information_at(theta), 0.0)
            left = worth.max(axis=1)
        seen = Evidence(
            n_units=state.n_units,
            theta=theta,
            se=own_se,
            p_above=p_above,
            minima_met=met,
            sprt=state.log_ratio,
            glr=self._generalised_ratio(state),
            best_left=left,
        )
        return self.stop.ends(seen, self.cut)

    def select(self, state: State, theta: FloatArray, u: FloatArray) -> IntArray:
        """The next unit of each examinee, -1 where no admissible unit is left, (N,)."""
        assert isinstance(state, DesignedState)
        aim = self._aim(state)
        worth = self.worth(state, aim)
        if self.shadow:
            allowed = np.zeros_like(state.available)
            for row in range(len(worth)):
                composed = self.shadow_of(state, worth[row], row, float(aim[row]))
                if composed is not None:
                    allowed[row] = composed & state.available[row]
            priority = np.where(allowed, worth, -1.0)
        else:
            allowed = self._admissible(state)
            priority = np.where(allowed, worth * self._content_factor(state), -1.0)
        first = self.randomesque if self.first_among is None else self.first_among
        among = np.where(state.n_units == 0, first, self.randomesque)
        return drawn(priority, np.count_nonzero(allowed, axis=1), among, u)

    def worth(self, state: DesignedState, aim: FloatArray) -> FloatArray:
        """What each unit is worth to each examinee who stands at `aim` (N,), before content, (N, J)."""
        if self.start is not None and not state.n_units.any():
            return np.tile(self._at_start, (len(state.n_units), 1))
        if self.selection == "MFI":
            return self._information_at(aim)
        return self.criterion.worth(self._chosen_by(state), aim)

    def shadow_of(self, state: DesignedState, worth: FloatArray, row: int, aim: float) -> BoolArray | None:
        """The shadow test of one examinee as a mark on its units, (J,); None where there is none."""
        n_given = int(state.n_units[row])
        length = max(self.stop.min_units, n_given + 1) if self.stop.ends_early else self._longest
        given = state.given[row]
        # The scale of a criterion is its own; the solver's tolerances are not.
        scaled = worth / max(float(worth.max()), np.finfo(float).tiny)
        return self.composition.best(
            scaled,
            length,
            length,
            given=given,
            closed=~state.available[row] & ~given,
            near=self._near(aim, length),
            gap=_SHADOW_GAP,
        )

    def feasible(self, closed: Iterable[int] = ()) -> bool:
        """Whether tests of the shortest and of the longest length can be composed without these units."""
        shut = np.zeros(len(self.parameters), dtype=bool)
        shut[list(closed)] = True
        return all(self.composition.feasible(length, length, closed=shut) for length in self.lengths)

    def conflict(self) -> Conflict | None:
        """Why no test of the shortest or of the longest length can be composed; None where both can."""
        found = (self.composition.conflict(length, length) for length in self.lengths)
        return next((conflict for conflict in found if conflict is not None), None)

    # --- inside ---------------------------------------------------------------

    @cached_property
    def criterion(self) -> Criterion:
        """The criterion with its tables."""
        return Criterion(
            self.selection, self.parameters, self.nodes, self.prior.log_density(self.nodes), self.cut
        )

    @cached_property
    def composition(self) -> Composition:
        """What a test may be composed of."""
        return Composition(self.parameters.item_ids, self.constraints, self.enemies)

    @cached_property
    def _longest(self) -> int:
        return min(self.stop.max_units, len(self.parameters))

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """Lengths that a shadow test must have: at the first end that may come, and at the last."""
        return (self.stop.min_units, self._longest) if self.stop.ends_early else (self._longest,)

    @cached_property
    def _learnt(self) -> set[int]:
        return set()

    def _near(self, aim: float, length: int) -> int | None:
        """Where the solver starts from for an examinee who stands here.

        The basis of an examinee at a round theta without answers, learnt when
        it is first asked for, so that the solver's path depends on nobody else.
        """
        if length != (self.stop.min_units if self.stop.ends_early else self._longest):
            return None
        near = round((aim - self.prior.mean) / (_SHADOW_STEP * self.prior.sd))
        if near not in self._learnt:
            theta = self.prior.mean + near * _SHADOW_STEP * self.prior.sd
            worth = self.criterion.information_at(np.array([theta]))[0]
            self.composition.learn(worth, length, length, near)
            self._learnt.add(near)
        return near

    @cached_property
    def _looks_at_theta(self) -> bool:
        """Whether any rule for an end asks more than the scored posterior's spread."""
        asked = self.stop.interval is not None or self.stop.information is not None
        return asked or (self._interim is not None and self.stop.se is not None)

    @cached_property
    def _interim(self) -> Interim | None:
        return None if self.updating == "EAP" else Interim(self.parameters, self.updating, self.prior)

    @cached_property
    def _at_start(self) -> FloatArray:
        assert self.start is not None
        return np.asarray(information(self.parameters, self.start)[0])

    @cached_property
    def _ratio_table(self) -> FloatArray | None:
        """Log-likelihood at the cut plus delta less that at the cut minus delta, (J, K)."""
        if self.stop.sprt is None:
            return None
        delta = self.stop.sprt.delta
        table = log_category_probabilities(self.parameters, [self.cut - delta, self.cut + delta])
        return np.where(np.isfinite(table[0]), table[1] - np.where(np.isfinite(table[0]), table[0], 0.0), 0.0)

    def _generalised_ratio(self, state: DesignedState) -> FloatArray:
        if self.stop.glr is None:
            return np.zeros(len(state.n_units))
        delta = self.stop.glr.delta
        likelihood = state.log_weights - self.prior.log_density(self.nodes)
        above = _highest(self.nodes, likelihood, self.cut + delta, 1)
        below = _highest(self.nodes, likelihood, self.cut - delta, -1)
        return above - below

    def _chosen_by(self, state: DesignedState) -> FloatArray:
        return state.log_weights + state.tilt if state.tilt.shape[1] else state.log_weights

    def _aim(self, state: DesignedState) -> FloatArray:
        """Where units are chosen: the point estimate, or the mean of the posterior for choosing."""
        weights = self._chosen_by(state)
        weights = np.exp(weights - weights.max(axis=1, keepdims=True))
        mean = np.add.reduce(weights * self.nodes, axis=1) / np.add.reduce(weights, axis=1)
        if self._interim is None:
            return np.asarray(mean)
        theta, _ = self._interim.estimate(state.curves)
        return np.where(np.isfinite(theta), theta, mean)

    def _point(self, state: DesignedState) -> tuple[FloatArray, FloatArray]:
        """The estimate that the rules for an end look at, and its standard error."""
        theta, se, _ = AdaptiveTest.estimate(self, state)
        if self._interim is not None:
            point, error = self._interim.estimate(state.curves)
            known = np.isfinite(point) & np.isfinite(error)
            theta, se = np.where(known, point, theta), np.where(known, error, se)
        return theta, se


def drawn(priority: FloatArray, n_allowed: IntArray, among: IntArray, u: FloatArray) -> IntArray:
    """One of the units of highest priority of each examinee, by chance; -1 where none is allowed.

    Parameters
    ----------
    priority : array (N, J)
        Negative for units that are not allowed; it is written over.
    n_allowed, among : arrays (N,)
        How many units are allowed, and among how many to draw.
    u : array (N,)
        In [0, 1).

    Examples
    --------
    >>> drawn(np.array([[0.2, 0.5, 0.4]]), np.array([3]), np.array([2]), np.array([0.7])).tolist()
    [2]
    """
    n_choices = np.minimum(n_allowed, among)
    wanted = np.minimum((u * n_choices).astype(np.int64), n_choices - 1)
    rows = np.arange(len(priority))
    chosen = np.full(len(priority), -1, dtype=np.int64)
    for rank in range(int(wanted.max(initial=-1)) + 1):
        best = priority.argmax(axis=1)
        chosen = np.where(wanted == rank, best, chosen)
        priority[rows, best] = -2.0
    return chosen


def _highest(nodes: FloatArray, log_likelihood: FloatArray, bound: float, side: int) -> FloatArray:
    """Highest log-likelihood at and beyond a bound, between the nodes by parabola, (N,)."""
    step = nodes[1] - nodes[0]
    inside = (nodes - bound) * side >= 0.0
    middle = np.arange(1, len(nodes) - 1)
    left, centre, right = (log_likelihood[:, middle + k] for k in (-1, 0, 1))
    bend = left - 2.0 * centre + right
    shift = np.where(bend < 0.0, 0.5 * (left - right) / np.where(bend < 0.0, bend, -1.0), 0.0)
    peak_at = nodes[middle] + np.clip(shift, -0.5, 0.5) * step
    shift = np.clip(shift, -0.5, 0.5)
    peak = centre + 0.5 * shift * (right - left) + 0.5 * shift**2 * bend
    peak = np.where((peak_at - bound) * side >= 0.0, peak, -np.inf)
    cell = int(np.clip((bound - nodes[0]) / step, 1, len(nodes) - 3))
    x = (bound - nodes[cell]) / step
    at_bound = log_likelihood[:, cell - 1 : cell + 3] @ cubic_basis(np.array(1.0 + x))
    on_nodes = np.where(inside, log_likelihood, -np.inf).max(axis=1)
    return np.asarray(np.maximum(np.maximum(peak.max(axis=1), at_bound), on_nodes))
