r"""Fit of persons: whether a pattern of answers belongs to its theta.

With :math:`l_{jk} = \log P_{jk}` and :math:`u_{jk} = \partial_\theta l_{jk}`,

.. math::

   l_z = \frac{\sum_j (l_{jx_j} - E l_j)}{\sqrt{\sum_j \mathrm{Var}\, l_j}}, \qquad
   l_z^* = \frac{\sum_j (l_{jx_j} - E l_j) + c\, r_0}{\sqrt{\sum_j \mathrm{Var}(l_j - c\,u_j)}}, \qquad
   c = \frac{\sum_j \mathrm{Cov}(l_j, u_j)}{\sum_j \mathrm{Var}\, u_j},

where theta solves :math:`\sum_j u_{jx_j} + r_0 = 0`: r0 is 0 for ML, J/(2I) for
WL and the derivative of the log-prior for MAP. lz takes theta as known and is
not standard normal when it was estimated; lz* is, for tests handed out whatever
the answers. After adaptive routing neither has its normal table.

References
----------
Drasgow, Levine & Williams (1985), *British Journal of Mathematical and Statistical Psychology* 38,
67-86, doi:10.1111/j.2044-8317.1985.tb00817.x (lz).
Snijders (2001), *Psychometrika* 66, 331-342, doi:10.1007/BF02294437 (lz*).
Sinharay (2016), *Psychometrika* 81, 992-1013, doi:10.1007/s11336-015-9465-x (lz* for mixed formats).
van der Flier (1982), *Journal of Cross-Cultural Psychology* 13, 267-298,
doi:10.1177/0022002182013003001 (U3).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from assess.errors import InvalidParameters, InvalidResponses
from assess.irt.fit.residuals import mean_squares, residuals, thetas
from assess.irt.fit.sources import Fitted, fitted
from assess.irt.models import category_probabilities, log_category_probabilities, log_derivatives
from assess.irt.parameters import FloatArray, ItemParameters
from assess.irt.quadrature import Prior, chunks
from assess.irt.scoring import Method, Source
from assess.responses import ResponseMatrix, as_matrix


def person_fit(
    parameters: Source,
    responses: pd.DataFrame | ResponseMatrix,
    *,
    theta: ArrayLike | None = None,
    method: Method = "WL",
) -> pd.DataFrame:
    """lz, lz*, infit and outfit of every person.

    Parameters
    ----------
    parameters : ItemParameters, ParameterSet or calibration
    responses : DataFrame (persons x items) or ResponseMatrix
    theta : array (N,), optional
        Estimates to use, made by `method`.
    method : str
        WL, ML, MAP or EAP. EAP has no estimating equation, so that lz* is nan.

    Returns
    -------
    DataFrame
        Index person; columns theta, lz, lz_star, infit, outfit, z_infit,
        z_outfit, n_items. Low lz and lz* and high infit and outfit speak of
        misfit; nan where theta is infinite or unknown.

    Raises
    ------
    InvalidParameters
        For a method without a theta per person, or thetas of another number.

    Examples
    --------
    >>> b = np.linspace(-2, 2, 9)[:, None]
    >>> items = ItemParameters([f"i{j}" for j in range(9)], "2PL", np.ones(9), b)
    >>> plain, odd = [1, 1, 1, 1, 0, 1, 0, 0, 0], [0, 0, 0, 1, 0, 1, 1, 1, 1]
    >>> data = pd.DataFrame([plain, odd], columns=list(items.item_ids))
    >>> person_fit(items, ResponseMatrix.from_frame(data, allow_wide=True)).lz_star.round(2).tolist()
    [1.05, -5.32]
    """
    if method not in ("WL", "ML", "MAP", "EAP"):
        raise InvalidParameters(f"method {method!r}: person fit takes WL, ML, MAP or EAP")
    model = fitted(parameters, responses)
    at = thetas(model, method, theta)
    index = pd.Index(model.matrix.person_ids, name="person")
    counts = {"n_items": (model.categories >= 0).sum(axis=1)}
    return pd.DataFrame({"theta": at} | person_statistics(model, at, method) | counts, index=index)


def guttman_fit(responses: pd.DataFrame | ResponseMatrix) -> pd.DataFrame:
    r"""How far each pattern of right and wrong is from a perfect one, without a model.

    Items are ordered by their proportion correct p in these responses. G counts
    pairs with the harder item right and the easier one wrong, G_normed divides
    by the largest G of that score, and

    .. math:: U3 = \frac{W_{max} - W}{W_{max} - W_{min}}, \qquad W = \sum_j x_j \log\frac{p_j}{1-p_j}.

    Parameters
    ----------
    responses : DataFrame (persons x items) or ResponseMatrix
        Dichotomous and complete.

    Returns
    -------
    DataFrame
        Index person; columns score, G, G_normed, U3; nan for the lowest and the
        highest score, which fit by definition.

    Raises
    ------
    InvalidResponses
        With missing responses, more than two categories, or an item that all
        solved or nobody did.

    Examples
    --------
    >>> data = pd.DataFrame({"i1": [1, 1, 0, 1], "i2": [1, 0, 0, 1], "i3": [0, 0, 1, 0]})
    >>> guttman_fit(data).G.tolist()
    [0.0, 0.0, 2.0, 0.0]
    """
    matrix = as_matrix(responses)
    if (matrix.categories < 0).any() or (matrix.categories > 1).any():
        raise InvalidResponses("Guttman errors are counted in complete responses 0 and 1; others are there")
    matrix.informative_items()
    x = matrix.categories.astype(np.float64)
    p = x.mean(axis=0)
    order = np.argsort(-p, kind="stable")
    x, p = x[:, order], p[order]
    score = x.sum(axis=1).astype(np.int64)
    n_items = len(p)
    errors = ((1.0 - x).cumsum(axis=1) * x).sum(axis=1)
    weight = np.log(p / (1.0 - p))
    most, least = (np.concatenate([[0.0], np.cumsum(w)]) for w in (weight, weight[::-1]))
    inside = (score > 0) & (score < n_items)
    spread = np.where(inside, (most - least)[score], 1.0)
    flat = spread <= 0.0
    u3 = (most[score] - x @ weight) / np.where(flat, 1.0, spread)
    largest = np.where(inside, score * (n_items - score), 1)
    return pd.DataFrame(
        {
            "score": score,
            "G": np.where(inside, errors, np.nan),
            "G_normed": np.where(inside, errors / largest, np.nan),
            "U3": np.where(inside & ~flat, u3, np.nan),
        },
        index=pd.Index(matrix.person_ids, name="person"),
    )


# --- inside -----------------------------------------------------------------


def person_statistics(model: Fitted, at: FloatArray, method: Method) -> dict[str, FloatArray]:
    """lz, lz_star, infit, outfit, z_infit and z_outfit at thetas, (N,) each."""
    known = np.isfinite(at)
    out = np.full((2, len(at)), np.nan)
    squares = {name: np.full(len(at), np.nan) for name in ("infit", "outfit", "z_infit", "z_outfit")}
    rows = np.flatnonzero(known)
    for part in chunks(len(rows)):
        chosen = rows[part]
        categories, place = model.categories[chosen], at[chosen]
        out[:, chosen] = _likelihood_fit(categories, model.items, place, method, model.population)
        for name, values in mean_squares(residuals(categories, model.items, place), axis=1).items():
            squares[name][chosen] = values
    return {"lz": out[0], "lz_star": out[1], **squares}


def _likelihood_fit(
    categories: NDArray[np.int8], items: ItemParameters, theta: FloatArray, method: str, prior: Prior
) -> FloatArray:
    """Values of lz and lz*, (2, N)."""
    p = category_probabilities(items, theta)
    log_p = np.where(p > 0.0, log_category_probabilities(items, theta), 0.0)
    u, bend = log_derivatives(items, theta)
    given = (categories >= 0).astype(np.float64)
    seen = np.maximum(categories, 0)[:, :, None].astype(np.int64)

    def over_items(values: FloatArray) -> FloatArray:
        return np.asarray((values * given).sum(axis=1))

    mean = (p * log_p).sum(axis=2)
    centred = log_p - mean[:, :, None]
    own = over_items(np.take_along_axis(centred, seen, axis=2)[:, :, 0])
    variance = over_items((p * centred**2).sum(axis=2))
    information = over_items((p * u**2).sum(axis=2))
    crossed = over_items((p * centred * u).sum(axis=2))
    with np.errstate(invalid="ignore", divide="ignore"):
        c = crossed / information
        left = over_items((p * (centred - c[:, None, None] * u) ** 2).sum(axis=2))
        if method == "ML":
            correction = np.zeros_like(theta)
        elif method == "WL":
            correction = over_items((p * u * (u**2 + bend)).sum(axis=2)) / (2.0 * information)
        elif method == "MAP":
            correction = -(theta - prior.mean) / prior.sd**2
        else:
            correction = np.full_like(theta, np.nan)
        return np.stack([own / np.sqrt(variance), (own + c * correction) / np.sqrt(left)])
