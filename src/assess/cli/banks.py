"""`assess bank`: check, judge, seal and preview item banks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from assess.cli.console import DEFAULT_BANKS, Banks, CommandError, find_bank_folder, out, table

app = typer.Typer(help="Check, derive, seal and look at item banks.", no_args_is_help=True)


@app.command()
def check(
    folder: Annotated[
        Path, typer.Argument(envvar="ASSESS_ITEM_BANKS", help="Banks, a programme, or one bank.")
    ] = DEFAULT_BANKS,
) -> None:
    """List every fault of a folder of banks; exit code 1 when there is an error."""
    from assess.publishing import check as find_faults

    findings = find_faults(folder)
    errors = [finding for finding in findings if finding.severity == "error"]
    for finding in findings:
        out.print(str(finding), style="red" if finding.severity == "error" else "yellow", markup=False)
    out.print(f"{len(errors)} errors, {len(findings) - len(errors)} warnings")
    if errors:
        raise typer.Exit(1)


@app.command()
def judge(
    course: Annotated[str, typer.Argument(help="The course, such as twt-3.")],
    banks: Banks = DEFAULT_BANKS,
) -> None:
    """Write the next judged parameter set of a course, from the judgements in its items."""
    from assess.publishing import judged_parameters, load_bank
    from assess.publishing.files import write_yaml

    bank = load_bank(find_bank_folder(banks, course))
    versions = [
        int(name.rsplit(".v", 1)[1]) for name in bank.parameter_sets if name.startswith(f"{course}-judged.v")
    ]
    version = max(versions, default=0) + 1
    document = judged_parameters(bank, version=version)
    if version > 1:
        newest = bank.parameter_sets[f"{course}-judged.v{version - 1}"]
        if newest.parameters.to_records() == document["items"]:
            out.print(f"{newest.id} already says what the items say; nothing was written")
            return
    path = bank.folder / "parameters" / f"{document['id']}.v{version}.yaml"
    write_yaml(
        path, document, comment="Written by `assess bank judge` from judged.just_proficient of the items."
    )
    out.print(f"wrote {path}: {len(document['items'])} units on scale {document['scale']['id']}")


@app.command()
def seal(
    folder: Annotated[
        Path, typer.Argument(envvar="ASSESS_ITEM_BANKS", help="Banks, a programme, or one bank.")
    ] = DEFAULT_BANKS,
) -> None:
    """Make published files final: from now on an edit or a deletion is an error."""
    from assess.publishing import seal as seal_files

    for course, paths in seal_files(folder).items():
        out.print(
            f"{course}: {len(paths)} files sealed" if paths else f"{course}: all published files were sealed"
        )


@app.command()
def standards(
    folder: Annotated[
        Path, typer.Argument(envvar="ASSESS_ITEM_BANKS", help="Banks, a programme, or one bank.")
    ] = DEFAULT_BANKS,
    framework: Annotated[str, typer.Option(help="Only this framework, such as unesco-ict-cft.")] = "",
    codes: Annotated[bool, typer.Option("--codes", help="Every code, not only parts and levels.")] = False,
) -> None:
    """Show what the banks hold of each framework: items by part and level, courses, gaps."""
    from assess.publishing import bank_folders, find_programmes, load_bank
    from assess.publishing.item_writing import newest
    from assess.standards import frameworks
    from assess.standards.matrix import framework_matrix

    single = (folder / "bank.yaml").is_file()
    folders = [folder] if single else [f for p in find_programmes(folder) for f in bank_folders(p)]
    items = [(bank.course, item) for bank in map(load_bank, folders) for item in newest(bank)]
    known = [found for found in frameworks.available() if framework in ("", found[0])]
    if not known:
        ids = ", ".join(sorted({id_ for id_, _ in frameworks.available()}))
        raise CommandError(f"{framework!r} is not a framework; known are {ids}")
    for id_, version in known:
        matrix = framework_matrix(id_, version, items)
        title = f"{matrix.framework.title}: {matrix.n_items} items"
        if not matrix.n_items:
            out.print(f"{matrix.framework.title}: no item is aligned to it\n", markup=False)
            continue
        if codes:
            rows = [
                (part.name, matrix.codes[part.code].n_items, " ".join(matrix.codes[part.code].courses))
                for part in matrix.framework.competencies
            ]
            table(title, ["code", "items", "courses"], rows)
            continue
        names = {level.code: f"{level.code} {level.title}" for level in matrix.framework.levels}
        cells = [
            (
                part.name,
                *(
                    f"{held.n_items}  {' '.join(held.courses)}" if held.n_items else "-"
                    for held in (matrix.cells[part.code, level] for level in matrix.levels)
                ),
            )
            for part in matrix.parts
        ]
        table(title, ["part", *(names.get(level, "items") for level in matrix.levels)], cells)
        out.print(f"{len(matrix.gaps)} of {len(matrix.cells)} cells have no item\n")


@app.command()
def preview(
    course: Annotated[str, typer.Argument(help="The course, such as twt-3.")],
    item: Annotated[
        str, typer.Argument(help="An item, such as twt-3-001 or twt-3-001.v1; without it a list.")
    ] = "",
    language: Annotated[str, typer.Option(help="The language of the texts.")] = "en",
    banks: Banks = DEFAULT_BANKS,
) -> None:
    """Show the items of a bank, or one item with key and rationales."""
    from assess.publishing import load_bank

    bank = load_bank(find_bank_folder(banks, course))
    if not item:
        rows = [
            (
                found.reference,
                found.interaction_type,
                found.n_categories - 1,
                found.state,
                ", ".join(a.code for a in found.alignments if a.primary),
                " ".join(found.languages),
                found.case_set,
            )
            for found in bank.items.values()
        ]
        table(
            repr(bank),
            ["item", "interaction", "points", "state", "primary codes", "languages", "case set"],
            rows,
        )
        return
    matching = [found for found in bank.items.values() if item in (found.reference, found.id)]
    if not matching:
        raise CommandError(f"{item!r} is not an item of {course}; `assess bank preview {course}` lists them")
    shown = matching[-1]
    found_language, text = shown.text(language)
    out.print(f"{shown.reference} ({found_language}), {shown.interaction_type}\n", style="bold")
    out.print(text.stem, markup=False)
    best = shown.interaction.best()
    for option, words in text.options.items():
        out.print(f"\n  {option}  {words}", markup=False)
        if option in text.rationales:
            out.print(f"     {text.rationales[option]}", style="dim", markup=False)
    for target, words in text.targets.items():
        out.print(f"  -> {target}  {words}", markup=False)
    out.print(f"\nkey: {best}", markup=False)
    if not text.options and "answer" in text.rationales:
        out.print(f"     {text.rationales['answer']}", style="dim", markup=False)
