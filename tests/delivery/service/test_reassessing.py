"""New rules over everybody, rules that are only tried, files of facts, ladders of badges, and usage."""

from __future__ import annotations

import random
from typing import Any

import pytest

from assess.delivery.service import activations, reassessing, usage
from assess.delivery.store import reading
from assess.errors import StorageUnavailable
from tests.delivery.service.test_schools import attest, told, work
from tests.delivery.world import Clock, World, programme, refused

SEEN: dict[str, Any] = {"fact": {"type": "seen"}}


def badges(**rules: Any) -> list[dict[str, Any]]:
    return [{"id": id_, "rule": rule} for id_, rule in rules.items()]


@pytest.fixture
def people(world: World) -> World:
    """Twelve learners; the even ones were seen, every third was heard."""
    world.activate(programme(badges=badges(B=SEEN)))
    work(world)
    for n in range(12):
        world.learner(f"p{n:02d}")
        if n % 2 == 0:
            attest(world, f"seen-{n}", "seen", f"p{n:02d}")
        if n % 3 == 0:
            attest(world, f"heard-{n}", "heard", f"p{n:02d}")
    work(world)
    return world


def status(world: World, learner: str, badge: str = "B") -> str:
    return str(world.call("GET", f"/v1/learners/{learner}/badges/{badge}").json()["status"])


def changes(world: World) -> list[Any]:
    return world.ask(reading.changes, "default", after=0, limit=10_000, sandbox=False)


HEARD: dict[str, Any] = {"fact": {"type": "heard"}}


# --- a new rule over everybody -----------------------------------------------------------


def test_a_new_rule_is_told_to_everybody_whom_it_concerns_with_its_cause(people: World) -> None:
    before = len(changes(people))
    sha = people.activate(programme(badges=badges(B=HEARD, NEW=SEEN)))
    work(people)
    rows = changes(people)[before:]
    gained = {row.learner for row in rows if row.badge == "B" and row.type == "eligibility.gained"}
    lost = {row.learner for row in rows if row.badge == "B" and row.type == "eligibility.lost"}
    assert gained == {"p03", "p09"}
    assert lost == {"p02", "p04", "p08", "p10"}
    assert {row.learner for row in rows if row.badge == "NEW"} == {f"p{n:02d}" for n in range(0, 12, 2)}
    assert {(row.cause, row.reason_id) for row in rows} == {("rule_change", sha)}
    assert all(row.data["status"] == row.current for row in rows)
    people.run(reassessing.work_everybody, payload(people, sha))
    assert len(changes(people)) == before + len(rows)


def payload(world: World, sha: str, after: str = "") -> dict[str, Any]:
    return {"tenant": "default", "sandbox": False, "badges": ["B", "NEW"], "reason_id": sha, "after": after}


def test_only_badges_whose_rule_changed_are_judged_anew(people: World) -> None:
    before = len(changes(people))
    wanted = [*badges(B=SEEN), {"id": "C", "rule": HEARD, "title": "new"}]
    people.activate(programme(badges=wanted))
    jobs = [job for job in people.ask(reading.jobs) if job.kind == reassessing.JOB_EVERYBODY]
    # Jobs have ids by chance, so one of two that are due together may come first.
    assert sorted((job.payload["badges"], job.payload["sandbox"]) for job in jobs) == [
        (["C"], False),
        (["C"], True),
    ]
    work(people)
    assert {row.badge for row in changes(people)[before:]} == {"C"}
    people.activate(programme(badges=wanted))
    assert not [job for job in people.ask(reading.jobs) if job.kind == reassessing.JOB_EVERYBODY]
    zone = programme(
        time_zone="Asia/Tokyo", badges=[*badges(B=SEEN), {"id": "C", "rule": HEARD, "title": "new"}]
    )
    people.activate(zone)
    jobs = [job for job in people.ask(reading.jobs) if job.kind == reassessing.JOB_EVERYBODY]
    assert jobs[0].payload["badges"] == ["B", "C"]


