"""The command line: `assess --help`."""

from __future__ import annotations

import sys

import typer

from assess.cli import (
    accuracy,
    analysing,
    appeals,
    assembling,
    badges,
    banks,
    demo,
    designing,
    drifting,
    erasing,
    measuring,
    operating,
    replaying,
    rescoring,
    rosters,
    running,
    simulating,
    sitting,
    standard,
    trying,
    watching,
    webhooks,
    what_if,
)
from assess.cli.console import guarded, out

app = typer.Typer(
    help="From an item bank to a decision that can be defended.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(running.serve)
app.command()(demo.demo)
app.add_typer(banks.app, name="bank")
app.add_typer(running.keys_app, name="keys")
app.add_typer(rosters.app, name="roster")
app.add_typer(standard.app, name="standard")
app.add_typer(badges.facts_app, name="facts")
app.add_typer(badges.app, name="badge")
app.command()(badges.usage)
app.command()(running.activate)
app.command()(simulating.simulate)
app.command()(designing.design)
app.command()(watching.exposure)
app.command("exposure-table")(watching.exposure_table)
app.command()(assembling.assemble)
app.command()(accuracy.accuracy)
app.command()(analysing.analyse)
app.command()(measuring.calibrate)
app.command()(measuring.publish)
app.add_typer(trying.app, name="pilot")
app.add_typer(drifting.app, name="drift")
app.command()(replaying.replay)
app.add_typer(appeals.app, name="appeal")
app.command()(rescoring.rescore)
app.command("what-if")(what_if.what_if)
app.command()(rescoring.release)
app.add_typer(sitting.incidents_app, name="incident")
app.add_typer(sitting.invigilators_app, name="invigilator")
app.command()(sitting.accommodate)
app.add_typer(webhooks.webhooks_app, name="webhook")
app.command()(erasing.erase)
app.command()(operating.backup)
app.command()(operating.restore)
app.command()(operating.doctor)
app.command()(operating.heartbeats)
app.command()(operating.work)


@app.command()
def version() -> None:
    """Print the version."""
    from assess import __version__

    out.print(f"assess {__version__}")


def main() -> None:
    """The entry point; an error that was raised on purpose is one sentence and exit code 2."""
    sys.exit(guarded(lambda: app(standalone_mode=True)))
