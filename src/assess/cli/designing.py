"""`assess design`: what a form would do to learners, before it is live."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assess.cli.console import DEFAULT_BANKS, Banks, CommandError, out, table
from assess.progress import bar

if TYPE_CHECKING:
    from assess.irt import Prior


def design(
    form: Annotated[str, typer.Argument(help="A form such as twt-3-adaptive.v2, or its id.")],
    learners: Annotated[int, typer.Option(help="Simulated learners of the population; each sits twice.")] = (
        5_000
    ),
    at: Annotated[int, typer.Option(help="Simulated learners at each theta of the curve.")] = 400,
    population: Annotated[str, typer.Option(help="Its mean and SD on the form's scale.")] = "0,1",
    group: Annotated[
        list[str] | None, typer.Option(help="A subgroup with its mean and SD: rural=-0.4,1; repeatable.")
    ] = None,
    seconds_per_item: Annotated[float | None, typer.Option(help="Expected; else as the form allows.")] = None,
    alternatives: Annotated[
        bool, typer.Option("--alternatives/--no-alternatives", help="Compare with other designs.")
    ] = True,
    seed: Annotated[int, typer.Option(help="Another seed, other learners.")] = 1,
    out_folder: Annotated[Path | None, typer.Option("--out", help="The folder for the report.")] = None,
    banks: Banks = DEFAULT_BANKS,
) -> None:
    """Simulate a form: its errors, lengths, exposure, content and time, beside other designs, on a page."""
    import numpy as np

    from assess.cli.running import find_document
    from assess.session import Release
    from assess.simulation import DesignOptions, usual_alternatives
    from assess.simulation import design as study

    document = find_document(banks, form)
    if "form" not in document:
        raise CommandError(f"{form!r} is a programme; name a form")
    release = Release.from_document(document)
    groups = dict(_named(text) for text in group or ())
    options = DesignOptions(
        n=learners,
        n_at=at,
        population=population_of(population),
        groups=groups,
        seconds_per_item=seconds_per_item,
    )
    designs, refused = usual_alternatives(release) if alternatives else ({}, {})
    with bar("simulating") as progress:
        found = study(
            release, np.random.default_rng(seed), options=options, alternatives=designs, progress=progress
        )
    columns = ["wrong", "undetermined", "bias", "rmse", "items", "truncated", "extended", "minutes"]
    known = [name for name in columns if found.by_theta[name].notna().any()]
    rows = [(float(theta), *(float(v) for v in row)) for theta, *row in found.by_theta[known].itertuples()]
    table(f"{found.form} by theta", ["theta", *known], rows)
    out.print(found.summary(), markup=False)
    if len(found.alternatives) > 1:
        names = [str(name) for name in found.alternatives if found.alternatives[name].notna().any()]
        compared = found.alternatives[names].itertuples()
        table("other designs", ["design", *names], [(str(n), *map(float, row)) for n, *row in compared])
    for name, why in refused.items():
        out.print(f"not compared: {name} ({why})", markup=False)
    target = release.form.target
    if target is not None:
        out.print("target: " + ("; ".join(found.missed) if found.missed else "met"), markup=False)
    folder = out_folder or Path("var/designs") / found.form
    try:
        from assess.reports.design_report import write_design

        page = write_design(found, folder, target=target.to_mapping() if target else {}, refused=refused)
    except ModuleNotFoundError as missing:
        out.print(f"no report was written: {missing}", markup=False)
    else:
        out.print(f"report: {page}", markup=False)


def _named(text: str) -> tuple[str, Prior]:
    name, sign, numbers = text.partition("=")
    if not sign or not name.strip():
        raise CommandError(f"group {text!r}: say its name, mean and SD, as in rural=-0.4,1")
    return name.strip(), population_of(numbers)


def population_of(text: str) -> Prior:
    """A population from its mean and SD, as in 0.2,1."""
    from assess.irt import Prior

    try:
        mean, sd = (float(part) for part in text.split(","))
    except ValueError:
        raise CommandError(f"{text!r} is no population; say mean and SD, as in 0.2,1") from None
    if not sd > 0.0:
        raise CommandError(f"{text!r}: the SD must be positive")
    return Prior(mean, sd)
