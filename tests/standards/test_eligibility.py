"""Badge eligibility: the vectors, the plain rule, and what the language means."""

from __future__ import annotations

import itertools
import json
import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assess.errors import NotFound
from assess.standards.eligibility import FactBook, evaluate, load_rules, status_of
from tests.shared import SHARED, needs_shared, shared
from tests.verification import record

COURSES = [f"twt-{n}" for n in range(1, 7)]
TWT = load_rules(
    {"courses": COURSES, "badges": {"TWT": {"rule": {"all_of": [{"pass": {"course": c}} for c in COURSES]}}}}
)


def decision(course, at="2026-01-01", outcome="passed", **more):
    return {"t": "decision", "at": at, "course": course, "outcome": outcome, **more}


def ask(rule, facts, as_of="2026-06-01", subject="p1", **more):
    names = ("starts_on", "retired_on", "valid_until", "subject_type")
    badge: dict = {key: more.pop(key) for key in names if key in more}
    badge["subject"] = badge.pop("subject_type", "person")
    rules = load_rules({"badges": {"B": {"rule": rule, **badge}}, "time_zone": more.pop("time_zone", "UTC")})
    return evaluate(rules, facts, badge="B", subject=subject, as_of=as_of, **more)


# --- the vectors -------------------------------------------------------------

VECTORS = json.loads(shared("badges", "vectors.json").read_text()) if SHARED else []


def _name(vector):
    return f"{vector['badge']}: {vector['case']}"


def _answer(rules, vector, facts=None):
    return evaluate(
        rules,
        vector["facts"] if facts is None else facts,
        badge=vector["badge"],
        subject=vector["subject"],
        as_of=vector["as_of"],
    )


@pytest.fixture(scope="module")
def published():
    return load_rules(shared("badges", "rules.json"))


@needs_shared
@pytest.mark.parametrize("vector", VECTORS, ids=_name)
def test_every_vector_holds(published, vector):
    assert _answer(published, vector).status == vector["expect"]


@needs_shared
def test_there_are_a_hundred_vectors():
    assert len(VECTORS) == 100


def _shuffled(published, times):
    rng = random.Random(20261122)
    for vector in VECTORS:
        expected = _answer(published, vector)
        for _ in range(times):
            facts = vector["facts"] + rng.choices(vector["facts"], k=3) if vector["facts"] else []
            rng.shuffle(facts)
            assert _answer(published, vector, facts) == expected, _name(vector)


@needs_shared
def test_order_and_repetition_of_facts_change_nothing(published):
    _shuffled(published, 10)


@needs_shared
@pytest.mark.verify
def test_a_thousand_shuffles_of_every_vector_change_nothing(published):
    _shuffled(published, 1000)
    record(
        "the published vectors of badge rules, 1,000 orders of each with three facts twice",
        f"{len(VECTORS)} vectors, {len(VECTORS) * 1000:,} answers, none unlike that of the written order",
        seed=20261122,
    )


@needs_shared
def test_facts_of_another_subject_change_nothing(published):
    for vector in VECTORS:
        others = [fact | {"s": "somebody else"} for fact in vector["facts"]]
        assert _answer(published, vector, vector["facts"] + others).status == vector["expect"]


# --- six courses ---------------------------------------------------------------


@pytest.mark.parametrize("passed", list(itertools.product([False, True], repeat=6)))
def test_six_courses_follow_the_plain_rule(passed):
    facts = [
        decision(c, outcome="passed" if ok else "not_passed") for c, ok in zip(COURSES, passed, strict=True)
    ]
    answer = evaluate(TWT, facts, badge="TWT", subject="p1", as_of="2026-06-01")
    assert (answer.status == "eligible") is all(passed)
    assert answer.status in ("eligible", "not_eligible")
    assert (answer.progress.met, answer.progress.of) == (sum(passed), 6)
    assert [gap.predicate["pass"]["course"] for gap in answer.missing] == [
        c for c, ok in zip(COURSES, passed, strict=True) if not ok
    ]
    assert [gap.action for gap in answer.missing] == ["retake"] * (6 - sum(passed))


