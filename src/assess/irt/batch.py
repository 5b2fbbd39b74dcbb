"""Many examinees through one adaptive test in lock-step, with the choices that each would get alone.

Most of the work of a step is finding the best unit. Units that add the same to
every constraint are one class, and content decides between classes only: within
a class the best unit is the one of most information. So the content rules are
asked for a handful of classes instead of for every unit, and what is left for
every unit is to interpolate its information, to strike out what was given, and
to find a maximum. Rules other than maximum information go through the test's
own `select`.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from assess.irt.adaptive import AdaptiveTest, State
from assess.irt.design import EXHAUSTED, BoolArray
from assess.irt.designed import DesignedTest
from assess.irt.models import linear_form
from assess.irt.parameters import FloatArray, IntArray, ItemParameters
from assess.irt.quadrature import Prior

_ROWS = 512
# How many units are looked at in all classes together, and in each at least, before a class is searched.
_LEADING, _LEAST_LEADING = 96, 6


class Answers:
    """Who answers how: categories by chance, unit by unit.

    Examples
    --------
    >>> bank = ItemParameters(["i1"], "2PL", [1.0], [[0.0]])
    >>> Answers(bank).drawn(np.array([0, 0]), np.array([0.0, 0.0]), np.array([0.49, 0.51])).tolist()
    [0, 1]
    """

    def __init__(self, parameters: ItemParameters) -> None:
        self._parameters = parameters
        n_units, width = len(parameters), parameters.max_categories
        self._divided = np.zeros(n_units, dtype=bool)
        self._slopes = np.zeros((n_units, width))
        self._intercepts = np.full((n_units, width), -np.inf)
        for (family, n_categories), group in parameters.groups.items():
            if family == "divide-by-total":
                slopes, intercepts = linear_form(parameters, group)
                self._divided[group.rows] = True
                self._slopes[group.rows[:, None], np.arange(n_categories)] = slopes
                self._intercepts[group.rows[:, None], np.arange(n_categories)] = intercepts

    def drawn(self, units: IntArray, theta: FloatArray, u: FloatArray) -> NDArray[np.int8]:
        """Category of each pair of unit and theta for a number in [0, 1), (N,)."""
        items = self._parameters
        with np.errstate(over="ignore", invalid="ignore"):
            z = items.slopes[units, None] * (theta[:, None] - items.steps[units])
            at_least = 1.0 / (1.0 + np.exp(-z))
        lower, upper = items.lower[units, None], items.upper[units, None]
        reached = (u[:, None] >= 1.0 - (lower + (upper - lower) * at_least)) & np.isfinite(z)
        out = np.add.reduce(reached, axis=1)
        pick = np.flatnonzero(self._divided[units])
        if len(pick):
            numerator = self._slopes[units[pick]] * theta[pick, None] + self._intercepts[units[pick]]
            mass = np.exp(numerator - numerator.max(axis=1, keepdims=True))
            share = np.cumsum(mass, axis=1) / np.add.reduce(mass, axis=1)[:, None]
            last = items.n_categories[units[pick]] - 1
            out[pick] = np.minimum(np.add.reduce(u[pick, None] >= share, axis=1), last)
        return np.asarray(out, dtype=np.int8)


class _Fast:
    """The choice of maximum information for some examinees, by classes of units."""

    def __init__(self, kernel: Kernel, available: BoolArray) -> None:
        self._kernel = kernel
        # C-contiguous, which an index by array is not: places are read from one long row.
        self.open = available.take(kernel.order, axis=1)
        self.left = np.add.reduceat(self.open, kernel.starts, axis=1, dtype=float)

    def take(self, rows: BoolArray) -> None:
        """Keep some of the examinees."""
        self.open, self.left = self.open[rows], self.left[rows]

    def strike(self, units: IntArray) -> None:
        """One unit was given to each examinee; it and its enemies are gone."""
        kernel, rows = self._kernel, np.arange(len(units))
        for column in range(kernel.gone.shape[1]):
            place = kernel.gone[units, column]
            known = place >= 0
            at, place = rows[known], place[known]
            self.left[at, kernel.class_at[place]] -= self.open[at, place]
            self.open[at, place] = False

    def select(self, state: State, theta: FloatArray, u: FloatArray, among: IntArray) -> IntArray:
        """The next unit of each examinee, -1 where none is left."""
        kernel, rows = self._kernel, np.arange(len(theta))
        content = kernel.test.content
        allowed = content.allowed(self.left > 0.0, state.counts, state.n_units)
        factor = content.factor(state.counts)
        cell, share = kernel.test._cell_of(theta)
        behind = kernel.behind[cell]
        best, worth = self._leaders(cell, share)
        n_allowed = np.add.reduce(np.where(allowed, self.left, 0.0), axis=1).astype(np.int64)
        n_choices = np.minimum(n_allowed, among)
        wanted = np.minimum((u * n_choices).astype(np.int64), n_choices - 1)
        chosen = np.full(len(theta), -1, dtype=np.int64)
        struck: list[tuple[IntArray, BoolArray]] = []
        last = int(wanted.max(initial=-1))
        for rank in range(last + 1):
            priority = np.where(allowed & (worth > 0.0), worth * factor, -1.0)
            top = priority.max(axis=1)
            # A unit behind the leading ones may be as good as the best: then its class is searched.
            doubtful = allowed & (worth <= behind) & (behind * factor >= top[:, None])
            if doubtful.any():
                for row, number in np.argwhere(doubtful).tolist():
                    best[row, number], worth[row, number] = self._search(
                        row, number, cell[row], share[row, 0]
                    )
                behind = np.where(doubtful, -1.0, behind)
                priority = np.where(allowed & (worth > 0.0), worth * factor, -1.0)
                top = priority.max(axis=1)
            # Of equals the unit that stands first in the parameters, as in a search over all units.
            unit = kernel.order[best]
            number = np.where(priority == top[:, None], unit, len(kernel.order)).argmin(axis=1)
            chosen = np.where(wanted == rank, np.where(top >= 0.0, unit[rows, number], -1), chosen)
            if rank < last:
                at = best[rows, number]
                struck.append((at, self.open[rows, at]))
                self.open[rows, at] = False
                again = self._leaders_of(number, cell, share[:, 0])
                best[rows, number], worth[rows, number] = again
                behind = behind.copy()
                behind[rows, number] = kernel.behind[cell, number]
        # Last first, and as they were: where nothing was left to choose, a closed unit stood in.
        for at, before in reversed(struck):
            self.open[rows, at] = before
        return chosen

    def _leaders(self, cell: IntArray, share: FloatArray) -> tuple[IntArray, FloatArray]:
        """Place and information of the best open unit among the leading ones of each class, (N, G) both."""
        kernel = self._kernel
        is_open, first = self.open.reshape(-1), np.arange(len(cell))[:, None] * self.open.shape[1]
        found: tuple[IntArray, FloatArray] | None = None
        for places, low, rise in zip(kernel.leading, kernel.leading_low, kernel.leading_rise, strict=True):
            place, value = places.take(cell, axis=0), rise.take(cell, axis=0)
            value *= share
            value += low.take(cell, axis=0)
            value *= is_open.take(place + first)
            if found is None:
                found = place, value
            else:
                best, worth = found
                found = np.where(value > worth, place, best), np.maximum(worth, value, out=worth)
        assert found is not None
        return found

    def _leaders_of(self, number: IntArray, cell: IntArray, share: FloatArray) -> tuple[IntArray, FloatArray]:
        """`_leaders` of one class of each examinee, (N,) both."""
        kernel, rows = self._kernel, np.arange(len(cell))
        place = kernel.leading[:, cell, number]
        value = kernel.leading_low[:, cell, number] + share * kernel.leading_rise[:, cell, number]
        value *= self.open[rows, place]
        first = value.argmax(axis=0)
        return place[first, rows], value[first, rows]

    def _search(self, row: int, number: int, cell: int, share: float) -> tuple[int, float]:
        """The best open unit of a whole class."""
        start, stop = self._kernel.slices[number]
        low, high = self._kernel.low[cell, start:stop], self._kernel.low[cell + 1, start:stop]
        own = (low + share * (high - low)) * self.open[row, start:stop]
        place = int(own.argmax())
        return start + place, float(own[place])


class Kernel:
    """An adaptive test made ready for many examinees.

    Parameters
    ----------
    test : AdaptiveTest
        Also a `DesignedTest`.

    Examples
    --------
    >>> from assess.irt.adaptive import StopRule
    >>> bank = ItemParameters(["i1", "i2"], "2PL", [1.0, 1.0], [[0.1], [1.0]])
    >>> kernel = Kernel(AdaptiveTest(bank, stop=StopRule(1, 1)))
    >>> found = kernel.run(Answers(bank), np.zeros(2), np.full((2, 1, 2), 0.9))
    >>> found[0].tolist(), found[1].tolist()
    ([[0], [0]], [[1], [1]])
    """

    def __init__(self, test: AdaptiveTest) -> None:
        self.test = test
        content = test.content
        self.order, self.starts = content.order, content.starts
        self.class_at = content.class_of[self.order]
        ends = np.append(self.starts[1:], len(self.order))
        self.slices = list(zip(self.starts.tolist(), ends.tolist(), strict=True))

    def run(
        self,
        answers: Answers,
        theta: FloatArray,
        chance: FloatArray,
        *,
        closed: BoolArray | None = None,
        choosing: list[Prior] | None = None,
    ) -> tuple[IntArray, NDArray[np.int8], FloatArray, IntArray]:
        """Run examinees to their end.

        Parameters
        ----------
        answers : Answers
            How they answer.
        theta : array (N,)
            Where they stand.
        chance : array (N, T, 2)
            Numbers in [0, 1) of each step: for the choice, for the answer.
        closed : array (N, J) of bool, optional
            Units that each must not meet.
        choosing : list of Prior, optional
            By which units are chosen for each, where that is not the prior of the score.

        Returns
        -------
        units, categories : arrays (N, T)
            -1 after the end.
        final : array (3, N)
            Theta, standard error, probability at or above the cut.
        codes : array (N,)
            Index into `REASONS`.
        """
        n, longest = chance.shape[:2]
        units = np.full((n, longest), -1, dtype=np.int64)
        categories = np.full((n, longest), -1, dtype=np.int8)
        final, codes = np.empty((3, n)), np.empty(n, dtype=np.int64)
        for start in range(0, n, _ROWS):
            rows = slice(start, start + _ROWS)
            self._run(
                answers,
                theta[rows],
                chance[rows],
                None if closed is None else closed[rows],
                None if choosing is None else choosing[rows],
                (units[rows], categories[rows], final[:, rows], codes[rows]),
            )
        return units, categories, final, codes

    # --- inside ---------------------------------------------------------------

    @cached_property
    def gone(self) -> IntArray:
        """Places that fall out with each unit: its own and its enemies', -1 for none, (J, E)."""
        place = np.empty(len(self.order), dtype=np.int64)
        place[self.order] = np.arange(len(self.order))
        enemies = self.test._enemies
        members = [[unit] for unit in range(len(self.order))]
        if enemies is not None:
            members = [
                [unit, *(set(np.flatnonzero(row).tolist()) - {unit})] for unit, row in enumerate(enemies)
            ]
        width = max(len(group) for group in members)
        out = np.full((len(self.order), width), -1, dtype=np.int64)
        for unit, group in enumerate(members):
            out[unit, : len(group)] = place[group]
        return out

    @cached_property
    def low(self) -> FloatArray:
        """Information on the grid in the order of the classes, (G, J)."""
        return np.ascontiguousarray(self.test._information_table[:, self.order])

    @cached_property
    def leading(self) -> IntArray:
        """Places of the units of most information anywhere in a cell, by cell and class, (M, cells, G)."""
        bound = np.maximum(self.low[:-1], self.low[1:])
        n_leading = max(-(-_LEADING // len(self.slices)), _LEAST_LEADING)
        width = min(n_leading, max(stop - start for start, stop in self.slices))
        out = np.empty((width, len(bound), len(self.slices)), dtype=np.int64)
        for number, (start, stop) in enumerate(self.slices):
            first = np.argsort(-bound[:, start:stop], axis=1, kind="stable")[:, :width]
            # Of equals the unit that stands first comes first; a short class repeats its last one.
            first = np.sort(first, axis=1)
            out[:, :, number] = start + np.pad(first, ((0, 0), (0, width - first.shape[1])), mode="edge").T
        return out

    @cached_property
    def behind(self) -> FloatArray:
        """Highest information that a unit which does not lead its class has in a cell; below 0 for none."""
        bound = np.maximum(self.low[:-1], self.low[1:])
        bound[np.arange(len(bound))[:, None], self.leading] = -1.0
        return np.stack([bound[:, start:stop].max(axis=1) for start, stop in self.slices], axis=1)

    @cached_property
    def leading_low(self) -> FloatArray:
        """Information of the leading units at the lower end of their cell."""
        return self.low[np.arange(len(self.low) - 1)[:, None], self.leading]

    @cached_property
    def leading_rise(self) -> FloatArray:
        """What it gains to the upper end."""
        upper = self.low[np.arange(1, len(self.low))[:, None], self.leading]
        return np.asarray(upper - self.leading_low)

    @cached_property
    def _is_fast(self) -> bool:
        test = self.test
        if not isinstance(test, DesignedTest):
            return True
        plain = test.selection == "MFI" and test.updating == "EAP" and test.start is None
        return plain and not test.shadow

    def _run(
        self,
        answers: Answers,
        theta: FloatArray,
        chance: FloatArray,
        closed: BoolArray | None,
        choosing: list[Prior] | None,
        out: tuple[IntArray, NDArray[np.int8], FloatArray, IntArray],
    ) -> None:
        """Run one chunk and write into the arrays of `out`."""
        units, categories, final, codes = out
        test = self.test
        if isinstance(test, DesignedTest):
            state: State = test.begin(len(theta), choosing)
            first = test.randomesque if test.first_among is None else test.first_among
        else:
            state, first = test.begin(len(theta)), test.randomesque
        if closed is not None:
            state.available &= ~closed
        fast = _Fast(self, state.available) if self._is_fast and choosing is None else None
        going = np.arange(len(theta))
        sure = test.stop.certainty is not None
        spread = test.stop.se is not None or isinstance(test, DesignedTest)
        for step in range(units.shape[1] + 1):
            weights, mean = means(state.log_weights, test.nodes)
            se = deviations(weights, mean, test.nodes) if spread else np.zeros(len(going))
            p_above = test.estimate(state)[2] if sure else np.zeros(len(going))
            ended = test.stopped(state, se, p_above)
            u = chance[going, step, 0] if step < units.shape[1] else np.zeros(len(going))
            among = first if step == 0 else test.randomesque
            chosen = self._choose(fast, state, mean, u, among)
            if closed is not None and ((chosen < 0) & (ended < 0)).any():
                # As for a single session: exposure control ends no test.
                empty = np.flatnonzero((chosen < 0) & (ended < 0))
                state.available[empty] |= self._openable(closed[going[empty]], units[going[empty], :step])
                fast = None if fast is None else _Fast(self, state.available)
                chosen = self._choose(fast, state, mean, u, among)
            chosen = np.where(ended < 0, chosen, -1)
            over = chosen < 0
            if over.any():
                final[:, going[over]] = test.estimate(state.take(over))
                codes[going[over]] = np.where(ended[over] < 0, EXHAUSTED, ended[over])
                going, chosen = going[~over], chosen[~over]
                if not len(going):
                    return
                state = state.take(~over)
                if fast is not None:
                    fast.take(~over)
            own = answers.drawn(chosen, theta[going], chance[going, step, 1])
            units[going, step], categories[going, step] = chosen, own
            test.update(state, np.arange(len(going)), chosen, own.astype(np.int64))
            if fast is not None:
                fast.strike(chosen)

    def _choose(
        self, fast: _Fast | None, state: State, theta: FloatArray, u: FloatArray, among: int
    ) -> IntArray:
        if fast is None:
            return self.test.select(state, theta, u)
        return fast.select(state, theta, u, np.full(len(theta), among))

    def _openable(self, closed: BoolArray, given: IntArray) -> BoolArray:
        """Closed units that were not given, nor an enemy of theirs, (rows, J)."""
        out = closed.copy()
        for row, units in enumerate(given):
            out[row, units] = False
            if self.test._enemies is not None and len(units):
                out[row] &= ~self.test._enemies[units].any(axis=0)
        return out


def means(log_weights: FloatArray, nodes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weights that sum to one, (N, Q), and their means on the nodes, (N,).

    Examples
    --------
    >>> weights, mean = means(np.array([[0.0, 0.0]]), np.array([-1.0, 1.0]))
    >>> weights.tolist(), mean.tolist()
    ([[0.5, 0.5]], [0.0])
    """
    weights = log_weights - log_weights.max(axis=1, keepdims=True)
    np.exp(weights, out=weights)
    weights /= np.add.reduce(weights, axis=1)[:, None]
    return weights, np.add.reduce(weights * nodes, axis=1)


def deviations(weights: FloatArray, mean: FloatArray, nodes: FloatArray) -> FloatArray:
    """Standard deviations of the same weights, (N,).

    Examples
    --------
    >>> deviations(np.array([[0.5, 0.5]]), np.array([0.0]), np.array([-1.0, 1.0])).tolist()
    [1.0]
    """
    return np.asarray(np.sqrt(np.add.reduce(weights * (nodes - mean[:, None]) ** 2, axis=1)))
