"""Calibration speed and accuracy: our engine and its peers on the same data, in one run.

    python benchmarks/calibration.py [--cases 2pl-1000 ...] [--repeat 3] [--errors] [--million]

Peers are used where they are installed: R's mirt through `Rscript`, Python mirt
(`mirt`), theta-irt (`theta`) and girth; docs/performance.md says how to get them
without touching this project's environment. Every solution, whoever found it, is
evaluated by one independent quadrature of 121 nodes, and its gap is the best
log-likelihood (with the log-prior of c) found by anybody minus its own. The
engines take turns and the median of the rounds counts, because a machine that
others use as well gives times that are good as ratios within one run only. They
cover estimation alone: warming up, reading data and starting R are left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assess.irt.calibration import Beta, CalibrationOptions, calibrate
from assess.irt.calibration.likelihood import Likelihood
from assess.irt.models import ItemParameters, log_category_probabilities
from assess.responses import ResponseMatrix

C_PRIOR = Beta(5.0, 17.0)
NODES = 61
SLOW_PEERS_UP_TO = 2_000_000  # responses; girth takes minutes beyond
PEERS_UP_TO = 10_000_000  # and everybody else
PRODUCTS_COUNT_FROM = (
    100_000  # persons; before that the products of the responses are not what takes the time
)
ONCE_FROM = 20.0  # seconds; who is slower than this is timed once, and not warmed up


@dataclass(frozen=True)
class Case:
    """A data set to simulate, and the model to fit."""

    name: str
    model: str
    n_persons: int
    n_items: int
    n_categories: int = 2
    missing: float = 0.0

    @property
    def names(self) -> list[str]:
        """The items' ids."""
        return [f"item{j + 1}" for j in range(self.n_items)]


CASES = (
    Case("2pl-1000", "2PL", 1_000, 30),
    Case("2pl-10000", "2PL", 10_000, 50),
    Case("2pl-100000", "2PL", 100_000, 50),
    Case("grm-10000", "GRM", 10_000, 30, 5),
    Case("3pl-10000", "3PL", 10_000, 50),
    Case("sparse-20000", "2PL", 20_000, 300, missing=0.8),
)
MILLION = Case("2pl-1000000", "2PL", 1_000_000, 50)


@dataclass(frozen=True)
class Fitted:
    """What one run gave: wall-clock and processor seconds, and the solution."""

    seconds: float
    processor: float
    parameters: ItemParameters


Run = Callable[[], Fitted]


def simulate(case: Case, seed: int) -> NDArray[np.int8]:
    """Responses (N, J), -1 where missing; a ~ LN(0, 0.3), b ~ N(0, 1), theta ~ N(0, 1)."""
    rng = np.random.default_rng(seed)
    slopes = np.exp(rng.normal(0.0, 0.3, case.n_items)).astype(np.float32)
    location = rng.standard_normal(case.n_items).astype(np.float32)
    spread = np.linspace(-1.2, 1.2, case.n_categories - 1) if case.n_categories > 2 else np.zeros(1)
    lower = 0.2 if case.model == "3PL" else 0.0
    out = np.empty((case.n_persons, case.n_items), dtype=np.int8)
    for start in range(0, case.n_persons, 50_000):
        stop = min(start + 50_000, case.n_persons)
        theta = rng.standard_normal((stop - start, 1)).astype(np.float32)
        chance = rng.random((stop - start, case.n_items), dtype=np.float32)
        out[start:stop] = sum(
            chance < lower + (1.0 - lower) / (1.0 + np.exp(-slopes * (theta - location - step)))
            for step in spread.astype(np.float32)
        )
    if case.missing:
        out[rng.random(out.shape) < case.missing] = -1
    return out


