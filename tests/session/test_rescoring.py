"""A session scored again counts the same answers by other keys, parameters and cuts, and nothing else."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assess.errors import NotFinished, RescoreRefused
from assess.session import (
    Ending,
    Release,
    answer,
    fold,
    is_complete,
    outcome,
    rescore,
    rescored,
    start,
    step,
    with_ending,
    with_offer,
    with_response,
)
from tests import synthetic

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def _run(release, answers, *, ending=None):
    """A session in which the n-th offered item gets the n-th answer; it stops when they run out."""
    record = start(release, session="s1", learner="l1", seed="0f" * 16, now=NOON)
    state, now = fold(release, record, (), ()), NOON
    for raw in answers:
        following = step(state, now)
        if following.offer is None:
            break
        state = with_offer(state, following.offer, now)
        now += timedelta(seconds=20)
        offer = state.awaiting
        assert offer is not None
        given = answer(
            state, position=offer.position, item=release.items[offer.item].id, revision=1, raw=raw, now=now,
            salt="00" * 16,
        )  # fmt: skip
        state = with_response(state, given)
    how = step(state, now).ending or ending or Ending("submitted", now)
    return with_ending(state, how)


def _onto(document, change):
    changed = deepcopy(document)
    changed["form"]["version"] = 2
    change(changed)
    return Release.from_document(changed)


def rekeyed(number, key):
    """A change that publishes a second version of one item with another key."""

    def change(document):
        old, new = f"x-{number:03d}.v1", f"x-{number:03d}.v2"
        document["items"][new] = document["items"].pop(old) | {"version": 2, "key": key}
        document["form"]["units"] = [new if unit == old else unit for unit in document["form"]["units"]]
        for record in document["parameter_set"]["items"]:
            record["item"] = new if record["item"] == old else record["item"]
        ratings = document["cut"]["ratings"]
        if old in ratings:
            ratings[new] = ratings.pop(old)

    return change


@pytest.mark.parametrize("options", [{}, {"calibrated": True}, {"kind": "adaptive", "calibrated": True}])
@given(st.lists(st.sampled_from(["a", "b", None]), min_size=0, max_size=12))
def test_the_same_release_gives_the_same_decision(options, answers):
    release = synthetic.release(form={"review": "none"}, **options)
    state = _run(release, answers)
    old = outcome(state, decided_at=NOON, engine="1")
    new = rescore(state, release, decided_at=NOON, engine="1")
    assert {key: value for key, value in new.record.items() if key != "delivered"} == dict(old.record)
    assert new.decision == old.decision


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=12, max_size=12))
def test_a_corrected_key_counts_as_if_it_had_been_the_key_all_along(answers):
    document = synthetic.document(form={"review": "none"})
    onto = _onto(document, rekeyed(3, "c"))
    state = _run(Release.from_document(document), answers)
    new = rescore(state, onto, decided_at=NOON, engine="1")
    other = outcome(_run(onto, answers), decided_at=NOON, engine="1")
    assert new.decision == other.decision
    assert [unit["category"] for unit in new.record["units"]] == [
        unit["category"] for unit in other.record["units"]
    ]
    assert new.record["delivered"]["form"] == "x-fixed.v1"
    assert new.record["form"] == "x-fixed.v2"


def test_raising_the_cut_never_makes_anybody_pass():
    document = synthetic.document(calibrated=True, form={"review": "none"})
    for n_right in range(13):
        state = _run(Release.from_document(document), ["b"] * n_right + ["a"] * (12 - n_right))
        words = []
        for theta in (-1.0, 0.0, 1.0):
            onto = _onto(document, lambda d, theta=theta: d["cut"].update(theta=theta))
            words.append(rescore(state, onto, decided_at=NOON, engine="1").decision.passed)
        assert words == sorted(words, reverse=True)


def test_an_item_that_is_dropped_counts_for_nobody_and_leaves_the_session_complete():
    document = synthetic.document(kind="adaptive", calibrated=True, n_items=12)
    state = _run(Release.from_document(document), ["b"] * 12)
    gone = state.offers[0].item

    def drop(changed):
        changed["form"]["units"].remove(gone)
        changed["form"]["blueprint"] = []
        del changed["items"][gone]

    onto = _onto(document, drop)
    assert is_complete(state)
    found = rescored(state, onto)
    assert gone not in {offer.item for offer in found.offers}
    assert len(found.offers) == len(state.offers) - 1
    new = rescore(state, onto, decided_at=NOON, engine="1")
    assert new.decision.status != "incomplete"
    assert gone not in {unit["unit"] for unit in new.record["units"]}


def test_an_incomplete_session_stays_incomplete():
    release = synthetic.release(form={"review": "none"})
    state = _run(release, ["b"] * 4)
    assert rescore(state, release, decided_at=NOON, engine="1").decision.status == "incomplete"


def test_a_pilot_item_is_not_scored_afterwards():
    document = synthetic.document(kind="adaptive", calibrated=True, n_items=12, n_pilot=2)
    document["form"]["pilot_slots"] = 2
    state = _run(Release.from_document(document), ["b"] * 14)
    pilot = {reference for _, reference in state.start.pilot}
    assert pilot & {offer.item for offer in state.offers}

    def promote(changed):
        for reference in list(changed["form"]["pilot"]):
            changed["form"]["units"].append(reference)
            changed["parameter_set"]["items"].append(
                {"item": reference, "model": "2PL", "n_categories": 2, "a": 1.0, "b": 0.0}
            )
        changed["form"] |= {"pilot": [], "pilot_slots": 0}

    new = rescore(state, _onto(document, promote), decided_at=NOON, engine="1")
    assert not pilot & {unit["unit"] for unit in new.record["units"]}


def test_what_cannot_stand_in_is_refused_by_name():
    document = synthetic.document(form={"review": "none"})
    state = _run(Release.from_document(document), ["b"] * 12)

    def elsewhere(changed):
        changed["course"]["id"] = changed["form"]["course"] = "twt-4"

    with pytest.raises(RescoreRefused, match=r"x-fixed\.v2 is a form of twt-4"):
        rescored(state, _onto(document, elsewhere))
    adaptive = synthetic.release(kind="adaptive")
    with pytest.raises(RescoreRefused, match=r"x-adaptive\.v1 is adaptive and x-fixed\.v1 fixed"):
        rescored(state, adaptive)
    longer = synthetic.release(n_items=13)
    with pytest.raises(RescoreRefused, match="counts x-013, which"):
        rescored(state, longer)

    def narrowed(changed):
        rekeyed(3, "a")(changed)
        item = changed["items"]["x-003.v2"]
        item["options"] = ["a", "c"]
        for texts in (item["texts"]["en"]["options"], item["texts"]["en"]["rationales"]):
            del texts["b"]

    with pytest.raises(RescoreRefused, match=r"the answer to x-003\.v1 does not fit x-003\.v2"):
        rescored(state, _onto(document, narrowed))


def test_an_open_session_is_not_scored_again():
    release = synthetic.release()
    record = start(release, session="s1", learner="l1", seed="0f" * 16, now=NOON)
    with pytest.raises(NotFinished):
        rescored(fold(release, record, (), ()), release)
