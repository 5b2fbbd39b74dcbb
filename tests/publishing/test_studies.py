"""Studies on disk: a panel's table comes in, a cut goes out, and what is made up goes nowhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from assess.errors import InvalidContent, PublishRefused, ScaleMismatch
from assess.publishing import check, load_bank
from assess.publishing.studies import adopt_study, cohort_scores, load_study, write_study
from assess.standard_setting import Judgement, Panelist, Study, with_result

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "standard_setting"
BANKS = Path(__file__).resolve().parents[2] / "item_banks" / "teaching-with-technology"
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def study(**changes) -> Study:
    """Two judges of the toy bank: two items and a case set."""
    ratings = {"toy-001.v1": 0.8, "toy-002.v1": 0.6, "toy-set.v1": 1.2}
    judgements = tuple(
        Judgement(1, judge, unit, value + shift)
        for judge, shift in (("j1", -0.1), ("j2", 0.1))
        for unit, value in ratings.items()
    )
    panel = (Panelist("j1", "teaches"), Panelist("j2", "trains teachers"))
    made = Study("toy-panel", 1, "toy", "KA", "modified Angoff", "Plans a lesson.", panel, judgements)
    return replace(made, **changes)


def test_a_study_is_read_as_it_was_written(tmp_path):
    for made in (study(), study(synthetic=True)):
        path = tmp_path / f"{made.synthetic}.yaml"
        write_study(path, made)
        assert load_study(path) == made


def test_an_adopted_study_becomes_the_next_cut_of_its_bank(course):
    bank = load_bank(course)
    parameter_set = next(iter(bank.parameter_sets.values()))
    found = with_result(study(), parameter_set)
    adopted, stored = adopt_study(bank, found, parameter_set, cut_id="toy-ka", by="the board", now=NOW)
    assert (stored.cut.id, stored.cut.status, stored.cut.panel) == ("toy-ka.v2", "adopted", "toy-panel.v1")
    assert adopted.result is not None
    assert stored.cut.theta == adopted.result.theta
    again = load_bank(course)
    assert again.cuts["toy-ka.v2"].cut == stored.cut
    assert again.cuts["toy-ka.v2"].ratings == {
        "toy-001.v1": 0.8, "toy-002.v1": 0.6, "toy-010.v1": 0.6, "toy-011.v1": 0.6,
    }  # fmt: skip
    assert [f for f in check(course) if f.severity == "error"] == []
    document = yaml.safe_load((course / "cuts" / "toy-ka.v2.yaml").read_text(encoding="utf-8"))
    assert document["adopted_by"] == "the board"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"synthetic": True}, r"made up \(synthetic: true\)"),
        ({"course": "other"}, "is about other, the bank serves toy"),
        ({"result": None}, "it has no result"),
        ({"level": "KD"}, "guards KA, the study is about KD"),
    ],
)
def test_what_must_not_become_a_cut_is_refused_and_writes_nothing(course, changes, message):
    bank = load_bank(course)
    parameter_set = next(iter(bank.parameter_sets.values()))
    found = replace(with_result(study(), parameter_set), **changes)
    with pytest.raises(PublishRefused, match=message):
        adopt_study(bank, found, parameter_set, cut_id="toy-ka", by="the board", now=NOW)
    assert sorted(path.name for path in (course / "cuts").iterdir()) == ["toy-ka.v1.yaml"]


def test_a_study_on_another_scale_is_refused(course):
    bank = load_bank(course)
    parameter_set = next(iter(bank.parameter_sets.values()))
    found = with_result(study(), parameter_set)
    moved = replace(parameter_set, scale=replace(parameter_set.scale, id="toy/9"))
    with pytest.raises(ScaleMismatch, match="toy/9"):
        adopt_study(bank, found, moved, cut_id="toy-ka", by="the board", now=NOW)


def test_a_panels_table_that_cannot_be_read_is_refused(tmp_path):
    made = study()
    path = tmp_path / "s.yaml"
    write_study(path, made)
    table = tmp_path / "t.csv"
    table.write_text("round,judge,about,value\n1,j1,toy-001.v1,0.5\n", encoding="utf-8")
    with pytest.raises(InvalidContent, match=r"judgements of its own beside t\.csv"):
        load_study(path, table)
    document = made.document()
    document.pop("judgements")
    bare = tmp_path / "bare.yaml"
    bare.write_text(yaml.safe_dump(document), encoding="utf-8")
    with pytest.raises(InvalidContent, match="only judge 'j1' judged in round 1"):
        load_study(bare, table)
    with pytest.raises(InvalidContent, match="this is no table"):
        load_study(bare, tmp_path / "nothing.csv")
    table.write_text("round,judge,value\n1,j1,0.5\n", encoding="utf-8")
    with pytest.raises(InvalidContent, match="about"):
        load_study(bare, table)


def test_the_example_is_made_up_reads_and_cannot_be_adopted():
    found = load_study(EXAMPLE / "twt-3-ka-example.v1.yaml", EXAMPLE / "twt-3-ka-example.csv")
    assert found.synthetic
    bank = load_bank(BANKS / "twt-3")
    parameter_set = bank.parameter_sets[bank.forms["twt-3-fixed.v1"].parameter_set]
    done = with_result(found, parameter_set)
    # The made-up judges scatter around 0.15 on average; their mean rating bends a little towards the middle.
    assert done.result is not None
    assert done.result.theta == pytest.approx(0.15, abs=0.2)
    with pytest.raises(PublishRefused, match="made up"):
        adopt_study(bank, done, parameter_set, cut_id="twt-3-ka", by="anyone", now=NOW)


def test_judged_learners_and_their_scores_come_from_tables_and_are_adopted_together(course, tmp_path):
    bank = load_bank(course)
    parameter_set = next(iter(bank.parameter_sets.values()))
    judged = [f"lrn_{n}" for n in range(8)]
    rows = [Judgement(1, f"j{1 + n % 2}", one, float(n > 3)) for n, one in enumerate(judged)]
    made = study(method="contrasting groups", judgements=tuple(rows))
    document = {k: v for k, v in made.document().items() if k not in ("judgements", "options")}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    table = "".join(f"1,{one.judge},{one.about},{one.value:g}\n" for one in rows)
    (tmp_path / "judged.csv").write_text("round,judge,about,value\n" + table, encoding="utf-8")
    # One more than were judged: who is nobody's business does not get into the study.
    scores = "".join(
        f"{one},{n / 4 - 1},{parameter_set.scale_id},EAP\n" for n, one in enumerate([*judged, "x"])
    )
    (tmp_path / "scores.csv").write_text("learner,theta,scale,method\n" + scores, encoding="utf-8")

    found = load_study(tmp_path / "study.yaml", tmp_path / "judged.csv", tmp_path / "scores.csv")
    assert found.scores is not None
    assert [learner for learner, _ in found.scores.theta] == judged
    whole = with_result(found, parameter_set)
    write_study(tmp_path / "done.yaml", whole)
    assert load_study(tmp_path / "done.yaml").sha256 == whole.sha256
    adopted, stored = adopt_study(
        bank, load_study(tmp_path / "done.yaml"), parameter_set, cut_id="toy-ka", by="the board", now=NOW
    )
    # The groups do not overlap: the cut is half way between the fourth and the fifth learner.
    assert stored.cut.theta == pytest.approx(-0.125)
    assert (stored.cut.method, adopted.scores) == ("contrasting groups", whole.scores)
    assert load_bank(course).cuts["toy-ka.v2"].cut == stored.cut
    with pytest.raises(InvalidContent, match=r"has scores of its own beside scores\.csv"):
        load_study(tmp_path / "done.yaml", None, tmp_path / "scores.csv")


@pytest.mark.parametrize(
    ("table", "message"),
    [("learner,points\na,3\n", "no column 'score'"), ("score\n3\nmany\n", r"\[1\]: score is 'many'")],
)
def test_a_cohort_without_scores_is_refused_with_its_row(tmp_path, table, message):
    path = tmp_path / "cohort.csv"
    path.write_text(table, encoding="utf-8")
    with pytest.raises(InvalidContent, match=message):
        cohort_scores(path)
    path.write_text("learner,theta,score\na,0.1,12\nb,0.3,14\n", encoding="utf-8")
    assert cohort_scores(path) == [12.0, 14.0]
