"""One examinee of an adaptive test: the kernel's twin without arrays of examinees.

The engine asks for one examinee at a time, and arrays of one cost more than
their arithmetic. So what is asked of a few things (constraints, units that were
given) is asked in plain numbers here, and numpy is left with what is long: the
posterior on its nodes, and the information of every unit. A test holds the two
to the same choices, to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from assess.errors import InvalidResponses
from assess.irt.parameters import FloatArray

if TYPE_CHECKING:
    from assess.irt.adaptive import AdaptiveTest

# Between the points of the grid on which information is tabulated.
GRID_STEP = 0.05


@dataclass(frozen=True, slots=True)
class Given:
    """What was given to an examinee: the units in their order, and rows of the table of log-probabilities.

    Units that were given and are not scored have no row.
    """

    units: list[int]
    rows: list[int]


class OneExaminee:
    """An adaptive test made ready for one examinee at a time.

    Parameters
    ----------
    test : AdaptiveTest

    Examples
    --------
    >>> from assess.irt import AdaptiveTest, ItemParameters, StopRule
    >>> items = ItemParameters(["i1", "i2"], "2PL", [1.0, 1.0], [[0.1], [1.0]])
    >>> one = OneExaminee(AdaptiveTest(items, stop=StopRule(1, 2)))
    >>> given = one.given([(0, 1)])
    >>> theta = one.mean(one.relative(given))
    >>> round(theta, 3), one.chosen(given, [], theta, 0.0, ())
    (0.43, 1)
    """

    def __init__(self, test: AdaptiveTest) -> None:
        self._content, self._randomesque = test.content, test.randomesque
        self._item_ids = test.parameters.item_ids
        self._nodes, self._log_prior = test.nodes, test._log_prior
        n_units, width, n_nodes = test._log_table.shape
        self._n_units, self._width = n_units, width
        self._log_rows = test._log_table.reshape(-1, n_nodes)
        self._n_categories = [int(n) for n in test.parameters.n_categories]
        self._table, grid = test._information_table, test._theta_grid
        self._first, self._last = float(grid[0]), len(grid) - 1.000001
        enemies = test._enemies
        self._enemies = None if enemies is None else [np.flatnonzero(row).tolist() for row in enemies]

    def given(self, categories: Sequence[tuple[int, int]]) -> Given:
        """What was given, in the order of the units, so that the order of the answers leaves no trace.

        Raises
        ------
        InvalidResponses
            A unit or a category that is not there, or a unit given twice.
        """
        previous, n_units, width, n_categories = -1, self._n_units, self._width, self._n_categories
        units, rows = [], []
        for unit, category in sorted(categories):
            if not previous < unit < n_units:
                raise InvalidResponses(f"unit {unit} is given twice or outside 0..{n_units - 1}")
            if category >= n_categories[unit]:
                item = self._item_ids[unit]
                raise InvalidResponses(
                    f"item {item!r}: category {category} is outside 0..{n_categories[unit] - 1}"
                )
            previous = unit
            units.append(unit)
            if category >= 0:
                rows.append(unit * width + category)
        return Given(units, rows)

    def log_weights(self, given: Given) -> FloatArray:
        """Log of likelihood times prior on the nodes, (Q,)."""
        if not given.units:
            return self._log_prior
        rows = self._log_rows.take(np.array(given.rows, dtype=np.int64), axis=0)
        return np.asarray(self._log_prior + np.add.reduce(rows, axis=0))

    def relative(self, given: Given) -> FloatArray:
        """The same less its greatest value."""
        log_weights = self.log_weights(given)
        return np.asarray(log_weights - np.maximum.reduce(log_weights))

    def mean(self, relative: FloatArray) -> float:
        """Posterior mean."""
        return self._mean(relative)[0]

    def moments(self, relative: FloatArray) -> tuple[float, float]:
        """Posterior mean and standard deviation."""
        theta, weights = self._mean(relative)
        return theta, math.sqrt(np.add.reduce(weights * (self._nodes - theta) ** 2))

    def chosen(
        self, given: Given, counts: Sequence[float], theta: float, u: float, excluded: Iterable[int]
    ) -> int:
        """The next unit, -1 where no admissible unit is left.

        Parameters
        ----------
        counts : sequence of float (R,)
            What was given of each constraint.
        theta : float
            Where the unit is to have most information.
        u, excluded
            As in `AdaptiveTest.next_unit`.
        """
        gone = set(given.units)
        gone.update(excluded)
        if self._enemies is not None:
            gone.update(*[self._enemies[unit] for unit in given.units])
        left = self._content.left_without(gone)
        weights = self._content.weights_of(left, counts, len(given.units))
        n_allowed = sum([n for n, weight in zip(left, weights, strict=True) if weight >= 0.0])
        n_choices = min(n_allowed, self._randomesque)
        if n_choices == 0:
            return -1
        of_unit = np.array(weights).take(self._content.class_of)
        of_unit[list(gone)] = -1.0
        priority = self.information(theta)
        priority *= of_unit
        rank = min(int(u * n_choices), n_choices - 1)
        best = ranked(priority, rank)
        if priority[best] > 0.0:
            return best
        # What is not allowed stands at minus its information: below all but units that are worth nothing.
        return ranked(np.where(of_unit >= 0.0, self.information(theta) * of_unit, -1.0), rank)

    def information(self, theta: float) -> FloatArray:
        """Information of every unit, linear between the points of the grid, (J,)."""
        position = min(max((theta - self._first) / GRID_STEP, 0.0), self._last)
        cell = int(position)
        low, high = self._table[cell], self._table[cell + 1]
        found: FloatArray = high - low
        found *= position - cell
        found += low
        return found

    # --- inside ---------------------------------------------------------------

    def _mean(self, relative: FloatArray) -> tuple[float, FloatArray]:
        weights = np.exp(relative)
        weights /= np.add.reduce(weights)
        return float(np.add.reduce(weights * self._nodes)), weights


def ranked(priority: FloatArray, rank: int) -> int:
    """The unit of highest priority after so many others; the array is written over.

    Examples
    --------
    >>> ranked(np.array([0.2, 0.5, 0.4]), 1)
    2
    """
    for _ in range(rank):
        priority[priority.argmax()] = -2.0
    return int(priority.argmax())
