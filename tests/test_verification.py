"""The page of verification is appended to, and a line says what, when, and from which commit."""

from __future__ import annotations

import pytest

from tests.verification import commit, record, replications, tree


def test_each_study_appends_a_line_below_one_head(tmp_path):
    page = tmp_path / "docs" / "verification.md"
    record("first", "all well", seed=1, page=page)
    record("second", "a | b\nc", seed="1, 2", page=page)
    lines = page.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# Verification"
    assert lines[-2].split(" | ")[2:] == ["first", "1", "all well |"]
    assert lines[-1].split(" | ")[2:] == ["second", "1, 2", "a / b c |"]
    assert lines[-1].split(" | ")[1] == commit()


def test_a_line_that_is_there_is_not_written_again(tmp_path):
    page = tmp_path / "verification.md"
    for found in ("all well", "all well", "otherwise"):
        record("first", found, seed=1, page=page)
    assert [line.split(" | ")[4] for line in page.read_text().splitlines()[-2:]] == [
        "all well |",
        "otherwise |",
    ]


def test_a_study_that_was_killed_goes_on_where_it_stopped(tmp_path):
    asked: list[int] = []

    def one(i: int) -> dict[str, float]:
        asked.append(i)
        if i == 2 and asked.count(2) == 1:
            raise KeyboardInterrupt
        return {"third": i / 3.0}

    with pytest.raises(KeyboardInterrupt):
        replications("a study: of thirds", 4, one, seed=7, folder=tmp_path)
    assert replications("a study: of thirds", 4, one, seed=7, folder=tmp_path) == [
        {"third": i / 3.0} for i in range(4)
    ]
    assert asked == [0, 1, 2, 2, 3]
    assert [path.name for path in tmp_path.iterdir()] == ["a-study-of-thirds-seed-7.jsonl"]


def test_half_a_line_is_run_again_and_another_seed_starts_anew(tmp_path):
    asked: list[int] = []

    def one(i: int) -> int:
        asked.append(i)
        return 10 * i

    replications("study", 3, one, seed=1, folder=tmp_path)
    path = tmp_path / "study-seed-1.jsonl"
    path.write_bytes(path.read_bytes()[:-4])
    assert replications("study", 3, one, seed=1, folder=tmp_path) == [0, 10, 20]
    assert path.read_text() == "[0, 0]\n[1, 10]\n[2, 20]\n"
    assert replications("study", 1, one, seed=2, folder=tmp_path) == [0]
    assert asked == [0, 1, 2, 2, 0]


def test_the_name_of_the_tree_begins_with_the_commit():
    assert tree().split("-")[0] == commit().rstrip("+")
