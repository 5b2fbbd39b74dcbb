"""Results that are held until a panel has spoken: nobody learns anything before, everybody after."""

from __future__ import annotations

import json
from typing import Any

import pytest

import assess
from assess.delivery.replay import replay_all
from assess.delivery.service import activations, rescoring
from assess.delivery.store import reading, reading_rescores
from assess.errors import StorageUnavailable
from tests import synthetic
from tests.delivery.service.test_rescoring import TOKENS, counts, sit
from tests.delivery.world import World, refused

ADOPTED = {"status": "adopted", "panel": "x-panel.v1"}
COHORT = {"lrn_all": "b" * 12, "lrn_none": "a" * 12, "lrn_more": "bbbbbbbb" + "aaaa", "lrn_quits": "bb"}


def holding(**changes: Any) -> dict[str, Any]:
    """A fixed form whose results are held; its cut is provisional."""
    return synthetic.document(with_case_set=True, form={"release": "after_standard", "version": 2} | changes)


def spoken_for(version: int = 3, **cut: Any) -> dict[str, Any]:
    """The same form with the cut that a panel adopted."""
    return synthetic.document(with_case_set=True, form={"version": version}, cut=ADOPTED | cut)


@pytest.fixture
def held(world: World) -> dict[str, str]:
    """Four sessions that ended under a form that holds its results."""
    world.activate(holding())
    return {learner: sit(world, learner, answers) for learner, answers in COHORT.items()}


def status(world: World, learner: str = "lrn_all") -> dict[str, Any]:
    found: dict[str, Any] = world.call("GET", f"/v1/learners/{learner}/courses/twt-3/status").json()
    return found


def asked(world: World, **body: Any) -> Any:
    return world.call("POST", "/v1/forms/x-fixed/results", body)


def released(world: World, **body: Any) -> dict[str, Any]:
    answer = asked(world, **body)
    assert answer.status_code == 202, answer.text
    world.run(_carry_on)
    found: dict[str, Any] = world.call("GET", f"/v1/rescores/{answer.json()['rescore']}").json()
    return found


async def _carry_on(services: Any) -> None:
    for running in await services.store.read(reading_rescores.running_rescores):
        await rescoring.work(services, {"tenant": running.tenant, "rescore": running.id}, seconds=60.0)


# --- while it waits ----------------------------------------------------------------


def test_a_held_result_is_pending_and_tells_nothing_of_itself(world: World, held: dict[str, str]) -> None:
    told = [status(world, learner) for learner in COHORT]
    for found in told:
        assert (found["state"], found["passed"]) == ("pending", None)
        assert found["pending"]["reason"] == "awaiting_standard"
        assert "the result comes when the standard has been set" in found["pending"]["sentence"]
        assert found["next"]["action"] == "wait"
        assert found["decision"]["score"] is None
        assert found["decision"]["p_at_or_above_cut"] is None
    badge = world.call("GET", "/v1/learners/lrn_all/badges/ONE").json()
    assert (badge["status"], badge["reasons"][0]["code"]) == ("undetermined", "decision_pending")


def test_a_pass_and_a_fail_leave_the_same_words_while_held(world: World, held: dict[str, str]) -> None:
    """Nothing that a platform can ask differs between the best and the worst of the cohort."""

    def record(learner: str) -> Any:
        body = world.call("GET", status(world, learner)["decision"]["url"]).json()
        text = json.dumps(body["record"])
        assert '"category"' not in text
        assert '"raw"' not in text
        return [(unit["unit"], [item["how"] for item in unit["items"]]) for unit in body["record"]["units"]]

    assert record("lrn_all") == record("lrn_none")
    results = [world.call("GET", f"/v1/sessions/{held[n]}/result").json() for n in ("lrn_all", "lrn_none")]
    for found in results:
        found.pop("session")
        found["decision"].pop("id")
    assert results[0] == results[1]


