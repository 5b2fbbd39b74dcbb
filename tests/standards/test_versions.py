"""Versions of a rule with their days, late claims, and rules that inherit from a pinned version."""

from __future__ import annotations

import pytest

from assess.errors import InvalidRule, RuleCycle
from assess.standards.eligibility import evaluate, load_rules, rule_sentence


def fact(t, at, **more):
    return {"t": t, "at": at, **more}


def asked(rules, facts, as_of, badge="M"):
    return evaluate(rules, facts, badge=badge, subject="p1", as_of=as_of)


MENTOR = load_rules({"badges": {"M": {
    "version": "2", "effective_from": "2013-01-01", "rule": {"application": {"program": "Mentor"}},
    "earlier": [
        {"version": "1", "effective_from": "2011-01-01", "rule": {"invited": {"program": "Mentor"}}},
        {"version": "0", "rule": {"fact": {"type": "pilot"}}, "claims_until": "2012-12-31"},
    ],
}}})  # fmt: skip
INVITED = fact("invitation", "2012-03-01", program="Mentor", status="accepted")
APPLIED = fact("application", "2013-05-01", program="Mentor", decision="accepted")


@pytest.mark.parametrize(
    ("facts", "as_of", "status", "version"),
    [
        ([INVITED], "2012-06-01", "eligible", "1"),
        # A late claim under the rule that was met while it was in force.
        ([INVITED], "2014-06-01", "eligible", "1"),
        ([INVITED | {"at": "2013-03-01"}], "2014-06-01", "not_eligible", "2"),
        ([APPLIED], "2013-06-01", "eligible", "2"),
        ([APPLIED | {"at": "2012-05-01"}], "2012-06-01", "not_eligible", "1"),
        ([APPLIED, INVITED], "2014-06-01", "eligible", "2"),
        ([INVITED | {"void_at": "2014-01-01"}], "2014-06-01", "not_eligible", "2"),
        # Claims under the oldest version had to be made by a day.
        ([fact("pilot", "2010-05-01")], "2010-06-01", "eligible", "0"),
        ([fact("pilot", "2010-05-01")], "2012-12-31", "eligible", "0"),
        ([fact("pilot", "2010-05-01")], "2013-01-01", "not_eligible", "2"),
        # What was given under a version stays with who has it.
        ([fact("award", "2012-01-01", badge="M")], "2014-06-01", "eligible", "1"),
        ([fact("award", "2013-01-01", badge="M")], "2014-06-01", "not_eligible", "2"),
        ([], "2012-06-01", "not_eligible", "1"),
    ],
)
def test_the_version_in_force_counts_and_an_earlier_one_that_was_met(facts, as_of, status, version):
    answer = asked(MENTOR, facts, as_of)
    assert (answer.status, answer.rule_version) == (status, version)


def test_a_status_ends_with_the_day_until_which_an_old_rule_can_be_claimed():
    answer = asked(MENTOR, [fact("pilot", "2010-05-01")], "2012-06-01")
    assert answer.valid_until is not None
    assert answer.valid_until.isoformat() == "2012-12-31T23:59:59+00:00"


def test_every_version_stands_in_the_sentence():
    assert rule_sentence(MENTOR, "M") == (
        "Apply to Mentor and be accepted. Before 2013-01-01 (version 1): be invited to Mentor and accept. "
        "Before 2011-01-01 (version 0, to be claimed until 2012-12-31): pilot."
    )


RULE = {"fact": {"type": "t"}}


@pytest.mark.parametrize(
    ("badge", "path", "message"),
    [
        ({"earlier": [{"version": "1", "rule": RULE}]}, "badges.B.effective_from", "from which day"),
        (
            {"effective_from": "2013-01-01", "earlier": [{"version": "2", "rule": RULE}]},
            "badges.B.earlier[0].version", "listed twice",
        ),
        (
            {"effective_from": "2013-01-01",
             "earlier": [{"version": "1", "rule": RULE, "effective_from": "2013-01-01"}]},
            "badges.B.earlier[0].effective_from", "is not before 2013-01-01, when version 2 begins",
        ),
        ({"effective_from": "2013-01-01", "earlier": [{"version": "1"}]}, "badges.B.earlier[0]", "its rule"),
        (
            {"effective_from": "2013-01-01", "earlier": [{"version": "1", "rule": {"all_of": []}}]},
            "badges.B.earlier[0].rule.all_of", "empty list",
        ),
        (
            {"effective_from": "2013-01-01", "earlier": [{"version": "1", "rule": RULE, "title": "x"}]},
            "badges.B.earlier[0].title", "unknown field",
        ),
        (
            {"effective_from": "2013-01-01", "earlier": [
                {"version": "1", "rule": RULE}, {"version": "0", "rule": RULE}]},
            "badges.B.earlier[0].effective_from", "from which day",
        ),
        ({"earlier": "1"}, "badges.B.earlier", "newest first"),
        ({"earlier": ["1"], "effective_from": "2013-01-01"}, "badges.B.earlier[0]", "mapping"),
        ({"effective_from": "soon"}, "badges.B.effective_from", "not a day"),
        ({"valid_for": "long"}, "badges.B.valid_for", "not a period"),
    ],
)  # fmt: skip
def test_versions_that_cannot_be_are_refused_with_their_path(badge, path, message):
    with pytest.raises(InvalidRule, match=message) as refused:
        load_rules({"badges": {"B": {"version": "2", "rule": RULE, **badge}}})
    assert refused.value.path == path


