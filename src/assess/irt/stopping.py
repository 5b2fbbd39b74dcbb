r"""When an adaptive test ends: more rules than length, precision and certainty.

A confidence interval around the estimate that leaves the cut outside; too little
information left in the bank; and two sequential tests of
:math:`\theta = c - \delta` against :math:`\theta = c + \delta`, c the cut. The
sequential probability ratio test ends when

.. math:: \log\frac{L(c + \delta)}{L(c - \delta)} \ge \log\frac{1 - \beta}{\alpha}
          \quad\text{or}\quad \le \log\frac{\beta}{1 - \alpha};

the generalised likelihood ratio puts the highest likelihood at and above
:math:`c + \delta`, and at and below :math:`c - \delta`, in the place of the two.
Without a maximum length the first errs at :math:`c \pm \delta` with at most
:math:`\alpha / (1 - \beta)` and :math:`\beta / (1 - \alpha)`, whatever units
are chosen, because each likelihood ratio is a martingale under the lower hypothesis.

Every rule waits for the minimum length and for all content minima.

References
----------
Wald (1945), *Annals of Mathematical Statistics* 16, 117-186, doi:10.1214/aoms/1177731118.
Spray & Reckase (1996), *Journal of Educational and Behavioral Statistics* 21, 405-414,
doi:10.3102/10769986021004405.
Thompson (2011), *Practical Assessment, Research & Evaluation* 16, 4, doi:10.7275/wq8m-zk25 (GLR).
Kingsbury & Weiss (1983), in Weiss (ed.), *New Horizons in Testing*, 257-283 (intervals).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from assess.errors import InvalidParameters
from assess.irt.design import REASONS, BoolArray, StopRule
from assess.irt.parameters import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Sequential:
    """A sequential test of one side of the cut against the other.

    Parameters
    ----------
    delta : float
        Half the width of the zone around the cut in which either answer will do.
    alpha : float
        Allowed share of false passes at the cut less delta.
    beta : float
        Allowed share of false fails at the cut plus delta.

    Examples
    --------
    >>> upper, lower = Sequential(0.3).bounds
    >>> round(upper, 3), round(lower, 3)
    (2.944, -2.944)
    """

    delta: float
    alpha: float = 0.05
    beta: float = 0.05

    def __post_init__(self) -> None:
        if not self.delta > 0.0:
            raise InvalidParameters(f"sequential test: delta is {self.delta}; it must be positive")
        if not (0.0 < self.alpha < 0.5 and 0.0 < self.beta < 0.5):
            raise InvalidParameters(
                f"sequential test: error rates are {self.alpha} and {self.beta}; say rates between 0 and 0.5"
            )

    @property
    def bounds(self) -> tuple[float, float]:
        """Log-ratios at and beyond which the test decides: above, below."""
        return math.log((1.0 - self.beta) / self.alpha), math.log(self.beta / (1.0 - self.alpha))

    def decided(self, log_ratio: FloatArray) -> BoolArray:
        """Whether the ratio of each examinee decides, (N,)."""
        upper, lower = self.bounds
        return np.asarray((log_ratio >= upper) | (log_ratio <= lower))


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the rules look at, one entry per examinee: arrays (N,).

    `best_left` is the information of the best unit that may still be given.
    """

    n_units: IntArray
    theta: FloatArray
    se: FloatArray
    p_above: FloatArray
    minima_met: BoolArray
    sprt: FloatArray
    glr: FloatArray
    best_left: FloatArray


@dataclass(frozen=True, slots=True)
class DesignedStop(StopRule):
    """All rules for an end that a form can state; each one alone ends the test.

    Parameters
    ----------
    min_units, max_units, se, certainty
        As in `StopRule`.
    interval : float or None
        End when the cut lies outside estimate +- so many standard errors.
    information : float or None
        End when no unit that may be given has so much information at the estimate.
    sprt, glr : Sequential or None
        End when the sequential test decides.

    Examples
    --------
    >>> rule = DesignedStop(5, 20, sprt=Sequential(0.3), interval=1.96)
    >>> rule.ends_early
    True
    """

    interval: float | None = None
    information: float | None = None
    sprt: Sequential | None = None
    glr: Sequential | None = None

    def __post_init__(self) -> None:
        # by name: with slots the class is made anew, and super() without arguments is lost
        StopRule.__post_init__(self)
        for name in ("interval", "information"):
            value = getattr(self, name)
            if value is not None and not value > 0.0:
                raise InvalidParameters(f"stop rule: {name} is {value}; it must be positive")

    @property
    def ends_early(self) -> bool:
        """Whether any rule but the length can end the test."""
        stated = (self.se, self.certainty, self.interval, self.information, self.sprt, self.glr)
        return any(rule is not None for rule in stated)

    def ends(self, seen: Evidence, cut: float) -> IntArray:
        """Index into `REASONS` per examinee, -1 to go on."""
        out = self.codes(seen.n_units, seen.se, seen.p_above, seen.minima_met)
        ready = (seen.n_units >= self.min_units) & seen.minima_met & (out < 0)
        if self.interval is not None:
            outside = np.abs(seen.theta - cut) >= self.interval * seen.se
            out[ready & outside] = REASONS.index("interval")
        for name, rule, ratio in (("glr", self.glr, seen.glr), ("sprt", self.sprt, seen.sprt)):
            if rule is not None:
                out[ready & rule.decided(ratio)] = REASONS.index(name)
        if self.information is not None:
            # "exhausted" is said of nobody who still has a unit: the best one may be worth nothing.
            out[ready & (out < 0) & (seen.best_left < self.information)] = REASONS.index("information")
        return out
