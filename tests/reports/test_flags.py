"""From responses to a table of flags, on made-up and on real data, with nothing done by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from assess import irt
from assess.irt import ItemParameters
from assess.publishing import read_column, read_key, read_options, read_responses
from assess.reports.flags import FlagLevels, flags
from tests.shared import needs_shared, shared

NAMES = [f"i{j}" for j in range(10)]
BANK = ItemParameters(NAMES, "2PL", np.full(10, 1.3), np.linspace(-1.5, 1.5, 10)[:, None])


def answers(n=500, seed=1):
    rng = np.random.default_rng(seed)
    theta = rng.standard_normal(n)
    return pd.DataFrame(irt.simulate(BANK, theta, rng), columns=NAMES), theta, rng


def test_good_items_are_left_in_peace():
    data, _, _ = answers()
    found = flags(data)
    assert found.table.empty
    assert repr(found) == "<Flags: 0 flags on 0 items, 0 analyses not done>"
    assert "nothing to complain of" in found.summary()
    assert found.model_fit is not None
    assert found.model_fit.rmsea < 0.06


def test_each_kind_of_fault_has_its_flag():
    data, theta, rng = answers(1500, seed=3)
    group = np.where(rng.random(1500) < 0.5, "a", "b")
    chance = 1.0 / (1.0 + np.exp(-1.3 * (theta - 1.5 * (group == "b"))))
    data["i4"] = (rng.random(1500) < chance).astype(int)
    data["i8"] = np.where(rng.random(1500) < 0.5, data["i2"], data["i8"])
    found = flags(data, group=group)
    assert "large DIF" in found.of("i4")
    assert "local dependence" in found.of("i2")
    assert "<table" in found._repr_html_()
    assert "i4" in found.summary()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda d: d.assign(i3=1), "item 'i3' is in category 1 for all 500 persons"),
        (lambda d: d.assign(i3=np.nan), "item 'i3' was answered by nobody"),
        (lambda d: d.mask(np.repeat((d.index == 7)[:, None], 10, axis=1)), "1 persons answered no item"),
        (lambda d: d[["i1"]], "two items"),
        (lambda d: d.assign(i3=-1), "i3"),
    ],
    ids=["constant", "empty", "all-missing person", "one item", "a foreign code"],
)
def test_what_cannot_be_analysed_is_said_aloud(spoil, sentence):
    data, _, _ = answers()
    found = flags(spoil(data))
    assert sentence in found.summary()


@pytest.mark.parametrize(
    ("group", "sentence"),
    [
        (["a"] * 500, "two groups are compared"),
        (["a"] * 497 + ["b"] * 3, "has 3 persons; below 100 only large DIF can be seen"),
        (["a"] * 20, "give 500 labels"),
        ([None] * 500, "two groups are compared"),
    ],
    ids=["one group", "a group of three", "too few labels", "no label"],
)
def test_groups_that_do_not_compare_are_said_aloud(group, sentence):
    data, _, _ = answers()
    assert sentence in flags(data, group=group).summary()


def test_a_calibration_that_does_not_converge_is_said(monkeypatch):
    data, _, _ = answers(60)
    monkeypatch.setattr(
        "assess.reports.flags.calibrate",
        lambda matrix, model: irt.calibrate(
            matrix, model, options=irt.CalibrationOptions(max_iterations=1, newton_decrement=1e-12)
        ),
    )
    found = flags(data, levels=FlagLevels(dependence=9.0))
    assert "not converged" in found.of("all items")


# --- real data -------------------------------------------------------------------


@needs_shared
def test_the_mis_keyed_item_of_sat12_is_found():
    key = read_key(shared("data", "sat12_key.csv"))
    options = read_options(shared("data", "sat12_raw_options.csv"), key)
    found = flags(options, key=key, omitted_options=["8"])
    assert "possibly mis-keyed" in found.of("item32")
    mis_keyed = found.table.loc[found.table["flag"] == "possibly mis-keyed", "item"]
    assert "item32" in set(mis_keyed)
    (sentence,) = found.table.loc[
        (found.table["item"] == "item32") & (found.table["flag"] == "possibly mis-keyed"), "sentence"
    ]
    # SOURCE.md: 16 % choose the keyed option 5 and 44 % choose option 3.
    assert "option '3' (44 %" in sentence
    assert "the key '5' (16 %" in sentence
    assert found.classical is not None
    assert found.classical.reliability.alpha == pytest.approx(0.798, abs=5e-4)


@needs_shared
def test_raw_options_with_groups_run_from_csv_to_flags():
    path, key = shared("data", "hci_raw_options.csv"), read_key(shared("data", "hci_key.csv"))
    found = flags(read_options(path, key), key=key, group=read_column(path, "gender"))
    assert found.calibration is not None
    assert found.calibration.log_likelihood == pytest.approx(-7526.749, abs=0.01)
    assert "not done" not in set(found.table["flag"])


@needs_shared
def test_mixed_formats_run_from_csv_to_flags():
    path = shared("data", "cz_matura_math_sample.csv")
    found = flags(read_responses(path, items=["b*"]), group=read_column(path, "FirstAtt"))
    assert found.classical is not None
    assert found.classical.reliability.alpha == pytest.approx(0.890, abs=5e-4)
    assert found.calibration is not None
    assert found.calibration.converged
    assert "not done" not in set(found.table["flag"])


@needs_shared
def test_two_sittings_of_one_form_run_from_csv_to_flags():
    """90 rows of 45 persons: the occasion is part of who answered, and so few is said."""
    path = shared("data", "hci_test_retest.csv")
    data = read_responses(path, items=["scored*"], person="person+occasion")
    found = flags(data, group=read_column(path, "occasion"))
    assert "has 45 persons; below 100" in found.summary()
