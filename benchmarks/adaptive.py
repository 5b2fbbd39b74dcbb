"""Speed of adaptive testing, alone and beside catsim and Python mirt where they are installed.

    python benchmarks/adaptive.py [--learners 10000] [--peers 20]

A step is an update and a choice, by maximum information over 1,000 units. The
peers run the same number of steps for a few learners. Times are processor
times, which a busy machine lengthens too; ratios of one run hold. Python mirt and catsim are no dependency;
an environment of their own has them:

    python3.11 -m venv /tmp/peers
    /tmp/peers/bin/python -m pip install catsim==0.21.0 mirt==1.2.0 highspy pandas scipy
    PYTHONPATH=src /tmp/peers/bin/python benchmarks/adaptive.py
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from assess.irt import AdaptiveTest, Constraint, ItemParameters, StopRule
from assess.irt.batch import Answers, Kernel
from assess.irt.designed import DesignedTest
from assess.irt.stopping import DesignedStop

N_UNITS, N_STEPS = 1_000, 30


def bank(n_units: int, rng: np.random.Generator) -> ItemParameters:
    return ItemParameters(
        [f"i{j}" for j in range(n_units)],
        "2PL",
        rng.lognormal(0.0, 0.3, n_units),
        rng.normal(size=(n_units, 1)),
    )


def content(
    n_units: int, rng: np.random.Generator, n_areas: int = 6, n_processes: int = 3
) -> list[Constraint]:
    area, process = rng.integers(0, n_areas, n_units), rng.integers(0, n_processes, n_units)
    found = [Constraint(f"area {k}", area == k, 3, 8) for k in range(n_areas)]
    return found + [Constraint(f"process {k}", process == k, 6, 14) for k in range(n_processes)]


def seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def batched(n_learners: int, rng: np.random.Generator) -> tuple[float, float]:
    """Microseconds of a plain step, amortised, and seconds of the whole design task."""
    items, constraints = bank(N_UNITS, rng), content(N_UNITS, rng)
    theta, draws = rng.normal(size=n_learners), rng.random((n_learners, N_STEPS, 2))
    closed = rng.random((n_learners, N_UNITS)) < 0.3
    answers = Answers(items)
    plain = Kernel(AdaptiveTest(items, stop=StopRule(N_STEPS, N_STEPS)))
    full = Kernel(AdaptiveTest(items, constraints=constraints, stop=StopRule(N_STEPS, N_STEPS)))
    for kernel in (plain, full):
        kernel.run(answers, theta[:10], draws[:10])
    part = max(n_learners // 10, 10)
    steps = [
        1e6
        * seconds(lambda k=k: plain.run(answers, theta[k : k + part], draws[k : k + part]))
        / part
        / N_STEPS
        for k in range(0, n_learners - part + 1, part)
    ]
    wholes = [seconds(lambda: full.run(answers, theta, draws, closed=closed)) for _ in range(3)]
    return float(np.median(steps)), float(np.median(wholes))


def engine_release(rng: np.random.Generator) -> Any:
    """An adaptive form of 30 of 1,000 items under six codes and three processes."""
    from assess.session import Release
    from tests import synthetic

    codes = ("TL.3.a", "TL.3.b", "TL.3.c", "TL.4.a", "TL.4.b", "TL.4.d")
    processes = ("recall", "apply", "analyse")
    document = synthetic.document(kind="adaptive", calibrated=True, n_items=N_UNITS)
    for item in document["items"].values():
        item["process"] = processes[rng.integers(3)]
        item["alignments"][0]["code"] = codes[rng.integers(6)]
    parameters = ItemParameters(
        list(document["items"]), "2PL", rng.lognormal(0.0, 0.3, N_UNITS), rng.normal(size=(N_UNITS, 1))
    )
    document["parameter_set"]["items"] = parameters.to_records()
    form = document["form"]
    form["adaptive"] = {"min_units": N_STEPS, "max_units": N_STEPS, "certainty": False, "randomesque": 1}
    form["blueprint"] = [
        {"label": c, "minimum": 3, "maximum": 8, "framework": "unesco-ict-cft", "version": "2", "code": c}
        for c in codes
    ] + [{"label": p, "minimum": 6, "maximum": 14, "process": p} for p in processes]
    return Release.from_document(document)


def engine(rng: np.random.Generator, n_learners: int = 20) -> tuple[float, float]:
    """Microseconds of `session.step` after an answer: the median as it comes, and with warm caches.

    Each state is made anew five times, as an answer makes it; the best of the five is the second figure.
    """
    from assess.session import answer, fold, start, step, with_offer, with_response

    release, now = engine_release(rng), datetime(2026, 1, 1, tzinfo=UTC)
    found = []
    for learner in range(n_learners + 1):
        record = start(release, session="s", learner="l", seed=rng.bytes(16).hex(), now=now)
        offered, given = fold(release, record, (), ()), None
        while True:
            times = []
            for _ in range(5):
                state = offered if given is None else with_response(offered, given)
                started = time.process_time_ns()
                due = step(state, now)
                times.append(1e-3 * (time.process_time_ns() - started))
            if learner:
                found.append((times[0], min(times)))
            if due.offer is None:
                break
            offered = with_offer(state, due.offer, now)
            given = answer(
                offered,
                position=offered.position,
                item=release.items[due.offer].id,
                revision=1,
                raw="ab"[int(rng.random() < 0.5)],
                now=now,
                salt="0" * 32,
            )
    first, warm = np.median(found, axis=0)
    return float(first), float(warm)


def shadow(rng: np.random.Generator) -> str:
    """Milliseconds of a step of a shadow test: 500 units, 30 constraints of which one is time."""
    n_units, length = 500, 30
    constraints = content(n_units, rng, 8, 4)
    constraints = [Constraint(c.label, c.coefficients, 2, 16) for c in constraints]
    kinds = rng.integers(0, 5, n_units)
    constraints += [Constraint(f"format {k}", kinds == k, 2, 12) for k in range(5)]
    constraints.append(Constraint("seconds", rng.uniform(30.0, 120.0, n_units), 0.0, 2_100.0))
    enemies = [rng.choice(n_units, 3, replace=False).tolist() for _ in range(12)]
    test = DesignedTest(
        bank(n_units, rng),
        constraints=constraints,
        enemies=enemies,
        stop=DesignedStop(length, length),
        shadow=True,
    )
    found = []
    for learner in range(6):
        done: list[tuple[int, int]] = []
        for _ in range(length):
            started = time.process_time()
            unit = test.choose(done, u=0.0)
            found.append(1e3 * (time.process_time() - started))
            assert unit is not None
            done.append((unit, int(rng.random() < (learner + 1) / 7)))
    low, high = np.median(found), np.quantile(found, 0.95)
    return f"shadow test, 500 units, 30 constraints: median {low:.1f} ms, 95 % below {high:.1f} ms"


def peers(n_learners: int, rng: np.random.Generator) -> dict[str, float]:
    """Microseconds of a step by each peer that is installed."""
    items = bank(N_UNITS, rng)
    found: dict[str, float] = {}
    try:
        from catsim.estimation import NumericalSearchEstimator
        from catsim.item_bank import ItemBank
        from catsim.selection import MaxInfoSelector
    except ImportError:
        pass
    else:
        table = ItemBank(np.column_stack([items.slopes, items.steps[:, 0], items.lower, items.upper]))
        selector, estimator = MaxInfoSelector(), NumericalSearchEstimator()

        def run_catsim() -> None:
            for theta in rng.normal(size=n_learners):
                given: list[int] = []
                right: list[bool] = []
                estimate = 0.0
                for _ in range(N_STEPS):
                    unit = selector.select(item_bank=table, administered_items=given, est_theta=estimate)
                    given.append(int(unit))
                    p = 1.0 / (1.0 + np.exp(-items.slopes[unit] * (theta - items.steps[unit, 0])))
                    right.append(bool(rng.random() < p))
                    estimate = estimator.estimate(
                        item_bank=table, administered_items=given, response_vector=right, est_theta=estimate
                    )

        found["catsim"] = 1e6 * seconds(run_catsim) / n_learners / N_STEPS
    try:
        from mirt import CATEngine
        from mirt.models import TwoParameterLogistic
    except ImportError:
        pass
    else:
        model = TwoParameterLogistic(n_items=N_UNITS)
        model.set_parameters(discrimination=items.slopes.copy(), difficulty=items.steps[:, 0].copy())
        model._is_fitted = True
        engine = CATEngine(model, max_items=N_STEPS, min_items=N_STEPS, se_threshold=1e-9)

        def run_mirt() -> None:
            for _ in range(n_learners):
                engine.reset()
                for _ in range(N_STEPS):
                    engine.select_next_item()
                    engine.administer_item(int(rng.random() < 0.5))

        found["Python mirt"] = 1e6 * seconds(run_mirt) / n_learners / N_STEPS
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--learners", type=int, default=10_000)
    parser.add_argument("--peers", type=int, default=5, help="learners that the peers take")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    step, whole = batched(options.learners, rng)
    print(f"a step in the kernel, {N_UNITS:,} units, maximum information: {step:.1f} microseconds, amortised")
    print(
        f"{options.learners:,} learners x {N_STEPS} of {N_UNITS:,} units, priority index, 9 constraints, "
        f"exposure control: {whole:.2f} s"
    )
    first, warm = engine(rng)
    print(f"session.step, {N_UNITS:,} units, priority index: {first:.0f} us, caches warm {warm:.0f} us")
    each = 1e6 * whole / options.learners / N_STEPS
    for name, peer in peers(options.peers, rng).items():
        print(
            f"{name}: {peer:,.0f} microseconds a step, {peer / step:,.0f} x plain, {peer / each:,.0f} x full"
        )
    print(shadow(rng))


if __name__ == "__main__":
    main()
