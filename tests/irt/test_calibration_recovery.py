"""Simulate, estimate, compare: are the estimates unbiased and the errors honest?

The short form runs a few replications with wide bounds; `make verify` runs the
study as it should be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from assess.irt.calibration import Beta, CalibrationOptions, calibrate
from assess.irt.models import ItemParameters
from assess.irt.simulate import simulate
from assess.responses import ResponseMatrix
from tests.verification import record, replications

FloatArray = NDArray[np.float64]


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


def replication(model: str, n_persons: int, n_items: int, seed: int, number: int) -> dict[str, Any]:
    """One simulated sample: sums of squared gaps and squared errors, and how many intervals cover.

    Per kind of parameter, steps counting as b. The bank is the same in all replications.
    """
    true = bank(model, n_items, np.random.default_rng(seed))
    rng = np.random.default_rng([seed, number])
    priors = {"c": Beta(20.0, 80.0)} if model == "3PL" else None
    if model == "3PL":
        # intervals that use a prior are honest over what the prior says, not at each point of it
        lower = rng.beta(20.0, 80.0, n_items)
        true = ItemParameters(true.item_ids, model, true.slopes, true.steps, lower)
    categories = simulate(true, rng.standard_normal(n_persons), rng)
    calibration = calibrate(ResponseMatrix(categories, item_ids=list(true.item_ids)), model, priors=priors)
    goal, frame = true.to_frame(), calibration.to_frame()
    kinds = {}
    for kind in ("a", "b", "c") if model == "3PL" else ("a", "b"):
        names = [name for name in goal.columns if str(name)[0] == kind]
        gap = (frame[names] - goal[names]).to_numpy(dtype=float)
        error = frame[[f"se_{name}" for name in names]].to_numpy(dtype=float)
        kinds[kind] = [
            float(np.sum(gap**2)),
            float(np.sum(error**2)),
            float(np.sum(np.abs(gap) < 1.959964 * error)),
            gap.size,
        ]
    return {"converged": calibration.converged, "kinds": kinds}


def honesty(found: Sequence[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """RMSE over root mean squared error estimate, and coverage of 95 % intervals, per kind."""
    assert all(one["converged"] for one in found)
    sums = {kind: np.sum([one["kinds"][kind] for one in found], axis=0) for kind in found[0]["kinds"]}
    return {kind: (float(np.sqrt(s[0] / s[1])), float(s[2] / s[3])) for kind, s in sums.items()}


@pytest.mark.parametrize("model", ["2PL", "GRM", "GPCM"])
def test_errors_are_honest_in_a_short_study(model: str) -> None:
    found = honesty([replication(model, 1_000, 20, 21, i) for i in range(5)])
    for ratio, coverage in found.values():
        assert 0.8 < ratio < 1.2
        assert 0.9 < coverage < 0.99


@pytest.mark.verify
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize(
    ("model", "n_persons", "n_items"),
    [
        ("2PL", 1_000, 40),
        ("2PL", 10_000, 60),
        ("GRM", 5_000, 20),
        ("GPCM", 5_000, 20),
        ("3PL", 5_000, 40),
    ],
)
def test_errors_are_honest_over_a_hundred_replications(model: str, n_persons: int, n_items: int) -> None:
    study, seed = f"recovery: {model}, {n_persons:,} x {n_items}, 100 replications", 22
    found = honesty(
        replications(study, 100, lambda i: replication(model, n_persons, n_items, seed, i), seed=seed)
    )
    said = "; ".join(
        f"{kind}: RMSE / SE {ratio:.3f}, coverage {coverage:.1%}" for kind, (ratio, coverage) in found.items()
    )
    record(study, said, seed=seed)
    # c is printed only: its estimate is mostly its prior
    for kind in ("a", "b"):
        ratio, coverage = found[kind]
        assert 0.95 < ratio < 1.05, said
        assert 0.93 < coverage < 0.97, said


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


def adaptive_gaps(n_items: int, off: float, seed: int, number: int) -> list[list[float]]:
    """Difficulty, error of b, relative error of a on the true scale, of items seen 200 times: (3, J)."""
    rng = np.random.default_rng([seed, number])
    responses, slopes, difficulty = adaptive(3_000, n_items, 30, rng, off=off)
    used = np.flatnonzero((responses >= 0).sum(axis=0) >= 200)
    calibration = calibrate(
        ResponseMatrix(responses[:, used]), "2PL", options=CalibrationOptions(standard_errors=None)
    )
    assert calibration.converged
    # calibrated with the population at N(0, 1); it is N(0.4, 0.8²)
    a = calibration.parameters.slopes / 0.8
    b = 0.4 + 0.8 * calibration.parameters.steps[:, 0]
    gaps = [difficulty[used], b - difficulty[used], a / slopes[used] - 1.0]
    return [part.tolist() for part in gaps]


def bias_by_third(found: Sequence[list[list[float]]]) -> FloatArray:
    """Mean error of b and of a per third of the difficulties, (2, 3)."""
    joined = np.concatenate([np.array(one) for one in found], axis=1)
    order = np.argsort(joined[0])
    return np.stack([part[1:].mean(axis=1) for part in np.array_split(joined[:, order], 3, axis=1)], axis=1)


def test_adaptive_sessions_do_not_bias_the_parameters() -> None:
    bias = bias_by_third([adaptive_gaps(200, 0.0, 31, 0)])
    assert np.abs(bias).max() < 0.1


@pytest.mark.verify
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("off", [0.0, 0.1])
def test_adaptive_sessions_do_not_bias_the_parameters_even_from_a_bank_that_is_off(off: float) -> None:
    study, seed = f"adaptive data: 3,000 x 30 of 300, bank off by {off:.0%}, 10 replications", 32
    found = replications(study, 10, lambda i: adaptive_gaps(300, off, seed, i), seed=seed)
    bias = bias_by_third(found)
    b, a = ([f"{value:+.3f}" for value in row] for row in bias.tolist())
    n_items = np.mean([len(one[0]) for one in found])
    said = (
        f"bias by third of difficulty: b {', '.join(b)}; a relative {', '.join(a)}; {n_items:.0f} items each"
    )
    record(study, said, seed=seed)
    assert np.abs(bias).max() <= 0.05, said


def test_simulated_learners_are_what_they_are_said_to_be() -> None:
    """The study's own simulator: a check that its sessions adapt at all."""
    responses, _, difficulty = adaptive(200, 100, 20, np.random.default_rng(1), off=0.0)
    assert ((responses >= 0).sum(axis=1) <= 20).all()
    shown: Callable[[int], FloatArray] = lambda i: difficulty[responses[i] >= 0]  # noqa: E731
    spread = np.mean([shown(i).std() for i in range(200)])
    assert spread < difficulty.std()
