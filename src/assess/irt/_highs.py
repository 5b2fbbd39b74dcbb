"""The only file that imports highspy: one linear or integer program, solved again and again.

HiGHS (MIT licence) is handed the same rows every time, with other costs and
bounds. A solution must not depend on what was solved before it, or a session
would not replay: whatever the solver remembers is thrown away, and a linear
program starts from a basis that the caller names. One thread, a fixed seed, a
limit of nodes and not of seconds.

The linear program comes first. Where its solution is not whole, the whole part
of it is completed by the best one or two columns that satisfy the rows; where
that does not do, its largest fraction is rounded up and the program solved
again, from where it stands, until it is whole. Only where both fall short of
the linear bound by more than the caller allows, the integer program follows.

References
----------
Huangfu & Hall (2018), *Mathematical Programming Computation* 10, 119-142,
doi:10.1007/s12532-017-0130-5 (HiGHS).
"""

from __future__ import annotations

import threading
from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache

import highspy
import numpy as np
from highspy._core import _Highs
from numpy.typing import NDArray

from assess.irt.parameters import FloatArray, IntArray

BoolArray = NDArray[np.bool_]
_MOST_NODES = 5_000
_INTEGRAL = 1e-6
# How far a row may miss its bound, as the solver allows too; how many columns one or two are chosen from.
_ROW = 1e-7
_NEAR = {1: 400, 2: 60}


@dataclass(frozen=True, slots=True)
class Solution:
    """Values of the columns, and what they are worth together."""

    values: FloatArray
    worth: float


@dataclass(frozen=True, slots=True)
class _Bounds:
    """Of the columns, (C,), and of the rows, (R,)."""

    lower: FloatArray
    upper: FloatArray
    row_lower: FloatArray
    row_upper: FloatArray


class _Model:
    """One program in the solver's hands, and the bounds that it was given last.

    From one question to the next nearly all bounds are the same, and handing
    them over takes longer than comparing them: only those that differ are.
    """

    def __init__(self, highs: _Highs, shape: tuple[int, int]) -> None:
        self.highs = highs
        n_rows, n_columns = shape
        self._columns = np.arange(n_columns, dtype=np.int32)
        self._lower, self._upper = np.zeros(n_columns), np.ones(n_columns)
        self._row_lower, self._row_upper = np.full(n_rows, -np.inf), np.full(n_rows, np.inf)

    def pose(self, worth: FloatArray, bounds: _Bounds, basis: highspy.HighsBasis | None) -> None:
        """Hand over a problem and forget the one before; start from a basis where one is named."""
        self.highs.clearSolver()
        self.highs.changeColsCost(len(self._columns), self._columns, worth)
        moved = np.flatnonzero((bounds.lower != self._lower) | (bounds.upper != self._upper))
        if len(moved):
            lower, upper = bounds.lower[moved], bounds.upper[moved]
            self.highs.changeColsBounds(len(moved), self._columns[moved], lower, upper)
            self._lower[moved], self._upper[moved] = lower, upper
        moved = np.flatnonzero((bounds.row_lower != self._row_lower) | (bounds.row_upper != self._row_upper))
        for row in moved.tolist():
            low, high = float(bounds.row_lower[row]), float(bounds.row_upper[row])
            self.highs.changeRowBounds(row, low, high)
            self._row_lower[row], self._row_upper[row] = low, high
        if basis is not None:
            self.highs.setBasis(basis)

    def fix(self, column: int, value: float) -> None:
        """Let a column be this number."""
        self.highs.changeColBounds(column, value, value)
        self._lower[column] = self._upper[column] = value

    def solved(self) -> FloatArray | None:
        """Values of the optimum, or of the best that was found within the limit of nodes."""
        highs = self.highs
        highs.run()
        if highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            found = highs.getInfo().primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
            if highs.getModelStatus() == highspy.HighsModelStatus.kInfeasible or not found:
                return None
        return np.array(highs.getSolution().col_value, dtype=float)

    def duals(self) -> FloatArray:
        """What each column would lose, by the linear solution that was found last."""
        return np.array(self.highs.getSolution().col_dual, dtype=float)


