"""What every shipped form does by simulation, as a page: `python -m tests.simulation.shipped_forms`.

Each form goes through `assess.simulation.design`, as with `assess design`; the
page tells date, commit and seed. Forms that are finished are kept under
var/verification, so that a run that was killed goes on where it stopped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from assess.publishing import bank_folders, find_programmes, load_bank, load_programme, release_document
from assess.session import Release
from assess.simulation import DesignOptions, design
from tests import verification

BANKS = verification.ROOT / "item_banks"
PAGE = verification.ROOT / "docs" / "shipped-forms.md"
SEED, N, N_AT = 20261128, 2_000, 1_000
DISTANCES = (-2.0, -1.5, -1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0, 1.5, 2.0)
ROWS = {
    "wrong": "wrong",
    "undetermined": "undetermined",
    "items": "items",
    "truncated": "cut off by length",
    "extended": "extended",
}

_HEAD = """# What the shipped forms do

Every form of `item_banks/` in its newest version, through the production engine. {day}, commit `{commit}`,
seed {seed}; {n:,} learners of a normal population of mean 0 and SD 1, each twice, and {n_at:,} at each
theta, so that a share has a Monte Carlo error of {error} at most. Made by

```
python -m tests.simulation.shipped_forms
```

**Parameters and cuts are taken as known.** Those that experts judged are taken as true, which compares
designs and defends no number; what may come of it when they are wrong stands in
[verification](verification.md) (*expected of ... while difficulties are judged*).

Columns are distances of a learner's theta from the cut. *Wrong* is the share of false passes left of the
cut and of false fails at and right of it. *Items* counts unscored ones too. *Cut off by length* is the
share of adaptive sessions that ended at the maximum length before their rule for an end held. A row of one
value for everybody is left out: a fixed form on judged parameters decides by raw score and an adaptive one,
which is practice, by the side of the cut, so that neither leaves anybody undetermined."""


def forms(banks: Path = BANKS) -> dict[str, dict[str, Any]]:
    """The release document of the newest version of every form, by reference."""
    found = {}
    for folder in find_programmes(banks):
        programme = load_programme(folder)
        for course in bank_folders(folder):
            bank = load_bank(course, programme)
            for form in bank.latest_forms().values():
                found[form.reference] = release_document(bank, form.reference)
    return dict(sorted(found.items()))


def studied(document: dict[str, Any], number: int, *, n: int = N, n_at: int = N_AT) -> dict[str, Any]:
    """The design of one form in plain numbers, with what its session looks like."""
    release = Release.from_document(document)
    rng = np.random.default_rng([SEED, number])
    found = design(release, rng, options=DesignOptions(n=n, n_at=n_at))
    rules = release.form.adaptive
    length = (
        f"{len(release.units)} units" if rules is None else f"{rules.min_units} to {rules.max_units} units"
    )
    status = "calibrated" if release.calibrated else "judged"
    return found.to_mapping() | {
        "kind": release.form.kind,
        "course": release.course.id,
        "about": f"{length}, parameters {status}",
    }


def page(results: Iterable[dict[str, Any]], *, day: str, commit: str) -> str:
    """The page as Markdown."""
    head = _HEAD.format(
        day=day, commit=commit, seed=SEED, n=N, n_at=N_AT, error=f"{0.5 / math.sqrt(N_AT):.3f}"
    )
    lines = [head]
    course = ""
    for result in results:
        if result["course"] != course:
            course = result["course"]
            lines += ["", f"## {course}"]
        lines += ["", *_section(result)]
    return "\n".join(lines) + "\n"


def _section(result: dict[str, Any]) -> list[str]:
    shares = result["accuracy"]
    names = {
        "accuracy": "right",
        "consistency": "the same twice",
        "false_pass_rate": "false passes of those below",
        "false_fail_rate": "false fails of those above",
        "undetermined": "undetermined",
    }
    told = ", ".join(
        f"{words} {shares[name]:.3f}" for name, words in names.items() if shares[name] is not None
    )
    tail = f"{result['mean_items']:.1f} items on average"
    if result["truncated"] is not None:
        tail += f", {100 * result['truncated']:.0f} % cut off by length"
    if result["extended"] is not None:
        tail += f", {100 * result['extended']:.0f} % extended"
    by_distance = {round(row["theta"] - result["cut"], 6): row for row in result["by_theta"]}
    columns = [by_distance[distance] for distance in DISTANCES]
    about = f"{result['kind'].capitalize()}, {result['about']}; cut at {result['cut']:.2f}."
    lines = [
        f"### {result['form']}",
        "",
        f"{about} In the population: {told}; {tail}.",
        "",
        "| theta - cut | "
        + " | ".join(f"{distance:+g}" if distance else "0" for distance in DISTANCES)
        + " |",
        "|---|" + "---:|" * len(DISTANCES),
    ]
    for name, words in ROWS.items():
        values = [row[name] for row in columns]
        # A row of one value for everybody is said in words above.
        if len({value for value in values if value}) > 1:
            digits = 1 if name == "items" else 3
            lines.append(f"| {words} | " + " | ".join(f"{value:.{digits}f}" for value in values) + " |")
    return lines


def main() -> None:
    documents = list(forms().values())
    results = verification.replications(
        "shipped forms", len(documents), lambda k: studied(documents[k], k), seed=SEED
    )
    PAGE.write_text(
        page(results, day=f"{datetime.now(UTC):%d %B %Y}", commit=verification.commit()), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
