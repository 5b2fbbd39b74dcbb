"""Item parameters as records, as a DataFrame, and as R's mirt writes them.

One flat row per item is the common form: `to_frame` is a table of the records,
and the mirt forms are translated to and from them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from assess.errors import InvalidParameters
from assess.irt.parameters import ADJACENT, CUMULATIVE, DICHOTOMOUS, MODELS, FloatArray, ItemParameters

if TYPE_CHECKING:
    import pandas as pd

Record = dict[str, str | int | float]

_UNIT_SLOPE = ("Rasch", "PCM", "RSM")
_FROM_MIRT = "these look like mirt's slope-intercept columns; read them with ItemParameters.from_mirt"
_MIRT_ONLY = re.compile(r"g|u|itemtype|ak\d+|d\d+")
_MIRT_TYPES = {
    "Rasch": "Rasch",
    "2PL": "2PL",
    "3PL": "3PL",
    "3PLu": "4PL",
    "4PL": "4PL",
    "graded": "GRM",
    "gpcm": "GPCM",
    "nominal": "NRM",
}


# --- records ---------------------------------------------------------------


def to_records(parameters: ItemParameters) -> list[Record]:
    """One mapping per item with plain numbers; see `ItemParameters.to_records`."""
    records: list[Record] = []
    for j, (item, model) in enumerate(zip(parameters.item_ids, parameters.models, strict=True)):
        n_categories = int(parameters.n_categories[j])
        record: Record = {"item": item, "model": model, "n_categories": n_categories}
        steps = parameters.steps[j, : n_categories - 1].tolist()
        if model == "NRM":
            record |= _numbered("a", parameters.category_slopes[j, :n_categories].tolist())
            record |= _numbered("c", parameters.category_intercepts[j, :n_categories].tolist())
        else:
            record["a"] = float(parameters.slopes[j])
            if model == "RSM":
                location = math.fsum(steps) / len(steps)
                record["b"] = location
                record |= _numbered("tau", [step - location for step in steps])
            elif model in DICHOTOMOUS:
                record["b"] = steps[0]
            else:
                record |= _numbered("b", steps)
            if model in ("3PL", "4PL"):
                record["c"] = float(parameters.lower[j])
            if model == "4PL":
                record["d"] = float(parameters.upper[j])
        records.append(record)
    return records


def from_records(records: Iterable[Mapping[str, Any]]) -> ItemParameters:
    """The inverse of `to_records`; see `ItemParameters.from_records`."""
    rows = [dict(record) for record in records]
    shapes = [_row(row, position) for position, row in enumerate(rows)]
    n_items = len(rows)
    width = max((len(shape["steps"]) for shape in shapes), default=1)
    n_nominal = max((len(shape["slopes"]) for shape in shapes), default=0)
    steps = np.full((n_items, max(width, 1)), np.nan)
    category_slopes, category_intercepts = np.full((2, n_items, n_nominal), np.nan)
    for j, shape in enumerate(shapes):
        steps[j, : len(shape["steps"])] = shape["steps"]
        category_slopes[j, : len(shape["slopes"])] = shape["slopes"]
        category_intercepts[j, : len(shape["intercepts"])] = shape["intercepts"]
    return ItemParameters(
        [row["item"] for row in rows],
        [row["model"] for row in rows],
        [shape["a"] for shape in shapes],
        steps,
        [shape["c"] for shape in shapes],
        [shape["d"] for shape in shapes],
        category_slopes,
        category_intercepts,
    )


def _row(row: Mapping[str, Any], position: int) -> dict[str, Any]:
    """Slope, steps, asymptotes, category parameters of one record."""
    item, model = row.get("item"), row.get("model")
    place = f"item {item!r} ({model})" if item else f"record {position}"
    if not isinstance(item, str) or not item:
        raise InvalidParameters(f"{place}: its id is {item!r}; an id is a non-empty text")
    if model not in MODELS:
        raise InvalidParameters(f"item {item!r}: model is {model!r}; say one of {', '.join(MODELS)}")
    steps = [] if model == "NRM" else _steps(row, model, place)
    slopes, intercepts = (_series(row, "a"), _series(row, "c")) if model == "NRM" else ([], [])
    allowed = {"item", "model", "n_categories", *_expected(model, len(steps), len(slopes))}
    foreign = [key for key in row if key not in allowed]
    if foreign:
        raise InvalidParameters(
            f"{place}: has no parameter {foreign[0]!r}; it has {', '.join(sorted(allowed))}"
        )
    if model == "NRM" and (len(slopes) != len(intercepts) or not slopes):
        raise InvalidParameters(f"{place}: needs a1, a2, ... and c1, c2, ..., one of each per category")
    n_categories = len(slopes) if model == "NRM" else len(steps) + 1
    said = row.get("n_categories", n_categories)
    if said != n_categories:
        raise InvalidParameters(
            f"{place}: n_categories is {said}, but its parameters are those of {n_categories}"
        )
    slope = math.nan if model == "NRM" else row.get("a", 1.0 if model in _UNIT_SLOPE else None)
    if slope is None:
        raise InvalidParameters(f"{place}: the slope a is missing")
    if model in ("3PL", "4PL") and "c" not in row:
        raise InvalidParameters(f"{place}: the lower asymptote c is missing")
    if model == "4PL" and "d" not in row:
        raise InvalidParameters(f"{place}: the upper asymptote d is missing")
    values = {"a": slope, "steps": steps, "slopes": slopes, "intercepts": intercepts}
    values |= {"c": row.get("c", 0.0), "d": row.get("d", 1.0)}
    for key in ("a", "c", "d"):
        if not isinstance(values[key], (int, float)):
            raise InvalidParameters(f"{place}: {key} is {values[key]!r}; it must be a number")
    return values


def _steps(row: Mapping[str, Any], model: str, place: str) -> list[float]:
    if model in DICHOTOMOUS or model == "RSM":
        if "b" not in row:
            raise InvalidParameters(f"{place}: the location b is missing")
        if model != "RSM":
            return [row["b"]]
        steps = [row["b"] + tau for tau in _series(row, "tau")]
    else:
        steps = _series(row, "b")
    if not steps:
        raise InvalidParameters(f"{place}: the steps {'tau1' if model == 'RSM' else 'b1'}, ... are missing")
    return steps


def _expected(model: str, n_steps: int, n_nominal: int) -> list[str]:
    if model == "NRM":
        return [*_numbered("a", [0.0] * n_nominal), *_numbered("c", [0.0] * n_nominal)]
    if model == "RSM":
        return ["a", "b", *_numbered("tau", [0.0] * n_steps)]
    if model in CUMULATIVE + ADJACENT:
        return ["a", *_numbered("b", [0.0] * n_steps)]
    return ["a", "b", *{"3PL": ["c"], "4PL": ["c", "d"]}.get(model, [])]


def _numbered(letter: str, values: Iterable[float]) -> dict[str, float]:
    return {f"{letter}{k}": float(value) for k, value in enumerate(values, start=1)}


def _series(row: Mapping[str, Any], letter: str, start: int = 1) -> list[float]:
    values: list[float] = []
    while f"{letter}{start + len(values)}" in row:
        values.append(float(row[f"{letter}{start + len(values)}"]))
    return values


# --- frames ----------------------------------------------------------------


def to_frame(parameters: ItemParameters) -> pd.DataFrame:
    """A table of the records; see `ItemParameters.to_frame`."""
    import pandas as pd

    records = to_records(parameters)
    columns = sorted(dict.fromkeys(key for record in records for key in record), key=_column_rank)
    return pd.DataFrame(records, columns=columns or ["item", "model", "n_categories", "a", "b"]).set_index(
        "item"
    )


def from_frame(frame: pd.DataFrame) -> ItemParameters:
    """Checks that the columns are ours and reads them; see `ItemParameters.from_frame`.

    Raises
    ------
    InvalidParameters
        Where a column is unknown, or the table looks like mirt's.
    """
    rows = _rows(frame)
    for row in rows:
        place = f"item {row.get('item')!r}"
        foreign = [key for key in row if _MIRT_ONLY.fullmatch(key)]
        if ("a1" in row and "d" in row) or foreign:
            raise InvalidParameters(f"{place}: has a1 with d, or {foreign or 'd'}; {_FROM_MIRT}")
        upper = row.get("d")
        if upper is not None and not row.get("c", 0.0) < upper <= 1.0:
            raise InvalidParameters(
                f"{place}: d is {upper}; here d is the upper asymptote in (c, 1], and {_FROM_MIRT}"
            )
        if "model" not in row:
            row["model"] = _inferred(row, place)
        if row["model"] in ("Rasch", "1PL", "2PL", "3PL"):
            # A table of many models fills the asymptotes of simpler items with 0 and 1.
            if row.get("d") == 1.0:
                del row["d"]
            if row["model"] != "3PL" and row.get("c") == 0.0:
                del row["c"]
        if "n_categories" in row:
            row["n_categories"] = int(row["n_categories"])
    return from_records(rows)


def _inferred(row: Mapping[str, Any], place: str) -> str:
    if "b" not in row or "tau1" in row:
        raise InvalidParameters(
            f"{place}: say its model in a column 'model'; several would fit these parameters"
        )
    return "4PL" if row.get("d", 1.0) < 1.0 else "3PL" if row.get("c", 0.0) > 0.0 else "2PL"


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as mappings: ids as text, empty cells and standard errors left out."""
    if "item" in frame.columns:
        frame = frame.set_index("item")
    rows = []
    for item, values in zip(frame.index, frame.to_dict("records"), strict=True):
        row: dict[str, Any] = {"item": str(item)}
        for key, value in values.items():
            name = str(key)
            empty = value is None or (isinstance(value, float) and math.isnan(value))
            if not empty and not name.startswith("se_"):
                row[name] = value
        rows.append(row)
    return rows