def test_the_answer_is_the_body_of_the_http_contract():
    facts = [decision(c, id=f"dec_{c}", record_sha256="ab" * 32) for c in COURSES if c != "twt-5"]
    body = evaluate(TWT, facts, badge="TWT", subject="lrn_01", as_of="2026-06-01").to_mapping()
    assert body["status"] == "not_eligible"
    assert body["sentence"] == "5 of 6 courses passed; still missing: twt-5."
    assert body["progress"] == {"met": 5, "of": 6}
    assert body["reasons"][2] == {
        "path": "all_of[2]",
        "predicate": {"pass": {"course": "twt-3"}},
        "value": "true",
        "code": "decision_passed",
        "evidence": ("dec_twt-3",),
    }
    assert body["missing"] == (
        {
            "path": "all_of[4]",
            "predicate": {"pass": {"course": "twt-5"}},
            "who": "learner",
            "action": "start",
            "not_before": None,
        },
    )
    assert body["evidence"][2] == {
        "type": "decision",
        "id": "dec_twt-3",
        "course": "twt-3",
        "record_sha256": "ab" * 32,
    }


def test_an_answer_shows_itself_in_a_line_and_on_a_page():
    answer = evaluate(TWT, [decision("twt-1")], badge="TWT", subject="p1", as_of="2026-06-01")
    assert repr(answer).startswith(
        "<Eligibility TWT of p1: not_eligible; 1 of 6 courses passed; still missing:"
    )
    assert "all_of[1]: false (no_decision)" in answer.summary()
    assert not answer.eligible


def test_the_view_in_a_notebook_escapes_what_it_shows():
    page = evaluate(TWT, [], badge="TWT", subject="<script>", as_of="2026-06-01")._repr_html_()
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert page.count("<tr>") == 6


def test_an_unknown_badge_is_refused():
    with pytest.raises(NotFound, match="no badge 'X'"):
        evaluate(TWT, [], badge="X", subject="p1", as_of="2026-06-01")


def test_one_book_of_facts_answers_for_every_badge():
    book = FactBook([decision(c) for c in COURSES], subject="p1")
    answers = [
        evaluate(TWT, book, badge="TWT", subject=who, as_of="2026-06-01").status for who in ("p1", "p2")
    ]
    assert answers == ["eligible", "not_eligible"]


@needs_shared
def test_the_status_alone_is_that_of_the_whole_answer(published):
    for vector in VECTORS:
        who = vector["subject"]
        book = FactBook(vector["facts"], subject=who, time_zone=published.time_zone)
        alone = status_of(published, book, badge=vector["badge"], subject=who, as_of=vector["as_of"])
        assert alone == _answer(published, vector).status, _name(vector)


def test_the_status_alone_of_an_unknown_badge_is_refused():
    with pytest.raises(NotFound):
        status_of(TWT, FactBook([], subject="p1"), badge="X", subject="p1", as_of="2026-06-01")


# --- decisions -----------------------------------------------------------------

ONE = {"pass": {"course": "c"}}


@pytest.mark.parametrize(
    ("fact", "status", "code", "step"),
    [
        (None, "not_eligible", "no_decision", ("learner", "start")),
        (decision("c"), "eligible", "decision_passed", None),
        (decision("c", outcome="pass"), "eligible", "decision_passed", None),
        (decision("c", outcome="fail"), "not_eligible", "decision_not_passed", ("learner", "retake")),
        (decision("c", outcome="incomplete"), "not_eligible", "decision_incomplete", ("learner", "retake")),
        (
            decision("c", outcome="undetermined"),
            "undetermined",
            "decision_undetermined",
            ("learner", "extend"),
        ),
        (decision("c", outcome="pending"), "undetermined", "decision_pending", ("programme", "wait")),
        (decision("c", provisional=True), "undetermined", "decision_provisional", ("programme", "wait")),
        (
            decision("c", outcome="fail", provisional=True),
            "undetermined",
            "decision_provisional",
            ("programme", "wait"),
        ),
        (
            decision("c", outcome="incomplete", provisional=True),
            "not_eligible",
            "decision_incomplete",
            ("learner", "retake"),
        ),
        (decision("c", outcome="void"), "not_eligible", "decision_withdrawn", ("learner", "contact")),
        (decision("c", void_at="2026-02-01"), "not_eligible", "decision_withdrawn", ("learner", "contact")),
        (decision("c", until="2026-05-31"), "not_eligible", "decision_too_old", ("learner", "retake")),
        (decision("c", until="2026-06-01"), "eligible", "decision_passed", None),
        (decision("c", practice=True), "not_eligible", "no_decision", ("learner", "start")),
        (decision("d"), "not_eligible", "no_decision", ("learner", "start")),
    ],
)
def test_what_a_decision_is_worth(fact, status, code, step):
    answer = ask(ONE, [] if fact is None else [fact])
    assert (answer.status, answer.reasons[0].code) == (status, code)
    assert [(gap.who, gap.action) for gap in answer.missing] == ([] if step is None else [step])


