"""What runs out is told once, though no row changes."""

from __future__ import annotations

from typing import Any

import pytest

from assess.delivery.jobs import worker
from assess.delivery.service import expiry
from assess.delivery.store import Writes
from tests.delivery.world import World, programme


def attest(world: World, id: str, t: str, subject: str = "lrn_1", **data: Any) -> None:
    body = {"id": id, "source": "office", "t": t, "subject": subject, "at": "2026-11-01", **data}
    answer = world.call("POST", "/v1/facts", body)
    assert answer.status_code == 201, answer.text


def run_job(world: World) -> None:
    """The job as a worker does it, at its turn."""
    found = worker(world.services)
    assert world.client.portal is not None
    world.client.portal.call(found.prepare)
    world.client.portal.call(found.work)


def told(world: World) -> list[tuple[Any, ...]]:
    """What the feed tells because something ran out."""
    items = world.call("GET", "/v1/changes?limit=1000").json()["items"]
    data = [(item["type"], item["data"]) for item in items if item["data"]["cause"] == "expiry"]
    return [
        (kind, d["course"] or d["badge"], d["previous"], d["current"], d["reason_id"], d["snapshot"])
        for kind, d in data
    ]


def words(world: World) -> list[tuple[Any, ...]]:
    return [row[:5] for row in told(world)]


def test_a_decision_from_elsewhere_that_passes_its_last_day_takes_the_badge_with_it_once(
    both_worlds: World,
) -> None:
    world = both_worlds
    world.sit(world.learner())
    attest(world, "f1", "decision", course="twt-1", outcome="passed", until="2026-11-30")
    run_job(world)
    world.clock.advance(days=8)  # noon of the last day, which still counts
    run_job(world)
    assert told(world) == []
    world.clock.advance(hours=12)
    run_job(world)
    assert words(world) == [
        ("decision.changed", "twt-1", "passed", "expired", "f1"),
        ("eligibility.lost", "BOTH", "eligible", "not_eligible", "f1"),
    ]
    course, badge = (row[5] for row in told(world))
    assert (course["passed"], badge["status"], badge["reasons"][0]["code"]) == (
        False, "not_eligible", "decision_too_old",
    )  # fmt: skip
    for _ in range(3):
        world.clock.advance(minutes=6)
        run_job(world)
    assert len(told(world)) == 2
    status = world.call("GET", "/v1/learners/lrn_1/badges/BOTH").json()
    assert (status["status"], status["sequence"]) == ("not_eligible", badge["sequence"])


def test_looking_twice_at_the_same_time_tells_once(both_worlds: World) -> None:
    """A run that was cut off before it noted how far it came is run again from the beginning."""
    world = both_worlds
    world.sit(world.learner())
    attest(world, "f1", "decision", course="twt-1", outcome="passed", until="2026-11-30")
    attest(world, "f2", "award", badge="ONE", until="2026-11-25")
    world.clock.advance(days=10)
    for since in (None, None, world.clock.now.replace(day=1)):
        world.run(expiry.announce, "default", since=since, now=world.clock.now)
    assert len(told(world)) == 3


def test_an_award_that_passes_its_last_day_may_be_claimed_again_and_that_is_told(both_worlds: World) -> None:
    world = both_worlds
    world.sit(world.learner())
    attest(world, "f1", "award", badge="ONE", until="2026-11-25")
    before = world.call("GET", "/v1/learners/lrn_1/badges/ONE").json()
    assert before["award"]["state"] == "claimed"
    run_job(world)
    world.clock.advance(days=4)
    run_job(world)
    ((kind, badge, was, is_now, reason, snapshot),) = told(world)
    assert (kind, badge, was, is_now, reason) == ("eligibility.changed", "ONE", "eligible", "eligible", "f1")
    assert snapshot["award"]["state"] == "claimable"
    after = world.call("GET", "/v1/learners/lrn_1/badges/ONE").json()
    # Since when the rule is met has not changed by that.
    assert (after["since"], after["award"]["state"]) == (before["since"], "claimable")


def test_what_was_renewed_before_it_ran_out_is_not_told_as_lost(both_worlds: World) -> None:
    world = both_worlds
    world.sit(world.learner())
    attest(world, "f1", "decision", course="twt-1", outcome="passed", until="2026-11-30")
    world.clock.advance(days=2)
    attest(world, "f2", "decision", course="twt-1", outcome="passed", until="2026-12-31")
    run_job(world)
    world.clock.advance(days=10)
    run_job(world)
    run_job(world)
    assert told(world) == []
    world.clock.advance(days=30)
    run_job(world)
    assert words(world) == [
        ("decision.changed", "twt-1", "passed", "expired", "f2"),
        ("eligibility.lost", "BOTH", "eligible", "not_eligible", "f2"),
    ]


def test_a_fact_that_was_voided_has_been_told_and_runs_out_without_a_word(world: World) -> None:
    world.sit(world.learner())
    attest(world, "f1", "decision", course="twt-1", outcome="passed", until="2026-11-30")
    world.call("POST", "/v1/facts/f1/void", {"at": "2026-11-20", "reason": "a mistake"})
    world.clock.advance(days=10)
    run_job(world)
    assert told(world) == []


def test_a_badge_that_ends_on_a_day_ends_for_everybody_and_that_is_told(world: World) -> None:
    document = programme()
    document["badges"][0]["valid_until"] = "2026-11-30"
    world.activate(document)
    for who in ("lrn_1", "lrn_2"):
        world.sit(world.learner(who))
    run_job(world)
    world.clock.advance(days=9)
    run_job(world)
    run_job(world)
    assert words(world) == 2 * [("eligibility.lost", "ONE", "eligible", "expired", "ONE")]


def test_what_the_job_cannot_store_it_tells_at_its_next_turn(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.sit(world.learner())
    attest(world, "f1", "decision", course="twt-1", outcome="passed", until="2026-11-30")
    run_job(world)
    world.clock.advance(days=9)
    commit = type(world.services.store).commit

    async def fails(self: Any, writes: Writes) -> Any:
        if writes.changes:
            raise OSError("the disk is away")
        return await commit(self, writes)

    with monkeypatch.context() as patch:
        patch.setattr(type(world.services.store), "commit", fails)
        run_job(world)
    assert told(world) == []
    world.clock.advance(minutes=6)
    run_job(world)
    assert len(told(world)) == 2


# --- many at once ------------------------------------------------------------------


@pytest.mark.parametrize("n", [100])
def test_a_hundred_evaluations_of_one_eligible_learner_at_once_make_one_event(
    both_worlds: World, n: int
) -> None:
    """A hundred facts arrive together, each of which would be enough; each is stored, and one gains."""
    import asyncio

    from assess.delivery.service import Services, facts, keys

    world = both_worlds
    world.learner()
    me = keys.local("default", "me")

    async def together(services: Services) -> None:
        await asyncio.gather(
            *(
                facts.attest(
                    services, me,
                    {"id": f"f{k}", "source": "office", "t": "attended", "subject": "lrn_1",
                     "at": "2026-11-01", "event": "e1"},
                )
                for k in range(n)
            )
        )  # fmt: skip

    world.run(together)
    items = world.call("GET", "/v1/changes?limit=1000").json()["items"]
    assert [(item["type"], item["data"]["badge"]) for item in items] == [("eligibility.gained", "SEEN")]
    from assess.delivery.store import reading

    records = world.ask(reading.learner_records, "default", "lrn_1")
    assert records is not None
    assert (len(records.facts), records.learner.version) == (n, n + 1)
