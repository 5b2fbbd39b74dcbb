"""DIF by the likelihood ratio of calibrations in two groups.

An item whose parameters are free across groups is given to the calibration as
two items, each missing in the other group. So every model family and every
pattern of missing responses that can be calibrated can be tested.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import chi2

from assess.errors import InvalidParameters
from assess.irt.calibration import Calibration, CalibrationOptions, calibrate
from assess.irt.dif.groups import Groups, false_discovery, two_groups
from assess.responses import NOT_ADMINISTERED, ResponseMatrix, as_matrix


def likelihood_ratio_dif(
    responses: pd.DataFrame | ResponseMatrix,
    labels: NDArray[Any],
    model: str | Mapping[str, str],
    *,
    reference: Any,
    focal: Any,
    anchors: Sequence[str] | None,
    items: Sequence[str] | None,
    purify: bool,
    level: float,
    options: CalibrationOptions | None,
) -> pd.DataFrame:
    """See `assess.irt.dif.dif_likelihood_ratio`."""
    matrix = as_matrix(responses)
    groups = two_groups(labels, matrix.n_persons, reference, focal)
    part = matrix.take_persons(groups.rows)
    for word, named in (("anchor", anchors), ("item", items)):
        unknown = [item for item in named or () if item not in matrix.item_ids]
        if unknown:
            raise InvalidParameters(f"{word} {unknown[0]!r} is not among the responses")
    held = set(matrix.item_ids) if anchors is None else set(anchors)
    if not held:
        raise InvalidParameters("without an anchor the two groups share no scale; name at least one")
    default = [item for item in matrix.item_ids if anchors is None or item not in held]
    tested = list(items) if items is not None else default
    known: dict[frozenset[str], Calibration] = {}

    def fitted(free: Collection[str]) -> Calibration:
        key = frozenset(free)
        if key not in known:
            known[key] = _calibrate(part, groups, model, key, options)
        return known[key]

    free = {item for item in matrix.item_ids if item not in held}
    while True:
        rows = []
        for item in tested:
            wide, narrow = fitted(free | {item}), fitted(free - {item})
            statistic = max(2.0 * (wide.log_likelihood - narrow.log_likelihood), 0.0)
            df = wide.n_parameters - narrow.n_parameters
            rows.append({"chi2": statistic, "df": df, "p": float(chi2.sf(statistic, df))})
        frame = pd.DataFrame(rows, index=pd.Index(tested, name="item"), columns=["chi2", "df", "p"])
        frame["p_adjusted"] = false_discovery(frame["p"].to_numpy(dtype=np.float64))
        if not purify:
            break
        candidates = frame.loc[[item not in free for item in tested]]
        worst = candidates.nsmallest(1, "p")
        # Two items at least must hold the two groups together.
        if not len(worst) or worst["p_adjusted"].iloc[0] >= level or len(free) >= matrix.n_items - 2:
            break
        free = free | {str(worst.index[0])}
    frame.attrs |= {
        "method": "LR",
        **groups.said(),
        "anchors": [item for item in matrix.item_ids if item not in free],
    }
    return frame


# --- inside -----------------------------------------------------------------


def _calibrate(
    matrix: ResponseMatrix,
    groups: Groups,
    model: str | Mapping[str, str],
    free: Collection[str],
    options: CalibrationOptions | None,
) -> Calibration:
    columns, names, counts, models = [], [], [], {}
    for j, item in enumerate(matrix.item_ids):
        word = model if isinstance(model, str) else model[item]
        column = matrix.categories[:, j]
        sides = [(item, column)]
        if item in free:
            sides = [
                (f"{item} ({label})", np.where(own, column, NOT_ADMINISTERED))
                for label, own in ((groups.reference, ~groups.is_focal), (groups.focal, groups.is_focal))
            ]
        for name, values in sides:
            columns.append(values)
            names.append(name)
            counts.append(int(matrix.n_categories[j]))
            models[name] = word
    split = ResponseMatrix(np.stack(columns, axis=1), matrix.person_ids, names, counts)
    label = {False: "0 reference", True: "1 focal"}
    sides_of = [label[bool(focal)] for focal in groups.is_focal]
    chosen = options or CalibrationOptions(standard_errors=None, allow_wide=True)
    return calibrate(split, models, groups=sides_of, options=chosen)
