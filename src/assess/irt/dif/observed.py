"""DIF by observed scores: matching, purification, and one table per method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from assess.errors import InvalidParameters, InvalidResponses
from assess.irt.dif.groups import Groups, false_discovery, two_groups
from assess.irt.dif.logistic import logistic_rows
from assess.irt.dif.tables import generalised_row, mantel_haenszel_row, mantel_row
from assess.irt.parameters import FloatArray, IntArray
from assess.responses import ResponseMatrix, as_matrix

Row = dict[str, Any]
_ROUNDS = 10


def observed_dif(
    responses: pd.DataFrame | ResponseMatrix,
    labels: NDArray[Any],
    method: str,
    *,
    reference: Any,
    focal: Any,
    purify: bool,
    matching: ArrayLike | None,
    n_strata: int,
    continuity: bool,
    level: float,
) -> pd.DataFrame:
    """See `assess.irt.dif.dif`."""
    methods: dict[str, Callable[[IntArray, FloatArray], Row]] = {
        "MH": lambda table, _: mantel_haenszel_row(table, continuity),
        "Mantel": lambda table, _: mantel_row(table),
        "GMH": lambda table, _: generalised_row(table),
        "logistic": logistic_rows,
    }
    if method not in methods:
        raise InvalidParameters(f"method {method!r} is not known; say one of {', '.join(methods)}")
    matrix = as_matrix(responses)
    groups = two_groups(labels, matrix.n_persons, reference, focal)
    codes = matrix.recode()[groups.rows]
    _check(matrix, codes, method, matching)
    given = None
    if matching is not None:
        if purify:
            raise InvalidParameters(
                "`matching` is given, so there is nothing to purify; leave one of the two out"
            )
        given = _given_matching(
            matching, matrix.n_persons, groups, None if method == "logistic" else n_strata
        )

    def analysed(flagged: NDArray[np.bool_]) -> pd.DataFrame:
        rest = codes[:, ~flagged].sum(axis=1, dtype=np.int64) if given is None else None
        rows = []
        for j in range(matrix.n_items):
            if given is not None:
                value, stratum = given
            else:
                assert rest is not None
                total = rest + codes[:, j] if flagged[j] else rest
                value, stratum = np.unique(total, return_inverse=True)
            table = _table(codes[:, j], stratum, groups, len(value), int(matrix.n_categories[j]))
            rows.append(methods[method](table, value.astype(np.float64)))
        return pd.DataFrame(rows, index=pd.Index(matrix.item_ids, name="item"))

    flagged = np.zeros(matrix.n_items, dtype=bool)
    frame = analysed(flagged)
    rounds, settled = 0, not purify
    while not settled and rounds < _ROUNDS:
        rounds += 1
        now = (frame["p"] < level).to_numpy()
        settled = bool((now == flagged).all())
        if not settled:
            if now.sum() > matrix.n_items - 2:
                raise InvalidResponses(
                    "purification leaves fewer than two items to match on; name anchors, or match on theta"
                )
            flagged = now
            frame = analysed(flagged)
    frame["p_adjusted"] = false_discovery(frame["p"].to_numpy(dtype=np.float64))
    removed = [item for item, out in zip(matrix.item_ids, flagged, strict=True) if out]
    frame.attrs |= {"method": method, **groups.said(), "removed_from_matching": removed}
    frame.attrs |= {"purification_rounds": rounds, "purification_settled": settled}
    return frame


# --- inside -----------------------------------------------------------------


def _check(matrix: ResponseMatrix, codes: NDArray[np.int8], method: str, matching: ArrayLike | None) -> None:
    if matching is None and (codes < 0).any():
        raise InvalidResponses(
            "responses are missing, so summed scores do not compare; give theta (irt.score) as `matching`"
        )
    if method == "MH" and (codes > 1).any():
        item = matrix.item_ids[int(np.flatnonzero((codes > 1).any(axis=0))[0])]
        raise InvalidResponses(
            f"item {item!r} has more than two categories; say 'Mantel', 'GMH' or 'logistic'"
        )
    if matrix.n_items < 2 and matching is None:
        raise InvalidResponses("one item cannot be matched by itself; give `matching`")


def _given_matching(
    matching: ArrayLike, n_persons: int, groups: Groups, n_strata: int | None
) -> tuple[FloatArray, IntArray]:
    """Values to match on and the stratum of each person, -1 without one."""
    value = np.asarray(matching, dtype=np.float64)
    if value.shape != (n_persons,):
        raise InvalidParameters(
            f"matching has shape {value.shape}; give one number per person, ({n_persons},)"
        )
    value = value[groups.rows]
    known = np.isfinite(value)
    if not known.any():
        raise InvalidParameters("matching holds no finite number")
    if n_strata is not None:
        if n_strata < 2:
            raise InvalidParameters(f"n_strata is {n_strata}; give at least 2")
        if len(np.unique(value[known])) > n_strata:
            cuts = np.unique(np.quantile(value[known], np.linspace(0.0, 1.0, n_strata + 1)[1:-1]))
            stratum = np.searchsorted(cuts, value, side="right").astype(np.int64)
            stratum[~known] = -1
            return np.arange(len(cuts) + 1, dtype=np.float64), stratum
    values, inverse = np.unique(value[known], return_inverse=True)
    stratum = np.full(len(value), -1, dtype=np.int64)
    stratum[known] = inverse
    return values, stratum


def _table(
    column: NDArray[np.int8], stratum: IntArray, groups: Groups, n_strata: int, n_categories: int
) -> IntArray:
    """Counts by stratum, group (reference, focal) and category, (S, 2, K)."""
    there = (column >= 0) & (stratum >= 0)
    cell = (stratum * 2 + groups.is_focal) * n_categories + column
    counts = np.bincount(cell[there], minlength=n_strata * 2 * n_categories)
    return counts.reshape(n_strata, 2, n_categories)