def test_a_programme_may_accept_provisional_decisions():
    facts = [decision("c", provisional=True)]
    assert ask(ONE, facts, accept_provisional=True).status == "eligible"
    rules = load_rules({"courses": ["c"], "badges": {"B": {"rule": ONE}}, "accept_provisional": True})
    assert evaluate(rules, facts, badge="B", subject="p1", as_of="2026-06-01").status == "eligible"
    refused = evaluate(rules, facts, badge="B", subject="p1", as_of="2026-06-01", accept_provisional=False)
    assert refused.status == "undetermined"


def test_practice_is_never_accepted():
    assert (
        ask(ONE, [decision("c", practice=True, provisional=True)], accept_provisional=True).status
        == "not_eligible"
    )


def test_the_current_decision_counts_not_the_best():
    facts = [decision("c"), decision("c", at="2026-03-01", outcome="fail")]
    assert ask(ONE, facts, as_of="2026-02-28").status == "eligible"
    assert ask(ONE, facts, as_of="2026-03-01").status == "not_eligible"
    voided = [facts[0], facts[1] | {"void_at": "2026-04-01"}]
    assert ask(ONE, voided, as_of="2026-03-31").status == "not_eligible"
    assert ask(ONE, voided, as_of="2026-04-01").status == "eligible"


def test_a_second_delivery_does_not_make_a_decision_the_later_one():
    passed = [decision("c", recorded_at=f"2026-02-{day}") for day in ("01", "20")]
    facts = [*passed, decision("c", outcome="fail", recorded_at="2026-02-10")]
    assert {ask(ONE, order).status for order in itertools.permutations(facts)} == {"not_eligible"}


def test_decisions_of_one_instant_are_read_with_caution():
    facts = [decision("c"), decision("c", outcome="fail")]
    assert ask(ONE, facts).status == ask(ONE, facts[::-1]).status == "not_eligible"
    recorded = [facts[0] | {"recorded_at": "2026-02-02"}, facts[1] | {"recorded_at": "2026-02-01"}]
    assert ask(ONE, recorded).status == ask(ONE, recorded[::-1]).status == "eligible"


# --- days ---------------------------------------------------------------------


def test_a_fact_counts_on_its_day_and_not_on_the_day_it_is_void():
    fact = {"t": "attended", "at": "2026-03-01", "void_at": "2026-03-05"}
    rule = {"fact": {"type": "attended"}}
    statuses = [ask(rule, [fact], as_of=f"2026-03-{day:02}").status for day in (4, 5)]
    assert statuses == ["eligible", "not_eligible"]
    assert ask(rule, [fact], as_of="2026-02-28").status == "not_eligible"
    assert ask(rule, [fact], as_of="2026-03-01").status == "eligible"


def test_a_day_begins_and_ends_in_the_programmes_time_zone():
    # 23:30 in New York on the last day, which is already the next day in UTC
    late = decision("c", at="2026-01-01T04:30:00Z")
    more = {"valid_until": "2025-12-31", "time_zone": "America/New_York"}
    assert ask(ONE, [late], as_of="2025-12-31", **more).status == "eligible"
    assert ask(ONE, [late], as_of="2026-01-01T04:59:59Z", **more).status == "eligible"
    assert ask(ONE, [late], as_of="2026-01-01T05:00:00Z", **more).status == "expired"
    assert ask(ONE, [late], as_of="2025-12-31", valid_until="2025-12-31").status == "not_eligible"


def test_a_question_may_be_asked_as_of_a_moment_within_a_day():
    fact = decision("c", at="2026-03-01T14:00:00Z")
    assert ask(ONE, [fact], as_of="2026-03-01T13:59:59Z").status == "not_eligible"
    assert ask(ONE, [fact], as_of=datetime(2026, 3, 1, 14, tzinfo=UTC)).status == "eligible"


