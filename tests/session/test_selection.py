from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from assess.errors import ActivationRefused, InvalidContent, InvalidParameters
from assess.irt import AdaptiveTest, Prior, information
from assess.irt.designed import DesignedTest
from assess.irt.stopping import Sequential
from assess.items import AdaptiveRules, Form
from assess.session import StartRecord, chance, kept_closed, left_out, outcome, require_feasible, start, step
from assess.session.selection import chosen, coming
from tests import synthetic
from tests.session.driving import NOON, SEED, always_right, always_wrong, begin, respond, run

PLAIN = {"min_units": 5, "max_units": 8, "randomesque": 2}


def release(n_items=15, *, form=None, **adaptive):
    return synthetic.release(
        kind="adaptive", calibrated=True, n_items=n_items, form={"adaptive": PLAIN | adaptive} | (form or {})
    )


def alternating(item, position):
    return "b" if position % 2 else "a"


# --- the form --------------------------------------------------------------------

RULES = {
    "selection": "MEPV",
    "updating": "WL",
    "content": "shadow",
    "interval": 1.96,
    "information": 0.1,
    "sprt": {"delta": 0.3, "alpha": 0.05, "beta": 0.1},
    "glr": {"delta": 0.2, "alpha": 0.05, "beta": 0.05},
    "start": {"theta": 0.5, "among": 3},
    "enemies": [["x-001.v1", "x-002.v1"]],
    "anchors": ["x-003.v1"],
    "time": {"maximum_seconds": 900, "seconds_per_item": 60, "by_interaction": {"ordering": 90}},
    "exposure": {"target": 0.5, "probabilities": {"x-004.v1": 0.5}, "made": {"seed": 1}},
    "overlap": {"sessions": 2, "maximum": 20},
}


def test_every_rule_of_a_form_survives_its_mapping_and_reaches_the_kernel():
    form = release(24, **RULES).form
    assert Form.from_mapping(json.loads(json.dumps(form.to_mapping())), "form") == form
    test = release(24, **RULES).adaptive_test
    assert isinstance(test, DesignedTest)
    assert (test.selection, test.updating, test.shadow, test.start, test.first_among) == (
        "MEPV",
        "WL",
        True,
        0.5,
        3,
    )
    assert test.stop.sprt == Sequential(0.3, 0.05, 0.1)
    assert (test.stop.interval, test.stop.information) == (1.96, 0.1)
    assert test.enemies == ((0, 1),)
    assert [c.label for c in test.constraints][-2:] == ["anchors", "time in seconds"]


def test_a_form_without_new_rules_is_written_as_before_and_served_by_the_plain_kernel():
    plain = release()
    assert set(plain.form.to_mapping()["adaptive"]) == {
        "selection",
        "randomesque",
        "min_units",
        "max_units",
        "certainty",
    }
    assert type(plain.adaptive_test) is AdaptiveTest
    assert AdaptiveRules().to_mapping()["certainty"] is True


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"updating": "magic"}, "updating: 'magic' is not one of EAP"),
        ({"content": "magic"}, "content: 'magic' is not one of priority, shadow"),
        ({"interval": -1.0}, "interval: must be positive"),
        ({"information": 0.0}, "information: must be positive"),
        ({"sprt": {"delta": 0.0}}, "delta: must be positive"),
        ({"sprt": {}}, "'delta' is missing"),
        ({"glr": {"delta": 0.2, "alpha": 0.7}}, "alpha: 0.7 is no error rate"),
        ({"enemies": [["x-001.v1"]]}, r"enemies\[0\]: expected a list of two units"),
        ({"enemies": [["x-001.v1", "x-099.v1"]]}, "x-099.v1 is not a unit of this form"),
        ({"anchors": ["x-099.v1"]}, "anchors: x-099.v1 is not a unit of this form"),
        ({"time": {"maximum_seconds": 60}}, "'seconds_per_item' is missing"),
        (
            {"time": {"maximum_seconds": 60, "seconds_per_item": 5, "by_interaction": {"ordering": "x"}}},
            "whole seconds",
        ),
        ({"exposure": {"target": 1.5}}, "target: 1.5 is no share"),
        ({"exposure": {"target": 0.5, "probabilities": {"x-001.v1": 0.0}}}, "0.0 is no probability"),
        ({"exposure": {"target": 0.5, "probabilities": {"x-099.v1": 0.5}}}, "x-099.v1 is not a unit"),
        ({"overlap": {"sessions": 0}}, "sessions: 0 is below 1"),
        ({"start": {"among": 0}}, "among: 0 is below 1"),
        (
            {"start": {"earlier": [{"course": "c", "scale": "c/1", "slope": 1, "intercept": 0, "sd": 0}]}},
            "sd: must be positive",
        ),
        (
            {
                "start": {
                    "theta": 0.0,
                    "earlier": [{"course": "c", "scale": "c/1", "slope": 1, "intercept": 0, "sd": 1}],
                }
            },
            "exclude each other",
        ),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused_with_its_place(rules, message):
    with pytest.raises(InvalidContent, match=message):
        release(**rules)


# --- refused at activation -----------------------------------------------------------