def log_likelihood(parameters: ItemParameters, categories: NDArray[np.int8], prior: Beta | None) -> float:
    """Marginal log-likelihood (plus log-prior of c) under N(0, 1), on 121 nodes from -6 to 6."""
    theta = np.linspace(-6.0, 6.0, 121)
    weight = np.exp(-0.5 * theta**2)
    log_p = log_category_probabilities(parameters, theta)
    log_w = np.log(weight / weight.sum())
    total = 0.0
    for start in range(0, len(categories), 20_000):
        part = categories[start : start + 20_000]
        joint = np.tile(log_w, (len(part), 1))
        for k in range(log_p.shape[2]):
            joint += (part == k).astype(np.float64) @ np.nan_to_num(log_p[:, :, k].T, neginf=-745.0)
        top = joint.max(axis=1)
        total += float((top + np.log(np.exp(joint - top[:, None]).sum(axis=1))).sum())
    if prior is not None:
        total += float(prior.derivatives(parameters.lower)[0].sum())
    return total


def timed(run: Callable[[], ItemParameters]) -> Fitted:
    """One run by both clocks; the processor's counts all threads, and no waiting."""
    started, busy = time.perf_counter(), time.process_time()
    parameters = run()
    return Fitted(time.perf_counter() - started, time.process_time() - busy, parameters)


def taking_turns(runs: dict[str, Run], repeat: int) -> dict[str, Fitted]:
    """The median of some rounds per engine, in each of which everybody has one turn."""
    warm = {name: run() for name, run in runs.items()}
    rounds: dict[str, list[Fitted]] = {
        name: [first] if first.seconds > ONCE_FROM else [] for name, first in warm.items()
    }
    for _ in range(repeat):
        for name, run in runs.items():
            if warm[name].seconds <= ONCE_FROM:
                rounds[name].append(run())
    return {
        name: Fitted(
            float(np.median([one.seconds for one in every])),
            float(np.median([one.processor for one in every])),
            every[-1].parameters,
        )
        for name, every in rounds.items()
    }


# --- the engines ------------------------------------------------------------------


def ours(case: Case, categories: NDArray[np.int8], *, errors: bool = False) -> Run:
    matrix = ResponseMatrix(categories)
    options = CalibrationOptions(standard_errors="observed" if errors else None)
    priors = {"c": C_PRIOR} if case.model == "3PL" else None
    return lambda: timed(lambda: calibrate(matrix, case.model, priors=priors, options=options).parameters)


def with_girth(case: Case, categories: NDArray[np.int8]) -> Run | None:
    if case.model == "3PL" or case.missing or categories.size > SLOW_PEERS_UP_TO:
        return None
    from assess.irt import _girth

    def fit() -> ItemParameters:
        slopes, steps = _girth.estimate(categories, case.model)
        return ItemParameters(case.names, case.model, slopes, steps)

    return lambda: timed(fit)


def with_python_mirt(case: Case, categories: NDArray[np.int8]) -> Run | None:
    if importlib.util.find_spec("mirt") is None or categories.size > PEERS_UP_TO:
        return None
    import mirt
    from mirt.estimation.priors import BetaPrior

    data = categories.astype(np.int64)
    priors = {"guessing": BetaPrior(C_PRIOR.alpha, C_PRIOR.beta)} if case.model == "3PL" else None

    def fit() -> ItemParameters:
        found = mirt.fit_mirt(
            data,
            case.model,
            n_categories=case.n_categories,
            n_quadpts=NODES,
            compute_standard_errors=False,
            priors=priors,
        ).model.parameters
        steps = found["thresholds"] if case.model == "GRM" else found["difficulty"][:, None]
        return ItemParameters(case.names, case.model, found["discrimination"], steps, found.get("guessing"))

    return lambda: timed(fit)


def with_theta(case: Case, categories: NDArray[np.int8]) -> Run | None:
    if importlib.util.find_spec("theta") is None or case.n_categories > 2 or categories.size > PEERS_UP_TO:
        return None
    import theta

    data = np.where(categories < 0, np.nan, categories).astype(np.float64)
    priors = theta.Priors(c_a=C_PRIOR.alpha, c_b=C_PRIOR.beta)

    def fit() -> ItemParameters:
        found = theta.fit(data, case.model, n_points=NODES, priors=priors)
        lower = np.asarray(found.c) if case.model == "3PL" else None
        return ItemParameters(
            case.names, case.model, np.asarray(found.a), np.asarray(found.b)[:, None], lower
        )

    return lambda: timed(fit)


