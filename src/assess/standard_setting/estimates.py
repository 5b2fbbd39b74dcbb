"""What every criterion-referenced method gives: a cut, how it was found, how sure it is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assess.errors import InvalidParameters

FloatArray = NDArray[np.float64]

ITEMS_FIXED = "judges random, items fixed"
ITEMS_RANDOM = "judges random, items random"
ITEMS_RANDOM_PLACED = "judges random, items random, difficulty known"
JUDGES_RANDOM = "judges random"
PERSONS_RANDOM = "persons random"


@dataclass(frozen=True, slots=True)
class StandardError:
    """How far a cut would move, were something drawn again.

    Parameters
    ----------
    design : str
        What is taken as drawn and what as given, for example "judges random, items fixed".
    theta : float
        In units of theta.
    raw : float
        In raw points; nan where the method has none.
    """

    design: str
    theta: float
    raw: float = math.nan


@dataclass(frozen=True, slots=True)
class CutEstimate:
    """A cut derived from judgements.

    Parameters
    ----------
    theta : float
        In units of theta.
    raw : float
        The expected raw score at `theta`, which under Angoff is the judged sum
        over the rated units; nan for methods that rate no units.
    se : float
        The first of `errors`, in units of theta; nan without a panel.
    n_units, n_judges : int
        What it rests on: units, and the judges of them; one judge stands for
        ratings already averaged. Methods that judge learners count them as units.
    method, rule : str
        The method, and the choices within it in words.
    errors : tuple of StandardError
        One per design, the method's usual one first.
    """

    theta: float
    raw: float
    se: float
    n_units: int
    n_judges: int
    method: str = "modified Angoff"
    rule: str = ""
    errors: tuple[StandardError, ...] = ()

    def error(self, design: str) -> StandardError:
        """The standard error under one design, by its name."""
        for found in self.errors:
            if found.design == design:
                return found
        known = "; ".join(found.design for found in self.errors) or "none, with fewer than two judges"
        raise InvalidParameters(f"no standard error with {design!r}; there is: {known}")

    def summary(self) -> str:
        """The cut in one sentence."""
        design = f", {self.errors[0].design}" if self.errors else ""
        se = "" if math.isnan(self.se) else f" (SE {self.se:.3f} over {self.n_judges} judges{design})"
        if self.method == "modified Angoff":
            return f"theta {self.theta:.3f}{se}: the judged sum {self.raw:.2f} on {self.n_units} units"
        rule = f", {self.rule}" if self.rule else ""
        return f"theta {self.theta:.3f}{se}: {self.method}{rule}"


def error_over(values: FloatArray, statistic: str) -> float:
    r"""Standard error of the mean or median of independent values; nan for one.

    :math:`s/\sqrt n`, and for the median of a normal sample :math:`\sqrt{\pi/2}\,s/\sqrt n`.
    """
    if len(values) < 2:
        return math.nan
    se = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return se * math.sqrt(math.pi / 2.0) if statistic == "median" else se


def centre(values: FloatArray, statistic: str) -> float:
    """The mean or the median."""
    if statistic not in ("mean", "median"):
        raise InvalidParameters(f"{statistic!r} is not known; say mean or median")
    return float(np.mean(values) if statistic == "mean" else np.median(values))