def test_the_result_and_its_page_say_that_it_is_still_to_come(world: World, held: dict[str, str]) -> None:
    found = world.call("GET", f"/v1/sessions/{held['lrn_all']}/result").json()
    assert (found["decision"]["status"], found["score"], found["objectives"]) == ("pending", None, [])
    assert found["pending"]["reason"] == "awaiting_standard"
    token = TOKENS[held["lrn_all"]]
    page = world.client.get(f"/s/{held['lrn_all']}?token={token}").text
    assert "Your result is still to come" in page
    assert "Your answers are stored." in page
    assert "Where you stand" not in page


def test_nobody_tries_again_before_the_last_try_is_told(world: World, held: dict[str, str]) -> None:
    world.clock.advance(days=40)
    answer = world.call("POST", "/v1/sessions", {"learner": "lrn_none", "form": "x-fixed"})
    assert "still to come" in refused(answer, 409, "retake_too_early")["detail"]


def test_the_page_of_an_earlier_result_does_not_invite_to_a_try_that_is_refused(world: World) -> None:
    earlier = sit(world, "lrn_1", "a" * 12)
    world.activate(holding())
    world.clock.advance(days=2)
    sit(world, "lrn_1", "b" * 12)
    page = world.client.get(f"/s/{earlier}?token={TOKENS[earlier]}").text
    assert "Your last result is not settled yet." in page
    assert "again now" not in page


def test_a_rescoring_leaves_held_results_alone(world: World, held: dict[str, str]) -> None:
    release = world.activate(spoken_for())
    answer = world.call("POST", "/v1/rescores", {"onto": release, "dry_run": True}).json()
    assert answer["excluded"] == [{"reason": "held until its results are released", "sessions": 4}]
    assert (answer["rescored"], answer["difference"]) == (0, 0)


# --- the release ---------------------------------------------------------------------


def test_results_are_released_by_the_adopted_cut_of_the_live_form(world: World, held: dict[str, str]) -> None:
    world.clock.advance(days=3)
    world.activate(spoken_for())
    said = asked(world, dry_run=True)
    assert said.status_code == 200
    assert {status(world, learner)["state"] for learner in COHORT} == {"pending"}
    done = released(world)
    assert (done["kind"], done["state"]) == ("release", "done")
    assert (done["affected"], done["rescored"], done["difference"]) == (4, 4, 0)
    assert counts(done) == counts(said.json())
    words = {learner: status(world, learner)["decision"]["status"] for learner in COHORT}
    assert words == {
        "lrn_all": "passed", "lrn_none": "not_passed", "lrn_more": "passed", "lrn_quits": "incomplete",
    }  # fmt: skip
    assert status(world)["decision"]["cut"]["status"] == "adopted"
    told = [
        (c["type"], c["data"]["previous"], c["data"]["current"])
        for c in world.call("GET", "/v1/changes").json()["items"]
        if (c["data"]["cause"], c["data"]["reason_id"]) == ("release", done["rescore"])
    ]
    assert ("decision.changed", "pending", "passed") in told
    assert ("eligibility.gained", "undetermined", "eligible") in told
    with assess.connect(world.services.settings) as database:
        found = replay_all(database, verify_chain=True)
    assert (found.n_same, found.differences) == (8, ())


def test_a_first_result_is_no_correction(world: World, held: dict[str, str]) -> None:
    world.activate(spoken_for())
    released(world)
    found = world.call("GET", f"/v1/sessions/{held['lrn_all']}/result").json()
    assert (found["decision"]["status"], found["corrected"], found["pending"]) == ("passed", None, None)


def test_the_past_stays_pending(world: World, held: dict[str, str]) -> None:
    then = world.clock().isoformat().replace("+00:00", "Z")
    world.clock.advance(days=3)
    world.activate(spoken_for())
    released(world)
    body = world.call("GET", f"/v1/learners/lrn_all/courses/twt-3/status?as_of={then}").json()
    assert body["state"] == "pending"


