"""Multistage sessions: modules by recorded routes, decisions that replay, and forms that are refused."""

from __future__ import annotations

import copy
import json
from collections import Counter
from datetime import timedelta

import numpy as np
import pytest

from assess.errors import ActivationRefused, InvalidContent, RescoreRefused
from assess.session import (
    Ending,
    Offer,
    Release,
    StartRecord,
    fold,
    is_complete,
    left_out,
    outcome,
    rescore,
    start,
    step,
    with_ending,
)
from assess.session.multistage import drawn_panel
from assess.simulation.form_runs import run_form
from tests import synthetic
from tests.session.driving import (
    NOON,
    SEED,
    always_blank,
    always_right,
    always_wrong,
    begin,
    respond,
    run,
    submit,
)

EACH = [
    {"label": code, "minimum": 2, "maximum": 4, "framework": "unesco-ict-cft", "version": "2", "code": code}
    for code in synthetic.CODES
]


def _document(**form):
    return synthetic.document(kind="multistage", calibrated=True, form=form)


def _release(**form):
    return Release.from_document(_document(**form))


def _two_panels(**changes):
    return Release.from_document(synthetic.two_panels(**changes))


def _modules(state):
    return [stage["module"] for stage in outcome(state, decided_at=NOON).record["evidence"]["stages"]]


# --- routing ------------------------------------------------------------------------


def test_the_hard_module_follows_a_good_score_and_the_easy_one_a_bad_score():
    release = _release()
    assert _modules(run(release, always_right)) == ["a-1", "a-2-2"]
    assert _modules(run(release, always_wrong)) == ["a-1", "a-2-1"]
    assert _modules(run(release, always_blank)) == ["a-1", "a-2-1"]


@pytest.mark.parametrize(("n_right", "module"), [(0, "a-2-1"), (1, "a-2-1"), (2, "a-2-2"), (3, "a-2-2")])
def test_the_record_holds_score_threshold_and_the_module_that_followed(n_right, module):
    state = run(_release(), lambda item, position: "b" if position <= n_right else "a")
    found = outcome(state, decided_at=NOON).record["evidence"]
    assert found["panel"] == "a"
    assert found["routing"] == "raw"
    assert found["stages"] == [
        {"module": "a-1", "score": str(n_right), "thresholds": ["2"], "next": module},
        {"module": module},
    ]
    assert found["units"] == {"asked": 8, "found": 8}


def test_a_route_by_theta_is_recorded_in_the_digits_that_were_compared():
    state = run(_two_panels(routing="theta"), always_right)
    stage = outcome(state, decided_at=NOON).record["evidence"]["stages"][0]
    assert stage["thresholds"] == ["-0.1"]
    assert 0.5 < float(stage["score"]) < 1.5
    assert len(stage["score"].split(".")[1]) <= 9
    assert stage["next"].endswith("-2-2")


def test_items_of_a_module_come_in_its_order_and_nothing_is_chosen_inside_it():
    release = _release()
    rules = release.form.multistage
    assert rules is not None
    state = run(release, always_right)
    assert [offer.item for offer in state.offers] == [*rules.modules["a-1"], *rules.modules["a-2-2"]]


def test_a_session_replays_bit_for_bit_from_its_stored_records():
    release = _two_panels(routing="theta")
    for number in range(6):
        seed = f"{number:032x}"
        state = run(release, lambda item, position: "ab"[(position * 7 + 3) % 5 < 2], seed=seed)
        again = Release.from_document(json.loads(json.dumps(release.document)))
        record = StartRecord.from_mapping(json.loads(json.dumps(state.start.to_mapping())))
        folded = fold(again, record, state.offers, state.responses, ending=state.ending)
        ours, theirs = (outcome(s, decided_at=NOON) for s in (state, folded))
        assert ours.record_bytes == theirs.record_bytes
        # Every offer follows from the records before it.
        for n in range(len(state.offers)):
            before = fold(again, record, state.offers[:n], state.responses[:n])
            assert step(before, NOON).offer == state.offers[n].item


def test_a_case_set_is_given_whole_and_counts_with_its_points():
    document = synthetic.document(kind="fixed", calibrated=True, with_case_set=True, n_items=9)
    units = document["form"]["units"]
    document["form"] |= {
        "kind": "multistage",
        "review": "none",
        "multistage": {
            "modules": {"a-1": ["x-set.v1"], "a-2-1": units[:3], "a-2-2": units[3:6]},
            "panels": [
                {
                    "id": "a",
                    "start": "a-1",
                    "routes": [{"after": ["a-1"], "to": ["a-2-1", "a-2-2"], "thresholds": [3]}],
                }
            ],
        },
    }
    release = Release.from_document(document)
    assert _modules(run(release, always_right)) == ["a-1", "a-2-2"]
    two = run(release, lambda item, position: "b" if position <= 2 else "a")
    assert _modules(two) == ["a-1", "a-2-1"]
    assert outcome(two, decided_at=NOON).record["evidence"]["stages"][0]["score"] == "2"


