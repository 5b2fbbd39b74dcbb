"""How reliable a summed score is: alpha, omega, split halves, and the standard error of measurement."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from scipy import optimize, stats

from assess.classical.scores import FloatArray, Missing, covariances, points
from assess.errors import InvalidResponses
from assess.responses import ResponseMatrix, as_matrix


@dataclass(frozen=True, slots=True)
class Reliability:
    """Coefficients of the summed score, which are not interchangeable.

    Parameters
    ----------
    n_persons, n_items : int
    alpha, alpha_low, alpha_high : float
        Coefficient alpha and its 95 % interval (Feldt); a lower bound of the
        reliability where errors are uncorrelated.
    omega : float
        Coefficient omega total of a one-factor model, fitted by maximum
        likelihood; nan where the covariances are not positive definite.
    split_half : float
        Odd against even items, stepped up by Spearman and Brown.
    mean, sd, sem : float
        Of the summed score, in points; sem = sd * sqrt(1 - alpha).
    pairwise : bool
        Whether responses are missing, so that covariances rest on different persons.
    """

    n_persons: int
    n_items: int
    alpha: float
    alpha_low: float
    alpha_high: float
    omega: float
    split_half: float
    mean: float
    sd: float
    sem: float
    pairwise: bool

    def to_frame(self) -> pd.DataFrame:
        """One row per coefficient."""
        return pd.DataFrame({"value": pd.Series(asdict(self), dtype=object)}).rename_axis("coefficient")


def reliability(
    responses: pd.DataFrame | ResponseMatrix,
    *,
    omitted: Missing = 0,
    not_reached: Missing = "missing",
    confidence: float = 0.95,
) -> Reliability:
    r"""Reliability of the summed score.

    .. math::

       \alpha = \frac{J}{J-1}\Bigl(1 - \frac{\sum_j s_j^2}{s_X^2}\Bigr), \qquad
       \omega = \frac{(\sum_j\lambda_j)^2}{(\sum_j\lambda_j)^2 + \sum_j\psi_j}

    Parameters
    ----------
    responses : DataFrame (persons x items) or ResponseMatrix
    omitted, not_reached : int or "missing"
        The category such a response is scored as, or "missing".
    confidence : float
        Of the interval of alpha.

    Raises
    ------
    InvalidResponses
        With fewer than two items or three persons.

    Examples
    --------
    >>> frame = pd.DataFrame({"i1": [1, 1, 0, 0, 1], "i2": [1, 1, 0, 0, 0], "i3": [1, 0, 0, 0, 1]})
    >>> round(reliability(frame).alpha, 3)
    0.75

    References
    ----------
    Cronbach (1951), *Psychometrika* 16, 297-334, doi:10.1007/BF02310555.
    Feldt (1965), *Psychometrika* 30, 357-370, doi:10.1007/BF02289499 (interval).
    McDonald (1999), *Test Theory*, ch. 6 (omega).
    """
    matrix = as_matrix(responses)
    values = points(matrix, omitted, not_reached)
    if matrix.n_items < 2 or matrix.n_persons < 3:
        raise InvalidResponses(
            f"{matrix.n_persons} persons x {matrix.n_items} items: reliability needs two items, three persons"
        )
    if not 0.0 < confidence < 1.0:
        raise InvalidResponses(f"confidence is {confidence}; give a number between 0 and 1, such as 0.95")
    covariance = covariances(values)
    alpha = alpha_of(covariance)
    n, n_items = matrix.n_persons, matrix.n_items
    tail = 0.5 * (1.0 - confidence)
    low, high = (
        1.0 - (1.0 - alpha) * stats.f.ppf(q, n - 1, (n - 1) * (n_items - 1)) for q in (1.0 - tail, tail)
    )
    variance = float(covariance.sum())
    sd = variance**0.5 if variance >= 0.0 else np.nan
    answered = ~np.isnan(values)
    mean = float((np.nansum(values, axis=0) / np.maximum(answered.sum(axis=0), 1)).sum())
    return Reliability(
        n_persons=n,
        n_items=n_items,
        alpha=alpha,
        alpha_low=float(low),
        alpha_high=float(high),
        omega=omega_of(covariance),
        split_half=split_half_of(covariance),
        mean=mean if answered.any(axis=0).all() else np.nan,
        sd=sd,
        sem=sd * max(1.0 - alpha, 0.0) ** 0.5 if np.isfinite(alpha) else np.nan,
        pairwise=not bool(answered.all()),
    )


def alpha_of(covariance: FloatArray) -> float:
    """Coefficient alpha of a covariance matrix; nan where the score does not vary."""
    n_items, variance = len(covariance), covariance.sum()
    if n_items < 2 or not variance > 0.0:
        return float("nan")
    return float(n_items / (n_items - 1) * (1.0 - np.trace(covariance) / variance))


def alphas_without(covariance: FloatArray) -> FloatArray:
    """Alpha of the other items, for each item, (J,)."""
    n_items = len(covariance)
    if n_items < 3:
        return np.full(n_items, np.nan)
    own = np.diag(covariance)
    variance = covariance.sum() - 2.0 * covariance.sum(axis=0) + own
    with np.errstate(invalid="ignore", divide="ignore"):
        alpha = (n_items - 1) / (n_items - 2) * (1.0 - (own.sum() - own) / variance)
    return np.where(variance > 0.0, alpha, np.nan)


def split_half_of(covariance: FloatArray) -> float:
    """Correlation of odd and even items, stepped up to the whole length; nan where they cancel out."""
    odd, even = slice(0, None, 2), slice(1, None, 2)
    spread = covariance[odd, odd].sum() * covariance[even, even].sum()
    if not spread > 0.0:
        return float("nan")
    r = float(covariance[odd, even].sum() / spread**0.5)
    # At a correlation of -1 the whole score does not vary; rounding keeps it a little off.
    return 2.0 * r / (1.0 + r) if r > -1.0 + 1e-12 else float("nan")


def omega_of(covariance: FloatArray) -> float:
    """Omega total of a one-factor model."""
    sd = np.sqrt(np.diag(covariance))
    if len(sd) < 3 or not np.isfinite(covariance).all() or not (sd > 0.0).all():
        return float("nan")
    correlation = covariance / np.outer(sd, sd)
    if np.linalg.eigvalsh(correlation)[0] <= 1e-10:
        return float("nan")
    loadings, uniquenesses = one_factor(correlation)
    common = float((loadings * sd).sum()) ** 2
    return common / (common + float((uniquenesses * sd**2).sum()))


def one_factor(correlation: FloatArray) -> tuple[FloatArray, FloatArray]:
    r"""Loadings and uniquenesses of one factor by maximum likelihood.

    The loadings are profiled out: with :math:`\theta` the eigenvalues of
    :math:`\Psi^{-1/2} R \Psi^{-1/2}`, all but the largest enter
    :math:`\sum(\theta - \log\theta - 1)`.

    References
    ----------
    Jöreskog (1967), *Psychometrika* 32, 443-482, doi:10.1007/BF02289658.
    """

    def discrepancy(psi: FloatArray) -> tuple[float, FloatArray]:
        root = np.sqrt(psi)
        values, vectors = np.linalg.eigh(correlation / np.outer(root, root))
        small = values[:-1]
        loading = root * vectors[:, -1] * max(values[-1] - 1.0, 0.0) ** 0.5
        residual = loading**2 + psi - np.diag(correlation)
        return float((small - np.log(small) - 1.0).sum()), residual / psi**2

    n_items = len(correlation)
    start = np.clip((1.0 - 0.5 / n_items) / np.diag(np.linalg.inv(correlation)), 0.01, 0.99)
    found = optimize.minimize(
        discrepancy, start, jac=True, method="L-BFGS-B", bounds=[(0.005, 1.0)] * n_items
    )
    psi = np.asarray(found.x)
    root = np.sqrt(psi)
    values, vectors = np.linalg.eigh(correlation / np.outer(root, root))
    loading = root * vectors[:, -1] * max(values[-1] - 1.0, 0.0) ** 0.5
    return loading * (1.0 if loading.sum() >= 0.0 else -1.0), psi
