"""What one session contributes to a calibration: units, pilot items, and three kinds of missing."""

from __future__ import annotations

from assess.delivery.analysis import _units
from assess.delivery.store.reading_categories import StoredCategory
from assess.responses import NOT_ADMINISTERED, NOT_REACHED, OMITTED
from assess.session import Release
from tests import synthetic
from tests.delivery.world import NOON

FIXED = synthetic.release(with_case_set=True, n_pilot=2)
ADAPTIVE = synthetic.release(kind="adaptive")
SET = FIXED.units[-1]
BLANK, OPEN = "blank", "open"


def contribution(release: Release, given: dict[str, int | str]) -> dict[str, int]:
    """The cells of a session in which these items were offered: a category, left blank, or still open."""
    return _units(
        release,
        [
            StoredCategory(
                session="ses_1",
                learner="lrn_1",
                form=release.form.reference,
                release=release.sha256,
                position=position,
                item=item,
                category=0 if how == BLANK else None if isinstance(how, str) else how,
                omitted=how == BLANK,
                ended_by="timed_out",
                started_at=NOON,
            )
            for position, (item, how) in enumerate(given.items(), start=1)
        ],
    )


def test_a_case_set_is_one_unit_with_the_sum_of_its_items() -> None:
    first, second, third = (item.reference for item in SET.items)
    assert contribution(FIXED, {first: 1, second: 0, third: 1})[SET.reference] == 2
    assert contribution(FIXED, {first: 1, second: BLANK, third: 1})[SET.reference] == 2
    assert contribution(FIXED, {first: BLANK, second: BLANK, third: BLANK})[SET.reference] == OMITTED


def test_a_case_set_that_time_cut_short_is_not_reached() -> None:
    first, second, _ = (item.reference for item in SET.items)
    assert contribution(FIXED, {first: 1})[SET.reference] == NOT_REACHED
    assert contribution(FIXED, {first: 1, second: OPEN})[SET.reference] == NOT_REACHED


def test_unoffered_units_are_not_reached_on_a_fixed_form_and_not_administered_on_an_adaptive_one() -> None:
    for release, expected in ((FIXED, NOT_REACHED), (ADAPTIVE, NOT_ADMINISTERED)):
        one, other, last = (unit.items[0].reference for unit in release.units[:3])
        found = contribution(release, {one: 1, other: BLANK, last: OPEN})
        assert [found[one], found[other], found[last]] == [1, OMITTED, NOT_REACHED]
        assert {found[unit.reference] for unit in release.units[3:]} == {expected}


def test_an_unscored_pilot_item_has_a_column_of_its_own_where_it_was_shown() -> None:
    shown, hidden = (item.reference for item in FIXED.pilot)
    assert contribution(FIXED, {shown: 1})[shown] == 1
    assert contribution(FIXED, {shown: BLANK})[shown] == OMITTED
    assert contribution(FIXED, {shown: OPEN})[shown] == NOT_REACHED
    assert hidden not in contribution(FIXED, {shown: 1})
