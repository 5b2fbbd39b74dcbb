"""Time: who did not reach which item, and how long answers took."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from assess.errors import InvalidResponses
from assess.responses import NOT_ADMINISTERED, NOT_REACHED, ResponseMatrix, as_matrix


@dataclass(frozen=True, eq=False)
class Speededness:
    """Whether time ran out.

    Parameters
    ----------
    items : DataFrame
        Index item; columns shown (persons to whom it was administered) and
        not_reached (share of them).
    completing : float
        Share of persons who reached all of their items.
    reached_by_80_percent : float
        Share of the items reached by at least 80 % of the persons.
    least_reached : float
        Smallest share of their items that any person reached.
    """

    items: pd.DataFrame = field(repr=False)
    completing: float
    reached_by_80_percent: float
    least_reached: float

    @property
    def is_speeded(self) -> bool:
        """Swineford's rule: not everybody reaches 75 % of the items, or not 80 % reach the last."""
        return self.least_reached < 0.75 or self.reached_by_80_percent < 1.0

    def __repr__(self) -> str:
        word = "speeded" if self.is_speeded else "not speeded"
        return f"<Speededness: {word}, {100 * self.completing:.1f} % reached all items>"


def speededness(responses: pd.DataFrame | ResponseMatrix) -> Speededness:
    """How many persons did not reach which items.

    Parameters
    ----------
    responses : ResponseMatrix or DataFrame
        Not reached must be coded as such; an empty cell was not administered.

    Examples
    --------
    >>> matrix = ResponseMatrix([[1, 0, 1], [0, 1, -3], [1, 1, 0], [1, 1, 1]])
    >>> speededness(matrix).items["not_reached"].tolist()
    [0.0, 0.0, 0.25]

    References
    ----------
    Swineford (1974), *The Test Analysis Manual*, ETS SR-74-06 (the rule of 80 and 75 %).
    """
    matrix = as_matrix(responses)
    shown = matrix.categories != NOT_ADMINISTERED
    lost = matrix.categories == NOT_REACHED
    per_item, per_person = shown.sum(axis=0), shown.sum(axis=1)
    share = np.where(per_item > 0, lost.sum(axis=0) / np.maximum(per_item, 1), np.nan)
    reached = 1.0 - lost.sum(axis=1) / np.maximum(per_person, 1)
    known = per_item > 0
    items = pd.DataFrame(
        {"shown": per_item, "not_reached": share}, index=pd.Index(matrix.item_ids, name="item")
    )
    return Speededness(
        items,
        float(np.mean(reached == 1.0)),
        float(np.mean(share[known] <= 0.2)) if known.any() else float("nan"),
        float(reached.min()),
    )


def response_times(
    seconds: pd.DataFrame, *, rapid_share: float = 0.10, rapid_most: float = 10.0
) -> pd.DataFrame:
    """How long the answers to each item took, and how many were too fast to be read.

    A response is rapid when it took less than `rapid_share` of the item's mean
    time, and never when it took more than `rapid_most` seconds.

    Parameters
    ----------
    seconds : DataFrame (persons x items)
        Positive; an empty cell = no answer.

    Returns
    -------
    DataFrame
        Index item; columns n, mean, median, p10, p90 (seconds), mean_log,
        sd_log, rapid_below (seconds), rapid (share).

    Raises
    ------
    InvalidResponses
        Where a time is not positive.

    Examples
    --------
    >>> times = pd.DataFrame({"i1": [20.0, 30.0, 1.0, 29.0]})
    >>> response_times(times).loc["i1", ["mean", "rapid"]].tolist()
    [20.0, 0.25]

    References
    ----------
    Wise & Ma (2012), paper at the NCME annual meeting (normative threshold, 10 %).
    """
    values = seconds.to_numpy(dtype=float, na_value=np.nan)
    if (values <= 0.0).any() or np.isinf(values).any():
        at = np.argwhere((values <= 0.0) | np.isinf(values))[0]
        raise InvalidResponses(
            f"item {seconds.columns[at[1]]!r}, person {seconds.index[at[0]]!r}: a time of "
            f"{values[at[0], at[1]]} seconds; give positive seconds, or an empty cell"
        )
    rows = []
    for column in values.T:
        taken = column[~np.isnan(column)]
        if not len(taken):
            rows.append([0, *[np.nan] * 8])
            continue
        limit = min(rapid_share * float(taken.mean()), rapid_most)
        logs = np.log(taken)
        rows.append(
            [
                len(taken),
                taken.mean(),
                *np.quantile(taken, [0.5, 0.1, 0.9]),
                logs.mean(),
                logs.std(ddof=1) if len(taken) > 1 else np.nan,
                limit,
                (taken < limit).mean(),
            ]
        )
    names = ["n", "mean", "median", "p10", "p90", "mean_log", "sd_log", "rapid_below", "rapid"]
    frame = pd.DataFrame(rows, columns=names, index=pd.Index(seconds.columns, name="item"))
    return frame.astype({"n": np.int64})
