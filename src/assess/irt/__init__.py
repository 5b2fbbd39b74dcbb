"""Item response theory: models, calibration, scoring, adaptive testing.

Importing this package loads numpy and nothing heavier; scipy, pandas and the
calibration engines come when they are used.
"""

from __future__ import annotations

from assess.irt.models import (
    ItemParameters,
    ParameterSet,
    category_probabilities,
    expected_score,
    information,
    log_category_probabilities,
    test_characteristic,
)

__all__ = [
    "ItemParameters",
    "ParameterSet",
    "category_probabilities",
    "expected_score",
    "information",
    "log_category_probabilities",
    "test_characteristic",
]