def test_pilot_items_stand_between_and_route_nobody():
    release = Release.from_document(
        synthetic.document(kind="multistage", calibrated=True, n_items=12, n_pilot=2)
    )
    state = run(release, lambda item, position: "a" if item.id in ("x-013", "x-014") else "b")
    shown = {offer.item for offer in state.offers}
    assert {"x-013.v1", "x-014.v1"} <= shown
    assert len(state.offers) == 10
    assert _modules(state) == ["a-1", "a-2-2"]


# --- panels ---------------------------------------------------------------------------


def test_the_seed_draws_the_panel_and_the_start_record_keeps_it():
    release = _two_panels()
    drawn = Counter(drawn_panel(release, f"{number:032x}", ()) for number in range(400))
    # Four standard errors of a half of 400 are 40.
    assert abs(drawn["a"] - 200) <= 40
    state = begin(release)
    assert state.start.panel == drawn_panel(release, SEED, ())
    assert state.start.to_mapping()["panel"] == state.start.panel
    assert "panel" not in begin(synthetic.release()).start.to_mapping()


def test_who_tries_again_takes_the_panel_that_holds_least_of_what_was_met():
    release = _two_panels()
    rules = release.form.multistage
    assert rules is not None
    met = [*rules.modules["a-1"], *rules.modules["a-2-2"]]
    out = left_out(release, [met, ["x-001.v1"]], SEED)
    assert out == tuple(sorted(met))
    for number in range(10):
        record = start(release, session="s", learner="l", seed=f"{number:032x}", now=NOON, excluded=out)
        assert record.panel == "b"


def test_an_offer_of_another_panel_is_refused():
    release = _two_panels()
    record = start(release, session="s", learner="l", seed=SEED, now=NOON)
    other = "b" if record.panel == "a" else "a"
    rules = release.form.multistage
    assert rules is not None
    state = fold(release, record, [Offer(1, rules.modules[f"{other}-1"][0], NOON)], ())
    with pytest.raises(InvalidContent, match=f"which is not in its panel {record.panel}"):
        is_complete(with_ending(state, Ending("timed_out", NOON)))


# --- the end ----------------------------------------------------------------------------


def test_time_that_runs_out_in_the_last_module_leaves_zeros_and_before_it_leaves_nothing_decided():
    release = _release()
    late = NOON + timedelta(hours=2)

    def ended_after(n):
        state = begin(release)
        for _ in range(n):
            state = respond(state, "b")
        ending = step(state, late).ending
        assert ending is not None
        assert ending.how == "timed_out"
        return with_ending(state, ending)

    in_first, in_last = ended_after(2), ended_after(5)
    assert not is_complete(in_first)
    assert outcome(in_first, decided_at=late).decision.status == "incomplete"
    assert is_complete(in_last)
    record = outcome(in_last, decided_at=late).record
    assert [unit["category"] for unit in record["units"]] == [1, 1, 1, 1, 1, 0, 0, 0]
    assert [unit["items"][0]["how"] for unit in record["units"][-2:]] == ["not_reached", "not_reached"]
    assert "score" not in record["evidence"]["stages"][1]
    whole = outcome(run(release, always_right), decided_at=late).decision
    short = outcome(in_last, decided_at=late).decision
    assert short.p_at_or_above_cut is not None
    assert whole.p_at_or_above_cut is not None
    assert short.p_at_or_above_cut < whole.p_at_or_above_cut


def test_handing_in_early_is_incomplete_and_a_whole_path_is_not():
    release = _release()
    assert not is_complete(run(release, always_right, stop_after=6))
    state = begin(release)
    assert not is_complete(submit(state))
    assert is_complete(run(release, always_right))


def test_a_form_on_judged_parameters_is_practice():
    assert synthetic.release(kind="multistage").practice
    assert not _release().practice


# --- activation ---------------------------------------------------------------------------


