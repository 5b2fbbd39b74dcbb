"""`assess pilot`: whether items that are being tried out may count, and letting them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assess.cli.console import DEFAULT_BANKS, Banks, By, CommandError, account, find_bank_folder, out, table
from assess.cli.measuring import Preview, Yes, finish, from_database, from_file, is_file, parameter_set_of

if TYPE_CHECKING:
    from assess.irt.models import ParameterSet
    from assess.publishing import ItemBank
    from assess.responses import ResponseMatrix

app = typer.Typer(help="Review items that are being tried out, and promote them.", no_args_is_help=True)


@app.command()
def review(
    source: Annotated[
        str, typer.Argument(help="A course, read from the database; or a CSV or Parquet file.")
    ],
    course: Annotated[str, typer.Option(help="Of a file: the course whose units its columns are.")] = "",
    parameters: Annotated[
        str, typer.Option(help="A published parameter set; by default the newest on the course's scale.")
    ] = "",
    model: Annotated[
        str,
        typer.Option(help="Of the items tried out: Rasch, 2PL, GRM, ...; GPCM where there are more points."),
    ] = "2PL",
    looks: Annotated[
        str, typer.Option(help="Numbers of responses at which an item is looked at.")
    ] = "250,500,1000,2000",
    group: Annotated[
        str,
        typer.Option(help="Of a file: a column of groups to look for DIF in. Of the database: languages."),
    ] = "",
    out_folder: Annotated[Path, typer.Option("--out", help="The folder for the record.")] = Path(
        "var/pilots"
    ),
    sandbox: Annotated[
        bool | None, typer.Option("--sandbox/--real", help="Of the database: sandbox learners, or real ones.")
    ] = None,
    by: By = "",
    banks: Banks = DEFAULT_BANKS,
) -> None:
    """Look at every item that is being tried out, on the scale of the others, and write a record."""
    from assess import irt
    from assess.publishing import load_bank, pilot_record

    if is_file(source) and not course:
        raise CommandError("add --course: the bank says what the columns of a file are")
    bank = load_bank(find_bank_folder(banks, course or source))
    published = parameter_set_of(bank, parameters)
    matrix, sample, groups = _responses(source, bank, group, sandbox)
    pilot = _tried_out(bank, matrix, published)
    found = irt.review_pilot(
        matrix,
        published,
        pilot=pilot,
        model=model,
        group=groups,
        sets={unit: bank.items[unit].case_set for unit in matrix.item_ids if unit in bank.items
              and bank.items[unit].case_set},
        rules=irt.PilotRules(looks=_numbers(looks)),
    )  # fmt: skip
    shown = ["n", "look", "b", "se_b", "se_log_a", "fit_p", "dif", "drift", "q3_excess", "status"]
    rows = [
        (item, *(_cell(value) for value in row.values()))
        for item, row in found.table[shown].to_dict("index").items()
    ]
    table(f"items tried out, against {published.id}", ["item", *shown], rows)
    for item, why in found.table["why"].items():
        if why:
            out.print(f"{item}: {why}", style="yellow", markup=False)
    record = pilot_record(
        found,
        course=bank.course,
        parameter_set=published,
        sample=sample | {"n_persons": matrix.n_persons},
        data_sha256=matrix.sha256(),
        by=by or account(),
        now=datetime.now(UTC),
    )
    out_folder.mkdir(parents=True, exist_ok=True)
    path = out_folder / f"{bank.course}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps(record, allow_nan=False, indent=1), encoding="utf-8")
    out.print(f"wrote {path}", markup=False)
    if found.with_status("passes"):
        out.print(f"another person may: assess pilot promote {path} --by ... --reason ...", markup=False)


@app.command()
def promote(
    record: Annotated[Path, typer.Argument(help="What `assess pilot review` wrote.")],
    items: Annotated[list[str] | None, typer.Argument(help="Some of those that pass; else all.")] = None,
    reason: Annotated[str, typer.Option(help="Why they are to count; stored with their parameters.")] = "",
    by: By = "",
    preview: Preview = False,
    yes: Yes = False,
    banks: Banks = DEFAULT_BANKS,
) -> None:
    """Let items count that pass: a second person shows the effect and writes new files.

    Nothing changes for learners before a form among them is activated.
    """
    from assess.publishing import load_bank, plan_promotion

    try:
        found = json.loads(record.read_text(encoding="utf-8"))
        course = str(found["course"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as fault:
        raise CommandError(
            f"{record}: this is no record that `assess pilot review` wrote ({fault})"
        ) from None
    planned = plan_promotion(
        load_bank(find_bank_folder(banks, course)),
        found,
        items or (),
        by=by or account(),
        reason=reason,
        now=datetime.now(UTC),
    )
    finish(planned, preview=preview, yes=yes)


def _responses(
    source: str, bank: ItemBank, group: str, sandbox: bool | None
) -> tuple[ResponseMatrix, dict[str, object], Any]:
    """Responses, whose they are, and the group of each person."""
    import assess
    from assess.publishing import read_column

    if is_file(source):
        matrix = from_file(Path(source), None, _columns_of(Path(source), bank), "", (), bank, False)
        groups = read_column(source, group) if group else None
        return matrix, {"source": Path(source).name}, groups
    matrix, sample = from_database(source, sandbox)
    with assess.connect() as database:
        spoken = database.languages(source, sandbox=sandbox)
    # A session that ended in between is in one reading and not in the other.
    return matrix, sample, [spoken.get(person) for person in matrix.person_ids.tolist()]


def _columns_of(path: Path, bank: ItemBank) -> list[str]:
    """The columns of a file that are units of the bank; others, such as groups, are left aside."""
    from assess.publishing import open_responses

    names = open_responses(path).names
    return [name for name in names if name in bank.items or name in bank.case_sets]


def _tried_out(bank: ItemBank, matrix: ResponseMatrix, published: ParameterSet) -> list[str]:
    """Columns that a form of the bank tries out and that have no parameters on the scale."""
    named = {unit for form in bank.forms.values() for unit in form.pilot}
    named |= {unit for unit, item in bank.items.items() if item.state == "pilot"}
    found = [unit for unit in matrix.item_ids if unit in named and unit not in published.parameters.position]
    if not found:
        raise CommandError(f"nobody was shown an item of {bank.course} that is being tried out")
    return found


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise CommandError(f"--looks is {text!r}; give whole numbers, such as 250,500,1000") from None


def _cell(value: Any) -> Any:
    return "" if isinstance(value, float) and value != value else value
