"""Loading badge rules: what is accepted, and every refusal with its path."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
import yaml

from assess.errors import InvalidRule, NotFound, RuleCycle
from assess.standards.eligibility import load_rules, rule_sentence
from assess.standards.grammar import AllOf, Pass, predicates, token
from tests.shared import needs_shared, shared

PASS = {"pass": {"course": "c1"}}


def programme(rule=PASS, **badge):
    return {"courses": [{"id": "c1"}, {"id": "c2"}], "badges": {"B": {"rule": rule, **badge}}}


# --- accepted ----------------------------------------------------------------


def test_a_programme_file_and_a_list_of_badges_mean_the_same():
    by_id = load_rules({"courses": {"c1": {"title": "One"}}, "badges": {"B": {"rule": PASS}}})
    as_list = load_rules(
        {"courses": [{"id": "c1", "title": {"en": "One", "fr": "Un"}}], "badges": [{"id": "B", "rule": PASS}]}
    )
    assert by_id.badges == as_list.badges
    assert by_id.courses["c1"].title == as_list.courses["c1"].title == "One"


def test_a_one_to_one_badge_stays_one_line_of_yaml(tmp_path):
    path = tmp_path / "programme.yaml"
    path.write_text(
        "id: twt\ntitle: {en: Teaching with Technology}\n"
        "time_zone: Africa/Nairobi\naccept_provisional: true\n"
        "policies: {retake: anything}\non_loss: suspend\n"
        "courses:\n  - {id: c1, title: One, assessed: here}\n"
        "badges:\n  B: {rule: {pass: {course: c1}}, retired_on: 2013-01-01}\n",
        encoding="utf-8",
    )
    rules = load_rules(path)
    assert rules.badges["B"].rule == Pass("c1", declared={})
    assert rules.badges["B"].retired_on == date(2013, 1, 1)
    assert (str(rules.time_zone), rules.accept_provisional) == ("Africa/Nairobi", True)
    assert rules.courses["c1"].assessed == "here"


def test_json_is_read_as_json(tmp_path):
    path = tmp_path / "rules.json"
    path.write_text(json.dumps(programme()), encoding="utf-8")
    assert load_rules(path).badges == load_rules(programme()).badges


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 10)}]\n" for n in range(12)
)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("r.yaml", BOMB, "line 6: with its aliases followed, the file holds more than 500,000 values"),
        ("r.yaml", "badges: &a {B: *a}", r"line 1: \*a stands inside what it names"),
        ("r.yaml", "badges: " + "[" * 100_000 + "]" * 100_000, "line 1: more than 128 levels"),
        ("r.json", '{"badges": ' + "[" * 200 + "]" * 200 + "}", "more than 128 levels"),
        # Deeper than the interpreter's own limit.
        ("r.json", '{"badges": ' + "[" * 100_000 + "]" * 100_000 + "}", "more than 128 levels"),
    ],
)
def test_a_file_that_would_overwhelm_its_reader_is_refused(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidRule, match=rf"r\.{path.suffix[1:]}: {message}"):
        load_rules(path)


def test_the_deepest_rules_that_are_read_fit_into_a_file(tmp_path):
    rule: dict[str, Any] = PASS
    for _ in range(32):
        rule = {"at_least": {"n": 1, "of": [rule]}}
    content = {"badges": {"B": {"rule": rule}}}
    for name, text in (("r.json", json.dumps(content)), ("r.yaml", yaml.safe_dump(content))):
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert load_rules(tmp_path / name).badges == load_rules(content).badges


def test_without_a_list_of_courses_its_own_courses_and_foreign_badges_are_external():
    rules = load_rules({"badges": [{"id": "B", "rule": {"all_of": [PASS, {"held": {"badge": "FOREIGN"}}]}}]})
    assert [(c.id, c.assessed) for c in rules.courses.values()] == [("c1", "external")]


def test_a_badge_of_another_programme_may_be_declared():
    content = programme({"held": {"badge": "FOREIGN"}})
    with pytest.raises(InvalidRule, match="external_badges"):
        load_rules(content)
    assert load_rules(content | {"external_badges": ["FOREIGN"]}).badges


def test_equal_values_and_only_they_have_equal_tokens():
    values = [1, True, "1", "true", None, "null", 0, False, "", 1.5, "1.5", [1], {"a": 1}]
    assert len({token(value) for value in values}) == len(values)
    assert token(2.0) == token(2)


@needs_shared
def test_every_badge_of_the_five_programmes_can_be_said():
    rules = load_rules(shared("badges", "rules.json"))
    assert len(rules.badges) == 37
    for badge in rules.badges:
        sentence = rule_sentence(rules, badge)
        assert sentence.endswith(".")
        for _, predicate in predicates(rules.badges[badge].rule):
            (body,) = predicate.declared.values()
            for name in ("course", "badge", "program", "q", "ledger", "reason"):
                assert str(body.get(name, "")) in sentence


# --- sentences ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (PASS, "Pass the course c1."),
        ({"all_of": [PASS, {"pass": {"course": "c2"}}]}, "Pass both courses: c1, c2."),
        ({"all_of": [PASS]}, "Pass the course c1."),
        ({"any_of": [PASS, {"pass": {"course": "c2"}}]}, "Pass at least one of the two courses: c1, c2."),
        (
            {
                "all_of": [
                    PASS,
                    {
                        "any_of": [
                            {"fact": {"type": "attended", "where": {"event": "e"}}},
                            {"points": {"ledger": "l", "at_least": 1000000}},
                        ]
                    },
                ]
            },
            "Pass the course c1; and (attended (event e); or collect at least 1000000 points of l).",
        ),
        (
            {
                "fact": {
                    "type": "blog_post",
                    "where": {"hot_topic": True, "on": ["a", "b"]},
                    "count": 2,
                    "distinct_by": "post",
                }
            },
            "Blog post (hot topic, on a or b), at least two that differ in post.",
        ),
        (
            {"invited": {"program": "P", "cohort": [2013, 2014]}},
            "Be invited to P (cohort 2013 or 2014) and accept.",
        ),
        ({"application": {"program": "P", "intake": "1"}}, "Apply to P (intake 1) and be accepted."),
        (
            {"judgement": {"q": "ready", "by": ["program_manager", "peer"]}},
            "Be judged by a program manager or peer: ready.",
        ),
        ({"undefined": {"reason": "none published"}}, "No rule is defined (none published)."),
        (
            {
                "at_least": {
                    "n": 2,
                    "of": [PASS, {"undefined": {"reason": "r"}}, {"judgement": {"q": "q", "by": ["x"]}}],
                }
            },
            "At least two of: pass the course c1; no rule is defined (r); be judged by a x: q.",
        ),
    ],
)
def test_a_rule_reads_as_a_sentence(rule, sentence):
    assert rule_sentence(load_rules(programme(rule)), "B") == sentence


def test_a_sentence_names_the_days_that_bound_the_badge():
    rules = load_rules(programme(starts_on="2013-01-01", valid_until="2014-12-31", retired_on="2014-06-01"))
    assert rule_sentence(rules, "B") == (
        "Pass the course c1. Opens on 2013-01-01. Valid until 2014-12-31. Retired on 2014-06-01."
    )


def test_a_school_badge_says_whose_rule_it_is():
    rule = {"members": {"at_least": 2, "satisfy": PASS}}
    rules = load_rules(programme(rule, subject="school"))
    assert (
        rule_sentence(rules, "B")
        == "The school: have at least two member educators with [pass the course c1]."
    )


def test_an_unknown_badge_has_no_sentence():
    with pytest.raises(NotFound, match="no badge 'X'"):
        rule_sentence(load_rules(programme()), "X")


# --- refused ----------------------------------------------------------------

R = "badges.B.rule"


@pytest.mark.parametrize(
    ("rule", "path", "message"),
    [
        ({"all_of": []}, f"{R}.all_of", "empty list"),
        ({"any_of": []}, f"{R}.any_of", "empty list"),
        ({"at_least": {"n": 1, "of": []}}, f"{R}.at_least.of", "empty list"),
        ({"at_least": {"n": 0, "of": [PASS]}}, f"{R}.at_least.n", "1 or more"),
        ({"at_least": {"n": True, "of": [PASS]}}, f"{R}.at_least.n", "1 or more"),
        ({"at_least": {"n": 2, "of": [PASS]}}, f"{R}.at_least.n", "can never hold"),
        ({"at_least": {"n": 2, "of": [PASS, PASS]}}, f"{R}.at_least.n", "2 of 1 different"),
        ({"at_least": {"of": [PASS]}}, f"{R}.at_least.n", "1 or more"),
        ({"at_least": [PASS]}, f"{R}.at_least", "expected a mapping"),
        ({"all_of": PASS}, f"{R}.all_of", "expected a list"),
        (
            {"all_of": [PASS, {"pass": {"course": "c3"}}]},
            f"{R}.all_of[1].pass.course",
            "unknown course 'c3'; did you mean c",
        ),
        ({"held": {"badge": "X"}}, f"{R}.held.badge", "unknown badge 'X'"),
        ({"pass": {"course": "c1", "levle": "KA"}}, f"{R}.pass.levle", "unknown field 'levle'"),
        ({"pass": {}}, f"{R}.pass.course", "expected text"),
        ({"pass": {"course": 1}}, f"{R}.pass.course", "quote it"),
        ({"pas": {"course": "c1"}}, f"{R}.pas", "did you mean 'pass'"),
        ({"not": PASS}, f"{R}.not", "unknown kind of rule"),
        (PASS | {"any_of": [PASS]}, R, "exactly one of"),
        ("c1", R, "exactly one of"),
        (
            {"fact": {"type": "decision", "where": {"outcome": "pass"}}},
            f"{R}.fact.type",
            "asked for by 'pass'",
        ),
        ({"fact": {"type": "award"}}, f"{R}.fact.type", "asked for by 'held'"),
        ({"fact": {"type": "a", "where": []}}, f"{R}.fact.where", "mapping of properties"),
        ({"fact": {"type": "a", "where": {"at": "2013-01-01"}}}, f"{R}.fact.where.at", "not a property"),
        ({"fact": {"type": "a", "where": {"x": []}}}, f"{R}.fact.where.x", "matches nothing"),
        ({"fact": {"type": "a", "where": {"x": [[1]]}}}, f"{R}.fact.where.x", "single value"),
        ({"fact": {"type": "a", "count": 0}}, f"{R}.fact.count", "1 or more"),
        ({"fact": {"type": "a", "distinct_by": []}}, f"{R}.fact.distinct_by", "tell facts apart"),
        (
            {"fact": {"type": "a", "where": {"x": [1, 2]}, "count": 3, "distinct_by": "x"}},
            f"{R}.fact.count",
            "leaves 2 different values of x, not 3",
        ),
        ({"held": {"badge": "B", "status": "once"}}, f"{R}.held.status", "neither active nor ever"),
        ({"held": {"badge": "B", "for_years": 0}}, f"{R}.held.for_years", "1 or more"),
        ({"invited": {"program": "P", "cohort": []}}, f"{R}.invited.cohort", "matches nothing"),
        ({"application": {"cohort": 2014}}, f"{R}.application.program", "expected text"),
        ({"judgement": {"q": "q", "by": []}}, f"{R}.judgement.by", "list the roles"),
        ({"judgement": {"q": "q", "by": "program_manager"}}, f"{R}.judgement.by", "list the roles"),
        ({"points": {"ledger": "l", "at_least": 0}}, f"{R}.points.at_least", "positive number"),
        ({"points": {"ledger": "l", "at_least": float("nan")}}, f"{R}.points.at_least", "positive number"),
        ({"members": {"at_least": 1, "satisfy": PASS}}, f"{R}.members", "for schools"),
        ({"undefined": {}}, f"{R}.undefined.reason", "expected text"),
    ],
)
def test_a_faulty_rule_is_refused_with_the_path_to_the_fault(rule, path, message):
    with pytest.raises(InvalidRule, match=message) as refused:
        load_rules(programme(rule))
    assert refused.value.path == path
    assert str(refused.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("badge", "path", "message"),
    [
        ({"subject": "dog"}, "badges.B.subject", "person, student, school"),
        ({"starts_on": "2013-13-01"}, "badges.B.starts_on", "not a day"),
        ({"valid_until": "31.12.2014"}, "badges.B.valid_until", "not a day"),
        (
            {"starts_on": "2014-01-01", "valid_until": "2013-01-01"},
            "badges.B.valid_until",
            "before starts_on",
        ),
        ({"starts_on": "2014-01-01", "retired_on": "2013-01-01"}, "badges.B.retired_on", "before starts_on"),
        ({"valid_untill": "2014-12-31"}, "badges.B.valid_untill", "did you mean 'valid_until'"),
        ({"id": "C"}, "badges.B.id", "differs from the key"),
    ],
)
def test_a_faulty_badge_is_refused_with_the_path_to_the_fault(badge, path, message):
    with pytest.raises(InvalidRule, match=message) as refused:
        load_rules(programme(**badge))
    assert refused.value.path == path


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        ({"badgs": []}, "badgs", "did you mean 'badges'"),
        ({"badges": "B"}, "badges", "expected a list"),
        ({"badges": [{"rule": PASS}]}, "badges[0].id", "expected text"),
        ({"badges": [{"id": "B", "rule": PASS}] * 2}, "badges.B", "declared twice"),
        ({"badges": {"B": {}}}, "badges.B", "needs a rule"),
        ({"badges": {"B": 1}}, "badges.B", "expected a mapping"),
        ({"badges": [1]}, "badges[0]", "expected a mapping"),
        ({"courses": ["c1", "c1"]}, "courses.c1", "declared twice"),
        (
            {"courses": [{"id": "c1", "assessed": "there"}]},
            "courses.c1.assessed",
            "neither here nor external",
        ),
        ({"time_zone": "Mars/Olympus"}, "time_zone", "not a time zone"),
        ({"accept_provisional": "yes"}, "accept_provisional", "neither true nor false"),
        ({"policies": {"accept_provisional": True}}, "policies.accept_provisional", "not below policies"),
        ({"external_badges": "X"}, "external_badges", "list the ids"),
    ],
)
def test_a_faulty_file_is_refused_with_the_path_to_the_fault(change, path, message):
    with pytest.raises(InvalidRule, match=message) as refused:
        load_rules(programme() | change)
    assert refused.value.path == path


def test_members_of_members_are_refused():
    rule = {"members": {"at_least": 1, "satisfy": {"members": {"at_least": 1, "satisfy": PASS}}}}
    with pytest.raises(InvalidRule, match="a person has no members") as refused:
        load_rules(programme(rule, subject="school"))
    assert refused.value.path == f"{R}.members.satisfy.members"


def test_rules_nested_without_end_are_refused():
    rule: dict = {"all_of": []}
    rule["all_of"].append(rule)
    with pytest.raises(InvalidRule, match="nested deeper"):
        load_rules(programme(rule))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "p.yaml",
            b"badges:\n  B: {rule: {pass: {course: c}}}\n  B: {rule: {pass: {course: d}}}\n",
            "line 3: the key 'B'",
        ),
        ("p.json", b'{"badges": {"B": {}, "B": {}}}', "'B' is given twice"),
        ("p.yaml", b"badges: [", "not readable"),
        ("p.json", b"{", "not readable"),
        ("p.yaml", b"badges: \xff", "not readable"),
        ("p.yaml", b"- a\n", "expected a mapping"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidRule, match=message):
        load_rules(tmp_path / name)


@pytest.mark.parametrize("length", range(1, 21))
def test_badges_that_feed_each_other_are_named(length):
    names = [f"B{n:02}" for n in range(length)]
    badges: dict = {name: {"rule": {"all_of": [PASS, {"any_of": [{"held": {"badge": after}}]}]}}
              for name, after in zip(names, names[1:] + names[:1], strict=True)}  # fmt: skip
    badges["A"] = {"rule": {"held": {"badge": names[0]}}}
    with pytest.raises(RuleCycle) as refused:
        load_rules({"badges": badges})
    circle = str(refused.value).split("circle: ")[1].split(" -> ")
    assert circle[0] == circle[-1]
    assert sorted(circle[1:]) == names


def test_a_circle_through_members_is_seen():
    with pytest.raises(RuleCycle, match="S -> S"):
        load_rules(
            {
                "badges": [
                    {
                        "id": "S",
                        "subject": "school",
                        "rule": {"members": {"at_least": 1, "satisfy": {"held": {"badge": "S"}}}},
                    }
                ]
            }
        )


def test_a_long_chain_and_a_diamond_are_no_circle():
    chain: dict = {f"B{n}": {"rule": {"held": {"badge": f"B{n + 1}"}}} for n in range(3000)}
    diamond: dict = {"TOP": {"rule": {"all_of": [{"held": {"badge": "B1"}}, {"held": {"badge": "B2"}}]}}}
    assert len(load_rules({"badges": chain | diamond}).badges) == 3001


def test_the_same_rule_twice_is_equal_and_true_is_not_one():
    ones = load_rules(programme({"all_of": [
        {"fact": {"type": "a", "where": {"x": 1}}}, {"fact": {"type": "a", "where": {"x": True}}},
        {"fact": {"type": "a", "where": {"x": [1.0]}}},
    ]})).badges["B"].rule  # fmt: skip
    assert isinstance(ones, AllOf)
    assert ones.rules[0] != ones.rules[1]
    assert ones.rules[0] == ones.rules[2]
