"""Each analysis of the psychometrician on 10,000 persons x 60 items, in seconds and as a ratio.

    python benchmarks/bench.py [--persons 10000] [--items 60]

The claim is less than 10 s each. Seconds depend on the machine, so the ratio to
a 2PL calibration of the same responses stands beside them. Processor time is
printed beside the clock: on a busy machine only that means something.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd

from assess import classical, irt
from assess.errors import DataWarning
from assess.irt import ItemParameters, simulate
from assess.reports.flags import flags
from assess.responses import ResponseMatrix

LIMIT = 10.0


def analyses(n: int, n_items: int) -> dict[str, Callable[[], object]]:
    """Every analysis by name, over one simulated sample with 0.5 SD of impact and a drifting item."""
    rng = np.random.default_rng(1)
    names = [f"i{j:02d}" for j in range(n_items)]
    bank = ItemParameters(
        names, "2PL", np.exp(rng.normal(0.1, 0.25, n_items)), np.linspace(-2, 2, n_items)[:, None]
    )
    focal = np.arange(n) % 2 == 1
    theta = rng.standard_normal(n) - 0.5 * focal
    data = pd.DataFrame(simulate(bank, theta, rng), columns=names)
    matrix = ResponseMatrix.from_frame(data)
    scores = irt.score(matrix, bank)["theta"].to_numpy()
    calibration = irt.calibrate(matrix)
    other = irt.calibrate(ResponseMatrix.from_frame(data.iloc[::2].reset_index(drop=True)))
    few = names[:5]
    options = data.replace({0: "b", 1: "a"})
    graded = ItemParameters(
        names, "GPCM", np.full(n_items, 0.9), np.linspace(-1, 1, n_items)[:, None] + np.array([-1.0, 0, 1])
    )
    polytomous = ResponseMatrix(simulate(graded, theta, rng), None, names, np.full(n_items, 4))
    partial = irt.calibrate(polytomous, "GPCM")
    pilot = names[-4:]
    operational = bank.take(names[:-4])
    return {
        "calibrate, 2PL": lambda: irt.calibrate(matrix),
        "calibrate, GPCM of 4 categories": lambda: irt.calibrate(polytomous, "GPCM"),
        "item analysis": lambda: classical.item_analysis(data),
        "item analysis, raw options": lambda: classical.item_analysis(options, key=dict.fromkeys(names, "a")),
        "S-X2": lambda: irt.item_fit(calibration, matrix),
        "S-X2, GPCM": lambda: irt.item_fit(partial, polytomous),
        "infit and outfit": lambda: irt.item_fit(calibration, matrix, "infit-outfit"),
        "X2, 20 replications": lambda: irt.item_fit_bootstrap(calibration, matrix, rng, n_replications=20),
        "M2*": lambda: irt.model_fit(calibration, matrix),
        "M2*, GPCM": lambda: irt.model_fit(partial, polytomous),
        "Q3": lambda: irt.local_dependence(calibration, matrix),
        "Q3 limit, 20 replications": lambda: irt.local_dependence_limit(
            calibration, matrix, rng, n_replications=20
        ),
        "person fit": lambda: irt.person_fit(calibration, matrix),
        "person fit limits": lambda: irt.person_fit_limits(calibration, matrix, rng, n_replications=1),
        "cumulative sums": lambda: irt.cusum(calibration, matrix, theta=scores),
        "polychoric": lambda: irt.polychoric(matrix),
        "parallel analysis": lambda: irt.parallel_analysis(matrix, rng, correlation="Pearson"),
        "DIF, MH purified": lambda: irt.dif(matrix, focal, purify=True),
        "DIF, logistic purified": lambda: irt.dif(matrix, focal, "logistic", purify=True),
        "DIF, logistic on theta": lambda: irt.dif(matrix, focal, "logistic", matching=scores),
        "DIF, likelihood ratio of 5 items": lambda: irt.dif_likelihood_ratio(
            matrix, focal, items=few, anchors=names[20:]
        ),
        "link, Stocking-Lord": lambda: irt.link(other, calibration),
        "true-score equating": lambda: irt.true_score_equating(other.parameters, calibration.parameters),
        "observed-score equating": lambda: irt.observed_score_equating(
            other.parameters, calibration.parameters
        ),
        "drift": lambda: irt.operational_drift(matrix, bank),
        "pilot review": lambda: irt.review_pilot(matrix, operational, pilot=pilot, group=focal),
        "all flags": lambda: flags(matrix, group=focal),
    }


def main() -> int:
    """Print the table; exit code 1 when an analysis needs more than the limit of processor time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=10_000)
    parser.add_argument("--items", type=int, default=60)
    parser.add_argument("--only", default="", help="analyses whose name holds this")
    given = parser.parse_args()
    warnings.simplefilter("ignore", DataWarning)
    tasks = analyses(given.persons, given.items)
    slow = []
    unit = None
    print(f"{'analysis':<34}{'seconds':>9}{'processor':>11}{'x 2PL':>8}")
    for name, task in tasks.items():
        if given.only not in name and unit is not None:
            continue
        clock, processor = time.perf_counter(), time.process_time()
        task()
        clock, processor = time.perf_counter() - clock, time.process_time() - processor
        unit = processor if unit is None else unit
        print(f"{name:<34}{clock:>9.2f}{processor:>11.2f}{processor / unit:>8.1f}", flush=True)
        # "all flags" is a dozen analyses in one.
        if processor > LIMIT and name != "all flags":
            slow.append(name)
    print(f"more than {LIMIT:g} s: {', '.join(slow) or 'none'}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
