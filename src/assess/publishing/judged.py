r"""Item parameters before there are data: what experts judged, as response curves.

Each item says which score the just-proficient teacher is expected to reach.
With the cut at :math:`\theta_c = 0` and slopes of the size that good items
reach, that expectation fixes the rest: a dichotomous item has
:math:`b = \theta_c - \mathrm{logit}(p)/a`; a unit with more points has the steps
under which, at the cut, its score is distributed like the sum of its points.
Such parameters choose items and decide nothing beyond practice: they are
`provisional` until a calibration replaces them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from assess.errors import InvalidContent
from assess.items import Item
from assess.publishing.banks import ItemBank

SLOPE = 0.9
# The points of one unit share a stimulus or a stem, so they say less about theta than as many single items.
SHARED_SLOPE = 0.6
THETA_CUT = 0.0


def judged_record(unit: str, items: Sequence[Item]) -> dict[str, Any]:
    r"""The judged parameters of one unit, as a record of `ItemParameters`.

    An item judged at :math:`m` of :math:`n` points counts as :math:`n` points of
    probability :math:`m/n`; a unit's points are independent at the cut. With
    :math:`P_k` the probability of :math:`k` points, the GPCM steps are
    :math:`b_k = \theta_c - \ln(P_k/P_{k-1})/a`, so the expected score at the
    cut is exactly the judged one.

    Raises
    ------
    InvalidContent
        An item has no judgement, or one that no finite location has (0 or the maximum).
    """
    points: list[float] = []
    for item in items:
        if item.judged is None:
            raise InvalidContent("judged.just_proficient is missing", place=item.reference)
        highest = item.n_categories - 1
        share = item.judged.just_proficient / highest
        if not 0.0 < share < 1.0:
            raise InvalidContent(
                f"judged.just_proficient is {item.judged.just_proficient}; "
                f"an item that tells people apart lies between 0 and {highest}, both excluded",
                place=item.reference,
            )
        points += [share] * highest
    if len(points) == 1:
        step = THETA_CUT - math.log(points[0] / (1.0 - points[0])) / SLOPE
        return {"item": unit, "model": "2PL", "n_categories": 2, "a": SLOPE, "b": round(step, 6)}
    chances = _sum_distribution(points)
    steps = [THETA_CUT - math.log(chances[k] / chances[k - 1]) / SHARED_SLOPE for k in range(1, len(chances))]
    numbered = {f"b{k}": round(step, 6) for k, step in enumerate(steps, start=1)}
    return {"item": unit, "model": "GPCM", "n_categories": len(chances), "a": SHARED_SLOPE, **numbered}


def _sum_distribution(points: Sequence[float]) -> list[float]:
    """Distribution of the number of independent points earned.

    Examples
    --------
    >>> _sum_distribution([0.5, 0.5])
    [0.25, 0.5, 0.25]
    """
    chances = [1.0]
    for p in points:
        padded = [0.0, *chances, 0.0]
        chances = [padded[k + 1] * (1.0 - p) + padded[k] * p for k in range(len(chances) + 1)]
    return chances


def unit_references(bank: ItemBank) -> list[str]:
    """Every scored unit of the bank: its case sets, and the items that stand alone."""
    alone = [reference for reference, item in bank.items.items() if not item.case_set]
    return sorted([*alone, *bank.case_sets])


def judged_parameters(bank: ItemBank, *, version: int = 1) -> dict[str, Any]:
    """The parameter file that follows from a bank's judgements.

    It holds every unit of which all items are judged; the scale ``<course>/0``
    has the just-proficient teacher at 0 and no sample behind it.
    """
    judged = [
        (unit, items)
        for unit, items in ((unit, bank.unit_items(unit)) for unit in unit_references(bank))
        if all(item.judged is not None and item.state != "draft" for item in items)
    ]
    if not judged:
        raise InvalidContent(
            "no item has judged.just_proficient; there is nothing to derive", place=bank.course
        )
    return {
        "id": f"{bank.course}-judged",
        "version": version,
        "course": bank.course,
        "status": "provisional",
        "scale": {
            "id": f"{bank.course}/0",
            "reference_group": "none: judged by experts, the just-proficient teacher at 0",
        },
        "provenance": {
            "method": "expected score of the just-proficient teacher, judged item by item",
            "slope": SLOPE,
            "slope_of_shared_units": SHARED_SLOPE,
            "theta_cut": THETA_CUT,
            "bank": f"{bank.id}.v{bank.version}",
        },
        "items": [judged_record(unit, items) for unit, items in judged],
    }


def judged_ratings(bank: ItemBank) -> dict[str, float]:
    """Item reference -> judged expected score, the ratings of a provisional cut."""
    return {
        reference: item.judged.just_proficient
        for reference, item in bank.items.items()
        if item.judged is not None
    }
