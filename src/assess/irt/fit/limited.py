r"""Fit of the model as a whole, from the moments of single items and of pairs.

With e the differences between observed and expected moments, :math:`\Xi` their
covariance under the model and :math:`\Delta` the derivatives of the moments by
the estimated parameters,

.. math::

   M = N\, e^\top\bigl[\Xi^{-1} - \Xi^{-1}\Delta(\Delta^\top\Xi^{-1}\Delta)^{-1}\Delta^\top\Xi^{-1}\bigr] e

is chi-square with as many degrees of freedom as there are moments minus the
rank of :math:`\Delta`. M2* takes means and cross-products of item scores, C2
category proportions and cross-products of scores, M2 proportions of categories
and of pairs of categories. For dichotomous items the three are one.

References
----------
Maydeu-Olivares & Joe (2006), *Psychometrika* 71, 713-732, doi:10.1007/s11336-005-1295-9 (M2).
Cai & Hansen (2013), *British Journal of Mathematical and Statistical Psychology* 66, 245-276,
doi:10.1111/j.2044-8317.2012.02050.x (M2*).
Cai & Monroe (2014), CRESST Report 839 (C2).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cholesky, solve_triangular
from scipy.optimize import brentq
from scipy.stats import chi2, ncx2

from assess.errors import DataWarning, InvalidParameters, InvalidResponses
from assess.irt.fit.moments import conditional_moments
from assess.irt.fit.sources import Fitted, booklets, fitted
from assess.irt.linking.curves import variations
from assess.irt.models import category_probabilities
from assess.irt.parameters import FloatArray, ItemParameters
from assess.irt.quadrature import DensityPrior
from assess.irt.scoring import Source
from assess.responses import ResponseMatrix

Statistic = Literal["auto", "M2*", "C2", "M2"]
_STEP = 1e-5


@dataclass(frozen=True, slots=True)
class ModelFit:
    """Limited-information fit of a calibration.

    Parameters
    ----------
    m2, df, p : float, int, float
        The statistic, nan where no degree of freedom is left.
    rmsea, rmsea_low, rmsea_high : float
        With its 90 % interval.
    srmsr : float
        Root mean square of the differences between observed and expected
        correlations.
    cfi, tli : float
        Against the model of independent items; nan where that has no degrees of freedom.
    statistic : str
        "M2*", "C2" or "M2".
    n_persons : int
        Whom it rests on.
    """

    m2: float
    df: int
    p: float
    rmsea: float
    rmsea_low: float
    rmsea_high: float
    srmsr: float
    cfi: float
    tli: float
    statistic: str
    n_persons: int = field(default=0)

    def __repr__(self) -> str:
        return (
            f"<ModelFit: {self.statistic} = {self.m2:.2f}, df = {self.df}, p = {self.p:.3g}, "
            f"RMSEA {self.rmsea:.3f} [{self.rmsea_low:.3f}, {self.rmsea_high:.3f}], SRMSR {self.srmsr:.3f}>"
        )

    def to_frame(self) -> pd.DataFrame:
        """One row."""
        return pd.DataFrame([{name: getattr(self, name) for name in self.__slots__}])

    def summary(self) -> str:
        """The page."""
        return f"{repr(self)[1:-1]}\nCFI {self.cfi:.3f}, TLI {self.tli:.3f}, {self.n_persons:,} persons"

    def _repr_html_(self) -> str:
        """For notebooks."""
        return str(self.to_frame().to_html(index=False))


def model_fit(
    calibration: Source,
    responses: pd.DataFrame | ResponseMatrix,
    *,
    statistic: Statistic = "auto",
    missing: Literal["complete", "planned"] = "complete",
) -> ModelFit:
    r"""M2*, C2 or M2 with RMSEA, SRMSR, CFI and TLI.

    .. math:: RMSEA = \sqrt{\max(0, M - df) / (df\,(N - 1))}

    Parameters
    ----------
    calibration : calibration, ItemParameters or ParameterSet
        Its parameters are taken as estimated from these responses, except those
        that a calibration held fixed. Bare parameters count as estimated in the
        standard normal population.
    responses : DataFrame (persons x items) or ResponseMatrix
    statistic : str
        "auto" takes M2*, or C2 where M2* has no degree of freedom.
    missing : "complete" or "planned"
        Use persons who answered all items (the others are set aside, and that
        is said), or booklets that were handed out whatever the answers.

    Returns
    -------
    ModelFit

    Raises
    ------
    InvalidParameters
        A statistic that is not known, or a population whose density was estimated.
    InvalidResponses
        Where nobody answered all items; where missing responses are no planned
        booklets, as after adaptive routing, for which no distribution is known.

    Examples
    --------
    >>> from assess.irt import ItemParameters, simulate
    >>> items = ItemParameters([f"i{j}" for j in range(6)], "2PL", np.ones(6), np.linspace(-1, 1, 6)[:, None])
    >>> rng = np.random.default_rng(1)
    >>> data = pd.DataFrame(simulate(items, rng.standard_normal(500), rng), columns=list(items.item_ids))
    >>> model_fit(items, data).df
    9
    """
    if statistic not in ("auto", "M2*", "C2", "M2"):
        raise InvalidParameters(f"statistic {statistic!r} is not known; say 'auto', 'M2*', 'C2' or 'M2'")
    if missing not in ("complete", "planned"):
        raise InvalidParameters(f"missing={missing!r}: say 'complete' or 'planned'")
    model = fitted(calibration, responses)
    if isinstance(model.population, DensityPrior):
        raise InvalidParameters(
            "model fit needs the derivatives by the population's parameters, and knows those of normal ones; "
            "ask it of the calibration with density='normal'"
        )
    if len(model.items) < 2:
        raise InvalidResponses("one item has no pairs; model fit needs at least two items")
    if missing == "planned":
        categories = model.categories[(model.categories >= 0).any(axis=1)]
    else:
        categories = model.complete("model fit")
    words = [statistic] if statistic != "auto" else ["M2*", "C2"]
    for word in words:
        observed = _Observed.of(categories, model.items, word)
        expected = conditional_moments(category_probabilities(model.items, model.nodes), word, model.items)
        kept = observed.known
        delta = _derivatives(model, word)[kept]
        found = _quadratic_form(
            observed, expected.covariance(model.weights), expected.mean(model.weights), delta
        )
        if found.df > 0:
            break
    null = _independence(observed, word, model.items)
    return _report(found, null, observed, model, word)


# --- inside -----------------------------------------------------------------


class _Chi2(NamedTuple):
    statistic: float
    df: int


class _Observed(NamedTuple):
    """Observed moments, and what is needed of who answered what."""

    moments: FloatArray
    scale: FloatArray
    known: NDArray[np.bool_]
    categories: NDArray[np.int8]

    @classmethod
    def of(cls, categories: NDArray[np.int8], items: ItemParameters, word: str) -> _Observed:
        """Moments over persons who have the items of each; `scale` is N_st / (N_s N_t)."""
        given = categories >= 0
        n_categories = items.max_categories
        # Every response as a certain distribution: the same code gives observed and expected moments.
        certain = (categories[:, :, None] == np.arange(n_categories)).astype(np.float64)
        features = conditional_moments(certain, word, items)
        values = features.conditional()
        if given.all():
            n = len(categories)
            p = values.shape[1]
            return cls(values.mean(axis=0), np.full((p, p), 1.0 / n), np.ones(p, dtype=bool), categories)
        booklet, counts = booklets(categories)
        both = features.presence(booklet)
        n_each = counts @ both
        known = n_each > 1
        present = features.presence(given)
        moments = (values * present).sum(axis=0)[known] / n_each[known]
        both = both[:, known]
        together = both.T @ (counts[:, None] * both)
        scale = together / np.outer(n_each[known], n_each[known])
        return cls(moments, scale, known, categories)


def _quadratic_form(
    observed: _Observed, covariance: FloatArray, mean: FloatArray, delta: FloatArray
) -> _Chi2:
    kept = np.flatnonzero(observed.known)
    covariance = covariance[np.ix_(kept, kept)] * observed.scale
    e = observed.moments - mean[kept]
    # Moments differ in scale; the solution does not, the rounding does.
    unit = np.sqrt(np.diag(covariance))
    try:
        root = cholesky(covariance / np.outer(unit, unit), lower=True)
    except LinAlgError:
        raise InvalidResponses(
            "the moments of these items depend on one another; leave out items without variation, "
            "or items that repeat another one"
        ) from None
    white = solve_triangular(root, e / unit, lower=True)
    turned = solve_triangular(root, delta / unit[:, None], lower=True)
    u, s, _ = np.linalg.svd(turned, full_matrices=False)
    rank = int((s > 1e-7 * s.max(initial=0.0)).sum())
    statistic = float(white @ white - ((white @ u[:, :rank]) ** 2).sum())
    return _Chi2(max(statistic, 0.0), len(e) - rank)


def _derivatives(model: Fitted, word: str) -> FloatArray:
    """Derivatives of the expected moments by the estimated parameters, (p, P)."""
    items = model.items
    probabilities = category_probabilities(items, model.nodes)
    moments = conditional_moments(probabilities, word, items)
    names = [
        (item, name)
        for item, record, free in zip(items.item_ids, items.to_records(), model.free, strict=True)
        for name in record
        if free and _is_free(str(record["model"]), name)
    ]
    columns: list[FloatArray] = []
    if names:
        moved = variations(items, names)
        shift = moved.curves(model.nodes, by_category=True).value
        shared: dict[tuple[str, int, str], int] = {}
        for place, (item, name) in enumerate(names):
            j = items.position[item]
            column = moments.derivative(j, shift[:, place, :], model.weights)
            word_of = items.models[j]
            if (word_of, name[:3]) in (("1PL", "a"), ("RSM", "tau")):
                key = (word_of, int(items.n_categories[j]), name)
                if key in shared:
                    columns[shared[key]] = columns[shared[key]] + column
                    continue
                shared[key] = len(columns)
            columns.append(column)
    conditional = moments.conditional()
    mean, sd = model.population.mean, model.population.sd
    for free, step in ((model.free_mean, (_STEP, 0.0)), (model.free_sd, (0.0, _STEP))):
        if free:
            up, down = (
                _weights(model.nodes, mean + sign * step[0], sd + sign * step[1]) for sign in (1.0, -1.0)
            )
            columns.append((up - down) @ conditional / (2.0 * _STEP))
    if not columns:
        return np.zeros((conditional.shape[1], 0))
    return np.stack(columns, axis=1)


def _is_free(model: str, name: str) -> bool:
    if name in ("item", "model", "n_categories"):
        return False
    return not (name == "a" and model in ("Rasch", "PCM", "RSM"))


def _weights(nodes: FloatArray, mean: float, sd: float) -> FloatArray:
    density = np.exp(-0.5 * ((nodes - mean) / sd) ** 2)
    return np.asarray(density / density.sum())


def _independence(observed: _Observed, word: str, items: ItemParameters) -> _Chi2:
    """The same statistic for items that have nothing to do with one another."""
    categories = observed.categories
    shares = np.stack([(categories == k).sum(axis=0) for k in range(items.max_categories)], axis=1)
    shares = shares / np.maximum(shares.sum(axis=1, keepdims=True), 1)
    moments = conditional_moments(shares[None], word, items)
    one = np.ones(1)
    columns = []
    for j, n_categories in enumerate(items.n_categories.tolist()):
        for k in range(1, n_categories):
            shift = np.zeros((1, items.max_categories))
            shift[0, k], shift[0, 0] = 1.0, -1.0
            columns.append(moments.derivative(j, shift, one))
    delta = np.stack(columns, axis=1)[observed.known]
    return _quadratic_form(observed, moments.covariance(one), moments.mean(one), delta)


def _report(found: _Chi2, null: _Chi2, observed: _Observed, model: Fitted, word: str) -> ModelFit:
    n = len(observed.categories)
    statistic, df = found
    srmsr = _srmsr(observed.categories, model)
    if df < 1:
        nan = float("nan")
        warnings.warn(
            f"{word} has no degree of freedom with {len(model.items)} items; only SRMSR is known",
            DataWarning,
            stacklevel=3,
        )
        return ModelFit(nan, df, nan, nan, nan, nan, srmsr, nan, nan, word, n)

    def rmsea(excess: float) -> float:
        return float((max(excess, 0.0) / (df * (n - 1))) ** 0.5)

    cfi = tli = float("nan")
    if null.df > 0:
        worst = max(null.statistic - null.df, statistic - df, 0.0)
        cfi = 1.0 - max(statistic - df, 0.0) / worst if worst > 0.0 else 1.0
        base = null.statistic / null.df
        tli = (base - statistic / df) / (base - 1.0)
    return ModelFit(
        m2=statistic,
        df=df,
        p=float(chi2.sf(statistic, df)),
        rmsea=rmsea(statistic - df),
        rmsea_low=rmsea(_noncentrality(statistic, df, 0.95)),
        rmsea_high=rmsea(_noncentrality(statistic, df, 0.05)),
        srmsr=srmsr,
        cfi=cfi,
        tli=tli,
        statistic=word,
        n_persons=n,
    )


def _noncentrality(statistic: float, df: int, probability: float) -> float:
    """The noncentrality under which so much of the distribution lies below the statistic."""
    if chi2.cdf(statistic, df) <= probability:
        return 0.0

    def gap(lam: float) -> float:
        return float(ncx2.cdf(statistic, df, lam)) - probability

    high = max(statistic, 1.0)
    while gap(high) > 0.0:
        high *= 2.0
    return float(brentq(gap, 1e-10, high))


def _srmsr(categories: NDArray[np.int8], model: Fitted) -> float:
    """Root mean square difference of observed and expected correlations."""
    from assess.irt.fit.pairs import pairwise_correlation

    scores = np.where(categories >= 0, categories, np.nan).astype(np.float64)
    seen = pairwise_correlation(scores)
    p = category_probabilities(model.items, model.nodes)
    k = np.arange(p.shape[2], dtype=np.float64)
    conditional, square = p @ k, p @ k**2
    w = model.weights
    mean = w @ conditional
    cross = conditional.T @ (w[:, None] * conditional) - np.outer(mean, mean)
    sd = np.sqrt(w @ square - mean**2)
    wanted = cross / np.outer(sd, sd)
    pairs = np.triu_indices(len(mean), 1)
    return float(np.sqrt(np.nanmean((seen - wanted)[pairs] ** 2)))
