"""Studies with simulated teachers: cohorts through the engine, and the accuracy of forms and badge rules."""

from assess.simulation.accuracy import FormAccuracy, accuracy_after_tries, decide, form_accuracy
from assess.simulation.alternatives import alternative, usual_alternatives
from assess.simulation.badges import (
    SENSITIVITY,
    AbilityCorrelation,
    BadgeAccuracy,
    ability_correlation,
    badge_accuracy,
)
from assess.simulation.cohorts import Cohort, Teacher, administer, answers_by_category, true_parameters
from assess.simulation.confirming import ConfirmationStudy, confirmation_study
from assess.simulation.designing import Design, DesignOptions, design
from assess.simulation.effects import Effect, effect_of_change
from assess.simulation.expectation import Expectation, expectation, percentiles
from assess.simulation.form_runs import FormRun, run_form, with_estimates

__all__ = [
    "SENSITIVITY",
    "AbilityCorrelation",
    "BadgeAccuracy",
    "Cohort",
    "ConfirmationStudy",
    "Design",
    "DesignOptions",
    "Effect",
    "Expectation",
    "FormAccuracy",
    "FormRun",
    "Teacher",
    "ability_correlation",
    "accuracy_after_tries",
    "administer",
    "alternative",
    "answers_by_category",
    "badge_accuracy",
    "confirmation_study",
    "decide",
    "design",
    "effect_of_change",
    "expectation",
    "form_accuracy",
    "percentiles",
    "run_form",
    "true_parameters",
    "usual_alternatives",
    "with_estimates",
]
