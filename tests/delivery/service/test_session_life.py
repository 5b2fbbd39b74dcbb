"""Whatever learners, clocks, sweeps and restarts do to sessions, in whatever order: no state that is illegal.

A model that is much simpler than the service says what must be stored. What a
learner was told is stored is in the model; nothing else may be in the database.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import assess
from assess.delivery.replay import replay_all
from assess.delivery.service import Scope, Services, keys, learners, open_services, sessions
from assess.delivery.settings import Settings
from assess.delivery.store import Writes, reading
from assess.delivery.store.rows import Session, Update
from assess.errors import (
    AlreadyPassed,
    AnswerConflict,
    ItemNotOffered,
    NotFinished,
    PositionConflict,
    RetakeTooEarly,
    SessionExpired,
    SessionFinished,
    SessionVoid,
)
from tests.delivery.conftest import open_world
from tests.delivery.world import Clock
from tests.delivery.world import settings as world_settings

T = TypeVar("T")
FORMS = ("x-fixed", "x-adaptive")
REFUSED = (PositionConflict, ItemNotOffered, AnswerConflict, SessionFinished, SessionExpired, SessionVoid)


@dataclass
class Known:
    """A session, as somebody knows it who was told everything."""

    id: str
    learner: str
    form: str
    closes_at: Any
    current: tuple[int, str, int] | None
    """Position, item and revision of what is to be answered next."""
    answers: dict[tuple[int, int], str] = field(default_factory=dict)
    items: dict[int, str] = field(default_factory=dict)
    receipts: dict[tuple[int, int], str] = field(default_factory=dict)
    handed_in: bool = False
    void: bool = False

    def ended(self, now: Any) -> bool:
        return self.handed_in or now > self.closes_at


class SessionLife(RuleBasedStateMachine):
    """Two learners, two forms, one clock."""

    start: Settings
    seeded: Path | None = None

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = Clock()
        self.folder = Path(tempfile.mkdtemp(prefix="assess-life-"))
        self.sessions: list[Known] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    @property
    def scope(self) -> Scope:
        return keys.local("default", "test")

    def open(self) -> Services:
        return self.run(open_services(self.settings, clock=self.clock))

    @initialize()
    def begin_world(self) -> None:
        self.settings = self.start
        if self.seeded is not None:
            self.settings = world_settings(self.folder)
            shutil.copyfile(self.seeded, self.folder / "assess.db")
        self.services = self.open()
        # On PostgreSQL the examples share a database: each has people of its own.
        self.people = [f"{self.folder.name}.{n}" for n in range(2)]
        for person in self.people:
            self.run(learners.upsert(self.services, self.scope, id=person, external_ids=[]))

    def teardown(self) -> None:
        if hasattr(self, "services"):
            self.services.store.close()
            with assess.connect(self.settings) as database:
                found = replay_all(database, verify_chain=True)
            assert found.differences == ()
        self.loop.close()
        shutil.rmtree(self.folder)

    # --- what happens ----------------------------------------------------------------

    @rule(who=st.integers(0, 1), form=st.sampled_from(FORMS))
    def begin(self, who: int, form: str) -> None:
        learner = self.people[who]
        still = [s for s in self._of(learner, form) if not s.ended(self.clock.now)]
        try:
            begun = self.run(sessions.begin(self.services, self.scope, learner=learner, form=form))
        except (AlreadyPassed, RetakeTooEarly):
            assert not still, "an open session is gone on with, whatever the rules for another try"
            return
        if still:
            assert [begun.session] == [s.id for s in still]
            return
        assert begun.session not in [s.id for s in self.sessions]
        known = Known(begun.session, learner, form, begun.expires_at, None)
        self.sessions.append(known)
        self._moved(known, begun.current)

    @precondition(lambda self: self.sessions)
    @rule(which=st.integers(0, 9), answer=st.sampled_from("ab"))
    def answer(self, which: int, answer: str) -> None:
        known = self._pick(which)
        if known.current is None:
            return
        position, item, revision = known.current
        open_ = not known.ended(self.clock.now) and not known.void
        try:
            said = self._respond(known, position, item, revision, answer)
        except (SessionFinished, SessionExpired, SessionVoid):
            assert not open_
            return
        assert open_
        self._stored(known, position, item, revision, answer, said)

    @precondition(lambda self: any(s.answers for s in self.sessions))
    @rule(which=st.integers(0, 9), place=st.integers(0, 99), same=st.booleans())
    def repeat(self, which: int, place: int, same: bool) -> None:
        """A lost reply is asked for again; or another answer comes under a number that is used."""
        answered = [s for s in self.sessions if s.answers]
        known = answered[which % len(answered)]
        position, revision = list(known.answers)[place % len(known.answers)]
        given = known.answers[position, revision]
        item = known.items[position]
        if same and not known.void:
            said = self._respond(known, position, item, revision, given)
            assert said.receipt.signature == known.receipts[position, revision]
        else:
            with pytest.raises((AnswerConflict, SessionVoid)):
                self._respond(known, position, item, revision, given if known.void else "c")

    @precondition(lambda self: any(s.answers for s in self.sessions))
    @rule(which=st.integers(0, 9), place=st.integers(0, 99), answer=st.sampled_from("abc"))
    def change(self, which: int, place: int, answer: str) -> None:
        """Going back, where the form allows it."""
        answered = [s for s in self.sessions if s.answers]
        known = answered[which % len(answered)]
        position, _ = list(known.answers)[place % len(known.answers)]
        revision = max(r for p, r in known.answers if p == position) + 1
        item, open_ = known.items[position], not known.ended(self.clock.now) and not known.void
        if open_ and known.form == "x-adaptive":
            with pytest.raises(AnswerConflict):
                self._respond(known, position, item, revision, answer)
            return
        try:
            said = self._respond(known, position, item, revision, answer)
        except (SessionFinished, SessionExpired, SessionVoid):
            assert not open_
            return
        assert open_
        self._stored(known, position, item, revision, answer, said)

    @precondition(lambda self: self.sessions)
    @rule(which=st.integers(0, 9), position=st.integers(-1, 30), item=st.sampled_from(["x-001", "x-999"]),
          revision=st.integers(0, 4))  # fmt: skip
    def answer_what_was_not_asked(self, which: int, position: int, item: str, revision: int) -> None:
        known = self._pick(which)
        asked = known.current is not None and (position, item, revision) == known.current
        if asked or known.items.get(position) == item:
            return
        with pytest.raises(REFUSED):
            self._respond(known, position, item, revision, "a")

    @precondition(lambda self: self.sessions)
    @rule(which=st.integers(0, 9), answers=st.lists(st.sampled_from("ab"), min_size=2, max_size=5))
    def answer_at_once(self, which: int, answers: list[str]) -> None:
        """Two tabs, and a finger that clicks twice: one answer is stored, and only it is acknowledged."""
        known = self._pick(which)
        if known.current is None or known.void or known.ended(self.clock.now):
            return
        position, item, revision = known.current

        async def together() -> list[Any]:
            return await asyncio.gather(
                *(self._asked(known, position, item, revision, answer) for answer in answers),
                return_exceptions=True,
            )

        outcomes = self.run(together())
        told = [(a, o) for a, o in zip(answers, outcomes, strict=True) if not isinstance(o, BaseException)]
        faults = [o for o in outcomes if isinstance(o, BaseException)]
        assert all(isinstance(fault, AnswerConflict | SessionFinished) for fault in faults), faults
        assert told
        assert len({answer for answer, _ in told}) == 1
        assert len({said.receipt.signature for _, said in told}) == 1
        self._stored(known, position, item, revision, *told[0])

    @precondition(lambda self: self.sessions)
    @rule(which=st.integers(0, 9))
    def hand_in(self, which: int) -> None:
        known = self._pick(which)
        if known.void:
            with pytest.raises(SessionVoid):
                self.run(sessions.submit(self.services, self.scope, known.id))
            return
        assert self.run(sessions.submit(self.services, self.scope, known.id)).finished
        if not known.ended(self.clock.now):
            known.handed_in = True

    @rule(minutes=st.sampled_from([1, 10, 31, 60 * 24 * 8]))
    def time_passes(self, minutes: int) -> None:
        self.clock.advance(minutes=minutes)

    @rule()
    def sweep(self) -> None:
        self.run(sessions.sweep(self.services))
        assert [row.id for row in self._overdue() if row.id in {s.id for s in self.sessions}] == []

    @precondition(lambda self: any(s.handed_in for s in self.sessions))
    @rule(which=st.integers(0, 9))
    def void(self, which: int) -> None:
        """What an incident does to a session that has ended."""
        ended = [s for s in self.sessions if s.handed_in]
        known = ended[which % len(ended)]
        values = {"void_at": self.clock.now, "void_reason": "for a test"}
        update = Update(Session, {"tenant": "default", "id": known.id}, values)
        self.run(self.services.store.commit(Writes("default", (update,))))
        known.void = True

    @rule()
    def restart(self) -> None:
        self.services.store.close()
        self.services = self.open()

    # --- what must hold ----------------------------------------------------------------

    @invariant()
    def what_is_stored_is_what_was_acknowledged(self) -> None:
        for known in self.sessions:
            records = self.run(self.services.store.read(reading.session_records, "default", known.id))
            assert records is not None
            assert {(r.position, r.revision): r.answer for r in records.responses} == known.answers
            offered = [offer.position for offer in records.offers]
            assert offered == list(range(1, len(offered) + 1)), "positions rise without a gap"
            assert len({offer.item for offer in records.offers}) == len(offered), "no item comes twice"
            answered = {position for position, _ in known.answers}
            assert answered <= set(offered)
            assert len(offered) - len(answered) in (0, 1), "at most one item waits"

    @invariant()
    def an_ended_session_has_one_decision_and_an_open_one_none(self) -> None:
        for known in self.sessions:
            records = self.run(self.services.store.read(reading.session_records, "default", known.id))
            decision = self.run(self.services.store.read(reading.session_decision, "default", known.id))
            assert records is not None
            assert (decision is not None) == (records.session.state == "ended")
            if known.handed_in:
                assert records.session.state == "ended"

    @invariant()
    def whoever_comes_back_finds_the_session_as_it_was_left(self) -> None:
        for known in self.sessions:
            view = self.run(sessions.view(self.services, self.scope, known.id))
            word = "void" if known.void else "finished" if known.ended(self.clock.now) else "in_progress"
            assert view.state == word
            assert view.progress.answered == len({position for position, _ in known.answers})
            if word == "in_progress":
                there = None if view.current is None else _place(view.current)
                assert there == known.current
            elif word == "finished":
                assert self.run(sessions.result(self.services, self.scope, known.id)).decision.id
            if word == "in_progress":
                with pytest.raises(NotFinished):
                    self.run(sessions.result(self.services, self.scope, known.id))

    # --- helpers ------------------------------------------------------------------------

    def _pick(self, which: int) -> Known:
        return self.sessions[-1 - which % len(self.sessions)]

    def _of(self, learner: str, form: str) -> list[Known]:
        return [s for s in self.sessions if (s.learner, s.form) == (learner, form)]

    def _overdue(self) -> list[Session]:
        return self.run(self.services.store.read(reading.overdue_sessions, self.clock.now, 1000))

    def _asked(self, known: Known, position: int, item: str, revision: int, answer: str) -> Any:
        return sessions.respond(
            self.services,
            self.scope,
            known.id,
            position=position,
            item=item,
            revision=revision,
            answer=answer,
        )

    def _respond(self, known: Known, position: int, item: str, revision: int, answer: str) -> Any:
        return self.run(self._asked(known, position, item, revision, answer))

    def _stored(self, known: Known, position: int, item: str, revision: int, answer: str, said: Any) -> None:
        receipt = said.receipt
        assert (receipt.session, receipt.position, receipt.revision) == (known.id, position, revision)
        known.answers[position, revision] = answer
        known.receipts[position, revision] = receipt.signature
        known.items[position] = item
        if said.finished:
            known.handed_in = True
        self._moved(known, said.current)

    def _moved(self, known: Known, current: Any) -> None:
        known.current = None if current is None else _place(current)


def _place(current: Any) -> tuple[int, str, int]:
    return current.position, current.item.id, current.revision


def machine(found: Settings, seeded: Path | None) -> type[SessionLife]:
    return type("Life", (SessionLife,), {"start": found, "seeded": seeded})


def run(kind: type[SessionLife], n_lives: int, n_steps: int) -> None:
    run_state_machine_as_test(
        kind,
        settings=settings(
            max_examples=n_lives,
            stateful_step_count=n_steps,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_no_order_of_events_brings_a_session_into_an_illegal_state(
    tmp_path: Path, seeded: tuple[Path, dict[str, str]]
) -> None:
    run(machine(world_settings(tmp_path), seeded[0]), n_lives=8, n_steps=30)


def test_no_order_of_events_does_on_postgresql(pg_url: str, tmp_path: Path, clock: Clock) -> None:
    found = world_settings(tmp_path, database_url=pg_url)
    for _ in open_world(found, clock):
        pass
    run(machine(found, None), n_lives=3, n_steps=20)


@pytest.mark.verify
@pytest.mark.timeout(3600)
def test_no_order_of_events_does_in_many_long_lives(
    tmp_path: Path, seeded: tuple[Path, dict[str, str]]
) -> None:
    from tests.verification import record

    n_lives, n_steps = 300, 60
    run(machine(world_settings(tmp_path), seeded[0]), n_lives, n_steps)
    record(
        "session life against a model",
        f"{n_lives} lives of up to {n_steps} events on SQLite: no illegal state, every decision replays",
        seed="derandomized",
    )
