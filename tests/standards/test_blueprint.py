"""Blueprints: what counts, what adds up, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assess.errors import InvalidContent
from assess.items import Alignment, Requirement
from assess.standards.blueprint import Blueprint, check, coverage
from assess.standards.frameworks import load


@dataclass(frozen=True)
class Task:
    id: str
    alignments: tuple[Alignment, ...]
    process: str = "apply"
    interaction_type: str = "single_choice"


def task(id_, code, *secondary, version="2", **more):
    return Task(
        id_,
        (
            Alignment("unesco-ict-cft", version, code),
            *(Alignment("unesco-ict-cft", version, other, primary=False) for other in secondary),
        ),
        **more,
    )


def need(label, minimum, maximum=None, code="", version="2", **more):
    framework = "unesco-ict-cft" if code else ""
    return Requirement(label, minimum, maximum, framework, version if code else "", code, **more)


TWT3 = Blueprint(
    (
        need("a", 8, 8, "TL.3.a"),
        need("b", 9, 9, "TL.3.b"),
        need("c", 7, 7, "TL.3.c"),
        need("recall", 0, 6, process="recall"),
        need("multiple", 3, 5, interaction="multiple_response"),
    ),
    n_items=24,
)


def twt3_items():
    items = [
        task(f"{letter}{n}", f"TL.3.{letter}")
        for letter, many in (("a", 8), ("b", 9), ("c", 7))
        for n in range(many)
    ]
    return [
        Task(
            item.id,
            item.alignments,
            "recall" if n < 6 else "apply",
            "multiple_response" if n < 3 else "single_choice",
        )
        for n, item in enumerate(items)
    ]


def test_a_form_that_meets_its_blueprint_has_no_fault():
    table = coverage(twt3_items(), TWT3)
    assert check(twt3_items(), TWT3) == []
    assert list(table["found"]) == [8, 9, 7, 6, 3]
    assert set(table["state"]) == {"met"}
    assert table.loc["a", "counts"] == "unesco-ict-cft 2 TL.3.a"
    assert table.loc["recall", "items"] == ("a0", "a1", "a2", "a3", "a4", "a5")


def test_every_shortfall_is_named():
    items = twt3_items()[1:]
    assert [str(fault) for fault in check(items, TWT3)] == [
        "form: has 23 items; the blueprint asks for 24",
        "a: 7 items; at least 8 are asked for",
        "multiple: 2 items; at least 3 are asked for",
    ]
    assert coverage(items, TWT3).loc["a", "state"] == "short"


def test_too_many_is_a_fault_too():
    items = [*twt3_items(), task("extra", "TL.3.a")]
    assert "a: 9 items; at most 8 are asked for" in map(str, check(items, TWT3))
    assert coverage(items, TWT3).loc["a", "state"] == "over"


def test_secondary_alignments_count_for_nothing():
    blueprint = Blueprint((need("a", 1, code="TL.3.a"),))
    assert coverage([task("i", "TL.3.b", "TL.3.a")], blueprint).loc["a", "found"] == 0


def test_a_code_counts_what_lies_below_it_and_a_level_what_lies_in_it():
    blueprint = Blueprint(
        (
            need("cell", 0, code="KD.3", version="3"),
            need("aspect", 0, code="3", version="3"),
            need("level", 0, code="KD", version="3"),
        )
    )
    items = [task("i", "KD.3.a", version="3"), task("j", "KA.3", version="3"), task("k", "KD.2", version="3")]
    assert list(coverage(items, blueprint)["found"]) == [1, 2, 2]


def test_another_edition_counts_for_nothing():
    blueprint = Blueprint((need("cell", 1, code="KD.3", version="3"),))
    faults = check([task("i", "KD.3.a", version="2")], blueprint)
    assert [str(fault) for fault in faults] == [
        "i: has no primary alignment to unesco-ict-cft 3, which the blueprint counts",
        "cell: 0 items; at least 1 are asked for",
    ]


def test_items_listed_twice_or_aligned_to_nothing_are_faults_and_do_not_count():
    blueprint = Blueprint((need("a", 2, code="TL.3.a"),))
    faults = check([task("i", "TL.3.a"), task("i", "TL.3.a"), task("j", "TL.9.a")], blueprint)
    assert [fault.where for fault in faults] == ["i", "j", "a"]
    assert "did you mean" in faults[1].message


def test_no_items_give_a_table_of_zeros():
    assert list(coverage([], TWT3)["found"]) == [0] * 5


CODES = [c.code for c in load("unesco-ict-cft", "2").competencies]


@given(st.lists(st.sampled_from(CODES), max_size=30))
def test_the_aspects_and_the_levels_each_add_up_to_the_form(codes):
    items = [task(str(n), code) for n, code in enumerate(codes)]
    aspects = Blueprint(tuple(need(f"aspect {n}", 0, code=str(n)) for n in range(1, 7)))
    levels = Blueprint(tuple(need(level, 0, code=level) for level in ("TL", "KD", "KC")))
    assert coverage(items, aspects)["found"].sum() == len(items)
    assert coverage(items, levels)["found"].sum() == sum("." in code for code in codes)


@pytest.mark.parametrize(
    ("requirements", "n_items", "message"),
    [
        ((need("a", 1, code="TL.3.x"),), None, r"a: .*no code 'TL\.3\.x'"),
        ((need("a", 1, code="TL.3", version="5"),), None, r"a: .*no version '5'"),
        ((need("a", 1),), None, "a: count one of"),
        ((need("a", 1, code="TL.3", process="apply"),), None, "a: count one of"),
        ((need("a", 2, 1, process="apply"),), None, "a: minimum 2 and maximum 1"),
        ((need("a", -1, process="apply"),), None, "a: minimum -1"),
        ((need("a", 1, process="remember"),), None, "a: process 'remember' is not one of"),
        ((need("a", 1, interaction="essay"),), None, "a: interaction 'essay' is not one of"),
        ((need("a", 1, process="apply"), need("a", 1, process="recall")), None, "a: two requirements"),
        (
            (need("a", 6, code="TL.3.a"), need("b", 5, code="TL.3.b")),
            10,
            "a, b ask for 11 items, the form holds 10",
        ),
        (
            (need("all", 0, 10, code="TL.3"), need("a", 6, code="TL.3.a"), need("b", 5, code="TL.3.b")),
            None,
            "a, b ask for 11 items, 'all' holds 10",
        ),
        (
            (need("KD", 0, 4, code="KD", version="3"), need("cell", 5, code="KD.3", version="3")),
            None,
            "cell ask for 5 items, 'KD' holds 4",
        ),
        ((need("r", 6, process="recall"), need("p", 5, process="apply")), 10, "r, p ask for 11"),
    ],
)
def test_a_blueprint_that_no_form_can_meet_is_refused(requirements, n_items, message):
    with pytest.raises(InvalidContent, match=message):
        Blueprint(requirements, n_items)


def test_nested_and_crossing_requirements_are_not_added_up():
    Blueprint(
        (
            need("all", 10, 10, code="TL.3"),
            need("a", 10, code="TL.3.a"),
            need("level", 10, code="TL"),
            need("apply", 10, process="apply"),
        ),
        10,
    )
