"""`assess design`: what a form would do to learners, before it is live."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assess.cli.console import DEFAULT_BANKS, Banks, CommandError, out, table
from assess.errors import AssessError
from assess.progress import bar

if TYPE_CHECKING:
    from assess.irt import Prior
    from assess.session import Release


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
    """Simulate a form: its errors, lengths, exposure, content and time, beside other designs, on a page.

    Of a confirming form: how often it doubts scores that hold, and believes scores that are too high.
    """
    import numpy as np

    from assess.cli.running import find_document
    from assess.session import Release
    from assess.simulation import DesignOptions, usual_alternatives
    from assess.simulation import design as study

    document = find_document(banks, form)
    if "form" not in document:
        raise CommandError(f"{form!r} is a programme; name a form")
    release = Release.from_document(document)
    if release.form.confirms is not None:
        _design_confirmation(release, learners, population, seed, out_folder, banks)
        return
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
    for title, frame in (("paths", found.paths), ("modules", found.modules)):
        if len(frame):
            lines = [(str(n), *map(float, row)) for n, *row in frame.itertuples()]
            table(f"{found.form}: {title}", [title, *frame.columns], lines)
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


def _design_confirmation(
    release: Release, learners: int, population: str, seed: int, out_folder: Path | None, banks: Path
) -> None:
    """The error rates of a confirming form on those who pass each of the forms that it confirms."""
    import json

    import numpy as np

    from assess.cli.running import find_document
    from assess.session import Release, require_unseen
    from assess.simulation import confirmation_study

    policy = release.form.confirms
    assert policy is not None
    firsts = [Release.from_document(find_document(banks, form)) for form in policy.forms]
    people, folder = population_of(population), out_folder or Path("var/designs") / release.form.reference
    folder.mkdir(parents=True, exist_ok=True)
    studies = {}
    for first in firsts:
        with bar("simulating") as progress:
            found = confirmation_study(
                release, first, np.random.default_rng(seed), population=people, n=learners, progress=progress
            )
        for what, frame in (("loss", found.by_loss), ("theta", found.by_theta)):
            rows = [(float(value), *map(float, row)) for value, *row in frame.itertuples()]
            table(f"{found.form} after {found.first}, by {what}", [what, *frame.columns], rows)
            frame.to_csv(folder / f"by-{what}-{first.form.id}.csv")
        out.print(found.summary(), markup=False)
        out.print(f"basis: {found.basis}", markup=False)
        if not found.kept:
            out.print("the stated rates are NOT kept in this population", markup=False)
        studies[first.form.reference] = found.to_mapping()
    try:
        require_unseen(release, firsts)
    except AssessError as refused:
        out.print(f"cannot go live: {refused}", markup=False)
    numbers = folder / "confirmation.json"
    numbers.write_text(json.dumps(studies, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    out.print(f"report: {numbers}", markup=False)


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
