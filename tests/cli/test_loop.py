"""The loop closes: a cohort through the real service, calibrate, publish, activate, replay."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

import assess as package
from assess import irt
from assess.cli import simulating
from assess.cli.simulating import build_cohort
from assess.publishing import judged_parameters, load_bank
from assess.responses import NOT_ADMINISTERED, NOT_REACHED, OMITTED


def _activate_all(assess):
    for name in ("toys", "toy-fixed", "toy-adaptive"):
        done = assess("activate", name, "--reason", "first release", "--by", "R. Reader")
        assert done.code == 0, done.err


def test_a_cohort_runs_through_calibration_to_a_new_release(assess, banks, tmp_path):
    _activate_all(assess)
    done = assess("simulate", "toy", "--learners", 150, "--seed", 4, "--form", "toy-fixed")
    assert done.code == 0, done.err
    assert "150 simulated teachers" in done.out
    assert "learners/s" in done.out

    done = assess("calibrate", "toy", "--sandbox")
    assert done.code == 0, done.err
    assert "log-likelihood" in done.out
    path = tmp_path / "var" / "calibrations" / "toy-auto.json"
    stored = json.loads(path.read_text())
    assert stored["provenance"]["course"] == "toy"
    assert 140 <= stored["n_persons"] <= 150

    # The raw answers that were sent earn the categories that the model drew.
    cohort = build_cohort(load_bank(banks / "toys" / "toy"), seed=4)
    with package.connect() as database:
        responses = database.responses("toy", sandbox=True)
    found = irt.score(responses, cohort.parameters.take(responses.columns))["theta"]
    true = [cohort.teacher(int(learner.rsplit("-", 1)[1])).theta for learner in responses.index]
    # Ten units of this kind have a reliability near 0.6: correlation near 0.77.
    assert np.corrcoef(true, found)[0, 1] > 0.6

    before = assess("replay", "--verify-chain")
    assert before.code == 0
    assert "150 decisions come out the same, byte by byte; 0 differences; 1 chain" in before.out

    done = assess("publish", path, "--reason", "first calibration", "--by", "R. Reader", "--id", "toy-first")
    assert done.code == 0, done.err
    assert "scale toy/1: mean 0 and SD 1" in done.out
    assert "nothing has changed for learners" in done.out
    assert assess("bank", "check", banks).code == 0

    done = assess("activate", "toy-fixed.v2", "--reason", "calibrated", "--approved-by", "S. Second")
    assert done.code == 0, done.err
    done = assess("simulate", "toy", "--learners", 12, "--seed", 5, "--form", "toy-fixed")
    assert done.code == 0, done.err

    with package.connect() as database:
        decisions = database.decisions("toy")
        assert decisions["form"].value_counts().to_dict() == {"toy-fixed.v1": 150, "toy-fixed.v2": 12}
        new = decisions[decisions["form"] == "toy-fixed.v2"]
        assert set(new["parameter_set"]) == {"toy-first.v1"}
        assert set(new["scale"]) == {"toy/1"}
        assert new["p_at_or_above_cut"].notna().all()
        parameters = database.parameters("toy")
        # The adaptive form still has judged parameters, on another scale; one table holds one scale.
        assert parameters.attrs == {"parameter_set": ["toy-first.v1"], "scale": ["toy/1"]}
    after = assess("replay", "--verify-chain")
    assert "162 decisions come out the same, byte by byte; 0 differences" in after.out


def _cohorts_that(monkeypatch, **changes):
    """Make `assess simulate` draw other teachers."""
    plain = simulating.build_cohort
    monkeypatch.setattr(
        simulating, "build_cohort", lambda bank, **arguments: replace(plain(bank, **arguments), **changes)
    )


def test_collected_responses_keep_three_kinds_of_missing(assess, banks, monkeypatch):
    _cohorts_that(monkeypatch, p_blank=0.3)
    _activate_all(assess)
    assert assess("simulate", "toy", "--learners", 16, "--seed", 2).code == 0
    with package.connect() as database:
        matrix = database.matrix("toy", sandbox=True)
        table = database.responses("toy", sandbox=True)
        decisions = database.decisions("toy")
    assert "toy-set.v1" in matrix.item_ids
    assert "toy-010.v1" not in matrix.item_ids
    assert dict(zip(matrix.item_ids, matrix.n_categories.tolist(), strict=True))["toy-set.v1"] == 3
    # Half of the cohort took the adaptive form, which shows six units at most.
    adaptive = (matrix.categories == NOT_ADMINISTERED).any(axis=1)
    assert adaptive.sum() == decisions["practice"].sum() == 8
    assert ((matrix.categories[adaptive] != NOT_ADMINISTERED).sum(axis=1) <= 6).all()
    assert (matrix.categories == OMITTED).any()
    empty = np.isnan(table.to_numpy())
    assert np.array_equal(empty, np.isin(matrix.categories, [NOT_ADMINISTERED, NOT_REACHED]))
    assert (table.to_numpy()[matrix.categories == OMITTED] == 0.0).all()
    assert repr(database).endswith("tenant default, read-only>")


def test_teachers_who_walk_away_run_out_of_time(assess, banks, monkeypatch):
    _cohorts_that(monkeypatch, p_walk_away=1.0)
    _activate_all(assess)
    assert assess("simulate", "toy", "--learners", 10, "--form", "toy-fixed").code == 0
    with package.connect() as database:
        matrix = database.matrix("toy", sandbox=True)
        assert (matrix.categories == NOT_REACHED).any()
    with closing(sqlite3.connect("assess.db")) as connection, connection:
        ended = dict(connection.execute("SELECT ended_by, count(*) FROM sessions GROUP BY 1").fetchall())
    assert ended["timed_out"] > 0
    assert assess("replay").code == 0


def test_the_same_cohort_is_not_tested_twice(assess, banks):
    _activate_all(assess)
    cohort = ("simulate", "toy", "--learners", 5, "--form", "toy-fixed")
    assert assess(*cohort).code == 0
    done = assess(*cohort)
    assert done.code == 0
    assert "refused: " in done.out
    with package.connect() as database:
        assert len(database.decisions("toy")) == 5


# --- refusals --------------------------------------------------------------------


def test_a_simulation_without_a_live_form_is_refused(assess, banks):
    done = assess("simulate", "toy", "--learners", 3)
    assert done.code == 2
    assert "no form of this course is live" in done.err
    assert "Traceback" not in done.err


def test_a_refusal_in_the_middle_of_a_cohort_is_one_sentence(assess, banks, monkeypatch):
    from assess.simulation import Cohort

    plain = Cohort.answer

    def broken(self, teacher, item):
        return ["not", "an", "option"] if teacher.number == 3 else plain(self, teacher, item)

    monkeypatch.setattr(Cohort, "answer", broken)
    _activate_all(assess)
    done = assess("simulate", "toy", "--learners", 6, "--form", "toy-fixed")
    assert done.code == 2
    assert "was refused" in done.err
    assert "(answer_malformed)" in done.err
    assert "Traceback" not in done.err


def test_a_database_without_sessions_is_said(assess, banks):
    done = assess("calibrate", "toy")
    assert done.code == 2
    assert "there is no database at" in done.err
    _activate_all(assess)
    done = assess("calibrate", "toy")
    assert done.code == 2
    assert "nobody has finished a session of toy yet" in done.err


def test_sandbox_learners_are_not_calibrated_as_real_ones(assess, banks):
    _activate_all(assess)
    assert assess("simulate", "toy", "--learners", 4, "--form", "toy-fixed").code == 0
    done = assess("calibrate", "toy")
    assert done.code == 2
    assert "sandbox learners are counted apart" in done.err


def test_an_altered_decision_is_found_by_replay(assess, banks):
    _activate_all(assess)
    assert assess("simulate", "toy", "--learners", 6, "--form", "toy-fixed", "--seed", 3).code == 0
    with closing(sqlite3.connect("assess.db")) as connection, connection:
        connection.execute(
            "UPDATE responses SET category = 1 - category WHERE position = 1 AND category IN (0, 1)"
        )
    done = assess("replay")
    assert done.code == 1
    assert "the answer at position 1 earns category" in done.out
    with closing(sqlite3.connect("assess.db")) as connection, connection:
        connection.execute(
            "UPDATE responses SET category = 1 - category WHERE position = 1 AND category IN (0, 1)"
        )
        connection.execute("UPDATE decisions SET record = replace(record, 'toy-fixed', 'toy-fiked')")
    done = assess("replay")
    assert done.code == 1
    assert "it was altered" in done.out


def test_a_missing_decision_breaks_the_chain(assess, banks):
    _activate_all(assess)
    assert assess("simulate", "toy", "--learners", 6, "--form", "toy-fixed").code == 0
    with closing(sqlite3.connect("assess.db")) as connection, connection:
        connection.execute("DELETE FROM decisions WHERE chain_seq = 3")
    assert assess("replay").code == 0
    done = assess("replay", "--verify-chain")
    assert done.code == 1
    assert "a decision is missing" in done.out


def test_a_missing_last_decision_is_told_by_the_head_of_the_chain(assess, banks):
    _activate_all(assess)
    assert assess("simulate", "toy", "--learners", 4, "--form", "toy-fixed").code == 0
    with closing(sqlite3.connect("assess.db")) as connection, connection:
        connection.execute("DELETE FROM decisions WHERE chain_seq = 4")
    done = assess("replay", "--verify-chain")
    assert done.code == 1
    assert "the chain of toys ends at 3, its head says 4" in done.out


def test_an_altered_answer_is_found_by_its_hash(assess, banks):
    _activate_all(assess)
    assert assess("simulate", "toy", "--learners", 3, "--form", "toy-fixed").code == 0
    with closing(sqlite3.connect("assess.db")) as connection, connection:
        connection.execute("""UPDATE responses SET answer = '"d"' WHERE position = 1 AND answer != '"d"'""")
    done = assess("replay")
    assert done.code == 1
    assert "the answer at position 1 does not have its hash" in done.out


def test_a_column_or_a_report_that_says_other_than_the_record_is_found_by_replay(assess, banks):
    _activate_all(assess)
    assert assess("simulate", "toy", "--learners", 3, "--form", "toy-fixed").code == 0
    for altered, told in (
        ("passed = 1 - passed", "the row says passed"),
        ("provisional = 1 - provisional", "the row says provisional"),
        ("practice = 1 - practice", "the row says practice"),
        ("form = 'toy-adaptive.v1'", "the row says form toy-adaptive.v1, its record toy-fixed.v1"),
        ("report = replace(report, 'KA', 'KD')", "report differ"),
    ):
        with closing(sqlite3.connect("assess.db")) as connection, connection:
            kept = connection.execute("SELECT id, passed, provisional, practice, form, report FROM decisions")
            rows = kept.fetchall()
            connection.execute(f"UPDATE decisions SET {altered}")
        done = assess("replay")
        assert done.code == 1, altered
        assert told in done.out
        with closing(sqlite3.connect("assess.db")) as connection, connection:
            connection.executemany(
                "UPDATE decisions SET passed = ?2, provisional = ?3, practice = ?4, form = ?5, report = ?6 "
                "WHERE id = ?1",
                rows,
            )
    assert assess("replay").code == 0


def test_replay_grades_the_raw_answers_again(assess, banks, monkeypatch):
    _activate_all(assess)
    assert assess("simulate", "toy", "--learners", 3, "--form", "toy-fixed").code == 0
    monkeypatch.setattr("assess.items.Item.grade", lambda item, raw: 0)
    done = assess("replay")
    assert done.code == 1
    assert "earns category 0, stored is 1" in done.out


@pytest.mark.parametrize("name", ["toy-fixed.v9", "nothing"])
def test_an_unknown_form_is_not_activated(assess, banks, name):
    done = assess("activate", name, "--reason", "x")
    assert done.code == 2
    assert "is neither a form nor a programme" in done.err


def test_a_file_that_is_no_calibration_is_not_published(assess, banks, tmp_path):
    (tmp_path / "x.json").write_text("{}")
    done = assess("publish", tmp_path / "x.json", "--reason", "x")
    assert done.code == 2
    assert "x.json" in done.err


def test_a_course_without_a_bank_is_named(assess, banks):
    done = assess("simulate", "nowhere")
    assert done.code == 2
    assert "courses with a bank: toy" in done.err


def test_judged_parameters_are_written_once(assess, banks):
    done = assess("bank", "judge", "toy")
    assert done.code == 0
    assert "nothing was written" in done.out
    assert len(judged_parameters(load_bank(banks / "toys" / "toy"))["items"]) == 10
