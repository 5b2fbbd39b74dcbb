"""Speed of scoring many persons, and how long the import of `assess.irt` takes beside numpy's.

    python benchmarks/scoring.py [--persons 1000000] [--repeat 5]

The import is measured in fresh processes that take turns, and the shortest of
each kind counts: whatever else the machine does can only make an import longer.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

import numpy as np

from assess.irt import ItemParameters, score
from assess.responses import ResponseMatrix

N_ITEMS = 50
CHECKED = 2_000


def scoring(n_persons: int, repeat: int, seed: int) -> str:
    """EAP of 2PL responses; persons per second, and the largest error against plain sums over 241 nodes."""
    rng = np.random.default_rng(seed)
    slopes, location = np.exp(rng.normal(0.0, 0.3, N_ITEMS)), rng.standard_normal(N_ITEMS)
    parameters = ItemParameters([f"item{j + 1}" for j in range(N_ITEMS)], "2PL", slopes, location[:, None])
    categories = np.empty((n_persons, N_ITEMS), dtype=np.int8)
    for start in range(0, n_persons, 50_000):
        part = categories[start : start + 50_000]
        theta = rng.standard_normal((len(part), 1))
        part[:] = rng.random(part.shape) < 1.0 / (1.0 + np.exp(-slopes * (theta - location)))
    matrix = ResponseMatrix(categories)
    seconds = []
    for _ in range(repeat + 1):
        started = time.perf_counter()
        found = score(matrix, parameters)
        seconds.append(time.perf_counter() - started)
    median = float(np.median(seconds[1:]))
    gap = np.abs(found["theta"].to_numpy()[:CHECKED] - plain(categories[:CHECKED], slopes, location)).max()
    return (
        f"EAP of {n_persons:,} x {N_ITEMS}: {1e3 * median:.0f} ms, "
        f"{n_persons / median / 1e6:.1f} million persons per second, theta right to {gap:.1g}"
    )


def plain(
    categories: np.ndarray[tuple[int, ...], np.dtype[np.int8]],
    slopes: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    location: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Posterior means by the definition, on nodes of their own."""
    theta = np.linspace(-7.0, 7.0, 241)
    z = slopes[:, None] * (theta - location[:, None])
    right, wrong = -np.logaddexp(0.0, -z), -np.logaddexp(0.0, z)
    log_posterior = categories @ right + (1 - categories) @ wrong - 0.5 * theta**2
    posterior = np.exp(log_posterior - log_posterior.max(axis=1, keepdims=True))
    return np.asarray(posterior @ theta / posterior.sum(axis=1))


def importing(repeat: int) -> str:
    """Milliseconds to import numpy and `assess.irt`, each in a process that has imported nothing yet."""
    shortest = {"numpy": np.inf, "assess.irt": np.inf}
    for _ in range(repeat):
        for name in shortest:
            script = f"import time; t = time.perf_counter(); import {name}; print(time.perf_counter() - t)"
            answer = subprocess.run(
                [sys.executable, "-c", script], check=True, capture_output=True, text=True
            )
            shortest[name] = min(shortest[name], float(answer.stdout))
    numpy, own = shortest["numpy"], shortest["assess.irt"]
    return f"import: numpy {1e3 * numpy:.0f} ms, assess.irt {1e3 * own:.0f} ms, {own / numpy:.2f} x"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--persons", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--seed", type=int, default=20_260)
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} when started", flush=True)
    print(scoring(arguments.persons, arguments.repeat, arguments.seed), flush=True)
    print(importing(3 * arguments.repeat), flush=True)


if __name__ == "__main__":
    main()
