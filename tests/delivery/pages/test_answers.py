"""From the fields of a form to an answer."""

from __future__ import annotations

import pytest
from starlette.datastructures import FormData, UploadFile

from assess.delivery.pages.answers import Asked, fill, read_fields, refused, shown_order
from assess.delivery.pages.language import language
from assess.delivery.pages.practice import INTERACTIONS, N_ITEMS, practice_item

EN = language("en")


@pytest.mark.parametrize(
    ("asked", "fields", "answer"),
    [
        (Asked("single_choice", ("a", "b")), [("answer", "b")], "b"),
        (Asked("multiple_response", ("a", "b", "c")), [("answer", "c"), ("answer", "a")], ["a", "c"]),
        (Asked("ordering", ("a", "b")), [("place.a", "2"), ("place.b", "1")], ["b", "a"]),
        (
            Asked("matching", ("1", "2"), ("x", "y")),
            [("match.1", "y"), ("match.2", "y")],
            {"1": "y", "2": "y"},
        ),
        (Asked("numeric"), [("answer", " 3,5 ")], " 3,5 "),
        (Asked("extended_text"), [("answer", "one\r\ntwo")], "one\ntwo"),
    ],
)
def test_fields_become_the_answer_of_the_contract(
    asked: Asked, fields: list[tuple[str, str]], answer: object
) -> None:
    form: list[tuple[str, str | UploadFile]] = list(fields)
    reading = read_fields(asked, FormData(form), EN)
    assert reading.faults == ()
    assert reading.answer == answer
    # And back: what was sent stands in the controls again.
    assert fill(asked, reading.answer) == reading.filled


@pytest.mark.parametrize(
    ("asked", "control"),
    [
        (Asked("single_choice", ("a", "b")), "answer-a"),
        (Asked("multiple_response", ("a", "b")), "answer-a"),
        (Asked("ordering", ("a", "b")), "place-a"),
        (Asked("matching", ("1",), ("x",)), "match-1"),
        (Asked("short_text"), "answer-text"),
    ],
)
def test_an_empty_form_names_the_control_to_fill(asked: Asked, control: str) -> None:
    (fault,) = read_fields(asked, FormData(), EN).faults
    assert fault.control == control
    assert "leave the item blank" in fault.sentence


def test_two_lines_cannot_have_one_number() -> None:
    form = FormData([("place.a", "1"), ("place.b", "1"), ("place.c", "")])
    reading = read_fields(Asked("ordering", ("a", "b", "c")), form, EN)
    assert [fault.control for fault in reading.faults] == ["place-b", "place-c"]
    assert reading.filled.by_option == {"a": "1", "b": "1", "c": ""}


def test_a_match_outside_the_targets_is_no_match() -> None:
    form = FormData([("match.1", "x"), ("match.2", "q")])
    reading = read_fields(Asked("matching", ("1", "2"), ("x", "y")), form, EN)
    assert [fault.control for fault in reading.faults] == ["match-2"]


def test_an_option_that_is_not_offered_is_not_read() -> None:
    reading = read_fields(Asked("single_choice", ("a", "b")), FormData([("answer", "z")]), EN)
    assert reading.answer is None
    assert reading.faults


def test_what_the_engine_refuses_is_said_in_the_learners_words() -> None:
    assert "not a number" in refused(Asked("numeric"), EN).sentence
    assert "too long" in refused(Asked("short_text"), EN).sentence


def test_lines_stand_in_their_order_once_all_have_a_place() -> None:
    filled = fill(Asked("ordering", ("a", "b", "c")), ["c", "a", "b"])
    assert shown_order(("a", "b", "c"), filled) == ["c", "a", "b"]


@pytest.mark.parametrize("position", range(1, N_ITEMS + 1))
def test_practice_items_fit_their_interactions(position: int) -> None:
    item, interaction = practice_item(position, EN), INTERACTIONS[position - 1]
    assert item.type == interaction.type
    assert item.asked.options == getattr(interaction, "options", ())
    assert item.asked.targets == getattr(interaction, "targets", ())


def test_practice_has_every_format() -> None:
    from assess.items import INTERACTION_TYPES

    assert [interaction.type for interaction in INTERACTIONS] == list(INTERACTION_TYPES)
