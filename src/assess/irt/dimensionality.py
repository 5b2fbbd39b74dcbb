r"""How many dimensions a test has: polychoric correlations, parallel analysis, factors.

References
----------
Olsson (1979), *Psychometrika* 44, 443-460, doi:10.1007/BF02296207 (two-step estimation).
Drezner & Wesolowsky (1990), *Journal of Statistical Computation and Simulation* 35, 101-107,
doi:10.1080/00949659008811236 (bivariate normal probabilities).
Horn (1965), *Psychometrika* 30, 179-185, doi:10.1007/BF02289447 (parallel analysis).
Garrido, Abad & Ponsoda (2013), *Psychological Methods* 18, 454-474, doi:10.1037/a0030005.
"""

from __future__ import annotations

import html
import warnings
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from assess.errors import ConvergenceWarning, InvalidParameters, InvalidResponses
from assess.irt.parameters import FloatArray
from assess.responses import ResponseMatrix, as_matrix

__all__ = ["FactorAnalysis", "factor_analysis", "parallel_analysis", "polychoric"]

_MOST = 0.9999
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)
_ITERATIONS = 60


def polychoric(responses: pd.DataFrame | ResponseMatrix) -> pd.DataFrame:
    r"""Correlations of the normal variables that stand behind the categories.

    Thresholds come from each item's margin, then every correlation maximises

    .. math:: \sum_{ab} n_{ab} \log P(\tau_{a-1} < y_1 \le \tau_a,\; \sigma_{b-1} < y_2 \le \sigma_b; \rho).

    Parameters
    ----------
    responses : DataFrame (persons x items) or ResponseMatrix
        Each pair rests on the persons who answered both. An empty cell of a
        two-by-two table counts one half, without which the estimate is one.

    Returns
    -------
    DataFrame (J, J)
        nan for pairs that nobody shares. It need not be positive definite.

    Raises
    ------
    InvalidResponses
        Where an item is empty or constant.

    Examples
    --------
    >>> table = {"i1": [0] * 40 + [1] * 40, "i2": ([0] * 30 + [1] * 10) + ([0] * 10 + [1] * 30)}
    >>> polychoric(pd.DataFrame(table)).loc["i1", "i2"].round(4)
    np.float64(0.7071)
    """
    matrix = as_matrix(responses).informative_items()
    names = list(matrix.item_ids)
    values = _polychoric(matrix.recode(), matrix.n_categories)
    return pd.DataFrame(values, index=pd.Index(names, name="item"), columns=names)


def parallel_analysis(
    responses: pd.DataFrame | ResponseMatrix,
    rng: np.random.Generator,
    *,
    correlation: Literal["polychoric", "Pearson"] = "polychoric",
    n_replications: int = 50,
    level: float = 0.95,
) -> pd.DataFrame:
    """Eigenvalues against those of responses in which the items have nothing in common.

    In each replication every item's responses are dealt out anew among the
    persons who gave one, so that margins and missing cells stay what they are.

    Parameters
    ----------
    responses : DataFrame (persons x items) or ResponseMatrix
    rng : numpy.random.Generator
    correlation : str
        "polychoric" or "Pearson".
    n_replications : int
        At least 10.
    level : float
        Quantile of the replications that an eigenvalue must exceed.

    Returns
    -------
    DataFrame
        Index dimension, from 1; columns eigenvalue, limit, retained (up to the
        first eigenvalue that does not exceed its limit).

    Raises
    ------
    InvalidResponses
        Where an item is empty or constant, or a pair of items shares no person.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> theta = rng.standard_normal((300, 1))
    >>> data = pd.DataFrame((theta + rng.standard_normal((300, 6)) > 0).astype(int))
    >>> int(parallel_analysis(data, rng, correlation="Pearson", n_replications=20).retained.sum())
    1
    """
    if correlation not in ("polychoric", "Pearson"):
        raise InvalidParameters(f"correlation {correlation!r} is not known; say 'polychoric' or 'Pearson'")
    if n_replications < 10 or not 0.0 < level < 1.0:
        raise InvalidParameters(
            f"n_replications = {n_replications}, level = {level}: give at least 10, and 0 < level < 1"
        )
    matrix = as_matrix(responses).informative_items()
    codes, counts = matrix.recode(), matrix.n_categories

    def eigenvalues(values: NDArray[np.int8]) -> FloatArray:
        table = _polychoric(values, counts) if correlation == "polychoric" else _pearson(values)
        if np.isnan(table).any():
            j, k = np.argwhere(np.isnan(table))[0].tolist()
            raise InvalidResponses(
                f"items {matrix.item_ids[j]!r} and {matrix.item_ids[k]!r} share no persons who differ; "
                "leave one of them out"
            )
        return np.asarray(np.linalg.eigvalsh(table)[::-1])

    seen = eigenvalues(codes)
    dealt = np.empty((n_replications, len(seen)))
    for replication in range(n_replications):
        shuffled = codes.copy()
        for j in range(matrix.n_items):
            given = np.flatnonzero(codes[:, j] >= 0)
            shuffled[given, j] = codes[rng.permutation(given), j]
        dealt[replication] = eigenvalues(shuffled)
    limit = np.quantile(dealt, level, axis=0)
    retained = np.logical_and.accumulate(seen > limit)
    return pd.DataFrame(
        {"eigenvalue": seen, "limit": limit, "retained": retained},
        index=pd.RangeIndex(1, len(seen) + 1, name="dimension"),
    )


