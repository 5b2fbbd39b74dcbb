"""Forms to set a cut on, and panels that know the truth."""

from __future__ import annotations

import numpy as np
import pandas as pd

from assess.irt import ItemParameters, ParameterSet, expected_score
from assess.scale import Scale
from assess.standard_setting import Judgement, Panelist, Study

PANEL = tuple(Panelist(f"j{n}", "teaches, and was trained for the panel") for n in range(1, 5))


def mixed_form(n_items: int = 24, seed: int = 5) -> ItemParameters:
    """2PL, 3PL, GPCM and GRM in equal parts."""
    rng = np.random.default_rng(seed)
    quarter = n_items // 4
    models = ["2PL"] * quarter + ["3PL"] * quarter + ["GPCM"] * quarter + ["GRM"] * quarter
    steps = np.full((n_items, 3), np.nan)
    steps[:, 0] = rng.normal(-0.3, 1.0, n_items)
    steps[2 * quarter :, 1:] = steps[2 * quarter :, :1] + np.array([0.5, 1.1])
    lower = [0.2 if model == "3PL" else 0.0 for model in models]
    ids = [f"i{j}.v1" for j in range(n_items)]
    return ItemParameters(ids, models, rng.lognormal(0.1, 0.25, n_items), steps, lower=lower)


def published(parameters: ItemParameters, id: str = "x-2026.v1", scale: str = "x/1") -> ParameterSet:
    return ParameterSet(id, "x", Scale(scale, "teachers of 2026"), parameters, "calibrated")


def true_ratings(parameters: ItemParameters, theta: float, noise: float = 0.0, seed: int = 1) -> pd.DataFrame:
    """Four judges around the true expected scores; noise that cancels over the panel, unit by unit."""
    rng = np.random.default_rng(seed)
    truth = expected_score(parameters, theta)[0]
    room = np.minimum(truth, parameters.n_categories - 1 - truth)
    departure = noise * room * rng.uniform(-1.0, 1.0, (2, len(truth)))
    table = truth + np.concatenate([departure, -departure])
    return pd.DataFrame(table, index=[one.id for one in PANEL], columns=list(parameters.item_ids))


def angoff_study(parameters: ItemParameters, theta: float = 0.2, **changes: object) -> Study:
    """Two rounds, the second with half of the noise."""
    judgements = tuple(
        Judgement(number, str(judge), str(unit), float(value))
        for number, noise in ((1, 0.4), (2, 0.2))
        for judge, row in true_ratings(parameters, theta, noise, seed=number).iterrows()
        for unit, value in row.items()
    )
    fields: dict[str, object] = {
        "id": "x-ka-panel",
        "version": 1,
        "course": "x",
        "level": "KA",
        "method": "modified Angoff",
        "definition": "Plans a lesson in which pupils use a computer for a stated purpose.",
        "panel": PANEL,
        "judgements": judgements,
    }
    return Study(**(fields | changes))  # type: ignore[arg-type]