MIRT = """
library(mirt); library(jsonlite)
a <- commandArgs(TRUE); d <- read.csv(a[1]); d[d < 0] <- NA
type <- a[2]; K <- as.integer(a[3]); J <- ncol(d)
model <- if (type == '3PL') mirt.model(sprintf(
  'F = 1-%d\\nPRIOR = (1-%d, g, expbeta, 5, 17)', J, J)) else 1
t0 <- proc.time()
m <- mirt(d, model, itemtype = type, TOL = 1e-4, quadpts = 61, verbose = FALSE,
          technical = list(NCYCLES = 5000, theta_lim = c(-6, 6)))
t <- proc.time() - t0
p <- as.data.frame(coef(m, simplify = TRUE, digits = 12)$items)
write_json(list(seconds = t[['elapsed']], processor = t[['user.self']] + t[['sys.self']],
                columns = names(p), items = as.matrix(p)), a[4], digits = 12)
"""


def with_r(case: Case, categories: NDArray[np.int8]) -> Run | None:
    if shutil.which("Rscript") is None or categories.size > PEERS_UP_TO:
        return None
    packages = ["Rscript", "-e", "library(mirt); library(jsonlite)"]
    if subprocess.run(packages, capture_output=True, check=False).returncode:
        return None

    def run() -> Fitted:
        with tempfile.TemporaryDirectory() as folder:
            data, script, answer = (Path(folder) / name for name in ("data.csv", "fit.R", "answer.json"))
            np.savetxt(data, categories, fmt="%d", delimiter=",", header=",".join(case.names), comments="")
            script.write_text(MIRT)
            kind = "graded" if case.model == "GRM" else case.model
            subprocess.run(
                ["Rscript", str(script), str(data), kind, str(case.n_categories), str(answer)], check=True
            )
            said = json.loads(answer.read_text())
        columns = dict(zip(said["columns"], np.array(said["items"], dtype=float).T, strict=True))
        slopes = columns["a1"]
        steps = np.stack([-columns[name] / slopes for name in columns if name.startswith("d")], axis=1)
        lower = columns["g"] if case.model == "3PL" else None
        parameters = ItemParameters(case.names, case.model, slopes, steps, lower)
        return Fitted(float(said["seconds"][0]), float(said["processor"][0]), parameters)

    return run


PEERS: dict[str, Callable[[Case, NDArray[np.int8]], Run | None]] = {
    "R mirt": with_r,
    "Python mirt": with_python_mirt,
    "theta-irt": with_theta,
    "girth": with_girth,
}


# --- how near we are to the machine ----------------------------------------------------


def shortest(products: Callable[[], object]) -> float:
    """Seconds of the fastest of five runs."""
    best = np.inf
    for _ in range(5):
        started = time.perf_counter()
        products()
        best = min(best, time.perf_counter() - started)
    return best


def vector_pair(x: NDArray[np.float32]) -> float:
    """Seconds for one X a and one X' e, all that a pass over complete 2PL data needs of the responses."""
    a, e = np.ones(x.shape[1], dtype=np.float32), np.ones(x.shape[0], dtype=np.float32)
    return shortest(lambda: (x @ a, e @ x))


def matrix_pair(x: NDArray[np.float32]) -> float:
    """Seconds for X P and X' W with P (J, Q) and W (N, Q): the two products of a plain E-step."""
    p = np.ones((x.shape[1], NODES), dtype=np.float32)
    w, out = np.ones((x.shape[0], NODES), dtype=np.float32), np.empty((x.shape[0], NODES), dtype=np.float32)
    return shortest(lambda: (np.matmul(x, p, out=out), x.T @ w))


class Passes:
    """Counts the passes over the data while it is entered; a pass over a part counts as that part."""

    def __init__(self, n_persons: int) -> None:
        self.n_persons, self.seen = n_persons, 0

    def __enter__(self) -> Passes:
        self._call = call = Likelihood.__call__

        def counted(likelihood: Likelihood, eta: NDArray[np.float64]) -> object:
            self.seen += sum(block.n_persons for block in likelihood.blocks)
            return call(likelihood, eta)

        Likelihood.__call__ = counted  # type: ignore[assignment,method-assign]
        return self

    def __exit__(self, *raised: object) -> None:
        Likelihood.__call__ = self._call  # type: ignore[method-assign]

    @property
    def number(self) -> float:
        """Passes over all persons."""
        return self.seen / self.n_persons


