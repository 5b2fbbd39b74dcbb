"""What a result says, and what it never says."""

from __future__ import annotations

import re
from dataclasses import astuple
from datetime import UTC, datetime
from typing import Any

import pytest

from assess.delivery.pages.language import CODES, language
from assess.delivery.pages.wording import Next, Reported, announcements, score_words, tell, wait_in_words

SCORE = Reported(532, 497, 567, 500, 200, 800)


def told(status: str, *, code: str = "en", **given: Any) -> Any:
    options: dict[str, Any] = {
        "probability": None,
        "provisional": False,
        "accepted": False,
        "demo": False,
        "practice": False,
        "after": Next(),
    }
    return tell(status, **(options | given), language=language(code), zone=UTC)


def test_a_pass_says_how_sure_it_is() -> None:
    found = told("passed", probability=0.94)
    assert found.heading == "You met the standard"
    assert found.certainty == ("We are sure: the probability that you stand at or above the standard is 94%.")


@pytest.mark.parametrize(
    ("probability", "words"), [(0.76, "fairly sure"), (0.9, "are sure"), (0.97, "very sure"), (0.9999, "99%")]
)
def test_words_and_percentage_rise_together(probability: float, words: str) -> None:
    assert words in told("passed", probability=probability).certainty


def test_a_judged_pass_says_why_no_percentage_stands_there() -> None:
    found = told("passed", provisional=True)
    assert found.certainty == ""
    assert "provisional" in found.provisional
    assert "no percentage" in found.provisional
    assert "accepted here for demonstration" not in found.provisional
    demo = told("passed", provisional=True, accepted=True, demo=True)
    assert demo.provisional.endswith("It is accepted here for demonstration.")
    earnest = told("passed", provisional=True, accepted=True)
    assert earnest.provisional.endswith("Your programme accepts it all the same.")


def test_a_calibrated_result_on_a_cut_without_a_panel_keeps_its_percentage() -> None:
    found = told("passed", provisional=True, probability=0.9)
    assert "90%" in found.certainty
    assert "no panel" in found.provisional


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("status", ["not_passed", "undetermined", "incomplete"])
def test_no_probability_stands_beside_anything_but_a_pass(status: str, code: str) -> None:
    found = told(status, code=code, probability=0.24, after=Next("retake", None, 3))
    words = " ".join(str(part) for part in astuple(found))
    assert "%" not in words
    assert "٪" not in words
    assert "24" not in words


def test_not_passed_is_not_shown_yet() -> None:
    found = told("not_passed", after=Next("wait", datetime(2026, 12, 6, 9, tzinfo=UTC), 4))
    assert found.heading == "Not shown yet"
    assert found.next_steps[0] == "You can take the course assessment again from 6 December 2026, 09:00 UTC."
    assert found.next_steps[-1] == "You have 4 tries left."


def test_undetermined_is_not_a_fail_and_says_what_comes_next() -> None:
    found = told("undetermined", after=Next("retake", None, 1))
    assert found.heading == "Too close to say; this is not a fail"
    assert "You can take the course assessment again now." in found.next_steps
    assert "You have 1 try left." in found.next_steps


def test_incomplete_decides_nothing() -> None:
    assert told("incomplete").heading == "Not enough answered to decide"
    assert told("incomplete").tone == "incomplete"


def test_practice_never_counts() -> None:
    found = told("passed", practice=True, provisional=True, after=Next("retake", None, 5))
    assert "does not count" in found.provisional
    assert found.next_steps == ("You can practise again as often as you like.",)


def test_the_figures_sentence_says_score_range_and_standard() -> None:
    words = score_words(SCORE, language("en"))
    assert words.sentence == "Your score is 532, with a 90% range from 497 to 567. The standard is 500."
    raw = score_words(Reported(17, 12.8, 20.3, 16, 0, 24, raw=True), language("en"))
    assert raw.sentence == (
        "You have 17 of 24 points, with a 90% range from 12.8 to 20.3. The standard is 16."
    )


@pytest.mark.parametrize("code", CODES)
def test_theta_is_never_named(code: str) -> None:
    words = " ".join(astuple(score_words(SCORE, language(code))))
    assert not re.search(r"theta|θ|logit", words, re.IGNORECASE)


def test_waiting_is_told_in_days_from_two_days_on() -> None:
    assert [wait_in_words(hours, language("en")) for hours in (1, 24, 48, 50)] == [
        "1 hour",
        "24 hours",
        "2 days",
        "50 hours",
    ]


def test_the_clock_speaks_at_round_minutes() -> None:
    assert announcements(language("en"))["60"] == "1 minute left"
    assert set(announcements(language("ar"))) == {"900", "600", "300", "120", "60"}