def test_a_form_that_had_an_adopted_cut_from_the_start_releases_its_own(world: World) -> None:
    """Everybody hears on the same day: the release to decide by is the one that was delivered."""
    world.activate(synthetic.document(with_case_set=True, form={"release": "after_standard"}, cut=ADOPTED))
    sit(world, "lrn_all", COHORT["lrn_all"])
    assert status(world)["state"] == "pending"
    assert released(world)["rescored"] == 1
    assert status(world)["passed"] is True
    with assess.connect(world.services.settings) as database:
        assert replay_all(database, verify_chain=True).differences == ()
    assert released(world, reason="once more")["affected"] in (0, 1)
    assert status(world)["passed"] is True


def test_a_void_session_is_accounted_for(world: World, held: dict[str, str]) -> None:
    from tests.delivery.service.test_rescoring import _void

    world.run(_void, held["lrn_all"])
    world.activate(spoken_for())
    done = released(world)
    assert (done["rescored"], done["excluded"], done["difference"]) == (
        3, [{"reason": "void", "sessions": 1}], 0,
    )  # fmt: skip


@pytest.mark.parametrize("commits", [1, 2, 3])
def test_a_release_that_is_interrupted_goes_on_where_it_stopped(
    world: World, held: dict[str, str], monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    world.activate(spoken_for())
    begun = asked(world).json()["rescore"]
    store, left = world.services.store, [commits]
    commit = store.commit

    async def failing(writes: Any) -> Any:
        if left[0] == 0:
            raise StorageUnavailable("killed")
        left[0] -= 1
        return await commit(writes)

    with monkeypatch.context() as patched:
        patched.setattr(store, "commit", failing)
        with pytest.raises(StorageUnavailable):
            world.run(_carry_on)
    assert sum(status(world, learner)["state"] == "pending" for learner in COHORT) == 4 - commits
    world.run(_carry_on)
    done = world.call("GET", f"/v1/rescores/{begun}").json()
    assert (done["state"], done["rescored"], done["difference"]) == ("done", 4, 0)
    rows = world.ask(reading.decisions, "default")
    assert len(rows) == 8


# --- refusals ------------------------------------------------------------------------


def test_results_are_not_released_by_a_provisional_cut(world: World, held: dict[str, str]) -> None:
    problem = refused(asked(world), 409, "rescore_refused")
    assert "a cut that a panel adopted" in problem["detail"]


def test_another_version_than_the_live_one_is_refused(world: World, held: dict[str, str]) -> None:
    world.activate(spoken_for())
    answer = world.call("POST", "/v1/forms/x-fixed.v2/results", {"dry_run": True})
    assert "x-fixed.v3 is live, not x-fixed.v2" in refused(answer, 409, "rescore_refused")["detail"]
    refused(world.call("POST", "/v1/forms/nothing/results", {"dry_run": True}), 404, "form_unknown")


def test_a_form_that_never_held_results_is_refused(world: World) -> None:
    world.activate(spoken_for())
    assert "held results" in refused(asked(world), 409, "rescore_refused")["detail"]


def test_a_release_needs_the_right_and_a_second_person_where_demanded(
    world: World, held: dict[str, str]
) -> None:
    world.activate(spoken_for())
    key = world.key("read-status", "deliver")
    refused(world.call("POST", "/v1/forms/x-fixed/results", {}, key=key), 403, "scope_missing")
    world.run(activations.set_tenant, world.admin, two_person=True)
    refused(asked(world), 403, "role_not_allowed")
    assert asked(world, approved_by="somebody else").status_code == 202


def test_one_release_of_a_course_runs_at_a_time(world: World, held: dict[str, str]) -> None:
    world.activate(spoken_for())
    assert asked(world).status_code == 202
    refused(asked(world), 409, "rescore_refused")


# --- both databases ------------------------------------------------------------------


def test_a_release_is_the_same_on_both_databases(both_worlds: World) -> None:
    both_worlds.activate(holding())
    for learner, answers in COHORT.items():
        sit(both_worlds, learner, answers)
    both_worlds.activate(spoken_for())
    said = asked(both_worlds, dry_run=True).json()
    done = released(both_worlds)
    assert counts(done) == counts(said)
    assert (done["affected"], done["difference"]) == (4, 0)
