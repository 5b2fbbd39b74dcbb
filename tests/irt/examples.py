"""Item parameters for tests: drawn by hypothesis, or read from the reference cases."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from assess.irt import ItemParameters
from tests.shared import shared

SCORE_CASES = (
    "score_2pl_prior_public",
    "score_dich_public",
    "score_gpcm_public",
    "score_grm_public",
    "score_mixed_public",
)

_slope = st.floats(0.3, 3.0)
_place = st.floats(-3.0, 3.0)


@st.composite
def records(draw: st.DrawFn, model: str, monotone: bool = False) -> dict[str, Any]:
    """One item of a family, as a record without its id."""
    n_steps = draw(st.integers(1, 4))
    a = draw(_slope) * (1 if monotone else draw(st.sampled_from([1, -1])))
    steps = [draw(_place) for _ in range(n_steps)]
    if model == "NRM":
        slopes = np.cumsum([0.0, *(draw(st.floats(0.2 if monotone else -1.0, 2.0)) for _ in steps)])
        intercepts = np.array([0.0, *steps])
        slopes, intercepts = slopes - slopes.mean(), intercepts - intercepts.mean()
        numbered = {f"a{k}": float(v) for k, v in enumerate(slopes, 1)}
        return {"model": model} | numbered | {f"c{k}": float(v) for k, v in enumerate(intercepts, 1)}
    record: dict[str, Any] = {"model": model, "a": a}
    if model in ("Rasch", "1PL", "2PL", "3PL", "4PL"):
        record["b"] = steps[0]
        if model in ("3PL", "4PL"):
            record["c"] = draw(st.floats(0.01, 0.4))
        if model == "4PL":
            record["d"] = draw(st.floats(0.6, 0.99))
        return record
    if model == "GRM":
        gaps = [draw(st.floats(0.1, 2.0)) for _ in steps]
        steps = sorted(steps[0] + np.cumsum(gaps), reverse=a < 0)
    if model == "RSM":
        location = float(np.mean(steps))
        return record | {"b": location} | {f"tau{k}": v - location for k, v in enumerate(steps, 1)}
    return record | {f"b{k}": float(v) for k, v in enumerate(steps, 1)}


@st.composite
def parameter_sets(
    draw: st.DrawFn,
    models: tuple[str, ...] = ("Rasch", "2PL", "3PL", "4PL", "GRM", "PCM", "GPCM", "RSM", "NRM"),
    monotone: bool = False,
    min_size: int = 1,
    max_size: int = 5,
) -> ItemParameters:
    """A few items, each of any of the families."""
    words = draw(st.lists(st.sampled_from(models), min_size=min_size, max_size=max_size))
    return ItemParameters.from_records(
        {"item": f"i{j}"} | draw(records(model, monotone)) for j, model in enumerate(words)
    )


def reference(case: str) -> tuple[dict[str, Any], ItemParameters, pd.DataFrame]:
    """Results, item parameters and responses of a scoring case."""
    results = json.loads(shared("reference", "cases", f"{case}.json").read_text())["results"]
    rows = [{"item": item["name"], "itemtype": item["type"], **item["par"]} for item in results["items"]]
    parameters = ItemParameters.from_mirt(pd.DataFrame(rows))
    return results, parameters, pd.read_csv(shared("reference", "data", f"{case}.csv"))


def numbers(values: list[Any]) -> np.ndarray:
    """Reference numbers: null is nan, "Inf" and "-Inf" are infinite."""
    return np.array([np.nan if v is None else float(v) for v in values])
