"""What the rules of item writing find, and what they leave alone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assess.items import Item
from assess.publishing import bank_folders, check, load_bank, load_programme
from assess.publishing.item_writing import lix, near_duplicates, review_bank, review_item

FOLDER = Path(__file__).resolve().parents[2] / "item_banks" / "teaching-with-technology"
OPTIONS = {
    "a": "Ask two learners to compare their notes",
    "b": "Hand out the printed notes to each table",
    "c": "Read the notes aloud before the break",
    "d": "Copy the notes from the board at home",
}


def item(
    name: str = "x-1",
    *,
    stem: str = "Amina has one phone for a class of sixty.\n\nWhat helps her most?",
    options: dict[str, str] | None = None,
    key: Any = "a",
    interaction: str = "single_choice",
    language: str = "en",
    rationales: dict[str, str] | None = None,
    **more: Any,
) -> Item:
    shown = OPTIONS if options is None else options
    text: dict[str, Any] = {"stem": stem, "options": shown}
    text["rationales"] = {option: f"Because of {option}." for option in shown}
    if rationales is not None:
        text["rationales"] = rationales
    mapping = {
        "id": name,
        "version": 1,
        "state": "active",
        "interaction": interaction,
        "options": list(shown),
        "key": key,
        "process": "apply",
        "alignments": [{"framework": "unesco-ict-cft", "version": "2", "code": "TL.3.a"}],
        "texts": {language: text},
        **more,
    }
    if not shown:
        del mapping["options"], text["options"]
    return Item.from_mapping(mapping, f"items/{name}.v1.yaml")


def remarks(found: Item) -> list[str]:
    return [remark.message for remark in review_item(found)]


def with_option(words: str) -> dict[str, str]:
    return {**OPTIONS, "b": words}


def test_a_careful_item_gets_no_remark() -> None:
    assert remarks(item()) == []


@pytest.mark.parametrize(
    ("options", "language", "expected"),
    [
        (with_option("Always hand out the printed notes"), "en", "option b says 'Always'"),
        (with_option("Ne jamais distribuer les notes ici"), "fr", "option b says 'jamais'"),
        (with_option("All of the above is what she does"), "en", "option b speaks of other options"),
        (with_option("Both option a and option c for her"), "en", "option b speaks of other options"),
        (with_option("Hand out notes " * 6), "en", "option b has 89 characters, option c 37"),
        (with_option(OPTIONS["a"]), "en", "two options say the same"),
        (with_option("![](notes.svg) as a picture of notes"), "en", "an image has no alternative text"),
        (with_option("<img src='x.svg' alt=''> picture of it"), "en", "an image has no alternative text"),
    ],
)
def test_an_option_that_gives_itself_away_is_named(
    options: dict[str, str], language: str, expected: str
) -> None:
    found = remarks(item(options=options, language=language))
    assert len(found) == 1
    assert found[0].startswith(expected)


@pytest.mark.parametrize(
    "options",
    [
        with_option("Start a never-ending list of the notes"),
        with_option("Take off a mark that is nearly always high"),
        with_option("![A hand with a sheet](notes.svg) only"),
        {"a": "Two", "b": "Thirteen", "c": "None", "d": "Four"},
    ],
)
def test_what_only_looks_like_a_fault_is_left_alone(options: dict[str, str]) -> None:
    assert remarks(item(options=options)) == []


def test_a_negative_in_the_question_wants_emphasis_and_one_in_the_case_does_not() -> None:
    assert remarks(item(stem="The phone is not hers.\n\nWhat helps?")) == []
    assert remarks(item(stem="The phone is not hers. What helps?")) == []
    assert remarks(item(stem="It is hers.\n\nWhat does **not** help?")) == []
    assert "turns on 'not'" in remarks(item(stem="It is hers.\n\nWhat does not help?"))[0]
    assert "turns on 'sauf'" in remarks(item(stem="Elle aide.\n\nQue faire, sauf cela ?", language="fr"))[0]


def test_a_long_sentence_and_a_hard_text_are_named() -> None:
    long = "She says that " + "and then ".join(["he goes "] * 10) + ".\n\nWhat helps?"
    assert "a sentence of 42 words (She says that he goes and ...)" in remarks(item(stem=long))[0]
    hard = (
        "Institutional responsibilities notwithstanding, administrators systematically underestimate "
        "professional collaboration throughout interdisciplinary departmental organisations."
    )
    assert "LIX" in remarks(item(stem=hard))[0]
    assert remarks(item(stem=hard, language="ar")) == []
    assert remarks(item(stem="Which institutional responsibilities matter?")) == []


def test_an_ordering_that_is_shown_solved_or_reversed_is_named() -> None:
    def ordering(key: list[str]) -> Item:
        return item(interaction="ordering", key=key)

    for key in (["a", "b", "c", "d"], ["d", "c", "b", "a"]):
        assert "the order shown is the one wanted" in remarks(ordering(key))[0]
    assert remarks(ordering(["b", "a", "d", "c"])) == []


def test_a_number_wants_its_reason_too() -> None:
    found = item(options={}, interaction="numeric", key="7", rationales={})
    assert "no rationale" in remarks(found)[0]
    assert remarks(item(options={}, interaction="numeric", key="7", rationales={"answer": "Seven."})) == []


def test_near_duplicates_are_found_within_and_across_courses_and_versions_are_not() -> None:
    same = item("y-9", stem="Amina has one phone for a class of sixty.\n\nWhat should come first?")
    other = item(
        "x-2",
        stem="A village school shares a printer with the clinic across the river.\n\nWhat is fair?",
        options=dict.fromkeys("a", "Take turns by the week")
        | dict.fromkeys("b", "Pay for each single sheet"),
    )
    [(one, another, share)] = near_duplicates([item(), same, other])
    assert (one.id, another.id) == ("x-1", "y-9")
    assert share > 0.5
    assert list(near_duplicates([item(), item(version=2)])) == []


@given(st.text(max_size=300))
def test_lix_is_finite_and_at_least_one_word_a_sentence(text: str) -> None:
    assert lix(text) == 0.0 or 1.0 <= lix(text) <= 100 + len(text)


def test_lix_of_a_published_sentence() -> None:
    # By hand: 9 words in one sentence, of which "quickly" and "forwards" have over six letters: 9 + 200/9.
    assert lix("The old man walked quickly, and then forwards again.") == pytest.approx(9 + 200 / 9)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    target = tmp_path / FOLDER.name
    (target / "twt-1").mkdir(parents=True)
    shutil.copy(FOLDER / "programme.yaml", target)
    shutil.copytree(FOLDER / "twt-1", target / "twt-1", dirs_exist_ok=True)
    return target / "twt-1"


def test_the_bank_says_where_it_misses_its_blueprint(copied: Path) -> None:
    path = copied / "bank.yaml"
    path.write_text(
        path.read_text()
        .replace("maximum: 15, process: recall", "maximum: 3, process: recall")
        .replace("minimum: 60,", "minimum: 61,")
    )
    messages = [remark.message for remark in review_bank(load_bank(copied))]
    assert "objective TL.1.a: the bank holds 60, wanted at least 61" in messages
    assert "recall: the bank holds 10, wanted at most 3" in messages
    warnings = [str(finding) for finding in check(copied) if "bank.yaml: blueprint" in finding.place]
    assert len(warnings) == 2
    assert warnings[0].startswith("warning: teaching-with-technology/twt-1/bank.yaml: blueprint: ")


def test_a_blueprint_that_counts_nothing_is_refused_with_its_place(copied: Path) -> None:
    with (copied / "bank.yaml").open("a") as file:
        file.write("  - {label: nothing, minimum: 1}\n")
    [error] = [finding for finding in check(copied) if "bank.yaml: blueprint" in finding.place]
    assert error.severity == "error"
    assert "a requirement counts one of" in error.message


def test_keys_in_one_position_and_keys_that_are_longest_are_counted_over_a_bank(copied: Path) -> None:
    for path in (copied / "items").glob("twt-1-0*.yaml"):
        text = path.read_text()
        if "interaction: single_choice" in text:
            lines = ["key: c" if line.startswith("key: ") else line for line in text.split("\n")]
            path.write_text("\n".join(lines))
    bank = load_bank(copied)
    found = [remark.message for remark in review_bank(bank) if remark.place == "items"]
    assert "the key stands in position 3 in 42 of 42 single-choice items" in found[0]


def test_the_shipped_banks_keep_every_rule() -> None:
    programme = load_programme(FOLDER)
    banks = [load_bank(folder, programme) for folder in bank_folders(FOLDER)]
    assert [remark for bank in banks for remark in review_bank(bank)] == []
    assert list(near_duplicates(found for bank in banks for found in bank.items.values())) == []
