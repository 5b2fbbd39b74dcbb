"""Item response theory: models, calibration, scoring, adaptive testing.

Importing this package loads numpy, models and scoring; everything else, and with it
scipy and pandas, comes when it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

# Eager: `dif` and `simulate` are also names of modules, which would hide functions that came later.
from assess.irt.dif import dif
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

if TYPE_CHECKING:
    from assess.irt.accuracy import ClassificationAccuracy, lee, rudner
    from assess.irt.adaptive import AdaptiveTest, Constraint, StopRule
    from assess.irt.calibration import (
        Beta,
        Calibration,
        CalibrationOptions,
        LogNormal,
        NoPrior,
        Normal,
        calibrate,
        compare,
        reliability,
    )
    from assess.irt.decision_accuracy import (
        RuleAccuracy,
        accuracy_of_outcomes,
        raw_rule_accuracy,
        rule_accuracy,
        rule_outcomes,
    )
    from assess.irt.designed import DesignedTest
    from assess.irt.dif import dif_likelihood_ratio
    from assess.irt.dimensionality import FactorAnalysis, factor_analysis, parallel_analysis, polychoric
    from assess.irt.fit import (
        ModelFit,
        cusum,
        guttman_fit,
        item_fit,
        item_fit_bootstrap,
        local_dependence,
        local_dependence_limit,
        model_fit,
        person_fit,
        person_fit_limits,
    )
    from assess.irt.linking import (
        AnchorDrift,
        DriftRules,
        Link,
        LinkErrors,
        anchor_drift,
        link,
        observed_score_equating,
        operational_drift,
        true_score_equating,
    )
    from assess.irt.pilot_evidence import PilotRules
    from assess.irt.pilots import PilotReview, review_pilot
    from assess.irt.stopping import DesignedStop, Sequential
    from assess.irt.traces import replay, simulate_adaptive

__all__ = [
    "AdaptiveTest",
    "AnchorDrift",
    "Beta",
    "Calibration",
    "CalibrationOptions",
    "ClassificationAccuracy",
    "Constraint",
    "DesignedStop",
    "DesignedTest",
    "DriftRules",
    "FactorAnalysis",
    "ItemParameters",
    "Link",
    "LinkErrors",
    "LogNormal",
    "ModelFit",
    "NoPrior",
    "Normal",
    "ParameterSet",
    "PilotReview",
    "PilotRules",
    "Prior",
    "RuleAccuracy",
    "Sequential",
    "StopRule",
    "accuracy_of_outcomes",
    "anchor_drift",
    "calibrate",
    "category_probabilities",
    "compare",
    "cusum",
    "dif",
    "dif_likelihood_ratio",
    "expected_score",
    "factor_analysis",
    "guttman_fit",
    "information",
    "item_fit",
    "item_fit_bootstrap",
    "lee",
    "link",
    "local_dependence",
    "local_dependence_limit",
    "log_category_probabilities",
    "model_fit",
    "observed_score_equating",
    "operational_drift",
    "parallel_analysis",
    "person_fit",
    "person_fit_limits",
    "polychoric",
    "raw_rule_accuracy",
    "reliability",
    "replay",
    "review_pilot",
    "rudner",
    "rule_accuracy",
    "rule_outcomes",
    "score",
    "score_one",
    "simulate",
    "simulate_adaptive",
    "summed_score_table",
    "test_characteristic",
    "true_score_equating",
]

# Modules that come with their first use, and what is theirs (PEP 562).
_LATER = {
    name: module
    for module, names in {
        "assess.irt.accuracy": ["ClassificationAccuracy", "lee", "rudner"],
        "assess.irt.adaptive": ["AdaptiveTest", "Constraint", "StopRule"],
        "assess.irt.calibration": [
            "Beta",
            "Calibration",
            "CalibrationOptions",
            "LogNormal",
            "NoPrior",
            "Normal",
            "calibrate",
            "compare",
            "reliability",
        ],
        "assess.irt.decision_accuracy": [
            "RuleAccuracy",
            "accuracy_of_outcomes",
            "raw_rule_accuracy",
            "rule_accuracy",
            "rule_outcomes",
        ],
        "assess.irt.designed": ["DesignedTest"],
        "assess.irt.dif": ["dif_likelihood_ratio"],
        "assess.irt.dimensionality": ["FactorAnalysis", "factor_analysis", "parallel_analysis", "polychoric"],
        "assess.irt.fit": [
            "ModelFit",
            "cusum",
            "guttman_fit",
            "item_fit",
            "item_fit_bootstrap",
            "local_dependence",
            "local_dependence_limit",
            "model_fit",
            "person_fit",
            "person_fit_limits",
        ],
        "assess.irt.linking": [
            "AnchorDrift",
            "DriftRules",
            "Link",
            "LinkErrors",
            "anchor_drift",
            "link",
            "observed_score_equating",
            "operational_drift",
            "true_score_equating",
        ],
        "assess.irt.stopping": ["DesignedStop", "Sequential"],
        "assess.irt.pilot_evidence": ["PilotRules"],
        "assess.irt.pilots": ["PilotReview", "review_pilot"],
        "assess.irt.traces": ["replay", "simulate_adaptive"],
    }.items()
    for name in names
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LATER[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
