"""Clocks of a session, a section and an item: what they close, what stops them, and what scales them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assess.errors import InvalidContent, ItemTimeOver, PositionConflict, SessionExpired
from assess.items import Form
from assess.session import (
    Accommodation,
    Break,
    Ending,
    SessionState,
    StartRecord,
    TimeGrant,
    answer,
    is_complete,
    outcome,
    step,
    with_accommodation,
    with_break,
    with_break_ended,
    with_closing,
    with_ending,
    with_grant,
    with_offer,
    with_response,
)
from tests import synthetic
from tests.session.driving import NOON, advance, always_right, begin, respond, run

_UNITS = synthetic.document()["form"]["units"]
_SECTIONS = [
    {"title": {"en": "First"}, "units": _UNITS[:5], "time_limit_seconds": 300},
    {"title": {"en": "Second"}, "units": _UNITS[5:]},
]
PLAIN = synthetic.release(form={"review": "none"})
BY_ITEM = synthetic.release(form={"review": "none", "item_time_limit_seconds": 30})
BY_SECTION = synthetic.release(form={"review": "none", "sections": _SECTIONS})
ADAPTIVE = synthetic.release(kind="adaptive", calibrated=True, form={"item_time_limit_seconds": 30})
GRACE = 15


def seconds(n: float) -> timedelta:
    return timedelta(seconds=n)


def give(state: SessionState, raw: object, after: float) -> Any:
    """The answer to what is offered, so many seconds after it was."""
    offer = state.offers[-1]
    item = state.item_at(offer.position).id
    now = offer.at + seconds(after)
    return answer(state, position=offer.position, item=item, revision=1, raw=raw, now=now, salt="5a" * 16)


def close(state: SessionState, after: float) -> SessionState:
    """What the clock closed, and what comes next, for who looks so many seconds after the last offer."""
    now = state.offers[-1].at + seconds(after)
    due = step(state, now)
    assert due.closing is not None
    return advance(with_closing(state, due.closing, salt="0c" * 16), now)


# --- forms ---------------------------------------------------------------------


def test_a_form_without_clocks_is_written_as_before_there_were_any() -> None:
    document = synthetic.document()
    form = Form.from_mapping(document["form"], "here")
    assert not {"sections", "item_time_limit_seconds", "waiting_cap_seconds"} & set(form.to_mapping())
    assert "accommodation" not in begin(PLAIN).start.to_mapping()


def test_a_form_with_clocks_is_read_back_as_it_was_written() -> None:
    mapping = synthetic.document(form={"review": "none", "sections": _SECTIONS})["form"]
    mapping |= {"item_time_limit_seconds": 60, "waiting_cap_seconds": 5}
    form = Form.from_mapping(mapping, "here")
    assert Form.from_mapping(form.to_mapping(), "here") == form
    assert (form.sections[0].time_limit_seconds, form.waiting_cap_seconds) == (300, 5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"review": "allowed", "item_time_limit_seconds": 30}, "review: with a clock"),
        ({"review": "allowed", "sections": _SECTIONS}, "review: with a clock"),
        ({"review": "none", "sections": _SECTIONS[:1]}, "sections: they must name .* 5 units, not 12"),
        ({"review": "none", "sections": _SECTIONS[::-1]}, "in their order; x-006.v1 differs"),
        ({"review": "none", "sections": [{"title": {}, "units": _UNITS}]}, "needs a title"),
        ({"review": "none", "sections": [{"title": {"en": "A"}, "units": []}]}, "at least one unit"),
        ({"review": "none", "item_time_limit_seconds": 4}, "4 is below 5"),
    ],
)
def test_a_form_whose_clocks_cannot_be_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidContent, match=said):
        synthetic.release(form=changes)


def test_an_adaptive_form_has_no_sections() -> None:
    with pytest.raises(InvalidContent, match="only a form of kind fixed knows its items"):
        synthetic.release(kind="adaptive", form={"sections": _SECTIONS})


# --- an item's clock -------------------------------------------------------------


def test_the_clock_that_is_over_first_comes_first() -> None:
    state = begin(BY_ITEM)
    assert [(clock.name, clock.seconds) for clock in state.clocks] == [("item", 30), ("session", 1800)]
    assert state.left(state.clocks[0], NOON + seconds(10)) == 20


def test_an_answer_within_the_grace_counts_and_one_after_it_does_not() -> None:
    state = begin(BY_ITEM)
    given_ = give(state, "b", 30 + GRACE)
    assert (given_.category, given_.timed_out) == (1, False)
    with pytest.raises(ItemTimeOver, match="time of this item is over"):
        give(state, "b", 30 + GRACE + 0.001)


def test_an_item_that_nobody_answered_is_a_blank_that_says_so_in_the_record() -> None:
    state = begin(BY_ITEM)
    assert step(state, NOON + seconds(30 + GRACE)).waiting
    state = close(state, 60)
    assert (state.position, state.latest[1].answer, state.latest[1].timed_out) == (2, None, True)
    assert state.latest[1].at == NOON + seconds(30 + GRACE)
    # The next item's clock starts when somebody looks.
    assert state.clocks[0].deadline == NOON + seconds(60 + 30)
    while state.ending is None:
        state = respond(state, "b" if state.position > 2 else None)
    items = [item for unit in outcome(state, decided_at=NOON).record["units"] for item in unit["items"]]
    assert [item["how"] for item in items[:3]] == ["timed_out", "omitted", "answered"]
    assert [item["category"] for item in items[:3]] == [0, 0, 1]
    assert is_complete(state)


def test_a_late_answer_to_a_closed_item_is_refused_and_the_blank_has_one_receipt() -> None:
    state = close(begin(BY_ITEM), 60)
    late: dict[str, Any] = {
        "position": 1,
        "item": "x-001",
        "revision": 1,
        "now": NOON + seconds(70),
        "salt": "5a" * 16,
    }
    with pytest.raises(ItemTimeOver, match="position 1 was over"):
        answer(state, raw="b", **late)
    assert answer(state, raw=None, **late) is state.latest[1]


def test_a_blank_that_the_page_sends_when_the_clock_is_over_was_left_by_the_clock() -> None:
    state = begin(BY_ITEM)
    assert give(state, None, 29).timed_out is False
    assert give(state, None, 31).timed_out is True


def test_the_last_item_is_closed_and_the_session_ends_with_it() -> None:
    state = begin(BY_ITEM)
    for _ in BY_ITEM.form.units[:-1]:
        state = respond(state, "b")
    closing = state.closing
    assert closing is not None
    state = with_closing(state, closing, salt="0c" * 16)
    ending = step(state, closing.at).ending
    assert ending == Ending("completed", closing.at)


def test_an_adaptive_session_goes_on_after_an_item_that_was_closed() -> None:
    state = close(begin(ADAPTIVE), 60)
    assert list(state.complete) == [(ADAPTIVE.unit_of[state.offers[0].item], 0)]
    while state.ending is None:
        state = respond(state, "b")
    assert outcome(state, decided_at=NOON).decision.status in ("passed", "not_passed", "undetermined")


def test_the_session_is_over_before_the_item_when_its_own_clock_says_so() -> None:
    state = replace(begin(BY_ITEM), start=replace(begin(BY_ITEM).start, time_limit_seconds=20))
    now = NOON + seconds(20 + GRACE + 1)
    assert step(state, now).ending == Ending("timed_out", NOON + seconds(35))
    with pytest.raises(SessionExpired):
        give(state, "b", 36)


# --- a section's clock -------------------------------------------------------------


def test_a_section_that_is_over_leaves_its_rest_unreached_and_the_next_one_begins() -> None:
    state = respond(respond(begin(BY_SECTION), "b", seconds=100), "b", seconds=100)
    assert [clock.name for clock in state.clocks] == ["section", "session"]
    state = close(state, 150)
    assert (state.position, state.section) == (4, 1)
    assert state.offers[-1].item == _UNITS[5]
    # The second section has no clock of its own.
    assert [clock.name for clock in state.clocks] == ["session"]
    while state.ending is None:
        state = respond(state, "b")
    assert state.ending.how == "completed"
    assert is_complete(state)
    record = outcome(state, decided_at=NOON).record
    how = [unit["items"][0]["how"] for unit in record["units"]]
    assert how == ["answered"] * 2 + ["not_reached"] * 3 + ["answered"] * 7
    assert record["raw"]["value"] == 9


def test_an_answer_in_the_grace_of_a_section_counts_and_is_its_last() -> None:
    state = begin(BY_SECTION)
    state = respond(state, "b", seconds=310)
    assert state.latest[1].category == 1
    assert state.offers[-1].item == _UNITS[5]


def test_a_closed_section_takes_no_answer() -> None:
    state = close(begin(BY_SECTION), 400)
    with pytest.raises(ItemTimeOver, match="section of position 1 is closed"):
        answer(state, position=1, item="x-001", revision=1, raw="b", now=NOON + seconds(401), salt="5a" * 16)


def test_handing_in_before_the_last_section_is_incomplete() -> None:
    state = close(begin(BY_SECTION), 400)
    assert not is_complete(with_ending(state, Ending("submitted", NOON + seconds(500))))


def test_time_of_the_last_section_ends_the_session() -> None:
    sections = [_SECTIONS[0] | {"time_limit_seconds": None}, _SECTIONS[1] | {"time_limit_seconds": 60}]
    state = begin(synthetic.release(form={"review": "none", "sections": sections}))
    for _ in range(5):
        state = respond(state, "b")
    assert state.closes_at == NOON + seconds(50 + 60 + GRACE)
    assert step(state, state.closes_at + seconds(1)).ending == Ending("timed_out", state.closes_at)


def test_a_case_set_is_left_when_the_time_of_its_section_is_over() -> None:
    units = synthetic.document(with_case_set=True)["form"]["units"]
    sections = [
        {"title": {"en": "The story"}, "units": units[:1], "time_limit_seconds": 300},
        {"title": {"en": "More"}, "units": units[1:-1]},
        {"title": {"en": "Set"}, "units": units[-1:], "time_limit_seconds": 60},
    ]
    state = begin(synthetic.release(with_case_set=True, form={"review": "none", "sections": sections}))
    while state.section != 2:
        state = respond(state, "b")
    state = respond(state, "b", seconds=70)
    assert state.ending is not None
    assert is_complete(state)
    assert outcome(state, decided_at=NOON).record["units"][-1]["category"] == 1


def test_an_unscored_item_never_opens_a_section() -> None:
    document = synthetic.document(n_pilot=3, form={"review": "none", "sections": _SECTIONS})
    assert document["form"]["pilot_slots"] == 3
    release = synthetic.release(n_pilot=3, form={"review": "none", "sections": _SECTIONS})
    for number in range(30):
        state = run(release, always_right, seed=f"{number:032x}")
        first = next(offer for offer in state.offers if state.section_of(offer.position) == 1)
        assert first.item in release.unit_of
        assert len(state.offers) == 15


# --- accommodations ------------------------------------------------------------------


@given(st.sampled_from([1.0, 1.1, 1.25, 1.5, 2.0, 3.0]), st.sampled_from([BY_ITEM, BY_SECTION, PLAIN]))
@settings(max_examples=30)
def test_each_clock_is_scaled_once_whenever_the_accommodation_came(multiplier: float, release: Any) -> None:
    given_ = Accommodation(multiplier)
    before = begin(release, accommodation=given_)
    during = with_accommodation(begin(release), given_)
    twice = with_accommodation(with_accommodation(begin(release), given_), given_)
    plain = {clock.name: clock.seconds for clock in begin(release).clocks}
    for state in (before, during, twice):
        scaled = {clock.name: clock.seconds for clock in state.clocks}
        assert scaled == {name: pytest.approx(n * multiplier, abs=1) for name, n in plain.items()}
        assert all(clock.deadline == NOON + seconds(clock.seconds) for clock in state.clocks)
    assert before.clocks == during.clocks == twice.clocks


def test_an_untimed_session_has_no_clock_and_ends_with_its_window() -> None:
    state = begin(BY_ITEM, accommodation=Accommodation(untimed=True))
    assert state.clocks == ()
    assert state.seconds_left(NOON) is None
    assert step(state, NOON + timedelta(hours=167)).waiting
    assert step(state, NOON + timedelta(hours=169)).ending is not None


def test_extra_time_changes_timing_only() -> None:
    """R29: with twice the time the same answers meet the same items and earn the same record."""
    for release in (ADAPTIVE, BY_ITEM, BY_SECTION):
        rule = lambda item, position: "b" if position % 3 else "a"  # noqa: E731
        plain = run(release, rule)
        longer = begin(release, accommodation=Accommodation(2.0, breaks=2, break_minutes=10))
        while longer.ending is None:
            longer = respond(longer, rule(longer.item_at(longer.position), longer.position), seconds=10)
        assert [offer.item for offer in longer.offers] == [offer.item for offer in plain.offers]
        first, second = (outcome(state, decided_at=NOON) for state in (plain, longer))
        assert first.record_bytes == second.record_bytes


def test_no_unscored_items_for_who_is_spared_them_and_the_scored_ones_stay_the_same() -> None:
    release = synthetic.release(kind="adaptive", calibrated=True, n_pilot=3)
    plain = run(release, always_right)
    state = begin(release, accommodation=Accommodation(no_pilot=True))
    while state.ending is None:
        state = respond(state, "b")
    pilots = {item.reference for item in release.pilot}
    assert [o.item for o in state.offers] == [o.item for o in plain.offers if o.item not in pilots]
    first, second = (outcome(ended, decided_at=NOON) for ended in (state, plain))
    assert (first.decision, first.reported) == (second.decision, second.reported)
    during = with_accommodation(begin(release), Accommodation(no_pilot=True))
    while during.ending is None:
        during = respond(during, "b")
    assert len(during.offers) <= len(plain.offers)


def test_an_accommodation_is_read_back_with_the_start_record() -> None:
    record = begin(PLAIN, accommodation=Accommodation(1.5, breaks=1, break_minutes=5)).start
    assert StartRecord.from_mapping(record.to_mapping()) == record


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"time_multiplier": 0.5}, "time_multiplier"),
        ({"time_multiplier": 5.5}, "time_multiplier"),
        ({"breaks": -1}, "breaks"),
        ({"breaks": 51, "break_minutes": 5}, "breaks"),
        ({"breaks": 2}, "breaks"),
        ({"break_minutes": 241, "breaks": 1}, "break_minutes"),
    ],
)
def test_an_accommodation_that_cannot_be_is_refused(wrong: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidContent) as refused:
        Accommodation(**wrong)
    assert refused.value.place == place


# --- what stops a clock ----------------------------------------------------------------


def test_a_grant_extends_the_clocks_that_ran_when_it_came() -> None:
    state = with_grant(begin(BY_ITEM), TimeGrant(100, NOON, position=1))
    assert {c.name: c.deadline - NOON for c in state.clocks} == {
        "item": seconds(130),
        "session": seconds(1900),
    }
    following = respond(state, "b", seconds=20)
    assert {c.name: c.deadline - NOON for c in following.clocks} == {
        "item": seconds(50),
        "session": seconds(1900),
    }
    of_section = with_grant(begin(BY_SECTION), TimeGrant(100, NOON, position=1))
    assert of_section.clocks[0].deadline == NOON + seconds(400)
    # As it was stored before items and sections had clocks.
    old = with_grant(begin(BY_ITEM), TimeGrant(100, NOON))
    assert [clock.deadline - NOON for clock in old.clocks] == [seconds(30), seconds(1900)]


def test_a_break_stops_every_clock_and_hides_behind_itself_alone() -> None:
    state = begin(BY_ITEM, accommodation=Accommodation(breaks=2, break_minutes=5))
    state = with_break(state, NOON + seconds(10))
    for later in (10, 100, 309):
        now = NOON + seconds(later)
        assert state.on_break(now) is not None
        assert [state.left(clock, now) for clock in state.clocks] == [20, 1790]
        assert step(state, now).waiting
        with pytest.raises(PositionConflict, match="on a break"):
            give(state, "b", later)
    ended = with_break_ended(state, NOON + seconds(70))
    assert [ended.left(clock, NOON + seconds(80)) for clock in ended.clocks] == [10, 1780]
    assert give(ended, "b", 89).category == 1
    assert ended.breaks_left == 1


def test_a_break_ends_by_itself() -> None:
    state = with_break(
        begin(BY_ITEM, accommodation=Accommodation(breaks=1, break_minutes=5)), NOON + seconds(10)
    )
    after = NOON + seconds(10 + 300 + 5)
    assert state.on_break(after) is None
    assert state.left(state.clocks[0], after) == 15
    assert state.breaks_left == 0


@given(st.integers(0, 29), st.integers(0, 400))
@settings(max_examples=40)
def test_a_break_never_gives_more_than_it_lasted(begun: int, lasted: int) -> None:
    state = begin(BY_ITEM, accommodation=Accommodation(breaks=1, break_minutes=5))
    before = [state.left(clock, NOON + seconds(begun)) for clock in state.clocks]
    state = with_break(state, NOON + seconds(begun))
    end = NOON + seconds(begun + lasted)
    state = with_break_ended(state, end) if state.on_break(end) else state
    over = max(0, lasted - 300)
    after = [state.left(clock, end) for clock in state.clocks]
    assert after == [max(0, n - over) for n in before]


def test_a_break_that_is_read_back_with_its_end_before_its_begin_gives_nothing() -> None:
    assert Break(NOON, 300, ended_at=NOON - seconds(60)).length == seconds(0)


def test_a_session_replays_from_its_records_with_all_that_happened_to_its_clocks() -> None:
    from assess.session import fold

    state = begin(BY_SECTION, accommodation=Accommodation(1.5, breaks=1, break_minutes=5))
    state = with_break_ended(with_break(state, NOON + seconds(5)), NOON + seconds(25))
    state = with_grant(state, TimeGrant(30, NOON + seconds(30), position=1))
    state = close(state, 600)
    again = fold(
        state.release,
        state.start,
        state.offers[::-1],
        state.responses,
        grants=state.grants,
        breaks=state.breaks,
        section_ends=state.section_ends,
    )
    assert (again.clocks, again.closes_at, again.section) == (state.clocks, state.closes_at, 1)
    with_one_more = with_offer(with_response(again, give(again, "b", 1)), _UNITS[6], NOON + seconds(700))
    assert with_one_more.position == 3
