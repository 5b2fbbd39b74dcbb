"""Rows with labels over columns that are 0 or 1: whether they can be met, which clash, what is best.

Whoever assembles several things at once writes one row for each thing that must
hold, under the author's word for it. One demand may be many rows.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from assess.errors import InvalidParameters
from assess.irt._highs import Solver
from assess.irt.design import BoolArray
from assess.irt.parameters import FloatArray


class Program:
    """Labelled rows over binary columns.

    Parameters
    ----------
    n_columns : int
    given : array (C,), optional
        1 where a column is settled to be 1.
    most_nodes : int
        Of the search for the best; then the best that was found is taken.

    Examples
    --------
    >>> program = Program(3)
    >>> program.add("two of three", np.ones(3), 2.0, 2.0)
    >>> program.add("not the first", np.array([1.0, 0.0, 0.0]), 0.0, 0.0)
    >>> program.best(np.array([[3.0, 1.0, 0.0]]), np.zeros(1)).tolist()
    [False, True, True]
    >>> program.add("the first", np.array([1.0, 0.0, 0.0]), 1.0, 1.0)
    >>> program.clash()
    ('not the first', 'the first')
    """

    def __init__(self, n_columns: int, given: FloatArray | None = None, *, most_nodes: int = 5_000) -> None:
        self._most_nodes = most_nodes
        self._given = np.zeros(n_columns) if given is None else given
        self._rows: list[FloatArray] = []
        self._low: list[float] = []
        self._high: list[float] = []
        self._demands: dict[str, list[int]] = {}

    def add(self, label: str, row: FloatArray, low: float, high: float) -> None:
        """Demand low <= row x <= high."""
        self._demands.setdefault(label, []).append(len(self._rows))
        self._rows.append(row)
        self._low.append(low)
        self._high.append(high)
        self.__dict__.pop("_plain", None)

    def clash(self) -> tuple[str, ...]:
        """Labels of a smallest set of demands that cannot be met together; empty where all can be met.

        Demands are dropped one by one as long as what is left still cannot be
        met; of those that remain, none can go.
        """
        low, high = np.array(self._low), np.array(self._high)
        if self._feasible(low, high):
            return ()
        kept = []
        for label, rows in self._demands.items():
            before = low[rows].copy(), high[rows].copy()
            low[rows], high[rows] = -math.inf, math.inf
            if self._feasible(low, high):
                low[rows], high[rows] = before
                kept.append(label)
        return tuple(kept)

    def best(
        self,
        worth: FloatArray,
        low: FloatArray,
        high: FloatArray | None = None,
        *,
        y: FloatArray | None = None,
        value: FloatArray | None = None,
        gap: float = 0.005,
    ) -> BoolArray:
        """The columns for which value y is greatest under low <= worth x + Y y <= high, y being free numbers.

        Parameters
        ----------
        worth : array (R, C)
        low, high : arrays (R,)
            No upper bounds unless given.
        y : array (R, V), optional
            Y; one column of -1 unless given, so that y is the least of all worth less low.
        value : array (V,), optional
            Ones unless given.
        gap : float
            Share of the best that may be missed.

        Raises
        ------
        InvalidParameters
            The solver found nothing within its limits.
        """
        free = np.full((len(worth), 1), -1.0) if y is None else y
        upper = np.full(len(worth), np.inf) if high is None else high
        n, n_free = len(self._given), free.shape[1]
        matrix = np.zeros((len(self._rows) + len(worth), n + n_free))
        matrix[: len(self._rows), :n] = np.reshape(self._rows, (-1, n))
        matrix[len(self._rows) :, :n] = worth
        matrix[len(self._rows) :, n:] = free
        stated = np.concatenate([low[np.isfinite(low)], upper[np.isfinite(upper)]])
        bound = np.full(n_free, float(np.abs(worth).sum()) + float(np.abs(stated).sum()) + 1.0)
        found = Solver(matrix, np.arange(n + n_free) < n, most_nodes=self._most_nodes).maximise(
            np.append(np.zeros(n), np.ones(n_free) if value is None else value),
            np.append(self._given, -bound),
            np.append(np.ones(n), bound),
            np.concatenate([self._low, low]),
            np.concatenate([self._high, upper]),
            gap=gap,
        )
        if found is None:
            raise InvalidParameters(
                "the solver found no forms within its limits; ask for fewer, or freer, ones"
            )
        return np.asarray(found.values[:n] > 0.5)

    def nearest(self, worth: FloatArray, wanted: FloatArray, *, gap: float = 0.005) -> BoolArray:
        """The columns for which the largest distance of worth x from what is wanted is smallest.

        Parameters
        ----------
        worth : array (R, C)
        wanted : array (R,)
        gap : float
            Share of the largest number wanted that may be missed.

        Examples
        --------
        >>> Program(3).nearest(np.array([[1.0, 2.0, 4.0]]), np.array([5.0])).tolist()
        [True, False, True]
        """
        # The value is the size of what is wanted less the distance from it, so that what the solver may
        # miss is a share of it: of a distance near nothing every share is out of reach.
        size, free = float(np.abs(wanted).max()), np.full(len(wanted), np.inf)
        return self.best(
            np.concatenate([worth, worth]),
            np.concatenate([wanted - size, -free]),
            np.concatenate([free, wanted + size]),
            y=np.repeat([[-1.0], [1.0]], len(wanted), axis=0),
            gap=gap,
        )

    # --- inside ---------------------------------------------------------------

    @cached_property
    def _plain(self) -> Solver:
        return Solver(np.array(self._rows))

    def _feasible(self, low: FloatArray, high: FloatArray) -> bool:
        n = len(self._given)
        return self._plain.maximise(np.zeros(n), self._given, np.ones(n), low, high, gap=1e-6) is not None
