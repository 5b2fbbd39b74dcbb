"""When a form tells its results: at once, or when a panel has set the standard."""

from __future__ import annotations

import pytest

from assess.errors import InvalidContent
from assess.items import Form
from tests import synthetic


def form(**changes: object) -> Form:
    return Form.from_mapping(synthetic.document(form=changes)["form"], "f")


def test_results_are_told_at_once_unless_the_form_says_otherwise() -> None:
    assert form().release == "immediate"
    assert "release" not in form().to_mapping()  # documents of earlier versions keep their hashes


def test_a_form_that_holds_its_results_reads_back_equal() -> None:
    held = form(release="after_standard")
    assert Form.from_mapping(held.to_mapping(), "f") == held


def test_another_word_is_refused_with_its_place() -> None:
    with pytest.raises(InvalidContent, match="release"):
        form(release="tomorrow")


def test_what_is_right_is_not_told_before_the_result_is() -> None:
    with pytest.raises(InvalidContent, match="feedback: rationales tell what is right"):
        form(release="after_standard", feedback="rationales")
