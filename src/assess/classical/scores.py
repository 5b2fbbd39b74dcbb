"""Scores of persons on a test and on the rest of it, and correlations that skip what is missing."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from assess.responses import ResponseMatrix

FloatArray = NDArray[np.float64]
Missing = int | Literal["missing"]


def points(matrix: ResponseMatrix, omitted: Missing, not_reached: Missing) -> FloatArray:
    """Categories as numbers, nan where there is none, (N, J)."""
    codes = matrix.recode(omitted, not_reached)
    return np.where(codes >= 0, codes, np.nan)


def total_and_rest(values: FloatArray, attainable: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Share of attainable points on all items given, (N,), and on all but each one, (N, J)."""
    given = ~np.isnan(values)
    earned = np.where(given, values, 0.0)
    possible = given * attainable
    total, most = earned.sum(axis=1), possible.sum(axis=1)
    others = most[:, None] - possible
    with np.errstate(invalid="ignore", divide="ignore"):
        rest = np.where(others > 0.0, (total[:, None] - earned) / others, np.nan)
        return np.where(most > 0.0, total / most, np.nan), rest


def correlations(x: FloatArray, y: FloatArray) -> FloatArray:
    """Pearson correlation of each column of x with the same column of y, over pairs that are there, (J,)."""
    both = ~(np.isnan(x) | np.isnan(y))
    n = both.sum(axis=0)
    safe = np.maximum(n, 1)

    def centred(values: FloatArray) -> FloatArray:
        filled = np.where(both, values, 0.0)
        return np.where(both, filled - filled.sum(axis=0) / safe, 0.0)

    u, v = centred(x), centred(y)
    scale = np.sqrt((u**2).sum(axis=0) * (v**2).sum(axis=0))
    # Rounding leaves a constant column with a tiny spread; that is no variation.
    known = (n > 2) & (scale > 1e-12 * safe)
    return np.where(known, (u * v).sum(axis=0) / np.where(known, scale, 1.0), np.nan)


def covariances(values: FloatArray) -> FloatArray:
    """Covariances of the items over persons who have both, (J, J); nan below three such persons."""
    given = (~np.isnan(values)).astype(float)
    # Centred first, so that the products do not cancel.
    with np.errstate(invalid="ignore"):
        mean = np.nansum(values, axis=0) / np.maximum(given.sum(axis=0), 1.0)
    x = np.where(given > 0.0, values - mean, 0.0)
    n = given.T @ given
    sums = x.T @ given
    safe = np.maximum(n, 2.0)
    return np.where(n >= 3.0, (x.T @ x - sums * sums.T / safe) / (safe - 1.0), np.nan)
