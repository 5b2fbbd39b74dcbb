"""`assess assemble`: parallel forms of a bank by integer programming."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from assess.cli.console import DEFAULT_BANKS, Banks, CommandError, find_bank_folder, out, table

if TYPE_CHECKING:
    from assess.items import Form
    from assess.publishing import ItemBank


def assemble(
    course: Annotated[str, typer.Argument(help="The course whose bank is drawn on.")],
    like: Annotated[str, typer.Option(help="The form that is the pattern; else the newest fixed one.")] = "",
    forms: Annotated[int, typer.Option(help="How many forms.")] = 3,
    name: Annotated[str, typer.Option(help="Their ids begin with it: NAME-a, NAME-b, ...")] = "",
    objective: Annotated[
        str, typer.Option(help="maximin, target (information as the pattern has it) or accuracy.")
    ] = "maximin",
    at: Annotated[
        list[float] | None, typer.Option(help="A theta where information counts; repeatable; else the cut.")
    ] = None,
    overlap: Annotated[int, typer.Option(help="Units that two of the forms may share.")] = 0,
    common: Annotated[list[str] | None, typer.Option(help="A unit of every form; repeatable.")] = None,
    avoid: Annotated[list[str] | None, typer.Option(help="A form whose units stay out; repeatable.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and stop.")] = False,
    banks: Banks = DEFAULT_BANKS,
) -> None:
    """Assemble parallel forms after a pattern: its blueprint, no enemies together, the best there is."""
    from assess.irt.assembly import OBJECTIVES
    from assess.publishing import load_bank
    from assess.publishing.assembling import AssemblyOptions, write_forms
    from assess.publishing.assembling import assemble as solve

    if objective not in OBJECTIVES:
        raise CommandError(f"objective {objective!r} is not known; say {', '.join(OBJECTIVES)}")
    bank = load_bank(find_bank_folder(banks, course))
    pattern = _pattern(bank, like)
    options = AssemblyOptions(
        n_forms=forms,
        objective=objective,
        points=at or None,
        max_overlap=overlap,
        common=common or (),
        avoid=avoid or (),
    )
    found, assembled = solve(bank, pattern, name or f"{course}-assembled", options)
    frame = assembled.to_frame()
    rows = [
        (form.reference, *values) for form, values in zip(found, frame.itertuples(index=False), strict=True)
    ]
    table(f"assembled by {objective} after {pattern.reference}", ["form", *frame.columns], rows)
    if dry_run:
        out.print("nothing was written (--dry-run)", markup=False)
        return
    said = f"Assembled by `assess assemble`: {objective}, after {pattern.reference}."
    for path in write_forms(bank, found, said):
        out.print(f"written: {path}", markup=False)
    out.print("review them, then: assess bank check, assess design, assess bank seal", markup=False)


def _pattern(bank: ItemBank, like: str) -> Form:
    if like:
        latest = bank.latest_forms()
        if like not in bank.forms and like not in latest:
            raise CommandError(f"{like} is not a form of {bank.course}; its forms: {', '.join(bank.forms)}")
        return bank.forms.get(like) or latest[like]
    fixed = [form for form in bank.latest_forms().values() if form.kind == "fixed"]
    if not fixed:
        raise CommandError(f"{bank.course} has no fixed form that could be the pattern")
    return fixed[-1]
