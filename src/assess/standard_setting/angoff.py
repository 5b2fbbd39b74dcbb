"""Modified Angoff: judges say which score they expect of the just-proficient learner.

Their sum is a raw cut; the test characteristic curve carries it to theta. The
ratings stay with the cut, so that a calibration on another scale re-derives
the cut from them instead of translating a number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from assess.errors import CutNotFound, InvalidParameters
from assess.irt.models import (
    ItemParameters,
    category_probabilities,
    expected_score,
    log_derivatives,
    test_characteristic,
)
from assess.standard_setting.estimates import (
    ITEMS_FIXED,
    ITEMS_RANDOM,
    ITEMS_RANDOM_PLACED,
    CutEstimate,
    FloatArray,
    StandardError,
)

if TYPE_CHECKING:
    import pandas as pd

_WIDEST = 40.0
"""Beyond 40 units of theta every response curve in use is flat; a root out there says nothing."""


@dataclass(frozen=True, slots=True)
class VarianceComponents:
    r"""What the ratings of n judges on J items are made of.

    .. math:: r_{ij} = \mu + \pi_i + \beta_j + \epsilon_{ij}

    Parameters
    ----------
    judge, item, residual : float
        Variances of :math:`\pi`, :math:`\beta` and :math:`\epsilon` (which holds
        the judge by item interaction); an estimate below zero is zero.
    n_judges, n_items : int
    """

    judge: float
    item: float
    residual: float
    n_judges: int
    n_items: int

    def variance_of_sum(self, *, items: str) -> float:
        r"""Variance of the panel's sum over these items, or over J items drawn anew.

        .. math:: J^2\left(\frac{\sigma^2_\pi}{n} + \frac{\sigma^2_\epsilon}{nJ}
                  \; \left[ + \frac{\sigma^2_\beta}{J} \text{ with items random} \right]\right)
        """
        if items not in ("fixed", "random"):
            raise InvalidParameters(f"items {items!r}: say fixed or random")
        n, j = self.n_judges, self.n_items
        mean = self.judge / n + self.residual / (n * j) + (self.item / j if items == "random" else 0.0)
        return j**2 * mean


def variance_components(ratings: pd.DataFrame) -> VarianceComponents:
    r"""Variance components of a crossed judge by item design, from its mean squares.

    .. math:: \hat\sigma^2_\epsilon = MS_\epsilon, \quad
              \hat\sigma^2_\pi = \frac{MS_\pi - MS_\epsilon}{J}, \quad
              \hat\sigma^2_\beta = \frac{MS_\beta - MS_\epsilon}{n}

    Parameters
    ----------
    ratings : DataFrame (judges, items)
        Complete, two or more of each.

    Examples
    --------
    >>> import pandas as pd
    >>> components = variance_components(pd.DataFrame({"i1": [0.4, 0.6], "i2": [0.7, 0.9]}))
    >>> round(components.judge, 3), round(components.item, 3), round(components.residual, 3)
    (0.02, 0.045, 0.0)

    References
    ----------
    Brennan (2001), *Generalizability Theory*, ch. 2-3, doi:10.1007/978-1-4757-3456-0.
    Brennan & Lockwood (1980), *Applied Psychological Measurement* 4, 219-240,
    doi:10.1177/014662168000400209 (of Angoff ratings).
    """
    return _components(np.asarray(ratings, dtype=float))


def _components(table: FloatArray) -> VarianceComponents:
    n, j = table.shape
    if n < 2 or j < 2 or not np.isfinite(table).all():
        raise InvalidParameters(
            f"ratings of shape {table.shape}; two or more judges rate two or more items, all of them"
        )
    mean = table.mean()
    judges, items = table.mean(axis=1, keepdims=True), table.mean(axis=0, keepdims=True)
    ms_judge = j * float(((judges - mean) ** 2).sum()) / (n - 1)
    ms_item = n * float(((items - mean) ** 2).sum()) / (j - 1)
    ms_residual = float(((table - judges - items + mean) ** 2).sum()) / ((n - 1) * (j - 1))
    return VarianceComponents(
        judge=max((ms_judge - ms_residual) / j, 0.0),
        item=max((ms_item - ms_residual) / n, 0.0),
        residual=ms_residual,
        n_judges=n,
        n_items=j,
    )


def cut_from_ratings(ratings: Mapping[str, float] | pd.DataFrame, parameters: ItemParameters) -> CutEstimate:
    r"""The theta at which the expected raw score is the judged one.

    .. math:: \sum_{j \in R} E(X_j \mid \theta_c) = \sum_{j \in R} \bar r_j

    over the rated units :math:`R`. With ratings judge by judge there are
    standard errors, carried to theta by the slope of the curve,

    .. math:: SE(\theta_c) = \frac{SE_{raw}}{\sum_j E'(X_j \mid \theta_c)},

    under three designs, by their names:

    "judges random, items fixed"
        Another panel, the same items: :math:`SE_{raw} = sd(S_i)/\sqrt n` of the
        judges' sums :math:`S_i`. This is `se`.
    "judges random, items random"
        Another panel and as many other items:
        :math:`SE_{raw}^2 = J^2(\sigma^2_\pi/n + \sigma^2_\beta/J + \sigma^2_\epsilon/(nJ))`
        (`variance_components`). On theta it is too wide: easier items raise the
        ratings and the curve alike, and only the first is counted.
    "judges random, items random, difficulty known"
        The same of the departures :math:`r_{ij} - E(X_j \mid \theta_c)`, in
        which what the curve already knows of an item has gone.

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
    units, judges, table = _as_table(ratings)
    rated = parameters.take(units)
    _check(table, judges, rated)
    sums = [math.fsum(row) for row in table.tolist()]
    raw = math.fsum(sums) / len(sums)
    theta = _where_expected(raw, rated)
    errors = _errors(table, rated, theta) if len(sums) > 1 else ()
    return CutEstimate(
        theta=theta,
        raw=raw,
        se=errors[0].theta if errors else math.nan,
        n_units=len(units),
        n_judges=len(sums),
        rule=f"mean of {len(sums)} judges" if len(sums) > 1 else "",
        errors=errors,
    )


@dataclass(frozen=True, eq=False)
class AngoffResult:
    """A panel's ratings, round by round.

    Parameters
    ----------
    estimate : CutEstimate
        Of the last round: the cut.
    rounds : tuple of CutEstimate
        One per round, the last one included.
    spread : tuple of float
        Per round, standard deviation of the judges' sums, in raw points.
    change : tuple of float
        Per round, mean absolute change of a rating since the round before; nan for the first.
    judges : mapping
        Each judge's own cut in the last round; nan where the judge's sum has none.
    """

    estimate: CutEstimate
    rounds: tuple[CutEstimate, ...]
    spread: tuple[float, ...]
    change: tuple[float, ...]
    judges: Mapping[str, float] = field(repr=False)

    def summary(self) -> str:
        """The cut in one sentence."""
        return f"after {len(self.rounds)} rounds {self.estimate.summary()}"

    def to_frame(self) -> pd.DataFrame:
        """One row per round."""
        import pandas as pd

        rows = [
            (found.n_judges, found.raw, spread, change, found.theta, found.se)
            for found, spread, change in zip(self.rounds, self.spread, self.change, strict=True)
        ]
        return pd.DataFrame(
            rows,
            columns=["n_judges", "raw", "sd_judges", "mean_change", "theta", "se"],
            index=pd.RangeIndex(1, len(rows) + 1, name="round"),
        )


def angoff(rounds: Sequence[pd.DataFrame], parameters: ItemParameters) -> AngoffResult:
    """Modified Angoff over one or more rounds; the last one is the cut.

    Parameters
    ----------
    rounds : sequence of DataFrame (judges, units)
        In the order in which they were held, over the same units. A judge may
        leave between rounds, but not join.
    parameters : ItemParameters
        Of at least the rated units.

    Raises
    ------
    CutNotFound, InvalidParameters
        As `cut_from_ratings`, with the round; or other units or new judges in a later round.

    Examples
    --------
    >>> import pandas as pd
    >>> parameters = ItemParameters(["i1", "i2"], "2PL", [1.0, 1.0], [[0.2], [0.4]])
    >>> first = pd.DataFrame({"i1": [0.3, 0.8], "i2": [0.4, 0.9]}, index=["j1", "j2"])
    >>> second = pd.DataFrame({"i1": [0.5, 0.6], "i2": [0.4, 0.5]}, index=["j1", "j2"])
    >>> angoff([first, second], parameters).to_frame().round(2).theta.tolist()
    [0.71, 0.3]
    """
    if not rounds:
        raise InvalidParameters("no rounds; give the ratings of at least one")
    found: list[CutEstimate] = []
    spread, change = [], []
    for number, ratings in enumerate(rounds, 1):
        before = rounds[number - 2] if number > 1 else ratings
        if set(ratings.columns) != set(before.columns):
            odd = min(map(str, set(ratings.columns) ^ set(before.columns)))
            raise InvalidParameters(
                f"round {number}: unit {odd!r} is not rated in every round; rate the same units"
            )
        joined = [str(judge) for judge in ratings.index if judge not in before.index]
        if joined:
            raise InvalidParameters(
                f"round {number}: judge {joined[0]!r} was not there in round {number - 1}; "
                "a judge takes part from the start"
            )
        try:
            found.append(cut_from_ratings(ratings, parameters))
        except (CutNotFound, InvalidParameters) as fault:
            raise type(fault)(f"round {number}: {fault}") from None
        sums = ratings.sum(axis=1)
        spread.append(float(sums.std(ddof=1)) if len(sums) > 1 else math.nan)
        moved = (ratings - before.loc[ratings.index, ratings.columns]).abs().to_numpy()
        change.append(float(moved.mean()) if number > 1 else math.nan)
    last = rounds[-1]
    rated = parameters.take([str(unit) for unit in last.columns])
    own = {}
    for judge, raw in zip(last.index, last.sum(axis=1).tolist(), strict=True):
        try:
            own[str(judge)] = _where_expected(raw, rated)
        except CutNotFound:
            own[str(judge)] = math.nan
    return AngoffResult(found[-1], tuple(found), tuple(spread), tuple(change), own)


# --- inside -------------------------------------------------------------------


def _where_expected(raw: float, rated: ItemParameters) -> float:
    from scipy.optimize import brentq

    def gap(theta: float) -> float:
        return float(test_characteristic(rated, theta)[0]) - raw

    if not gap(-_WIDEST) < 0.0 < gap(_WIDEST):
        low, high = gap(-_WIDEST) + raw, gap(_WIDEST) + raw
        raise CutNotFound(
            f"the judged sum {raw:.2f} on {len(rated)} units is not between {low:.2f} and {high:.2f}, "
            "the least and the most that the units can be expected to give; let the panel look at it again"
        )
    return float(brentq(gap, -_WIDEST, _WIDEST, xtol=1e-12))


def _errors(table: FloatArray, rated: ItemParameters, theta: float) -> tuple[StandardError, ...]:
    """Standard errors of the panel's sum and of theta, by design."""
    first, _ = log_derivatives(rated, theta)
    probabilities = category_probabilities(rated, theta)
    slope = float((probabilities * first * np.arange(probabilities.shape[2])).sum())
    fixed = float(np.std(table.sum(axis=1), ddof=1)) / math.sqrt(len(table))
    errors = [StandardError(ITEMS_FIXED, fixed / slope, fixed)]
    if table.shape[1] > 1:
        for design, ratings in (
            (ITEMS_RANDOM, table),
            (ITEMS_RANDOM_PLACED, table - expected_score(rated, theta)),
        ):
            raw = math.sqrt(_components(ratings).variance_of_sum(items="random"))
            errors.append(StandardError(design, raw / slope, raw))
    return tuple(errors)


def _as_table(ratings: Mapping[str, float] | pd.DataFrame) -> tuple[list[str], list[str], FloatArray]:
    """Units, judges (none for ratings already averaged), and ratings (judges, units)."""
    if isinstance(ratings, Mapping):
        units, judges = [str(unit) for unit in ratings], [""]
        table = np.array([[float(rating) for rating in ratings.values()]])
    else:
        units, judges = [str(unit) for unit in ratings.columns], [str(judge) for judge in ratings.index]
        table = ratings.to_numpy(dtype=float)
    if not table.size:
        raise InvalidParameters("no ratings; a cut rests on the panel's expected score of each unit")
    for names, kind in ((units, "unit"), (judges, "judge")):
        twice = [name for index, name in enumerate(names) if name in names[:index]]
        if twice:
            raise InvalidParameters(f"{kind} {twice[0]!r} occurs twice in the ratings; once is enough")
    return units, judges, table


def _check(table: FloatArray, judges: Sequence[str], parameters: ItemParameters) -> None:
    for j, unit in enumerate(parameters.item_ids):
        highest = int(parameters.n_categories[j]) - 1
        for judge, rating in zip(judges, table[:, j].tolist(), strict=True):
            if not 0.0 <= rating <= highest:
                by = f" by judge {judge!r}" if judge else ""
                raise InvalidParameters(f"unit {unit!r}: rating {rating}{by} is not between 0 and {highest}")
        if not parameters.is_monotone[j]:
            raise InvalidParameters(
                f"unit {unit!r}: its expected score falls somewhere as theta rises; leave it out of the cut"
            )
