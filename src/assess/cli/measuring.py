"""`assess calibrate` and `assess publish`: from responses to new files of a bank."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from assess.cli.console import DEFAULT_BANKS, Banks, By, CommandError, account, find_bank_folder, out, table
from assess.errors import CalibrationError, InvalidParameters, InvalidResponses
from assess.progress import bar

if TYPE_CHECKING:
    from assess.irt.calibration import Calibration
    from assess.irt.models import ParameterSet
    from assess.publishing import ItemBank, Planned
    from assess.responses import ResponseMatrix

_SUFFIXES = (".csv", ".parquet", ".pq")

Preview = Annotated[bool, typer.Option("--preview", help="Show the effect and write nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Write without asking at a terminal.")]


def is_file(source: str) -> bool:
    """Whether a source of responses is a file, not a course."""
    return source.lower().endswith(_SUFFIXES)


def calibrate(
    source: Annotated[
        str, typer.Argument(help="A course, read from the database; or a CSV or Parquet file.")
    ],
    model: Annotated[
        str, typer.Option(help="A model for all, or auto: 2PL, and GPCM where there are more points.")
    ] = "auto",
    out_folder: Annotated[Path, typer.Option("--out", help="The folder for the calibration.")] = Path(
        "var/calibrations"
    ),
    engine: Annotated[str, typer.Option(help="own or girth.")] = "own",
    key: Annotated[
        Path | None, typer.Option(help="Of a file of raw options: a CSV with the columns item, key.")
    ] = None,
    items: Annotated[
        list[str] | None, typer.Option(help="Columns that are items, patterns allowed; repeatable.")
    ] = None,
    person: Annotated[
        str, typer.Option(help="The column that names the persons; several as person+occasion.")
    ] = "",
    omitted: Annotated[
        list[str] | None, typer.Option(help="A cell that means left blank; repeatable.")
    ] = None,
    course: Annotated[
        str, typer.Option(help="Read the items of a file as the units of this course's bank.")
    ] = "",
    anchors: Annotated[
        str, typer.Option(help="A published parameter set to hold fixed, so that its scale stays.")
    ] = "",
    slope_prior: Annotated[
        float | None,
        typer.Option(help="For few responses: the SD of a lognormal prior on the slopes, such as 0.5."),
    ] = None,
    min_responses: Annotated[int, typer.Option(help="Set units with fewer responses aside, by name.")] = 30,
    exclude_constant: Annotated[
        bool, typer.Option(help="Set items without variation aside, by name.")
    ] = False,
    allow_wide: Annotated[bool, typer.Option(help="Accept more items than persons in a file.")] = False,
    sandbox: Annotated[
        bool | None, typer.Option("--sandbox/--real", help="Of the database: sandbox learners, or real ones.")
    ] = None,
    banks: Banks = DEFAULT_BANKS,
) -> None:
    """Estimate item parameters, print the fit, and write the calibration as JSON."""
    from assess import irt
    from assess.publishing import load_bank

    from_disk = is_file(source)
    bank = load_bank(find_bank_folder(banks, course)) if course else None
    if from_disk:
        matrix = from_file(Path(source), key, items or (), person, omitted or (), bank, allow_wide)
        sample: dict[str, object] = {"source": Path(source).name}
    else:
        course = source
        matrix, sample = from_database(source, sandbox)
    matrix = _enough(matrix, min_responses if not from_disk else 1)
    matrix = matrix.informative_items(exclude=exclude_constant)
    fixed, scale, drift = None, "", None
    if anchors:
        found = parameter_set_of(bank or load_bank(find_bank_folder(banks, course)), anchors)
        drift = _anchors_checked(matrix, found)
        gone = set(drift["removed"])
        kept = [unit for unit in found.parameters.item_ids if unit in matrix.item_ids and unit not in gone]
        fixed, scale = found.parameters.take(kept), found.scale.id
    with bar(f"calibrating {source}") as progress:
        calibration = irt.calibrate(
            matrix,
            _models(matrix, model),
            engine=cast(Literal["own", "girth"], engine),
            anchors=fixed,
            priors=None if slope_prior is None else {"a": irt.LogNormal(0.0, slope_prior)},
            progress=progress,
        )
    known = {"course": course, "scale": scale, "sample": sample | {"n_persons": matrix.n_persons}}
    if drift is not None:
        known |= {"anchors": anchors, "drift": drift}
    calibration = replace(calibration, provenance={**calibration.provenance, **known})
    _show(calibration)
    path = out_folder / f"{Path(source).stem}-{model.lower()}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(calibration.to_json(), encoding="utf-8")
    out.print(f"wrote {path}", markup=False)


def parameter_set_of(bank: ItemBank, name: str) -> ParameterSet:
    """A parameter set of a course by its reference; without one the newest on its scale."""
    from assess.publishing import newest_parameters

    if not name:
        return newest_parameters(bank)
    if name not in bank.parameter_sets:
        raise CommandError(f"{name!r} is no parameter set of {bank.course}: {', '.join(bank.parameter_sets)}")
    return bank.parameter_sets[name]


def _anchors_checked(matrix: ResponseMatrix, published: ParameterSet) -> dict[str, Any]:
    """Whether the anchors stand, as the calibration keeps it; what drifts is named and let go."""
    from assess import irt

    try:
        found = irt.operational_drift(matrix, published)
    except InvalidParameters as fault:
        out.print(f"anchors: {fault}; this calibration cannot be published", style="yellow", markup=False)
        return {"removed": [], "refusal": str(fault)}
    out.print(repr(found)[1:-1], style="yellow" if found.removed or found.refusal else "", markup=False)
    for item in found.removed:
        out.print(f"{item} drifts and is estimated anew", style="yellow", markup=False)
    if found.refusal:
        out.print(f"this calibration cannot be published: {found.refusal}", style="yellow", markup=False)
    return found.to_mapping()


def from_file(
    path: Path,
    key: Path | None,
    items: list[str] | tuple[str, ...],
    person: str,
    omitted: list[str] | tuple[str, ...],
    bank: ItemBank | None,
    allow_wide: bool,
) -> ResponseMatrix:
    """The responses in a file."""
    from assess.publishing import read_responses

    return read_responses(
        path, items=items, person=person, key=key, omitted=omitted, bank=bank, allow_wide=allow_wide
    )


def from_database(course: str, sandbox: bool | None) -> tuple[ResponseMatrix, dict[str, object]]:
    """The responses to a course in the database, and whose they are."""
    import assess

    with assess.connect() as database:
        matrix = database.matrix(course, sandbox=sandbox)
        population = database.population(sandbox)
        return matrix, {"source": "database", "tenant": database.tenant, "population": population}


def _enough(matrix: ResponseMatrix, least: int) -> ResponseMatrix:
    """The units with enough responses; the others are named, never dropped in silence."""
    given = (matrix.categories >= 0).sum(axis=0)
    few = [item for item, n in zip(matrix.item_ids, given.tolist(), strict=True) if n < least]
    if not few:
        return matrix
    kept = [item for item in matrix.item_ids if item not in few]
    if not kept:
        raise InvalidResponses(
            f"no unit has {least} responses; the most is {int(given.max())} (--min-responses)"
        )
    out.print(f"set aside, with fewer than {least} responses: {', '.join(few)}", style="yellow", markup=False)
    return matrix.take_items(kept)


def _models(matrix: ResponseMatrix, model: str) -> str | Mapping[str, str]:
    if model != "auto":
        return model
    counts = zip(matrix.item_ids, matrix.n_categories.tolist(), strict=True)
    return {item: "2PL" if n_categories == 2 else "GPCM" for item, n_categories in counts}


def _show(calibration: Calibration) -> None:
    frame = calibration.to_frame()
    numbers = [c for c in frame.columns if c not in ("model", "n_categories") and not c.startswith("se_")]
    shown = [c for name in numbers for c in (name, f"se_{name}")]
    rows = [
        (item, frame.loc[item, "model"], *(float(frame.loc[item, column]) for column in shown))
        for item in frame.index
    ]
    table("items", ["item", "model", *shown], rows)
    population = calibration.population
    table(
        "fit",
        [
            "persons",
            "items",
            "log-likelihood",
            "parameters",
            "AIC",
            "BIC",
            "converged",
            "iterations",
            "mean",
            "SD",
        ],
        [
            (
                calibration.n_persons,
                calibration.n_items,
                calibration.log_likelihood,
                calibration.n_parameters,
                calibration.aic,
                calibration.bic,
                "yes" if calibration.converged else "NO",
                calibration.n_iterations,
                population.mean,
                population.sd,
            )
        ],
    )
    for note in calibration.notes:
        out.print(f"note: {note}", style="yellow", markup=False)


def publish(
    calibration: Annotated[Path, typer.Argument(help="A calibration that `assess calibrate` wrote.")],
    reason: Annotated[str, typer.Option(help="Why these parameters are to be used; stored with them.")],
    course: Annotated[str, typer.Option(help="The course, when the calibration came from a file.")] = "",
    set_id: Annotated[
        str, typer.Option("--id", help="Of the parameter set; by default course and month.")
    ] = "",
    reference_group: Annotated[
        str, typer.Option(help="At the first calibration: who has mean 0 and standard deviation 1.")
    ] = "",
    by: By = "",
    preview: Preview = False,
    yes: Yes = False,
    banks: Banks = DEFAULT_BANKS,
) -> None:
    """Show the effect of a calibration, then write parameter set, cut and forms as new files.

    Nothing changes for learners before a form among them is activated.
    """
    from assess.irt.calibration import Calibration
    from assess.publishing import load_bank, plan_calibration

    try:
        found = Calibration.from_json(calibration.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, CalibrationError) as fault:
        raise CommandError(
            f"{calibration}: this is not a calibration that `assess calibrate` wrote ({fault})"
        ) from None
    course = course or str(found.provenance.get("course") or "")
    if not course:
        raise CommandError("the calibration does not say its course; add --course")
    now = datetime.now(UTC)
    sample = found.provenance.get("sample", {})
    planned = plan_calibration(
        load_bank(find_bank_folder(banks, course)),
        found,
        set_id=set_id or f"{course}-{now:%Y-%m}",
        reference_group=reference_group
        or f"{found.n_persons:,} {sample.get('population', 'persons')} of {course} up to {now:%Y-%m-%d}",
        reason=reason,
        by=by or account(),
        now=now,
        scale_id=str(found.provenance.get("scale") or ""),
    )
    assert planned.parameter_set is not None
    scale = planned.parameter_set.scale
    out.print(f"scale {scale.id}: mean 0 and SD 1 in {scale.reference_group}", markup=False)
    for stored in planned.cuts:
        out.print(
            f"cut {stored.cut.id}: theta {stored.cut.theta:.3f}, {scale.report(stored.cut.theta)} reported "
            f"({stored.cut.status})",
            markup=False,
        )
    finish(planned, preview=preview, yes=yes)


def finish(planned: Planned, *, preview: bool, yes: bool) -> None:
    """Show what a plan would change, and write it unless only that was asked for."""
    for effect in planned.effects:
        title = f"{effect.form}, simulated" + (f", against {effect.replaces}" if effect.replaces else "")
        rows = [(name.replace("_", " "), before, after) for name, before, after in effect.rows()]
        table(title, ["share of learners", "present version", "new version"], rows)
        if effect.note:
            out.print(effect.note, style="yellow", markup=False)
    for name, why in planned.set_aside.items():
        out.print(f"set aside: {name} {why}", style="yellow", markup=False)
    if preview:
        out.print(f"nothing was written; it would be: {', '.join(planned.documents)}", markup=False)
        return
    # Only a person at a terminal can be asked; a script that got here has said what it wants.
    if not yes and sys.stdin.isatty() and not typer.confirm("Write these files?"):
        raise CommandError("nothing was written")
    published = planned.write()
    for file in published.files:
        out.print(f"wrote {file}", markup=False)
    names = " and ".join(f"assess activate {form.reference} --reason ..." for form in published.forms)
    then = f"; read the files, then: {names}" if names else ""
    out.print(f"nothing has changed for learners{then}", markup=False)
