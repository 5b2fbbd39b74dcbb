"""`assess design` prints the curve of errors, writes its page, and refuses in a sentence."""

from __future__ import annotations

import json

import pytest

from tests.publishing import small_bank

SMALL = ("--learners", 40, "--at", 4)


def test_a_form_is_studied_and_reported(assess, banks, tmp_path):
    done = assess("design", "toy-adaptive", *SMALL, "--group", "lower=-0.5,1", "--out", tmp_path / "d")
    assert done.code == 0, done.err
    assert "toy-adaptive.v1 by theta" in done.out
    assert "truncated" in done.out
    assert "other designs" in done.out
    assert "the judged parameters are taken as true" in done.out
    assert (tmp_path / "d" / "index.html").is_file()


def test_a_confirming_form_prints_its_error_rates(assess, banks, tmp_path):
    adaptive = tmp_path / "banks" / "toys" / "toy" / "forms"
    confirms = {"forms": ["toy-adaptive"], "loss": 1.5, "alpha": 0.05, "beta": 0.1}
    rules = {"min_units": 2, "max_units": 4, "certainty": False}
    mapping = small_bank.form("adaptive", id="toy-confirming", adaptive=rules, confirms=confirms)
    del mapping["rule"]
    small_bank.write(adaptive / "toy-confirming.v1.yaml", mapping)
    done = assess("design", "toy-confirming", "--learners", 60, "--out", tmp_path / "d")
    assert done.code == 0, done.err
    assert "toy-confirming.v1 after toy-adaptive.v1, by loss" in done.out
    assert "are found inconsistent (stated: at most 5.0%)" in done.out
    assert "cannot go live" in done.out
    kept = json.loads((tmp_path / "d" / "confirmation.json").read_text(encoding="utf-8"))
    assert kept["toy-adaptive.v1"]["stated"] == {"loss": 1.5, "alpha": 0.05, "beta": 0.1}
    assert (tmp_path / "d" / "by-loss-toy-adaptive.csv").is_file()
    refused = assess("accuracy", "toy-confirming.v1")
    assert refused.code == 2
    assert "confirms passes and decides none: type assess design toy-confirming.v1" in refused.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing",), "is neither a form nor a programme"),
        (("toy-adaptive", "--group", "lower"), "say its name, mean and SD"),
        (("toy-adaptive", "--population", "0"), "is no population"),
        (("toy-adaptive", "--population", "0,0"), "the SD must be positive"),
        (("toy-adaptive", "--learners", 1), "two learners or more"),
    ],
)
def test_what_cannot_be_studied_is_said(assess, banks, arguments, said):
    done = assess("design", *arguments)
    assert done.code == 2
    assert said in done.err


def test_a_table_of_exposure_is_shown_first_and_written_then_as_the_next_version(assess, banks):
    forms = next(banks.rglob("toy-adaptive.v1.yaml")).parent
    ask = ("exposure-table", "toy-adaptive", "--target", 0.8, "--population", "0,1", "--learners", 80)
    done = assess(*ask, "--dry-run")
    assert done.code == 0, done.err
    assert "nothing was written" in done.out
    assert not (forms / "toy-adaptive.v2.yaml").exists()
    done = assess(*ask)
    assert done.code == 0, done.err
    assert "the largest exposure came to" in done.out
    assert (forms / "toy-adaptive.v2.yaml").exists()
    assert assess("bank", "check", banks).code == 0


def test_a_table_of_exposure_that_cannot_be_made_is_said(assess, banks):
    done = assess("exposure-table", "toy-adaptive.v1", "--target", 0.8, "--population", "0,1")
    assert (done.code, "name a form by its id, without a version" in done.err) == (2, True)
    done = assess("exposure-table", "toy-adaptive", "--population", "0,1")
    assert (done.code, "states no target of exposure" in done.err) == (2, True)
    done = assess("exposure-table", "toy-adaptive", "--target", 0.8, "--population", "0;1")
    assert (done.code, "say mean and SD" in done.err) == (2, True)
