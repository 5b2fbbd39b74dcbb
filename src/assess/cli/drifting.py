"""`assess drift`: whether operational items still are what they were published as, and what follows."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from assess.cli.console import DEFAULT_BANKS, Banks, By, CommandError, account, find_bank_folder, out, table
from assess.cli.measuring import Preview, Yes, finish, from_database, from_file, is_file, parameter_set_of

SCHEMA = "assess.drift/1"

app = typer.Typer(help="Find items that changed, and stop offering them.", no_args_is_help=True)


@app.command()
def check(
    source: Annotated[
        str, typer.Argument(help="A course, read from the database; or a CSV or Parquet file.")
    ],
    course: Annotated[str, typer.Option(help="Of a file: the course whose units its columns are.")] = "",
    parameters: Annotated[
        str, typer.Option(help="A published parameter set; by default the newest on the course's scale.")
    ] = "",
    fewest_responses: Annotated[
        int, typer.Option(help="A unit with fewer responses is no anchor, and is named.")
    ] = 200,
    out_folder: Annotated[Path, typer.Option("--out", help="The folder for the record.")] = Path("var/drift"),
    sandbox: Annotated[
        bool | None, typer.Option("--sandbox/--real", help="Of the database: sandbox learners, or real ones.")
    ] = None,
    banks: Banks = DEFAULT_BANKS,
) -> None:
    """Calibrate operational responses anew and name the units that moved; exit code 1 when one did.

    A unit is alarming at |z| > 2.7 and more than 0.3 from where it was: it leaves the anchors and
    the link is estimated again. More than a fifth of the anchors, or fewer than six left, blocks publishing.
    """
    from assess import irt
    from assess.publishing import load_bank

    if is_file(source) and not course:
        raise CommandError("add --course: the bank says what the columns of a file are")
    bank = load_bank(find_bank_folder(banks, course or source))
    if is_file(source):
        matrix = from_file(Path(source), None, (), "", (), bank, False)
        sample: dict[str, object] = {"source": Path(source).name}
    else:
        matrix, sample = from_database(source, sandbox)
    published = parameter_set_of(bank, parameters)
    found = irt.operational_drift(matrix, published, fewest_responses=fewest_responses)
    rows = [
        (item, float(row["b_onto"]), float(row["b_new"]), float(row["d"]), float(row["z"]), _word(row))
        for item, row in found.table.iterrows()
    ]
    table(f"drift against {published.id}", ["unit", "published b", "b today", "change", "robust z", ""], rows)
    out.print(repr(found)[1:-1], markup=False)
    out.print(repr(found.link)[1:-1], markup=False)
    for item, why in found.not_checked.items():
        out.print(f"not checked: {item} {why}", style="yellow", markup=False)
    record = {
        "schema": SCHEMA,
        "course": bank.course,
        "parameter_set": published.id,
        "scale": published.scale.id,
        "checked_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "sample": sample | {"n_persons": matrix.n_persons},
        "data_sha256": matrix.sha256(),
        "drift": found.to_mapping(),
    }
    path = _written(out_folder, f"{bank.course}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}", record)
    out.print(f"wrote {path}", markup=False)
    if found.refusal:
        out.print(f"publishing on these anchors is blocked: {found.refusal}", style="red", markup=False)
    if found.removed:
        out.print(f"to stop offering them: assess drift freeze {path} --reason ...", markup=False)
        raise typer.Exit(1)
    if found.refusal:
        raise typer.Exit(1)


@app.command()
def freeze(
    what: Annotated[
        list[str], typer.Argument(help="The record of `assess drift check`; or a course and its units.")
    ],
    reason: Annotated[str, typer.Option(help="Why they are not offered any more; stored with them.")],
    by: By = "",
    preview: Preview = False,
    yes: Yes = False,
    banks: Banks = DEFAULT_BANKS,
) -> None:
    """Write that units are frozen, and the forms that go on without them; past scores stay.

    A new form version must be activated before learners stop meeting the units.
    """
    from assess.publishing import load_bank, plan_freeze

    evidence: dict[str, Any] = {}
    if len(what) == 1 and what[0].endswith(".json"):
        record = _read(Path(what[0]))
        course, units = str(record["course"]), list(record["drift"]["removed"])
        if not units:
            raise CommandError(f"{what[0]}: no unit drifts in this record, so there is nothing to freeze")
        anchors = record["drift"]["anchors"]
        evidence = {key: record[key] for key in ("parameter_set", "checked_at", "data_sha256")}
        evidence["drift"] = {unit: anchors[unit] for unit in units}
    elif len(what) > 1:
        course, units = what[0], what[1:]
    else:
        raise CommandError("name the record of `assess drift check`, or a course and the units to freeze")
    planned = plan_freeze(
        load_bank(find_bank_folder(banks, course)),
        units,
        reason=reason,
        by=by or account(),
        now=datetime.now(UTC),
        evidence=evidence,
    )
    finish(planned, preview=preview, yes=yes)


def _word(row: Any) -> str:
    return "drifts" if row["drifts"] else ""


def _written(folder: Path, name: str, record: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(record, allow_nan=False, indent=1), encoding="utf-8")
    return path


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.get("schema") != SCHEMA:
            raise ValueError(f"schema is {record.get('schema')!r}")
    except (OSError, ValueError, AttributeError, RecursionError) as fault:
        raise CommandError(f"{path}: this is no record that `assess drift check` wrote ({fault})") from None
    return dict(record)