def test_what_was_recorded_later_was_not_known():
    fact = {
        "t": "attended",
        "at": "2026-01-01",
        "recorded_at": "2026-03-01",
        "void_at": "2026-02-01",
        "void_recorded_at": "2026-04-01",
    }
    rule = {"fact": {"type": "attended"}}
    known = {
        known_at: ask(rule, [fact], as_of="2026-02-15", as_known_at=known_at).status
        for known_at in ("2026-02-28", "2026-03-01", "2026-04-01", None)
    }
    assert list(known.values()) == ["not_eligible", "eligible", "not_eligible", "not_eligible"]


@pytest.mark.parametrize("day", ["30", "31"])
def test_the_last_day_of_a_fact_still_counts(day):
    fact = {"t": "certified", "at": "2026-03-01", "until": "2026-03-31"}
    points = {"t": "points", "at": "2026-03-01", "until": "2026-03-31", "ledger": "l", "key": "k", "value": 1}
    rule = {"all_of": [{"fact": {"type": "certified"}}, {"points": {"ledger": "l", "at_least": 1}}]}
    assert ask(rule, [fact, points], as_of=f"2026-03-{day}").status == "eligible"
    assert ask(rule, [fact, points], as_of="2026-04-01").status == "not_eligible"


# --- awards -------------------------------------------------------------------


def award(badge="A", at="2024-01-01", **more):
    return {"t": "award", "at": at, "badge": badge, **more}


@pytest.mark.parametrize(
    ("held", "awards", "status", "code"),
    [
        ({}, [], "not_eligible", "award_missing"),
        ({}, [award()], "eligible", "award_active"),
        ({}, [award(until="2026-06-01")], "eligible", "award_active"),
        ({}, [award(until="2026-05-31")], "not_eligible", "award_expired"),
        ({"status": "ever"}, [award(until="2026-05-31")], "eligible", "award_expired"),
        ({"status": "ever"}, [award(void_at="2026-05-31")], "not_eligible", "award_missing"),
        ({}, [award(until="2025-01-01"), award(at="2026-01-01")], "eligible", "award_active"),
        ({"for_years": 2}, [award(at="2024-06-01")], "eligible", "award_active"),
        ({"for_years": 2}, [award(at="2024-06-02")], "not_eligible", "award_active"),
        ({"status": "ever", "for_years": 1}, [award(until="2024-06-30")], "not_eligible", "award_expired"),
        ({"status": "ever", "for_years": 1}, [award(until="2024-12-31")], "eligible", "award_expired"),
        ({"status": "ever", "for_years": 1}, [award(until="2024-12-30")], "not_eligible", "award_expired"),
        # two cohorts in a row are one tenure; with a gap they are not
        (
            {"status": "ever", "for_years": 2},
            [award(until="2024-12-31"), award(at="2025-01-01", until="2025-12-31")],
            "eligible",
            "award_expired",
        ),
        (
            {"status": "ever", "for_years": 2},
            [award(until="2024-12-30"), award(at="2025-01-01", until="2025-12-31")],
            "not_eligible",
            "award_expired",
        ),
    ],
)
def test_holding_a_badge(held, awards, status, code):
    answer = ask({"held": {"badge": "A", **held}}, awards)
    assert (answer.status, answer.reasons[0].code) == (status, code)


def test_an_award_without_an_end_ends_with_its_badge():
    rules = load_rules({"badges": {
        "A": {"rule": ONE, "valid_until": "2025-12-31"},
        "B": {"rule": {"held": {"badge": "A"}}},
        "C": {"rule": {"held": {"badge": "A", "status": "ever"}}},
    }})  # fmt: skip
    statuses = [evaluate(rules, [award()], badge=b, subject="p", as_of="2026-01-01").status for b in "BC"]
    assert statuses == ["not_eligible", "eligible"]


def test_the_same_thing_twice_counts_once():
    three = {
        "at_least": {
            "n": 2,
            "of": [{"held": {"badge": "A"}}, {"held": {"badge": "A"}}, {"held": {"badge": "B1"}}],
        }
    }
    assert ask(three, [award(), award(), award(at="2025-01-01")]).status == "not_eligible"
    assert ask(three, [award(), award("B1")]).status == "eligible"


# --- invitations, applications, judgements, points -------------------------------


def invitation(status, at="2026-01-01", **more):
    return {"t": "invitation", "at": at, "program": "P", "status": status, **more}


