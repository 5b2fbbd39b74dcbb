"""`assess standard`: what a panel's judgements lead to, what a cut would do, and its adoption."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assess.cli.console import DEFAULT_BANKS, Banks, By, CommandError, account, find_bank_folder, out, table

if TYPE_CHECKING:
    from assess.irt.models import ItemParameters, ParameterSet
    from assess.publishing import ItemBank
    from assess.standard_setting import CutEstimate, Study

app = typer.Typer(help="Set a cut: look at a panel's judgements, and adopt them.", no_args_is_help=True)
StudyFile = Annotated[Path, typer.Argument(help="A study as a YAML file.")]
Table = Annotated[
    Path | None, typer.Option("--judgements", help="The panel's CSV file: round, judge, about, value.")
]
Set = Annotated[str, typer.Option("--parameters", help="The parameter set; by default the course's newest.")]

_METHODS = ("EAP", "MAP", "WL")


@app.command()
def compute(
    study: StudyFile,
    judgements: Table = None,
    scores: Annotated[
        Path | None,
        typer.Option(
            help="A CSV file of scores: learner, theta, scale, method of the learners who were judged; "
            "or score, of the cohort that Hofstee and Beuk ask for."
        ),
    ] = None,
    beside: Annotated[
        list[Path] | None,
        typer.Option(help="Another study with a result, whose cut is a candidate too; repeatable."),
    ] = None,
    parameters: Set = "",
    form: Annotated[str, typer.Option(help="The form on which will be decided; else all units.")] = "",
    learners: Annotated[int, typer.Option(help="Simulated learners in the impact table.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Of these learners.")] = 1,
    save: Annotated[Path | None, typer.Option("--out", help="Write the study with its result here.")] = None,
    banks: Banks = DEFAULT_BANKS,
) -> None:
    """Print the cut after every round, its standard errors by design, and what it would do.

    Hofstee and Beuk look at how many may fail: they give advice, which nobody can adopt.
    """
    from assess.publishing import load_bank
    from assess.publishing.studies import load_study, write_study
    from assess.standard_setting import ADVICE, estimates_by_round, with_result

    found = load_study(study, judgements)
    if found.method in ADVICE:
        _advise(found, scores, keep=save is not None or bool(beside))
        return
    if scores is not None:
        found = load_study(study, judgements, scores)
    bank = load_bank(find_bank_folder(banks, found.course))
    chosen = _parameters(bank, parameters)
    rounds = estimates_by_round(found, chosen)
    rows = [(n, one.n_judges, one.raw, one.theta, one.se) for n, one in enumerate(rounds, 1)]
    table(
        f"{found.reference}, {found.method} on {chosen.id}",
        ["round", "judges", "raw", "theta", "SE"],
        rows,
    )
    out.print(rounds[-1].summary(), markup=False)
    table(
        "standard errors", ["design", "theta", "raw"], [(e.design, e.theta, e.raw) for e in rounds[-1].errors]
    )
    units = bank.forms[_reference(bank, form)].units if form else chosen.parameters.item_ids
    candidates = {found.reference: rounds[-1]} | _candidates(beside or [], chosen)
    _show_impact(candidates, chosen.parameters.take(units), learners, seed)
    if found.synthetic:
        out.print("note: made up (synthetic: true); it cannot be adopted", style="yellow", markup=False)
    if save is not None:
        write_study(save, with_result(found, chosen))
        out.print(f"wrote {save}", markup=False)


def _advise(study: Study, scores: Path | None, *, keep: bool) -> None:
    from assess.publishing.studies import cohort_scores
    from assess.standard_setting import advise

    if keep:
        raise CommandError(
            f"{study.method} gives advice, not a cut: nothing to keep (--out) or to compare (--beside)"
        )
    if scores is None:
        raise CommandError(
            f"{study.method} looks at how many fail; add --scores, a CSV file with the cohort's scores "
            "in the column score, in the units in which the judges gave their cuts"
        )
    out.print(f"{study.reference}, {advise(study, cohort_scores(scores)).summary()}", markup=False)
    out.print("a cut is adopted from a study of what the just-proficient teacher can do", markup=False)


def _candidates(others: list[Path], chosen: ParameterSet) -> dict[str, CutEstimate]:
    """The cuts of other studies, computed from their judgements on the same parameter set."""
    from assess.publishing.studies import load_study
    from assess.standard_setting import estimates_by_round

    studies = [load_study(path) for path in others]
    return {study.reference: estimates_by_round(study, chosen)[-1] for study in studies}


def _show_impact(
    candidates: Mapping[str, CutEstimate], parameters: ItemParameters, learners: int, seed: int
) -> None:
    import numpy as np

    from assess.standard_setting import impact

    effect = impact(candidates, parameters, n_simulees=learners, rng=np.random.default_rng(seed))
    names = ["theta", "passed", "not_passed", "undetermined", "accuracy", "false_pass", "false_fail"]
    table(
        "what it would do: each cut, and one standard error below and above",
        ["cut of", "SE from the cut", *(name.replace("_", " ") for name in names)],
        [
            (row["candidate"], int(row["shift"]), *(float(row[name]) for name in names))
            for _, row in effect.reset_index().iterrows()
        ],
    )


@app.command()
def scores(
    course: Annotated[str, typer.Argument(help="The course whose learners a panel knows, such as twt-3.")],
    save: Annotated[Path, typer.Option("--out", help="Write the CSV file here.")],
    parameters: Set = "",
    method: Annotated[
        str, typer.Option(help="EAP for contrasting groups, WL for a borderline group; MAP.")
    ] = "EAP",
    sandbox: Annotated[
        bool | None, typer.Option("--sandbox/--real", help="Sandbox learners, or real ones.")
    ] = None,
    banks: Banks = DEFAULT_BANKS,
) -> None:
    """Write where the learners of the database stand: what contrasting and borderline groups rest on."""
    import assess
    from assess import irt
    from assess.publishing import load_bank

    if method not in _METHODS:
        raise CommandError(
            f"--method {method}: say {', '.join(_METHODS)}; ML has no finite score for all right"
        )
    chosen = _parameters(load_bank(find_bank_folder(banks, course)), parameters)
    with assess.connect() as database:
        matrix = database.matrix(course, sandbox=sandbox)
    scored = [unit for unit in matrix.item_ids if unit in chosen.parameters.item_ids]
    if not scored:
        raise CommandError(f"no response of {course} is to a unit of {chosen.id}")
    found = irt.score(matrix.take_items(scored), chosen.parameters, method)  # type: ignore[arg-type]
    found = found[found.status == "ok"]
    found = found[["theta", "se"]].assign(scale=chosen.scale_id, method=method).rename_axis("learner")
    found.to_csv(save, lineterminator="\n")
    out.print(f"wrote {len(found)} learners on {chosen.scale_id} to {save}", markup=False)


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
