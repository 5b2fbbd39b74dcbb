"""Ids that begin with the time: in order, of the same form as others, and never the same twice."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from assess.delivery.security import new_id, new_timed_id

MILLISECONDS = st.integers(1_600_000_000_000, 29_000_000_000_000)
MOMENTS = MILLISECONDS.map(lambda ms: datetime.fromtimestamp(ms / 1000, UTC))
STEP = timedelta(milliseconds=32)  # a little over a 32nd of a second


@given(MOMENTS, st.timedeltas(STEP, timedelta(days=36500)))
def test_who_began_later_comes_later(at: datetime, later: timedelta) -> None:
    assert new_timed_id("ses", at) < new_timed_id("ses", at + later)


@given(MOMENTS)
def test_it_looks_like_every_other_id(at: datetime) -> None:
    for made in (new_timed_id("ses", at), new_id("ses")):
        assert re.fullmatch(r"ses_[a-z2-7]{20}", made)


def test_those_who_begin_together_lie_together_and_differ() -> None:
    at = datetime(2026, 11, 29, 9, tzinfo=UTC)
    made = {new_timed_id("ses", at) for _ in range(10_000)}
    assert len(made) == 10_000
    assert len({one[:12] for one in made}) == 1
    # Every letter of the rest is of chance.
    assert all(len({one[n] for one in made}) == 32 for n in range(12, 24))
