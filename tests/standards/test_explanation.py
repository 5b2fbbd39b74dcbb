"""What is missing: sufficient, minimal, and said to somebody who can act.

The property is checked with facts made here, from the predicates as the file
states them, and never with those that the library supposes for itself.
"""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assess.standards.eligibility import evaluate, load_rules

AS_OF = date(2026, 6, 1)


def ask(rule, facts, subject="person"):
    rules = load_rules({"badges": {"B": {"rule": rule, "subject": subject}}})
    return evaluate(rules, facts, badge="B", subject="p1", as_of=AS_OF)


def satisfying(predicate, facts, label):
    """Facts that make one predicate true, no more of them than are missing."""
    (kind,), (body,) = predicate.keys(), predicate.values()
    day = AS_OF.isoformat()
    new: list[dict] = []

    def add(type_, **more):
        new.append({"t": type_, "at": day, "id": f"{label}-{len(new)}", **more})

    if kind == "pass":
        add("decision", course=body["course"], outcome="pass")
    elif kind == "held":
        years = body.get("for_years", 0)
        add("award", badge=body["badge"])
        new[-1]["at"] = AS_OF.replace(year=AS_OF.year - years).isoformat()
    elif kind in ("invited", "application"):
        labels = (
            {"cohort": body["cohort"][0] if isinstance(body["cohort"], list) else body["cohort"]}
            if "cohort" in body
            else {}
        )
        word = {"status": "accepted"} if kind == "invited" else {"decision": "accepted"}
        add("invitation" if kind == "invited" else "application", program=body["program"], **word, **labels)
    elif kind == "judgement":
        add("judgement", q=body["q"], role=body["by"][-1], answer="yes")
    elif kind == "points":
        latest: dict = {}
        for fact in sorted((f for f in facts if f["t"] == "points"), key=lambda f: (f["at"], -f["value"])):
            latest[fact["key"]] = fact["value"]
        add("points", ledger=body["ledger"], key=label, value=body["at_least"] - sum(latest.values()))
    elif kind == "fact":
        number = 0
        while not ask(predicate, facts + new).eligible:
            where = {n: w[0] if isinstance(w, list) else w for n, w in body.get("where", {}).items()}
            add(
                body["type"],
                **({body["distinct_by"]: f"{label}-{number}"} if "distinct_by" in body else {}),
                **where,
            )
            number += 1
    else:
        raise AssertionError(kind)
    return new


# --- generated rules and facts -------------------------------------------------

_COURSE = st.sampled_from(["c1", "c2", "c3"])
_BADGE = st.sampled_from(["A1", "A2"])
_PREDICATE = st.one_of(
    st.builds(lambda c: {"pass": {"course": c}}, _COURSE),
    st.builds(
        lambda b, s, y: {"held": {"badge": b, "status": s, **({"for_years": y} if y else {})}},
        _BADGE,
        st.sampled_from(["active", "ever"]),
        st.integers(0, 2),
    ),
    st.builds(lambda n: {"points": {"ledger": "l", "at_least": n}}, st.sampled_from([10, 20, 35])),
    st.builds(
        lambda w, n, d: {
            "fact": {"type": "t", "where": w, "count": n, **({"distinct_by": "k"} if d else {})}
        },
        st.sampled_from([{}, {"x": 1}, {"x": [1, 2]}, {"x": 2, "y": True}]),
        st.integers(1, 3),
        st.booleans(),
    ),
    st.builds(
        lambda kind, c: {kind: {"program": "P", **({"cohort": c} if c else {})}},
        st.sampled_from(["invited", "application"]),
        st.sampled_from([None, 1, [1, 2]]),
    ),
    st.just({"judgement": {"q": "q", "by": ["r1", "r2"]}}),
)


def _group(inner):
    lists = st.lists(inner, min_size=1, max_size=4)

    def at_least(rules, n):
        different = len({repr(rule) for rule in rules})
        return {"at_least": {"n": min(n, different), "of": rules}}

    return st.one_of(
        st.builds(lambda rules: {"all_of": rules}, lists),
        st.builds(lambda rules: {"any_of": rules}, lists),
        st.builds(at_least, lists, st.integers(1, 3)),
    )


