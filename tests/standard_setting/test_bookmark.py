"""Bookmark: the order of the booklet, and where mastery ends."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assess.errors import CutNotFound, InvalidParameters
from assess.irt import ItemParameters, category_probabilities, test_characteristic
from assess.standard_setting import bookmark, ordered_booklet
from tests.irt.examples import parameter_sets
from tests.standard_setting.panels import mixed_form


def true_page(form, theta, response_probability):
    """The first page that somebody at theta has less than the response probability of reaching."""
    booklet = ordered_booklet(form, response_probability)
    probabilities = category_probabilities(form, theta)[0]
    for page, unit, step in zip(booklet.index, booklet.unit, booklet.step, strict=True):
        if probabilities[form.position[unit], step:].sum() < response_probability:
            return int(page)
    return len(booklet) + 1


def rasch(*b):
    return ItemParameters([f"i{j}" for j in range(len(b))], "Rasch", [1.0] * len(b), [[x] for x in b])


@pytest.mark.parametrize("response_probability", [0.5, 0.67, 0.8])
@pytest.mark.parametrize("theta", [-0.8, 0.0, 0.6])
def test_judges_who_know_the_true_probabilities_recover_theta(theta, response_probability):
    """To the gap between two pages: this booklet has 800 steps, so the gap is small."""
    form = mixed_form(400, seed=8)
    page = true_page(form, theta, response_probability)
    cut = bookmark({"j1": page, "j2": page, "j3": page}, form, response_probability=response_probability)
    assert cut.theta == pytest.approx(theta, abs=0.01)
    assert cut.raw == pytest.approx(float(test_characteristic(form, cut.theta)[0]))
    assert [cut.n_judges, cut.se] == pytest.approx([3, 0.0], abs=1e-12)


@settings(max_examples=40)
@given(
    form=parameter_sets(models=("Rasch", "2PL", "3PL", "GRM", "GPCM", "NRM"), monotone=True),
    response_probability=st.floats(0.45, 0.9),
)
def test_at_its_location_a_step_has_the_response_probability(form, response_probability):
    booklet = ordered_booklet(form, response_probability)
    assert len(booklet) == int((form.n_categories - 1).sum())
    assert booklet.location.is_monotonic_increasing
    for unit, step, location in zip(booklet.unit, booklet.step, booklet.location, strict=True):
        at = category_probabilities(form, location)[0, form.position[unit], step:].sum()
        assert at == pytest.approx(response_probability, abs=1e-8)


def test_a_rasch_item_at_rp67_lies_a_logit_of_two_to_one_above_its_difficulty():
    assert ordered_booklet(rasch(0.4), 2 / 3).location.tolist() == [pytest.approx(0.4 + math.log(2.0))]


def test_the_three_rules_lie_on_and_between_two_pages():
    form = rasch(-1.0, 0.0, 0.5)
    found = [
        bookmark({"j1": 3, "j2": 3}, form, response_probability=0.5, rule=rule).theta
        for rule in ("last mastered", "midpoint", "first not mastered")
    ]
    assert found == pytest.approx([0.0, 0.25, 0.5])


def test_median_and_mean_of_the_judges_and_their_errors():
    form = rasch(-1.0, 0.0, 1.0, 3.0)
    pages = {"j1": 2, "j2": 3, "j3": 4}
    median = bookmark(pages, form, response_probability=0.5)
    mean = bookmark(pages, form, response_probability=0.5, combine="mean")
    cuts = np.array([-0.5, 0.5, 2.0])
    assert [median.theta, mean.theta] == pytest.approx([0.5, 2.0 / 3.0])
    assert mean.se == pytest.approx(cuts.std(ddof=1) / math.sqrt(3))
    assert median.se == pytest.approx(mean.se * math.sqrt(math.pi / 2))
    assert "RP50, guessing kept in, midpoint, median of 3 judges" in median.summary()


@pytest.mark.parametrize(("page", "rule"), [(1, "midpoint"), (4, "midpoint"), (1, "last mastered")])
def test_a_bookmark_at_the_end_leaves_the_cut_open(page, rule):
    with pytest.raises(CutNotFound, match=f"judge 'j2': a bookmark on page {page} of 3"):
        bookmark({"j1": 2, "j2": page}, rasch(-1.0, 0.0, 0.5), rule=rule)


@pytest.mark.parametrize(
    ("pages", "more", "message"),
    [
        ({}, {}, "no bookmarks"),
        ({"j1": 0}, {}, "judge 'j1': page 0 is not in the booklet, 1 to 3"),
        ({"j1": 5}, {}, "page 5"),
        ({"j1": 1.5}, {}, r"page 1\.5"),
        ({"j1": 2}, {"rule": "nearest"}, "midpoint, last mastered, first not mastered"),
        ({"j1": 2}, {"combine": "mode"}, "mean or median"),
        ({"j1": 2}, {"response_probability": 1.0}, "response probability is 1.0"),
    ],
)
def test_what_is_no_bookmark_is_refused(pages, more, message):
    with pytest.raises(InvalidParameters, match=message):
        bookmark(pages, rasch(-1.0, 0.0, 0.5), **more)


def test_units_without_a_location_are_named():
    guessed = ItemParameters(["g"], "3PL", [1.0], [[0.0]], lower=[0.55])
    with pytest.raises(InvalidParameters, match=r"unit 'g': its probability stays between 0\.55 and 1"):
        ordered_booklet(guessed, 0.5)
    falling = ItemParameters(["f"], "2PL", [-1.0], [[0.0]])
    with pytest.raises(InvalidParameters, match="unit 'f': it falls"):
        ordered_booklet(falling)
    flat = ItemParameters(["p"], "PCM", [1.0], [[80.0, 81.0]])
    with pytest.raises(CutNotFound, match="unit 'p': step 1 has no location"):
        ordered_booklet(flat)