def requirement(label, minimum, maximum=None, code="TL.3.a"):
    wanted = {"label": label, "minimum": minimum, "framework": "unesco-ict-cft", "version": "2", "code": code}
    return wanted | ({} if maximum is None else {"maximum": maximum})


@pytest.mark.parametrize(
    ("rules", "form", "message"),
    [
        (
            {"anchors": ["x-002.v1"]},
            {"blueprint": [requirement("a", 4), requirement("b", 4, code="TL.3.b")]},
            "a: at least 4, with the others 3 or less; anchors: at least 1, with the others 0 or less",
        ),
        ({"content": "shadow"}, {"blueprint": [requirement("a", 1, 5), requirement("p", 9)]}, "wants 9"),
        (
            {"anchors": ["x-001.v1", "x-002.v1"], "enemies": [["x-001.v1", "x-002.v1"]]},
            {},
            "enemies x-001.v1, x-002.v1: at most 1, with the others 2 or more; anchors: at least 2",
        ),
        (
            {"time": {"maximum_seconds": 250, "seconds_per_item": 60}},
            {},
            "time in seconds: at most 250, with the others 300 or more; length: at least 5",
        ),
        ({"exposure": {"target": 0.2}}, {}, "lets a session meet 3.0 of them; the form needs 5"),
        ({"overlap": {"sessions": 1, "maximum": 0}}, {}, "needs 16 units; the form has 15"),
    ],
)
def test_a_form_that_cannot_be_kept_is_refused_at_activation_in_its_own_words(rules, form, message):
    with pytest.raises(ActivationRefused) as refused:
        require_feasible(release(form=form, **rules))
    told = str(refused.value)
    assert all(part in told for part in message.split("; "))


def test_a_shadow_form_whose_longest_test_breaks_a_maximum_is_refused():
    blueprint = [requirement(code, 1, 2, code) for code in synthetic.CODES]
    require_feasible(release(form={"blueprint": blueprint}))
    with pytest.raises(ActivationRefused, match="length: at least 8, with the others 6 or less"):
        require_feasible(release(form={"blueprint": blueprint}, content="shadow"))


def test_a_bank_without_units_a_code_or_parameters_is_refused():
    with pytest.raises(InvalidContent, match="units"):
        release(form={"units": []})
    with pytest.raises(ActivationRefused, match="wants 1 to any number, found 0"):
        release(form={"blueprint": [requirement("z", 1, code="KD.3.a")]})
    document = synthetic.document(kind="adaptive", n_items=12)
    document["parameter_set"]["items"].pop()
    from assess.session import Release

    with pytest.raises(ActivationRefused, match=r"has no x-012\.v1"):
        Release.from_document(document)


# --- sessions ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rules",
    [
        {"content": "shadow"},
        {"content": "shadow", "selection": "KLP", "updating": "MAP", "certainty": False},
        {"selection": "MEPV", "updating": "WL", "sprt": {"delta": 0.4}},
        {"selection": "cut", "glr": {"delta": 0.3}, "start": {"among": 4}},
        {"anchors": ["x-012.v1"], "enemies": [["x-001.v1", "x-002.v1", "x-003.v1"]]},
    ],
)
@pytest.mark.parametrize("answers", [always_right, always_wrong, alternating])
def test_a_session_keeps_its_form_and_replays_bit_for_bit(rules, answers):
    found = release(**rules)
    state = run(found, answers)
    units = [found.unit_of[offer.item] for offer in state.offers]
    assert len(set(units)) == len(units)
    record = outcome(state, decided_at=NOON)
    proof = record.record["evidence"]
    assert all(row["met"] for row in proof["blueprint"])
    assert 5 <= proof["units"]["found"] <= 8
    assert proof["stopped_by"] in ("length", "certainty", "precision", "sprt", "glr")
    if "anchors" in rules:
        assert found.unit_of["x-012.v1"] in units
        assert len({0, 1, 2} & set(units)) <= 1
    # Another process would build the release anew; the offers and the record come out the same.
    again = run(release(**rules), answers)
    assert [offer.item for offer in again.offers] == [offer.item for offer in state.offers]
    assert outcome(again, decided_at=NOON).record_bytes == record.record_bytes


def test_a_session_that_is_handed_in_early_proves_what_it_lacks():
    state = run(release(), always_right, stop_after=1)
    proof = outcome(state, decided_at=NOON).record["evidence"]
    assert "stopped_by" not in proof
    assert sum(row["met"] for row in proof["blueprint"]) == 1


def test_a_start_record_of_before_says_nothing_new_and_its_record_neither():
    state = run(release(), alternating)
    mapping = state.start.to_mapping()
    assert mapping.pop("evidence") is True
    assert not {"closed", "choosing"} & set(mapping)
    from dataclasses import replace

    before = replace(state, start=StartRecord.from_mapping(mapping))
    assert "evidence" not in outcome(before, decided_at=NOON).record


EARLIER = {
    "start": {"earlier": [{"course": "twt-2", "scale": "twt-2/1", "slope": 0.6, "intercept": 0.1, "sd": 0.8}]}
}


