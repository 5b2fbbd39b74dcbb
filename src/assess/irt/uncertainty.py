r"""Item parameters as they might have been estimated: draws around the estimates.

A calibration on few responses makes a form look better than it is: the items
answer by parameters that nobody knows. Averaging over draws shows by how much.

References
----------
Yang, Hansen & Cai (2012), *Educational and Psychological Measurement* 72, 264-290,
doi:10.1177/0013164411410056 (multiple imputation of item parameters).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from assess.errors import InvalidParameters
from assess.irt.parameters import CUMULATIVE, FloatArray, ItemParameters

# Far enough inside (0, 1) for a lower asymptote to have a logit.
_EDGE = 1e-4


def draw_parameters(
    parameters: ItemParameters,
    errors: Mapping[str, Mapping[str, float]],
    rng: np.random.Generator,
    *,
    correlations: Mapping[str, Sequence[float]] | None = None,
) -> ItemParameters:
    r"""One draw of the item parameters around their estimates.

    .. math:: (\ln |a_j|, b_j, \operatorname{logit} c_j) \sim N\bigl(\hat\cdot,\; D_j R_j D_j\bigr)

    with the standard errors on the diagonal of :math:`D_j`, carried to the
    logarithm and the logit by the delta method, and the correlations
    :math:`R_j` of the parameters of one item; items are drawn independently.
    Steps of a graded item that cross are put in order. What has no standard
    error (anchors, the steps of an RSM, an NRM) stays.

    Parameters
    ----------
    parameters : ItemParameters
    errors : mapping
        Item id -> parameter (a, b, b1, ..., c, d) -> standard error.
    correlations : mapping, optional
        Item id -> lower triangle by rows, without the diagonal, in the order of `errors`; none is zero.

    Raises
    ------
    InvalidParameters
        A standard error that is negative or not finite, or correlations that do not fit.

    Examples
    --------
    >>> items = ItemParameters(["i1"], "2PL", [1.0], [[0.5]])
    >>> drawn = draw_parameters(items, {"i1": {"a": 0.1, "b": 0.2}}, np.random.default_rng(1))
    >>> drawn.slopes.round(3), drawn.steps.round(3)
    (array([1.035]), array([[0.664]]))
    """
    records = []
    for model, record in zip(parameters.models, parameters.to_records(), strict=True):
        item = str(record["item"])
        known = {name: float(se) for name, se in errors.get(item, {}).items() if name in record}
        if known:
            record = {**record, **_drawn(item, record, known, (correlations or {}).get(item, ()), rng)}
            if model in CUMULATIVE:
                steps = [name for name in record if name[0] == "b"]
                rising = sorted((record[name] for name in steps), reverse=float(record["a"]) < 0.0)
                record |= dict(zip(steps, rising, strict=True))
        records.append(record)
    return ItemParameters.from_records(records)


def _drawn(
    item: str,
    record: Mapping[str, str | int | float],
    errors: Mapping[str, float],
    correlations: Sequence[float],
    rng: np.random.Generator,
) -> dict[str, float]:
    names = list(errors)
    bad = next((name for name in names if not (math.isfinite(errors[name]) and errors[name] >= 0.0)), None)
    if bad is not None:
        raise InvalidParameters(
            f"item {item!r}: the standard error of {bad} is {errors[bad]}; give 0 or more"
        )
    z = _root(item, len(names), correlations) @ rng.standard_normal(len(names))
    out = {}
    for name, step in zip(names, z.tolist(), strict=True):
        value = float(record[name])
        if name == "a":
            out[name] = math.copysign(abs(value) * math.exp(step * errors[name] / abs(value)), value)
        elif name in ("c", "d"):
            p = min(max(value, _EDGE), 1.0 - _EDGE)
            logit = math.log(p / (1.0 - p)) + step * errors[name] / (p * (1.0 - p))
            out[name] = 1.0 / (1.0 + math.exp(-logit))
        else:
            out[name] = value + step * errors[name]
    return out


def _root(item: str, n: int, correlations: Sequence[float]) -> FloatArray:
    """A square root of the correlation matrix; rounding may have left it a little short of positive."""
    if not len(correlations):
        return np.eye(n)
    if len(correlations) != n * (n - 1) // 2:
        raise InvalidParameters(
            f"item {item!r}: {len(correlations)} correlations for {n} parameters; give {n * (n - 1) // 2}"
        )
    matrix = np.eye(n)
    rows, columns = np.tril_indices(n, -1)
    matrix[rows, columns] = matrix[columns, rows] = np.asarray(correlations, dtype=float)
    values, vectors = np.linalg.eigh(matrix)
    if values[0] < -0.01:
        raise InvalidParameters(f"item {item!r}: these correlations are those of no parameters")
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))
