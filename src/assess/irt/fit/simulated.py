r"""What fit looks like when the model holds: critical values by simulation, where no table is right.

lz after an estimated theta, mean squares, :math:`X^2` and :math:`G^2` over
groups of estimated thetas, and every person statistic after adaptive routing
do not follow the tables that are printed for them. Here responses are drawn
from the calibration and go through the same steps.

The cumulative sums of a person follow the items in the order in which they
were given,

.. math::

   C^+_i = \max\Bigl(0,\; C^+_{i-1} + \frac{x_i - E_i}{n}\Bigr), \qquad
   C^-_i = \min\Bigl(0,\; C^-_{i-1} + \frac{x_i - E_i}{n}\Bigr),

and their extremes are reported: a run of unexpected successes lifts the first,
a run of failures, as of a learner who tires, sinks the second.

References
----------
van Krimpen-Stoop & Meijer (2000), in van der Linden & Glas, *Computerized Adaptive Testing*, 201-219
(cumulative sums, and why tables fail).
Yen (1981), *Applied Psychological Measurement* 5, 245-262, doi:10.1177/014662168100500212 (X2).
McKinley & Mills (1985), *Applied Psychological Measurement* 9, 49-57,
doi:10.1177/014662168500900105 (G2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2

from assess.errors import InvalidParameters, InvalidResponses
from assess.irt.fit.persons import person_statistics
from assess.irt.fit.residuals import mean_squares, residuals, thetas
from assess.irt.fit.sources import Fitted, fitted, n_item_parameters
from assess.irt.models import category_probabilities
from assess.irt.parameters import FloatArray
from assess.irt.scoring import Method, Source
from assess.irt.simulate import simulate
from assess.responses import ResponseMatrix

GroupedStatistic = Literal["X2", "G2", "infit", "outfit"]
_PERSON = ("lz", "lz_star", "infit", "outfit", "cusum_upper", "cusum_lower")
_LOW = ("lz", "lz_star", "cusum_lower")

Administer = Callable[[FloatArray, np.random.Generator], tuple[NDArray[np.int8], NDArray[np.int64]]]


def cusum(
    parameters: Source,
    responses: pd.DataFrame | ResponseMatrix,
    *,
    order: ArrayLike | None = None,
    theta: ArrayLike | None = None,
    method: Method = "WL",
) -> pd.DataFrame:
    """Extremes of the cumulative sums of every person, in the order in which items were given.

    Parameters
    ----------
    parameters, responses, theta, method
        As in `person_fit`.
    order : array (N, J), optional
        Position of each item for each person; the order of the columns unless given.

    Returns
    -------
    DataFrame
        Index person; columns cusum_upper, cusum_lower; nan without a finite theta.

    Raises
    ------
    InvalidParameters
        An order of another shape.

    Examples
    --------
    >>> from assess.irt import ItemParameters
    >>> items = ItemParameters([f"i{j}" for j in range(4)], "2PL", np.ones(4), np.zeros((4, 1)))
    >>> answers = [[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 1, 1], [0, 1, 0, 1]]
    >>> data = pd.DataFrame(answers, columns=list(items.item_ids))
    >>> cusum(items, data).round(3).to_numpy().tolist()
    [[0.25, -0.25], [0.125, -0.125], [0.25, -0.25], [0.125, -0.125]]
    """
    model = fitted(parameters, responses)
    at = thetas(model, method, theta)
    places = None
    if order is not None:
        places = np.asarray(order, dtype=np.int64)
        if places.shape != model.categories.shape:
            raise InvalidParameters(
                f"order has shape {places.shape}; give one position per response, {model.categories.shape}"
            )
    index = pd.Index(model.matrix.person_ids, name="person")
    return pd.DataFrame(_sums(model, at, places), index=index)


def person_fit_limits(
    source: Source,
    responses: pd.DataFrame | ResponseMatrix,
    rng: np.random.Generator,
    *,
    level: float = 0.05,
    n_replications: int = 20,
    method: Method = "WL",
    administer: Administer | None = None,
) -> pd.Series[float]:
    """Critical values of person fit when everybody fits: the quantiles of simulated persons.

    As many persons as there are, with theta from the population, answer the
    items that were given to each; or, with `administer`, take an adaptive
    test. Their theta is estimated and every statistic computed as for real ones.

    Parameters
    ----------
    source, responses
        As in `person_fit`.
    rng : numpy.random.Generator
    level : float
        Share of fitting persons beyond each limit.
    n_replications : int
    method : str
        How theta is estimated.
    administer : callable, optional
        From thetas and a generator to categories and positions, both (n, J),
        -1 where an item was not given: an adaptive session as it is delivered.

    Returns
    -------
    Series
        Lower limits of lz, lz_star and cusum_lower; upper limits of infit, outfit
        and cusum_upper.

    Raises
    ------
    InvalidParameters
        A level outside (0, 1), or no replication.

    Examples
    --------
    >>> from assess.irt import ItemParameters
    >>> names = [f"i{j}" for j in range(20)]
    >>> items = ItemParameters(names, "2PL", np.full(20, 1.2), np.linspace(-2, 2, 20)[:, None])
    >>> rng = np.random.default_rng(1)
    >>> data = pd.DataFrame(simulate(items, rng.standard_normal(300), rng), columns=names)
    >>> limits = person_fit_limits(items, data, rng)
    >>> bool(-1.9 < limits["lz_star"] < -1.4), bool(limits["lz"] > limits["lz_star"])
    (True, True)
    """
    if not 0.0 < level < 1.0 or n_replications < 1:
        raise InvalidParameters(
            f"level = {level}, n_replications = {n_replications}: give 0 < level < 1, and at least 1"
        )
    model = fitted(source, responses)
    drawn = []
    for _ in range(n_replications):
        theta = model.population.drawn(model.matrix.n_persons, rng)
        if administer is None:
            categories = np.where(model.categories >= 0, simulate(model.items, theta, rng), -1)
            order = None
        else:
            categories, order = administer(theta, rng)
        again = _redrawn(model, categories)
        at = thetas(again, method, None)
        found = person_statistics(again, at, method)
        drawn.append({name: found[name] for name in _PERSON[:4]} | _sums(again, at, order))
    limits = {}
    for name in _PERSON:
        values = np.concatenate([part[name] for part in drawn])
        limits[name] = float(np.nanquantile(values, level if name in _LOW else 1.0 - level))
    return pd.Series(limits, name="limit")


def item_fit_bootstrap(
    calibration: Source,
    responses: pd.DataFrame | ResponseMatrix,
    rng: np.random.Generator,
    statistic: GroupedStatistic = "X2",
    *,
    n_replications: int = 100,
    n_groups: int = 10,
    scoring: Method = "EAP",
    calibrate: Callable[[ResponseMatrix], Source] | None = None,
) -> pd.DataFrame:
    r"""X2, G2, infit or outfit of every item, with p values by parametric bootstrap.

    .. math::

       X^2 = \sum_{g,k} \frac{(O_{gk} - E_{gk})^2}{E_{gk}}, \qquad
       G^2 = 2 \sum_{g,k} O_{gk} \log\frac{O_{gk}}{E_{gk}},

    over groups of persons with like estimated thetas. The table of chi-square
    is printed beside them, because other programs do; it does not hold its level.

    Parameters
    ----------
    calibration, responses
        As in `item_fit`; missing responses stay missing in each replication.
    rng : numpy.random.Generator
    statistic : str
        "X2", "G2", "infit" or "outfit".
    n_replications : int
        At least 20.
    n_groups : int
        Of nearly equal size.
    scoring : str
        How thetas are estimated.
    calibrate : callable, optional
        From responses to a calibration, to estimate anew in each replication.
        Without it the parameters count as known, which makes X2 and G2 far too
        careful: at 5 % they reject 1 % of good items (1,000 x 30, 2PL). Give it
        where the level matters, as in ``lambda matrix: irt.calibrate(matrix)``.

    Returns
    -------
    DataFrame
        Index item; columns statistic, df and p_table (X2 and G2), p (bootstrap; of
        mean squares two-sided), limit_low, limit_high (95 % of replications lie between).

    Raises
    ------
    InvalidParameters
        A statistic that is not known, or too few replications.

    Examples
    --------
    >>> from assess.irt import ItemParameters
    >>> names = [f"i{j}" for j in range(10)]
    >>> items = ItemParameters(names, "2PL", np.full(10, 1.2), np.linspace(-1, 1, 10)[:, None])
    >>> rng = np.random.default_rng(1)
    >>> data = pd.DataFrame(simulate(items, rng.standard_normal(400), rng), columns=names)
    >>> data["i3"] = (rng.random(400) < 0.5).astype(int)
    >>> item_fit_bootstrap(items, data, rng, n_replications=20)["p"].idxmin()
    'i3'
    """
    if statistic not in ("X2", "G2", "infit", "outfit"):
        raise InvalidParameters(f"statistic {statistic!r} is not known; say 'X2', 'G2', 'infit' or 'outfit'")
    if n_replications < 20 or n_groups < 2:
        raise InvalidParameters(
            f"n_replications = {n_replications}, n_groups = {n_groups}: give at least 20, and at least 2"
        )
    model = fitted(calibration, responses)
    observed = _item_statistic(model, statistic, n_groups, scoring)
    drawn = np.empty((n_replications, len(observed)))
    for replication in range(n_replications):
        theta = model.population.drawn(model.matrix.n_persons, rng)
        categories = np.where(model.categories >= 0, simulate(model.items, theta, rng), -1)
        again = _redrawn(model, categories)
        if calibrate is not None:
            again = fitted(calibrate(again.matrix), again.matrix)
        drawn[replication] = _item_statistic(again, statistic, n_groups, scoring)
    above = (1.0 + (drawn >= observed).sum(axis=0)) / (1.0 + n_replications)
    below = (1.0 + (drawn <= observed).sum(axis=0)) / (1.0 + n_replications)
    table = pd.DataFrame({"statistic": observed}, index=pd.Index(model.items.item_ids, name="item"))
    grouped = statistic in ("X2", "G2")
    if grouped:
        spent = np.where(model.free, n_item_parameters(model.items), 0)
        table["df"] = n_groups * (model.items.n_categories - 1) - spent
        table["p_table"] = chi2.sf(observed, table["df"])
    table["p"] = above if grouped else np.minimum(1.0, 2.0 * np.minimum(above, below))
    table["limit_low"], table["limit_high"] = np.nanquantile(drawn, [0.025, 0.975], axis=0)
    return table


# --- inside -----------------------------------------------------------------


def _redrawn(model: Fitted, categories: NDArray[np.int8]) -> Fitted:
    """The model with other responses, whose categories are those of the calibration."""
    if categories.shape[1] != len(model.items):
        raise InvalidResponses(
            f"{categories.shape[1]} items were administered; the parameters are of {len(model.items)}"
        )
    values = np.asarray(categories, dtype=np.int8)
    matrix = ResponseMatrix(values, None, model.items.item_ids, model.items.n_categories)
    return replace(model, categories=values, matrix=matrix)


def _sums(model: Fitted, theta: FloatArray, order: NDArray[np.int64] | None) -> dict[str, FloatArray]:
    """Extremes of the cumulative sums, (N,) each."""
    known = np.isfinite(theta)
    out = {name: np.full(len(theta), np.nan) for name in _PERSON[4:]}
    if not known.any():
        return out
    codes = model.categories[known]
    away = residuals(codes, model.items, theta[known]).residual
    if order is not None:
        # What was not given goes last and adds nothing.
        places = np.where(codes >= 0, order[known], np.iinfo(np.int64).max)
        away = np.take_along_axis(away, np.argsort(places, axis=1, kind="stable"), axis=1)
    step = np.nan_to_num(away) / np.maximum((codes >= 0).sum(axis=1), 1)[:, None]
    upper = lower = highest = lowest = np.zeros(len(step))
    for column in step.T:
        upper, lower = np.maximum(0.0, upper + column), np.minimum(0.0, lower + column)
        highest, lowest = np.maximum(highest, upper), np.minimum(lowest, lower)
    out["cusum_upper"][known], out["cusum_lower"][known] = highest, lowest
    return out


def _item_statistic(model: Fitted, statistic: str, n_groups: int, scoring: Method) -> FloatArray:
    at = thetas(model, scoring, None)
    known = np.isfinite(at)
    codes, place = model.categories[known], at[known]
    if statistic in ("infit", "outfit"):
        return mean_squares(residuals(codes, model.items, place), axis=0)[statistic]
    chance = category_probabilities(model.items, place)
    order = np.argsort(place, kind="stable")
    out = np.empty(len(model.items))
    for j, n_categories in enumerate(model.items.n_categories.tolist()):
        rows = order[codes[order, j] >= 0]
        group = np.arange(n_groups).repeat([len(part) for part in np.array_split(rows, n_groups)])
        seen = np.bincount(group * n_categories + codes[rows, j], minlength=n_groups * n_categories)
        there = seen > 0
        expected = np.stack(
            [np.bincount(group, chance[rows, j, k], minlength=n_groups) for k in range(n_categories)],
            axis=1,
        ).ravel()
        if statistic == "X2":
            total = float(((seen - expected) ** 2 / np.maximum(expected, 1e-9)).sum())
        else:
            total = 2.0 * float((seen[there] * np.log(seen[there] / expected[there])).sum())
        out[j] = total
    return out
