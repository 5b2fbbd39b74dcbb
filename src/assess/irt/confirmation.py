r"""Confirmation: whether a first score is credible, by a few unseen units under supervision.

The first session left a distribution :math:`\pi_1(\theta)`: its posterior, or a
normal one around a bare estimate. Two things may then be true of the person who
sits under supervision: it is the theta of the first session that answers, or one
that is lower by a stated *loss* :math:`\delta`. With y the answers so far,

.. math::

   \Lambda = \frac{\int \pi_1(\theta)\, L(y \mid \theta - \delta)\, d\theta}
                  {\int \pi_1(\theta)\, L(y \mid \theta)\, d\theta},
   \qquad
   \Lambda \ge 1/\alpha \to \text{inconsistent}, \qquad
   \Lambda \le \beta \to \text{consistent},

and undecided where the test ends between the two. How uncertain the first score
is has been integrated out, so that both hypotheses are simple, and
:math:`\Lambda` is a martingale of mean one while the first score holds, its inverse
one while the loss is true; whatever units are chosen, and whenever the test ends.
By Ville's inequality at most :math:`\alpha` of those whose first score is their own
are ever found inconsistent, and at most :math:`\beta` of those whose theta is lower by
the loss are found consistent. Wald's bounds, :math:`(1-\beta)/\alpha` and
:math:`\beta/(1-\alpha)`, hold only nearly; here a person is doubted, so that the rates
are to hold.

The rates are averages over :math:`\pi_1`: they rest on the prior of the first score and
on the items' parameters. Where the first score is itself all but certain,
:math:`\log\Lambda` becomes :math:`\delta Z/s - \delta^2/(2 s^2)` with
:math:`Z = (\hat\theta_1 - \hat\theta_2)/s` the statistic of Guo & Drasgow and s the
standard error of the difference: the test is theirs, looked at after every unit.

Units are chosen by information half way between the two hypotheses, where
the answers to a unit differ most under them, within the content of the form.

References
----------
Guo & Drasgow (2010), *International Journal of Selection and Assessment* 18, 351-364,
doi:10.1111/j.1468-2389.2010.00518.x (Z-test and likelihood ratio for a supervised second test).
Tendeiro, Meijer, Schakel & Maij-de Meij (2013), *Educational and Psychological Measurement* 73, 143-161,
doi:10.1177/0013164412444787 (inconsistency looked for answer by answer).
Sanz, Luzardo, García & Abad (2020), *Psicothema* 32, 549-558, doi:10.7334/psicothema2020.86 (a comparison).
Wald (1945), *Annals of Mathematical Statistics* 16, 117-186, doi:10.1214/aoms/1177731118.
Robbins (1970), *Annals of Mathematical Statistics* 41, 1397-1409, doi:10.1214/aoms/1177696786
(mixtures, and Ville's inequality).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from assess.errors import InvalidParameters
from assess.irt.adaptive import AdaptiveTest, State, StopRule
from assess.irt.design import BoolArray
from assess.irt.models import category_probabilities, log_category_probabilities
from assess.irt.parameters import FloatArray, IntArray, ItemParameters, same_units
from assess.irt.quadrature import moments
from assess.scale import Score

CONSISTENT, INCONSISTENT, UNDECIDED = "consistent", "inconsistent", "undecided"
_TINY = 1e-300
_NODES_OF_A_NORMAL = 61


@dataclass(frozen=True, slots=True)
class ConfirmationRule:
    """When a confirmation decides.

    Parameters
    ----------
    loss : float
        How much lower theta is where a first score is not credible, in units of theta.
    alpha : float
        At most this share of first scores that hold is found inconsistent.
    beta : float
        At most this share of first scores that are too high by the loss is found consistent.

    Examples
    --------
    >>> rule = ConfirmationRule(loss=1.0, alpha=0.01, beta=0.05)
    >>> rule.outcome(4.7), rule.outcome(0.0), rule.outcome(-3.0)
    ('inconsistent', None, 'consistent')
    """

    loss: float
    alpha: float
    beta: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.loss) and self.loss > 0.0):
            raise InvalidParameters(f"confirmation: loss is {self.loss}; say how far theta falls, above 0")
        if not (0.0 < self.alpha < 0.5 and 0.0 < self.beta < 0.5):
            raise InvalidParameters(
                f"confirmation: error rates are {self.alpha} and {self.beta}; say rates between 0 and 0.5"
            )

    @property
    def bounds(self) -> tuple[float, float]:
        """Log-ratios at and beyond which the test decides: inconsistent, consistent."""
        return -math.log(self.alpha), math.log(self.beta)

    def signs(self, log_ratio: FloatArray) -> IntArray:
        """1 inconsistent, -1 consistent, 0 neither, (N,); compared at nine decimals, as records hold them."""
        upper, lower = (round(bound, 9) for bound in self.bounds)
        rounded = np.round(log_ratio, 9)
        return (rounded >= upper).astype(np.int64) - (rounded <= lower)

    def outcome(self, log_ratio: float) -> str | None:
        """What a log-ratio says; None while it decides nothing."""
        return {1: INCONSISTENT, -1: CONSISTENT}.get(int(self.signs(np.array([log_ratio]))[0]))


@dataclass(frozen=True, eq=False, slots=True)
class FirstScore:
    """What a first session said of theta.

    Parameters
    ----------
    nodes, weights : arrays (Q,)
        Equally spaced nodes, and weights that sum to one.
    basis : str
        "posterior", or "normal_approximation" of an estimate without one.

    Examples
    --------
    >>> first = FirstScore.of(Score(theta=0.4, se=0.3, method="WL", item_ids=("i1",)))
    >>> round(first.theta, 6), round(first.se, 4), first.basis
    (0.4, 0.3, 'normal_approximation')
    """

    nodes: FloatArray
    weights: FloatArray
    basis: str = "posterior"

    def __post_init__(self) -> None:
        if len(self.nodes) < 2 or len(self.nodes) != len(self.weights):
            raise InvalidParameters("a first score needs two nodes at least, and a weight for each")
        if not (np.isfinite(self.weights).all() and (self.weights >= 0.0).all() and self.weights.any()):
            raise InvalidParameters("the weights of a first score are numbers of 0 or more, not all 0")

    @classmethod
    def of(cls, score: Score) -> FirstScore:
        """The distribution behind a score: its posterior, else the normal one of estimate and error.

        Raises
        ------
        InvalidParameters
            An estimate that is not finite says nothing that could be confirmed.
        """
        if score.nodes is not None and score.posterior is not None:
            return cls(score.nodes, score.posterior)
        if not (math.isfinite(score.theta) and math.isfinite(score.se) and score.se > 0.0):
            raise InvalidParameters(f"a score of {score.theta} with error {score.se} cannot be confirmed")
        z = np.linspace(-6.0, 6.0, _NODES_OF_A_NORMAL)
        density = np.exp(-0.5 * z**2)
        weights = density / np.add.reduce(density)
        return cls(score.theta + score.se * z, weights, score.probability_basis)

    @property
    def theta(self) -> float:
        """Its mean."""
        return self._moments[0]

    @property
    def se(self) -> float:
        """Its standard deviation."""
        return self._moments[1]

    @property
    def _moments(self) -> tuple[float, float]:
        return moments(self.nodes, self.weights / np.add.reduce(self.weights))


@dataclass(frozen=True, slots=True)
class Confirming:
    """What comes next in a confirmation.

    Either `unit` (a row of the parameters) or `reason` ("consistent", "inconsistent", "length", or
    "exhausted": no admissible unit is left) is None.
    """

    unit: int | None
    reason: str | None
    log_ratio: float


@dataclass(frozen=True, slots=True)
class _OwnEnd(StopRule):
    """A length whose end may come early, so that content is due by the minimum length."""

    @property
    def ends_early(self) -> bool:
        return True


@dataclass(frozen=True, eq=False)
class ConfirmationRun:
    """What happened to N simulated examinees.

    Parameters
    ----------
    units, categories : arrays (N, T)
        What was given and answered; -1 after the end.
    log_ratio : array (N,)
        At the end.
    signs : array (N,)
        1 inconsistent, -1 consistent, 0 undecided.
    """

    units: IntArray
    categories: NDArray[np.int8]
    log_ratio: FloatArray
    signs: IntArray

    def __repr__(self) -> str:
        return f"<ConfirmationRun: {len(self.signs):,} examinees, {self.n_units.mean():.1f} units on average>"

    @property
    def n_units(self) -> IntArray:
        """Units given to each examinee, (N,)."""
        return np.asarray((self.units >= 0).sum(axis=1))


@dataclass(frozen=True, eq=False)
class ConfirmationTest:
    """A confirmation over a set of units, built once per release.

    Parameters
    ----------
    base : AdaptiveTest
        Units, content, enemies, random choice and length; its other rules for an end are not used.
    rule : ConfirmationRule

    Examples
    --------
    >>> bank = ItemParameters(["i1", "i2", "i3"], "2PL", [1.5, 1.5, 1.5], [[-1.0], [0.0], [1.0]])
    >>> test = ConfirmationTest(AdaptiveTest(bank, stop=StopRule(1, 2)), ConfirmationRule(1.0, 0.1, 0.1))
    >>> first = FirstScore.of(Score(theta=1.5, se=0.1, method="WL", item_ids=()))
    >>> test.next_unit(first, [], u=0.0)
    Confirming(unit=2, reason=None, log_ratio=0.0)
    >>> found = test.next_unit(first, [(2, 0), (1, 0)], u=0.0)
    >>> found.reason, round(found.log_ratio, 3)
    ('length', 1.945)
    """

    base: AdaptiveTest
    rule: ConfirmationRule

    @cached_property
    def test(self) -> AdaptiveTest:
        """The kernel that keeps content and enemies."""
        stop = self.base.stop
        return AdaptiveTest(
            parameters=self.base.parameters,
            prior=self.base.prior,
            cut=self.base.cut,
            constraints=self.base.constraints,
            enemies=self.base.enemies,
            stop=_OwnEnd(stop.min_units, stop.max_units),
            randomesque=self.base.randomesque,
        )

    # --- one examinee ---------------------------------------------------------

    def next_unit(
        self,
        first: FirstScore,
        categories: Sequence[tuple[int, int]],
        *,
        u: float,
        excluded: Iterable[int] = frozenset(),
    ) -> Confirming:
        """The next unit for one examinee, or why the confirmation ends.

        Parameters
        ----------
        first : FirstScore
        categories : sequence of (unit, category)
            What was given so far.
        u : float in [0, 1)
            The random number of this step.
        excluded : collection of int
            Units that this examinee has met before.
        """
        state, one = self.test.begin(1), np.zeros(1, dtype=np.int64)
        # In the order of the units, so that the order of the answers leaves no trace.
        for unit, category in sorted(categories):
            self.test.update(state, one, np.array([unit]), np.array([category]))
        state.available[0, list(excluded)] = False
        weights = self._log_weights(first, categories)
        ratio = _log_ratio(weights)
        code = int(self._ends(state, ratio)[0])
        log_ratio = float(ratio[0])
        if code < 0:
            unit = int(self._select(state, first.nodes, weights, np.array([u]))[0])
            return (
                Confirming(unit, None, log_ratio) if unit >= 0 else Confirming(None, "exhausted", log_ratio)
            )
        return Confirming(None, self.rule.outcome(log_ratio) if code == 0 else "length", log_ratio)

    def log_ratio(self, first: FirstScore, categories: Sequence[tuple[int, int]]) -> float:
        r"""The logarithm of :math:`\Lambda` after some answers.

        Examples
        --------
        >>> bank = ItemParameters(["i1"], "2PL", [1.0], [[0.0]])
        >>> test = ConfirmationTest(AdaptiveTest(bank), ConfirmationRule(1.0, 0.1, 0.1))
        >>> certain = FirstScore(np.array([0.0, 9.0]), np.array([1.0, 0.0]))
        >>> round(test.log_ratio(certain, [(0, 0)]), 6) == round(math.log(2.0 / (1.0 + math.exp(-1.0))), 6)
        True
        """
        return float(_log_ratio(self._log_weights(first, categories))[0])

    def _log_weights(
        self, first: FirstScore, categories: Sequence[tuple[int, int]]
    ) -> tuple[FloatArray, FloatArray]:
        """Log of first weights times likelihood while the score holds, and after the loss, (1, Q) each."""
        log_first = np.log(np.maximum(first.weights, _TINY))
        if not categories:
            return log_first[None], log_first[None]
        ordered = sorted(categories)
        items = self.base.parameters.take([self.base.parameters.item_ids[unit] for unit, _ in ordered])
        given = np.array([category for _, category in ordered])
        rows = np.arange(len(ordered))
        both = []
        for nodes in (first.nodes, first.nodes - self.rule.loss):
            own = log_category_probabilities(items, nodes)[:, rows, given]
            both.append((log_first + np.add.reduce(own, axis=1))[None])
        return both[0], both[1]

    # --- many examinees -------------------------------------------------------

    def simulate(
        self,
        nodes: FloatArray,
        weights: FloatArray,
        theta: ArrayLike,
        rng: np.random.Generator,
        *,
        answering: ItemParameters | None = None,
        closed: BoolArray | None = None,
    ) -> ConfirmationRun:
        """Send examinees with known thetas through the confirmation.

        Parameters
        ----------
        nodes : array (Q,)
        weights : array (N, Q)
            First scores, one per row, on common nodes.
        theta : array (N,)
            By which they answer under supervision.
        rng : numpy.random.Generator
            Two uniform numbers per examinee and step: for the choice, for the answer.
        answering : ItemParameters, optional
            By which they answer, if not by the parameters of the test.
        closed : array (N, J) of bool, optional
            Units that each examinee has met before.
        """
        answers = self.base.parameters if answering is None else same_units(answering, self.base.parameters)
        persons = np.asarray(theta, dtype=float)
        n, longest = len(persons), self.base.stop.max_units
        chance = rng.random((n, longest, 2))
        reached = np.cumsum(category_probabilities(answers, persons), axis=2)
        tables = [self._table(nodes), self._table(nodes - self.rule.loss)]
        log_first = np.log(np.maximum(weights, _TINY))
        stands, lowered = log_first.copy(), log_first.copy()
        state = self.test.begin(n)
        if closed is not None:
            state.available &= ~closed
        units = np.full((n, longest), -1, dtype=np.int64)
        categories = np.full((n, longest), -1, dtype=np.int8)
        going = np.arange(n)
        for step in range(longest):
            now = State(
                state.log_weights[going], state.available[going], state.counts[going], state.n_units[going]
            )
            own = stands[going], lowered[going]
            chosen = self._select(now, nodes, own, chance[going, step, 0])
            chosen = np.where(self._ends(now, _log_ratio(own)) < 0, chosen, -1)
            going, chosen = going[chosen >= 0], chosen[chosen >= 0]
            if not len(going):
                break
            last = self.base.parameters.n_categories[chosen] - 1
            drawn = (chance[going, step, 1][:, None] >= reached[going, chosen]).sum(axis=1)
            given = np.minimum(drawn, last)
            units[going, step], categories[going, step] = chosen, given
            self.test.update(state, going, chosen, given)
            stands[going] += tables[0][chosen, given]
            lowered[going] += tables[1][chosen, given]
        log_ratio = _log_ratio((stands, lowered))
        ready = self._ready(state)
        return ConfirmationRun(units, categories, log_ratio, np.where(ready, self.rule.signs(log_ratio), 0))

    # --- inside ---------------------------------------------------------------

    def _table(self, nodes: FloatArray) -> FloatArray:
        """Log-probability by unit, category and node, (J, K, Q)."""
        table = log_category_probabilities(self.base.parameters, nodes)
        return np.ascontiguousarray(table.transpose(1, 2, 0))

    def _ready(self, state: State) -> BoolArray:
        """Whether minimum length and content are met, (N,)."""
        minima = np.array([constraint.minimum for constraint in self.base.constraints])
        met = np.all(state.counts >= minima, axis=1)
        return np.asarray((state.n_units >= self.base.stop.min_units) & met)

    def _ends(self, state: State, log_ratio: FloatArray) -> IntArray:
        """0 where the ratio decides, 1 where the length is reached, -1 to go on, (N,)."""
        decided = self._ready(state) & (self.rule.signs(log_ratio) != 0)
        full = state.n_units >= self.base.stop.max_units
        return np.where(decided, 0, np.where(full, 1, -1))

    def _select(
        self, state: State, nodes: FloatArray, weights: tuple[FloatArray, FloatArray], u: FloatArray
    ) -> IntArray:
        """The next unit of each examinee, by information half way between the hypotheses; -1 without one."""
        stands, lowered = (_means(log, nodes) for log in weights)
        return self.test.select(state, 0.5 * (stands + lowered - self.rule.loss), u)


def _means(log_weights: FloatArray, nodes: FloatArray) -> FloatArray:
    weights = np.exp(log_weights - log_weights.max(axis=1, keepdims=True))
    total = np.add.reduce(weights, axis=1)
    return np.asarray(np.add.reduce(weights * nodes, axis=1) / total)


def _log_ratio(weights: tuple[FloatArray, FloatArray]) -> FloatArray:
    """Log of the ratio of the two predictive probabilities, (N,)."""
    stands, lowered = weights
    # One peak for both, so that equal weights give a ratio of exactly one.
    peaks = [log.max(axis=1) for log in (stands, lowered)]
    masses = [
        np.log(np.add.reduce(np.exp(log - peak[:, None]), axis=1))
        for log, peak in zip((stands, lowered), peaks, strict=True)
    ]
    return np.asarray((peaks[1] - peaks[0]) + (masses[1] - masses[0]))