@pytest.mark.parametrize(
    ("facts", "status", "code"),
    [
        ([], "not_eligible", "fact_missing"),
        ([invitation("accepted", cohort=2014)], "eligible", "fact_present"),
        ([invitation("accepted", cohort="2014")], "eligible", "fact_present"),
        ([invitation("accepted", cohort=2013)], "not_eligible", "cohort_mismatch"),
        ([invitation("accepted")], "not_eligible", "cohort_mismatch"),
        ([invitation("sent", cohort=2014)], "not_eligible", "fact_missing"),
        ([invitation("declined", cohort=2014)], "not_eligible", "fact_missing"),
        ([invitation("accepted", cohort=2014, void_at="2026-02-01")], "not_eligible", "fact_void"),
        (
            [invitation("accepted", cohort=2014), invitation("declined", "2026-02-01", cohort=2014)],
            "not_eligible",
            "fact_missing",
        ),
        (
            [invitation("declined", cohort=2014), invitation("accepted", "2026-02-01", cohort=2014)],
            "eligible",
            "fact_present",
        ),
    ],
)
def test_an_invitation_counts_when_it_was_accepted_for_the_cohort(facts, status, code):
    answer = ask({"invited": {"program": "P", "cohort": 2014}}, facts)
    assert (answer.status, answer.reasons[0].code) == (status, code)


def application(decided, at="2026-01-01", **more):
    return {"t": "application", "at": at, "program": "P", "decision": decided, **more}


@pytest.mark.parametrize(
    ("facts", "status", "code"),
    [
        ([], "not_eligible", "fact_missing"),
        ([application(None)], "undetermined", "application_undecided"),
        ([application("pending")], "undetermined", "application_undecided"),
        ([application("accepted")], "eligible", "fact_present"),
        ([application("rejected")], "not_eligible", "fact_missing"),
        ([application(None), application("rejected")], "not_eligible", "fact_missing"),
        (
            [application("rejected", cohort=1), application(None, cohort=2)],
            "undetermined",
            "application_undecided",
        ),
        ([application("accepted", cohort=1), application("rejected", cohort=2)], "eligible", "fact_present"),
    ],
)
def test_an_application_is_unknown_until_it_is_decided(facts, status, code):
    for order in (facts, facts[::-1]):
        answer = ask({"application": {"program": "P"}}, order)
        assert (answer.status, answer.reasons[0].code) == (status, code)


def judged(answer, role="manager", at="2026-01-01"):
    return {"t": "judgement", "at": at, "q": "top", "role": role, "answer": answer}


@pytest.mark.parametrize(
    ("facts", "status", "code"),
    [
        ([], "undetermined", "judgement_missing"),
        ([judged("yes")], "eligible", "fact_present"),
        ([judged(True)], "eligible", "fact_present"),
        ([judged("no")], "not_eligible", "fact_missing"),
        ([judged("yes", role="peer")], "undetermined", "judgement_missing"),
        ([judged("no"), judged("yes", at="2026-02-01")], "eligible", "fact_present"),
        ([judged("no"), judged("yes", role="peer", at="2026-02-01")], "not_eligible", "fact_missing"),
    ],
)
def test_a_judgement_is_unknown_until_the_right_role_has_answered(facts, status, code):
    answer = ask({"judgement": {"q": "top", "by": ["manager", "director"]}}, facts)
    assert (answer.status, answer.reasons[0].code) == (status, code)


def test_one_false_conjunct_outweighs_an_unknown_one():
    unknown, false = {"judgement": {"q": "top", "by": ["manager"]}}, ONE
    assert ask({"all_of": [unknown, false]}, []).status == "not_eligible"
    assert ask({"any_of": [unknown, false]}, []).status == "undetermined"
    assert ask({"any_of": [unknown, false]}, [decision("c")]).status == "eligible"


@pytest.mark.parametrize(
    ("true", "unknown", "status"),
    [
        (2, 0, "eligible"),
        (1, 1, "undetermined"),
        (1, 0, "not_eligible"),
        (0, 2, "undetermined"),
        (3, 3, "eligible"),
    ],
)
def test_at_least_counts_what_is_true_and_what_may_be(true, unknown, status):
    rules = [{"pass": {"course": f"c{n}"}} for n in range(6)]
    facts = [decision(f"c{n}") for n in range(true)]
    facts += [decision(f"c{n}", outcome="pending") for n in range(true, true + unknown)]
    assert ask({"at_least": {"n": 2, "of": rules}}, facts).status == status


def earned(key, number, at="2026-01-01", **more):
    return {"t": "points", "at": at, "ledger": "l", "key": key, "value": number, **more}


