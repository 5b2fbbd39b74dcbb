"""Chi-squares of stratified tables of two groups by categories.

Strata in which one of the groups is empty compare nothing and are left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import chi2

from assess.irt.parameters import FloatArray, IntArray

_NAN = float("nan")


def mantel_haenszel_row(table: IntArray, continuity: bool) -> dict[str, Any]:
    r"""Common odds ratio, delta with the Phillips-Holland error, chi-square, ETS class.

    A: \|delta\| < 1 or p >= 0.05; C: \|delta\| >= 1.5 and significantly above 1
    (one-sided 5 %); B: the rest.
    """
    counts = _comparable(table)
    right_r, wrong_r, right_f, wrong_f = (
        counts[:, 0, 1],
        counts[:, 0, 0],
        counts[:, 1, 1],
        counts[:, 1, 0],
    )
    n = counts.sum(axis=(1, 2))
    r, s = right_r * wrong_f / n, wrong_r * right_f / n
    n_r, n_f, right = right_r + wrong_r, right_f + wrong_f, right_r + right_f
    kept = n > 1
    expected = n_r * right / n
    variance = (n_r * n_f * right * (n - right))[kept] / (n**2 * (n - 1))[kept]
    away, spread = abs(float((right_r - expected).sum())), float(variance.sum())
    statistic = max(away - (0.5 if continuity else 0.0), 0.0) ** 2 / spread if spread > 0.0 else _NAN
    p = float(chi2.sf(statistic, 1))
    weight = counts[:, 1].sum(axis=1)
    p_dif = _NAN
    if len(n):
        p_dif = float((weight * (right_f / n_f - right_r / n_r)).sum() / weight.sum())
    top, bottom = float(r.sum()), float(s.sum())
    if not (top > 0.0 and bottom > 0.0):
        # Nobody right in one group: the odds ratio is 0, infinite or unknown, and so is its error.
        alpha = _NAN if top == bottom else (np.inf if top > 0.0 else 0.0)
        with np.errstate(divide="ignore"):
            delta = -2.35 * float(np.log(alpha))
        row = {"alpha": alpha, "delta": delta, "se_delta": _NAN, "chi2": statistic, "p": p}
        return row | {"ets": _ets(delta, 0.0, p) if np.isinf(delta) else "", "p_dif": p_dif}
    plus, minus = (right_r + wrong_f) / n, (wrong_r + right_f) / n
    log_variance = (
        (plus * r).sum() / (2.0 * top**2)
        + (plus * s + minus * r).sum() / (2.0 * top * bottom)
        + (minus * s).sum() / (2.0 * bottom**2)
    )
    delta, se = -2.35 * float(np.log(top / bottom)), 2.35 * float(log_variance) ** 0.5
    return {
        "alpha": top / bottom,
        "delta": delta,
        "se_delta": se,
        "chi2": statistic,
        "p": p,
        "ets": _ets(delta, se, p),
        "p_dif": p_dif,
    }


def mantel_row(table: IntArray) -> dict[str, Any]:
    """Mantel's chi-square on the scores 0, 1, ..., and the standardised mean difference."""
    counts = _comparable(table)
    scores = np.arange(counts.shape[2], dtype=np.float64)
    n_r, n_f = counts[:, 0].sum(axis=1), counts[:, 1].sum(axis=1)
    n, all_counts = n_r + n_f, counts.sum(axis=1)
    first, second = all_counts @ scores, all_counts @ scores**2
    focal = counts[:, 1] @ scores
    variance = n_r * n_f * (n * second - first**2) / (n**2 * (n - 1.0))
    spread = float(variance.sum())
    statistic = float((focal - n_f * first / n).sum()) ** 2 / spread if spread > 0.0 else _NAN
    p = float(chi2.sf(statistic, 1))
    smd = _NAN
    if len(n):
        smd = float((n_f * (focal / n_f - counts[:, 0] @ scores / n_r)).sum() / n_f.sum())
    total = table.sum(axis=(0, 1))
    share = total / max(int(total.sum()), 1)
    sd = float(share @ scores**2 - (share @ scores) ** 2) ** 0.5
    size = abs(smd) / sd if sd > 0.0 else _NAN
    ets = "" if np.isnan(p) else "A" if p >= 0.05 or size <= 0.17 else "B" if size <= 0.25 else "C"
    return {"chi2": statistic, "p": p, "smd": smd, "ets": ets}


def generalised_row(table: IntArray) -> dict[str, Any]:
    """Chi-square of all categories against the group, in whatever way they differ."""
    counts = _comparable(table)
    used = np.flatnonzero(counts.sum(axis=(0, 1)) > 0)
    df = len(used) - 1
    if df < 1:
        return {"chi2": _NAN, "df": max(df, 0), "p": _NAN}
    cells, sizes = counts[:, :, used[1:]], counts[:, :, used].sum(axis=2)
    n = sizes.sum(axis=1)
    both = cells.sum(axis=1)
    away = (cells[:, 1] - sizes[:, 1, None] * both / n[:, None]).sum(axis=0)
    factor = sizes[:, 0] * sizes[:, 1] / (n**2 * (n - 1.0))
    covariance = np.diag(factor * n @ both) - (factor[:, None] * both).T @ both
    rank = int(np.linalg.matrix_rank(covariance))
    statistic = float(away @ np.linalg.pinv(covariance) @ away)
    return {"chi2": statistic, "df": rank, "p": float(chi2.sf(statistic, rank))}


# --- inside -----------------------------------------------------------------


def _comparable(table: IntArray) -> FloatArray:
    sizes = table.sum(axis=2)
    return np.asarray(table[(sizes > 0).all(axis=1)], dtype=np.float64)


def _ets(delta: float, se: float, p: float) -> str:
    size = abs(delta)
    if np.isnan(p) or p >= 0.05 or size < 1.0:
        return "A"
    return "C" if size >= 1.5 and size - 1.645 * se > 1.0 else "B"
