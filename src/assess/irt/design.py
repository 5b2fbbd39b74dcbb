"""What an adaptive test must hold, and when it ends."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assess.errors import InvalidParameters
from assess.irt.parameters import FloatArray, IntArray

BoolArray = NDArray[np.bool_]

REASONS = ("length", "precision", "certainty", "exhausted", "interval", "information", "sprt", "glr")
_LENGTH, _PRECISION, _CERTAINTY, EXHAUSTED, *_ = range(len(REASONS))


@dataclass(frozen=True, eq=False)
class Constraint:
    """How much of something a test holds.

    Parameters
    ----------
    label : str
        What is counted, for messages.
    coefficients : array (J,)
        What each unit adds, for example its number of items of one code.
    minimum, maximum : float
        Bounds on the sum; the maximum may be infinite.
    """

    label: str
    coefficients: FloatArray
    minimum: float = 0.0
    maximum: float = math.inf

    def __post_init__(self) -> None:
        coefficients = np.array(self.coefficients, dtype=float)
        if coefficients.ndim != 1 or not (np.isfinite(coefficients).all() and (coefficients >= 0.0).all()):
            raise InvalidParameters(f"constraint {self.label!r}: numbers >= 0, one per unit")
        if not 0.0 <= self.minimum <= self.maximum:
            raise InvalidParameters(
                f"constraint {self.label!r}: {self.minimum}..{self.maximum} is no range, 0 <= low <= high"
            )
        coefficients.setflags(write=False)
        object.__setattr__(self, "coefficients", coefficients)

    @property
    def demand(self) -> str:
        """Label and bounds in words.

        Examples
        --------
        >>> Constraint("area a", np.ones(3), 1, 2).demand
        'area a: at least 1 and at most 2'
        """
        bounds = [f"at least {self.minimum:g}"] if self.minimum > 0.0 else []
        bounds += [f"at most {self.maximum:g}"] if math.isfinite(self.maximum) else []
        return f"{self.label}: {' and '.join(bounds)}"


@dataclass(frozen=True, slots=True)
class StopRule:
    """When a test ends.

    Parameters
    ----------
    min_units, max_units : int
        Length; the other rules wait for `min_units` and for all content minima.
    se : float or None
        End when the posterior standard deviation is at or below it.
    certainty : (p_pass, p_fail) or None
        End when the probability of being at or above the cut is at least
        p_pass or at most p_fail.

    Examples
    --------
    >>> rule = StopRule(min_units=5, max_units=20, se=0.3, certainty=(0.95, 0.05))
    >>> rule.should_stop(n_units=8, se=0.4, p_above=0.97)
    'certainty'
    >>> rule.should_stop(n_units=4, se=0.2, p_above=0.99) is None
    True
    """

    min_units: int
    max_units: int
    se: float | None = None
    certainty: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.min_units <= self.max_units:
            raise InvalidParameters(
                f"stop rule: {self.min_units}..{self.max_units} units is no length; say 1 <= min <= max"
            )
        if self.se is not None and not self.se > 0.0:
            raise InvalidParameters(f"stop rule: se is {self.se}; it must be positive")
        if self.certainty is not None and not 0.0 <= self.certainty[1] < self.certainty[0] <= 1.0:
            raise InvalidParameters(
                f"stop rule: certainty is {self.certainty}; say (p_pass, p_fail), p_fail < p_pass"
            )

    @property
    def ends_early(self) -> bool:
        """Whether any rule but the length can end the test."""
        return self.se is not None or self.certainty is not None

    def should_stop(self, n_units: int, se: float, p_above: float, *, minima_met: bool = True) -> str | None:
        """Why the test ends now: "length", "precision", "certainty"; None to go on."""
        code = self.code(n_units, se, p_above, minima_met)
        return REASONS[code] if code >= 0 else None

    def code(self, n_units: int, se: float, p_above: float, minima_met: bool) -> int:
        """Index into `REASONS` for one examinee, -1 to go on: `codes` without arrays."""
        if n_units >= self.max_units:
            return _LENGTH
        if n_units < self.min_units or not minima_met:
            return -1
        if self.se is not None and se <= self.se:
            return _PRECISION
        if self.certainty is not None and (p_above >= self.certainty[0] or p_above <= self.certainty[1]):
            return _CERTAINTY
        return -1

    def codes(
        self, n_units: IntArray, se: FloatArray, p_above: FloatArray, minima_met: BoolArray
    ) -> IntArray:
        """Index into `REASONS` per examinee, -1 to go on."""
        ready = (n_units >= self.min_units) & minima_met
        out = np.full(len(n_units), -1, dtype=np.int64)
        if self.certainty is not None:
            p_pass, p_fail = self.certainty
            out[ready & ((p_above >= p_pass) | (p_above <= p_fail))] = _CERTAINTY
        if self.se is not None:
            out[ready & (se <= self.se)] = _PRECISION
        out[n_units >= self.max_units] = _LENGTH
        return out