@dataclass(frozen=True, eq=False)
class FactorAnalysis:
    """Factors of the latent responses, orthogonal.

    Parameters
    ----------
    loadings : DataFrame (J, M)
        Index item, columns F1, F2, ...; F1 explains most, and most of its loadings are positive.
    uniqueness : Series (J,)
        One minus the communality.
    explained : Series (M,)
        Share of all variance.
    rmsr : float
        Root mean square of the residual correlations of pairs.
    rotation : str
    converged : bool
    """

    loadings: pd.DataFrame = field(repr=False)
    uniqueness: pd.Series[float] = field(repr=False)
    explained: pd.Series[float]
    rmsr: float
    rotation: str
    converged: bool

    def __repr__(self) -> str:
        n_items, n_factors = self.loadings.shape
        end = "" if self.converged else ", NOT converged"
        share = 100 * float(self.explained.sum())
        what = f"{n_factors} of {n_items} items, {share:.0f} % explained"
        return f"<FactorAnalysis: {what}, RMSR {self.rmsr:.3f}{end}>"

    def summary(self) -> str:
        """The page: loadings, uniqueness, what is explained."""
        table = self.loadings.assign(uniqueness=self.uniqueness).round(3).to_string()
        return "\n".join([repr(self)[1:-1], "", table, "", self.explained.round(3).to_string()])

    def _repr_html_(self) -> str:
        """For notebooks."""
        table = self.loadings.assign(uniqueness=self.uniqueness).round(3).to_html()
        return f"<p><strong>{html.escape(repr(self)[1:-1])}</strong></p>{table}"


