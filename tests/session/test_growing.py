"""A state that grew by offers and answers says what a fold of its records says, value by value."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from assess.session import SessionState, answer, fold, start, step, with_offer, with_response
from assess.session.state import _LAZY
from tests import synthetic

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize("with_case_set", [False, True])
@pytest.mark.parametrize("kind", ["fixed", "adaptive"])
def test_a_grown_state_is_the_fold_of_its_records(kind: str, with_case_set: bool) -> None:
    release = synthetic.release(kind=kind, n_items=12, with_case_set=with_case_set)
    record = start(release, session="s", learner="l", seed="0f" * 16, now=NOON)
    state, now = fold(release, record, (), ()), NOON
    for n in range(100):
        now += timedelta(seconds=7)
        following = step(state, now)
        if following.offer is None:
            break
        state = with_offer(state, following.offer, now)
        _require_same(state)
        awaiting = state.awaiting
        assert awaiting is not None
        given = answer(
            state,
            position=awaiting.position,
            item=release.items[awaiting.item].id,
            revision=1,
            raw=("a", "b", None)[n % 3],
            now=now,
            salt="00" * 16,
        )
        state = with_response(state, given)
        _require_same(state)
    assert len(state.responses) >= 4
    if with_case_set and kind == "fixed":
        (together,) = (n for n, unit in enumerate(release.units) if len(unit.items) == 3)
        assert together in dict(state.complete)


def _require_same(grown: SessionState) -> None:
    folded = fold(grown.release, grown.start, grown.offers, grown.responses)
    for name in sorted(_LAZY):
        assert getattr(grown, name) == getattr(folded, name), name
