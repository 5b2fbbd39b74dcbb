"""A form is calibrated again on abler people: linked, the same answers lead to the same decisions."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from assess import irt
from assess.irt.decision_accuracy import rule_outcomes
from tests import verification

CUT = 0.2


def form(mixed: bool) -> irt.ItemParameters:
    rng = np.random.default_rng(5)
    models = ["2PL"] * 24 if not mixed else ["2PL"] * 18 + ["GPCM"] * 6
    second = np.where(np.arange(24) < 24 - 6 * mixed, np.nan, 0.8)
    steps = np.column_stack([rng.normal(0.0, 0.9, 24), second])
    return irt.ItemParameters([f"i{j}" for j in range(24)], models, rng.lognormal(0.0, 0.25, 24), steps)


def _frame(items: irt.ItemParameters, categories: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(categories, columns=list(items.item_ids))


def recalibrated(items: irt.ItemParameters, n: int, seed: int) -> dict[str, float]:
    """Calibrate on a cohort and on one half a standard deviation abler, link, decide on the same answers."""
    rng = np.random.default_rng(seed)
    models = dict(zip(items.item_ids, items.models, strict=True))
    calibrations = [
        irt.calibrate(_frame(items, irt.simulate(items, rng.normal(mean, 1.0, n), rng)), models)
        for mean in (0.0, 0.5)
    ]
    old, new = calibrations
    link = irt.link(new, old)
    carried = link.parameters(new.parameters)
    answers = irt.simulate(items, rng.normal(0.25, 1.0, 2_000), rng)
    prior = irt.Prior(CUT, 1.0)

    def decided(parameters: irt.ItemParameters, cut: float) -> np.ndarray:
        return rule_outcomes(answers, parameters, cut, prior=prior, p_pass=0.75, p_fail=0.25)

    at = (CUT - link.intercept) / link.slope
    se = math.sqrt(float(np.array([at, 1.0]) @ link.vcov @ np.array([at, 1.0])))
    before, after = decided(old.parameters, CUT), decided(carried, CUT)
    moved = before != after
    # Whoever would be decided alike with the cut three linking errors lower and higher must not move.
    firm = decided(old.parameters, CUT - 3.0 * se) == decided(old.parameters, CUT + 3.0 * se)
    theta = [irt.score(_frame(items, answers), p, prior=prior)["theta"] for p in (old.parameters, carried)]
    unlinked = decided(new.parameters, CUT) != before
    return {
        "intercept": link.intercept,
        "se": se,
        "shift": float((theta[1] - theta[0]).mean()),
        "moved": float(moved.mean()),
        "moved_though_firm": float((moved & firm).mean()),
        "moved_unlinked": float(unlinked.mean()),
    }


@pytest.mark.parametrize("mixed", [False, True])
def test_no_decision_moves_by_more_than_the_linking_error(mixed):
    found = recalibrated(form(mixed), 2_000, seed=7)
    assert found["intercept"] == pytest.approx(0.5, abs=0.1), "the abler cohort is seen as abler"
    assert abs(found["shift"]) < 3.0 * found["se"]
    # Besides the common error of the link, every item has its own; it moves single patterns at the border.
    assert found["moved_though_firm"] <= 0.005
    assert found["moved"] < 0.08
    assert found["moved_unlinked"] > 2.0 * found["moved"], "without linking the decisions would move"


@pytest.mark.verify
@pytest.mark.parametrize("mixed", [False, True])
def test_the_shift_of_decisions_over_many_recalibrations(mixed):
    name = f"recalibration of a {'mixed' if mixed else '2PL'} form on abler people"
    found = verification.replications(
        name, 50, lambda k: recalibrated(form(mixed), 1_500, seed=1_000 + k), seed=1_000
    )
    frame = pd.DataFrame(found)
    mean = frame.mean()
    outside = float((frame["shift"].abs() > 2.0 * frame["se"]).mean())
    verification.record(
        name,
        seed=1_000,
        found=f"mean shift {mean['shift']:+.3f} (linking error {mean['se']:.3f}), beyond two errors in "
        f"{outside:.0%}; {mean['moved']:.1%} of decisions move, {mean['moved_though_firm']:.2%} though firm; "
        f"unlinked {mean['moved_unlinked']:.1%}",
    )
    assert abs(mean["shift"]) < 0.02
    assert outside < 0.2
