"""Hofstee and Beuk: by hand on a small cohort, and never a cut."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from assess.errors import CutNotFound, InvalidContent, InvalidParameters
from assess.standard_setting import Advice, CutEstimate, Judgement, advise, beuk, hofstee
from tests.standard_setting.panels import PANEL, angoff_study, mixed_form

LIMITS = {"lowest_cut": 40.0, "highest_cut": 60.0, "lowest_fail_rate": 0.1, "highest_fail_rate": 0.7}
# So many that the share below a cut is the normal distribution function.
COHORT = norm.ppf((np.arange(40_000) + 0.5) / 40_000)


def panel(*rows):
    return pd.DataFrame(list(rows), index=[f"j{n}" for n in range(1, len(rows) + 1)])


def test_hofstee_is_where_the_line_meets_the_distribution():
    judges = panel(
        {"lowest_cut": -0.8, "highest_cut": 0.8, "lowest_fail_rate": 0.1, "highest_fail_rate": 0.6},
        {"lowest_cut": -0.4, "highest_cut": 0.6, "lowest_fail_rate": 0.2, "highest_fail_rate": 0.5},
    )
    low, high, least, most = -0.6, 0.7, 0.15, 0.55
    expected = brentq(lambda k: norm.cdf(k) - (most - (most - least) * (k - low) / (high - low)), low, high)
    advice = hofstee(judges, COHORT)
    assert advice.score == pytest.approx(expected, abs=1e-3)
    assert advice.pass_rate == pytest.approx(norm.sf(expected), abs=1e-3)
    assert advice.summary().startswith("advice only: Hofstee over 2 judges")


def test_beuk_is_where_the_rising_line_meets_the_falling_pass_rate():
    judges = panel(*({"cut": c, "pass_rate": r} for c, r in ((-0.2, 0.9), (0.3, 0.7), (0.5, 0.8))))
    x, y, slope = 0.2, 0.8, np.std([0.9, 0.7, 0.8]) / np.std([-0.2, 0.3, 0.5])
    expected = brentq(lambda k: y + slope * (k - x) - norm.sf(k), -3.0, 3.0)
    advice = beuk(judges, COHORT)
    assert advice.score == pytest.approx(expected, abs=1e-3)
    assert advice.pass_rate == pytest.approx(norm.sf(expected), abs=1e-3)


def test_beuk_keeps_what_the_judges_agree_on():
    same_cut = beuk(panel({"cut": 0.4, "pass_rate": 0.5}, {"cut": 0.4, "pass_rate": 0.9}), COHORT)
    assert same_cut.score == pytest.approx(0.4, abs=1e-3)
    same_rate = beuk(panel({"cut": 0.0, "pass_rate": 0.7}, {"cut": 1.0, "pass_rate": 0.7}), COHORT)
    assert same_rate.pass_rate == pytest.approx(0.7, abs=1e-3)


def test_a_line_far_from_the_scores_still_has_an_end():
    advice = beuk(panel({"cut": 0.0, "pass_rate": 0.99}, {"cut": 100.0, "pass_rate": 1.0}), [1.0, 2.0, 3.0])
    assert advice.score == pytest.approx(1.0, abs=1e-6)
    assert advice.pass_rate == 1.0


def test_advice_is_no_cut():
    names = {field.name for field in dataclasses.fields(Advice)}
    assert not issubclass(Advice, CutEstimate)
    assert not names & {"theta", "raw", "se"}


def test_limits_that_the_cohort_never_meets_give_no_advice():
    with pytest.raises(CutNotFound, match="no cut fails between"):
        hofstee(panel({**LIMITS, "lowest_fail_rate": 0.0, "highest_fail_rate": 0.05}), np.arange(101))
    with pytest.raises(CutNotFound, match="nothing to compromise"):
        beuk(panel({"cut": 1.0, "pass_rate": 0.5}, {"cut": 1.0, "pass_rate": 0.5}), COHORT)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hofstee(panel({**LIMITS, "highest_fail_rate": 1.4}), [1.0]), "highest_fail_rate is 1.4"),
        (lambda: hofstee(panel({**LIMITS, "lowest_cut": 70.0}), [1.0]), "judge 'j1': the lowest cut"),
        (lambda: hofstee(panel({"lowest_cut": 1.0}), [1.0]), "the columns lowest_cut, highest_cut"),
        (lambda: hofstee(panel(LIMITS), []), "finite numbers"),
        (lambda: beuk(panel({"cut": 1.0, "pass_rate": 0.5}), [1.0]), "one judge has no spread"),
        (lambda: beuk(panel({"cut": np.nan, "pass_rate": 0.5}), [1.0]), "judge 'j1': cut is nan"),
    ],
)
def test_judgements_out_of_range_are_named(call, message):
    with pytest.raises(InvalidParameters, match=message):
        call()


def study_of(method, **limits):
    judgements = tuple(
        Judgement(number, one.id, what, value + n)
        for number in (1, 2)
        for n, one in enumerate(PANEL)
        for what, value in limits.items()
    )
    return angoff_study(mixed_form(), method=method, judgements=judgements)


def test_a_study_leads_to_the_advice_of_its_last_round():
    said = {"cut": [50.0, 60.0], "pass_rate": [0.6, 0.8]}
    judgements = tuple(
        Judgement(number, PANEL[j].id, what, values[j] + 0.1 * (number == 1))
        for number in (1, 2) for j in (0, 1) for what, values in said.items()
    )  # fmt: skip
    study = angoff_study(mixed_form(), method="Beuk", judgements=judgements)
    # As the example of `beuk`, which is worked by hand.
    assert advise(study, np.arange(101)).score == pytest.approx(46.733, abs=5e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: advise(angoff_study(mixed_form()), [1.0]), "method: modified Angoff gives a cut"),
        (lambda: advise(study_of("Beuk", cut=1.0, pass_rate=0.5), [1.0]), "judgements: judge 'j2'"),
        (lambda: study_of("Beuk", cut=1.0, passrate=0.5), "'passrate' is not what Beuk asks for: cut"),
        (
            lambda: angoff_study(
                mixed_form(), method="Beuk",
                judgements=(Judgement(1, "j1", "cut", 1.0), Judgement(1, "j2", "cut", 1.0),
                            Judgement(1, "j2", "pass_rate", 0.5)),
            ),
            "judge 'j1' did not rate unit 'pass_rate'",
        ),
        (lambda: advise(study_of("Beuk", cut=1.0), [1.0]), "the columns cut, pass_rate"),
    ],
)  # fmt: skip
def test_a_study_that_leads_to_no_advice_says_why(call, message):
    with pytest.raises(InvalidContent, match=message):
        call()
