"""Several cuts of a course: one decision for each level, from one score, in one record."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from assess.errors import ActivationRefused, InvalidContent, ScaleMismatch
from assess.items import Form
from assess.session import Release, outcome
from tests import synthetic
from tests.session.driving import NOON, always_right, run

HIGHER = {"id": "x-high", "level": "KD", "theta": 1.0, "status": "adopted", "panel": "made up"}
ALL = {"id": "x-all", "level": "KC", "ratings": dict.fromkeys([f"x-{n:03d}.v1" for n in range(1, 13)], 1.0)}


def first_right(n: int) -> Any:
    return lambda item, position: "b" if position <= n else "a"


def test_each_level_is_decided_at_its_cut_from_one_score() -> None:
    release = synthetic.release(calibrated=True, further=[HIGHER])
    alone = [
        outcome(run(synthetic.release(calibrated=True, cut=cut), first_right(9)), decided_at=NOON)
        for cut in ({}, HIGHER)
    ]
    both = outcome(run(release, first_right(9)), decided_at=NOON)
    # The prior is centred at the form's own cut, so only the first can be compared with a form of its own.
    assert replace(both.decision, cut_id="") == replace(alone[0].decision, cut_id="")
    (level,) = both.levels
    assert (level.level, level.cut_id, both.decision.level) == ("KD", "x-high.v1", "KA")
    assert both.decision.p_at_or_above_cut is not None
    assert level.p_at_or_above_cut is not None
    assert level.p_at_or_above_cut < both.decision.p_at_or_above_cut
    assert both.record["levels"] == [level.record()]
    assert both.decision.provisional
    assert not level.provisional


def test_raw_cuts_of_two_levels_are_each_the_sum_of_their_ratings() -> None:
    release = synthetic.release(further=[ALL])
    found = {n: outcome(run(release, first_right(n)), decided_at=NOON) for n in (7, 8, 11, 12)}
    assert [o.decision.status for o in found.values()] == ["not_passed", "passed", "passed", "passed"]
    assert [o.levels[0].status for o in found.values()] == [
        "not_passed",
        "not_passed",
        "not_passed",
        "passed",
    ]


def test_a_form_with_one_cut_has_the_record_it_always_had() -> None:
    found = outcome(run(synthetic.release(), always_right), decided_at=NOON)
    assert found.levels == ()
    assert "levels" not in found.record


@pytest.mark.parametrize(
    ("further", "error", "message"),
    [
        ([HIGHER | {"level": "KA"}], ActivationRefused, "two cuts for the level KA"),
        ([HIGHER | {"scale": "other/1"}], ScaleMismatch, "other/1"),
        ([HIGHER | {"id": "x-cut"}], InvalidContent, "named once"),
        ([HIGHER | {"thetas": 1}], InvalidContent, "unknown field 'thetas'"),
    ],
)
def test_cuts_that_cannot_stand_together_are_refused(
    further: list[dict[str, Any]], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        synthetic.release(calibrated=True, further=further)


def test_a_raw_cut_without_a_rating_is_refused_by_name() -> None:
    with pytest.raises(ActivationRefused, match=r"cut x-all.v1 has no judged rating for x-001.v1"):
        synthetic.release(further=[ALL | {"ratings": {}}])


def test_a_form_names_the_cuts_that_it_is_given() -> None:
    document = synthetic.document(calibrated=True, further=[HIGHER])
    document["form"]["further_cuts"] = ["x-other.v1"]
    with pytest.raises(ActivationRefused, match=r"further cuts are x-other.v1"):
        Release.from_document(document)


def test_a_form_with_further_cuts_reads_back_as_it_was() -> None:
    form = Form.from_mapping(synthetic.document(further=[ALL])["form"], "here")
    assert Form.from_mapping(form.to_mapping(), "here") == form
    assert "further_cuts" not in Form.from_mapping(synthetic.document()["form"], "here").to_mapping()
