"""What is remembered is what would be told anew, whatever happens in between."""

from __future__ import annotations

import random
from typing import Any

import pytest

from assess.delivery.service import remembering
from assess.delivery.service.remembering import Remembered
from tests.delivery.service.test_schools import attest
from tests.delivery.world import Clock, World, programme, refused

BADGES: list[dict[str, Any]] = [
    {"id": "ONE", "rule": {"pass": {"course": "twt-3"}}},
    {"id": "YOUNG", "rule": {"pass": {"course": "twt-1", "not_older_than": "30 days"}}},
    {"id": "SEEN", "rule": {"fact": {"type": "seen"}}, "valid_until": "2027-03-01"},
    {"id": "HELD", "rule": {"held": {"badge": "SEEN"}}},
]


def asked(world: World, path: str) -> Any:
    """What is told, and what would be without memory."""
    told = world.call("GET", path)
    world.services.remembered._entries.clear()
    anew = world.call("GET", path)
    assert told.status_code == anew.status_code
    assert told.json() == anew.json()
    assert told.headers.get("etag") == anew.headers.get("etag")
    return told.json()


@pytest.mark.parametrize("seed", range(4))
def test_an_answer_is_the_same_remembered_or_not(world: World, clock: Clock, seed: int) -> None:
    rng = random.Random(seed)
    world.activate(programme(badges=BADGES))
    world.learner("p1")
    n = 0

    def facts() -> None:
        t, more = rng.choice(
            [
                ("seen", {}),
                ("seen", {"until": "2027-01-15"}),
                ("decision", {"course": "twt-1", "outcome": "pass"}),
                ("award", {"badge": "SEEN"}),
                ("award", {"badge": "SEEN", "until": "2026-12-24"}),
            ]
        )
        attest(world, f"f{n}", t, "p1", clock.now.date().isoformat(), **more)

    def voids() -> None:
        body = {"at": clock.now.date().isoformat(), "reason": "x"}
        world.call("POST", f"/v1/facts/f{rng.randrange(max(n, 1))}/void", body)

    def sits() -> None:
        if world.call("POST", "/v1/sessions", {"learner": "p1", "form": "x-fixed"}).status_code == 201:
            world.sit("p1", rng.choice("ab"))

    def begins() -> None:
        world.call("POST", "/v1/sessions", {"learner": "p1", "form": "x-fixed"})

    def waits() -> None:
        clock.advance(days=rng.choice([0, 1, 14, 40]), hours=rng.randrange(24))

    def activates() -> None:
        world.activate(programme(badges=BADGES, on_loss=rng.choice(["keep", "suspend"])))

    for number in range(12):
        n = number
        rng.choice([facts, facts, voids, sits, begins, waits, waits, activates])()
        for path in ("badges/ONE", "badges/YOUNG", "badges"):
            world.call("GET", f"/v1/learners/p1/{path}")
        clock.advance(seconds=1)
        for path in ("badges/ONE", "badges/YOUNG", "badges"):
            asked(world, f"/v1/learners/p1/{path}")


def test_the_second_question_reads_no_records(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.activate(programme(badges=BADGES))
    world.learner("p1")
    read, questions = world.services.store.read_at_once, []

    async def watched(query: Any, *args: Any, **kwargs: Any) -> Any:
        questions.append(query.__name__)
        return await read(query, *args, **kwargs)

    monkeypatch.setattr(world.services.store, "read_at_once", watched)
    world.call("GET", "/v1/learners/p1/badges")
    assert "marked_records" in questions
    questions.clear()
    world.call("GET", "/v1/learners/p1/badges")
    world.call("GET", "/v1/learners/p1/badges/ONE")
    assert questions.count("mark") == 2
    assert not {"marked_records", "lean_records"} & set(questions)
    attest(world, "f", "seen", "p1")
    questions.clear()
    assert world.call("GET", "/v1/learners/p1/badges/SEEN").json()["status"] == "eligible"
    assert "lean_records" in questions


def test_who_may_not_see_is_refused_whatever_is_remembered(world: World) -> None:
    world.activate(programme(badges=[{"id": "S", "subject": "student", "rule": {"fact": {"type": "t"}}}]))
    world.call("PUT", "/v1/learners/kid", {"kind": "student"})
    assert world.call("GET", "/v1/learners/kid/badges/S").status_code == 200
    reader = world.key("read-status")
    refused(world.call("GET", "/v1/learners/kid/badges/S", key=reader), 403, "consent_missing")
    refused(world.call("GET", "/v1/learners/kid/badges/S", key="test"), 404, "learner_unknown")
    refused(world.call("GET", "/v1/learners/nobody/badges"), 404, "learner_unknown")


def test_only_so_many_learners_are_remembered(world: World) -> None:
    world.activate(programme(badges=BADGES))
    for name in ("a", "b", "c"):
        world.learner(name)
    object.__setattr__(world.services, "remembered", Remembered(kept=2))
    for name in ("a", "b", "a", "c"):
        world.call("GET", f"/v1/learners/{name}/badges/ONE")
    assert [key[1] for key in world.services.remembered._entries] == ["a", "c"]
    assert remembering.Remembered()._kept == 500
