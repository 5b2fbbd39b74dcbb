"""Make the ratings of the example study: six made-up judges, two rounds, the items of a form of twt-3.

    python examples/standard_setting/make_ratings.py > examples/standard_setting/twt-3-ka-example.csv

Each judge has a standard of their own and reads every item a little differently; after the discussion of
the first round they stand closer together. Nobody ever rated these items in earnest.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np

from assess.irt import expected_score
from assess.publishing import load_bank, load_programme

FOLDER = Path(__file__).resolve().parents[2] / "item_banks" / "teaching-with-technology"


def main() -> None:
    """Write the ratings as a CSV table."""
    rng = np.random.default_rng(20261128)
    bank = load_bank(FOLDER / "twt-3", load_programme(FOLDER))
    form = bank.forms["twt-3-fixed.v1"]
    parameters = bank.parameter_sets[form.parameter_set].parameters.take(form.units)
    most = parameters.n_categories - 1
    own = rng.normal(0.15, 0.35, 6)
    readings = rng.normal(0.0, 0.5, (6, len(parameters)))
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["round", "judge", "about", "value"])
    for number, apart in ((1, 1.0), (2, 0.5)):
        for j in range(6):
            theta = own.mean() + apart * (own[j] - own.mean()) + apart * readings[j]
            rated = [float(expected_score(parameters, at)[0, u]) for u, at in enumerate(theta)]
            for unit, value, highest in zip(parameters.item_ids, rated, most.tolist(), strict=True):
                # In steps of 0.05 of what the unit can earn, as a rating sheet has them.
                writer.writerow(
                    [number, f"judge-{j + 1}", unit, f"{round(20 * value / highest) / 20 * highest:.2f}"]
                )


if __name__ == "__main__":
    main()
