"""A form that states a target goes live on a study that meets it, or on an exception of two persons."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from assess.delivery.service import activations
from assess.delivery.store import reading
from assess.errors import ActivationRefused, Forbidden, InvalidRequest
from tests import synthetic
from tests.delivery.world import World, refused


def _document(*, calibrated: bool = True, **target: float) -> dict[str, Any]:
    rule = {"kind": "probability" if calibrated else "raw"}
    return synthetic.document(calibrated=calibrated, form={"target": target, "rule": rule, "review": "none"})


def _activate(world: World, document: Mapping[str, Any], **more: Any) -> Any:
    return world.run(activations.activate, world.admin, document=dict(document), reason="x", **more)


def _evidence(world: World) -> dict[str, Any]:
    found = world.ask(reading.activations, "default")[-1].evidence
    assert isinstance(found, dict)
    return found


def test_a_form_that_meets_its_target_goes_live_with_its_design(world: World) -> None:
    _activate(world, _document(accuracy=0.5, false_pass_rate=0.4))
    kept = _evidence(world)
    assert kept["target"] == {"asked": {"accuracy": 0.5, "false_pass_rate": 0.4}, "missed": []}
    assert kept["accuracy"]["accuracy"] > 0.5
    assert len(kept["design"]["by_theta"]) == 25
    # Two studies of one form: the design's accuracy is that of the gate, within four standard errors.
    assert kept["design"]["accuracy"]["accuracy"] == pytest.approx(kept["accuracy"]["accuracy"], abs=0.06)


def test_a_form_that_misses_its_target_stays_out_and_hears_by_how_much(world: World) -> None:
    before = len(world.ask(reading.activations, "default"))
    with pytest.raises(ActivationRefused, match=r"accuracy is 0\.\d+, at least 0\.99 is asked.*approved_by"):
        _activate(world, _document(accuracy=0.99))
    assert len(world.ask(reading.activations, "default")) == before


def test_an_exception_is_signed_by_a_second_person_and_kept(world: World) -> None:
    document = _document(undetermined=0.01)
    for second in (None, world.admin.actor):
        with pytest.raises(Forbidden, match="another person"):
            _activate(world, document, exception="the next bank is late", approved_by=second)
    _activate(world, document, exception=" the next bank is late ", approved_by="B")
    kept = _evidence(world)["target"]
    assert kept["exception"] == "the next bank is late"
    assert (kept["by"], kept["approved_by"]) == (world.admin.actor, "B")
    assert kept["missed"][0].startswith("undetermined is ")


def test_judged_parameters_cannot_meet_a_target(world: World) -> None:
    document = _document(calibrated=False, accuracy=0.5)
    with pytest.raises(ActivationRefused, match="no accuracy that could be defended"):
        _activate(world, document)
    _activate(world, document, exception="to calibrate it", approved_by="B")
    assert "accuracy" not in _evidence(world)


def test_a_confirming_form_without_the_form_that_it_confirms_stays_out(world: World) -> None:
    document = synthetic.confirming().document
    with pytest.raises(ActivationRefused, match="rests on judged parameters"):
        # The fixed form that is live here decides by a raw score on judged parameters.
        _activate(world, document)
    other = json.loads(json.dumps(document))
    other["form"]["confirms"]["forms"] = ["x-other"]
    with pytest.raises(ActivationRefused, match="confirms x-other, which is not live"):
        _activate(world, other)
    with pytest.raises(InvalidRequest, match="states no target"):
        _activate(world, document, exception="why not", approved_by="B")


def test_a_form_without_a_target_has_no_gate(world: World) -> None:
    _activate(world, synthetic.document(n_items=6))
    with pytest.raises(InvalidRequest, match="states no target"):
        _activate(world, synthetic.document(n_items=6), exception="x", approved_by="B")


def test_an_exception_from_a_target_that_is_met_is_refused(world: World) -> None:
    with pytest.raises(InvalidRequest, match="meets its target"):
        _activate(world, _document(accuracy=0.5), exception="x", approved_by="B")


def test_nobody_brings_the_study_of_his_own_form(world: World) -> None:
    claimed = {"accuracy": {"accuracy": 1.0}, "target": {"missed": []}, "design": {}, "note": "kept"}
    with pytest.raises(ActivationRefused, match="does not meet its target"):
        _activate(world, _document(accuracy=0.99), evidence=claimed)
    _activate(world, _document(accuracy=0.5), evidence=claimed)
    kept = _evidence(world)
    assert kept["note"] == "kept"
    assert kept["accuracy"]["accuracy"] < 1.0
    assert kept["design"]


def test_the_gate_stands_on_http_too(world: World) -> None:
    body = {"document": _document(accuracy=0.99), "reason": "x"}
    told = refused(world.call("POST", "/v1/activations", body), 422, "field_invalid")
    assert "does not meet its target" in told["detail"]
    signed = body | {"exception": "for a trial", "approved_by": "B"}
    assert world.call("POST", "/v1/activations", signed).status_code == 201
    # Live again later, it needs its exception again.
    known = world.ask(reading.activations, "default")[-1].release
    again = {"release": known, "reason": "back"}
    refused(world.call("POST", "/v1/activations", again), 422, "field_invalid")
    assert world.call("POST", "/v1/activations", again | {"exception": "y", "approved_by": "B"}).is_success
