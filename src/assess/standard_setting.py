"""From what a panel judged to a cut on the scale of theta.

Judges say, item by item, which score they expect of the just-proficient
learner (Angoff). Their sum is a raw cut; the test characteristic curve carries
it to theta. The ratings stay with the cut, so that a calibration on another
scale re-derives the cut from them instead of translating a number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from assess.errors import CutNotFound, InvalidParameters
from assess.irt.models import ItemParameters, test_characteristic

if TYPE_CHECKING:
    import pandas as pd

_WIDEST = 40.0
"""Beyond 40 units of theta every response curve in use is flat; a root out there says nothing."""


@dataclass(frozen=True, slots=True)
class CutEstimate:
    """A cut derived from ratings.

    Parameters
    ----------
    theta : float
        Where the expected raw score equals the judged sum.
    raw : float
        The judged sum over the rated units.
    se : float
        Standard error of `theta` over panels of this size; nan without a panel.
    n_units, n_judges : int
        What it rests on; one judge stands for ratings already averaged.
    """

    theta: float
    raw: float
    se: float
    n_units: int
    n_judges: int

    def summary(self) -> str:
        """The cut in one sentence."""
        se = "" if math.isnan(self.se) else f" (SE {self.se:.3f} over {self.n_judges} judges)"
        return f"theta {self.theta:.3f}{se}: the judged sum {self.raw:.2f} on {self.n_units} units"


def cut_from_ratings(ratings: Mapping[str, float] | pd.DataFrame, parameters: ItemParameters) -> CutEstimate:
    r"""The theta at which the expected raw score is the judged one.

    .. math:: \sum_{j \in R} E(X_j \mid \theta_c) = \sum_{j \in R} \bar r_j

    over the rated units :math:`R`. With ratings judge by judge, the standard
    error is that of the mean of the judges' sums :math:`S_i`, carried to theta
    by the slope of the curve:

    .. math:: SE(\theta_c) = \frac{sd(S_i) / \sqrt{n}}{\sum_j E'(X_j \mid \theta_c)}

    Parameters
    ----------
    ratings : mapping of unit to expected score, or DataFrame (judges, units)
        Each between 0 and the unit's highest category.
    parameters : ItemParameters
        Of at least the rated units, all rising with theta.

    Raises
    ------
    CutNotFound
        The curve never takes the judged value, for example because it is the
        maximum, or a lower asymptote keeps the curve above it.
    InvalidParameters
        A rated unit has no parameters, a rating is outside its range, or a
        unit's curve falls somewhere, so that the root need not be one.

    Examples
    --------
    >>> parameters = ItemParameters(["i1", "i2"], "2PL", [1.0, 1.0], [[0.2], [0.4]])
    >>> round(cut_from_ratings({"i1": 0.5, "i2": 0.5}, parameters).theta, 4)
    0.3

    References
    ----------
    Kane (1987), On the use of IRT models with judgmental standard setting
    procedures, *Journal of Educational Measurement* 24(4), 333-345,
    doi:10.1111/j.1745-3984.1987.tb00283.x.
    """
    from scipy.optimize import brentq

    table = _as_table(ratings)
    units = list(table)
    rated = parameters.take(units)
    _check(table, rated)
    sums = np.array([math.fsum(judge) for judge in zip(*table.values(), strict=True)])
    raw = math.fsum(sums) / len(sums)

    def gap(theta: float) -> float:
        return float(test_characteristic(rated, theta)[0]) - raw

    if not gap(-_WIDEST) < 0.0 < gap(_WIDEST):
        low, high = gap(-_WIDEST) + raw, gap(_WIDEST) + raw
        raise CutNotFound(
            f"the judged sum {raw:.2f} on {len(units)} units is not between {low:.2f} and {high:.2f}, "
            "the least and the most that the units can be expected to give; let the panel look at it again"
        )
    theta = float(brentq(gap, -_WIDEST, _WIDEST, xtol=1e-12))
    se = math.nan
    if len(sums) > 1:
        slope = (gap(theta + 1e-4) - gap(theta - 1e-4)) / 2e-4
        se = float(np.std(sums, ddof=1)) / math.sqrt(len(sums)) / slope
    return CutEstimate(theta=theta, raw=raw, se=se, n_units=len(units), n_judges=len(sums))


def _as_table(ratings: Mapping[str, float] | pd.DataFrame) -> dict[str, list[float]]:
    """Unit to its ratings, one per judge."""
    if isinstance(ratings, Mapping):
        table = {str(unit): [float(rating)] for unit, rating in ratings.items()}
    else:
        table = {str(unit): [float(rating) for rating in ratings[unit]] for unit in ratings.columns}
    if not table or not next(iter(table.values())):
        raise InvalidParameters("no ratings; a cut rests on the panel's expected score of each unit")
    return table


def _check(table: Mapping[str, list[float]], parameters: ItemParameters) -> None:
    for j, (unit, judged) in enumerate(table.items()):
        highest = int(parameters.n_categories[j]) - 1
        wrong = [rating for rating in judged if not 0.0 <= rating <= highest]
        if wrong:
            raise InvalidParameters(f"unit {unit!r}: rating {wrong[0]} is not between 0 and {highest}")
        if not parameters.is_monotone[j]:
            raise InvalidParameters(
                f"unit {unit!r}: its expected score falls somewhere as theta rises; leave it out of the cut"
            )
