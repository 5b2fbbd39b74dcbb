"""Differential item functioning: whether an item treats equally able members of two groups alike.

Importing this package loads numpy alone, because `irt.dif`, the function, must
be there as soon as `assess.irt` is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike

from assess.errors import InvalidParameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from assess.irt.calibration import CalibrationOptions
    from assess.responses import ResponseMatrix

__all__ = ["dif", "dif_likelihood_ratio"]

Method = Literal["MH", "Mantel", "GMH", "logistic"]


def dif(
    responses: pd.DataFrame | ResponseMatrix,
    group: ArrayLike,
    method: Method = "MH",
    *,
    reference: object = None,
    focal: object = None,
    purify: bool = False,
    matching: ArrayLike | None = None,
    n_strata: int = 10,
    continuity: bool = True,
    level: float = 0.05,
) -> pd.DataFrame:
    r"""Compare the answers of two groups among persons of one score.

    ==========  ==========================================================
    MH          dichotomous items, Mantel-Haenszel: the common odds ratio
    Mantel      ordered categories, 1 df, and the standardised mean difference
    GMH         unordered categories, K - 1 df
    logistic    (ordinal) logistic regression: uniform and non-uniform DIF
    ==========  ==========================================================

    Parameters
    ----------
    responses : DataFrame (persons x items) or ResponseMatrix
    group : array (N,)
        Labels; of more than two, name both `reference` and `focal`.
    method : str
    reference, focal : label, optional
        Without them the first of the two labels in sorted order is the reference.
    purify : bool
        Match on the items without DIF, found in rounds; the studied item always counts.
    matching : array (N,), optional
        What to match on instead of the summed score: theta where responses are
        missing by design or after adaptive routing. Many different values are
        cut into `n_strata` strata of nearly equal size (not for "logistic").
    n_strata : int
    continuity : bool
        Correct the chi-square of "MH" by one half.
    level : float
        Of the test by which items are purified.

    Returns
    -------
    DataFrame
        Index item. MH: alpha, delta (-2.35 ln alpha; below 0 is harder for the
        focal group), se_delta, chi2, p, ets, p_dif (standardised difference of
        proportions). Mantel: chi2, p, smd (focal minus reference), ets (by smd
        over the SD of the item: 0.17, 0.25). GMH: chi2, df, p. logistic: chi2,
        df, p (both kinds), chi2_uniform, p_uniform, chi2_nonuniform,
        p_nonuniform, b_intercept (nan for ordered categories), b_score,
        b_group, b_interaction (of the full model), r2, delta_r2_uniform,
        delta_r2 (Nagelkerke), zumbo_thomas, jodoin_gierl (A, B, C).
        All: p_adjusted, for false discovery control. ``attrs`` say the groups,
        their sizes, and what was purified.

    Raises
    ------
    InvalidResponses
        Where a group is empty, responses are missing and nothing else is given
        to match on, or "MH" meets a polytomous item.

    Warns
    -----
    DataWarning
        Where a group is so small that little can be seen.

    Examples
    --------
    >>> import pandas as pd
    >>> theta = np.repeat(np.linspace(-2, 2, 101), 20)[:, None]
    >>> group = np.arange(len(theta)) % 2
    >>> b = np.linspace(-1, 1, 8) + 0.9 * group[:, None] * (np.arange(8) == 3)
    >>> chance = 1 / (1 + np.exp(b - theta))
    >>> data = pd.DataFrame((np.random.default_rng(1).random(chance.shape) < chance).astype(int))
    >>> dif(data, group, purify=True).ets.tolist()
    ['A', 'A', 'A', 'C', 'A', 'A', 'A', 'A']

    References
    ----------
    Mantel & Haenszel (1959), *JNCI* 22, 719-748, doi:10.1093/jnci/22.4.719.
    Holland & Thayer (1988), in Wainer & Braun, *Test Validity*, 129-145 (delta).
    Phillips & Holland (1987), *Biometrics* 43, 425-431, doi:10.2307/2531824 (its variance).
    Mantel (1963), *JASA* 58, 690-700, doi:10.1080/01621459.1963.10500879.
    Swaminathan & Rogers (1990), *Journal of Educational Measurement* 27, 361-370.
    Zumbo & Thomas (1997); Jodoin & Gierl (2001), *Applied Measurement in Education* 14, 329-349,
    doi:10.1207/S15324818AME1404_2 (classes).
    """
    from assess.irt.dif.observed import observed_dif

    return observed_dif(
        responses,
        np.asarray(group),
        method,
        reference=reference,
        focal=focal,
        purify=purify,
        matching=matching,
        n_strata=n_strata,
        continuity=continuity,
        level=level,
    )


def dif_likelihood_ratio(
    responses: pd.DataFrame | ResponseMatrix,
    group: ArrayLike,
    model: str | Mapping[str, str] = "2PL",
    *,
    reference: object = None,
    focal: object = None,
    anchors: Sequence[str] | None = None,
    items: Sequence[str] | None = None,
    purify: bool = False,
    level: float = 0.05,
    options: CalibrationOptions | None = None,
) -> pd.DataFrame:
    r"""Compare calibrations with an item's parameters equal or free across two groups.

    .. math:: G^2 = 2\,(\log L_{free} - \log L_{equal})

    The reference group is N(0, 1); mean and SD of the focal group are
    estimated in every calibration.

    Parameters
    ----------
    responses, group, reference, focal
        As in `dif`; responses may be missing by design.
    model : str or mapping
        As in `irt.calibrate`.
    anchors : sequence of str, optional
        Items held equal throughout, all others being free; an anchor that is
        itself among `items` is freed in turn. Without anchors, every item is
        tested with all others equal.
    items : sequence of str, optional
        Items to test; all (or all but the anchors) unless given.
    purify : bool
        Without anchors: free the items found, one more in each round, and test again.
    level : float
        Of the tests by which items are purified, after false discovery control.
    options : CalibrationOptions, optional

    Returns
    -------
    DataFrame
        Index item; columns chi2, df, p, p_adjusted. ``attrs`` say groups and anchors.

    Raises
    ------
    InvalidResponses, InvalidParameters
        Where a group is empty, or an item or anchor is unknown.

    Examples
    --------
    >>> import pandas as pd
    >>> from assess.irt import ItemParameters, simulate
    >>> bank = ItemParameters([f"i{j}" for j in range(5)], "2PL", np.ones(5), np.linspace(-1, 1, 5)[:, None])
    >>> rng = np.random.default_rng(1)
    >>> data = pd.DataFrame(simulate(bank, rng.standard_normal(600), rng), columns=list(bank.item_ids))
    >>> dif_likelihood_ratio(data, [0, 1] * 300, items=["i2"]).df.tolist()
    [2]

    References
    ----------
    Thissen, Steinberg & Wainer (1993), in Holland & Wainer, *Differential Item Functioning*, 67-113.
    """
    from assess.irt.dif.calibrated import likelihood_ratio_dif

    if anchors is not None and purify:
        raise InvalidParameters("anchors are named, so there is nothing to purify; leave one of the two out")
    return likelihood_ratio_dif(
        responses,
        np.asarray(group),
        model,
        reference=reference,
        focal=focal,
        anchors=anchors,
        items=items,
        purify=purify,
        level=level,
        options=options,
    )
