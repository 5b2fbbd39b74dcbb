"""What a test may be composed of, as a linear program over units.

A composition is the one description of a form's content for everything that
solves programs: a shadow test before each unit, forms assembled beforehand, and
the question whether a form can be met at all. Units are 0 or 1; a row says how
much of something a test holds.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from assess.errors import InvalidParameters
from assess.irt._highs import Solver
from assess.irt.design import BoolArray, Constraint
from assess.irt.parameters import FloatArray


@dataclass(frozen=True, slots=True)
class Conflict:
    """Demands that cannot all be met, each with what it could have beside the others.

    Parameters
    ----------
    demands : tuple of str
        In the words of the author; without any one of them the others can be met.
    """

    demands: tuple[str, ...]

    def __str__(self) -> str:
        if len(self.demands) == 1:
            return f"cannot be met: {self.demands[0]}"
        return "cannot be met together: " + "; ".join(self.demands)


@dataclass(frozen=True, eq=False)
class Composition:
    """Units, and the rows that a test of some of them must satisfy.

    Parameters
    ----------
    names : sequence of str (J,)
        What the units are called in messages.
    constraints : sequence of Constraint
        Content, time, and whatever else adds up.
    enemies : sequence of collections of int
        Units of which a test holds at most one.

    Examples
    --------
    >>> areas = [
    ...     Constraint("area a", np.array([1, 1, 0, 0]), 1, 1),
    ...     Constraint("area b", np.array([0, 0, 1, 1]), 1),
    ... ]
    >>> units = Composition(["i1", "i2", "i3", "i4"], areas)
    >>> units.best(np.array([0.9, 0.8, 0.3, 0.1]), 2, 2).nonzero()[0].tolist()
    [0, 2]
    >>> print(units.conflict(4, 4))
    cannot be met together: area a: at most 1, with the others 2 or more;
    length: at least 4, with the others 3 or less
    """

    names: Sequence[str]
    constraints: Sequence[Constraint] = ()
    enemies: Sequence[Iterable[int]] = ()

    def __post_init__(self) -> None:
        for constraint in self.constraints:
            if len(constraint.coefficients) != len(self.names):
                raise InvalidParameters(
                    f"constraint {constraint.label!r}: {len(constraint.coefficients)} coefficients for "
                    f"{len(self.names)} units; give one per unit"
                )

    @cached_property
    def rows(self) -> tuple[Constraint, ...]:
        """Every row with its bounds: content, enemies, and last the length, bounded by each question."""
        n_units = len(self.names)
        found = list(self.constraints)
        for group in self.enemies:
            members = sorted(set(group))
            coefficients = np.zeros(n_units)
            coefficients[members] = 1.0
            label = "enemies " + ", ".join(self.names[unit] for unit in members)
            found.append(Constraint(label, coefficients, 0.0, 1.0))
        return (*found, Constraint("length", np.ones(n_units)))

    def best(
        self,
        worth: FloatArray,
        min_units: int,
        max_units: int,
        *,
        given: BoolArray | None = None,
        closed: BoolArray | None = None,
        near: Hashable | None = None,
        gap: float = 0.0,
    ) -> BoolArray | None:
        """The test of greatest worth, as a mark on its units, (J,); None where there is none.

        Parameters
        ----------
        worth : array (J,)
            What each unit adds.
        min_units, max_units : int
            Length.
        given, closed : arrays (J,) of bool, optional
            Units that are in it, and that are not.
        near : hashable, optional
            A name under which `learn` kept a place to start from.
        gap : float
            A share of the worth that may be missed to save time.
        """
        lower = np.zeros(len(self.names)) if given is None else given.astype(float)
        upper = np.ones(len(self.names))
        if closed is not None:
            upper[closed & (lower == 0.0)] = 0.0
        low, high = self._bounds(min_units, max_units)
        found = self._solver.maximise(
            np.asarray(worth, dtype=float), lower, upper, low, high, near=near, gap=gap
        )
        return None if found is None else np.asarray(found.values > 0.5)

    def learn(self, worth: FloatArray, min_units: int, max_units: int, name: Hashable) -> None:
        """Keep the linear solution for this worth as a place to start from."""
        low, high = self._bounds(min_units, max_units)
        n_units = len(self.names)
        self._solver.learn(name, worth, np.zeros(n_units), np.ones(n_units), low, high)

    def feasible(self, min_units: int, max_units: int, *, closed: BoolArray | None = None) -> bool:
        """Whether a test of a length between these can be composed without the closed units."""
        return self._feasible(*self._bounds(min_units, max_units), closed)

    def conflict(self, min_units: int, max_units: int, *, closed: BoolArray | None = None) -> Conflict | None:
        """Why no test can be composed; None where one can.

        Rows are dropped one by one as long as what is left still cannot be
        met. Those that remain are in conflict, and none of them without the rest.
        """
        if self.feasible(min_units, max_units, closed=closed):
            return None
        low, high = self._bounds(min_units, max_units)
        for row in range(len(self.rows)):
            kept = low[row], high[row]
            low[row], high[row] = -math.inf, math.inf
            if self._feasible(low, high, closed):
                low[row], high[row] = kept
        # Of a row that is left, one bound is to blame, or both.
        for bounds, nothing in ((low, -math.inf), (high, math.inf)):
            for row in range(len(self.rows)):
                kept_bound = bounds[row]
                if np.isfinite(kept_bound):
                    bounds[row] = nothing
                    if self._feasible(low, high, closed):
                        bounds[row] = kept_bound
        demands = [
            self._demand(row, low, high, closed)
            for row in range(len(self.rows))
            if np.isfinite(low[row]) or np.isfinite(high[row])
        ]
        return Conflict(tuple(demands))

    # --- inside ---------------------------------------------------------------

    @cached_property
    def _solver(self) -> Solver:
        return Solver(np.array([row.coefficients for row in self.rows]))

    def _bounds(self, min_units: int, max_units: int) -> tuple[FloatArray, FloatArray]:
        low, high = (bounds.copy() for bounds in self._stated)
        low[-1], high[-1] = min_units, max_units
        return low, high

    @cached_property
    def _stated(self) -> tuple[FloatArray, FloatArray]:
        """The bounds of the rows."""
        return np.array([row.minimum for row in self.rows]), np.array([row.maximum for row in self.rows])

    def _solve(
        self, worth: FloatArray, low: FloatArray, high: FloatArray, closed: BoolArray | None
    ) -> float | None:
        upper = np.ones(len(self.names))
        if closed is not None:
            upper[closed] = 0.0
        found = self._solver.maximise(worth, np.zeros(len(self.names)), upper, low, high, gap=1e-6)
        return None if found is None else found.worth

    def _feasible(self, low: FloatArray, high: FloatArray, closed: BoolArray | None) -> bool:
        return self._solve(np.zeros(len(self.names)), low, high, closed) is not None

    def _demand(self, row: int, low: FloatArray, high: FloatArray, closed: BoolArray | None) -> str:
        """One demand of a conflict, and how far it would have to give way."""
        asked, allowed = low[row], high[row]
        low, high = low.copy(), high.copy()
        low[row], high[row] = -math.inf, math.inf
        coefficients = self.rows[row].coefficients
        others = "with the others" if np.isfinite(np.concatenate([low, high])).any() else "the units offer"
        said = []
        if np.isfinite(asked):
            most = self._solve(coefficients, low, high, closed)
            said.append(f"at least {asked:g}, {others} {most or 0.0:g} or less")
        if np.isfinite(allowed):
            least = self._solve(-coefficients, low, high, closed)
            said.append(f"at most {allowed:g}, {others} {-(least or 0.0):g} or more")
        return f"{self.rows[row].label}: {' and '.join(said)}"
