"""Two records of one person: what a merge brings together, and that undoing it loses nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from assess.delivery import schemas
from assess.delivery.analysis import Database
from assess.delivery.replay import replay_all
from assess.delivery.service import accommodations, activations, keys, learners
from assess.delivery.settings import Settings
from assess.delivery.store import Writes, reading, reading_people
from assess.delivery.store.rows import Learner, Update
from tests.delivery.conftest import open_world
from tests.delivery.world import Clock, World, refused
from tests.delivery.world import settings as world_settings

COURSES, BADGES = ("twt-1", "twt-3"), ("ONE", "BOTH", "SEEN")
# What differs between two answers although nothing happened to the learner.
_ASKED = ("as_of", "as_known_at", "sequence")


def merge(world: World, learner: str, into: str, *, key: str = "live") -> Any:
    body = {"into": into, "reason": "registered twice"}
    return world.call("POST", f"/v1/learners/{learner}/merge", body, key=key)


def unmerge(world: World, learner: str, *, key: str = "live") -> Any:
    return world.call("POST", f"/v1/learners/{learner}/unmerge", {"reason": "two people"}, key=key)


def bodies(world: World, learner: str, *, key: str = "live") -> dict[str, Any]:
    """Every status and eligibility of a learner, without what differs by when it was asked."""
    paths = [f"courses/{course}/status" for course in COURSES] + [f"badges/{badge}" for badge in BADGES]
    found = {}
    for path in paths:
        answer = world.call("GET", f"/v1/learners/{learner}/{path}", key=key)
        assert answer.status_code == 200, answer.text
        found[path] = {name: value for name, value in answer.json().items() if name not in _ASKED}
    return found


def attest(world: World, learner: str, id: str, **data: Any) -> None:
    fact = {"id": id, "source": "academy", "subject": learner, "at": "2026-11-20", **data}
    answer = world.call("POST", "/v1/facts", fact)
    assert answer.status_code == 201, answer.text


def status_of(world: World, learner: str, badge: str, **asked: str) -> str:
    query = "&".join(f"{name}={value}" for name, value in asked.items())
    found: str = world.call("GET", f"/v1/learners/{learner}/badges/{badge}?{query}").json()["status"]
    return found


def told(world: World) -> list[tuple[Any, ...]]:
    feed = world.call("GET", "/v1/changes").json()["items"]
    return [
        (
            c["type"],
            c["data"]["subject"]["id"],
            c["data"]["badge"],
            c["data"]["previous"],
            c["data"]["current"],
        )
        for c in feed
        if c["data"]["cause"] == "merge"
    ]


@pytest.fixture
def two(world: World) -> World:
    """lrn_a passed one course here, lrn_b the other one elsewhere."""
    _two(world)
    return world


def _two(world: World) -> None:
    world.learner("lrn_a")
    world.learner("lrn_b")
    world.sit("lrn_a")
    attest(world, "lrn_b", "d1", t="decision", course="twt-1", outcome="pass")


# --- what a merge brings together ------------------------------------------------------


def test_a_merge_counts_both_records_for_the_survivor_and_undoing_it_parts_them(both_worlds: World) -> None:
    world = both_worlds
    _two(world)
    before = bodies(world, "lrn_a"), bodies(world, "lrn_b")
    world.clock.advance(minutes=1)
    done = merge(world, "lrn_a", "lrn_b")
    assert done.status_code == 200, done.text
    assert (done.json()["learner"], done.json()["into"], done.json()["undone_at"]) == ("lrn_a", "lrn_b", None)
    for asked in ("lrn_a", "lrn_b"):
        body = world.call("GET", f"/v1/learners/{asked}/badges/BOTH").json()
        assert (body["subject"]["id"], body["status"]) == ("lrn_b", "eligible")
        assert world.call("GET", f"/v1/learners/{asked}").json()["merged_ids"] == ["lrn_a"]
    assert told(world) == [
        ("learner.merged", "lrn_a", None, "lrn_a", "lrn_b"),
        ("decision.made", "lrn_b", None, None, "passed"),
        ("eligibility.gained", "lrn_b", "ONE", "not_eligible", "eligible"),
        ("eligibility.gained", "lrn_b", "BOTH", "not_eligible", "eligible"),
    ]
    together = world.call("GET", "/v1/learners/lrn_b/badges/BOTH").json()["sequence"]
    world.clock.advance(minutes=1)
    assert unmerge(world, "lrn_a").json()["undone_reason"] == "two people"
    assert (bodies(world, "lrn_a"), bodies(world, "lrn_b")) == before
    assert told(world)[4:] == [
        ("learner.merged", "lrn_a", None, "lrn_b", "lrn_a"),
        ("decision.withdrawn", "lrn_b", None, "passed", None),
        ("eligibility.lost", "lrn_b", "ONE", "eligible", "not_eligible"),
        ("eligibility.lost", "lrn_b", "BOTH", "eligible", "not_eligible"),
    ]
    # A receiver drops what is not newer than the last number it saw.
    for learner in ("lrn_a", "lrn_b"):
        assert world.call("GET", f"/v1/learners/{learner}/badges/BOTH").json()["sequence"] > together


def test_the_change_of_a_merge_is_a_body_with_its_resource(two: World) -> None:
    merge(two, "lrn_a", "lrn_b")
    feed = two.call("GET", "/v1/changes").json()["items"]
    change = next(c for c in feed if c["type"] == "learner.merged")
    assert change["data"]["resource"] == "/v1/learners/lrn_a"
    assert change["data"]["snapshot"]["into"] == "lrn_b"
    assert change["data"]["snapshot"]["sequence"] == change["data"]["sequence"]
    assert "moodle" not in str(change)


def test_lists_by_status_name_a_merged_person_once(two: World) -> None:
    def eligible() -> list[str]:
        found = two.call("GET", "/v1/badges/ONE/subjects").json()["items"]
        return [entry["subject"]["id"] for entry in found]

    assert eligible() == ["lrn_a"]
    merge(two, "lrn_a", "lrn_b")
    assert eligible() == ["lrn_b"]
    unmerge(two, "lrn_a")
    assert eligible() == ["lrn_a"]


def test_tries_of_both_records_are_counted(world: World) -> None:
    for learner in ("lrn_a", "lrn_b"):
        world.learner(learner)
        world.sit(learner, "a", stop_after=1)
    first = world.call("GET", "/v1/learners/lrn_b/courses/twt-3/status").json()["next"]
    assert (first["tries_used"], first["action"]) == (1, "wait")
    merge(world, "lrn_a", "lrn_b")
    both = world.call("GET", "/v1/learners/lrn_b/courses/twt-3/status").json()["next"]
    assert (both["tries_used"], both["tries_left"]) == (2, first["tries_left"] - 1)
    assert both["not_before"] > first["not_before"]
    body = {"learner": "lrn_a", "form": "x-fixed"}
    refused(world.call("POST", "/v1/sessions", body), 409, "retake_too_early")


def test_a_session_that_ends_after_the_merge_decides_for_the_survivor(world: World) -> None:
    world.learner("lrn_a")
    world.learner("lrn_b")
    begun = world.begin("lrn_a")
    merge(world, "lrn_a", "lrn_b")
    world.clock.advance(minutes=1)
    again = world.call("POST", "/v1/sessions", {"learner": "lrn_b", "form": "x-fixed"}).json()
    assert again["session"] == begun["session"]
    current = again["current"]
    while current is not None:
        current = world.respond(begun["session"], current, "b").json()["current"]
    world.call("POST", f"/v1/sessions/{begun['session']}/submit")
    assert status_of(world, "lrn_b", "ONE") == "eligible"
    unmerge(world, "lrn_a")
    assert (status_of(world, "lrn_a", "ONE"), status_of(world, "lrn_b", "ONE")) == (
        "eligible",
        "not_eligible",
    )
    # The record's own id was never told of: it is told now, to whoever follows it.
    assert ("eligibility.gained", "lrn_a", "ONE", "not_eligible", "eligible") in told(world)


def test_two_open_sessions_of_one_form_stay_open_and_the_older_one_comes_first(world: World) -> None:
    begun = []
    for learner in ("lrn_a", "lrn_b"):
        world.learner(learner)
        begun.append(world.begin(learner)["session"])
        world.clock.advance(seconds=5)
    merge(world, "lrn_b", "lrn_a")
    for asked in ("lrn_a", "lrn_b"):
        assert world.begin(asked)["session"] == begun[0]
    world.call("POST", f"/v1/sessions/{begun[0]}/submit")
    assert world.begin("lrn_a")["session"] == begun[1]


def test_facts_keep_the_id_they_were_sent_for(two: World) -> None:
    merge(two, "lrn_a", "lrn_b")
    two.clock.advance(minutes=1)
    attest(two, "lrn_a", "s1", t="attended", event="e1")
    assert status_of(two, "lrn_b", "SEEN") == "eligible"
    unmerge(two, "lrn_a")
    assert (status_of(two, "lrn_a", "SEEN"), status_of(two, "lrn_b", "SEEN")) == ("eligible", "not_eligible")
    assert ("eligibility.gained", "lrn_a", "SEEN", "not_eligible", "eligible") in told(two)
    answer = two.call("POST", "/v1/facts/s1/void", {"at": "2026-11-21", "reason": "wrong list"})
    assert answer.status_code == 200
    assert status_of(two, "lrn_a", "SEEN") == "not_eligible"


def test_what_was_known_before_the_merge_stays_as_it_was_known(two: World) -> None:
    two.clock.advance(hours=1)
    merge(two, "lrn_a", "lrn_b")
    two.clock.advance(hours=1)
    known_at = "2026-11-22T12:30:00Z"
    body = two.call("GET", f"/v1/learners/lrn_a/badges/BOTH?as_known_at={known_at}").json()
    assert (body["subject"]["id"], body["status"]) == ("lrn_a", "not_eligible")
    assert status_of(two, "lrn_b", "BOTH", as_known_at=known_at) == "not_eligible"
    assert status_of(two, "lrn_b", "BOTH") == "eligible"
    unmerge(two, "lrn_a")
    two.clock.advance(hours=1)
    assert status_of(two, "lrn_b", "BOTH", as_known_at="2026-11-22T13:30:00Z") == "eligible"
    assert status_of(two, "lrn_b", "BOTH") == "not_eligible"


def test_external_ids_of_both_find_the_survivor_and_stay_where_they_were(world: World) -> None:
    def put(learner: str, *subjects: str) -> Any:
        ids = [{"issuer": "moodle", "subject": subject} for subject in subjects]
        return world.call("PUT", f"/v1/learners/{learner}", {"external_ids": ids})

    def found(subject: str) -> list[str]:
        page = world.call("GET", f"/v1/learners?issuer=moodle&subject={subject}").json()
        return [entry["id"] for entry in page["items"]]

    put("lrn_a", "1")
    put("lrn_b", "2")
    refused(put("lrn_b", "1", "2"), 422, "field_invalid")
    merge(world, "lrn_a", "lrn_b")
    assert (found("1"), found("2")) == (["lrn_b"], ["lrn_b"])
    for subjects in (("1", "2"), ("2",), ("2", "3")):
        subject_ids = {entry["subject"] for entry in put("lrn_b", *subjects).json()["external_ids"]}
        assert subject_ids == {"1", *subjects}
    unmerge(world, "lrn_a")
    assert (found("1"), found("2"), found("3")) == (["lrn_a"], ["lrn_b"], ["lrn_b"])


# --- accommodations --------------------------------------------------------------------


def accommodate(world: World, learner: str, **given: Any) -> dict[str, Any]:
    answer = world.call("PUT", f"/v1/learners/{learner}/accommodations", given)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("holder", ["lrn_a", "lrn_b"])
@pytest.mark.parametrize("named", ["lrn_a", "lrn_b"])
def test_what_was_granted_under_one_id_holds_under_every_id_of_the_person(
    both_worlds: World, holder: str, named: str
) -> None:
    world = both_worlds
    world.learner("lrn_a")
    world.learner("lrn_b")
    accommodate(world, holder, time_multiplier=2.0, breaks=2, break_minutes=10)
    merge(world, "lrn_a", "lrn_b")
    session = world.begin(named)["session"]
    view = world.call("GET", f"/v1/sessions/{session}").json()
    assert (view["learner"], view["seconds_left"]) == ("lrn_b", 3600)
    assert view["accommodations"]["breaks"] == 2
    told = world.call("GET", f"/v1/learners/{named}/accommodations").json()
    assert (told["learner"], told["given"]["time_multiplier"]) == ("lrn_b", 2.0)
    assert [entry["learner"] for entry in told["history"]] == [holder]


def test_of_what_both_records_have_the_more_generous_of_each_part_holds(world: World) -> None:
    world.learner("lrn_a")
    world.learner("lrn_b")
    accommodate(world, "lrn_a", time_multiplier=2.0, until="2026-12-01T00:00:00Z")
    accommodate(world, "lrn_b", time_multiplier=1.25, breaks=1, break_minutes=10, no_pilot=True)
    merge(world, "lrn_a", "lrn_b")
    both = world.call("GET", "/v1/learners/lrn_b/accommodations").json()
    assert both["given"] == {
        "time_multiplier": 2.0, "untimed": False, "breaks": 1, "break_minutes": 10, "no_pilot": True,
    }  # fmt: skip
    # What ends with it is the longer time alone; an end that takes nothing away is none.
    assert both["until"] == "2026-12-01T00:00:00Z"
    assert accommodate(world, "lrn_b", time_multiplier=3.0)["until"] is None
    # A grant takes the place of the one before under its own id, and of no other.
    assert accommodate(world, "lrn_b")["given"]["time_multiplier"] == 2.0
    assert accommodate(world, "lrn_a")["given"]["time_multiplier"] == 1.0


def test_undoing_a_merge_gives_each_record_its_own_accommodation_again(both_worlds: World) -> None:
    world = both_worlds
    world.learner("lrn_a")
    world.learner("lrn_b")
    accommodate(world, "lrn_a", time_multiplier=2.0)
    merge(world, "lrn_a", "lrn_b")
    accommodate(world, "lrn_b", time_multiplier=1.5)
    assert unmerge(world, "lrn_a").status_code == 200
    for learner, seconds in (("lrn_a", 3600), ("lrn_b", 2700)):
        session = world.begin(learner)["session"]
        assert world.call("GET", f"/v1/sessions/{session}").json()["seconds_left"] == seconds
        told = world.call("GET", f"/v1/learners/{learner}/accommodations").json()
        assert [entry["learner"] for entry in told["history"]] == [learner]


def test_what_a_person_asked_for_under_one_id_is_answered_under_the_other(world: World) -> None:
    world.learner("lrn_a")
    world.learner("lrn_b")
    accommodate(world, "lrn_b", time_multiplier=1.5)
    asking = learners.own_scope("default", "lrn_a", sandbox=False)
    world.run(accommodations.ask, asking, given=schemas.GiveAccommodation(time_multiplier=1.5))
    merge(world, "lrn_a", "lrn_b")
    path = "/v1/learners/lrn_b/accommodations"
    assert world.call("GET", path).json()["open_request"] is True
    world.clock.advance(minutes=1)
    assert accommodate(world, "lrn_b", time_multiplier=1.5)["open_request"] is False
    assert len(world.call("GET", path).json()["history"]) == 3


# --- chains, circles, repetition -------------------------------------------------------


def test_a_chain_answers_at_its_end_and_a_broken_link_takes_its_own_along(world: World) -> None:
    for n, learner in enumerate(("lrn_a", "lrn_b", "lrn_c")):
        world.learner(learner)
        attest(world, learner, f"f{n}", t="attended", event="e1" if learner == "lrn_a" else f"x{n}")
    assert merge(world, "lrn_b", "lrn_c").status_code == 200
    assert merge(world, "lrn_a", "lrn_b").json()["into"] == "lrn_b"
    person = world.ask(reading_people.who, "default", "lrn_a")
    assert (person.id, set(person.ids)) == ("lrn_c", {"lrn_a", "lrn_b", "lrn_c"})
    assert status_of(world, "lrn_c", "SEEN") == "eligible"
    assert ("learner.merged", "lrn_a", None, "lrn_a", "lrn_c") in told(world)
    unmerge(world, "lrn_b")
    assert [status_of(world, learner, "SEEN") for learner in ("lrn_a", "lrn_b", "lrn_c")] == [
        "eligible",
        "eligible",
        "not_eligible",
    ]
    assert ("eligibility.gained", "lrn_b", "SEEN", "not_eligible", "eligible") in told(world)


def test_a_circle_is_refused_and_so_is_a_second_merge_elsewhere(world: World) -> None:
    for learner in ("lrn_a", "lrn_b", "lrn_c"):
        world.learner(learner)
    assert "itself" in refused(merge(world, "lrn_a", "lrn_a"), 422, "field_invalid")["detail"]
    merge(world, "lrn_a", "lrn_b")
    assert "merged into 'lrn_b'" in refused(merge(world, "lrn_b", "lrn_a"), 422, "field_invalid")["detail"]
    assert "undo that merge first" in refused(merge(world, "lrn_a", "lrn_c"), 422, "field_invalid")["detail"]


def test_a_repeated_request_changes_nothing(two: World) -> None:
    refused(unmerge(two, "lrn_a"), 422, "field_invalid")
    first = merge(two, "lrn_a", "lrn_b").json()
    n = len(told(two))
    assert (merge(two, "lrn_a", "lrn_b").json(), len(told(two))) == (first, n)
    undone = unmerge(two, "lrn_a").json()
    n = len(told(two))
    assert (unmerge(two, "lrn_a").json(), len(told(two))) == (undone, n)
    assert merge(two, "lrn_a", "lrn_b").json()["merge"] != first["merge"]


def test_two_merges_at_once_that_would_make_a_circle_leave_one(both_worlds: World) -> None:
    world = both_worlds
    world.learner("lrn_a")
    world.learner("lrn_b")
    with ThreadPoolExecutor(2) as pool:
        pairs = [("lrn_a", "lrn_b"), ("lrn_b", "lrn_a")]
        statuses = sorted(pool.map(lambda pair: merge(world, *pair).status_code, pairs))
    assert statuses == [200, 422]
    assert len(world.ask(reading_people.who, "default", "lrn_a").ids) == 2


# --- refusals ----------------------------------------------------------------------------


def test_a_merge_needs_the_scope_a_reason_and_two_learners_who_are_known_here(world: World) -> None:
    world.learner("lrn_a")
    world.learner("lrn_s", key="test")
    reader = world.key("read-status", "deliver", "attest")
    refused(merge(world, "lrn_a", "lrn_a", key=reader), 403, "scope_missing")
    refused(unmerge(world, "lrn_a", key=reader), 403, "scope_missing")
    for pair in (("lrn_a", "nobody"), ("nobody", "lrn_a"), ("lrn_a", "lrn_s"), ("lrn_s", "lrn_a")):
        refused(merge(world, *pair), 404, "learner_unknown")
    refused(unmerge(world, "nobody"), 404, "learner_unknown")
    world.learner("lrn_b")
    for route in ("merge", "unmerge"):
        body = {"reason": " "} | ({"into": "lrn_b"} if route == "merge" else {})
        problem = refused(world.call("POST", f"/v1/learners/lrn_a/{route}", body), 422, "field_invalid")
        assert problem["errors"][0]["path"] == "reason"


def test_another_tenants_learner_is_as_unknown_as_one_who_does_not_exist(world: World) -> None:
    world.learner("lrn_a")
    other = keys.local("other", "test")
    world.run(activations.set_tenant, other, title="Other")
    _, world.keys["other"] = world.run(keys.create, other, name="k", scopes=["manage", "deliver"])
    world.call("PUT", "/v1/learners/lrn_o", {}, key="other")
    answers = [
        merge(world, "lrn_a", "lrn_o", key="other"),
        merge(world, "lrn_nobody", "lrn_o", key="other"),
        unmerge(world, "lrn_a", key="other"),
        world.call("GET", "/v1/learners/lrn_a", key="other"),
        world.call("GET", "/v1/learners/lrn_a/courses", key="other"),
    ]
    for answer in answers:
        refused(answer, 404, "learner_unknown")


def test_an_erased_learner_is_merged_with_nobody(world: World) -> None:
    for learner in ("lrn_a", "lrn_b"):
        world.learner(learner)
    erased = Update(Learner, {"tenant": "default", "id": "lrn_a"}, {"erased_at": world.clock()})
    assert world.client.portal is not None
    world.client.portal.call(world.services.store.commit, Writes("default", (erased,)))
    refused(merge(world, "lrn_a", "lrn_b"), 410, "learner_erased")
    refused(merge(world, "lrn_b", "lrn_a"), 410, "learner_erased")
    refused(world.call("PUT", "/v1/learners/lrn_a", {}), 410, "learner_erased")
    refused(
        world.call("POST", "/v1/sessions", {"learner": "lrn_a", "form": "x-fixed"}), 410, "learner_erased"
    )


# --- what rests on records -------------------------------------------------------------------


def test_a_calibration_reads_a_merged_person_once_and_every_decision_replays(
    world: World, settings: Settings
) -> None:
    for learner in ("lrn_a", "lrn_b"):
        world.learner(learner)
        world.sit(learner)
    with Database(settings) as database:
        assert len(database.matrix("twt-3").to_frame()) == 2
        merge(world, "lrn_a", "lrn_b")
        assert len(database.matrix("twt-3").to_frame()) == 1
        found = replay_all(database, verify_chain=True)
    assert (found.n_same, found.differences) == (2, ())


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    yield from open_world(world_settings(tmp_path_factory.mktemp("merging")), Clock())


_numbers = itertools.count()
_STATES = ("in_progress", "passed", "not_passed", "undetermined", "incomplete", "void")
_deeds = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from(["twt-1", "twt-3", "seen"]), st.sampled_from(_STATES)),
    max_size=3,
)


@hypothesis_settings(max_examples=5)
@given(before=_deeds, between=_deeds)
def test_undoing_a_merge_gives_both_what_they_would_have_without_it(
    shared_world: World, before: list[Any], between: list[Any]
) -> None:
    """The same deeds to two pairs, of which one is merged in between: afterwards both pairs answer alike."""
    world, n = shared_world, next(_numbers)
    pairs = [(f"m{n}-a", f"m{n}-b"), (f"p{n}-a", f"p{n}-b")]
    for learner in itertools.chain(*pairs):
        world.learner(learner, key="test")

    def do(deeds: list[Any], phase: str) -> None:
        for number, (side, what, state) in enumerate(deeds):
            for pair in pairs:
                if what == "seen":
                    fact = {"id": f"{pair[side]}-{phase}-{number}", "source": "s", "t": "attended"}
                    fact |= {"subject": pair[side], "at": "2026-11-20", "event": "e1"}
                    assert world.call("POST", "/v1/facts", fact, key="test").status_code == 201
                elif what == "twt-3" or state != "in_progress":
                    path = f"/v1/sandbox/learners/{pair[side]}/courses/{what}"
                    world.call("PUT", path, {"state": state}, key="test")
            world.clock.advance(seconds=1)

    def seen() -> list[Any]:
        return [bodies(world, learner, key="test") for learner in pairs[0]]

    do(before, "before")
    alone = seen()
    assert merge(world, *pairs[0], key="test").status_code == 200
    assert seen()[0] == seen()[1]
    assert unmerge(world, pairs[0][0], key="test").status_code == 200
    assert seen() == alone
    # What happens while they are merged is told for the survivor, and stays with the id it happened to.
    merge(world, *pairs[0], key="test")
    facts = [deed for deed in between if deed[1] == "seen"]
    do(facts, "between")
    unmerge(world, pairs[0][0], key="test")
    for merged, apart in zip(*pairs, strict=True):
        for badge in BADGES:
            path = f"badges/{badge}"
            ours, plain = bodies(world, merged, key="test")[path], bodies(world, apart, key="test")[path]
            assert (ours["status"], ours["progress"]) == (plain["status"], plain["progress"])
    assert world.ask(reading.learner, "default", pairs[0][0]) is not None
