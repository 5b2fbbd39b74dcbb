r"""The extension of an adaptive test: a few more units at the cut for whom the test left undetermined.

After a test that could not tell, further units are chosen where they tell most
about the question that is open: of greatest information at the cut, content by
the same priority as before. The choice does not look at the estimate, so an
extension is a short form at the cut that ends as soon as the rule decides. A
maximum of the blueprint grows in proportion to the longer test, or a form as
long as its maxima allow could not be extended at all.

Each look at the posterior is one more chance to err. The error rates of the
test with all its extensions are those of the whole procedure, and only a
simulation of the whole procedure gives them.

References
----------
Spray & Reckase (1996), *Journal of Educational and Behavioral Statistics* 21, 405-414,
doi:10.3102/10769986021004405 (units at the cut).
Armitage, McPherson & Rowe (1969), *Journal of the Royal Statistical Society A* 132, 235-244,
doi:10.2307/2343787 (what repeated looks do to an error rate).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from assess.errors import InvalidParameters
from assess.irt.adaptive import REASONS, AdaptiveTest, Selection, State, StopRule
from assess.irt.models import category_probabilities
from assess.irt.parameters import IntArray, ItemParameters, same_units

_EXHAUSTED = REASONS.index("exhausted")


@dataclass(frozen=True, slots=True)
class ExtensionRule:
    """How far a test may be extended.

    Parameters
    ----------
    min_units, max_units : int
        Of one extension; it ends between the two as soon as the rule decides.
    most : int
        Extensions of one test.

    Examples
    --------
    >>> ExtensionRule().max_units
    10
    """

    min_units: int = 6
    max_units: int = 10
    most: int = 2

    def __post_init__(self) -> None:
        if not (1 <= self.min_units <= self.max_units and self.most >= 1):
            raise InvalidParameters(
                f"extension: {self.min_units}..{self.max_units} units, {self.most} times; "
                "say 1 <= min <= max, at least once"
            )


@dataclass(frozen=True, eq=False)
class ExtendedTest:
    """The n-th extension of an adaptive test.

    Parameters
    ----------
    base : AdaptiveTest
        The test that was extended.
    rule : ExtensionRule
    certainty : (p_pass, p_fail)
        Bounds of the decision rule.
    number : int
        1 for the first extension; the maxima of the content grow with it.

    Examples
    --------
    >>> bank = ItemParameters(["i1", "i2", "i3"], "2PL", [1.0, 1.0, 1.0], [[-2.0], [0.1], [1.0]])
    >>> test = AdaptiveTest(bank, stop=StopRule(min_units=1, max_units=1))
    >>> more = ExtendedTest(test, ExtensionRule(1, 2), (0.75, 0.25))
    >>> more.next_unit([(0, 1)], n_before=1, u=0.0).unit
    1
    >>> more.room([(0, 1)])
    2
    """

    base: AdaptiveTest
    rule: ExtensionRule
    certainty: tuple[float, float]
    number: int = 1

    @cached_property
    def test(self) -> AdaptiveTest:
        """The kernel with room for the extension; without a rule for an end of its own."""
        longest = self.base.stop.max_units + self.number * self.rule.max_units
        share = longest / self.base.stop.max_units
        return AdaptiveTest(
            parameters=self.base.parameters,
            prior=self.base.prior,
            cut=self.base.cut,
            constraints=tuple(
                replace(c, maximum=math.ceil(c.maximum * share)) if math.isfinite(c.maximum) else c
                for c in self.base.constraints
            ),
            enemies=self.base.enemies,
            stop=StopRule(1, longest),
            randomesque=self.base.randomesque,
        )

    @cached_property
    def stop(self) -> StopRule:
        """When this extension ends, counted from its begin."""
        return StopRule(self.rule.min_units, self.rule.max_units, certainty=self.certainty)

    # --- one examinee ---------------------------------------------------------

    def next_unit(
        self,
        categories: Sequence[tuple[int, int]],
        *,
        n_before: int,
        u: float,
        excluded: Iterable[int] = frozenset(),
    ) -> Selection:
        """The next unit for one examinee, or why the extension ends.

        Parameters
        ----------
        categories : sequence of (unit, category)
            What was given so far, before the extension and in it.
        n_before : int
            How many of them were given before it.
        u : float in [0, 1)
            The random number of this step.
        excluded : collection of int
            Units that this examinee must not meet.
        """
        state = self._state_of(categories, excluded)
        theta, se, p_above = self.test.estimate(state)
        state.n_units -= n_before
        code = int(self.stopped(state)[0])
        unit = -1 if code >= 0 else int(self.select(state, np.array([u]))[0])
        code = _EXHAUSTED if code < 0 and unit < 0 else code
        reason = REASONS[code] if code >= 0 else None
        return Selection(
            unit if unit >= 0 else None, reason, float(theta[0]), float(se[0]), float(p_above[0])
        )

    def room(self, categories: Sequence[tuple[int, int]], excluded: Iterable[int] = frozenset()) -> int:
        """How many units this extension could give to an examinee, `rule.max_units` at most."""
        state = self._state_of(categories, excluded)
        one, found = np.zeros(1, dtype=np.int64), 0
        while found < self.rule.max_units:
            unit = self.select(state, np.zeros(1))
            if unit[0] < 0:
                break
            # The choice is at the cut, so that the category is of no consequence.
            self.test.update(state, one, unit, one)
            found += 1
        return found

    def _state_of(self, categories: Sequence[tuple[int, int]], excluded: Iterable[int]) -> State:
        state, one = self.test.begin(1), np.zeros(1, dtype=np.int64)
        # In the order of the units, so that the order of the answers leaves no trace.
        for unit, category in sorted(categories):
            self.test.update(state, one, np.array([unit]), np.array([category]))
        state.available[0, list(excluded)] = False
        return state

    # --- many examinees -------------------------------------------------------

    def stopped(self, state: State) -> IntArray:
        """Index into `REASONS` per examinee, -1 to go on; `state.n_units` counts this extension alone."""
        _, se, p_above = self.test.estimate(state)
        return self.stop.codes(state.n_units, se, p_above, np.ones(len(se), dtype=bool))

    def select(self, state: State, u: NDArray[np.float64]) -> IntArray:
        """The next unit of each examinee, by information at the cut; -1 where none is left."""
        return self.test.select(state, np.full(len(state.n_units), self.base.cut), u)

    def simulate(
        self,
        units: IntArray,
        categories: NDArray[np.int8],
        theta: ArrayLike,
        rng: np.random.Generator,
        *,
        answering: ItemParameters | None = None,
    ) -> tuple[IntArray, NDArray[np.int8], NDArray[np.float64]]:
        """Extend the tests of examinees with known thetas.

        Parameters
        ----------
        units, categories : arrays (N, T)
            What was given before; -1 after the end.
        theta : array (N,)
        rng : numpy.random.Generator
        answering : ItemParameters, optional
            By which they answer, if not by the parameters of the test.

        Returns
        -------
        units, categories : arrays (N, max_units)
            What the extension added; -1 after its end.
        above : array (3, N)
            Posterior mean, standard deviation, and probability at or above the cut, at its end.
        """
        answers = self.base.parameters if answering is None else same_units(answering, self.base.parameters)
        persons = np.asarray(theta, dtype=float)
        n = len(persons)
        chance = rng.random((n, self.rule.max_units, 2))
        reached = np.cumsum(category_probabilities(answers, persons), axis=2)
        state = self.test.begin(n)
        for step in range(units.shape[1]):
            rows = np.flatnonzero(units[:, step] >= 0)
            self.test.update(state, rows, units[rows, step], categories[rows, step])
        state.n_units[:] = 0
        more = np.full((n, self.rule.max_units), -1, dtype=np.int64)
        given = np.full((n, self.rule.max_units), -1, dtype=np.int8)
        going = np.arange(n)
        for step in range(self.rule.max_units):
            now = state.take(_mask(n, going))
            chosen = np.where(self.stopped(now) < 0, self.select(now, chance[going, step, 0]), -1)
            going, chosen = going[chosen >= 0], chosen[chosen >= 0]
            if not len(going):
                break
            last = self.base.parameters.n_categories[chosen] - 1
            drawn = (chance[going, step, 1][:, None] >= reached[going, chosen]).sum(axis=1)
            more[going, step], given[going, step] = chosen, np.minimum(drawn, last)
            self.test.update(state, going, chosen, given[going, step])
        return more, given, np.stack(self.test.estimate(state))


def _mask(n: int, rows: IntArray) -> NDArray[np.bool_]:
    out = np.zeros(n, dtype=bool)
    out[rows] = True
    return out
