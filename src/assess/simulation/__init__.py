"""Studies with simulated teachers: cohorts through the engine, and the accuracy of forms and badge rules."""

from assess.simulation.accuracy import FormAccuracy, accuracy_after_tries, decide, form_accuracy
from assess.simulation.badges import (
    SENSITIVITY,
    AbilityCorrelation,
    BadgeAccuracy,
    ability_correlation,
    badge_accuracy,
)
from assess.simulation.cohorts import Cohort, Teacher, administer, answers_by_category, true_parameters
from assess.simulation.effects import Effect, effect_of_change
from assess.simulation.expectation import Expectation, expectation, percentiles

__all__ = [
    "SENSITIVITY",
    "AbilityCorrelation",
    "BadgeAccuracy",
    "Cohort",
    "Effect",
    "Expectation",
    "FormAccuracy",
    "Teacher",
    "ability_correlation",
    "accuracy_after_tries",
    "administer",
    "answers_by_category",
    "badge_accuracy",
    "decide",
    "effect_of_change",
    "expectation",
    "form_accuracy",
    "percentiles",
    "true_parameters",
]
