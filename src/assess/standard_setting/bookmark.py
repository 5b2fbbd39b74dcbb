"""Bookmark: judges mark, in a booklet ordered by difficulty, where mastery ends."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from assess.errors import CutNotFound, InvalidParameters
from assess.irt.models import ItemParameters, category_probabilities, test_characteristic
from assess.irt.parameters import ADJACENT
from assess.standard_setting.estimates import JUDGES_RANDOM, CutEstimate, StandardError, centre, error_over

if TYPE_CHECKING:
    import pandas as pd

RULES = ("midpoint", "last mastered", "first not mastered")
_WIDEST = 60.0


def ordered_booklet(parameters: ItemParameters, response_probability: float = 0.67) -> pd.DataFrame:
    r"""Every step of every unit, in the order of its response-probability location.

    The location of step k is where the probability of category k *or a higher
    one* is the response probability,

    .. math:: P(X_j \ge k \mid \theta_{jk}) = RP.

    Guessing is part of that probability and is not taken out. Steps at one
    location keep the order of the parameters.

    Parameters
    ----------
    parameters : ItemParameters
        All units of the booklet, all rising with theta.
    response_probability : float
        0.67 (RP67), 0.5 (RP50) or any other between 0 and 1.

    Returns
    -------
    DataFrame
        Index page, from 1; columns unit, step, location.

    Raises
    ------
    InvalidParameters
        The response probability lies outside a unit's asymptotes, or a unit falls with theta.

    Examples
    --------
    >>> items = ItemParameters(["hard", "set"], "GRM", [1.0, 1.0], [[1.0, float("nan")], [-1.0, 0.5]])
    >>> ordered_booklet(items, 0.5).values.tolist()
    [['set', 1, -1.0], ['set', 2, 0.5], ['hard', 1, 1.0]]

    References
    ----------
    Mitzel, Lewis, Patz & Green (2001), The bookmark procedure, in Cizek (ed.),
    *Setting Performance Standards*, 249-281, doi:10.4324/9781410600264.
    Huynh (1998), *Journal of Educational and Behavioral Statistics* 23, 35-56,
    doi:10.3102/10769986023001035.
    """
    import pandas as pd

    if not 0.0 < response_probability < 1.0:
        raise InvalidParameters(f"the response probability is {response_probability}; say 0.67, 0.5 or such")
    entries: list[tuple[str, int, float]] = []
    for j, unit in enumerate(parameters.item_ids):
        if not parameters.is_monotone[j]:
            raise InvalidParameters(f"unit {unit!r}: it falls somewhere as theta rises; leave it out")
        entries += [
            (unit, step, _location(parameters, j, step, response_probability))
            for step in range(1, int(parameters.n_categories[j]))
        ]
    entries.sort(key=lambda entry: entry[2])
    return pd.DataFrame(
        entries, columns=["unit", "step", "location"], index=pd.RangeIndex(1, len(entries) + 1, name="page")
    )


def bookmark(
    pages: Mapping[str, int],
    parameters: ItemParameters,
    *,
    response_probability: float = 0.67,
    rule: str = "midpoint",
    combine: str = "median",
) -> CutEstimate:
    r"""The cut from the pages on which judges put their bookmarks.

    The bookmark stands on the first page that the just-proficient learner
    would *not* master with the response probability. A judge's cut lies
    between the location of the page before and that of the marked one: half
    way ("midpoint"), or at either ("last mastered", "first not mastered"). No
    rule can be finer than the gap between the two pages.

    Parameters
    ----------
    pages : mapping of judge to page
        From 1; one beyond the last page when every page is mastered.
    parameters : ItemParameters
        All units of the booklet.
    response_probability : float
        By which the booklet was ordered.
    rule, combine : str
        As above; "median" of the judges' cuts, or "mean".

    Raises
    ------
    CutNotFound
        A bookmark before the first or after the last page leaves the cut open.
    InvalidParameters
        No judges, a page that is not in the booklet, or an unknown rule.

    Examples
    --------
    >>> items = ItemParameters(["i1", "i2", "i3"], "2PL", [1.0] * 3, [[-1.0], [0.0], [0.4]])
    >>> cut = bookmark({"j1": 3, "j2": 3, "j3": 2}, items, response_probability=0.5)
    >>> round(cut.theta, 2), cut.rule
    (0.2, 'RP50, guessing kept in, midpoint, median of 3 judges')
    """
    if rule not in RULES:
        raise InvalidParameters(f"bookmark rule {rule!r}: say one of {', '.join(RULES)}")
    if not pages:
        raise InvalidParameters("no bookmarks; a cut rests on those of a panel")
    location = ordered_booklet(parameters, response_probability).location.to_numpy()
    cuts = []
    for judge, page in pages.items():
        if isinstance(page, bool) or page != int(page) or not 1 <= page <= len(location) + 1:
            raise InvalidParameters(
                f"judge {judge!r}: page {page} is not in the booklet, 1 to {len(location)}, "
                f"or {len(location) + 1} when every page is mastered"
            )
        # Padded with nan: a rule that needs a page which is not there has no cut.
        before, after = np.concatenate([[np.nan], location, [np.nan]])[[int(page) - 1, int(page)]]
        cut = {"midpoint": 0.5 * (before + after), "last mastered": before, "first not mastered": after}[rule]
        if math.isnan(cut):
            raise CutNotFound(
                f"judge {judge!r}: a bookmark on page {page} of {len(location)} leaves the cut open on one "
                "side; add easier or harder units to the booklet"
            )
        cuts.append(float(cut))
    each = np.array(cuts)
    theta, se = centre(each, combine), error_over(each, combine)
    return CutEstimate(
        theta=theta,
        raw=float(test_characteristic(parameters, theta)[0]),
        se=se,
        n_units=len(parameters),
        n_judges=len(each),
        method="bookmark",
        rule=(f"RP{100 * response_probability:g}, guessing kept in, {rule}, {combine} of {len(each)} judges"),
        errors=(StandardError(JUDGES_RANDOM, se),) if len(each) > 1 else (),
    )


def _location(parameters: ItemParameters, j: int, step: int, probability: float) -> float:
    from scipy.optimize import brentq

    unit, model = parameters.item_ids[j], parameters.models[j]
    if model not in (*ADJACENT, "NRM"):
        lower, upper = float(parameters.lower[j]), float(parameters.upper[j])
        if not lower < probability < upper:
            raise InvalidParameters(
                f"unit {unit!r}: its probability stays between {lower:g} and {upper:g} and is never "
                f"{probability:g}; choose another response probability or leave it out"
            )
        odds = (probability - lower) / (upper - probability)
        return float(parameters.steps[j, step - 1] + math.log(odds) / parameters.slopes[j])
    item = parameters.take([unit])

    def gap(theta: float) -> float:
        return float(category_probabilities(item, theta)[0, 0, step:].sum()) - probability

    if not gap(-_WIDEST) < 0.0 < gap(_WIDEST):
        raise CutNotFound(f"unit {unit!r}: step {step} has no location within {_WIDEST:g} units of theta")
    return float(brentq(gap, -_WIDEST, _WIDEST, xtol=1e-12))
