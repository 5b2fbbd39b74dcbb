"""The golden corpus: decisions that were made once, and must come out the same for good.

Written by `python -m tests.delivery.corpus_cases`, which adds cases and never
writes one anew. A change of the engine that alters a byte here alters what a
stored decision replays to; it is made in another way, or it is no fix.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from assess.delivery.replay import link_of, recomputed, stored_fault
from assess.delivery.store.reading import SessionRecords
from assess.delivery.store.rows import DecisionRow
from assess.session import Release
from assess.standards.records import GENESIS
from tests.delivery.corpus_cases import CASES, EARLIER, FOLDER, build

NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


def load(name: str) -> tuple[SessionRecords, list[DecisionRow]]:
    case = json.loads((FOLDER / f"{name}.json").read_text())
    rows = msgspec.convert(case.pop("decisions"), list[DecisionRow], strict=False)
    return msgspec.convert(case, SessionRecords, strict=False), rows


def release(sha: str) -> Release:
    document = json.loads((FOLDER / "releases" / f"{sha}.json").read_text())
    return Release.from_document(document, sha)


def test_every_case_is_in_the_corpus() -> None:
    assert set(NAMES) == set(CASES) | EARLIER


@pytest.mark.parametrize("name", NAMES)
def test_every_decision_of_the_corpus_comes_out_the_same_byte_by_byte(name: str) -> None:
    records, rows = load(name)
    previous = GENESIS
    for row in rows:
        assert stored_fault(row) is None
        assert link_of(previous, row.record) == row.chain_sha256
        assert recomputed(row, records, release) == ("same", "")
        previous = row.chain_sha256


@pytest.mark.parametrize("name", CASES)
def test_what_writes_a_case_gives_it_again(name: str) -> None:
    """Sessions are driven anew: offers, categories and records do not depend on when they were made."""
    made, _ = build(name)
    stored: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    assert made["offers"] == stored["offers"]
    assert made["responses"] == stored["responses"]
    for new, old in zip(made["decisions"], stored["decisions"], strict=True):
        assert (new["status"], new["report"] | {"engine": 0}) == (
            old["status"],
            old["report"] | {"engine": 0},
        )


def test_the_corpus_covers_models_words_and_causes() -> None:
    words, causes, rules, models = set(), set(), set(), set()
    for name in NAMES:
        _, rows = load(name)
        for row in rows:
            words.add(row.status)
            causes.add(row.cause)
            rules.add(row.report["rule"])
            models |= set(release(row.report["release"]).parameters.models)
    assert words == {"passed", "not_passed", "undetermined", "incomplete", "pending"}
    assert causes == {"session", "release", "rescore"}
    assert {"raw/1", "probability/1"} <= rules
    assert {"1PL", "2PL", "3PL", "GRM", "PCM", "GPCM"} <= models


def test_the_corpus_stays_small() -> None:
    assert sum(path.stat().st_size for path in Path(FOLDER).rglob("*.json")) < 1_000_000


@pytest.mark.parametrize("name", NAMES)
def test_one_answer_that_was_altered_is_found(name: str) -> None:
    records, rows = load(name)
    first = next(r for r in records.responses if r.answer is not None)
    altered = [r if r is not first else replace(r, answer=["zz"]) for r in records.responses]
    word, what = recomputed(rows[-1], replace(records, responses=tuple(altered)), release)
    assert (word, "does not have its hash" in what) == ("differs", True)
