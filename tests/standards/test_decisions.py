"""One session's decision, and the one decision of a course."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assess.errors import InvalidContent, InvalidFact, InvalidParameters, ScaleMismatch
from assess.items import DecisionRule
from assess.scale import CutScore, Score
from assess.standards.decisions import (
    PointRule,
    ProbabilityRule,
    RawRule,
    SessionOutcome,
    course_decision,
    decide,
    decide_raw,
    rule_for,
)
from assess.standards.records import canonical_json, decimal9

CUT = CutScore("twt-3-ka.v2", "KA", 0.0, 0.08, "twt-3/1", "modified Angoff", "panel-1", "adopted")
JUDGED = CutScore("twt-3-ka.v1", "KA", 0.0, math.nan, "twt-3/judged", "judged", raw=14.2)
NODES = np.linspace(-6.0, 6.0, 61)


def bare(theta, se=0.4, method="EAP", scale="twt-3/1", status="ok"):
    return Score(theta, se, method, ("i1", "i2"), scale, "twt-3-2026-10.v1", status=status)


def with_posterior(theta, se=0.4):
    weights = np.exp(-0.5 * ((NODES - theta) / se) ** 2)
    return Score(theta, se, "EAP", ("i1",), "twt-3/1", nodes=NODES, posterior=weights / weights.sum())


def probability(score):
    return float(decide(score, CUT).record()["p_at_or_above_cut"])


def spoken(*outcomes):
    found = course_decision(outcomes)
    return None if found is None else found.status


def normal_upper(theta, se):
    return 0.5 * math.erfc(-theta / se / math.sqrt(2.0))


# --- the probability rule ----------------------------------------------------


@pytest.mark.parametrize(
    ("theta", "status"),
    [(0.5, "passed"), (0.1, "undetermined"), (-0.1, "undetermined"), (-0.5, "not_passed")],
)
def test_the_default_rule_leaves_the_middle_undetermined(theta, status):
    assert decide(bare(theta), CUT).status == status


def test_a_posterior_is_integrated_and_a_bare_score_says_it_is_approximated():
    exact, approximate = decide(with_posterior(0.62), CUT), decide(bare(0.62), CUT)
    assert exact.probability_basis == "posterior"
    assert approximate.probability_basis == "normal_approximation"
    assert approximate.p_at_or_above_cut == pytest.approx(normal_upper(0.62, 0.4), abs=1e-9)
    # a normal posterior is the one case in which both must agree
    assert exact.p_at_or_above_cut == pytest.approx(approximate.p_at_or_above_cut, abs=1e-6)


def test_a_probability_exactly_at_a_bound_is_on_its_side():
    rule = ProbabilityRule(p_pass=0.77337265, p_fail=0.25)
    score = bare(0.3)
    assert decide(score, CUT, rule=rule).p_at_or_above_cut == pytest.approx(0.77337265, abs=1e-8)
    at = probability(score)
    assert decide(score, CUT, rule=ProbabilityRule(p_pass=at)).status == "passed"
    assert decide(bare(-0.3), CUT, rule=ProbabilityRule(p_fail=1 - at)).status == "not_passed"


def test_a_difference_behind_the_ninth_digit_does_not_decide():
    rule = ProbabilityRule(p_pass=probability(bare(0.3)))
    assert decide(bare(0.3 - 1e-13), CUT, rule=rule).status == "passed"


@given(st.floats(-4, 4), st.floats(0.05, 1.5), st.floats(0.51, 0.99), st.floats(0.01, 0.49))
def test_the_record_alone_leads_to_the_decision_again(theta, se, p_pass, p_fail):
    rule = ProbabilityRule(p_pass, p_fail)
    decision = decide(bare(theta, se), CUT, rule=rule)
    record = decision.record()
    p = float(record["p_at_or_above_cut"])
    again = (
        "passed" if p >= float(record["terms"]["p_pass"])
        else "not_passed" if p <= float(record["terms"]["p_fail"]) else "undetermined"
    )  # fmt: skip
    assert again == decision.status
    stored = Score(
        float(record["theta"]), float(record["se"]), "EAP", ("i1", "i2"), "twt-3/1", "twt-3-2026-10.v1"
    )
    assert decide(stored, CUT, rule=rule) == decision
    canonical_json(record)  # no float is left in it


@given(st.floats(-3, 3), st.floats(0, 3), st.floats(0.1, 1.0))
def test_a_higher_theta_never_gets_a_worse_decision(theta, more, se):
    worst_first = ["not_passed", "undetermined", "passed"]
    low, high = decide(bare(theta, se), CUT), decide(bare(theta + more, se), CUT)
    assert worst_first.index(low.status) <= worst_first.index(high.status)


@pytest.mark.parametrize("bounds", [(0.2, 0.3), (0.75, 0.75), (1.0, 0.2), (0.8, 0.0), (math.nan, 0.2)])
def test_bounds_that_leave_no_middle_are_refused(bounds):
    with pytest.raises(InvalidContent, match="0 < p_fail < p_pass < 1"):
        ProbabilityRule(*bounds)


# --- point and raw rules -----------------------------------------------------


@pytest.mark.parametrize(("theta", "status"), [(0.0, "passed"), (1e-12, "passed"), (-0.001, "not_passed")])
def test_a_point_rule_passes_at_the_cut_itself(theta, status):
    assert decide(bare(theta, method="WL"), CUT, rule=PointRule()).status == status


def test_a_point_decision_still_tells_its_probability():
    decision = decide(bare(0.1, method="WL"), CUT, rule=PointRule())
    assert decision.rule == "point/1"
    assert decision.p_at_or_above_cut == pytest.approx(normal_upper(0.1, 0.4))


def test_a_point_rule_refuses_the_score_of_another_method():
    with pytest.raises(InvalidParameters, match=r"decides on WL, the score is EAP"):
        decide(bare(0.1), CUT, rule=PointRule("WL"))


def test_a_point_rule_on_maximum_likelihood_is_refused():
    with pytest.raises(InvalidContent, match="not WL or EAP"):
        PointRule("ML")


@pytest.mark.parametrize(
    ("raw", "status"), [(15, "passed"), (14.2, "passed"), (14, "not_passed"), (0, "not_passed")]
)
def test_the_raw_rule_compares_with_the_judged_raw_cut(raw, status):
    decision = decide_raw(raw, JUDGED)
    assert decision.status == status
    assert decision.provisional
    assert decision.rule == "raw/1"
    assert decision.p_at_or_above_cut is None
    assert decision.probability_basis == "not_calibrated"


def test_a_raw_score_that_cannot_be_one_is_refused():
    with pytest.raises(InvalidParameters, match="0 or more"):
        decide_raw(-1, JUDGED)
    with pytest.raises(InvalidParameters, match="0 or more"):
        decide_raw(math.nan, JUDGED)


def test_a_cut_without_a_raw_cut_cannot_decide_raw_scores():
    with pytest.raises(InvalidParameters, match="no judged raw cut"):
        decide_raw(10, CUT)


def test_judged_parameters_claim_no_probability():
    decision = decide(
        bare(0.4, scale="twt-3/judged"), JUDGED, rule=PointRule("EAP"), parameters_provisional=True
    )
    assert (decision.status, decision.provisional, decision.p_at_or_above_cut) == ("passed", True, None)
    with pytest.raises(InvalidParameters, match="judged parameters give no probability"):
        decide(bare(0.4, scale="twt-3/judged"), JUDGED, parameters_provisional=True)


def test_a_cut_that_no_panel_adopted_makes_the_decision_provisional():
    cut = CutScore("c.v1", "KA", 0.0, 0.1, "twt-3/1", "judged")
    assert decide(bare(1.0), cut).provisional
    assert not decide(bare(1.0), CUT).provisional


def test_a_form_states_its_rule():
    assert rule_for(DecisionRule()) == ProbabilityRule()
    assert rule_for(DecisionRule("point"), scoring="EAP") == PointRule("EAP")
    assert rule_for(DecisionRule("raw")) == RawRule()
    with pytest.raises(InvalidContent, match="not one of probability, point, raw"):
        rule_for(DecisionRule("lottery"))


# --- refusals and incomplete ---------------------------------------------------


def test_unequal_scales_are_refused():
    with pytest.raises(ScaleMismatch, match=r"'twt-3/2' and 'twt-3/1'"):
        decide(bare(1.0, scale="twt-3/2"), CUT)


@pytest.mark.parametrize(
    ("theta", "se"), [(math.inf, 1.0), (math.nan, 1.0), (0.0, 0.0), (0.0, math.nan), (0.0, math.inf)]
)
def test_a_score_that_is_not_finite_is_refused(theta, se):
    with pytest.raises(InvalidParameters):
        decide(bare(theta, se, "ML"), CUT)


@given(st.floats(-5, 5), st.sampled_from([None, PointRule("EAP")]))
def test_incomplete_is_never_passed(theta, rule):
    assert decide(bare(theta), CUT, rule=rule, complete=False).status == "incomplete"
    assert decide(bare(theta, status="no responses"), CUT, rule=rule).status == "incomplete"


@pytest.mark.parametrize("rule", [None, PointRule("WL")])
def test_a_score_without_responses_is_incomplete_even_where_it_has_no_value(rule):
    decision = decide(bare(math.nan, math.nan, method="WL", status="no responses"), CUT, rule=rule)
    assert (decision.status, decision.theta, decision.se, decision.p_at_or_above_cut) == (
        "incomplete",
        None,
        None,
        None,
    )
    assert decision.record()["theta"] is None


@given(st.floats(0, 40))
def test_an_incomplete_raw_score_is_never_passed(raw):
    assert decide_raw(raw, JUDGED, complete=False).status == "incomplete"


def test_a_decision_names_all_it_rests_on():
    record = decide(bare(0.62), CUT).record()
    assert record == {
        "status": "passed", "level": "KA", "cut_id": "twt-3-ka.v2", "rule": "probability/1",
        "terms": {"p_fail": "0.25", "p_pass": "0.75"}, "provisional": False,
        "p_at_or_above_cut": decimal9(normal_upper(0.62, 0.4)), "probability_basis": "normal_approximation",
        "theta": "0.62", "se": "0.4", "raw": None, "cut_theta": "0", "cut_raw": None,
        "scale_id": "twt-3/1", "parameter_set": "twt-3-2026-10.v1", "method": "EAP",
    }  # fmt: skip


def test_a_decision_says_itself_in_one_sentence():
    assert decide(bare(0.62), CUT).summary() == (
        "KA: passed by probability/1 against twt-3-ka.v2, probability 0.94 (normal approximation)"
    )
    assert decide_raw(14, JUDGED).summary() == (
        "KA: not passed by raw/1 against twt-3-ka.v1, raw score 14 of the needed 14.2; provisional"
    )


# --- one course -------------------------------------------------------------


def outcome(day, status, **more):
    return SessionOutcome(f"s{day}", datetime(2026, 11, day, 9, tzinfo=UTC), status, **more)


@pytest.mark.parametrize(
    ("outcomes", "speaks"),
    [
        ([], None),
        ([outcome(1, "not_passed"), outcome(2, "undetermined")], "s2"),
        ([outcome(1, "passed"), outcome(2, "not_passed")], "s1"),
        ([outcome(1, "passed"), outcome(2, "passed")], "s2"),
        ([outcome(1, "passed", void=True), outcome(2, "not_passed")], "s2"),
        ([outcome(1, "not_passed"), outcome(2, "passed", void=True)], "s2"),
        ([outcome(1, "passed"), outcome(2, "passed", void=True)], "s1"),
        ([outcome(1, "passed"), outcome(2, "pending")], "s1"),
        ([outcome(1, "incomplete"), outcome(2, "pending")], "s2"),
        ([outcome(1, "not_passed"), outcome(2, "passed", practice=True)], "s1"),
        ([outcome(1, "passed", practice=True)], None),
    ],
)
def test_the_latest_pass_speaks_else_the_latest_session(outcomes, speaks):
    for order in (outcomes, outcomes[::-1], outcomes * 2):
        found = course_decision(order)
        assert (found and found.session_id) == speaks


def test_a_rescore_takes_a_pass_away_where_a_failed_retake_does_not():
    assert spoken(outcome(1, "passed"), outcome(2, "not_passed")) == "passed"
    assert spoken(outcome(1, "not_passed"), outcome(2, "not_passed")) == "not_passed"


@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.sampled_from(["passed", "not_passed", "pending"]), st.booleans()),
        unique_by=lambda t: t[0],
    )
)
def test_a_further_failure_never_takes_a_pass_away(rows):
    outcomes = [outcome(day, status, void=void) for day, status, void in rows]
    before = course_decision(outcomes)
    after = course_decision([*outcomes, outcome(20, "not_passed")])
    if before is not None and before.status == "passed" and not before.void:
        assert after == before


def test_sessions_that_end_at_one_instant_have_an_order_of_their_own():
    at = datetime(2026, 11, 1, tzinfo=UTC)
    pair = [SessionOutcome("a", at, "not_passed"), SessionOutcome("b", at, "incomplete")]
    assert course_decision(pair) == course_decision(pair[::-1]) == pair[1]


def test_two_outcomes_of_one_session_are_refused():
    with pytest.raises(InvalidFact, match="'s1' has two outcomes"):
        course_decision([outcome(1, "passed"), outcome(1, "not_passed")])


def test_an_outcome_needs_a_known_status_and_a_time_zone():
    with pytest.raises(InvalidFact, match="not one of passed"):
        outcome(1, "failed")
    with pytest.raises(InvalidFact, match="no time zone"):
        SessionOutcome("s", datetime(2026, 1, 1), "passed")  # noqa: DTZ001


def test_times_are_compared_as_instants():
    from datetime import timezone

    early = SessionOutcome("z", datetime(2026, 1, 1, 10, tzinfo=timezone(timedelta(hours=5))), "not_passed")
    late = SessionOutcome("a", datetime(2026, 1, 1, 6, tzinfo=UTC), "incomplete")
    assert course_decision([early, late]) == late
