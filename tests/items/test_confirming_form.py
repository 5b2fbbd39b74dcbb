"""What a form that confirms may say, and what it cannot mean."""

from __future__ import annotations

from typing import Any

import pytest

from assess.errors import InvalidContent
from assess.items import Form
from tests import synthetic

CONFIRMS: dict[str, Any] = {"forms": ["x-fixed"], "loss": 1.0, "alpha": 0.05, "beta": 0.1}
RULES: dict[str, Any] = {"min_units": 3, "max_units": 6, "certainty": False}


def form(**changes: Any) -> Form:
    stated = {"id": "x-confirming", "confirms": CONFIRMS, "adaptive": RULES} | changes
    return Form.from_mapping(synthetic.document(kind="adaptive", form=stated)["form"], "f")


def test_a_confirming_form_reads_back_equal() -> None:
    made = form()
    assert Form.from_mapping(made.to_mapping(), "f") == made
    assert made.confirms is not None
    assert made.confirms.within_days == 90


def test_a_form_that_confirms_nothing_keeps_its_document() -> None:
    plain = Form.from_mapping(synthetic.document()["form"], "f")
    assert plain.confirms is None
    assert "confirms" not in plain.to_mapping()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"forms": []}, "confirms: forms: name the forms"),
        ({"forms": ["x-fixed", "x-fixed"]}, "each once"),
        ({"forms": ["x-confirming"]}, "cannot confirm itself"),
        ({"loss": 0.0}, "confirms: loss: 0.0 is no loss"),
        ({"alpha": 0.5}, "confirms: alpha: 0.5 is no error rate"),
        ({"beta": 0.0}, "confirms: beta: 0.0 is no error rate"),
        ({"within_days": 0}, "within_days"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_with_its_place(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidContent, match=said):
        form(confirms=CONFIRMS | changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"time_limit_minutes": None}, "time_limit_minutes: .*state its time"),
        ({"target": {"accuracy": 0.9}}, "target: a confirming form decides nothing"),
        ({"extension": {}}, "extension: a confirming form decides nothing"),
        ({"further_cuts": ["y.v1"]}, "further_cuts: a confirming form decides nothing"),
        ({"rule": {"kind": "point"}}, "rule: a confirming form decides nothing"),
        ({"release": "after_standard"}, "release: .*no results to hold"),
        ({"feedback": "rationales"}, "feedback: .*gives no rationales"),
        ({"adaptive": RULES | {"certainty": True}}, "adaptive.certainty: .*say false"),
        ({"adaptive": RULES | {"se": 0.3}}, "adaptive.se: .*leave it out"),
        ({"adaptive": RULES | {"selection": "KL"}}, "adaptive.selection: .*leave it out"),
        ({"adaptive": RULES | {"content": "shadow"}}, "adaptive.content: .*leave it out"),
        ({"adaptive": RULES | {"exposure": {"target": 0.9}}}, "adaptive.exposure: .*leave it out"),
    ],
)
def test_what_a_confirming_form_cannot_mean_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidContent, match=said):
        form(**changes)


def test_a_fixed_form_cannot_confirm() -> None:
    with pytest.raises(InvalidContent, match="only an adaptive form confirms"):
        Form.from_mapping(synthetic.document(form={"confirms": CONFIRMS})["form"], "f")