_RULE = st.recursive(_PREDICATE, _group, max_leaves=9)
_AT = st.dates(date(2023, 1, 1), AS_OF - timedelta(days=1)).map(date.isoformat)
_FACT = st.one_of(
    st.builds(
        lambda at, c, o: {"t": "decision", "at": at, "course": c, "outcome": o},
        _AT,
        _COURSE,
        st.sampled_from(["pass", "fail", "pending", "undetermined"]),
    ),
    st.builds(
        lambda at, b, ends: {"t": "award", "at": at, "badge": b, **({"until": "2026-05-31"} if ends else {})},
        _AT,
        _BADGE,
        st.booleans(),
    ),
    st.builds(
        lambda at, k, v: {"t": "points", "at": at, "ledger": "l", "key": k, "value": v},
        _AT,
        st.sampled_from("abc"),
        st.integers(1, 20),
    ),
    st.builds(
        lambda at, p: {"t": "t", "at": at, **p},
        _AT,
        st.fixed_dictionaries(
            {}, optional={"x": st.integers(1, 3), "y": st.booleans(), "k": st.integers(1, 3)}
        ),
    ),
    st.builds(
        lambda at, c, d: {"t": "application", "at": at, "program": "P", "cohort": c, "decision": d},
        _AT,
        st.integers(1, 2),
        st.sampled_from([None, "accepted", "rejected"]),
    ),
    st.builds(
        lambda at, c, s: {"t": "invitation", "at": at, "program": "P", "cohort": c, "status": s},
        _AT,
        st.integers(1, 2),
        st.sampled_from(["sent", "accepted", "declined"]),
    ),
    st.builds(
        lambda at, r, a: {"t": "judgement", "at": at, "q": "q", "role": r, "answer": a},
        _AT,
        st.sampled_from(["r1", "r2", "peer"]),
        st.sampled_from(["yes", "no"]),
    ),
)
_FACTS = st.lists(_FACT, max_size=10)
_GENERATED = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@_GENERATED
@given(_RULE, _FACTS)
def test_what_is_missing_is_sufficient_and_minimal(rule, facts):
    answer = ask(rule, facts)
    assert (answer.missing == ()) is answer.eligible
    brought = [satisfying(gap.predicate, facts, f"new{n}") for n, gap in enumerate(answer.missing)]
    assert ask(rule, facts + [fact for new in brought for fact in new]).eligible
    for left_out in range(len(brought)):
        rest = [fact for n, new in enumerate(brought) if n != left_out for fact in new]
        assert not ask(rule, facts + rest).eligible


@_GENERATED
@given(_RULE, _FACTS, st.randoms())
def test_order_and_repetition_change_nothing_of_the_answer(rule, facts, rng):
    answer = ask(rule, facts)
    shuffled = facts + facts[:3]
    rng.shuffle(shuffled)
    assert ask(rule, shuffled) == answer


@_GENERATED
@given(_RULE, _FACTS)
def test_progress_is_complete_exactly_when_the_rule_holds(rule, facts):
    answer = ask(rule, facts)
    assert (answer.progress.met == answer.progress.of) is answer.eligible
    assert 0 <= answer.progress.met <= answer.progress.of


@_GENERATED
@given(_RULE, _FACTS)
def test_the_reasons_alone_give_the_status_by_plain_logic(rule, facts):
    answer = ask(rule, facts)
    values = {reason.path: reason.value for reason in answer.reasons}

    def plain(part, path):
        (kind,), (body,) = part.keys(), part.values()
        if kind not in ("all_of", "any_of", "at_least"):
            return {"false": 0, "unknown": 1, "true": 2}[values[path]]
        prefix = f"{path}.{kind}" if path else kind
        prefix += ".of" if kind == "at_least" else ""
        rules = body["of"] if kind == "at_least" else body
        found = [plain(inner, f"{prefix}[{n}]") for n, inner in enumerate(rules)]
        if kind == "at_least":
            declared = [load_rules({"badges": {"B": {"rule": r}}}).badges["B"].rule for r in rules]
            found = list(dict(zip(declared, found, strict=True)).values())
            return sorted(found, reverse=True)[body["n"] - 1]
        return min(found) if kind == "all_of" else max(found)

    expected = ["not_eligible", "undetermined", "eligible"][plain(rule, "")]
    assert answer.status == expected


# --- examples -----------------------------------------------------------------


