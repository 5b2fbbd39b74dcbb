"""A study is data: it reads back as it was written, and says where it is wrong."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime

import pandas as pd
import pytest
import yaml

from assess.errors import InvalidContent, PublishRefused
from assess.standard_setting import (
    Judgement,
    LearnerScores,
    Panelist,
    StudyOptions,
    StudyResult,
    adopt,
    judgements_from_frame,
    read_study,
    scores_from_frame,
    with_result,
)
from tests.standard_setting.panels import PANEL, angoff_study, mixed_form, published

FORM = mixed_form()
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def pages(*values):
    return tuple(Judgement(1, one.id, "", value) for one, value in zip(PANEL, values, strict=False))


def test_a_study_reads_back_as_it_was_written():
    study = with_result(angoff_study(FORM, synthetic=False), published(FORM))
    adopted = adopt(study, by="examinations board", at=NOON)
    for one in (angoff_study(FORM, synthetic=True), study, adopted):
        stored = json.loads(json.dumps(one.document()))
        assert read_study(stored, "studies/x.yaml") == one
    assert adopted.adoption is not None
    assert adopted.sha256 == study.sha256 == adopted.adoption.sha256
    assert "adopted by examinations board on 2026-11-22" in adopted.summary()
    assert (
        "made-up modified Angoff with 4 judges: no result yet" in angoff_study(FORM, synthetic=True).summary()
    )


def test_a_whole_number_and_its_decimal_have_one_hash():
    whole = angoff_study(FORM, method="bookmark", judgements=pages(3, 4))
    assert whole.sha256 == angoff_study(FORM, method="bookmark", judgements=pages(3.0, 4.0)).sha256
    stored = whole.document()
    assert read_study(stored).sha256 == whole.sha256


def test_a_panels_csv_file_is_a_table_of_judgements():
    csv = "round,judge,about,value\n1,j1,i0.v1,0.7\n1,j2,i0.v1,0.6\n"
    found = judgements_from_frame(pd.read_csv(io.StringIO(csv)))
    assert found == (Judgement(1, "j1", "i0.v1", 0.7), Judgement(1, "j2", "i0.v1", 0.6))
    study = angoff_study(FORM, judgements=found)
    assert study.table().to_dict() == {"i0.v1": {"j1": 0.7, "j2": 0.6}}
    marks = judgements_from_frame(pd.read_csv(io.StringIO("round,judge,about,value\n1,j1,,7\n1,j2,,9\n")))
    assert [mark.about for mark in marks] == ["", ""]


def test_an_edit_after_adoption_is_found():
    study = adopt(with_result(angoff_study(FORM), published(FORM)), by="board", at=NOON)
    for place, edit in (
        ("definition", {"definition": "Something easier."}),
        ("result", {"result": {**study.document()["result"], "theta": -1.0}}),
        ("judgements", {"judgements": study.document()["judgements"][:-24]}),
        ("panel", {"panel": [*study.document()["panel"], {"id": "j9", "qualifications": "a friend"}]}),
    ):
        with pytest.raises(InvalidContent, match=r"studies/x\.yaml: .*edited after its adoption"):
            read_study({**study.document(), **edit}, "studies/x.yaml")
        assert place in edit


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "Ebel"}, r"x-ka-panel\.v1: method: 'Ebel' is not one of modified Angoff"),
        ({"definition": "  "}, "definition: say what the just-proficient"),
        ({"panel": ()}, "panel: 0 judges are no panel"),
        ({"panel": PANEL[:1]}, "panel: 1 judges are no panel; a cut rests on two or more"),
        ({"panel": (*PANEL, PANEL[0])}, "judge 'j1' occurs twice"),
        ({"panel": (*PANEL, Panelist("j5", ""))}, r"panel\[4\]: judge 'j5' needs an id and qualifications"),
        ({"judgements": ()}, r"rounds are \[\]"),
        (
            {"judgements": (Judgement(1, "j9", "i0.v1", 0.5),)},
            r"judgements\[0\]\.judge: 'j9' is not on the panel",
        ),
        ({"judgements": (Judgement(1, "j1", "i0.v1", 0.5),)}, "only judge 'j1' judged in round 1"),
        (
            {"judgements": (Judgement(1, "j1", "i0.v1", 0.5), Judgement(1, "j1", "i0.v1", 0.6))},
            r"judgements\[1\]: judge 'j1' judged 'i0.v1' twice",
        ),
        (
            {"judgements": (Judgement(1, "j1", "i0.v1", -0.5),)},
            r"judgements\[0\]\.value: -0.5 is no judgement",
        ),
        ({"judgements": (Judgement(1, "j1", "", 0.5),)}, r"judgements\[0\]\.about"),
        (
            {"judgements": (Judgement(1, "j1", "i0.v1", 0.5), Judgement(1, "j2", "i1.v1", 0.5))},
            "judge 'j1' did not rate unit 'i1.v1' in round 1",
        ),
        ({"judgements": tuple(replace(one, round=2) for one in pages(1, 2))}, "say what was judged"),
        ({"method": "bookmark", "judgements": pages(1.5, 2)}, r"judgements\[0\]\.value: 1.5 is no judgement"),
        (
            {"method": "bookmark", "judgements": tuple(replace(p, round=2) for p in pages(1, 2))},
            "count from 1",
        ),
        (
            {"method": "contrasting groups", "judgements": (Judgement(1, "j1", "lrn_1", 0.5),)},
            r"judgements\[0\]\.value: 0.5 is no judgement of contrasting groups",
        ),
        ({"options": StudyOptions(rule="nearest")}, "options.rule: 'nearest'"),
        ({"options": StudyOptions(response_probability=67.0)}, "67.0 is not between 0 and 1"),
        (
            {
                "method": "Beuk",
                "judgements": tuple(
                    Judgement(1, judge, what, 0.5) for judge in ("j1", "j2") for what in ("cut", "pass_rate")
                ),
                "result": StudyResult("x", "x/1", 0.0, 0.1, 1.0, "d"),
            },
            "result: Beuk gives advice",
        ),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(change, message):
    with pytest.raises(InvalidContent, match=message):
        angoff_study(FORM, **change)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda d: d.pop("definition"), r"studies/x\.yaml: the field 'definition' is missing"),
        (lambda d: d.update(verson=2), "unknown field 'verson'"),
        (
            lambda d: d["judgements"][3].update(value="0.5"),
            r"judgements\[3\]: value: expected a finite number",
        ),
        (lambda d: d["panel"][0].pop("qualifications"), r"panel\[0\]: the field 'qualifications' is missing"),
        (lambda d: d.update(panel=d["panel"][:1]), r"studies/x\.yaml: .*1 judges are no panel"),
        (lambda d: d["options"].update(combine="mode"), "options: combine: 'mode' is not one of"),
        (
            lambda d: d.update(adopted={"by": "b", "at": "2026-11-22T12:00", "sha256": "0"}),
            "has no time zone",
        ),
        (lambda d: d.update(adopted={"by": "b", "at": "noon", "sha256": "0"}), "is no date and time"),
        (lambda d: d.update(result={"theta": 0.1}), "result: the field 'parameter_set' is missing"),
    ],
)
def test_a_file_with_a_fault_is_refused_with_its_place(edit, message):
    document = angoff_study(FORM).document()
    edit(document)
    with pytest.raises(InvalidContent, match=message):
        read_study(document, "studies/x.yaml")


def test_an_adoption_written_by_hand_is_refused_where_none_could_be():
    """Somebody who computes the hash himself still cannot adopt what is made up, or has no result."""
    for study, message in (
        (with_result(angoff_study(FORM, synthetic=True), published(FORM)), "made up"),
        (angoff_study(FORM), "no result"),
    ):
        adopted = {"by": "b", "at": "2026-11-22T12:00:00+00:00", "sha256": study.sha256}
        with pytest.raises(PublishRefused, match=message):
            read_study({**study.document(), "adopted": adopted})


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"round": [1], "judge": ["j1"], "value": [0.5]}), "no column 'about'"),
        (
            pd.DataFrame({"round": [1], "judge": ["j1"], "about": ["i"], "value": ["high"]}),
            r"judgements\[0\]: round 1, value 'high'",
        ),
        (
            pd.DataFrame({"round": [1], "judge": ["j1"], "about": ["i"], "value": [float("nan")]}),
            r"judgements\[0\]: value: expected a finite number",
        ),
    ],
)
def test_a_table_with_a_fault_is_refused_with_its_row(frame, message):
    with pytest.raises(InvalidContent, match=message):
        judgements_from_frame(frame)


def of_learners(**scores):
    judgements = tuple(Judgement(1, f"j{1 + n % 2}", f"lrn_{n}", float(n > 2)) for n in range(6))
    known = {"scale": "x/1", "method": "EAP", "theta": tuple((f"lrn_{n}", n / 4) for n in range(6))} | scores
    return angoff_study(
        FORM, method="contrasting groups", judgements=judgements, scores=LearnerScores(**known)
    )


def test_scores_of_learners_read_back_and_belong_to_the_hash():
    study = of_learners()
    assert read_study(yaml.safe_load(yaml.safe_dump(study.document()))) == study
    assert study.sha256 != of_learners(method="WL").sha256
    assert "scores" not in angoff_study(FORM).document(), "what was adopted before keeps its hash"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: of_learners(theta=(("lrn_1", 0.1), ("lrn_1", 0.2))), "learner 'lrn_1' has two scores"),
        (lambda: of_learners(theta=(("lrn_1", float("inf")),)), "theta is inf; give a finite estimate"),
        (
            lambda: angoff_study(FORM, scores=LearnerScores("x/1", "EAP", ())),
            "scores: modified Angoff judges no learners",
        ),
        (lambda: scores_from_frame(pd.DataFrame({"learner": ["a"], "theta": [1.0]})), "no column 'scale'"),
        (
            lambda: scores_from_frame(
                pd.DataFrame({"learner": ["a", "b"], "theta": [1.0, 2.0], "scale": ["x/1", "x/2"]})
            ),
            "scale is 'x/1' and 'x/2'",
        ),
        (
            lambda: scores_from_frame(pd.DataFrame({"learner": ["a"], "theta": ["high"], "scale": ["x/1"]})),
            r"scores\[0\]: theta is 'high'",
        ),
        (
            lambda: scores_from_frame(pd.DataFrame({"learner": [], "theta": [], "scale": []})),
            "no learner has a score",
        ),
        (
            lambda: read_study(of_learners().document() | {"scores": {"scale": "x/1", "method": "EAP"}}),
            "scores: the field 'theta' is missing",
        ),
    ],
)
def test_scores_that_cannot_be_meant_are_refused(make, message):
    with pytest.raises(InvalidContent, match=message):
        make()
