"""Which score on one form is worth which score on another, through a common scale.

References
----------
Kolen & Brennan (2014), *Test Equating, Scaling, and Linking*, ch. 2 and 6.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from assess.errors import InvalidParameters
from assess.irt.linking.constants import Link
from assess.irt.models import test_characteristic as characteristic
from assess.irt.modes import bracketed_root
from assess.irt.parameters import FloatArray, ItemParameters
from assess.irt.quadrature import Prior
from assess.irt.scoring import Source, resolved, summed_score_distribution

_NODES = np.linspace(-4.0, 4.0, 41)


def true_score_equating(new: Source, onto: Source, link: Link | None = None) -> pd.DataFrame:
    r"""For each raw score on `new`, the true score on `onto` of the same theta.

    .. math:: e(x) = \tau_{onto}\bigl(\tau_{new}^{-1}(x)\bigr)

    Scores at or below the sum of the lower asymptotes have no theta; they are
    interpolated between zero and there, as Kolen and Brennan do, and the
    highest score goes to the highest score.

    Parameters
    ----------
    new, onto : ItemParameters, ParameterSet or calibration
        All items of each form; slopes positive.
    link : Link, optional
        From the scale of `new` onto that of `onto`; none when they share one.

    Returns
    -------
    DataFrame
        Index score; columns theta (on the scale of `onto`; infinite at the
        ends) and equivalent.

    Raises
    ------
    InvalidParameters
        Where the expected score of a form does not rise with theta.

    Examples
    --------
    >>> easy = ItemParameters(["i1", "i2"], "2PL", [1.0, 1.0], [[-1.0], [-1.0]])
    >>> hard = ItemParameters(["i3", "i4"], "2PL", [1.0, 1.0], [[1.0], [1.0]])
    >>> true_score_equating(easy, hard).equivalent.round(3).tolist()
    [0.0, 0.238, 2.0]
    """
    x, y = _forms(new, onto, link)
    highest, top = int((x.n_categories - 1).sum()), float((y.n_categories - 1).sum())
    guessing_x, guessing_y = _floor(x), _floor(y)
    scores = np.arange(highest + 1, dtype=np.float64)
    inside = (scores > guessing_x) & (scores < _ceiling(x))
    wanted = scores[inside]
    reach = 10.0 + float(np.nanmax(np.abs(x.steps), initial=0.0)) + 40.0 / _gentlest(x)
    theta = np.where(scores <= guessing_x, -np.inf, np.inf)
    # The curve is flat far out, where a root finder crawls; a table finds the cell first.
    grid = np.linspace(-reach, reach, 4001)
    cell = np.clip(np.searchsorted(characteristic(x, grid), wanted), 1, len(grid) - 1)
    theta[inside] = bracketed_root(lambda at: wanted - characteristic(x, at), grid[cell - 1], grid[cell])
    equivalent = np.where(scores >= highest, top, np.nan)
    equivalent[inside] = characteristic(y, theta[inside])
    low = scores <= guessing_x
    equivalent[low] = scores[low] * (guessing_y / guessing_x if guessing_x > 0.0 else 0.0)
    high = ~inside & ~low & (scores < highest)
    # Above the sum of the upper asymptotes, the same on the other side.
    if high.any():
        share = (highest - scores[high]) / (highest - _ceiling(x))
        equivalent[high] = top - share * (top - _ceiling(y))
    return pd.DataFrame(
        {"theta": theta, "equivalent": equivalent}, index=pd.Index(scores.astype(np.int64), name="score")
    )


def observed_score_equating(
    new: Source, onto: Source, link: Link | None = None, *, weight_new: float = 0.5
) -> pd.DataFrame:
    """Equipercentile equating of the score distributions that the model implies.

    Both forms are given to one synthetic population, a mixture of those in
    which the two sides were calibrated.

    Parameters
    ----------
    new, onto, link
        As in `true_score_equating`. Populations are those of the calibrations,
        N(0, 1) for bare parameters, each on its own scale.
    weight_new : float
        Share of the population of `new`, between 0 and 1.

    Returns
    -------
    DataFrame
        Index score; columns probability (of the score on `new` in the
        synthetic population), equivalent.

    Examples
    --------
    >>> items = ItemParameters(["i1", "i2"], "2PL", [1.0, 1.0], [[-1.0], [1.0]])
    >>> observed_score_equating(items, items).equivalent.round(6).tolist()
    [0.0, 1.0, 2.0]
    """
    if not 0.0 <= weight_new <= 1.0:
        raise InvalidParameters(f"weight_new is {weight_new}; it is a share, between 0 and 1")
    x, y = _forms(new, onto, link)
    population = resolved(new, None)[1]
    if link is not None:
        population = population.moved(link.slope, link.intercept)
    mixture = ((weight_new, population), (1.0 - weight_new, resolved(onto, None)[1]))
    f, g = (sum(w * _marginal(form, p) for w, p in mixture) for form in (x, y))
    return pd.DataFrame(
        {"probability": f, "equivalent": _equipercentile(np.asarray(f), np.asarray(g))},
        index=pd.RangeIndex(len(np.asarray(f)), name="score"),
    )


# --- inside -----------------------------------------------------------------


def _forms(new: Source, onto: Source, link: Link | None) -> tuple[ItemParameters, ItemParameters]:
    x, y = resolved(new, None)[0], resolved(onto, None)[0]
    for side, form in (("new", x), ("onto", y)):
        falling = [item for item, up in zip(form.item_ids, form.is_monotone, strict=True) if not up]
        if falling:
            raise InvalidParameters(
                f"item {falling[0]!r} of `{side}` does not rise with theta; equating needs forms that do"
            )
    return (x if link is None else link.parameters(x)), y


def _floor(form: ItemParameters) -> float:
    return float(form.lower.sum())


def _ceiling(form: ItemParameters) -> float:
    return float((form.n_categories - 2 + form.upper).sum())


def _gentlest(form: ItemParameters) -> float:
    """The smallest slope by which a category gains on its neighbour."""
    nominal = np.diff(form.category_slopes, axis=1)
    return float(min(np.nanmin(form.slopes, initial=np.inf), np.nanmin(nominal, initial=np.inf)))


def _marginal(form: ItemParameters, population: Prior) -> FloatArray:
    weights = np.exp(-0.5 * _NODES**2)
    weights /= weights.sum()
    return summed_score_distribution(form, population.mean + population.sd * _NODES) @ weights


def _equipercentile(f: FloatArray, g: FloatArray) -> FloatArray:
    """Scores of g with the percentile ranks of f; every score is spread evenly over one unit."""
    rank = np.cumsum(f) - 0.5 * f
    reached = np.cumsum(g)
    place = np.minimum(np.searchsorted(reached, rank, side="right"), len(g) - 1)
    below = reached[place] - g[place]
    return np.asarray((rank - below) / g[place] + place - 0.5, dtype=np.float64)