def factor_analysis(
    responses: pd.DataFrame | ResponseMatrix,
    n_factors: int,
    *,
    rotation: Literal["varimax", "none"] = "varimax",
    correlation: Literal["polychoric", "Pearson"] = "polychoric",
) -> FactorAnalysis:
    r"""Exploratory factor analysis of the correlations of items, by minimum residuals.

    .. math:: \min_\Lambda \sum_{j<l} \bigl(r_{jl} - (\Lambda\Lambda^\top)_{jl}\bigr)^2

    Parameters
    ----------
    responses : DataFrame (persons x items) or ResponseMatrix
    n_factors : int
        `parallel_analysis` says how many stand above chance.
    rotation : str
        "varimax" (with Kaiser's normalisation) or "none".
    correlation : str
        "polychoric" or "Pearson".

    Raises
    ------
    InvalidParameters
        More factors than the correlations can tell apart.
    InvalidResponses
        As in `parallel_analysis`.

    Warns
    -----
    ConvergenceWarning
        The residuals still fall after 5,000 steps, or an item has no variance of its own left.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> theta = rng.standard_normal((1000, 2))
    >>> tau = np.repeat(np.eye(2), 4, axis=0)
    >>> data = pd.DataFrame((theta @ tau.T + rng.standard_normal((1000, 8)) > 0).astype(int))
    >>> factor_analysis(data, 2).loadings.abs().idxmax(axis=1).tolist()[::4] in (["F1", "F2"], ["F2", "F1"])
    True

    References
    ----------
    Harman & Jones (1966), *Psychometrika* 31, 351-368, doi:10.1007/BF02289468 (minimum residuals).
    Kaiser (1958), *Psychometrika* 23, 187-200, doi:10.1007/BF02289233 (varimax).
    """
    if correlation not in ("polychoric", "Pearson") or rotation not in ("varimax", "none"):
        raise InvalidParameters(
            f"correlation {correlation!r}, rotation {rotation!r}: say 'polychoric' or 'Pearson', and "
            "'varimax' or 'none'"
        )
    matrix = as_matrix(responses).informative_items()
    n = matrix.n_items
    if n_factors < 1 or (n - n_factors) ** 2 < n + n_factors:
        raise InvalidParameters(f"{n_factors} factors cannot be told apart by the correlations of {n} items")
    codes = matrix.recode()
    table = _polychoric(codes, matrix.n_categories) if correlation == "polychoric" else _pearson(codes)
    if np.isnan(table).any():
        j, k = np.argwhere(np.isnan(table))[0].tolist()
        raise InvalidResponses(
            f"items {matrix.item_ids[j]!r} and {matrix.item_ids[k]!r} share no persons who differ; "
            "leave one of them out"
        )
    communality = 1.0 - 1.0 / np.diag(np.linalg.pinv(table + 1e-8 * np.eye(n)))
    converged = False
    for _ in range(5_000):
        values, vectors = np.linalg.eigh(table - np.diag(1.0 - communality))
        loadings = vectors[:, ::-1][:, :n_factors] * np.sqrt(np.maximum(values[::-1][:n_factors], 0.0))
        moved = np.minimum((loadings**2).sum(axis=1), 1.0)
        converged = bool(np.abs(moved - communality).max() < 1e-8)
        communality = moved
        if converged:
            break
    if not converged or (communality > 0.995).any():
        worst = matrix.item_ids[int(communality.argmax())]
        warnings.warn(
            f"factor analysis ended where item {worst!r} has a communality of {communality.max():.3f}; "
            "fewer factors may do",
            ConvergenceWarning,
            stacklevel=2,
        )
    if rotation == "varimax" and n_factors > 1:
        loadings = _varimax(loadings)
    order = np.argsort(-(loadings**2).sum(axis=0), kind="stable")
    loadings = loadings[:, order] * np.where(loadings[:, order].sum(axis=0) < 0.0, -1.0, 1.0)
    rest = (table - loadings @ loadings.T)[np.triu_indices(n, 1)]
    names = [f"F{m + 1}" for m in range(n_factors)]
    index = pd.Index(matrix.item_ids, name="item")
    return FactorAnalysis(
        pd.DataFrame(loadings, index=index, columns=names),
        pd.Series(1.0 - (loadings**2).sum(axis=1), index=index, name="uniqueness"),
        pd.Series((loadings**2).sum(axis=0) / n, index=names, name="explained"),
        float(np.sqrt((rest**2).mean())),
        rotation if n_factors > 1 else "none",
        converged,
    )


def _varimax(loadings: FloatArray) -> FloatArray:
    """Turned so that squared loadings, each item's scaled to one, vary most within factors."""
    length = np.maximum(np.sqrt((loadings**2).sum(axis=1, keepdims=True)), 1e-12)
    scaled, turn, before = loadings / length, np.eye(loadings.shape[1]), 0.0
    for _ in range(1_000):
        turned = scaled @ turn
        u, s, v = np.linalg.svd(scaled.T @ (turned**3 - turned * (turned**2).mean(axis=0)))
        turn = u @ v
        if s.sum() - before < 1e-12 * max(s.sum(), 1.0):
            break
        before = float(s.sum())
    return np.asarray(scaled @ turn * length)