# --- overlays -----------------------------------------------------------------------

PARENT = {
    "version": "2", "effective_from": "2026-01-01", "rule": {"fact": {"type": "new"}},
    "earlier": [{"version": "1", "rule": {"fact": {"type": "old"}}}],
}  # fmt: skip
LOG = {"fact": {"type": "tenant_requirement_met", "where": {"req": "practice log"}}}


def district(version="1", **more):
    return {
        "title": "District", "image": "district.png", "version": "5",
        "extends": {"badge": "MC", "version": version}, **more,
    }  # fmt: skip


@pytest.mark.parametrize("where", ["badges", "parents"])
@pytest.mark.parametrize(("version", "type_"), [("1", "old"), ("2", "new")])
def test_an_overlay_adds_to_the_pinned_version_of_its_parent(where, version, type_):
    badges = {"D": district(version, rule=LOG)}
    both = (
        {"badges": {**badges, "MC": PARENT}}
        if where == "badges"
        else {"badges": badges, "parents": {"MC": PARENT}}
    )
    rules = load_rules(both)
    assert ("MC" in rules.badges) is (where == "badges")
    badge = rules.badges["D"]
    assert (badge.title, badge.image, badge.version, badge.extends) == (
        "District", "district.png", "5", ("MC", version),
    )  # fmt: skip
    mine = fact("tenant_requirement_met", "2026-02-01", req="practice log")
    answer = asked(rules, [fact(type_, "2026-02-01")], "2026-03-01", "D")
    assert (answer.status, [gap.path for gap in answer.missing]) == ("not_eligible", ["all_of[1]"])
    assert asked(rules, [fact(type_, "2026-02-01"), mine], "2026-03-01", "D").eligible
    assert not asked(rules, [mine], "2026-03-01", "D").eligible


def test_an_overlay_may_add_only_its_name():
    rules = load_rules({"badges": {"MC": PARENT, "D": district()}})
    assert rules.badges["D"].rule == rules.badges["MC"].earlier[0].rule


def test_an_overlay_of_an_overlay_inherits_all():
    top = {"extends": {"badge": "D", "version": "5"}, "rule": {"fact": {"type": "more"}}}
    rules = load_rules({"badges": {"E": top, "D": district(rule=LOG), "MC": PARENT}})
    assert list(rules.badges) == ["E", "D", "MC"]
    assert rule_sentence(rules, "E") == "(old; and tenant requirement met (req practice log)); and more."


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        ({"extends": "MC"}, "badges.D.extends", "badge: ..., version"),
        ({"extends": {"badge": "XX", "version": "1"}}, "badges.D.extends.badge", "unknown badge 'XX'"),
        ({"extends": {"badge": "MC"}}, "badges.D.extends.version", "pin one of '2', '1'"),
        ({"extends": {"badge": "MC", "version": "3"}}, "badges.D.extends.version", "'3' is no version of MC"),
        ({"extends": {"badge": "MC", "version": "1", "of": 1}}, "badges.D.extends.of", "unknown field"),
        ({"subject": "school"}, "badges.D.extends", "MC is about a person"),
    ],
)
def test_an_overlay_that_pins_nothing_is_refused_with_its_path(change, path, message):
    with pytest.raises(InvalidRule, match=message) as refused:
        load_rules({"badges": {"MC": PARENT, "D": district(**change)}})
    assert refused.value.path == path


@pytest.mark.parametrize("length", range(1, 21))
def test_badges_that_extend_each_other_are_named(length):
    ids = [f"B{n}" for n in range(length)]
    badges = {id_: {"extends": {"badge": ids[(n + 1) % length], "version": "1"}} for n, id_ in enumerate(ids)}
    with pytest.raises(RuleCycle) as refused:
        load_rules({"badges": {**badges, "OTHER": {"rule": RULE}}})
    assert str(refused.value).endswith(" -> ".join([*ids, ids[0]]))


def test_a_circle_through_an_earlier_version_or_an_overlay_is_seen():
    with pytest.raises(RuleCycle, match="A -> B -> A"):
        load_rules({"badges": {
            "A": {"rule": {"held": {"badge": "B"}}},
            "B": {"version": "2", "effective_from": "2026-01-01", "rule": RULE,
                  "earlier": [{"version": "1", "rule": {"held": {"badge": "A"}}}]},
        }})  # fmt: skip
    with pytest.raises(RuleCycle, match="A -> A"):
        load_rules({"badges": {
            "P": {"rule": {"held": {"badge": "A"}}}, "A": {"extends": {"badge": "P", "version": "1"}},
        }})  # fmt: skip