def test_every_path_must_keep_the_blueprint():
    assert _release(blueprint=EACH)
    # The codes go round by three; without the first unit of the easy module its path has one too few.
    greedy = [EACH[0] | {"minimum": 3}, *EACH[1:]]
    with pytest.raises(
        ActivationRefused,
        match=r"x-multistage.v1: panel a, path a-1 > a-2-1: blueprint TL.3.a wants 3 to 4, found 2",
    ):
        _release(blueprint=greedy)
    with pytest.raises(ActivationRefused, match=r"path a-1 > a-2-1: blueprint TL.3.b wants 0 to 2, found 3"):
        _release(blueprint=[EACH[1] | {"minimum": 0, "maximum": 2}])


def test_unknown_modules_and_units_are_refused():
    document = _document()
    document["form"]["multistage"]["panels"][0]["routes"][0]["to"][1] = "a-7"
    with pytest.raises(InvalidContent, match="unknown module 'a-7'"):
        Release.from_document(document)


def test_a_module_that_nobody_can_reach_is_refused():
    document = _document()
    document["form"]["multistage"]["panels"][0]["routes"][0]["thresholds"] = [5]
    with pytest.raises(
        ActivationRefused, match=r"nobody reaches a-2-2 after a-1, where raw scores are 0 to 4 and thresholds"
    ):
        Release.from_document(document)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"rule": {"kind": "raw"}}, "a raw score means nothing over items chosen for the learner"),
        ({"rule": {"kind": "point"}, "scoring": "WL"}, "a form of kind multistage is scored by EAP"),
    ],
)
def test_scores_that_do_not_compare_are_refused(form, message):
    with pytest.raises(ActivationRefused, match=message):
        _release(**form)


# --- scored again ---------------------------------------------------------------------------


def test_a_corrected_key_scores_what_was_met_and_leaves_the_route_as_it_was():
    document = _document()
    state = run(Release.from_document(document), always_right)
    changed = copy.deepcopy(document)
    first = state.offers[0].item
    changed["items"][first]["key"] = "a"
    found = rescore(state, Release.from_document(changed), decided_at=NOON, engine="9")
    assert [unit["category"] for unit in found.record["units"]] == [0] + 7 * [1]
    # Four points led here, whatever they are worth today.
    assert found.record["evidence"]["stages"][0]["score"] == "4"
    same = rescore(state, Release.from_document(document), decided_at=NOON, engine="9")
    assert same.decision.p_at_or_above_cut == outcome(state, decided_at=NOON).decision.p_at_or_above_cut


def test_only_the_modules_that_were_delivered_can_stand_in():
    document = _document()
    state = run(Release.from_document(document), always_right)
    changed = copy.deepcopy(document)
    modules = changed["form"]["multistage"]["modules"]
    modules["a-2-1"].append(modules["a-2-2"].pop())
    with pytest.raises(RescoreRefused, match=r"module a-2-1 of panel a of x-multistage\.v1 holds x-012"):
        rescore(state, Release.from_document(changed), decided_at=NOON, engine="9")
    changed = copy.deepcopy(document)
    changed["form"]["multistage"]["panels"][0]["id"] = "z"
    with pytest.raises(RescoreRefused, match=r"module a-1 of panel a of x-multistage\.v1 is missing"):
        rescore(state, Release.from_document(changed), decided_at=NOON, engine="9")


# --- the kernel -------------------------------------------------------------------------------


def answering(categories):
    """Answers each item as its category says."""
    return lambda item, position: "b" if categories[item.reference] else "a"


@pytest.mark.parametrize("rules", [{}, {"routing": "theta"}])
def test_a_batch_of_learners_equals_the_engine_step_by_step(rules):
    """200 learners of the kernel, each answered again through the engine: units, order, theta, decision."""
    release = _two_panels(**rules)
    theta = np.random.default_rng(8).normal(0.0, 1.5, 200)
    batch = run_form(release, theta, np.random.default_rng(9))
    words = {1: "passed", 0: "undetermined", -1: "not_passed"}
    panels = [panel for panel, _ in release.multistage_test.paths]
    seeds = {drawn_panel(release, f"{number:032x}", ()): f"{number:032x}" for number in range(40)}
    for person in range(200):
        given = batch.units[person][batch.units[person] >= 0]
        answers = dict(
            zip((release.units[u].reference for u in given), batch.categories[person], strict=False)
        )
        state = run(release, answering(answers), seed=seeds["ab"[panels[batch.path[person]]]])
        assert [release.unit_of[offer.item] for offer in state.offers] == given.tolist()
        found = outcome(state, decided_at=NOON)
        assert found.score is not None
        # Nodes of another number: the last digits differ.
        assert batch.theta[person] == pytest.approx(found.score.theta, abs=1e-7)
        assert words[int(batch.outcomes[person])] == found.decision.status
