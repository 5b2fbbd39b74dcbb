"""What a learner reads before the clock starts follows from the form."""

from __future__ import annotations

from typing import Any

import pytest

from assess.delivery.pages import start_page
from assess.delivery.pages.language import CODES, language
from assess.session import Release
from tests import synthetic
from tests.delivery.pages.small_bank import release_document

EN = language("en")


def release(form: str, **changes: Any) -> Release:
    document = release_document(form)
    document["form"] |= changes
    return Release.from_document(document)


def practice() -> Release:
    document = release_document("c-2-adaptive")
    document["parameter_set"]["status"] = "provisional"
    return Release.from_document(document)


def test_the_fixed_form_tells_its_four_numbers() -> None:
    assert start_page.facts(release("c-1-fixed"), EN) == [
        ("Items", "8"),
        ("Time", "30 minutes"),
        ("Going back", "Yes, until you hand in"),
        ("Tries", "5 in 365 days"),
    ]


def test_the_adaptive_form_tells_its_shortest_and_longest() -> None:
    facts = dict(start_page.facts(release("c-2-adaptive"), EN))
    assert facts["Items"] == "4 to 6"
    assert facts["Time"] == "No limit"
    assert facts["Going back"] == "No"


def test_the_multistage_form_tells_how_long_its_paths_are() -> None:
    staged = synthetic.release(kind="multistage", calibrated=True)
    facts = dict(start_page.facts(staged, EN))
    assert (facts["Items"], facts["Going back"]) == ("8", "No")
    assert any("depends on your answers" in line for line in start_page.good_to_know(staged, EN))
    document = synthetic.document(kind="multistage", calibrated=True)
    modules = document["form"]["multistage"]["modules"]
    document["form"]["units"].remove(modules["a-2-2"].pop())
    assert dict(start_page.facts(Release.from_document(document), EN))["Items"] == "7 to 8"


def test_unscored_items_are_counted_and_said_but_not_told_apart() -> None:
    document = release_document("c-2-fixed")
    document["form"] |= {"units": document["form"]["units"][:-1], "pilot": ["c-2-12.v1"], "pilot_slots": 1}
    with_pilot = Release.from_document(document)
    assert dict(start_page.facts(with_pilot, EN))["Items"] == "12"
    words = " ".join(start_page.good_to_know(with_pilot, EN))
    assert "being tried out and do not count" in words
    assert "Every item counts." not in words
    assert "Every item counts." in start_page.good_to_know(release("c-1-fixed"), EN)


def test_the_raw_rule_names_the_lowest_score_that_passes() -> None:
    judged = release("c-1-fixed")
    assert judged.raw_cut == pytest.approx(4.8)
    assert start_page.pass_rule(judged, EN) == [
        "You meet the standard with 5 or more of 8 points.",
        "The standard is provisional: it rests on the judgement of experts, not yet on data.",
    ]


def test_the_probability_rule_says_what_lies_between() -> None:
    place, rule = start_page.pass_rule(release("c-2-fixed"), EN)
    assert place == "Your answers give a score from 200 to 800. The standard is 500."
    assert "at least 75% probable" in rule
    assert "between 25% and 75%, it is too close to say; that is not a fail" in rule


def test_practice_counts_for_nothing_and_may_be_repeated() -> None:
    found = practice()
    assert found.practice
    assert "counts for nothing" in " ".join(start_page.pass_rule(found, EN))
    assert start_page.retake_rule(found, EN) == ["You can practise again as often as you like."]
    assert dict(start_page.facts(found, EN))["Tries"] == "As often as you like"


def test_the_retake_policy_in_words() -> None:
    assert start_page.retake_rule(release("c-1-fixed"), EN)[:2] == [
        "You can try again after 24 hours; between later tries lie 14 days.",
        "There are at most 5 tries within 365 days.",
    ]
    at_once = {"first_wait_hours": 0, "wait_days": 0, "max_tries": 1, "period_days": 30}
    assert start_page.retake_rule(release("c-1-fixed", retake=at_once), EN)[:2] == [
        "You can try again at once.",
        "There is 1 try within 30 days.",
    ]


def test_an_open_bank_says_that_its_keys_are_public() -> None:
    assert "public" in start_page.seen_by(release("c-1-fixed"), EN, demo=False)[-1]


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("form", ["c-1-fixed", "c-2-fixed", "c-2-adaptive"])
def test_no_placeholder_is_left_in_any_language(form: str, code: str) -> None:
    found, words = release(form), language(code)
    sentences = [
        *(value for _, value in start_page.facts(found, words)),
        *start_page.good_to_know(found, words),
        *start_page.pass_rule(found, words),
        *start_page.retake_rule(found, words),
        *start_page.seen_by(found, words, demo=True),
        start_page.consent_words(words),
    ]
    assert all(sentence and "%(" not in sentence for sentence in sentences)


RISING = {"p_pass_by_try": [0.75, 0.8, 0.9]}


def test_a_later_try_that_asks_more_says_so_before_it_begins() -> None:
    found = release("c-2-fixed", retake=RISING)
    first, second = (" ".join(start_page.pass_rule(found, EN, number)) for number in (1, 2))
    assert "at least 75% probable" in first
    assert "try number" not in first
    assert "at least 80% probable" in second
    assert "This is your try number 2. It asks for more than the first, which asked for 75%." in second
    assert "try by try: 75%, 80%, 90%." in " ".join(start_page.retake_rule(found, EN))


@pytest.mark.parametrize("code", CODES)
def test_a_policy_that_rises_has_words_in_every_language(code: str) -> None:
    found, words = release("c-2-fixed", retake=RISING), language(code)
    said = [*start_page.pass_rule(found, words, 3), *start_page.retake_rule(found, words)]
    assert all("%(" not in sentence for sentence in said)
    assert len(set(said)) == len(said)