@pytest.mark.parametrize(
    ("facts", "eligible"),
    [
        ([earned("a", 60), earned("b", 40)], True),
        ([earned("a", 60), earned("b", 39.5)], False),
        ([earned("a", 60), earned("a", 60)], False),
        ([earned("a", 60), earned("a", 100, at="2026-02-01")], True),
        ([earned("a", 100), earned("a", 60, at="2026-02-01")], False),
        ([earned("a", 100), earned("a", 60)], False),
        ([earned("a", 100), earned("b", -1)], False),
        ([earned(f"k{n}", 0.1) for n in range(1000)], True),
        ([earned("a", 100, ledger="other")], False),
    ],
)
def test_points_are_an_exact_sum_over_distinct_keys(facts, eligible):
    for order in (facts, facts[::-1]):
        answer = ask({"points": {"ledger": "l", "at_least": 100}}, order)
        assert answer.eligible is eligible
        assert answer.reasons[0].code == ("fact_present" if eligible else "points_short")


# --- facts and counts ---------------------------------------------------------


def post(**more):
    return {"t": "post", "at": "2026-01-01", **more}


@pytest.mark.parametrize(
    ("facts", "met"),
    [
        ([post(id=1), post(id=2)], True),
        ([post(n=1), post(n=1)], False),
        ([post(n=1), post(n=2)], True),
        ([post(n=1), post(n=True)], True),
        ([post(n=1), post(n=2, until="2026-02-01")], False),
    ],
)
def test_two_facts_are_two_different_facts(facts, met):
    assert ask({"fact": {"type": "post", "count": 2}}, facts).eligible is met


@pytest.mark.parametrize(
    ("facts", "met"),
    [
        ([post(n=1, x="a"), post(n=1, x="b")], False),
        ([post(n=1), post(n=2)], True),
        ([post(x="a"), post(x="b")], False),  # nothing tells them apart
    ],
)
def test_facts_are_told_apart_by_the_named_property(facts, met):
    assert ask({"fact": {"type": "post", "count": 2, "distinct_by": "n"}}, facts).eligible is met


def test_one_fact_must_carry_all_properties_itself():
    rule = {"fact": {"type": "post", "where": {"a": True, "b": [1, 2]}}}
    assert ask(rule, [post(a=True), post(b=1)]).status == "not_eligible"
    assert ask(rule, [post(a=True, b=2)]).status == "eligible"
    assert ask(rule, [post(a=1, b=2)]).status == "not_eligible"
    assert ask(rule, [post(a=True, b="2")]).status == "not_eligible"


def test_a_void_fact_says_that_it_is_void():
    answer = ask({"fact": {"type": "post"}}, [post(void_at="2026-02-01", id="f1")])
    assert (answer.reasons[0].code, answer.reasons[0].evidence) == ("fact_void", ("f1",))


# --- schools --------------------------------------------------------------------


def member(person, **more):
    return {"t": "membership", "at": "2026-01-01", "person": person, **more}


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ([member("p1"), decision("c", s="p1")], "not_eligible"),
        ([member("p1"), member("p2"), decision("c", s="p1"), decision("c", s="p2")], "eligible"),
        ([member("p1"), member("p1", at="2026-02-01"), decision("c", s="p1")], "not_eligible"),
        (
            [member("p1"), member("p2"), decision("c", s="p1"), decision("c", s="p2", outcome="pending")],
            "undetermined",
        ),
        (
            [member("p1"), member("p2", until="2026-05-31"), decision("c", s="p1"), decision("c", s="p2")],
            "not_eligible",
        ),
        (
            [member("p1"), member("p2", void_at="2026-02-01"), decision("c", s="p1"), decision("c", s="p2")],
            "not_eligible",
        ),
        ([member("p1"), decision("c", s="p1"), decision("c", s="p2")], "not_eligible"),
        ([member("p1"), member("p2"), decision("c")], "not_eligible"),
    ],
)
def test_a_school_counts_its_members_of_the_day(facts, status):
    rule = {"members": {"at_least": 2, "satisfy": ONE}}
    answer = ask(rule, facts, subject="sch1", subject_type="school")
    assert answer.status == status
    assert answer.reasons[0].code == ("fact_present" if status == "eligible" else "members_short")


# --- before, after, retired -------------------------------------------------------


