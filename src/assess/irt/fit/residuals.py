r"""Residuals at estimated thetas, and their mean squares.

With E and V mean and variance of a category under the model and C its fourth
central moment,

.. math::

   \text{outfit} = \frac1n\sum\frac{(x-E)^2}{V}, \quad
   \text{infit} = \frac{\sum (x-E)^2}{\sum V}, \quad
   z = \frac{3}{q}\bigl(MS^{1/3} - 1\bigr) + \frac q3,

where q is the standard deviation of the mean square (Wilson-Hilferty).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from assess.errors import InvalidParameters
from assess.irt.fit.sources import Fitted
from assess.irt.models import category_probabilities
from assess.irt.parameters import FloatArray, ItemParameters
from assess.irt.quadrature import chunks
from assess.irt.scoring import Method, score


class Residuals(NamedTuple):
    """Residuals x - E, variances and fourth moments, (N, J); nan where there is no response."""

    residual: FloatArray
    variance: FloatArray
    fourth: FloatArray


def residuals(categories: NDArray[np.int8], items: ItemParameters, theta: FloatArray) -> Residuals:
    """Residuals of every response at that person's theta."""
    out = np.empty((3, *categories.shape))
    k = np.arange(items.max_categories, dtype=np.float64)
    for rows in chunks(len(categories)):
        p = category_probabilities(items, theta[rows])
        mean = p @ k
        deviation = (k - mean[:, :, None]) ** 2
        out[0, rows] = categories[rows] - mean
        out[1, rows] = (p * deviation).sum(axis=2)
        out[2, rows] = (p * deviation**2).sum(axis=2)
    out[:, categories < 0] = np.nan
    return Residuals(*out)


def mean_squares(found: Residuals, axis: int) -> dict[str, FloatArray]:
    """Infit and outfit with their z, over persons (axis 0) or items (axis 1)."""
    variance = np.where(found.variance > 0.0, found.variance, np.nan)
    square = found.residual**2
    n = np.maximum((~np.isnan(variance)).sum(axis=axis), 1)
    total = np.nansum(variance, axis=axis)
    with np.errstate(invalid="ignore", divide="ignore"):
        outfit = np.nansum(square / variance, axis=axis) / n
        infit = np.nansum(np.where(np.isnan(variance), np.nan, square), axis=axis) / total
        outfit_sd = np.sqrt(np.nansum(found.fourth / variance**2, axis=axis) / n**2 - 1.0 / n)
        infit_sd = np.sqrt(np.nansum(found.fourth - variance**2, axis=axis)) / total
        values = {
            "infit": infit,
            "outfit": outfit,
            "z_infit": _wilson_hilferty(infit, infit_sd),
            "z_outfit": _wilson_hilferty(outfit, outfit_sd),
        }
    empty = total == 0.0
    return {name: np.where(empty, np.nan, value) for name, value in values.items()}


def thetas(model: Fitted, method: Method, given: ArrayLike | None) -> FloatArray:
    """Thetas of the persons, given or estimated; infinite ones stay infinite."""
    if given is not None:
        theta = np.asarray(given, dtype=np.float64)
        if theta.shape != (model.matrix.n_persons,):
            raise InvalidParameters(
                f"theta has shape {theta.shape}; give one per person, ({model.matrix.n_persons},)"
            )
        return theta
    frame = score(model.matrix, model.items, method, prior=model.population)
    return np.where(frame["n_items"] > 0, frame["theta"], np.nan)


def _wilson_hilferty(mean_square: FloatArray, sd: FloatArray) -> FloatArray:
    return np.asarray((np.cbrt(mean_square) - 1.0) * 3.0 / sd + sd / 3.0)
