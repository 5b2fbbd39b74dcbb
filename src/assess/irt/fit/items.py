r"""Fit of single items: S-X2 against summed scores, infit and outfit against thetas.

References
----------
Orlando & Thissen (2000), *Applied Psychological Measurement* 24, 50-64, doi:10.1177/01466216000241003.
Kang & Chen (2008), *Journal of Educational Measurement* 45, 391-406,
doi:10.1111/j.1745-3984.2008.00071.x (polytomous).
Wright & Masters (1982), *Rating Scale Analysis*, ch. 5.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import chi2

from assess.errors import InvalidParameters
from assess.irt.fit.collapse import collapse
from assess.irt.fit.residuals import mean_squares, residuals, thetas
from assess.irt.fit.sources import Fitted, fitted, n_item_parameters
from assess.irt.models import category_probabilities
from assess.irt.parameters import FloatArray
from assess.irt.scoring import Method, Source
from assess.responses import ResponseMatrix


def item_fit(
    calibration: Source,
    responses: pd.DataFrame | ResponseMatrix,
    method: Literal["S-X2", "infit-outfit"] = "S-X2",
    *,
    scoring: Method = "WL",
    theta: ArrayLike | None = None,
    min_expected: float = 1.0,
) -> pd.DataFrame:
    r"""How well each item follows its model.

    S-X2 compares, among persons of one summed score, the categories seen with
    those expected,

    .. math::

       E_{jk}(s) = \frac{\int P_{jk}(\theta)\, L^{(j)}_{s-k}(\theta)\,\phi(\theta)\,d\theta}
                        {\int L_s(\theta)\,\phi(\theta)\,d\theta},

    L being the distribution of the summed score, :math:`L^{(j)}` that without
    the item. Degrees of freedom are cells minus score groups minus the item's
    estimated parameters minus those of the population. It rests on persons who
    answered all items.

    Infit and outfit are mean squares of residuals at estimated thetas. Their z
    is printed as in other programs; it does not hold its level, because the
    thetas come from the same responses, so flag items by simulation.

    Parameters
    ----------
    calibration : calibration, ItemParameters or ParameterSet
        A calibration brings its population.
    responses : DataFrame (persons x items) or ResponseMatrix
    method : str
        "S-X2" or "infit-outfit".
    scoring : str
        How thetas are estimated for infit and outfit; persons with an infinite
        theta are left out.
    theta : array (N,), optional
        Thetas to use instead.
    min_expected : float
        Cells of S-X2 with a smaller expected count are joined.

    Returns
    -------
    DataFrame
        Index item; columns statistic, df, p, rmsea, or infit, outfit, z_infit,
        z_outfit. nan where no degree of freedom is left.

    Raises
    ------
    InvalidResponses
        Where items have no parameters, or S-X2 finds nobody with complete responses.

    Examples
    --------
    >>> from assess.irt import ItemParameters, simulate
    >>> items = ItemParameters([f"i{j}" for j in range(6)], "2PL", np.ones(6), np.linspace(-1, 1, 6)[:, None])
    >>> rng = np.random.default_rng(1)
    >>> data = pd.DataFrame(simulate(items, rng.standard_normal(500), rng), columns=list(items.item_ids))
    >>> item_fit(items, data).df.tolist()
    [3.0, 3.0, 3.0, 3.0, 3.0, 3.0]
    """
    model = fitted(calibration, responses)
    if method == "S-X2":
        return _summed_score_fit(model, min_expected)
    if method != "infit-outfit":
        raise InvalidParameters(f"method {method!r} is not known; say 'S-X2' or 'infit-outfit'")
    at = thetas(model, scoring, theta)
    known = np.isfinite(at)
    found = mean_squares(residuals(model.categories[known], model.items, at[known]), axis=0)
    return pd.DataFrame(found, index=pd.Index(model.items.item_ids, name="item"))


def _summed_score_fit(model: Fitted, min_expected: float) -> pd.DataFrame:
    categories = model.complete("S-X2")
    score = categories.sum(axis=1, dtype=np.int64)
    n_groups = int((model.items.n_categories - 1).sum()) + 1
    spent = np.where(model.free, n_item_parameters(model.items), 0) + model.free_mean + model.free_sd
    rows = np.empty((len(model.items), 4))
    for j, expected in expected_by_score(model):
        n_categories = expected.shape[1]
        cells = np.bincount(score * n_categories + categories[:, j], minlength=n_groups * n_categories)
        observed = cells.reshape(n_groups, n_categories).astype(np.float64)
        # The lowest and the highest score leave the category no choice.
        groups = collapse(observed[1:-1], expected[1:-1], min_expected)
        statistic = sum(float(((seen - wanted) ** 2 / wanted).sum()) for seen, wanted in groups)
        df = sum(len(seen) - 1 for seen, _ in groups) - int(spent[j])
        if df < 1:
            rows[j] = np.nan
            continue
        rmsea = (max(0.0, statistic - df) / (df * (len(categories) - 1))) ** 0.5
        rows[j] = statistic, df, chi2.sf(statistic, df), rmsea
    return pd.DataFrame(
        rows,
        columns=["statistic", "df", "p", "rmsea"],
        index=pd.Index(model.items.item_ids, name="item"),
    )


def expected_by_score(model: Fitted) -> Iterator[tuple[int, FloatArray]]:
    """Probability of each category of each item at each summed score, (S, K); nan if impossible."""
    probabilities = category_probabilities(model.items, model.nodes)
    counts = model.items.n_categories.tolist()
    n_scores = sum(counts) - len(counts) + 1

    def convolved(scores: FloatArray, j: int) -> FloatArray:
        longer = np.zeros((len(scores) + counts[j] - 1, scores.shape[1]))
        for k in range(counts[j]):
            longer[k : k + len(scores)] += scores * probabilities[:, j, k]
        return longer

    def without_each(low: int, high: int, others: FloatArray) -> Iterator[tuple[int, FloatArray]]:
        """Halving leaves each item out with about log2(J) convolutions apiece instead of J."""
        if high - low == 1:
            yield low, others
            return
        middle = (low + high) // 2
        for first, last, skipped in ((low, middle, (middle, high)), (middle, high, (low, middle))):
            scores = others
            for j in range(*skipped):
                scores = convolved(scores, j)
            yield from without_each(first, last, scores)

    for j, rest in without_each(0, len(counts), model.weights[None, :]):
        joint = np.zeros((n_scores, counts[j]))
        for k in range(counts[j]):
            joint[k : k + len(rest), k] = rest @ probabilities[:, j, k]
        yield j, joint / joint.sum(axis=1, keepdims=True)
