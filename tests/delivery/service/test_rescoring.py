"""Rescoring reaches everybody it must, proves it, and changes nothing before it is asked to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import assess
from assess.delivery.replay import replay_all
from assess.delivery.service import activations, finishing, rescoring
from assess.delivery.store import Writes, reading, reading_rescores
from assess.errors import StorageUnavailable
from assess.responses import OMITTED
from tests import synthetic
from tests.delivery.conftest import open_world
from tests.delivery.world import Clock, World, refused
from tests.session.test_rescoring import rekeyed

ITEMS = 12
TOKENS: dict[str, str] = {}


def corrected(number: int = 1, key: str = "c", **changes: Any) -> dict[str, Any]:
    """The second version of the fixed form: one item has another key."""
    document = synthetic.document(with_case_set=True)
    rekeyed(number, key)(document)
    document["form"] |= {"version": 2} | changes
    return document


def sit(world: World, learner: str, answers: str) -> str:
    """A whole session with one letter for each item in the order of the form; a dash is left blank."""
    world.learner(learner)
    begun = world.begin(learner)
    session, current = begun["session"], begun["current"]
    TOKENS[session] = begun["token"]
    for letter in answers:
        stored = world.respond(session, current, None if letter == "-" else letter)
        assert stored.status_code == 200, stored.text
        current = stored.json()["current"]
    world.call("POST", f"/v1/sessions/{session}/submit")
    return str(session)


@pytest.fixture
def cohort(world: World) -> dict[str, str]:
    """Seven learners: two who flip in one direction, one in the other, and some who do not."""
    answers = {
        "lrn_all": "b" * 12,
        "lrn_none": "a" * 12,
        "lrn_loses": "bbbbbbbb" + "aaaa",
        "lrn_gains": "cbbbbbbb" + "aaaa",
        "lrn_blank": "-bbbbbbb" + "aaaa",
        "lrn_quits": "bb",
        "lrn_also_loses": "baaa" + "bbbbbbb" + "a",
    }
    return {learner: sit(world, learner, given) for learner, given in answers.items()}


def words(world: World) -> dict[str, str]:
    found = {}
    for learner in ("lrn_all", "lrn_none", "lrn_loses", "lrn_gains", "lrn_blank", "lrn_quits"):
        body = world.call("GET", f"/v1/learners/{learner}/courses/twt-3/status").json()
        found[learner] = body["decision"]["status"]
    return found


def asked(world: World, release: str, **more: Any) -> Any:
    return world.call("POST", "/v1/rescores", {"onto": release, "reason": "Item 1 had a wrong key."} | more)


def carried_out(world: World, release: str) -> dict[str, Any]:
    answer = asked(world, release)
    assert answer.status_code == 202, answer.text
    world.run(_carry_on)
    found: dict[str, Any] = world.call("GET", f"/v1/rescores/{answer.json()['rescore']}").json()
    return found


async def _carry_on(services: Any, seconds: float = 60.0) -> None:
    """What the worker of a server does with the job that the rescoring entered."""
    for running in await services.store.read(reading_rescores.running_rescores):
        payload = {"tenant": running.tenant, "rescore": running.id}
        await rescoring.work(services, payload, seconds=seconds)


def counts(report: dict[str, Any]) -> dict[str, Any]:
    """What a dry run and the real run must agree about."""
    names = (
        "affected",
        "rescored",
        "excluded",
        "difference",
        "moves",
        "badges",
        "flipped",
        "sources",
        "onto",
    )
    return {name: report[name] for name in names}


def test_a_dry_run_says_who_flips_and_changes_nothing(world: World, cohort: dict[str, str]) -> None:
    before = words(world)
    n_changes = len(world.call("GET", "/v1/changes").json()["items"])
    answer = world.call("POST", "/v1/rescores", {"document": corrected(), "dry_run": True})
    assert answer.status_code == 200, answer.text
    report = answer.json()
    assert (report["state"], report["rescore"]) == ("dry_run", None)
    assert (report["affected"], report["rescored"], report["difference"]) == (7, 7, 0)
    flips = {entry["learner"]: (entry["old"], entry["new"]) for entry in report["flipped"]}
    assert flips == {
        "lrn_loses": ("passed", "not_passed"),
        "lrn_also_loses": ("passed", "not_passed"),
        "lrn_gains": ("not_passed", "passed"),
    }
    assert {"badge": "ONE", "gained": 1, "lost": 2} in report["badges"]
    assert words(world) == before
    assert len(world.call("GET", "/v1/changes").json()["items"]) == n_changes
    assert world.call("GET", "/v1/rescores").json()["items"] == []


def test_the_real_run_does_what_the_dry_run_said(world: World, cohort: dict[str, str]) -> None:
    release = world.activate(corrected())
    said = asked(world, release, dry_run=True).json()
    done = carried_out(world, release)
    assert done["state"] == "done"
    assert counts(done) == counts(said)
    after = words(world)
    assert (after["lrn_loses"], after["lrn_gains"], after["lrn_quits"]) == (
        "not_passed",
        "passed",
        "incomplete",
    )


def test_every_outcome_supersedes_its_old_one_and_both_replay(world: World, cohort: dict[str, str]) -> None:
    old = world.call("GET", "/v1/learners/lrn_loses/courses/twt-3/status").json()["decision"]
    done = carried_out(world, world.activate(corrected()))
    new = world.call("GET", "/v1/learners/lrn_loses/courses/twt-3/status").json()["decision"]
    assert (new["supersedes"], new["change_reason"]) == (old["id"], "Item 1 had a wrong key.")
    assert new["form"] == "x-fixed.v2"
    record = world.call("GET", new["url"]).json()
    assert record["record"]["delivered"]["form"] == "x-fixed.v1"
    assert record["cause"] == "rescore"
    stood = world.call("GET", old["url"]).json()
    assert stood["superseded_by"] == new["id"]
    told = [c for c in world.call("GET", "/v1/changes").json()["items"] if c["data"]["cause"] == "rescore"]
    assert {c["type"] for c in told} == {
        "decision.changed", "eligibility.gained", "eligibility.lost",
    }  # fmt: skip
    assert {c["data"]["reason_id"] for c in told} == {done["rescore"]}
    with assess.connect(world.services.settings) as database:
        found = replay_all(database, verify_chain=True)
    assert (found.n_same, len(found.differences)) == (14, 0)


def test_the_past_stays_as_it_was(world: World, cohort: dict[str, str]) -> None:
    """Asked as of before the correction, the learner had passed."""
    world.clock.advance(hours=1)
    carried_out(world, world.activate(corrected()))
    world.clock.advance(hours=1)
    then = "2026-11-22T12:30:00Z"
    body = world.call("GET", f"/v1/learners/lrn_loses/courses/twt-3/status?as_of={then}").json()
    assert body["passed"] is True
    badge = world.call("GET", f"/v1/learners/lrn_loses/badges/ONE?as_of={then}").json()
    assert badge["status"] == "eligible"
    assert world.call("GET", "/v1/learners/lrn_loses/badges/ONE").json()["status"] == "not_eligible"


def test_a_learner_is_told_that_a_result_was_corrected_and_why(world: World, cohort: dict[str, str]) -> None:
    carried_out(world, world.activate(corrected()))
    body = world.call("GET", f"/v1/sessions/{cohort['lrn_loses']}/result").json()
    assert body["decision"]["status"] == "not_passed"
    assert body["corrected"]["reason"] == "Item 1 had a wrong key."
    session = cohort["lrn_loses"]
    page = world.client.get(f"/s/{session}?token={TOKENS[session]}").text
    assert "This result replaces an earlier one since" in page
    assert "Item 1 had a wrong key." in page


def test_void_and_erased_sessions_are_excluded_with_their_reason(
    world: World, cohort: dict[str, str]
) -> None:
    world.run(_void, cohort["lrn_all"])
    world.run(_erase, cohort["lrn_none"])
    release = world.activate(corrected())
    said = asked(world, release, dry_run=True).json()
    done = carried_out(world, release)
    assert done["excluded"] == [{"reason": "erased", "sessions": 1}, {"reason": "void", "sessions": 1}]
    assert (done["affected"], done["rescored"], done["difference"]) == (7, 5, 0)
    assert counts(done) == counts(said)


async def _void(services: Any, session: str) -> None:
    from assess.delivery.store import Writes
    from assess.delivery.store.rows import Session, Update

    key = {"tenant": "default", "id": session}
    values = {"void_at": services.clock(), "void_reason": "for a test"}
    await services.store.commit(Writes("default", (Update(Session, key, values),)))


async def _erase(services: Any, session: str) -> None:
    from assess.delivery.store import Writes
    from assess.delivery.store.rows import ResponseRow, Update

    records = await services.store.read(reading.session_records, "default", session)
    updates = tuple(
        Update(
            ResponseRow,
            {"tenant": "default", "session": session, "position": r.position, "revision": r.revision},
            {"salt": None, "answer": None},
        )
        for r in records.responses
    )
    await services.store.commit(Writes("default", updates))


# --- interrupted -----------------------------------------------------------------


class Killed(Exception):
    """The process died here."""


@pytest.mark.parametrize("at_once", [1, 3])
def test_a_run_that_is_killed_at_any_commit_goes_on_where_it_stopped(
    world: World, cohort: dict[str, str], monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    release = world.activate(corrected())
    said = asked(world, release, dry_run=True).json()
    begun = asked(world, release).json()
    store = world.services.store
    commit = type(store).commit
    deaths = 0

    async def dying(self: Any, writes: Any) -> Any:
        nonlocal deaths
        deaths += 1
        if deaths % 2:
            raise Killed  # before anything was written
        await commit(self, writes)
        raise Killed  # after it was written, before anybody heard of it

    async def once(services: Any) -> bool:
        (running,) = await services.store.read(reading_rescores.running_rescores)
        return await rescoring.advance(services, running, at_once=at_once)

    for _ in range(30):
        with monkeypatch.context() as patch:
            patch.setattr(type(store), "commit", dying)
            if not world.run(_is_running):
                break
            with pytest.raises(Killed):
                world.run(once)
    done = world.call("GET", f"/v1/rescores/{begun['rescore']}").json()
    assert deaths >= 14 // at_once
    assert (done["state"], done["difference"]) == ("done", 0)
    assert counts(done) == counts(said)
    with assess.connect(world.services.settings) as database:
        found = replay_all(database, verify_chain=True)
    assert (found.n_same, len(found.differences)) == (14, 0)


async def _is_running(services: Any) -> bool:
    return bool(await services.store.read(reading_rescores.running_rescores))


def test_a_slice_of_no_time_does_some_learners_and_no_more(world: World, cohort: dict[str, str]) -> None:
    begun = asked(world, world.activate(corrected())).json()

    async def a_slice(services: Any) -> bool:
        (running,) = await services.store.read(reading_rescores.running_rescores)
        return await rescoring.advance(services, running, seconds=0.0, at_once=2)

    seen = []
    for _ in range(9):
        done = world.run(a_slice)
        seen.append(world.call("GET", f"/v1/rescores/{begun['rescore']}").json()["rescored"])
        if done:
            break
    assert seen == [2, 4, 6, 7, 7]


def test_learners_who_did_something_meanwhile_are_read_again_alone(
    world: World, cohort: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of those who are read together, one whose records moved on is done anew; the others stay done."""
    release = world.activate(corrected())
    said = asked(world, release, dry_run=True).json()
    begun = asked(world, release).json()
    planned, moved = rescoring.planned, []

    async def meanwhile(services: Any, running: Any, onto: Any, found: Any) -> Any:
        plan = await planned(services, running, onto, found)
        who = found.records.learner
        if who.id in ("lrn_all", "lrn_gains") and who.id not in moved:
            moved.append(who.id)
            await services.store.commit(Writes("default", (finishing.moved(who),)))
        return plan

    monkeypatch.setattr(rescoring, "planned", meanwhile)
    world.run(_carry_on)
    done = world.call("GET", f"/v1/rescores/{begun['rescore']}").json()
    assert sorted(moved) == ["lrn_all", "lrn_gains"]
    assert (done["state"], counts(done)) == ("done", counts(said))


