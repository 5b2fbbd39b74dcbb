"""The shipped banks are stricter with themselves than `assess bank check` is with any bank."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from assess.items import Item, SingleChoice
from assess.publishing import ItemBank, bank_folders, load_bank, load_programme

FOLDER = Path(__file__).resolve().parents[2] / "item_banks" / "teaching-with-technology"
BANKS = [folder.name for folder in bank_folders(FOLDER)]
COUNTS = {2: "two", 3: "three"}
# These were sealed before there was a second reader; a sealed item can only get a new version.
SEALED_EARLY = {f"twt-3-{number:03d}" for number in range(1, 37)}
VERDICTS = {"kept", "changed", "difficulty changed"}


@pytest.fixture(scope="module")
def banks() -> dict[str, ItemBank]:
    programme = load_programme(FOLDER)
    return {course: load_bank(FOLDER / course, programme) for course in BANKS}


@pytest.fixture(scope="module", params=BANKS)
def bank(request: pytest.FixtureRequest, banks: dict[str, ItemBank]) -> ItemBank:
    return banks[request.param]


@pytest.fixture(scope="module")
def items(bank: ItemBank) -> list[Item]:
    return list(bank.items.values())


def single_choice(items: list[Item]) -> list[Item]:
    return [item for item in items if isinstance(item.interaction, SingleChoice)]


def test_the_length_of_an_option_gives_nothing_away(items: list[Item]) -> None:
    longest = 0
    for item in single_choice(items):
        lengths = {option: len(text) for option, text in item.text("en")[1].options.items()}
        assert max(lengths.values()) <= 1.25 * min(lengths.values()), item.id
        longest += lengths[str(item.interaction.best())] == max(lengths.values())
    assert longest <= 0.35 * len(single_choice(items))


def test_an_option_and_a_reason_are_one_line(items: list[Item]) -> None:
    for item in items:
        assert item.judged is None or "\n" not in item.judged.reason, item.id
        for language, text in item.texts.items():
            shown = (*text.options.values(), *text.targets.values())
            assert not any("\n" in words for words in shown), (item.id, language)


def test_a_stem_with_several_right_options_says_how_many(items: list[Item]) -> None:
    for item in items:
        if item.interaction_type == "multiple_response":
            said = f"Choose {COUNTS[len(item.interaction.best())]}."
            assert item.text("en")[1].stem.endswith(said), item.id


def test_every_answer_is_explained_in_every_language(items: list[Item]) -> None:
    for item in items:
        for language, text in item.texts.items():
            assert set(text.rationales) == (set(text.options) or {"answer"}), (item.id, language)
            assert all(len(words) > 20 for words in text.rationales.values()), (item.id, language)


def test_the_rationale_of_the_one_right_option_says_that_it_is_right(items: list[Item]) -> None:
    for item in single_choice(items):
        for language, word in (("en", "Right."), ("fr", "Juste."), ("ar", "صحيح.")):
            for option, words in getattr(item.texts.get(language), "rationales", {}).items():
                assert words.startswith(word) == (option == item.interaction.best()), (item.id, language)


def test_the_bank_says_who_read_the_items_that_cannot_say_it_themselves(banks: dict[str, ItemBank]) -> None:
    readings = banks["twt-3"].header["readings"]
    told = [reference for reading in readings for reference in reading["items"]]
    assert len(told) == len(set(told))
    assert {reference.removesuffix(".v1") for reference in told} == SEALED_EARLY
    assert {reading["verdict"] for reading in readings} == {"kept", "not read blind"}


def test_every_item_says_what_its_readers_found(items: list[Item]) -> None:
    for item in items:
        if item.id in SEALED_EARLY:
            continue
        readings = {"second reader": item.notes["review"], "third reader": item.notes.get("reread")}
        for reader, review in readings.items():
            if review is None:
                continue
            assert set(review) <= {"date", "by", "verdict", "change"}, item.id
            assert date.fromisoformat(review["date"]).isoformat() == review["date"], item.id
            assert review["by"] == reader, item.id
            assert review["verdict"] in VERDICTS, item.id
            assert bool(review.get("change")) == (review["verdict"] != "kept"), item.id


def test_a_french_mark_of_two_parts_does_not_start_a_line(items: list[Item]) -> None:
    for item in items:
        text = item.texts.get("fr")
        if text is None or item.id in SEALED_EARLY:
            continue
        for words in (text.stem, *text.options.values(), *text.targets.values(), *text.rationales.values()):
            assert not re.search(r"[^\s|] [;:?!»%]|« ", words), item.id
