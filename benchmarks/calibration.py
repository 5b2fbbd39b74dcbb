"""Calibration speed and accuracy: our engine and its peers on the same data, in one run.

    python benchmarks/calibration.py [--cases 2pl-1000 ...] [--repeat 3] [--errors]

Peers are used where they are installed: R's mirt through `Rscript`, and girth.
(Python mirt and theta-irt have no adapter here yet.) Every solution, whoever found it, is evaluated by one
independent quadrature of 121 nodes, and its gap is the best log-likelihood
found by anybody minus its own. Times are good as ratios within one run only;
they cover estimation alone: reading data and starting R are left out.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assess.irt.calibration import Beta, CalibrationOptions, calibrate
from assess.irt.models import ItemParameters, log_category_probabilities
from assess.responses import ResponseMatrix

SLOW_PEERS_UP_TO = 2_000_000  # responses; girth and R take minutes beyond


@dataclass(frozen=True)
class Case:
    """A data set to simulate, and the model to fit."""

    name: str
    model: str
    n_persons: int
    n_items: int
    n_categories: int = 2
    missing: float = 0.0


CASES = (
    Case("2pl-1000", "2PL", 1_000, 30),
    Case("2pl-10000", "2PL", 10_000, 50),
    Case("2pl-100000", "2PL", 100_000, 50),
    Case("grm-10000", "GRM", 10_000, 30, 5),
    Case("3pl-10000", "3PL", 10_000, 50),
    Case("sparse-20000", "2PL", 20_000, 300, missing=0.8),
    Case("2pl-1000000", "2PL", 1_000_000, 50),
)

Fitted = tuple[float, ItemParameters]


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


def best_time(run: Callable[[], ItemParameters], repeat: int) -> Fitted:
    """The shortest of several runs, after one to warm up."""
    parameters = run()
    shortest = np.inf
    for _ in range(repeat):
        started = time.perf_counter()
        parameters = run()
        shortest = min(shortest, time.perf_counter() - started)
    return shortest, parameters


# --- the engines ------------------------------------------------------------------


def ours(case: Case, categories: NDArray[np.int8], repeat: int, *, errors: bool) -> Fitted:
    matrix = ResponseMatrix(categories)
    options = CalibrationOptions(standard_errors="observed" if errors else None)
    priors = {"c": Beta(5.0, 17.0)} if case.model == "3PL" else None
    return best_time(lambda: calibrate(matrix, case.model, priors=priors, options=options).parameters, repeat)


def with_girth(case: Case, categories: NDArray[np.int8]) -> Fitted | None:
    if case.model == "3PL" or case.missing or categories.size > SLOW_PEERS_UP_TO:
        return None
    from assess.irt import _girth

    names = [f"item{j + 1}" for j in range(case.n_items)]

    def run() -> ItemParameters:
        slopes, steps = _girth.estimate(categories, case.model)
        return ItemParameters(names, case.model, slopes, steps)

    started = time.perf_counter()
    parameters = run()
    return time.perf_counter() - started, parameters


MIRT = """
library(mirt); library(jsonlite)
a <- commandArgs(TRUE); d <- read.csv(a[1]); d[d < 0] <- NA
type <- a[2]; K <- as.integer(a[3]); J <- ncol(d)
model <- if (type == '3PL') mirt.model(sprintf(
  'F = 1-%d\\nPRIOR = (1-%d, g, expbeta, 5, 17)', J, J)) else 1
t0 <- proc.time()[['elapsed']]
m <- mirt(d, model, itemtype = type, TOL = 1e-4, quadpts = 61, verbose = FALSE,
          technical = list(NCYCLES = 5000, theta_lim = c(-6, 6)))
t1 <- proc.time()[['elapsed']]
p <- as.data.frame(coef(m, simplify = TRUE, digits = 12)$items)
write_json(list(seconds = t1 - t0, columns = names(p), items = as.matrix(p)), a[4], digits = 12)
"""


def with_r(case: Case, categories: NDArray[np.int8]) -> Fitted | None:
    if shutil.which("Rscript") is None or categories.size > 10 * SLOW_PEERS_UP_TO:
        return None
    packages = ["Rscript", "-e", "library(mirt); library(jsonlite)"]
    if subprocess.run(packages, capture_output=True, check=False).returncode:
        return None
    with tempfile.TemporaryDirectory() as folder:
        data, script, answer = (Path(folder) / name for name in ("data.csv", "fit.R", "answer.json"))
        header = ",".join(f"item{j + 1}" for j in range(case.n_items))
        np.savetxt(data, categories, fmt="%d", delimiter=",", header=header, comments="")
        script.write_text(MIRT)
        kind = "graded" if case.model == "GRM" else case.model
        subprocess.run(
            ["Rscript", str(script), str(data), kind, str(case.n_categories), str(answer)], check=True
        )
        said = json.loads(answer.read_text())
    columns = dict(zip(said["columns"], np.array(said["items"], dtype=float).T, strict=True))
    intercepts = [columns[name] for name in columns if name.startswith("d")]
    slopes = columns["a1"]
    steps = np.stack([-d / slopes for d in intercepts], axis=1)
    names = [f"item{j + 1}" for j in range(case.n_items)]
    lower = columns["g"] if case.model == "3PL" else None
    return float(said["seconds"][0]), ItemParameters(names, case.model, slopes, steps, lower)


PEERS: dict[str, Callable[[Case, NDArray[np.int8]], Fitted | None]] = {
    "R mirt": with_r,
    "girth": with_girth,
}


# --- how near we are to the machine ----------------------------------------------------


def gemm_pair(categories: NDArray[np.int8]) -> float:
    """Seconds for one bare X a and one X' e in single precision, the floor of a 2PL pass."""
    x = categories.astype(np.float32)
    a, e = np.ones(x.shape[1], dtype=np.float32), np.ones(x.shape[0], dtype=np.float32)
    shortest = np.inf
    for _ in range(5):
        started = time.perf_counter()
        _ = x @ a
        _ = e @ x
        shortest = min(shortest, time.perf_counter() - started)
    return shortest


def lines(case: Case, repeat: int, seed: int, *, errors: bool) -> Iterator[str]:
    categories = simulate(case, seed)
    prior = Beta(5.0, 17.0) if case.model == "3PL" else None
    found = {"assess": ours(case, categories, repeat, errors=False)}
    if errors:
        found["assess with standard errors"] = ours(case, categories, repeat, errors=True)
    for name, peer in PEERS.items():
        answer = peer(case, categories)
        if answer is not None:
            found[name] = answer
    values = {name: log_likelihood(parameters, categories, prior) for name, (_, parameters) in found.items()}
    best = max(values.values())
    own = found["assess"][0]
    yield f"{case.name}: {case.model}, {case.n_persons:,} x {case.n_items}, {case.missing:.0%} missing"
    for name, (seconds, _) in found.items():
        gap = best - values[name]
        yield f"    {name:28s} {1e3 * seconds:12.1f} ms  {seconds / own:8.1f} x  gap {gap:.2g}"
    if case.model == "2PL" and not case.missing:
        yield f"    {'bare matrix-vector pair':28s} {1e3 * gemm_pair(categories):12.1f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [case.name for case in CASES]
    parser.add_argument("--cases", nargs="*", default=names[:-1], choices=names)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seed", type=int, default=20_260)
    parser.add_argument("--errors", action="store_true", help="also with standard errors")
    arguments = parser.parse_args()
    for case in CASES:
        if case.name in arguments.cases:
            for line in lines(case, arguments.repeat, arguments.seed, errors=arguments.errors):
                print(line, flush=True)


if __name__ == "__main__":
    main()
