"""The page of verification is appended to, and a line says what, when, and from which commit."""

from __future__ import annotations

from tests.verification import commit, record


def test_each_study_appends_a_line_below_one_head(tmp_path):
    page = tmp_path / "docs" / "verification.md"
    record("first", "all well", seed=1, page=page)
    record("second", "a | b\nc", seed="1, 2", page=page)
    lines = page.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# Verification"
    assert lines[-2].split(" | ")[2:] == ["first", "1", "all well |"]
    assert lines[-1].split(" | ")[2:] == ["second", "1, 2", "a / b c |"]
    assert lines[-1].split(" | ")[1] == commit()
