"""`assess exposure` and `exposure-table`: how often units are met, and what holds that below a target."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assess.cli.console import DEFAULT_BANKS, Banks, CommandError, Sandbox, find_bank_folder, out, table
from assess.progress import bar

if TYPE_CHECKING:
    from assess.items import Form
    from assess.publishing.exposing import Takers


def exposure(
    form: Annotated[str, typer.Argument(help="The id of a form, without its version.")],
    target: Annotated[
        float | None, typer.Option(help="The share no unit should exceed; else the form's own.")
    ] = None,
    days: Annotated[int, typer.Option(help="Sessions that began in so many days.")] = 30,
    sandbox: Sandbox = False,
    database: Annotated[str, typer.Option(help="A database address; by default the configured one.")] = "",
) -> None:
    """Compare the exposure of delivered sessions with its target; exit code 1 raises the alarm."""
    import assess
    from assess.delivery.watching import watch

    since = datetime.now(UTC) - timedelta(days=days)
    with assess.connect(database or None) as opened:
        found = watch(opened, form, since=since, target=target, sandbox=sandbox)
    rows = [
        (str(unit), int(row["met"]), float(row["share"]), float(row["low"]), "ALARM" if row["alarm"] else "")
        for unit, row in found.units.head(20).iterrows()
    ]
    table(f"{found.form}: the most exposed units", ["unit", "met", "share", "lower bound", ""], rows)
    said = f"{len(found.alarms)} units above" if found.alarms else "no unit above"
    out.print(
        f"{found.n_sessions:,} sessions in {days} days; {said} the target {found.target:g}", markup=False
    )
    if found.alarms:
        raise typer.Exit(1)


def exposure_table(
    form: Annotated[str, typer.Argument(help="An adaptive form, without its version.")],
    target: Annotated[
        float | None, typer.Option(help="The share no unit should exceed; else the form's own.")
    ] = None,
    population: Annotated[
        str, typer.Option(help="Mean and SD of who takes it; else as the scores of delivered sessions say.")
    ] = "",
    if_alarm: Annotated[
        bool, typer.Option("--if-alarm", help="Only where delivered sessions raise the alarm.")
    ] = False,
    days: Annotated[int, typer.Option(help="Of delivered sessions: those of so many days.")] = 90,
    learners: Annotated[int, typer.Option(help="Simulated learners in each round.")] = 5_000,
    seed: Annotated[int, typer.Option(help="Another seed, other learners.")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and stop.")] = False,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Sandbox learners instead of real ones.")
    ] = False,
    database: Annotated[str, typer.Option(help="A database address; by default the configured one.")] = "",
    banks: Banks = DEFAULT_BANKS,
) -> None:
    """Compute the probabilities that keep every unit below the target, as the form's next version.

    Fit for a scheduler: with --if-alarm nothing happens while exposure is as it should be. What is written
    changes nothing for learners until it is reviewed and activated.
    """
    from assess.publishing import load_bank
    from assess.publishing.assembling import write_forms
    from assess.publishing.exposing import renewed

    course = _course_of(banks, form)
    bank = load_bank(find_bank_folder(banks, course))
    found = bank.latest_forms()[form]
    since = datetime.now(UTC) - timedelta(days=days)
    if if_alarm and not _alarmed(form, since, target, sandbox, database):
        out.print(f"no unit of {form} is above its target; nothing was computed", markup=False)
        return
    scale = bank.parameter_sets[found.parameter_set].scale.id
    takers = _stated(population) if population else _seen(form, scale, since, sandbox, database)
    with bar("simulating") as progress:
        following, made = renewed(
            bank,
            found,
            takers,
            computed=datetime.now(UTC).date(),
            seed=seed,
            target=target,
            n_learners=learners,
            progress=progress,
        )
    _tell(following, made.exposure.max(), made.rounds, takers)
    if dry_run:
        out.print("nothing was written (--dry-run)", markup=False)
        return
    said = f"Exposure by `assess exposure-table` for {takers.source}, after {found.reference}."
    for path in write_forms(bank, [following], said):
        out.print(f"written: {path}", markup=False)
    out.print(
        "review it, then: assess bank check, assess design, assess bank seal, assess activate", markup=False
    )


def _course_of(banks: Path, form: str) -> str:
    """The course of a form that is named by its id."""
    from assess.cli.running import find_document

    document = find_document(banks, form)
    if "form" not in document or form != document["form"]["id"]:
        raise CommandError(f"{form!r}: name a form by its id, without a version")
    return str(document["course"]["id"])


def _alarmed(form: str, since: datetime, target: float | None, sandbox: bool, database: str) -> bool:
    import assess
    from assess.delivery.watching import watch

    with assess.connect(database or None) as opened:
        return bool(watch(opened, form, since=since, target=target, sandbox=sandbox).alarms)


def _seen(form: str, scale: str, since: datetime, sandbox: bool, database: str) -> Takers:
    import assess
    from assess.delivery.watching import takers
    from assess.publishing.exposing import Takers

    with assess.connect(database or None) as opened:
        seen = takers(opened, form, scale, since=since, sandbox=sandbox)
    return Takers(
        round(seen.mean, 4),
        round(seen.sd, 4),
        f"{seen.n} scores of sessions since {since.date().isoformat()}",
    )


def _stated(population: str) -> Takers:
    from assess.cli.designing import population_of
    from assess.publishing.exposing import Takers

    people = population_of(population)
    return Takers(people.mean, people.sd)


def _tell(form: Form, largest: float, rounds: int, takers: Takers) -> None:
    assert form.adaptive is not None
    assert form.adaptive.exposure is not None
    rule = form.adaptive.exposure
    lowest = sorted(rule.probabilities.items(), key=lambda entry: (entry[1], entry[0]))[:20]
    table(f"{form.reference}: the units that are held back most", ["unit", "open with probability"], lowest)
    out.print(
        f"{len(rule.probabilities)} units held back; in {rounds} rounds the largest exposure came to "
        f"{largest:.3f}, target {rule.target:g}; takers of mean {takers.mean:g} and SD {takers.sd:g} "
        f"({takers.source})",
        markup=False,
    )