def test_a_badge_that_is_not_open_or_has_run_out_says_so_whoever_asks():
    for facts in ([], [decision("c", at="2020-01-01")]):
        assert ask(ONE, facts, as_of="2025-12-31", starts_on="2026-01-01").status == "not_open"
        assert ask(ONE, facts, as_of="2026-01-01", valid_until="2025-12-31").status == "expired"
        assert ask(ONE, facts, as_of="2026-01-01", valid_until="2025-12-31").missing == ()


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ([], "retired"),
        ([decision("c", at="2012-12-31")], "eligible"),
        ([decision("c", at="2013-01-01")], "retired"),
        ([decision("c", at="2012-12-31", outcome="pending"), decision("c", at="2013-02-01")], "retired"),
        ([decision("c", at="2012-06-01", void_at="2013-05-01")], "retired"),
        ([decision("c", at="2012-06-01"), decision("c", at="2013-05-01", outcome="fail")], "retired"),
        ([award("B", at="2012-06-01")], "eligible"),
        ([award("B", at="2012-06-01", void_at="2013-05-01")], "retired"),
        ([award("B", at="2012-06-01", until="2013-05-01")], "retired"),
        ([award("B", at="2013-01-01")], "retired"),
    ],
)
def test_a_retired_badge_stays_with_those_who_had_it_or_had_earned_it(facts, status):
    answer = ask(ONE, facts, as_of="2014-06-01", retired_on="2013-01-01")
    assert answer.status == status
    assert answer.missing == ()


def test_an_undefined_rule_is_never_true_and_never_false():
    answer = ask({"undefined": {"reason": "none published"}}, [decision("c")])
    assert (answer.status, answer.reasons[0].code) == ("undetermined", "rule_undefined")
    assert [(gap.who, gap.action) for gap in answer.missing] == [("programme", "define")]


# --- since and until -----------------------------------------------------------


def test_a_status_says_since_when_and_until_when():
    facts = [decision("c", at="2026-01-10"), award(at="2026-02-01", until="2026-08-31")]
    answer = ask({"all_of": [ONE, {"held": {"badge": "A"}}]}, facts)
    assert answer.since == datetime(2026, 2, 1, tzinfo=UTC)
    assert answer.valid_until == datetime(2026, 8, 31, 23, 59, 59, tzinfo=UTC)
    lost = ask({"all_of": [ONE, {"held": {"badge": "A"}}]}, facts, as_of="2026-10-01")
    assert (lost.since, lost.valid_until) == (datetime(2026, 9, 1, tzinfo=UTC), None)


def test_a_status_that_was_never_another_has_no_beginning():
    assert ask(ONE, []).since is None


def test_tenure_is_reached_on_the_anniversary():
    rule = {"held": {"badge": "A", "for_years": 1}}
    answer = ask(rule, [award(at="2012-02-29")], as_of="2013-06-01")
    assert answer.since == datetime(2013, 2, 28, tzinfo=UTC)


def test_an_open_badge_is_eligible_until_its_last_day():
    answer = ask(
        ONE, [decision("c")], starts_on="2026-03-01", valid_until="2026-07-31", time_zone="Asia/Tokyo"
    )
    assert answer.since == datetime(2026, 2, 28, 15, tzinfo=UTC)
    assert answer.valid_until == datetime(2026, 7, 31, 14, 59, 59, tzinfo=UTC)


@given(
    st.lists(
        st.tuples(st.integers(1, 28), st.sampled_from(["passed", "fail", "pending"]), st.booleans()),
        max_size=5,
    ),
    st.integers(1, 28),
)
def test_the_status_holds_from_its_beginning_on(rows, day):
    facts = [
        decision(
            "c",
            at=f"2026-03-{d:02}",
            outcome=o,
            **({"until": f"2026-03-{min(d + 4, 31):02}"} if ends else {}),
        )
        for d, o, ends in rows
    ]
    answer = ask(ONE, facts, as_of=f"2026-03-{day:02}")
    begins = 1 if answer.since is None else answer.since.day
    for d in range(begins, day + 1):
        assert ask(ONE, facts, as_of=f"2026-03-{d:02}").status == answer.status
    if answer.since is not None and begins > 1:
        assert ask(ONE, facts, as_of=f"2026-03-{begins - 1:02}").status != answer.status
    if answer.valid_until is not None:
        last = answer.valid_until.day
        assert ask(ONE, facts, as_of=f"2026-03-{last:02}").status == "eligible"
        assert (
            ask(ONE, facts, as_of=f"2026-03-{last + 1:02}" if last < 31 else "2026-04-01").status
            != "eligible"
        )