def binormal(h: FloatArray, k: FloatArray, rho: FloatArray) -> FloatArray:
    r"""Probability that both of two standard normal variables stay below h and k.

    .. math::

       \Phi(h)\Phi(k) + \frac1{2\pi}\int_0^{\arcsin\rho}
       \exp\Bigl(-\frac{h^2 + k^2 - 2hk\sin t}{2\cos^2 t}\Bigr)dt

    Infinite limits are taken as limits.
    """
    infinite = np.isinf(h) | np.isinf(k)
    a, b = np.where(infinite, 0.0, h), np.where(infinite, 0.0, k)
    half = 0.5 * np.arcsin(rho)
    total = np.zeros(np.broadcast(a, b, rho).shape)
    for node, weight in zip(_NODES.tolist(), _WEIGHTS.tolist(), strict=True):
        sine = np.sin(half * (1.0 + node))
        total += weight * np.exp(-0.5 * (a * a + b * b - 2.0 * a * b * sine) / (1.0 - sine * sine))
    return np.where(infinite, ndtr(h) * ndtr(k), ndtr(h) * ndtr(k) + half * total / (2.0 * np.pi))


# --- inside -----------------------------------------------------------------


def _polychoric(codes: NDArray[np.int8], n_categories: NDArray[np.int64]) -> FloatArray:
    n_items, width = codes.shape[1], int(n_categories.max())
    chosen = (codes[:, :, None] == np.arange(width)).astype(np.float64)
    shares = chosen.sum(axis=0)
    reached = np.cumsum(shares, axis=1) / shares.sum(axis=1, keepdims=True)
    # Empty categories at either end have infinite thresholds; those after the last are all at infinity.
    inner = ndtri(np.where(reached[:, :-1] > 1.0 - 1e-12, 1.0, reached[:, :-1]))
    edge = np.full((n_items, 1), np.inf)
    thresholds = np.concatenate([-edge, inner, edge], axis=1)
    flat = chosen.reshape(len(codes), -1)
    counts = (flat.T @ flat).reshape(n_items, width, n_items, width)
    first, second = np.triu_indices(n_items, 1)
    tables = counts[first, :, second, :]
    binary = (n_categories[first] == 2) & (n_categories[second] == 2)
    lonely = binary & (tables[:, :2, :2] == 0.0).any(axis=(1, 2)) & (tables.sum(axis=(1, 2)) > 0.0)
    corner = tables[:, :2, :2]
    corner[lonely] = np.where(corner[lonely] == 0.0, 0.5, corner[lonely])
    out = np.eye(n_items)
    out[first, second] = out[second, first] = _maximise(tables, thresholds[first], thresholds[second])
    return out


def _maximise(tables: FloatArray, rows: FloatArray, columns: FloatArray) -> FloatArray:
    """The correlation of each table, by Fisher scoring with halved steps, (M,)."""
    n = tables.sum(axis=(1, 2))
    h, k = rows[:, :, None], columns[:, None, :]
    rho = np.zeros(len(tables))

    def cells(rho: FloatArray, active: NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
        r = rho[:, None, None]
        a, b = h[active], k[active]
        infinite = np.isinf(a) | np.isinf(b)
        x, y = np.where(infinite, 0.0, a), np.where(infinite, 0.0, b)
        spread = 1.0 - r * r
        density = np.exp(-0.5 * (x * x + y * y - 2.0 * r * x * y) / spread) / (2.0 * np.pi * np.sqrt(spread))
        below, slope = binormal(a, b, r), np.where(infinite, 0.0, density)
        return (
            np.maximum(np.diff(np.diff(below, axis=1), axis=2), 1e-12),
            np.diff(np.diff(slope, axis=1), axis=2),
        )

    active = np.flatnonzero(n > 0)
    for _ in range(_ITERATIONS):
        if not len(active):
            break
        p, slope = cells(rho[active], active)
        score = (tables[active] * slope / p).sum(axis=(1, 2))
        information = n[active] * (slope * slope / p).sum(axis=(1, 2))
        # A step never goes more than half of the way to the end of the range.
        step = score / np.maximum(information, 1e-12)
        room = 0.5 * np.where(step > 0.0, _MOST - rho[active], _MOST + rho[active])
        step = np.clip(step, -room, room)
        rho[active] += step
        active = active[np.abs(step) > 1e-10]
    return np.where(n > 0, rho, np.nan)


def _pearson(codes: NDArray[np.int8]) -> FloatArray:
    from assess.irt.fit.pairs import pairwise_correlation

    return pairwise_correlation(np.where(codes >= 0, codes, np.nan).astype(np.float64))