@lru_cache(maxsize=8)
def _pairs(n: int) -> tuple[IntArray, IntArray]:
    """All pairs of n things."""
    first, second = np.triu_indices(n, 1)
    return first, second


class Solver:
    """Maximise worth over bounded columns and low <= A x <= high.

    Parameters
    ----------
    matrix : array (R, C)
        Dense; zeros are dropped.
    integer : array (C,) of bool, optional
        Which columns are whole numbers; all unless given.
    most_nodes : int
        Of the search for whole numbers; then the best that was found is taken.

    Examples
    --------
    >>> solver = Solver(np.array([[1.0, 1.0, 1.0]]))
    >>> best = solver.maximise(np.array([3.0, 1.0, 2.0]), np.zeros(3), np.ones(3), np.array([2.0]),
    ...                        np.array([2.0]))
    >>> best.values.nonzero()[0].tolist(), best.worth
    ([0, 2], 5.0)
    """

    def __init__(
        self, matrix: FloatArray, integer: BoolArray | None = None, *, most_nodes: int = _MOST_NODES
    ) -> None:
        self._most_nodes = most_nodes
        self._matrix = np.asarray(matrix, dtype=float)
        self._whole = np.ones(self._matrix.shape[1], dtype=bool) if integer is None else np.asarray(integer)
        self._all_whole = bool(self._whole.all())
        # The least and the most that one column adds to each row.
        self._least, self._most = self._matrix.min(axis=1), self._matrix.max(axis=1)
        self._linear = _Model(self._made(integer=False), self._matrix.shape)
        self._integer: _Model | None = None
        self._bases: dict[Hashable, highspy.HighsBasis] = {}
        self._lock = threading.Lock()

    def maximise(
        self,
        worth: FloatArray,
        lower: FloatArray,
        upper: FloatArray,
        row_lower: FloatArray,
        row_upper: FloatArray,
        *,
        near: Hashable | None = None,
        gap: float | None = 0.0,
    ) -> Solution | None:
        """The best values, or None where no values satisfy all bounds.

        Parameters
        ----------
        worth, lower, upper : arrays (C,)
            What a column is worth, and its bounds.
        row_lower, row_upper : arrays (R,)
            Bounds of the rows.
        near : hashable, optional
            Start from the basis that was learnt under this name.
        gap : float or None
            Take a whole solution that falls short of the best linear one by no more than this share of
            it; None asks for the linear one.
        """
        with self._lock:
            bounds = _Bounds(lower, upper, row_lower, row_upper)
            self._linear.pose(worth, bounds, self._bases.get(near))
            values = self._linear.solved()
            if values is None:
                return None
            best, rounded = float(worth @ values), np.rint(values)
            if gap is None:
                return Solution(values, best)
            is_whole = np.abs(values - rounded) <= _INTEGRAL
            if not np.logical_and.reduce(is_whole[self._whole]):
                found = self._completed(worth, values, np.where(is_whole, rounded, lower), bounds)
                if found is None or float(worth @ found) < best - gap * abs(best):
                    found = self._rounded(values)
                if found is None or float(worth @ found) < best - max(gap, 1e-9) * abs(best):
                    if self._integer is None:
                        self._integer = _Model(self._made(integer=True), self._matrix.shape)
                    self._integer.highs.setOptionValue("mip_rel_gap", 0.5 * gap)
                    self._integer.pose(worth, bounds, None)
                    found = self._integer.solved()
                    if found is None:
                        return None
                values, rounded = found, np.rint(found)
            values = np.where(self._whole, rounded, values)
            return Solution(values, float(worth @ values))

    def learn(
        self,
        name: Hashable,
        worth: FloatArray,
        lower: FloatArray,
        upper: FloatArray,
        row_lower: FloatArray,
        row_upper: FloatArray,
    ) -> None:
        """Keep the basis of the linear solution of a problem, as a place to start from."""
        with self._lock:
            if name not in self._bases:
                self._linear.pose(worth, _Bounds(lower, upper, row_lower, row_upper), None)
                if self._linear.solved() is not None:
                    self._bases[name] = self._linear.highs.getBasis()

    # --- inside ---------------------------------------------------------------

    def _made(self, *, integer: bool) -> _Highs:
        n_rows, n_columns = self._matrix.shape
        rows, columns = np.nonzero(self._matrix)
        program = highspy.HighsLp()
        program.num_col_, program.num_row_ = n_columns, n_rows
        program.col_cost_, program.col_lower_ = np.zeros(n_columns), np.zeros(n_columns)
        program.col_upper_ = np.ones(n_columns)
        program.row_lower_, program.row_upper_ = np.full(n_rows, -np.inf), np.full(n_rows, np.inf)
        program.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        program.a_matrix_.start_ = np.searchsorted(rows, np.arange(n_rows + 1)).astype(np.int32)
        program.a_matrix_.index_ = columns.astype(np.int32)
        program.a_matrix_.value_ = self._matrix[rows, columns]
        program.sense_ = highspy.ObjSense.kMaximize
        if integer:
            kinds = highspy.HighsVarType
            program.integrality_ = [kinds.kInteger if whole else kinds.kContinuous for whole in self._whole]
        # The class below `highspy.Highs`, which greets on the standard output before it can be asked not to.
        highs = _Highs()
        options: dict[str, bool | int | str] = {
            "output_flag": False,
            "threads": 1,
            "parallel": "off",
            "random_seed": 0,
            "presolve": "choose" if integer else "off",
            "mip_max_nodes": self._most_nodes,
        }
        if not integer:
            # The scale of its first program, costs and all, would stay with the solver whatever it is told to
            # forget, and be seen in later solutions.
            options["simplex_scale_strategy"] = 0
        for name, value in options.items():
            highs.setOptionValue(name, value)
        highs.passModel(program)
        return highs

    def _fractions(self, values: FloatArray) -> IntArray:
        """Columns that should be whole and are not."""
        return np.flatnonzero(self._whole & (np.abs(values - np.round(values)) > _INTEGRAL))

    def _completed(
        self, worth: FloatArray, values: FloatArray, whole: FloatArray, bounds: _Bounds
    ) -> FloatArray | None:
        """The whole part of the linear solution, with the best one or two columns that satisfy the rows.

        Among the columns that the linear program holds for nearly as good as those it took.
        """
        missing = round(float(values.sum() - whole.sum()))
        if missing not in (1, 2) or not self._all_whole:
            return None
        slack = np.abs(self._linear.duals())
        slack[(whole >= bounds.upper) | (whole > 0.0)] = np.inf
        near = np.argsort(slack, kind="stable")[: _NEAR[missing]]
        near = near[np.isfinite(slack[near])]
        if len(near) < missing:
            return None
        held, low, high = self._matrix @ whole, bounds.row_lower - _ROW, bounds.row_upper + _ROW
        # Most rows are kept whatever is added: only the others are asked of every column or pair.
        asked = np.flatnonzero((held + missing * self._least < low) | (held + missing * self._most > high))
        columns, gain = self._matrix[asked[:, None], near], worth[near]
        first, second = _pairs(len(near)) if missing == 2 else (np.arange(len(near)), None)
        if second is not None:
            columns = columns.take(first, axis=1) + columns.take(second, axis=1)
            gain = gain.take(first) + gain.take(second)
        total = held[asked, None] + columns
        fits = np.logical_and.reduce((total >= low[asked, None]) & (total <= high[asked, None]), axis=0)
        if not fits.any():
            return None
        best = int(np.where(fits, gain, -np.inf).argmax())
        whole[near[first[best]]] = 1.0
        if second is not None:
            whole[near[second[best]]] = 1.0
        return whole

    def _rounded(self, values: FloatArray) -> FloatArray | None:
        """A whole solution near the linear one that was solved last; None where rounding leads nowhere."""
        for _ in range(len(values)):
            open_columns = self._fractions(values)
            if not len(open_columns):
                return values
            column = int(open_columns[values[open_columns].argmax()])
            up = float(np.ceil(values[column]))
            self._linear.fix(column, up)
            found = self._linear.solved()
            if found is None:
                self._linear.fix(column, up - 1.0)
                found = self._linear.solved()
            if found is None:
                return None
            values = found
        return None