def test_an_earlier_course_chooses_the_items_and_never_touches_the_score():
    found = release(24, randomesque=1, certainty=False, **EARLIER)
    at = {}
    for mean in (-1.2, 1.2):
        state = begin(found, choosing=Prior(mean, 0.4))
        at[mean] = found.unit_of[state.offers[0].item]
        worth = information(found.parameters, mean)[0]
        # The table of information is linear between points 0.05 apart.
        assert worth[at[mean]] == pytest.approx(worth.max(), abs=1e-3)
        assert StartRecord.from_mapping(json.loads(json.dumps(state.start.to_mapping()))) == state.start
    assert at[-1.2] != at[1.2]
    # The same items and answers give the same score, decision and probability, whatever they were chosen by.
    from dataclasses import replace

    state = run(found, alternating)
    tilted = replace(state, start=replace(state.start, choosing=(1.2, 0.4)))
    one, other = outcome(state, decided_at=NOON), outcome(tilted, decided_at=NOON)
    assert one.record["decision"] == other.record["decision"]
    assert one.record["prior"] == other.record["prior"]
    assert one.score is not None
    assert other.score is not None
    assert (one.score.theta, one.score.se) == (other.score.theta, other.score.se)


def test_a_form_that_names_no_earlier_course_refuses_a_prior_for_choosing():
    with pytest.raises(InvalidParameters, match="it states none"):
        start(release(), session="s", learner="l", seed=SEED, now=NOON, choosing=Prior(1.0, 0.5))


# --- exposure and overlap -----------------------------------------------------------------


def test_a_unit_is_open_with_its_probability_and_closed_units_are_not_met():
    found = release(
        24, exposure={"target": 0.5, "probabilities": {"x-012.v1": 0.3, "x-013.v1": 0.8}, "made": {}}
    )
    seeds = [f"{n:032x}" for n in range(600)]
    closed = [kept_closed(found, seed, ()) for seed in seeds]
    for unit, probability in (("x-012.v1", 0.3), ("x-013.v1", 0.8)):
        share = 1.0 - np.mean([unit in shut for shut in closed])
        assert share == pytest.approx(probability, abs=3.5 * np.sqrt(probability * (1 - probability) / 600))
    seed = next(seed for seed, shut in zip(seeds, closed, strict=True) if len(shut) == 2)
    state = run(found, alternating, seed=seed)
    assert state.start.closed == ("x-012.v1", "x-013.v1")
    assert not {"x-012.v1", "x-013.v1"} & {offer.item for offer in state.offers}
    assert outcome(state, decided_at=NOON).record["evidence"]["closed"] == 2


@pytest.mark.parametrize("probability", [0.05, 0.5])
def test_the_short_way_to_the_next_unit_leads_where_the_long_one_does(probability):
    spared = {f"x-{n:03d}.v1": probability for n in range(1, 16)}
    found = release(15, certainty=True, exposure={"target": 0.6, "probabilities": spared, "made": {}})
    n_ended = 0
    for number in range(4):
        state = begin(found, seed=f"{number:032x}", excluded=("x-004.v1",))
        assert state.start.closed
        while state.ending is None:
            before = replace(state, offers=state.offers[:-1])
            assert coming(before) == chosen(before).unit == found.unit_of[state.offers[-1].item]
            state = respond(state, alternating(None, state.position))
        n_ended += coming(state) is None and chosen(state).unit is None
    assert n_ended == 4


@pytest.mark.parametrize("content", ["priority", "shadow"])
def test_exposure_never_ends_a_session_or_breaks_its_blueprint(content):
    tight = {f"x-{n:03d}.v1": 0.05 for n in range(1, 16)}
    found = release(
        15, content=content, certainty=False, exposure={"target": 0.6, "probabilities": tight, "made": {}}
    )
    for number in range(6):
        state = run(found, alternating, seed=f"{number:032x}")
        proof = outcome(state, decided_at=NOON).record["evidence"]
        assert proof["units"]["found"] == 8
        assert all(row["met"] for row in proof["blueprint"])


def test_units_met_before_come_again_no_more_often_than_stated():
    found = release(40, overlap={"sessions": 2, "maximum": 3})
    first, second = [f"x-{n:03d}.v1" for n in range(1, 9)], [f"x-{n:03d}.v1" for n in range(9, 17)]
    out = left_out(found, [second, first], SEED)
    assert len(out) == 13
    # What was met longest ago may come again first.
    assert set(second) <= set(out)
    assert left_out(found, [second, first], SEED) == out
    assert left_out(found, [[]], SEED) == ()
    small = release(12)
    kept = left_out(small, [[f"x-{n:03d}.v1" for n in range(1, 9)]], SEED)
    assert 0 < len(kept) <= 4
    state = begin(small, excluded=kept)
    while state.ending is None:
        state = respond(state, "b")
    assert not set(kept) & {offer.item for offer in state.offers}


def test_what_comes_next_is_told_by_the_records_alone():
    state = begin(release(content="shadow"))
    assert chosen(state) == chosen(state)
    assert 0.0 <= chance(SEED, "select", 0) < 1.0
    assert step(state, NOON).waiting