def test_the_alternative_with_least_to_do_is_named():
    judgement = {"judgement": {"q": "q", "by": ["r"]}}
    rule = {"any_of": [
        {"all_of": [{"pass": {"course": "c1"}}, {"pass": {"course": "c2"}}]},
        {"all_of": [{"pass": {"course": c}} for c in ("c3", "c4")] + [judgement]},
    ]}  # fmt: skip
    assert [gap.path for gap in ask(rule, []).missing] == ["any_of[0].all_of[0]", "any_of[0].all_of[1]"]
    facts = [{"t": "decision", "at": "2026-01-01", "course": c, "outcome": "pass"} for c in ("c3", "c4")]
    assert [gap.path for gap in ask(rule, facts).missing] == ["any_of[1].all_of[2]"]


def test_what_another_brings_along_is_not_named():
    rule = {"all_of": [{"points": {"ledger": "l", "at_least": n}} for n in (100, 500)]}
    assert [gap.path for gap in ask(rule, []).missing] == ["all_of[1]"]
    held = {"all_of": [{"held": {"badge": "A", "status": "ever"}}, {"held": {"badge": "A", "for_years": 1}}]}
    assert [gap.path for gap in ask(held, []).missing] == ["all_of[1]"]


def test_a_smaller_count_does_not_bring_a_larger_one_along():
    rule = {"all_of": [{"fact": {"type": "t", "count": n}} for n in (4, 3)]}
    facts = [{"t": "t", "at": "2026-01-01", "k": k} for k in range(2)]
    assert [gap.path for gap in ask(rule, facts).missing] == ["all_of[0]"]


def test_a_requirement_of_two_routes_is_named_once():
    survey = {"fact": {"type": "survey"}}
    both = {"all_of": [{"fact": {"type": "attended"}}, survey]}
    rule = {"all_of": [both, {"any_of": [survey, {"fact": {"type": "x"}}]}]}
    assert [gap.path for gap in ask(rule, []).missing] == ["all_of[0].all_of[0]", "all_of[0].all_of[1]"]


def test_a_way_round_an_undefined_rule_is_taken():
    undefined = {"undefined": {"reason": "r"}}
    both = [{"pass": {"course": c}} for c in ("c1", "c2")]
    assert len(ask({"any_of": [undefined, {"all_of": both}]}, []).missing) == 2
    answer = ask({"all_of": [undefined, *both]}, [])
    assert [gap.action for gap in answer.missing] == ["define", "start", "start"]


@pytest.mark.parametrize(
    ("rule", "facts", "who", "action"),
    [
        ({"fact": {"type": "attended"}}, [], "learner", "attest"),
        ({"held": {"badge": "A"}}, [], "issuer", "award"),
        ({"invited": {"program": "P"}}, [], "programme", "invite"),
        (
            {"invited": {"program": "P"}},
            [{"t": "invitation", "at": "2026-01-01", "program": "P", "status": "sent"}],
            "learner",
            "accept",
        ),
        ({"application": {"program": "P"}}, [], "learner", "apply"),
        (
            {"application": {"program": "P"}},
            [{"t": "application", "at": "2026-01-01", "program": "P"}],
            "programme",
            "decide",
        ),
        ({"judgement": {"q": "q", "by": ["program_manager"]}}, [], "program_manager", "judge"),
        ({"points": {"ledger": "l", "at_least": 1}}, [], "learner", "earn"),
    ],
)
def test_what_is_missing_says_who_can_do_what(rule, facts, who, action):
    (gap,) = ask(rule, facts).missing
    assert (gap.who, gap.action, gap.path) == (who, action, "")


def test_what_a_school_misses_is_its_members():
    member = {
        "members": {
            "at_least": 2,
            "satisfy": {"all_of": [{"pass": {"course": "c"}}, {"fact": {"type": "t"}}]},
        }
    }
    profile = {"fact": {"type": "profile"}}
    answer = ask({"all_of": [member, profile]}, [], subject="school")
    assert [(gap.path, gap.who, gap.action) for gap in answer.missing] == [
        ("all_of[0]", "school", "attest"),
        ("all_of[1]", "learner", "attest"),
    ]


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ({"pass": {"course": "c"}}, "0 of 1 course passed; still missing: c."),
        (
            {"all_of": [{"pass": {"course": "c"}}, {"judgement": {"q": "top", "by": ["manager"]}}]},
            "0 of 2 requirements met; still missing: c; not decided yet: be judged by a manager: top.",
        ),
        (
            {"any_of": [{"pass": {"course": "c"}}, {"pass": {"course": "d"}}]},
            "0 of 1 course passed; still missing: c.",
        ),
    ],
)
def test_a_status_reads_as_a_sentence(rule, sentence):
    assert ask(rule, []).sentence == sentence
