"""Grading: every interaction, every refusal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assess.errors import AnswerMalformed, InvalidContent
from assess.items import (
    ExtendedText,
    Matching,
    MultipleResponse,
    Numeric,
    Ordering,
    ShortText,
    SingleChoice,
    normalise_text,
)
from assess.items.interactions import read_interaction, write_interaction
from assess.items.reading import Fields

SINGLE = SingleChoice(("a", "b", "c", "d"), {"b": 1})
GRADED = SingleChoice(("a", "b", "c"), {"b": 2, "a": 1})
MULTIPLE = MultipleResponse(("a", "b", "c", "d"), frozenset("ac"))
PARTIAL = MultipleResponse(("a", "b", "c", "d"), frozenset("ac"), "partial")
ORDERING = Ordering(("a", "b", "c", "d"), ("d", "a", "c", "b"))
PARTIAL_ORDERING = Ordering(("a", "b", "c", "d"), ("d", "a", "c", "b"), "partial")
MATCHING = Matching(("1", "2"), ("x", "y", "z"), {"1": "x", "2": "z"})
NUMERIC = Numeric("3.5", "0.1")
SHORT = ShortText(("Creative Commons", "CC"))
EVERY = [SINGLE, GRADED, MULTIPLE, PARTIAL, ORDERING, PARTIAL_ORDERING, MATCHING, NUMERIC, SHORT]


def grade(interaction: Any, raw: object) -> int | None:
    result: int | None = interaction.grade(interaction.check(raw))
    return result


@pytest.mark.parametrize("interaction", EVERY, ids=lambda i: f"{i.type}-{i.n_categories}")
def test_the_best_answer_earns_the_highest_category(interaction: Any) -> None:
    assert grade(interaction, interaction.best()) == interaction.n_categories - 1


def test_a_graded_choice_earns_its_own_category() -> None:
    assert [grade(GRADED, option) for option in "abc"] == [1, 2, 0]


def test_all_or_nothing_gives_nothing_for_a_half() -> None:
    assert grade(MULTIPLE, ["a"]) == 0
    assert grade(ORDERING, ["d", "a", "b", "c"]) == 0
    assert grade(MATCHING, {"1": "x", "2": "y"}) == 0


def test_ticking_everything_earns_no_partial_credit() -> None:
    assert grade(PARTIAL, ["a", "b", "c", "d"]) == 0


def test_a_reversed_order_earns_nothing() -> None:
    assert grade(PARTIAL_ORDERING, ["b", "c", "a", "d"]) == 0


@given(st.permutations(["a", "b", "c", "d"]))
def test_partial_ordering_stays_within_its_categories(order: list[str]) -> None:
    category = grade(PARTIAL_ORDERING, order)
    assert category is not None
    assert 0 <= category < PARTIAL_ORDERING.n_categories
    assert (category == 3) == (tuple(order) == PARTIAL_ORDERING.key)


@given(st.sets(st.sampled_from("abcd"), min_size=1))
def test_the_order_of_ticking_changes_nothing(chosen: set[str]) -> None:
    assert PARTIAL.check(sorted(chosen)) == PARTIAL.check(sorted(chosen, reverse=True))


@pytest.mark.parametrize("raw", ["3.5", "3,5", " 3.50 ", "٣٫٥", "३.५", "+3.5", "3.6", "3.4"])
def test_a_number_is_read_in_any_script_within_the_tolerance(raw: str) -> None:
    assert grade(NUMERIC, raw) == 1


@pytest.mark.parametrize("raw", ["-3.5", "−3.5", "3.61", "35"])
def test_a_wrong_number_scores_zero(raw: str) -> None:
    assert grade(NUMERIC, raw) == 0


@pytest.mark.parametrize("raw", ["creative  commons", " CC. ", "“Creative Commons”", "ＣＣ"])
def test_short_text_ignores_what_no_reader_counts(raw: str) -> None:
    assert grade(SHORT, raw) == 1


def test_normalising_twice_is_normalising_once() -> None:
    for text in ("  A  b. ", "«été»", "Ⅳ"):
        assert normalise_text(normalise_text(text)) == normalise_text(text)


def test_extended_text_waits_for_a_person() -> None:
    assert grade(ExtendedText(4), "my plan") is None


@pytest.mark.parametrize(
    ("interaction", "raw"),
    [
        (SINGLE, "e"), (SINGLE, ["b"]), (SINGLE, None), (SINGLE, 1), (SINGLE, {"b": "b"}),
        (MULTIPLE, []), (MULTIPLE, "a"), (MULTIPLE, ["a", "a"]), (MULTIPLE, ["a", "e"]), (MULTIPLE, [1]),
        (ORDERING, ["a", "b", "c"]), (ORDERING, ["a", "b", "c", "c"]), (ORDERING, "abcd"),
        (MATCHING, {"1": "x"}), (MATCHING, {"1": "x", "2": "w"}),
        (MATCHING, {"1": "x", "2": 3}), (MATCHING, ["x", "z"]),
        (NUMERIC, "three"), (NUMERIC, ""), (NUMERIC, 3.5), (NUMERIC, "1.000,5"),
        (NUMERIC, "Infinity"), (NUMERIC, "NaN"),
        (NUMERIC, "9" * 41), (SHORT, " "), (SHORT, "x" * 501),
        (ExtendedText(3), ""), (ExtendedText(3), "x" * 20_001),
    ],
)  # fmt: skip
def test_a_malformed_answer_is_refused_in_words(interaction: Any, raw: object) -> None:
    with pytest.raises(AnswerMalformed, match=r"answer|number"):
        interaction.check(raw)


@pytest.mark.parametrize("interaction", [*EVERY, ExtendedText(3)], ids=lambda i: f"{i.type}-{i.n_categories}")
def test_what_is_written_is_read_back(interaction: Any) -> None:
    assert read_interaction(Fields(write_interaction(interaction), "here")) == interaction


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"interaction": "essay"}, "'essay' is not one of"),
        ({"interaction": "single_choice", "options": ["a"], "key": "a"}, "two or more"),
        ({"interaction": "single_choice", "options": ["a", "a"], "key": "a"}, "two or more different"),
        (
            {"interaction": "single_choice", "options": ["a", "b"], "key": "c"},
            "'c' is not one of the options",
        ),
        ({"interaction": "single_choice", "options": ["a", "b"]}, "'key' is missing"),
        ({"interaction": "single_choice", "options": ["a", "b"], "credit": {"a": 2}}, "without a gap"),
        (
            {"interaction": "single_choice", "options": ["a", "b"], "credit": {"a": True}},
            "option: category",
        ),
        ({"interaction": "multiple_response", "options": ["a", "b"], "key": []}, "does not name"),
        ({"interaction": "multiple_response", "options": ["a", "b"], "key": ["a", "a"]}, "does not name"),
        ({"interaction": "ordering", "options": ["a", "b"], "key": ["a"]}, "lists all 2"),
        ({"interaction": "matching", "options": ["1"], "targets": ["x"], "key": {}}, "two or more"),
        (
            {"interaction": "matching", "options": ["1", "2"], "targets": ["x"], "key": {"1": "x"}},
            "give each option",
        ),
        ({"interaction": "numeric", "key": "three"}, "not a decimal number"),
        ({"interaction": "numeric", "key": "3", "tolerance": "-1"}, "not a decimal number"),
        ({"interaction": "short_text", "key": []}, "at least one"),
        ({"interaction": "extended_text", "n_categories": 1}, "below 2"),
    ],
)
def test_a_faulty_key_is_refused_with_its_place(mapping: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidContent, match=message) as caught:
        read_interaction(Fields(mapping, "items/x.v1.yaml"))
    assert str(caught.value).startswith("items/x.v1.yaml")
