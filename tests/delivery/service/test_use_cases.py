"""Use cases below HTTP: what pages and the command line call."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from assess.delivery.service import activations, keys, learners, open_services, sessions
from assess.delivery.service.catalogue import Catalogue
from assess.delivery.service.standing import Moment
from assess.delivery.store import Writes, reading
from assess.delivery.store.rows import ResponseRow, SessionEvent
from assess.errors import Forbidden, InvalidRequest, NotFound
from assess.session import outcome
from tests import synthetic
from tests.delivery.world import NOON, Clock, World
from tests.delivery.world import settings as world_settings

# --- guests, consent -----------------------------------------------------------


def test_a_guest_of_a_demonstration_consents_and_then_sits(world: World) -> None:
    with pytest.raises(Forbidden, match="sent here by their organisation"):
        world.run(learners.enrol_guest, "default")
    world.run(activations.set_tenant, world.admin, demo=True)
    scope = world.run(learners.enrol_guest, "default", "fr")
    assert scope.learner is not None
    with pytest.raises(Forbidden) as refusal:
        world.run(sessions.begin, scope, learner=scope.learner, form="x-fixed")
    assert refusal.value.code == "consent_missing"
    for _ in range(2):
        world.run(learners.consent, scope, form="x-fixed", version="1", language="fr")
    begun = world.run(sessions.begin, scope, learner=scope.learner, form="x-fixed")
    assert world.call("GET", f"/v1/sessions/{begun.session}", key=begun.token).json()["sandbox"] is True
    assert world.run(sessions.view, scope, begun.session).state == "in_progress"


def test_a_consent_counts_for_its_version_only(world: World) -> None:
    scope = learners.own_scope("default", world.learner(), sandbox=False)
    world.run(learners.consent, scope, form="x-fixed", version="0", language="en")
    assert world.run(learners.has_consented, scope, form="x-fixed", version="0") is True
    assert world.run(learners.has_consented, scope, form="x-fixed", version="1") is False
    with pytest.raises(Forbidden):
        world.run(learners.consent, world.admin, form="x-fixed", version="1", language="en")


def test_a_learner_acts_for_nobody_else(world: World) -> None:
    scope = learners.own_scope("default", world.learner(), sandbox=False)
    world.learner("lrn_2")
    with pytest.raises(NotFound):
        world.run(sessions.begin, scope, learner="lrn_2", form="x-fixed")
    other = world.begin("lrn_2")["session"]
    with pytest.raises(NotFound):
        world.run(sessions.view, scope, other)


# --- sessions -------------------------------------------------------------------


def test_the_overview_tells_answered_blank_and_open_apart(world: World) -> None:
    world.learner()
    begun = world.begin()
    current = begun["current"]
    for answer in ("a", None):
        current = world.respond(begun["session"], current, answer).json()["current"]
    found = world.run(sessions.overview, world.admin, begun["session"])
    assert [(view.position, view.state) for view in found] == [(1, "answered"), (2, "blank"), (3, "open")]


def test_the_sweep_ends_what_nobody_touches(world: World) -> None:
    world.learner()
    session = world.begin()["session"]
    assert world.run(sessions.sweep) == 0
    world.clock.advance(hours=1)
    assert world.run(sessions.sweep) == 1
    assert world.run(sessions.sweep) == 0
    records = world.ask(reading.session_records, "default", session)
    assert records is not None
    assert (records.session.state, records.session.ended_by) == ("ended", "timed_out")
    assert world.ask(reading.session_decision, "default", session) is not None


def test_granted_time_moves_the_deadline(world: World) -> None:
    world.learner()
    session = world.begin()["session"]
    event = SessionEvent(
        "default", session, 1, "time_granted", NOON, {"seconds": 600, "reason": "a power cut"}
    )
    assert world.client.portal is not None
    world.client.portal.call(world.services.store.commit, Writes("default", inserts=(event,)))
    view = world.call("GET", f"/v1/sessions/{session}").json()
    assert (view["seconds_left"], view["accommodations"]["extra_seconds"]) == (2400, 600)


def test_every_stored_decision_replays_to_the_same_bytes(both_worlds: World) -> None:
    world = both_worlds
    for n, (form, answer, stop) in enumerate(
        [("x-fixed", "b", None), ("x-fixed", "a", 4), ("x-adaptive", "b", None), ("x-adaptive", "c", None)]
    ):
        world.learner(f"lrn_{n}")
        world.clock.advance(seconds=61)
        world.sit(f"lrn_{n}", answer, form=form, stop_after=stop)
    stored = world.ask(reading.decisions, "default")
    assert len(stored) == 4
    for row in stored:
        records = world.ask(reading.session_records, "default", row.session)
        assert records is not None
        assert world.client.portal is not None
        release = world.client.portal.call(world.services.catalogue.release, records.session.release)
        again = outcome(sessions.folded(records, release), decided_at=row.decided_at)
        assert again.record_bytes.decode() == row.record
        assert again.record_sha256 == row.record_sha256


# --- what is live ----------------------------------------------------------------


def test_an_activation_reaches_a_process_that_did_not_make_it(world: World) -> None:
    other = Catalogue(world.services.store, refresh_seconds=0.0)
    assert world.client.portal is not None
    before = world.client.portal.call(other.active_release, "default", "x-fixed")
    new = world.activate(synthetic.document(n_items=6))
    after = world.client.portal.call(other.active_release, "default", "x-fixed")
    assert (before.sha256 != new, after.sha256) == (True, new)


def test_a_catalogue_asks_the_database_no_oftener_than_it_must(world: World) -> None:
    slow = Catalogue(world.services.store, refresh_seconds=60.0)
    assert world.client.portal is not None
    first = world.client.portal.call(slow.shelf, "default")
    world.activate(synthetic.document(n_items=6))
    assert world.client.portal.call(slow.shelf, "default") is first
    slow.forget("default")
    assert world.client.portal.call(slow.shelf, "default") is not first
    with pytest.raises(NotFound):
        world.client.portal.call(slow.shelf, "nobody")


def test_the_default_form_of_a_course_is_the_one_its_programme_names(world: World) -> None:
    world.activate(synthetic.document(form={"id": "x-newer"}))
    assert world.client.portal is not None
    catalogue = world.services.catalogue
    found = world.client.portal.call(catalogue.active_release, "default", "twt-3")
    assert found.form.id == "x-fixed"
    assert [course.id for course in world.client.portal.call(catalogue.courses, "default")] == [
        "twt-1",
        "twt-3",
    ]
    with pytest.raises(NotFound):
        world.client.portal.call(catalogue.active_release, "default", "twt-1")


# --- opening ---------------------------------------------------------------------


def test_receipts_of_an_earlier_start_still_verify(tmp_path: Path) -> None:
    async def sign(now: Clock) -> tuple[str, str]:
        services = await open_services(world_settings(tmp_path), clock=now)
        key = services.receipts.key_id
        row = ResponseRow("default", "s", 1, 1, "x.v1", "b", 0, NOON, "0f", "0", key, "")
        (signature,) = services.receipts.signing.texts([row])
        services.store.close()
        return key, signature

    first, second = asyncio.run(sign(Clock())), asyncio.run(sign(Clock()))
    assert first == second


def test_a_local_scope_may_do_everything_in_its_tenant() -> None:
    scope = keys.local("default", "operator")
    scope.require("manage")
    scope.require_session("ses_1")
    assert scope.sandbox is False


# --- moments -----------------------------------------------------------------------


def test_a_day_is_its_last_instant_in_the_programmes_zone_and_today_is_now() -> None:
    zone = ZoneInfo("Pacific/Auckland")
    assert Moment.asked("2026-11-20", None, NOON, zone).as_of == (
        NOON.replace(day=20, hour=11) - timedelta(microseconds=1)
    )
    assert Moment.asked("2026-11-23", None, NOON, zone).as_of == NOON
    assert Moment.asked(None, None, NOON, UTC) == Moment(NOON, NOON)


def test_a_moment_says_which_of_its_parts_was_asked_for() -> None:
    found = Moment.asked("2026-11-20T10:00:00 01:00", None, NOON)
    assert (found.given, found.effective) == (frozenset({"as_of"}), NOON.replace(day=20, hour=9))
    with pytest.raises(InvalidRequest, match="nobody knows yet"):
        Moment.asked(None, "2026-12-01", NOON)


def test_touches_at_once_end_a_session_once_and_none_of_them_fails(both_worlds: World) -> None:
    world = both_worlds
    world.learner()
    session = world.begin()["session"]
    world.clock.advance(hours=1)
    with ThreadPoolExecutor(10) as pool:
        replies = list(pool.map(lambda _: world.call("GET", f"/v1/sessions/{session}"), range(10)))
    assert [(reply.status_code, reply.json()["state"]) for reply in replies] == [(200, "finished")] * 10
    assert len(world.ask(reading.decisions, "default")) == 1
    assert len(world.call("GET", "/v1/changes").json()["items"]) == 1


def test_two_courses_passed_at_once_gain_the_badge_once(both_worlds: World) -> None:
    """Each commit alone would find the other course missing."""
    world = both_worlds
    world.learner()
    session = world.begin()["session"]
    current = world.call("GET", f"/v1/sessions/{session}").json()["current"]
    while current is not None:
        current = world.respond(session, current, "b").json()["current"]
    fact = {"id": "d1", "source": "academy", "t": "decision", "subject": "lrn_1", "at": "2026-11-20"}
    calls = [
        lambda: world.call("POST", f"/v1/sessions/{session}/submit"),
        lambda: world.call("POST", "/v1/facts", fact | {"course": "twt-1", "outcome": "pass"}),
    ]
    with ThreadPoolExecutor(2) as pool:
        replies = list(pool.map(lambda call: call(), calls))
    assert [reply.status_code for reply in replies] == [200, 201]
    gained = [
        c["data"]["badge"] for c in world.call("GET", "/v1/changes").json()["items"] if "gained" in c["type"]
    ]
    assert sorted(gained) == ["BOTH", "ONE"]