def _column_rank(name: str) -> tuple[int, int]:
    letters = name.rstrip("0123456789")
    number = int(name[len(letters) :] or 0)
    plain = ("item", "model", "n_categories", "a", "b", "c", "d")
    return (
        (plain.index(name), 0)
        if name in plain
        else (len(plain) + ("b", "tau", "a", "c").index(letters), number)
    )


# --- mirt ------------------------------------------------------------------


def to_mirt(parameters: ItemParameters) -> pd.DataFrame:
    """Slope-intercept form; see `ItemParameters.to_mirt`. RSM becomes gpcm."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for j, (item, model) in enumerate(zip(parameters.item_ids, parameters.models, strict=True)):
        n_categories = int(parameters.n_categories[j])
        a, steps = float(parameters.slopes[j]), parameters.steps[j, : n_categories - 1]
        row: dict[str, Any] = {"item": item}
        if model in DICHOTOMOUS:
            row |= {"itemtype": "2PL" if model == "1PL" else model, "a1": a, "d": -a * float(steps[0])}
            row |= {"g": float(parameters.lower[j]), "u": float(parameters.upper[j])}
        elif model in CUMULATIVE:
            row |= {"itemtype": "graded", "a1": a} | _numbered("d", -a * steps)
        else:
            slopes, intercepts = _numerators(parameters, j)
            a = float(slopes[-1]) / (n_categories - 1)
            if a == 0.0:
                raise InvalidParameters(
                    f"item {item!r}: first and last category slope are equal; mirt cannot write it"
                )
            row |= {"itemtype": "nominal" if model == "NRM" else "gpcm", "a1": a}
            row |= {f"ak{k}": float(slope) / a for k, slope in enumerate(slopes)}
            row |= {f"d{k}": float(value) for k, value in enumerate(intercepts)}
        rows.append(row)
    return pd.DataFrame(rows).set_index("item")


def _numerators(parameters: ItemParameters, j: int) -> tuple[FloatArray, FloatArray]:
    """Slopes and intercepts of the numerators, both zero in category 0."""
    n_categories = int(parameters.n_categories[j])
    if parameters.models[j] == "NRM":
        slopes = parameters.category_slopes[j, :n_categories]
        intercepts = parameters.category_intercepts[j, :n_categories]
        return slopes - slopes[0], intercepts - intercepts[0]
    a = float(parameters.slopes[j])
    steps = np.cumsum(parameters.steps[j, : n_categories - 1])
    return a * np.arange(n_categories, dtype=float), np.concatenate([[0.0], -a * steps])


def from_mirt(frame: pd.DataFrame) -> ItemParameters:
    """Slope-intercept form; see `ItemParameters.from_mirt`.

    Without a column ``itemtype`` the family is read from the columns: ``ak``
    equal to 0, 1, 2, ... is gpcm, other ``ak`` nominal, ``d1`` without ``ak``
    graded, else 2PL, 3PL or 4PL by g and u.
    """
    return from_records([_from_mirt_row(row) for row in _rows(frame)])


def _from_mirt_row(row: Mapping[str, Any]) -> Record:
    item = str(row["item"])
    if "a1" not in row:
        raise InvalidParameters(f"item {item!r}: mirt's slope a1 is missing")
    if "a2" in row and row["a2"] != 0.0:
        raise InvalidParameters(f"item {item!r}: has a second slope a2; only one dimension can be read")
    model = _mirt_model(row, item)
    a = float(row["a1"])
    if model == "NRM":
        slopes, intercepts = _series(row, "ak", 0), _series(row, "d", 0)
        record: Record = {"item": item, "model": model}
        return record | _numbered("a", [a * k for k in slopes]) | _numbered("c", intercepts)
    if a == 0.0:
        raise InvalidParameters(f"item {item!r}: its slope a1 is 0, so it has no location")
    if model in DICHOTOMOUS:
        if "d" not in row:
            raise InvalidParameters(f"item {item!r}: mirt's intercept d is missing")
        record = {"item": item, "model": model, "a": a, "b": -float(row["d"]) / a}
        if model in ("3PL", "4PL"):
            record["c"] = float(row.get("g", 0.0))
        if model == "4PL":
            record["d"] = float(row.get("u", 1.0))
        return record
    record = {"item": item, "model": model, "a": a}
    if model == "GRM":
        return record | _numbered("b", [-d / a for d in _series(row, "d")])
    intercepts = _series(row, "d", 0)
    return record | _numbered("b", [-(high - low) / a for low, high in pairwise(intercepts)])


def _mirt_model(row: Mapping[str, Any], item: str) -> str:
    scores = _series(row, "ak", 0)
    said = row.get("itemtype")
    if said is not None:
        if said not in _MIRT_TYPES:
            raise InvalidParameters(
                f"item {item!r}: itemtype {said!r} cannot be read; known: {', '.join(_MIRT_TYPES)}"
            )
        model = _MIRT_TYPES[str(said)]
        return "PCM" if model == "Rasch" and scores else model
    if scores:
        return "GPCM" if scores == list(range(len(scores))) else "NRM"
    if "d1" in row:
        return "GRM"
    return "4PL" if row.get("u", 1.0) < 1.0 else "3PL" if row.get("g", 0.0) > 0.0 else "2PL"