def lines(case: Case, repeat: int, seed: int, *, errors: bool) -> Iterator[str]:
    categories = simulate(case, seed)
    runs = {"assess": ours(case, categories)}
    if errors:
        runs["assess, standard errors"] = ours(case, categories, errors=True)
    runs |= {name: run for name, peer in PEERS.items() if (run := peer(case, categories)) is not None}
    found = taking_turns(runs, repeat)
    prior = C_PRIOR if case.model == "3PL" else None
    values = {name: log_likelihood(one.parameters, categories, prior) for name, one in found.items()}
    best, own = max(values.values()), found["assess"]
    yield f"{case.name}: {case.model}, {case.n_persons:,} x {case.n_items}, {case.missing:.0%} missing"
    for name, one in found.items():
        wall, processor = one.seconds / own.seconds, one.processor / own.processor
        yield (
            f"    {name:26s} {1e3 * one.seconds:11.1f} ms {wall:8.1f} x   processor "
            f"{1e3 * one.processor:11.1f} ms {processor:8.1f} x   gap {best - values[name]:.2g}"
        )
    if case.model == "2PL" and not case.missing and case.n_persons >= PRODUCTS_COUNT_FROM:
        yield floor(case, categories, own.seconds)


def floor(case: Case, categories: NDArray[np.int8], seconds: float) -> str:
    """How many times the bare products of its passes a fit takes."""
    with Passes(case.n_persons) as passes:
        ours(case, categories)()
    x = categories.astype(np.float32)
    vectors, matrices = passes.number * vector_pair(x), passes.number * matrix_pair(x)
    return (
        f"    {passes.number:.1f} passes; the fit takes {seconds / matrices:.2f} times their matrix products "
        f"({1e3 * matrices:.1f} ms) and {seconds / vectors:.1f} times their vector products "
        f"({1e3 * vectors:.1f} ms)"
    )


def million(repeat: int, seed: int) -> Iterator[str]:
    """A million persons read from Parquet, in a process of its own so that the peak of memory is its own."""
    import pandas as pd

    case = MILLION
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "responses.parquet"
        pd.DataFrame(simulate(case, seed), columns=case.names).to_parquet(path)
        command = [sys.executable, __file__, "--read", str(path), "--repeat", str(repeat)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True)
    yield f"{case.name}: {case.model}, {case.n_persons:,} x {case.n_items}, from Parquet"
    yield answer.stdout.rstrip()


def read_and_fit(path: Path, repeat: int) -> Iterator[str]:
    import pandas as pd

    started = time.perf_counter()
    categories = pd.read_parquet(path).to_numpy(dtype=np.int8)
    read, before = time.perf_counter() - started, peak()
    run = ours(MILLION, categories)
    run()
    after = peak()
    seconds = float(np.median([run().seconds for _ in range(repeat)]))
    yield f"    read {1e3 * read:.0f} ms, fit {1e3 * seconds:.0f} ms"
    yield f"    peak memory {before:.0f} MB after reading, {after:.0f} MB after fitting"
    yield floor(MILLION, categories, seconds)


def peak() -> float:
    """The most memory this process has held so far, in MB (2**20 bytes)."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 2**20 if sys.platform == "darwin" else most / 2**10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [case.name for case in CASES]
    parser.add_argument("--cases", nargs="*", default=names, choices=names)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seed", type=int, default=20_260)
    parser.add_argument("--errors", action="store_true", help="also with standard errors")
    parser.add_argument("--million", action="store_true", help="a million persons from Parquet as well")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read:
        for line in read_and_fit(arguments.read, arguments.repeat):
            print(line)
        return
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} when started", flush=True)
    for case in CASES:
        if case.name in arguments.cases:
            for line in lines(case, arguments.repeat, arguments.seed, errors=arguments.errors):
                print(line, flush=True)
    if arguments.million:
        for line in million(arguments.repeat, arguments.seed):
            print(line, flush=True)


if __name__ == "__main__":
    main()
