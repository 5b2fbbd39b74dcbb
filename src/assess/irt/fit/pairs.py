"""Local dependence of pairs of items: Yen's Q3.

References
----------
Yen (1984), *Applied Psychological Measurement* 8, 125-145, doi:10.1177/014662168400800201.
Christensen, Makransky & Horton (2017), *Applied Psychological Measurement* 41, 178-194,
doi:10.1177/0146621616677520 (critical values by bootstrap).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from assess.errors import InvalidParameters, InvalidResponses
from assess.irt.fit.residuals import residuals, thetas
from assess.irt.fit.sources import Fitted, fitted
from assess.irt.parameters import FloatArray
from assess.irt.scoring import Method, Source
from assess.irt.simulate import simulate
from assess.responses import ResponseMatrix


def local_dependence(
    calibration: Source, responses: pd.DataFrame | ResponseMatrix, *, scoring: Method = "EAP"
) -> pd.DataFrame:
    r"""Correlations of the residuals of every pair of items, Q3.

    .. math:: Q_3(j, l) = \mathrm{cor}\bigl(x_j - E_j(\hat\theta),\; x_l - E_l(\hat\theta)\bigr)

    Without dependence their mean is about -1/(J - 1), so compare with the mean,
    and take the limit from `local_dependence_limit`.

    Parameters
    ----------
    calibration, responses
        As in `item_fit`; each pair rests on the persons who answered both.
    scoring : str
        How thetas are estimated; infinite ones are left out.

    Returns
    -------
    DataFrame (J, J)
        Diagonal one; nan for pairs that fewer than three persons share.

    Examples
    --------
    >>> from assess.irt import ItemParameters, simulate
    >>> items = ItemParameters(["i1", "i2", "i3"], "2PL", np.ones(3), np.zeros((3, 1)))
    >>> rng = np.random.default_rng(1)
    >>> data = pd.DataFrame(simulate(items, rng.standard_normal(300), rng), columns=list(items.item_ids))
    >>> local_dependence(items, data).shape
    (3, 3)
    """
    model = fitted(calibration, responses)
    names = list(model.items.item_ids)
    return pd.DataFrame(_q3(model, scoring), index=pd.Index(names, name="item"), columns=names)


def local_dependence_limit(
    calibration: Source,
    responses: pd.DataFrame | ResponseMatrix,
    rng: np.random.Generator,
    *,
    n_replications: int = 100,
    level: float = 0.95,
    scoring: Method = "EAP",
    calibrate: Callable[[ResponseMatrix], Source] | None = None,
) -> float:
    """Largest Q3 above the mean Q3 to expect without dependence, by parametric bootstrap.

    Responses are drawn from the calibration for as many persons, with the same
    cells missing. Without `calibrate` the parameters are taken as known in
    each replication, which costs little and is close for long tests.

    Parameters
    ----------
    rng : numpy.random.Generator
    n_replications : int
        At least 20.
    level : float
        Quantile of max(Q3) - mean(Q3) over the replications.
    calibrate : callable, optional
        From responses to a calibration, to estimate anew in each replication.

    Returns
    -------
    float

    Examples
    --------
    >>> from assess.irt import ItemParameters, simulate
    >>> items = ItemParameters(["i1", "i2", "i3"], "2PL", np.ones(3), np.zeros((3, 1)))
    >>> rng = np.random.default_rng(1)
    >>> data = pd.DataFrame(simulate(items, rng.standard_normal(300), rng), columns=list(items.item_ids))
    >>> 0.0 < local_dependence_limit(items, data, rng, n_replications=20) < 0.2
    True
    """
    if n_replications < 20 or not 0.0 < level < 1.0:
        raise InvalidParameters(
            f"n_replications = {n_replications}, level = {level}: give at least 20, and 0 < level < 1"
        )
    model = fitted(calibration, responses)
    if len(model.items) < 2:
        raise InvalidResponses("one item has no pairs; give at least two items")
    population, n = model.population, model.matrix.n_persons
    largest = np.empty(n_replications)
    for replication in range(n_replications):
        theta = population.drawn(n, rng)
        drawn = np.where(model.categories >= 0, simulate(model.items, theta, rng), -1)
        matrix = ResponseMatrix(drawn, None, model.items.item_ids, model.items.n_categories)
        # What was drawn has the categories of the calibration already, closed up as they may be.
        again = replace(model, categories=drawn.astype(np.int8), matrix=matrix)
        q3 = _q3(again if calibrate is None else fitted(calibrate(matrix), matrix), scoring)
        pairs = q3[np.triu_indices(len(q3), 1)]
        largest[replication] = np.nanmax(pairs) - np.nanmean(pairs)
    return float(np.quantile(largest, level))


def _q3(model: Fitted, scoring: Method) -> FloatArray:
    theta = thetas(model, scoring, None)
    known = np.isfinite(theta)
    residual = residuals(model.categories[known], model.items, theta[known]).residual
    return pairwise_correlation(residual)


def pairwise_correlation(values: FloatArray) -> FloatArray:
    """Correlations of columns over the rows that have both, (J, J)."""
    given = (~np.isnan(values)).astype(np.float64)
    x = np.where(given > 0.0, values, 0.0)
    n = given.T @ given
    safe = np.maximum(n, 1.0)
    sums, squares = x.T @ given, (x * x).T @ given
    covariance = x.T @ x / safe - sums * sums.T / safe**2
    variance = squares / safe - (sums / safe) ** 2
    scale = np.sqrt(np.maximum(variance * variance.T, 0.0))
    known = (n >= 3.0) & (scale > 1e-12)
    return np.where(known, covariance / np.where(known, scale, 1.0), np.nan)