def test_a_back_fill_that_is_killed_goes_on_and_tells_nothing_twice(
    people: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = people.activate(programme(badges=badges(B=HEARD, NEW=SEEN)))
    monkeypatch.setattr(reassessing, "_PAGE", 3)
    commit, calls = people.services.store.commit, []

    async def dying(writes: Any) -> Any:
        calls.append(writes)
        if len(calls) == 3:
            raise StorageUnavailable("pulled out")
        return await commit(writes)

    monkeypatch.setattr(people.services.store, "commit", dying)
    with pytest.raises(StorageUnavailable):
        people.run(reassessing.work_everybody, payload(people, sha))
    monkeypatch.setattr(people.services.store, "commit", commit)
    people.run(reassessing.work_everybody, payload(people, sha))
    mine = [(row.learner, row.badge) for row in changes(people) if row.cause == "rule_change"]
    assert len(mine) == len(set(mine)) == 12
    assert status(people, "p03") == "eligible"


def test_a_slice_of_time_leaves_the_rest_to_the_next_job(
    people: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = people.activate(programme(badges=badges(B=HEARD, NEW=SEEN)))
    monkeypatch.setattr(reassessing, "_PAGE", 5)
    seen = people.run(reassessing.work_everybody, payload(people, sha), seconds=0.0)
    assert seen == 5
    rest = [job for job in people.ask(reading.jobs) if job.payload.get("after")]
    assert [job.payload["after"] for job in rest] == ["p04"]
    work(people)
    assert len([row for row in changes(people) if row.cause == "rule_change"]) == 12


def test_a_worker_that_does_not_know_of_the_new_rule_yet_asks_before_it_begins(people: World) -> None:
    catalogue = people.services.catalogue
    old = people.run(lambda services: services.catalogue.shelf("default"))
    sha = people.activate(programme(badges=badges(B=HEARD, NEW=SEEN)))
    object.__setattr__(catalogue, "refresh_seconds", 3600.0)
    catalogue._shelves["default"] = old  # as in another process, which read it a moment before
    people.run(reassessing.work_everybody, payload(people, sha))
    assert {row.badge for row in changes(people) if row.cause == "rule_change"} == {"B", "NEW"}


def test_a_back_fill_waits_until_every_process_knows_the_new_rule(world: World, clock: Clock) -> None:
    object.__setattr__(world.services.settings, "refresh_seconds", 2.0)
    world.activate(programme(badges=badges(B=SEEN)))
    jobs = [job for job in world.ask(reading.jobs) if job.payload.get("badges") == ["B"]]
    assert len(jobs) == 2
    assert {(job.run_at - clock.now).total_seconds() for job in jobs} == {2.0}


POINTS: dict[str, Any] = {"points": {"ledger": "l", "at_least": 5}}
JUDGED: dict[str, Any] = {"judgement": {"q": "q", "by": ["r"]}}


def test_after_a_back_fill_everybody_was_told_what_is_true_of_them(
    both_worlds: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each kind, with much and with nothing, merged, given a badge, and told of another rule before."""
    world, rng = both_worlds, random.Random(20261128)
    monkeypatch.setattr(reassessing, "_PAGE", 4)
    monkeypatch.setattr(reassessing, "_TOLD", 3)
    world.activate(programme(badges=badges(A=SEEN, GONE=HEARD, J=JUDGED)))
    ids = [f"p{n:02d}" for n in range(20)]
    for n, who in enumerate(ids):
        kind = {3: "student", 7: "school"}.get(n, "person")
        assert world.call("PUT", f"/v1/learners/{who}", {"kind": kind, "private": False}).status_code == 201
        for k in rng.sample(range(len(_KINDS)), rng.choice([0, 0, 1, 3])):
            t, more = _KINDS[k]
            assert attest(world, f"f{k}-{n}", t, who, **more).status_code == 201
    for n in (1, 2, 4):
        attest(world, f"in-{n}", "membership", "p07", person=ids[n])
        attest(world, f"pass-{n}", "decision", ids[n], course="twt-1", outcome="pass")
    merged = world.call("POST", "/v1/learners/p05/merge", {"into": "p06", "reason": "the same person"})
    assert merged.status_code < 300, merged.text
    work(world)
    rule = {"any_of": [{"all_of": [SEEN, POINTS]}, {"pass": {"course": "twt-1"}}]}
    new = [
        *badges(A=rule, C={"all_of": [JUDGED, HEARD]}),
        {"id": "OLD", "rule": HEARD, "retired_on": "2026-01-01"},
        {"id": "KID", "subject": "student", "rule": {"any_of": [SEEN, HEARD]}},
        {
            "id": "SCHOOL",
            "subject": "school",
            "rule": {"members": {"at_least": 2, "satisfy": {"pass": {"course": "twt-1"}}}},
        },
    ]
    world.activate(programme(badges=new))
    work(world)
    told = {(row.learner, row.badge): row.current for row in changes(world) if row.badge is not None}
    seen = []
    for who in ids:
        for item in world.call("GET", f"/v1/learners/{who}/badges").json()["items"]:
            name, is_now = item["badge"]["id"], item["status"]
            seen.append(is_now)
            person = item["subject"]["id"]
            expected = told.get((person, name))
            assert expected == is_now or (expected is None and is_now != "eligible"), (who, name)
    assert {"eligible", "not_eligible", "undetermined", "retired"} <= set(seen)


_KINDS: list[tuple[str, dict[str, Any]]] = [
    ("seen", {}),
    ("heard", {}),
    ("points", {"ledger": "l", "key": "k", "value": 7}),
    ("points", {"ledger": "other", "key": "k", "value": 7}),
    ("judgement", {"q": "q", "role": "r", "answer": "yes"}),
    ("award", {"badge": "OLD"}),
]


# --- a rule that is only tried ----------------------------------------------------------------


@pytest.mark.parametrize("whole", [False, True])
def test_a_rule_that_is_tried_names_who_gains_and_loses_and_writes_nothing(
    people: World, whole: bool
) -> None:
    before = len(changes(people))
    document = programme(badges=badges(B=HEARD)) if whole else {"rule": HEARD}
    first = people.call("POST", "/v1/badges/B/try", {"document": document, "limit": 8}).json()
    second = people.call("POST", "/v1/badges/B/try", {"document": document, "after": first["next"]}).json()
    assert (first["seen"], second["seen"], second["next"]) == (8, 4, None)
    both = {name: [m["learner"] for m in (*first[name], *second[name])] for name in ("gains", "losses")}
    assert both == {"gains": ["p03", "p09"], "losses": ["p02", "p04", "p08", "p10"]}
    assert first["unchanged"] + second["unchanged"] == 6
    assert len(changes(people)) == before
    assert status(people, "p03") == "not_eligible"


def test_a_rule_that_leaves_a_status_open_is_told_apart(people: World) -> None:
    rule = {"all_of": [HEARD, {"judgement": {"q": "q", "by": ["r"]}}]}
    found = people.call("POST", "/v1/badges/B/try", {"document": {"rule": rule}}).json()
    assert {m["learner"]: m["would_be"] for m in found["others"]} == {
        "p03": "undetermined",
        "p09": "undetermined",
    }
    assert {m["would_be"] for m in found["losses"]} == {"undetermined", "not_eligible"}


@pytest.mark.parametrize(
    ("badge", "document", "status", "code"),
    [
        ("B", {"rule": {"all_of": []}}, 422, "rule_invalid"),
        ("B", {"rule": {"held": {"badge": "B"}}}, 422, "rule_cycle"),
        ("X", {"rule": {"fact": {"type": "t"}}}, 404, "badge_unknown"),
        ("X", {"id": "p", "title": "p", "courses": {}, "badges": []}, 404, "badge_unknown"),
        ("B", {"title": "p", "courses": {}, "badges": []}, 422, "field_invalid"),
    ],
)
def test_a_rule_that_cannot_be_tried_is_refused(
    people: World, badge: str, document: dict[str, Any], status: int, code: str
) -> None:
    refused(people.call("POST", f"/v1/badges/{badge}/try", {"document": document}), status, code)


def test_trying_needs_the_right_and_a_reasonable_page(people: World) -> None:
    reader = people.key("read-status")
    body: dict[str, Any] = {"document": {"rule": HEARD}}
    refused(people.call("POST", "/v1/badges/B/try", body, key=reader), 403, "scope_missing")
    for limit in (0, 1001):
        refused(people.call("POST", "/v1/badges/B/try", body | {"limit": limit}), 422, "field_invalid")


# --- ladders -----------------------------------------------------------------------------------


def ladder(depth: int, width: int) -> list[dict[str, Any]]:
    found = badges(L0=SEEN)
    found += badges(**{f"L{n}": {"held": {"badge": f"L{n - 1}"}} for n in range(1, depth + 1)})
    return found + badges(**{f"W{n}": {"held": {"badge": "L0"}} for n in range(width)})


def test_revoking_a_component_judges_everything_above_it_and_says_why(world: World) -> None:
    world.activate(programme(badges=ladder(10, 0)))
    world.learner("p1")
    attest(world, "seen", "seen", "p1", "2026-01-01")
    for n in range(11):
        attest(world, f"award-{n}", "award", "p1", "2026-02-01", badge=f"L{n}")
    assert status(world, "p1", "L10") == "eligible"
    before = len(told(world, "p1"))
    world.call("POST", "/v1/facts/seen/void", {"at": "2026-11-20", "reason": "a mistake"})
    lost = told(world, "p1")[before:]
    assert lost == [("eligibility.lost", "fact", "seen")] * 11
    top = world.call("GET", "/v1/learners/p1/badges/L10").json()
    assert top["status"] == "not_eligible"
    assert (top["reasons"][0]["code"], top["award"]["state"]) == ("award_suspended", "suspended")


def test_a_thousand_badges_above_one_component_are_all_judged_in_one_commit(world: World) -> None:
    world.activate(programme(badges=ladder(0, 1000)))
    world.learner("p1")
    attest(world, "seen", "seen", "p1", "2026-01-01")
    assert attest(world, "award", "award", "p1", "2026-02-01", badge="L0").status_code == 201
    before = len(told(world, "p1"))
    world.call("POST", "/v1/facts/award/void", {"at": "2026-11-20", "reason": "taken back"})
    assert told(world, "p1")[before:] == [("eligibility.lost", "fact", "award")] * 1000


# --- files of facts --------------------------------------------------------------------------------


def rows(*facts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"row": n, "fact": fact} for n, fact in enumerate(facts, start=2)]


def fact(id: str, subject: str = "p1", **more: Any) -> dict[str, Any]:
    return {"id": id, "source": "lms", "t": "seen", "subject": subject, "at": "2026-11-01", **more}


def test_a_part_of_a_file_is_checked_then_written_and_again_changes_nothing(world: World) -> None:
    world.learner("p1")
    body = {"rows": rows(fact("a"), fact("b"))}
    dry = world.call("POST", "/v1/facts/import", body | {"dry_run": True}).json()
    assert dry == {
        "lines": [{"row": 2, "state": "new"}, {"row": 3, "state": "new"}],
        "faults": [],
        "written": False,
    }
    assert world.ask(reading.fact, "default", "a") is None
    assert world.call("POST", "/v1/facts/import", body).json()["written"] is True
    again = world.call("POST", "/v1/facts/import", body).json()
    assert [line["state"] for line in again["lines"]] == ["unchanged", "unchanged"]


def test_a_part_with_a_fault_is_not_written_at_all_and_names_line_and_field(world: World) -> None:
    world.learner("p1")
    world.call("POST", "/v1/facts", fact("taken"))
    key = world.key("attest", sources=["lms=seen,judgement,membership,decision"])
    faulty = [
        (fact("ok"), None),
        (fact("1", subject="nobody"), "subject"),
        (fact("2", at="soon"), "at"),
        (fact("3", at="2030-01-01"), "at"),
        (fact("4", source="other"), "source"),
        (fact("5", t="other"), "source"),
        (fact("taken", place="x"), "id"),
        (fact("6", t="membership", person="p1"), "subject"),
        (fact("7", until="2026-10-31"), "until"),
        (fact("8", t="decision", course="twt-9", outcome="pass"), "course"),
        (fact("ok", place="y"), "id"),
        ({"id": "9", "source": "lms"}, "t"),
    ]
    reply = world.call(
        "POST", "/v1/facts/import", {"rows": rows(*(fact for fact, _ in faulty))}, key=key
    ).json()
    assert [(f["row"], f["field"]) for f in reply["faults"]] == [
        (n, field) for n, (_, field) in enumerate(faulty, start=2) if field is not None
    ]
    assert reply["written"] is False
    assert world.ask(reading.fact, "default", "ok") is None


def test_a_file_needs_the_right_and_comes_in_parts(world: World) -> None:
    body = {"rows": rows(*(fact(str(n)) for n in range(501)))}
    refused(world.call("POST", "/v1/facts/import", body), 422, "field_invalid")
    reader = world.key("read-status")
    refused(world.call("POST", "/v1/facts/import", {"rows": []}, key=reader), 403, "scope_missing")


# --- usage --------------------------------------------------------------------------------------------


def crowd(world: World, clock: Clock) -> None:
    """Fourteen in one place and four in another are eligible since last month, and one since this one."""
    world.activate(programme(badges=badges(B=SEEN)))
    clock.advance(days=-30)
    for n in range(18):
        place = "KE" if n < 14 else "UG"
        world.call("PUT", f"/v1/learners/p{n:02d}", {"region": place})
        attest(world, f"s{n}", "seen", f"p{n:02d}", "2026-10-01")
        if n < 12:
            attest(world, f"a{n}", "award", f"p{n:02d}", "2026-10-02", badge="B")
    clock.advance(days=30)
    world.call("PUT", "/v1/learners/late", {"region": "KE"})
    attest(world, "late", "seen", "late", "2026-10-01")
    world.call("PUT", "/v1/cohorts/c1", {"title": "One"})
    for n in range(11):
        world.call("PUT", f"/v1/cohorts/c1/learners/p{n:02d}")


def test_usage_counts_people_and_hides_what_could_tell_who_they_are(world: World, clock: Clock) -> None:
    crowd(world, clock)

    def cells(by: str) -> list[tuple[Any, ...]]:
        found = world.call("GET", f"/v1/usage?by={by}&badge=B").json()
        assert (found["by"], found["smallest"]) == (by, 10)
        assert found["as_of"] == "2026-11-01T00:00:00Z"
        return [(c["group"], c["eligible"], c["awarded"]) for c in found["items"]]

    assert cells("badge") == [(None, 18, 12)]
    # Of 18, 14 would give away the other four.
    assert cells("region") == [("KE", None, None), ("UG", None, None)]
    assert cells("month") == [("2026-10", 18, 12)]
    assert cells("cohort")[1] == ("c1", None, None)


def test_usage_is_for_those_who_manage(world: World) -> None:
    refused(world.call("GET", "/v1/usage", key=world.key("read-status")), 403, "scope_missing")
    refused(world.call("GET", "/v1/usage?by=name"), 422, "field_invalid")
    refused(world.call("GET", "/v1/usage?badge=X"), 404, "badge_unknown")


@pytest.mark.parametrize("seed", range(20))
def test_no_hidden_count_can_be_had_by_subtraction(seed: int) -> None:
    import random

    rng = random.Random(seed)
    counts = {f"g{n}": rng.choice([0, 1, 5, 9, 10, 11, 30, 200]) for n in range(rng.randint(1, 7))}
    shown = usage.shown(counts)
    hidden = [group for group, n in shown.items() if n is None]
    assert all(n is None or n == counts[group] >= usage.SMALLEST for group, n in shown.items())
    assert all(shown[group] is None for group, n in counts.items() if n < usage.SMALLEST)
    if hidden and len(hidden) < len(counts):
        # What a total leaves for the hidden cells is ten people or more, in two cells or more.
        assert len(hidden) >= 2
        assert sum(counts[group] for group in hidden) >= usage.SMALLEST


def test_the_jobs_of_a_programme_are_written_with_its_activation(world: World) -> None:
    world.run(
        activations.activate, world.admin, document=programme(badges=badges(B=SEEN)), reason="a new badge"
    )
    kinds = [job.kind for job in world.ask(reading.jobs)]
    assert kinds.count(reassessing.JOB_EVERYBODY) >= 2
