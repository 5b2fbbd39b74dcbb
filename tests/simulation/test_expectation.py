"""What shipped forms can be expected to do while their difficulties are only judged."""

from __future__ import annotations

import math
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from assess import irt
from assess.errors import InvalidParameters
from assess.publishing import ItemBank, bank_folders, load_bank, load_programme, release_document
from assess.session import Release
from assess.simulation import Expectation, expectation, percentiles
from tests import verification

FOLDER = Path(__file__).resolve().parents[2] / "item_banks" / "teaching-with-technology"
COURSES = [folder.name for folder in bank_folders(FOLDER)]
DRAWS, SEED = 200, 20261128


@cache
def bank(course: str) -> ItemBank:
    return load_bank(FOLDER / course, load_programme(FOLDER))


@cache
def released(course: str, form: str) -> Release:
    found = bank(course).latest_forms()[form]
    return Release.from_document(release_document(bank(course), found.reference))


def one_draw(release: Release, number: int, n: int) -> Expectation:
    return expectation(release, np.random.default_rng([SEED, number]), n=n)


def as_judged(parameters: irt.ItemParameters, rng: np.random.Generator) -> irt.ItemParameters:
    return parameters


def test_with_true_difficulties_the_standard_error_is_that_of_the_information() -> None:
    release = released("twt-3", "twt-3-fixed")
    found = [
        expectation(release, np.random.default_rng([SEED, k]), n=4_000, true=as_judged) for k in range(4)
    ]
    information = irt.information(release.parameters, np.array([release.cut.theta])).sum()
    # 4 x 4,000 learners: about 1 % of Monte Carlo; an estimate from 24 items is not quite efficient.
    assert np.mean([draw.se_at_cut for draw in found]) == pytest.approx(1 / math.sqrt(information), rel=0.06)


def test_with_true_difficulties_the_reliability_is_that_of_the_posterior() -> None:
    """For EAP with the true prior, cor^2 = 1 - mean posterior variance."""
    release = released("twt-3", "twt-3-fixed")
    found = expectation(release, np.random.default_rng(SEED), n=8_000, true=as_judged)
    rng = np.random.default_rng(5)
    people = rng.standard_normal(8_000)
    frame = pd.DataFrame(
        irt.simulate(release.parameters, people, rng), columns=list(release.parameters.item_ids)
    )
    scored = irt.score(frame, release.parameters, method="EAP", prior=release.prior)
    assert found.reliability == pytest.approx(1.0 - float((scored["se"] ** 2).mean()), abs=0.015)


def test_wrong_difficulties_cost_reliability_and_accuracy() -> None:
    release = released("twt-1", "twt-1-fixed")
    drawn = [one_draw(release, k, 1_500) for k in range(6)]
    known = [
        expectation(release, np.random.default_rng([SEED, k]), n=1_500, true=as_judged) for k in range(6)
    ]
    assert np.mean([d.accuracy for d in drawn]) < np.mean([d.accuracy for d in known]) + 0.01
    assert {round(d.length, 9) for d in drawn} == {float(len(release.parameters))}


def test_an_adaptive_form_is_shorter_and_sums_of_shares_are_shares() -> None:
    found = one_draw(released("twt-1", "twt-1-adaptive"), 0, 300)
    rules = released("twt-1", "twt-1-adaptive").form.adaptive
    assert rules is not None
    assert rules.min_units <= found.length <= rules.max_units
    assert 0.0 <= found.false_pass + found.false_fail + found.undetermined <= 1.0
    assert 0.0 < found.consistency <= 1.0


def test_too_few_learners_are_refused() -> None:
    with pytest.raises(InvalidParameters, match="at least 100"):
        one_draw(released("twt-1", "twt-1-fixed"), 0, 99)


@pytest.mark.verify
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("course", COURSES)
def test_what_the_pilot_has_to_show(course: str) -> None:
    for name, form in bank(course).latest_forms().items():
        if form.placement:
            continue  # it grants or advises; tests/simulation has its own study of what it grants
        release = released(course, form.id)
        n = 500 if form.kind == "adaptive" else 1_000

        def one(k: int, release: Release = release, n: int = n) -> dict[str, float]:
            return asdict(one_draw(release, k, n))

        study = f"expected of {form.reference} while difficulties are judged, {DRAWS} draws"
        draws = [Expectation(**row) for row in verification.replications(study, DRAWS, one, seed=SEED)]
        table = percentiles(draws)
        middle = table.iloc[:, 1].to_dict()
        told = "; ".join(
            f"{quantity.replace('_', ' ')} {' / '.join(f'{x:.2f}' for x in table.loc[quantity])}"
            for quantity in ("reliability", "se_at_cut", "accuracy", "consistency", "undetermined", "length")
        )
        verification.record(study, f"10th / 50th / 90th percentile: {told}", seed=SEED)
        assert middle["reliability"] > 0.6, name
        assert middle["accuracy"] > 0.78, name
