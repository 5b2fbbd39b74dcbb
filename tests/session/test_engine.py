"""The engine: what is offered, what is taken, what is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assess.errors import (
    AnswerConflict,
    AnswerMalformed,
    InvalidContent,
    ItemNotOffered,
    PositionConflict,
    SessionExpired,
    SessionFinished,
    SessionVoid,
)
from assess.session import StartRecord, answer, chance, fold, start, step, with_response
from tests import synthetic
from tests.session.driving import NOON, SEED, advance, always_right, begin, respond, run, submit

FIXED = synthetic.release()
ONE_WAY = synthetic.release(form={"review": "none"})
PILOTED = synthetic.release(n_pilot=3, with_case_set=True)
ADAPTIVE = synthetic.release(kind="adaptive", calibrated=True)


def give(state: Any, **changes: Any) -> Any:
    position = changes.pop("position", state.position)
    good = {
        "position": position,
        "item": state.item_at(min(max(position, 1), state.position)).id,
        "revision": 1,
        "raw": "b",
        "now": NOON + timedelta(seconds=20),
        "salt": "5a" * 16,
    }
    return answer(state, **(good | changes))


def test_a_fixed_form_offers_its_items_in_order() -> None:
    state = run(ONE_WAY, always_right)
    assert [offer.item for offer in state.offers] == list(ONE_WAY.form.units)
    assert state.ending is not None
    assert state.ending.how == "completed"


def test_a_form_with_review_waits_for_the_learner_after_the_last_item() -> None:
    state = begin(FIXED)
    for _ in FIXED.form.units:
        state = respond(state, "b")
    assert state.ending is None
    assert step(state, NOON).waiting


def sessions_with_pilot_items(release: Any, n: int = 60) -> list[Any]:
    """Sessions under different seeds, gone through to the end."""
    return [run(release, lambda item, p: "b" if p % 2 else "a", seed=f"{k:032x}") for k in range(n)]


@pytest.mark.parametrize(
    "release",
    [
        synthetic.release(n_pilot=3, form={"review": "none"}),
        synthetic.release(n_pilot=3, with_case_set=True, n_items=6, form={"review": "none"}),
        synthetic.release(n_pilot=3, n_items=9, kind="adaptive", calibrated=True, with_case_set=True),
    ],
    ids=["fixed", "a case set at the end", "adaptive with a case set"],
)
def test_three_further_items_follow_every_pilot_item(release: Any) -> None:
    seen = set()
    pilots = {item.reference for item in release.pilot}
    for state in sessions_with_pilot_items(release):
        items = [offer.item for offer in state.offers]
        places = [place for place, item in enumerate(items) if item in pilots]
        seen |= set(places)
        assert places
        assert max(places) < len(items) - 3
    assert len(seen) > 3


def test_pilot_items_take_the_objectives_in_turn_and_share_the_places_evenly() -> None:
    release = synthetic.release(n_pilot=6, form={"review": "none", "pilot_slots": 3})
    code = {item.reference: item.alignments[0].code for item in release.pilot}
    counts: dict[str, int] = dict.fromkeys(code, 0)
    for k in range(400):
        record = start(release, session="s", learner="l", seed=f"{k:032x}", now=NOON)
        shown = [reference for _, reference in record.pilot]
        assert len({code[reference] for reference in shown}) == 3
        for reference in shown:
            counts[reference] += 1
    # Each of two items of an objective is drawn with probability one half: 200, standard deviation 10.
    assert all(150 < n < 250 for n in counts.values())


def test_the_answers_do_not_move_pilot_items() -> None:
    release = synthetic.release(n_pilot=3, kind="adaptive", calibrated=True)
    pilots = {item.reference for item in release.pilot}

    def places(raw: str) -> list[tuple[int, str]]:
        state = run(release, lambda item, p: raw)
        return [(offer.position, offer.item) for offer in state.offers if offer.item in pilots]

    assert places("b") == places("a") != []


def test_pilot_items_stand_where_the_start_record_says_and_never_among_the_last_three() -> None:
    for number in range(30):
        state = run(PILOTED, always_right, seed=f"{number:032x}")
        items = [offer.item for offer in state.offers]
        pilots = [items.index(item.reference) for item in PILOTED.pilot]
        assert len(items) == 15
        assert max(pilots) < len(items) - 3


def test_a_case_set_is_never_interrupted() -> None:
    members = [item.reference for item in PILOTED.units[-1].items]
    for number in range(30):
        items = [offer.item for offer in run(PILOTED, always_right, seed=f"{number:032x}").offers]
        first = items.index(members[0])
        assert items[first : first + 3] == members


def test_an_adaptive_session_meets_its_blueprint_and_repeats_nothing() -> None:
    for number in range(20):
        state = run(ADAPTIVE, lambda item, position: "b" if position % 2 else "a", seed=f"{number:032x}")
        items = [offer.item for offer in state.offers]
        codes = [ADAPTIVE.items[item].alignments[0].code for item in items]
        assert len(set(items)) == len(items)
        assert 5 <= len(items) <= 8
        assert set(codes) == set(synthetic.CODES)


def test_an_excluded_unit_is_never_met() -> None:
    excluded = ("x-005.v1", "x-006.v1", "x-007.v1")
    state = begin(ADAPTIVE, excluded=excluded)
    while state.ending is None:
        state = respond(state, "b")
    assert not {offer.item for offer in state.offers} & set(excluded)


def test_the_same_records_lead_to_the_same_next_item() -> None:
    state = begin(ADAPTIVE)
    for raw in ("b", "a", "b"):
        state = respond(state, raw)
    before = replace(state, offers=state.offers[:-1])
    assert step(before, NOON).offer == state.offers[-1].item


@settings(max_examples=25)
@given(st.randoms(use_true_random=False))
def test_the_order_in_which_records_are_read_changes_nothing(shuffler: Any) -> None:
    state = run(ADAPTIVE, always_right)
    offers, responses = list(state.offers), list(state.responses)
    shuffler.shuffle(offers)
    shuffler.shuffle(responses)
    again = fold(ADAPTIVE, state.start, offers, responses, ending=state.ending)
    assert again.offers == state.offers
    assert again.latest == state.latest


def anew(state: Any) -> Any:
    """The same records, folded from the first to the last."""
    return fold(state.release, state.start, state.offers, state.responses, ending=state.ending)


@pytest.mark.parametrize(
    "release", [FIXED, PILOTED, ADAPTIVE], ids=["fixed", "piloted with a case set", "adaptive"]
)
def test_what_a_session_carries_along_is_what_its_records_say(release: Any) -> None:
    state = begin(release, excluded=("x-002.v1",) if release is ADAPTIVE else ())
    for raw in ("b", None, "a", "b", "b", "a", "b", "b", "a", "b", "a", "b", "b", "a", "b"):
        if state.ending is not None or state.awaiting is None:
            break
        state = respond(state, raw)
        if release is FIXED and state.position == 4:
            # Out of turn: the first position a second time, while the fourth waits.
            state = with_response(
                state, give(state, position=1, revision=2, raw="a", now=state.offers[-1].at)
            )
        assert state.complete == anew(state).complete
        assert state.excluded_rows == anew(state).excluded_rows
        assert step(state, NOON) == step(anew(state), NOON)
    assert len(state.complete) > 4


def test_the_start_record_is_read_back_as_it_was_written() -> None:
    start = begin(PILOTED).start
    assert start.pilot
    assert StartRecord.from_mapping(start.to_mapping()) == start


def test_chance_depends_on_seed_and_label_alone_and_is_spread_evenly() -> None:
    draws = [chance(SEED, "select", n) for n in range(4000)]
    assert draws[7] == chance(SEED, "select", 7) != chance(SEED, "pilot", 7)
    assert sum(draws) / len(draws) == pytest.approx(0.5, abs=0.02)
    assert sum(draw < 0.25 for draw in draws) / len(draws) == pytest.approx(0.25, abs=0.03)


def test_the_same_answer_again_is_the_same_response() -> None:
    state = begin(FIXED)
    first = give(state)
    state = with_response(state, first)
    assert give(state, salt="other") is first
    assert len(with_response(state, first).responses) == 1


def test_another_answer_under_a_used_revision_is_a_conflict() -> None:
    state = with_response(begin(FIXED), give(begin(FIXED)))
    with pytest.raises(AnswerConflict, match="another answer to position 1"):
        give(state, raw="c")


def test_a_new_revision_counts_where_the_form_allows_review() -> None:
    state = respond(begin(FIXED), "a")
    state = with_response(state, give(state, position=1, revision=2, raw="b"))
    assert state.latest[1].category == 1
    assert len(state.responses) == 2


def test_a_new_revision_is_refused_where_it_does_not() -> None:
    state = respond(begin(ONE_WAY), "a")
    with pytest.raises(AnswerConflict, match="does not allow changes"):
        give(state, position=1, revision=2, raw="b")


def test_a_revision_out_of_turn_is_refused() -> None:
    with pytest.raises(AnswerConflict, match="the next one is 1, not 2"):
        give(begin(FIXED), revision=2)


@pytest.mark.parametrize("position", [0, 2, -1])
def test_a_position_that_was_not_offered_is_refused(position: int) -> None:
    with pytest.raises(PositionConflict, match="has not been offered"):
        give(begin(FIXED), position=position)


def test_an_item_that_was_not_offered_is_refused() -> None:
    with pytest.raises(ItemNotOffered, match="offered item 'x-001', not 'x-009'"):
        give(begin(FIXED), item="x-009")


def test_a_malformed_answer_is_refused_with_the_item_named() -> None:
    with pytest.raises(AnswerMalformed, match="item 'x-001'"):
        give(begin(FIXED), raw=["b"])


def test_an_ended_session_takes_no_new_answer_but_repeats_a_stored_one() -> None:
    state = submit(respond(begin(FIXED), "b"))
    with pytest.raises(SessionFinished):
        give(state)
    assert give(state, position=1) is state.responses[0]


def test_a_void_session_takes_nothing() -> None:
    with pytest.raises(SessionVoid):
        give(replace(begin(FIXED), void=True))


def test_the_grace_is_kept_and_then_the_answer_is_late() -> None:
    state = begin(FIXED)
    limit = 30 * 60 + 15
    assert give(state, now=NOON + timedelta(seconds=limit)).category == 1
    with pytest.raises(SessionExpired):
        give(state, now=NOON + timedelta(seconds=limit + 1))


def test_time_that_ran_out_ends_the_session_at_its_deadline_whenever_noticed() -> None:
    state = advance(begin(FIXED), NOON + timedelta(days=3))
    assert state.ending is not None
    assert (state.ending.how, state.ending.at) == ("timed_out", NOON + timedelta(seconds=1815))


def test_seconds_left_never_fall_below_zero() -> None:
    state = begin(FIXED)
    assert state.seconds_left(NOON) == 1800
    assert state.seconds_left(NOON + timedelta(hours=1)) == 0


def test_records_that_do_not_fit_are_refused() -> None:
    state = respond(begin(FIXED), "b")
    with pytest.raises(InvalidContent, match="no offer at position 1"):
        fold(FIXED, state.start, state.offers[1:], ())
    with pytest.raises(InvalidContent, match="not in the release"):
        fold(FIXED, state.start, [replace(state.offers[0], item="y.v1")], ())
    with pytest.raises(InvalidContent, match="was not offered there"):
        fold(FIXED, state.start, state.offers, [replace(state.responses[0], item="x-002.v1")])
    with pytest.raises(InvalidContent, match="started on release"):
        fold(ONE_WAY, state.start, (), ())


def test_an_unknown_language_falls_back_to_the_first_of_the_form() -> None:
    assert begin(FIXED, language="xx").start.language == "en"
