"""Simulate, estimate, compare: are the estimates unbiased and the errors honest?

The short form runs a few replications with wide bounds; `make verify` runs the
study as it should be.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from assess.irt.calibration import Beta, CalibrationOptions, calibrate
from assess.irt.models import ItemParameters
from assess.irt.simulate import simulate
from assess.responses import ResponseMatrix

FloatArray = NDArray[np.float64]
OPTIONS = CalibrationOptions()


def bank(model: str, n_items: int, rng: np.random.Generator) -> ItemParameters:
    slopes = np.exp(rng.normal(0.0, 0.3, n_items))
    location = rng.standard_normal((n_items, 1))
    if model in ("GRM", "GPCM"):
        # no category so rare that some sample has none of it
        location = np.clip(location, -1.2, 1.2)
        steps = location + np.array([-1.2, -0.4, 0.4, 1.2])
        return ItemParameters([f"i{j}" for j in range(n_items)], model, slopes, steps)
    lower = rng.uniform(0.1, 0.3, n_items) if model == "3PL" else None
    return ItemParameters([f"i{j}" for j in range(n_items)], model, slopes, location, lower)


def study(model: str, n_persons: int, n_items: int, replications: int, seed: int) -> tuple[float, float]:
    """RMSE over root mean squared error estimate, and coverage of 95 % intervals, over a and steps."""
    rng = np.random.default_rng(seed)
    true = bank(model, n_items, rng)
    priors = {"c": Beta(20.0, 80.0)} if model == "3PL" else None
    gaps, errors = [], []
    for _ in range(replications):
        if model == "3PL":
            # intervals that use a prior are honest over what the prior says, not at each point of it
            lower = rng.beta(20.0, 80.0, n_items)
            true = ItemParameters(true.item_ids, model, true.slopes, true.steps, lower)
        goal = true.to_frame()
        names = [name for name in goal.columns if str(name)[0] in "ab"]
        categories = simulate(true, rng.standard_normal(n_persons), rng)
        calibration = calibrate(
            ResponseMatrix(categories, item_ids=list(true.item_ids)), model, priors=priors
        )
        assert calibration.converged
        frame = calibration.to_frame()
        gaps.append((frame[names] - goal[names]).to_numpy(dtype=float).ravel())
        errors.append(frame[[f"se_{name}" for name in names]].to_numpy(dtype=float).ravel())
    gap, error = np.concatenate(gaps), np.concatenate(errors)
    ratio = float(np.sqrt(np.mean(gap**2) / np.mean(error**2)))
    return ratio, float(np.mean(np.abs(gap) < 1.959964 * error))


@pytest.mark.parametrize("model", ["2PL", "GRM", "GPCM"])
def test_errors_are_honest_in_a_short_study(model: str) -> None:
    ratio, coverage = study(model, 1_000, 20, 5, seed=21)
    assert 0.85 < ratio < 1.15
    assert 0.91 < coverage < 0.985


@pytest.mark.verify
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize(
    ("model", "n_persons", "n_items"),
    [
        ("2PL", 1_000, 40),
        ("2PL", 10_000, 60),
        ("GRM", 2_000, 20),
        ("GPCM", 2_000, 20),
        ("3PL", 5_000, 40),
    ],
)
def test_errors_are_honest_over_a_hundred_replications(model: str, n_persons: int, n_items: int) -> None:
    ratio, coverage = study(model, n_persons, n_items, 100, seed=22)
    print(f"{model} {n_persons} x {n_items}: RMSE / SE {ratio:.3f}, coverage {coverage:.3f}")
    assert 0.95 < ratio < 1.05
    assert 0.93 < coverage < 0.97


def adaptive(
    n_persons: int, n_items: int, length: int, rng: np.random.Generator, *, off: float
) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
    """Sessions that choose among the most informative items at the running EAP.

    `off` scales the noise of the parameters that the sessions believe in.
    """
    slopes = np.exp(rng.normal(0.0, 0.3, n_items))
    difficulty = rng.standard_normal(n_items)
    believed_a = slopes * np.exp(off * rng.standard_normal(n_items))
    believed_b = difficulty + off * rng.standard_normal(n_items)
    theta = 0.4 + 0.8 * rng.standard_normal(n_persons)
    nodes = np.linspace(-4.0, 4.0, 41)
    log_p = -np.logaddexp(0.0, -believed_a * (nodes[:, None] - believed_b))
    log_q = -np.logaddexp(0.0, believed_a * (nodes[:, None] - believed_b))
    information = believed_a**2 * np.exp(log_p + log_q)
    posterior = np.tile(-0.5 * nodes**2, (n_persons, 1))
    responses = np.full((n_persons, n_items), -1)
    persons = np.arange(n_persons)
    for _ in range(length):
        weight = np.exp(posterior - posterior.max(axis=1, keepdims=True))
        at = np.abs((weight @ nodes / weight.sum(axis=1))[:, None] - nodes).argmin(axis=1)
        value = np.where(responses < 0, information[at], -1.0)
        # one of the sixty best, at random: every item is then seen often enough
        best = np.argpartition(-value, 60, axis=1)[:, :60]
        chosen = best[persons, rng.integers(0, 60, n_persons)]
        chosen = np.where(value[persons, chosen] > 0.0, chosen, best[:, 0])
        right = rng.random(n_persons) < 1.0 / (1.0 + np.exp(-slopes[chosen] * (theta - difficulty[chosen])))
        responses[persons, chosen] = right
        posterior += np.where(right[:, None], log_p.T[chosen], log_q.T[chosen])
    return responses, slopes, difficulty


def adaptive_bias(
    n_persons: int, n_items: int, length: int, replications: int, off: float, seed: int
) -> FloatArray:
    """Bias of b and relative bias of a, on the true scale, per third of the difficulties: (2, 3)."""
    rng = np.random.default_rng(seed)
    gaps: list[FloatArray] = []
    for _ in range(replications):
        responses, slopes, difficulty = adaptive(n_persons, n_items, length, rng, off=off)
        used = np.flatnonzero((responses >= 0).sum(axis=0) >= 200)
        calibration = calibrate(
            ResponseMatrix(responses[:, used]), "2PL", options=CalibrationOptions(standard_errors=None)
        )
        assert calibration.converged
        # calibrated with the population at N(0, 1); it is N(0.4, 0.8²)
        a = calibration.parameters.slopes / 0.8
        b = 0.4 + 0.8 * calibration.parameters.steps[:, 0]
        gaps.append(np.stack([difficulty[used], b - difficulty[used], a / slopes[used] - 1.0]))
    joined = np.concatenate(gaps, axis=1)
    order = np.argsort(joined[0])
    return np.stack([part[1:].mean(axis=1) for part in np.array_split(joined[:, order], 3, axis=1)], axis=1)


def test_adaptive_sessions_do_not_bias_the_parameters() -> None:
    bias = adaptive_bias(3_000, 200, 30, 1, 0.0, seed=31)
    assert np.abs(bias[0]).max() < 0.1
    assert np.abs(bias[1]).max() < 0.1


@pytest.mark.verify
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("off", [0.0, 0.1])
def test_adaptive_sessions_do_not_bias_the_parameters_even_from_a_bank_that_is_off(off: float) -> None:
    bias = adaptive_bias(3_000, 300, 30, 10, off, seed=32)
    print(f"bank off by {off:.0%}: bias of b {bias[0].round(3)}, of a {bias[1].round(3)}")
    assert np.abs(bias[0]).max() <= 0.05
    assert np.abs(bias[1]).max() <= 0.05


def test_simulated_learners_are_what_they_are_said_to_be() -> None:
    """The study's own simulator: a check that its sessions adapt at all."""
    responses, _, difficulty = adaptive(200, 100, 20, np.random.default_rng(1), off=0.0)
    assert ((responses >= 0).sum(axis=1) <= 20).all()
    shown: Callable[[int], FloatArray] = lambda i: difficulty[responses[i] >= 0]  # noqa: E731
    spread = np.mean([shown(i).std() for i in range(200)])
    assert spread < difficulty.std()
