"""A learner who answers by a rule, driven through the pure engine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from assess.items import Item
from assess.session import (
    Ending,
    Release,
    SessionState,
    answer,
    fold,
    start,
    step,
    with_ending,
    with_offer,
    with_response,
)

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SEED = "0f" * 16


def begin(release: Release, *, seed: str = SEED, **options: object) -> SessionState:
    """A session at its first offer."""
    record = start(release, session="ses_1", learner="lrn_1", seed=seed, now=NOON, **options)  # type: ignore[arg-type]
    return advance(fold(release, record, (), ()), NOON)


def advance(state: SessionState, now: datetime) -> SessionState:
    """Take the step that is due: an offer, an ending, or nothing."""
    due = step(state, now)
    if due.offer is not None:
        return with_offer(state, due.offer, now)
    if due.ending is not None and state.ending is None:
        return with_ending(state, due.ending)
    return state


def respond(state: SessionState, raw: object, *, seconds: int = 10, revision: int = 1) -> SessionState:
    """Answer what is offered, `seconds` after the last offer, and go on."""
    offer = state.offers[-1]
    now = offer.at + timedelta(seconds=seconds)
    item = state.release.items[offer.item].id
    given = answer(
        state,
        position=offer.position,
        item=item,
        revision=revision,
        raw=raw,
        now=now,
        salt=f"{offer.position:032x}",
    )
    return advance(with_response(state, given), now)


def run(
    release: Release,
    rule: Callable[[Item, int], object],
    *,
    stop_after: int | None = None,
    seed: str = SEED,
    **options: object,
) -> SessionState:
    """Answer by `rule(item, position)` to the end, or hand in after so many answers."""
    state = begin(release, seed=seed, **options)
    while state.ending is None and state.awaiting is not None:
        if stop_after is not None and state.position > stop_after:
            break
        state = respond(state, rule(state.item_at(state.position), state.position))
    return state if state.ending is not None else submit(state)


def submit(state: SessionState) -> SessionState:
    """Hand in."""
    at = state.offers[-1].at + timedelta(seconds=30)
    return with_ending(state, Ending("submitted", at))


def always_right(item: Item, position: int) -> object:
    return item.interaction.best()


def always_wrong(item: Item, position: int) -> object:
    return "a"


def always_blank(item: Item, position: int) -> object:
    return None
