"""Item response theory: models, calibration, scoring, adaptive testing.

Importing this package loads numpy and nothing heavier; scipy, pandas and the
calibration engines come when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assess.irt.accuracy import ClassificationAccuracy, lee, rudner
from assess.irt.adaptive import AdaptiveTest, Constraint, StopRule
from assess.irt.decision_accuracy import (
    RuleAccuracy,
    accuracy_of_outcomes,
    raw_rule_accuracy,
    rule_accuracy,
)
from assess.irt.models import (
    ItemParameters,
    ParameterSet,
    category_probabilities,
    expected_score,
    information,
    log_category_probabilities,
    test_characteristic,
)
from assess.irt.scoring import Prior, score, score_one, summed_score_table
from assess.irt.simulate import simulate
from assess.irt.traces import replay, simulate_adaptive

if TYPE_CHECKING:
    from assess.irt.calibration import Calibration, CalibrationOptions, calibrate

__all__ = [
    "AdaptiveTest",
    "Calibration",
    "CalibrationOptions",
    "ClassificationAccuracy",
    "Constraint",
    "ItemParameters",
    "ParameterSet",
    "Prior",
    "RuleAccuracy",
    "StopRule",
    "accuracy_of_outcomes",
    "calibrate",
    "category_probabilities",
    "expected_score",
    "information",
    "lee",
    "log_category_probabilities",
    "raw_rule_accuracy",
    "replay",
    "rudner",
    "rule_accuracy",
    "score",
    "score_one",
    "simulate",
    "simulate_adaptive",
    "summed_score_table",
    "test_characteristic",
]

# Names whose modules load more than numpy, and where they live (PEP 562).
_LATER = {
    "Calibration": "assess.irt.calibration",
    "CalibrationOptions": "assess.irt.calibration",
    "calibrate": "assess.irt.calibration",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LATER[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
