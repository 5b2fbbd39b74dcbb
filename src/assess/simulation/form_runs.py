"""Simulated learners through a form, decided as production decides: from abilities to outcomes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from assess.irt.decision_accuracy import rule_outcomes
from assess.irt.parameters import FloatArray, IntArray, ItemParameters
from assess.irt.scoring import score
from assess.irt.simulate import simulate
from assess.irt.traces import simulate_adaptive
from assess.items import DecisionRule
from assess.session import Release

PASSED, UNDETERMINED, NOT_PASSED = 1, 0, -1
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class FormRun:
    """What happened to N simulated learners.

    Parameters
    ----------
    units, categories : arrays (N, T)
        What was given in order (rows of the parameters), and how it was answered; -1 after the end.
    outcomes : array (N,)
        1 passed, 0 undetermined, -1 not passed.
    theta, se : arrays (N,)
        The estimate of a form whose units depend on the answers; nan for a fixed one, see `with_estimates`.
    reasons : tuple of str (N,)
        Why the test ended, before any extension; "form" for a fixed or multistage one.
    extensions : array (N,)
        How often each was extended.
    path : array (N,)
        Of a multistage form, index into `MultistageTest.paths`; -1 for others.
    """

    units: IntArray
    categories: NDArray[np.int8]
    outcomes: NDArray[np.int8]
    theta: FloatArray
    se: FloatArray
    reasons: tuple[str, ...]
    extensions: IntArray
    path: IntArray

    def __repr__(self) -> str:
        return f"<FormRun: {len(self.outcomes):,} learners, {self.n_units.mean():.1f} units on average>"

    @property
    def n_units(self) -> IntArray:
        """Units given to each learner, (N,)."""
        return np.asarray((self.units >= 0).sum(axis=1))

    def given(self, n_units: int) -> BoolArray:
        """Which units each learner met, (N, J)."""
        out = np.zeros((len(self.units), n_units), dtype=bool)
        rows, steps = np.nonzero(self.units >= 0)
        out[rows, self.units[rows, steps]] = True
        return out


def run_form(
    release: Release,
    theta: ArrayLike,
    rng: np.random.Generator,
    *,
    answering: ItemParameters | None = None,
    try_number: int = 1,
) -> FormRun:
    """Give a form to learners with known thetas, with all extensions that it allows.

    Every learner answers everything that is offered, and goes on wherever the
    form lets an undetermined session go on.

    Parameters
    ----------
    release : Release
    theta : array (N,)
        True values, on the release's scale.
    rng : numpy.random.Generator
    answering : ItemParameters, optional
        By which they answer, if not by the parameters of the release.
    try_number : int
        Which try, where the retake policy asks more of later ones.

    Examples
    --------
    >>> run = run_form(release, [-3.0, 3.0], np.random.default_rng(1))
    >>> run.outcomes.tolist(), run.n_units.tolist()
    ([-1, 1], [12, 12])
    """
    persons = np.atleast_1d(np.asarray(theta, dtype=float))
    answers = release.parameters if answering is None else answering
    rule = release.form.rule_at(try_number)
    if release.form.kind == "adaptive":
        return _adaptive(release, persons, answers, rng, try_number)
    if release.form.kind == "multistage":
        return _multistage(release, persons, answers, rng, rule)
    categories = simulate(answers, persons, rng) if len(persons) else np.empty((0, len(answers)), np.int8)
    n, j = categories.shape
    nothing = np.full(n, np.nan)
    return FormRun(
        units=np.tile(np.arange(j), (n, 1)),
        categories=categories.astype(np.int8),
        outcomes=_decided(release, categories, rule),
        theta=nothing,
        se=nothing,
        reasons=("form",) * n,
        extensions=np.zeros(n, dtype=np.int64),
        path=_no_path(n),
    )


def with_estimates(release: Release, run: FormRun) -> FormRun:
    """A run with the theta and standard error of its form's scoring; EAP where the form decides by raw score.

    Examples
    --------
    >>> run = with_estimates(release, run_form(release, [0.0, 3.0], np.random.default_rng(1)))
    >>> bool(run.theta[0] < run.theta[1])
    True
    """
    if release.form.kind != "fixed":
        return run
    import pandas as pd

    frame = pd.DataFrame(run.categories, columns=list(release.parameters.item_ids))
    scored = score(frame, release.parameters, method=_method(release), prior=release.prior)
    return replace(
        run, theta=scored["theta"].to_numpy(dtype=np.float64), se=scored["se"].to_numpy(dtype=np.float64)
    )


# --- inside -------------------------------------------------------------------


def _adaptive(
    release: Release,
    persons: FloatArray,
    answers: ItemParameters,
    rng: np.random.Generator,
    try_number: int,
) -> FormRun:
    rule = release.form.rule_at(try_number)
    run = simulate_adaptive(release.adaptive_test_at(try_number), persons, rng, answering=answers)
    theta, se, above = run.theta.copy(), run.se.copy(), run.p_above.copy()
    units, categories = run.units, run.categories
    extensions = np.zeros(len(persons), dtype=np.int64)
    for number, extended in enumerate(release.extended_tests_at(try_number), start=1):
        outcomes = _by_posterior(release, theta, above, rule)
        rows = np.flatnonzero((outcomes == UNDETERMINED) & (extensions == number - 1))
        more, given, final = extended.simulate(
            units[rows], categories[rows], persons[rows], rng, answering=answers
        )
        # With fewer units left than an extension has at least, none is offered.
        offered = (more >= 0).sum(axis=1) >= extended.rule.min_units
        rows, more, given, final = rows[offered], more[offered], given[offered], final[:, offered]
        added = np.full((len(persons), more.shape[1]), -1, dtype=np.int64)
        answered = np.full(added.shape, -1, dtype=np.int8)
        added[rows], answered[rows] = more, given
        units = np.concatenate([units, added], axis=1)
        categories = np.concatenate([categories, answered], axis=1)
        theta[rows], se[rows], above[rows] = final
        extensions[rows] = number
    return FormRun(
        units,
        categories,
        _by_posterior(release, theta, above, rule),
        theta,
        se,
        run.reasons,
        extensions,
        _no_path(len(persons)),
    )


def _multistage(
    release: Release,
    persons: FloatArray,
    answers: ItemParameters,
    rng: np.random.Generator,
    rule: DecisionRule,
) -> FormRun:
    run, n = release.multistage_test.simulate(persons, rng, answering=answers), len(persons)
    outcomes = _by_posterior(release, run.theta, run.p_above, rule)
    extensions = np.zeros(n, dtype=np.int64)
    return FormRun(
        run.units, run.categories, outcomes, run.theta, run.se, ("form",) * n, extensions, run.path
    )


def _no_path(n: int) -> IntArray:
    return np.full(n, -1, dtype=np.int64)


def _method(release: Release) -> Literal["EAP", "WL"]:
    return "WL" if release.form.scoring == "WL" else "EAP"


def _by_posterior(
    release: Release, theta: FloatArray, above: FloatArray, rule: DecisionRule
) -> NDArray[np.int8]:
    # Judged parameters have no probability that could be defended; the point estimate decides.
    if rule.kind == "point" or not release.calibrated:
        return _by_point(theta, release.cut.theta)
    # Nine digits, as `decide` compares them.
    rounded = np.round(above, 9)
    passed = (rounded >= rule.p_pass).astype(np.int8)
    # A placement passes or leaves open; it fails nobody.
    return passed if rule.kind == "placement" else np.asarray(passed - (rounded <= rule.p_fail))


def _by_point(theta: FloatArray, cut: float) -> NDArray[np.int8]:
    return np.where(np.round(theta, 9) >= round(cut, 9), PASSED, NOT_PASSED).astype(np.int8)


def _decided(release: Release, categories: NDArray[np.int8], rule: DecisionRule) -> NDArray[np.int8]:
    """Outcomes of a fixed form, every unit answered."""
    if not len(categories):
        return np.empty(0, dtype=np.int8)
    parameters = release.parameters
    if rule.kind == "raw":
        passed = categories.sum(axis=1) >= release.raw_cut
        return np.where(passed, PASSED, NOT_PASSED).astype(np.int8)
    if rule.kind == "probability":
        return rule_outcomes(
            categories,
            parameters,
            release.cut.theta,
            prior=release.prior,
            p_pass=rule.p_pass,
            p_fail=rule.p_fail,
        )
    import pandas as pd

    # A frame of simulated learners may well have more items than persons.
    frame = pd.DataFrame(categories, columns=list(parameters.item_ids))
    scored = score(frame, parameters, method=_method(release), prior=release.prior)
    return _by_point(scored["theta"].to_numpy(dtype=np.float64), release.cut.theta)
