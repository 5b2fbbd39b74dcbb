"""Everything at once: the same answer many times, and two tabs that hand in while the time runs out."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from assess.delivery.schemas import Current, Responded
from assess.delivery.service import Services, keys, learners, sessions
from assess.delivery.service.context import Scope
from assess.delivery.store import reading
from assess.errors import SessionExpired, SessionFinished, StaleSession
from tests import verification
from tests.delivery.world import World

SEED = 20_261_128
ADMIN = keys.local("default", "test")


async def _begin(services: Services, n: int) -> tuple[str, Current]:
    await learners.upsert(services, ADMIN, id=f"lrn_{n}", external_ids=[])
    begun = await sessions.begin(services, ADMIN, learner=f"lrn_{n}", form="x-fixed")
    assert begun.current is not None
    return begun.session, begun.current


async def _answer(services: Services, session: str, current: Current, answer: str = "b") -> Responded:
    return await sessions.respond(
        services,
        ADMIN,
        session,
        position=current.position,
        item=current.item.id,
        revision=current.revision,
        answer=answer,
    )


async def _records(services: Services, session: str) -> reading.SessionRecords:
    found = await services.store.read(reading.session_records, "default", session)
    assert found is not None
    return found


# --- one answer, many times ------------------------------------------------------


async def _many_times(services: Services, first: int) -> None:
    for copies in range(2, 21):
        session, current = await _begin(services, first + copies)
        replies = await asyncio.gather(*(_answer(services, session, current) for _ in range(copies)))
        assert len({reply.receipt.signature for reply in replies}) == 1
        records = await _records(services, session)
        assert (len(records.responses), len(records.offers)) == (1, 2), copies
        assert records.responses[0].signature == replies[0].receipt.signature


def test_the_same_answer_2_to_20_times_at_once_is_one_row_and_one_receipt(both_worlds: World) -> None:
    both_worlds.run(_many_times, 0)


async def _two_answers(services: Services) -> None:
    """Two tabs answer one item differently: one is stored, the other hears of it."""
    session, current = await _begin(services, 1)
    replies = await asyncio.gather(
        *(_answer(services, session, current, answer) for answer in ("a", "b", "a", "b")),
        return_exceptions=True,
    )
    (stored,) = (await _records(services, session)).responses
    for answer, reply in zip(("a", "b", "a", "b"), replies, strict=True):
        assert isinstance(reply, Responded) == (answer == stored.answer), (answer, reply)


def test_of_two_answers_to_one_item_at_once_one_is_stored_and_the_other_refused(both_worlds: World) -> None:
    both_worlds.run(_two_answers)


# --- two tabs and the timer ------------------------------------------------------


class Border:
    """A clock around the end of a session's time: whoever asks may be just in time, or just late."""

    def __init__(self, closes_at: datetime, seed: int) -> None:
        self._at, self._random = closes_at, random.Random(seed)

    def __call__(self) -> datetime:
        return self._at + timedelta(milliseconds=self._random.uniform(-20, 20))


async def _race(services: Services, n: int) -> str:
    """One session that two tabs hand in, the second with an answer, as its time runs out; how it ended."""
    session, current = await _begin(services, n)
    first = await _answer(services, session, current)
    assert first.current is not None
    records = await _records(services, session)
    late = replace(services, clock=Border(records.session.closes_at, SEED + n))
    scope = Scope("default", f"learner:lrn_{n}", learner=f"lrn_{n}", session=session)

    async def second_tab() -> Responded:
        return await _answer(late, session, first.current)  # type: ignore[arg-type]

    replies = await asyncio.gather(
        sessions.submit(late, scope, session, fence=1),
        second_tab(),
        sessions.submit(late, scope, session, fence=1),
        sessions.sweep(late),
        sessions.view(late, scope, session),
        return_exceptions=True,
    )
    after = replace(services, clock=lambda: records.session.closes_at + timedelta(seconds=1))
    await sessions.sweep(after)
    found = await _records(services, session)
    assert found.session.state == "ended"
    answered = replies[1]
    if isinstance(answered, Responded):
        assert found.responses[1].signature == answered.receipt.signature
    else:
        # Refused in words, and not half-stored.
        assert isinstance(answered, (SessionFinished, SessionExpired, StaleSession)), answered
        assert len(found.responses) == 1
    others = [reply for k, reply in enumerate(replies) if k != 1 and isinstance(reply, BaseException)]
    assert others == [], others
    history = await services.store.read(reading.learner_records, "default", f"lrn_{n}")
    assert history is not None
    assert [row.session for row in history.decisions] == [session]
    return str(found.session.ended_by)


async def _races(services: Services, count: int) -> list[str]:
    return [await _race(services, n) for n in range(count)]


def _assert_one_of_each(world: World, count: int) -> list[str]:
    ended: list[str] = world.run(_races, count)
    decisions = world.ask(reading.decisions, "default")
    assert len({row.session for row in decisions}) == len(decisions) == count
    assert [row.chain_seq for row in decisions] == list(range(1, count + 1))
    made, after = 0, ""
    while True:
        page = world.call("GET", f"/v1/changes?limit=200{after}").json()
        made += sum(change["type"] == "decision.made" for change in page["items"])
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert made == count
    # Both ways of ending happened, or the race was none.
    assert set(ended) == {"submitted", "timed_out"}
    return ended


def test_two_tabs_and_the_timer_at_once_make_one_submission_one_decision_one_event(
    both_worlds: World,
) -> None:
    _assert_one_of_each(both_worlds, 25)


@pytest.mark.verify
@pytest.mark.timeout(1800)
def test_two_tabs_and_the_timer_at_once_a_thousand_times(
    both_worlds: World, request: pytest.FixtureRequest
) -> None:
    ended = _assert_one_of_each(both_worlds, 1000)
    both_worlds.run(_many_times, 10_000)
    timed_out = ended.count("timed_out")
    database = request.node.callspec.params["both_settings"]
    verification.record(
        f"two tabs and the timer at once, {database}",
        f"1,000 sessions ({timed_out} timed out, {1000 - timed_out} handed in): 1,000 decisions, "
        "1,000 events, no answer acknowledged without its row; "
        "the same answer 2 to 20 times at once: 1 row, 1 receipt",
        seed=SEED,
    )
