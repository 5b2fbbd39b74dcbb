"""The whole loop on the real bank: 1,000 simulated teachers to a new release. Run by `make verify`."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import assess as package
from assess.cli.simulating import build_cohort
from assess.publishing import load_bank
from tests import verification

ROOT = Path(__file__).resolve().parents[2]
SEED = 1


@pytest.mark.verify
@pytest.mark.timeout(3600)
def test_a_thousand_teachers_to_a_new_release(assess, tmp_path, monkeypatch):
    banks = tmp_path / "item_banks"
    shutil.copytree(ROOT / "item_banks", banks)
    monkeypatch.setenv("ASSESS_ITEM_BANKS", str(banks))
    # All forms: the adaptive one brings few learners to the units that it seldom chooses.
    forms = ("twt-3-fixed", "twt-3-fixed-b", "twt-3-fixed-c", "twt-3-adaptive")
    for name in ("teaching-with-technology", *forms):
        assert assess("activate", name, "--reason", "verification").code == 0

    simulated = assess("simulate", "twt-3", "--learners", 1000, "--seed", SEED)
    assert simulated.code == 0, simulated.err
    rate = re.search(r"([\d.]+) learners/s, (\d+) answers/s", simulated.out)
    assert rate is not None

    calibrated = assess("calibrate", "twt-3", "--sandbox")
    assert calibrated.code == 0, calibrated.err
    path = tmp_path / "var" / "calibrations" / "twt-3-auto.json"
    published = assess(
        "publish", path, "--reason", "first calibration", "--by", "verification", "--id", "twt-3-first"
    )
    assert published.code == 0, published.err
    calibrated_forms = set(re.findall(r"assess activate (\S+)", published.out))
    assert calibrated_forms
    for form in calibrated_forms:
        assert assess("activate", form, "--reason", "calibrated").code == 0
    assert assess("bank", "check", banks).code == 0

    assert assess("simulate", "twt-3", "--learners", 100, "--seed", SEED + 1).code == 0
    replayed = assess("replay", "--verify-chain")
    assert replayed.code == 0, replayed.out
    assert "0 differences" in replayed.out

    with package.connect() as database:
        decisions = database.decisions("twt-3")
    is_new = decisions["form"].isin(calibrated_forms)
    new = decisions[is_new]
    assert len(decisions) >= 1095
    assert len(new) >= 95
    assert set(new["scale"]) == {"twt-3/1"}
    assert set(decisions[~is_new]["parameter_set"]) <= {"twt-3-judged.v1", "twt-3-judged.v2"}

    # The published locations against the true ones, both with mean 0 and SD 1 in the same population.
    bank = load_bank(banks / "teaching-with-technology" / "twt-3")
    true = build_cohort(bank, seed=SEED).parameters
    found = bank.parameter_sets["twt-3-first.v1"].parameters
    plain = [item for item, n in zip(found.item_ids, found.n_categories, strict=True) if n == 2]
    b_found, b_true = found.take(plain).steps[:, 0], true.take(plain).steps[:, 0]
    correlation = float(np.corrcoef(b_found, b_true)[0, 1])
    rmse = float(np.sqrt(np.mean((b_found - b_true) ** 2)))
    assert correlation > 0.95
    statuses = new["status"].value_counts().to_dict()
    verification.record(
        "the loop: 1,000 teachers, calibrate, publish, activate, 100 more, replay",
        f"{len(decisions)} decisions replayed with 0 differences; {rate.group(1)} learners/s, "
        f"{rate.group(2)} answers/s in one process; {len(plain)} dichotomous b "
        f"against the true ones: correlation {correlation:.3f}, RMSE {rmse:.2f}; new decisions {statuses}",
        seed=SEED,
    )
