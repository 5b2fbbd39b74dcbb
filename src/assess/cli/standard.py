"""`assess standard`: what a panel's judgements lead to, what a cut would do, and its adoption."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assess.cli.console import DEFAULT_BANKS, Banks, By, CommandError, account, find_bank_folder, out, table

if TYPE_CHECKING:
    from assess.irt.models import ParameterSet
    from assess.publishing import ItemBank

app = typer.Typer(help="Set a cut: look at a panel's judgements, and adopt them.", no_args_is_help=True)
StudyFile = Annotated[Path, typer.Argument(help="A study as a YAML file.")]
Table = Annotated[
    Path | None, typer.Option("--judgements", help="The panel's CSV file: round, judge, about, value.")
]
Set = Annotated[str, typer.Option("--parameters", help="The parameter set; by default the course's newest.")]


@app.command()
def compute(
    study: StudyFile,
    judgements: Table = None,
    parameters: Set = "",
    form: Annotated[str, typer.Option(help="The form on which will be decided; else all units.")] = "",
    seed: Annotated[int, typer.Option(help="Of the simulated learners in the impact table.")] = 1,
    save: Annotated[Path | None, typer.Option("--out", help="Write the study with its result here.")] = None,
    banks: Banks = DEFAULT_BANKS,
) -> None:
    """Print the cut after every round, its standard errors by design, and what it would do."""
    import numpy as np

    from assess.publishing import load_bank
    from assess.publishing.studies import load_study, write_study
    from assess.standard_setting import estimates_by_round, impact, with_result

    found = load_study(study, judgements)
    bank = load_bank(find_bank_folder(banks, found.course))
    chosen = _parameters(bank, parameters)
    rounds = estimates_by_round(found, chosen)
    rows = [(n, one.n_judges, one.raw, one.theta, one.se) for n, one in enumerate(rounds, 1)]
    table(
        f"{found.reference}, {found.method} on {chosen.id}",
        ["round", "judges", "raw", "theta", "SE"],
        rows,
    )
    table(
        "standard errors", ["design", "theta", "raw"], [(e.design, e.theta, e.raw) for e in rounds[-1].errors]
    )
    units = bank.forms[_reference(bank, form)].units if form else chosen.parameters.item_ids
    effect = impact({"the cut": rounds[-1]}, chosen.parameters.take(units), rng=np.random.default_rng(seed))
    names = ["theta", "passed", "not_passed", "undetermined", "accuracy", "false_pass", "false_fail"]
    table(
        "what it would do: the cut, and one standard error below and above",
        ["SE from the cut", *(name.replace("_", " ") for name in names)],
        [
            (int(row["shift"]), *(float(row[name]) for name in names))
            for _, row in effect.reset_index().iterrows()
        ],
    )
    if found.synthetic:
        out.print("note: made up (synthetic: true); it cannot be adopted", style="yellow", markup=False)
    if save is not None:
        write_study(save, with_result(found, chosen))
        out.print(f"wrote {save}", markup=False)


@app.command()
def adopt(
    study: Annotated[Path, typer.Argument(help="A study that `compute --out` wrote.")],
    cut: Annotated[str, typer.Option(help="The id of the cut, such as twt-3-ka.")],
    by: By = "",
    save: Annotated[Path | None, typer.Option("--out", help="Where the adopted study is written.")] = None,
    banks: Banks = DEFAULT_BANKS,
) -> None:
    """Take responsibility for a cut: a new file of the bank. Nothing changes until a form pins it."""
    from assess.publishing import load_bank
    from assess.publishing.studies import adopt_study, load_study, write_study

    found = load_study(study)
    bank = load_bank(find_bank_folder(banks, found.course))
    chosen = _parameters(bank, "" if found.result is None else found.result.parameter_set)
    adopted, stored = adopt_study(bank, found, chosen, cut_id=cut, by=by or account(), now=datetime.now(UTC))
    kept = save or study.with_name(f"{found.reference}.adopted.yaml")
    write_study(kept, adopted)
    out.print(adopted.summary(), markup=False)
    out.print(f"wrote cuts/{stored.cut.id}.yaml and {kept}; a form's next version may pin it", markup=False)


def _parameters(bank: ItemBank, name: str) -> ParameterSet:
    if not name:
        calibrated = [found for found in bank.parameter_sets.values() if found.status == "calibrated"]
        return (calibrated or list(bank.parameter_sets.values()))[-1]
    if name not in bank.parameter_sets:
        raise CommandError(f"{name!r} is no parameter set of {bank.course}: {', '.join(bank.parameter_sets)}")
    return bank.parameter_sets[name]


def _reference(bank: ItemBank, form: str) -> str:
    latest = bank.latest_forms()
    if form in latest:
        return latest[form].reference
    if form not in bank.forms:
        raise CommandError(f"{form!r} is no form of {bank.course}: {', '.join(bank.forms)}")
    return form