def test_a_database_that_is_away_loses_nothing(
    world: World, cohort: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(world, world.activate(corrected()))

    async def away(self: Any, writes: Any) -> Any:
        raise StorageUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(type(world.services.store), "commit", away)
        with pytest.raises(StorageUnavailable):
            world.run(_carry_on)
    world.run(_carry_on)
    assert world.call("GET", "/v1/rescores").json()["items"][0]["state"] == "done"


# --- refusals --------------------------------------------------------------------


def test_a_second_rescoring_of_a_course_waits_for_the_first(world: World, cohort: dict[str, str]) -> None:
    release = world.activate(corrected())
    assert asked(world, release).status_code == 202
    problem = refused(asked(world, release), 409, "rescore_refused")
    assert "a rescoring of twt-3 is running" in problem["detail"]
    world.run(_carry_on)
    assert asked(world, release).status_code == 202


def test_what_cannot_be_asked_is_refused(world: World, cohort: dict[str, str]) -> None:
    release = world.activate(corrected())
    refused(asked(world, release, reason=" "), 422, "field_invalid")
    refused(asked(world, "0" * 64), 404, "form_unknown")
    refused(asked(world, release, sources=["0" * 64]), 404, "form_unknown")
    refused(asked(world, release, document=corrected()), 422, "field_invalid")
    refused(
        world.call("POST", "/v1/rescores", {"document": corrected(), "reason": "x"}), 422, "field_invalid"
    )
    refused(world.call("POST", "/v1/rescores", {"reason": "x"}), 422, "field_invalid")
    refused(world.call("GET", "/v1/rescores/rsc_none"), 404, "rescore_unknown")
    key = world.key("deliver", "read-status", "attest")
    for method, path, body in (
        ("POST", "/v1/rescores", {"onto": release, "reason": "x"}),
        ("GET", "/v1/rescores", None),
        ("GET", "/v1/rescores/rsc_none", None),
    ):
        refused(world.call(method, path, body, key=key), 403, "scope_missing")


def test_a_form_that_counts_other_items_is_refused(world: World, cohort: dict[str, str]) -> None:
    longer = synthetic.document(n_items=14)
    longer["form"]["version"] = 3
    problem = refused(asked(world, world.activate(longer)), 409, "rescore_refused")
    assert "counts x-013" in problem["detail"]
    broken = corrected()
    broken["cut"]["scale"] = "elsewhere/1"
    answer = world.call("POST", "/v1/rescores", {"document": broken, "dry_run": True})
    assert "needs one scale" in refused(answer, 409, "rescore_refused")["detail"]


def test_practice_is_not_scored_again(world: World) -> None:
    practice = synthetic.document(kind="adaptive", n_items=15)
    practice["form"]["version"] = 2
    refused(asked(world, world.activate(practice)), 409, "rescore_refused")


def test_two_persons_stand_behind_it_where_the_tenant_demands_them(
    world: World, cohort: dict[str, str]
) -> None:
    release = world.activate(corrected())
    world.run(activations.set_tenant, world.admin, two_person=True)
    refused(asked(world, release), 403, "role_not_allowed")
    assert asked(world, release, approved_by="somebody else").status_code == 202


def test_sandbox_and_real_learners_are_rescored_apart(world: World, cohort: dict[str, str]) -> None:
    release = world.activate(corrected())
    found = world.call("POST", "/v1/rescores", {"onto": release, "dry_run": True}, key="test").json()
    assert found["affected"] == 0


# --- both databases ----------------------------------------------------------------


@pytest.fixture
def both(both_settings: Any) -> Iterator[World]:
    yield from open_world(both_settings, Clock())


def test_it_is_the_same_on_both_databases(both: World) -> None:
    sit(both, "lrn_loses", "bbbbbbbbaaaa")
    sit(both, "lrn_gains", "cbbbbbbbaaaa")
    release = both.activate(corrected())
    said = asked(both, release, dry_run=True).json()
    done = carried_out(both, release)
    assert counts(done) == counts(said)
    assert (done["affected"], len(done["flipped"])) == (2, 2)


def words_of(world: World, n: int) -> list[str]:
    return [
        world.call("GET", f"/v1/learners/lrn_{k}/courses/twt-3/status").json()["decision"]["status"]
        for k in range(n)
    ]


@given(st.lists(st.text("abc-", min_size=ITEMS, max_size=ITEMS), min_size=1, max_size=4))
@settings(max_examples=8)
def test_a_correction_and_its_reversal_give_the_first_words_again(
    seeded: Any, tmp_path_factory: pytest.TempPathFactory, answers: list[str]
) -> None:
    import shutil

    from tests.delivery.world import settings as world_settings

    found = world_settings(tmp_path_factory.mktemp("worlds"))
    assert found.sqlite_path is not None
    shutil.copyfile(seeded[0], found.sqlite_path)
    for world in open_world(found, Clock(), seeded[1]):
        for number, given_answers in enumerate(answers):
            sit(world, f"lrn_{number}", given_answers)

        before = words_of(world, len(answers))
        carried_out(world, world.activate(corrected()))
        world.clock.advance(minutes=1)
        back = synthetic.document(with_case_set=True)
        back["form"]["version"] = 3
        carried_out(world, world.activate(back))
        assert words_of(world, len(answers)) == before


def test_an_unfinished_session_ends_under_its_own_release(world: World) -> None:
    """Who is answering while a rescoring runs is reached by typing it again afterwards."""
    world.learner("lrn_late")
    begun = world.begin("lrn_late")
    release = world.activate(corrected())
    assert carried_out(world, release)["affected"] == 0
    current = begun["current"]
    while current is not None:
        current = world.respond(begun["session"], current, "b").json()["current"]
    world.call("POST", f"/v1/sessions/{begun['session']}/submit")
    assert carried_out(world, release)["affected"] == 1
    assert carried_out(world, release)["affected"] == 1  # and once more does no harm


def test_a_server_carries_out_what_it_was_asked(world: World, cohort: dict[str, str]) -> None:
    """The job is written in the commit of the rescoring, and a worker finds it."""
    release = world.activate(corrected())
    begun = asked(world, release).json()
    assert begun["state"] == "running"
    world.run(_work)
    assert world.call("GET", f"/v1/rescores/{begun['rescore']}").json()["state"] == "done"


async def _work(services: Any) -> None:
    from assess.delivery.jobs import worker

    await worker(services).work()


def test_a_calibration_after_a_corrected_key_reads_the_regraded_categories(
    world: World, cohort: dict[str, str]
) -> None:
    """What was answered stays; what it earned is what the new key says, and missing stays missing."""
    with assess.connect(world.services.settings) as database:
        before = database.matrix("twt-3")
    carried_out(world, world.activate(corrected()))
    with assess.connect(world.services.settings) as database:
        after = database.matrix("twt-3")
    assert list(before.person_ids) == list(after.person_ids)
    assert [item for item in after.item_ids if item not in before.item_ids] == ["x-001.v2"]
    assert [item for item in before.item_ids if item not in after.item_ids] == ["x-001.v1"]
    column = dict(
        zip(
            after.person_ids,
            after.categories[:, list(after.item_ids).index("x-001.v2")].tolist(),
            strict=True,
        )
    )
    assert column == {
        "lrn_all": 0, "lrn_none": 0, "lrn_loses": 0, "lrn_gains": 1, "lrn_blank": OMITTED,
        "lrn_quits": 0, "lrn_also_loses": 0,
    }  # fmt: skip
    same = [item for item in before.item_ids if item in after.item_ids]
    places = ([list(matrix.item_ids).index(item) for item in same] for matrix in (before, after))
    old, new = (matrix.categories[:, place] for matrix, place in zip((before, after), places, strict=True))
    assert (old == new).all(), "what the correction does not touch is read as it was"
