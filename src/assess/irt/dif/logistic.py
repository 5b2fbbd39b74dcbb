r"""DIF by logistic regression of the item on score, group and their product.

.. math:: \mathrm{logit}\, P(X \ge k) = \alpha_k + \beta_1 s + \beta_2 g + \beta_3 s g,

g being 1 in the focal group. Two categories make this ordinary logistic
regression, more the proportional-odds model. Uniform DIF compares the models
without :math:`\beta_3`, with and without :math:`\beta_2`; non-uniform DIF those
with and without :math:`\beta_3`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit, xlogy
from scipy.stats import chi2

from assess.irt.parameters import FloatArray, IntArray

_ITERATIONS = 100
# Below this the rounding of the log-likelihood hides whether a step was good.
_LEFT = 1e-9


class _Fit(NamedTuple):
    log_likelihood: float
    thresholds: FloatArray
    slopes: FloatArray


def logistic_rows(table: IntArray, value: FloatArray) -> dict[str, Any]:
    """Likelihood-ratio tests, coefficients and effect sizes of one item.

    Persons alike in score, group and category are one term with a count, so
    that the size of the sample does not matter.
    """
    used = np.flatnonzero(table.sum(axis=(0, 1)) > 0)
    n_strata = len(table)
    counts = table[:, :, used].reshape(2 * n_strata, -1).astype(np.float64)
    kept = counts.sum(axis=1) > 0
    n = float(counts.sum())
    if len(used) < 2 or not counts[1::2].any() or not counts[::2].any():
        return _unknown(len(used))
    score = np.repeat(value, 2)
    weight = counts.sum(axis=1)
    mean = float((weight * score).sum() / n)
    sd = float((weight * (score - mean) ** 2).sum() / n) ** 0.5 or 1.0
    z, g = (score - mean) / sd, np.tile([0.0, 1.0], n_strata)
    design = np.stack([z, g, z * g], axis=1)[kept]
    counts = counts[kept]
    empty = _fit(counts, design[:, :0])
    fits = [empty]
    for width in (1, 2, 3):
        fits.append(_fit(counts, design[:, :width], fits[-1]))
    del fits[0]
    levels = [fit.log_likelihood for fit in fits]
    best = 1.0 - np.exp(2.0 * empty.log_likelihood / n)
    r2 = [(1.0 - np.exp(2.0 * (empty.log_likelihood - one) / n)) / best for one in levels]
    uniform, nonuniform = (max(2.0 * (levels[k + 1] - levels[k]), 0.0) for k in (0, 1))
    total = max(2.0 * (levels[2] - levels[0]), 0.0)
    p = float(chi2.sf(total, 2))
    b_z, b_g, b_zg = fits[2].slopes.tolist()
    gain = float(r2[2] - r2[0])
    intercept = float(fits[2].thresholds[0]) - b_z * mean / sd if len(used) == 2 else float("nan")
    return {
        "chi2": total,
        "df": 2,
        "p": p,
        "chi2_uniform": uniform,
        "p_uniform": float(chi2.sf(uniform, 1)),
        "chi2_nonuniform": nonuniform,
        "p_nonuniform": float(chi2.sf(nonuniform, 1)),
        "b_intercept": intercept,
        "b_score": b_z / sd,
        "b_group": b_g - b_zg * mean / sd,
        "b_interaction": b_zg / sd,
        "r2": float(r2[0]),
        "delta_r2_uniform": float(r2[1] - r2[0]),
        "delta_r2": gain,
        "zumbo_thomas": _size(gain, p, 0.13, 0.26),
        "jodoin_gierl": _size(gain, p, 0.035, 0.07),
    }


# --- inside -----------------------------------------------------------------


def _unknown(n_used: int) -> dict[str, Any]:
    nan = float("nan")
    numbers = (
        "p chi2_uniform p_uniform chi2_nonuniform p_nonuniform b_intercept b_score b_group b_interaction "
        "r2 delta_r2_uniform delta_r2"
    )
    row: dict[str, Any] = {"chi2": nan, "df": 2 if n_used > 1 else 0}
    return row | dict.fromkeys(numbers.split(), nan) | {"zumbo_thomas": "", "jodoin_gierl": ""}


def _size(gain: float, p: float, moderate: float, large: float) -> str:
    if p >= 0.05 or gain < moderate:
        return "A"
    return "B" if gain < large else "C"


def _fit(counts: FloatArray, x: FloatArray, start: _Fit | None = None) -> _Fit:
    """Maximum likelihood by Fisher scoring; rows of counts (M, K), predictors (M, B).

    `start` is the fit without the last predictor.
    """
    n_steps, n_slopes = counts.shape[1] - 1, x.shape[1]
    weight = counts.sum(axis=1)
    at_least = counts[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:].sum(axis=0) / weight.sum()
    beta = np.concatenate([np.log(at_least / (1.0 - at_least)), np.zeros(n_slopes)])
    if start is not None:
        beta[:-1] = np.concatenate([start.thresholds, start.slopes])

    def cells(beta: FloatArray) -> tuple[FloatArray, FloatArray]:
        reached = expit(beta[:n_steps] + (x @ beta[n_steps:])[:, None])
        edges = np.concatenate([np.ones((len(x), 1)), reached, np.zeros((len(x), 1))], axis=1)
        return reached, edges[:, :-1] - edges[:, 1:]

    def log_likelihood(p: FloatArray) -> float:
        if (p < 0.0).any():
            return -np.inf
        return float(xlogy(counts, p).sum())

    reached, p = cells(beta)
    level = log_likelihood(p)
    for _ in range(_ITERATIONS):
        safe = np.maximum(p, 1e-12)
        f = reached * (1.0 - reached)
        ratio = counts / safe
        pull = f * (ratio[:, 1:] - ratio[:, :-1])
        # Only neighbouring thresholds share a cell, so the curvature of a term is tridiagonal.
        own = weight[:, None] * f**2 * (1.0 / safe[:, 1:] + 1.0 / safe[:, :-1])
        between = -weight[:, None] * f[:, 1:] * f[:, :-1] / safe[:, 1:-1]
        row = own.copy()
        row[:, 1:] += between
        row[:, :-1] += between
        corner = np.diag(own.sum(axis=0))
        corner += np.diag(between.sum(axis=0), 1) + np.diag(between.sum(axis=0), -1)
        gradient = np.concatenate([pull.sum(axis=0), x.T @ pull.sum(axis=1)])
        information = np.block([[corner, row.T @ x], [x.T @ row, (x * row.sum(axis=1)[:, None]).T @ x]])
        step = np.linalg.lstsq(information, gradient, rcond=1e-12)[0]
        # Twice the log-likelihood that is left; the next one would be its square.
        last = float(gradient @ step) < _LEFT
        for _ in range(30):
            reached, p = cells(beta + step)
            reply = log_likelihood(p)
            if reply >= level - (_LEFT if last else 0.0):
                break
            step = 0.5 * step
        else:
            break
        beta, level = beta + step, reply
        if last:
            break
    return _Fit(level, beta[:n_steps], beta[n_steps:])
