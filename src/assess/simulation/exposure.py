r"""Exposure of units: how often sessions meet them, and the probabilities that keep it below a target.

A unit is open to a session with probability :math:`k_j`, drawn once before the
session starts. With :math:`P_j` the share of sessions that meet the unit, one
round of simulation gives

.. math:: k_j \leftarrow \min(1,\; r\, k_j / P_j)

for the aim r: of Sympson & Hetter the rule :math:`k_j = r / P(S_j)`, since
:math:`P(S_j) = P_j / k_j`, and the update by which units are made eligible for
shadow tests. r lies below the target by two standard errors of a share among so
many learners, and after some rounds only half of each step (on the log scale)
is taken: the exposures of a simulation swing, and of many units at the target
some would lie above it with other learners. Rounds go on until no exposure is
above the target by more than a tolerance; the round that came nearest is kept.

References
----------
Sympson & Hetter (1985), Proceedings of the 27th meeting of the Military Testing Association, 973-977.
van der Linden & Veldkamp (2004), *Journal of Educational and Behavioral Statistics* 29, 273-291,
doi:10.3102/10769986029003273.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from assess.errors import InvalidParameters
from assess.irt.batch import Answers, Kernel
from assess.irt.models import ItemParameters
from assess.irt.traces import AdaptiveRun
from assess.items import AdaptiveRules, ExposureRule, Form
from assess.progress import Progress, silent
from assess.session import Release, chance, kept_closed

FloatArray = NDArray[np.float64]
_FLOOR = 0.01
_WHOLE_STEPS = 4


def simulate_sessions(
    release: Release,
    theta: ArrayLike,
    seeds: Sequence[str],
    rng: np.random.Generator,
    *,
    answering: ItemParameters | None = None,
) -> AdaptiveRun:
    """Learners through an adaptive form, each with the choices that a session with this seed would make.

    Parameters
    ----------
    release : Release
        Of an adaptive form.
    theta : array (N,)
        True values.
    seeds : sequence of str (N,)
        128 bits as 32 hexadecimal digits, as a session draws them.
    rng : numpy.random.Generator
        For the answers.
    answering : ItemParameters, optional
        By which learners answer; the parameters of the release unless given.

    Examples
    --------
    >>> from tests import synthetic
    >>> cat = synthetic.release(kind="adaptive", calibrated=True, n_items=15)
    >>> simulate_sessions(cat, [0.0], ["0f" * 16], np.random.default_rng(1)).n_units.tolist()
    [8]
    """
    test = release.adaptive_test
    persons = np.atleast_1d(np.asarray(theta, dtype=float))
    if len(seeds) != len(persons):
        raise InvalidParameters(f"{len(seeds)} seeds for {len(persons)} learners; give one each")
    longest = min(test.stop.max_units, len(test.parameters))
    draws = rng.random((len(persons), longest, 2))
    draws[:, :, 0] = [[chance(seed, "select", step) for step in range(longest)] for seed in seeds]
    place = {unit.reference: u for u, unit in enumerate(release.units)}
    closed = np.zeros((len(persons), len(place)), dtype=bool)
    for row, seed in enumerate(seeds):
        closed[row, [place[unit] for unit in kept_closed(release, seed, ())]] = True
    answers = Answers(answering or test.parameters)
    return AdaptiveRun.of(*Kernel(test).run(answers, persons, draws, closed=closed))


def exposure_of(run: AdaptiveRun, n_units: int) -> FloatArray:
    """Share of examinees who met each unit, (J,).

    Examples
    --------
    >>> import numpy as np
    >>> none = np.zeros(2)
    >>> met = np.array([[0, 1], [0, -1]])
    >>> exposure_of(AdaptiveRun(met, met, none, none, none, none, ("", "")), 3).tolist()
    [1.0, 0.5, 0.0]
    """
    given = run.units[run.units >= 0]
    return np.bincount(given, minlength=n_units) / len(run.units)


@dataclass(frozen=True, eq=False)
class ExposureTable:
    """The probabilities of a form, and what they were found to do.

    Parameters
    ----------
    rule : ExposureRule
        Target and probabilities, with how they were made; the next version of the form states it.
    exposure : array (J,)
        Share of simulated sessions that met each unit under them.
    rounds : int
        How many rounds of simulation were made.
    converged : bool
        Whether no exposure is above the target by more than the tolerance.
    """

    rule: ExposureRule
    exposure: FloatArray
    rounds: int
    converged: bool

    def __repr__(self) -> str:
        reached = "reached" if self.converged else "not reached"
        return (
            f"<ExposureTable: target {self.rule.target:g} {reached}, "
            f"largest exposure {self.exposure.max():.3f} after {self.rounds} rounds>"
        )

    def form(self, form: Form) -> Form:
        """The next version of a form, with these probabilities; a published form is never edited."""
        assert form.adaptive is not None
        return replace(form, version=form.version + 1, adaptive=replace(form.adaptive, exposure=self.rule))


def exposure_table(
    release: Release,
    target: float,
    theta: ArrayLike,
    seed: int,
    *,
    tolerance: float = 0.005,
    max_rounds: int = 25,
    progress: Progress = silent,
) -> ExposureTable:
    """Compute the probabilities that keep every unit of an adaptive form below a share of the sessions.

    Parameters
    ----------
    release : Release
        Of an adaptive form; probabilities that it has already are where the search starts.
    target : float
        The largest share of sessions that may meet a unit.
    theta : array (N,)
        Learners as they are expected to come; the probabilities hold for such a population.
    seed : int
        Of the simulation; it goes into `made`.
    tolerance : float
        By how much an exposure may exceed the target in the simulation.

    Raises
    ------
    InvalidParameters
        The form is not adaptive, or the target is lower than any test of its units can keep.

    Examples
    --------
    >>> from tests import synthetic
    >>> cat = synthetic.release(kind="adaptive", calibrated=True, n_items=24)
    >>> table = exposure_table(cat, 0.6, np.random.default_rng(1).normal(size=200), seed=1, tolerance=0.05)
    >>> table.converged, table.rule.made["learners"]
    (True, 200)
    """
    rules = release.form.adaptive
    if rules is None:
        raise InvalidParameters(f"{release.form.reference} is not adaptive, so it chooses no unit")
    persons = np.atleast_1d(np.asarray(theta, dtype=float))
    n_units = len(release.units)
    anchors = np.array([unit.reference in rules.anchors for unit in release.units])
    least = rules.min_units / n_units
    if not least < target <= 1.0:
        raise InvalidParameters(
            f"a target of {target:g} cannot be kept: {rules.min_units} of {n_units} units in every session "
            f"are a share of {least:.3f}"
        )
    rng = np.random.default_rng(seed)
    known = {} if rules.exposure is None else rules.exposure.probabilities
    k = np.array([known.get(unit.reference, 1.0) for unit in release.units])
    aim = max(target - 2.0 * math.sqrt(target * (1.0 - target) / len(persons)), 0.5 * (target + least))
    best: tuple[float, FloatArray, FloatArray] | None = None
    rounds = 0
    for rounds in range(1, max_rounds + 1):
        seeds = [rng.bytes(16).hex() for _ in persons]
        run = simulate_sessions(_with(release, rules, target, k), persons, seeds, rng)
        met = exposure_of(run, n_units)
        excess = float(np.where(anchors, 0.0, met).max()) - target
        if best is None or excess < best[0]:
            best = excess, k, met
        progress(rounds, max_rounds, f"largest exposure {excess + target:.3f}")
        if excess <= tolerance:
            break
        change = aim / np.where(met > 0.0, met, aim)
        k = np.where(
            met > 0.0, np.minimum(1.0, k * (change if rounds <= _WHOLE_STEPS else np.sqrt(change))), 1.0
        )
        k = np.where(anchors, 1.0, np.maximum(k, _FLOOR))
    assert best is not None
    excess, k, met = best
    made = {
        "method": "Sympson-Hetter",
        "seed": seed,
        "learners": len(persons),
        "rounds": rounds,
        "largest_exposure": round(float(met.max()), 4),
    }
    return ExposureTable(_rule(release, target, k, made), met, rounds, excess <= tolerance)


def _rule(release: Release, target: float, k: FloatArray, made: dict[str, object]) -> ExposureRule:
    probabilities = {
        unit.reference: round(float(value), 4)
        for unit, value in zip(release.units, k, strict=True)
        if round(float(value), 4) < 1.0
    }
    return ExposureRule(target, probabilities, made)


def _with(release: Release, rules: AdaptiveRules, target: float, k: FloatArray) -> Release:
    """The same release under other probabilities, for simulation only: it has not been activated."""
    form = replace(release.form, adaptive=replace(rules, exposure=_rule(release, target, k, {})))
    return replace(release, form=form)
