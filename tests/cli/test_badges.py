"""`assess facts import`, `badge try` and `usage` at the command line."""

from __future__ import annotations

import csv

import pytest
import yaml


@pytest.fixture
def toys(assess, banks, tmp_path):
    """A live programme with two learners known."""
    assert assess("activate", "toys", "--reason", "x").code == 0
    (tmp_path / "roster.csv").write_text("learner\na\nb\n", encoding="utf-8")
    assert assess("roster", "import", "roster.csv").code == 0
    return tmp_path


def written(folder, *lines):
    (folder / "facts.csv").write_text(
        "\n".join(["id,source,t,subject,at,place", *lines]) + "\n", encoding="utf-8"
    )


def test_facts_are_checked_then_written_and_again_change_nothing(assess, toys):
    written(toys, "f1,lms,seen,a,2026-01-01,here", "f2,lms,seen,b,2026-01-01,")
    done = assess("facts", "import", "facts.csv", "--dry-run")
    assert (done.code, "2 new, 0 unchanged, 0 left out" in done.out) == (0, True)
    assert "nothing was written" in done.out
    assert "2 facts written" in assess("facts", "import", "facts.csv").out
    done = assess("facts", "import", "facts.csv")
    assert "0 new, 2 unchanged" in done.out
    assert "nothing had changed" in done.out


def test_a_faulty_file_is_refused_by_line_and_field_or_its_bad_lines_left_out(assess, toys):
    written(toys, "f1,lms,seen,a,2026-01-01,", "f2,lms,seen,nobody,2026-01-01,", "f3,,seen,a,2026-01-01,")
    done = assess("facts", "import", "facts.csv")
    assert done.code == 1
    assert "line 3, subject: no learner 'nobody'" in done.out
    assert "line 4, source: a fact needs it" in done.out
    assert "2 lines are faulty; nothing was written" in done.out
    done = assess("facts", "import", "facts.csv", "--skip-bad")
    assert (done.code, "1 facts written" in done.out) == (0, True)


def test_a_rule_is_tried_and_who_would_gain_is_listed(assess, toys):
    written(toys, "f1,lms,seen,a,2026-01-01,")
    assert assess("facts", "import", "facts.csv").code == 0
    programme = next(toys.glob("**/toys/programme.yaml"))
    document = yaml.safe_load(programme.read_text(encoding="utf-8"))
    document["badges"] = [{"id": "NEW", "rule": {"fact": {"type": "seen"}}}]
    programme.write_text(yaml.safe_dump(document), encoding="utf-8")
    done = assess("badge", "try", "NEW", programme)
    assert done.code == 0, done.err
    assert "a: not_eligible -> eligible" in done.out
    done = assess("badge", "try", "NEW", programme, "--out", "moves.csv")
    with (toys / "moves.csv").open(encoding="utf-8") as opened:
        assert list(csv.reader(opened)) == [["learner", "was", "would_be"], ["a", "not_eligible", "eligible"]]


def test_usage_is_a_table_or_a_file(assess, toys):
    done = assess("usage", "--count-by", "region")
    assert (done.code, "eligible" in done.out) == (0, True)
    done = assess("usage", "--out", "usage.csv")
    assert (done.code, "wrote 0 rows" in done.out) == (0, True)
    assert (toys / "usage.csv").read_text(encoding="utf-8").strip() == "badge,group,eligible,awarded"
    done = assess("usage", "--count-by", "name")
    assert (done.code, "is not one of badge, cohort, region, month" in done.err) == (2, True)
