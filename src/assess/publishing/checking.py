"""What `assess bank check` finds: every fault of a folder of banks, not only the first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from assess.errors import AssessError, InvalidContent
from assess.items import Form, Item
from assess.publishing.banks import (
    ItemBank,
    Programme,
    bank_folders,
    content_files,
    find_programmes,
    load_programme,
    read_bank,
    release_document,
)
from assess.publishing.files import LOCK_NAME, add_to_lock, file_sha256, read_lock
from assess.publishing.item_writing import near_duplicates, newest, review_bank
from assess.publishing.judged import judged_record
from assess.session import require_unseen
from assess.session.release import Release
from assess.session.selection import require_feasible
from assess.standards import frameworks

Severity = Literal["error", "warning"]

# Items in these states are still being written; everything else is published.
_UNPUBLISHED = ("draft", "reviewed")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong (`error`) or deserves a look (`warning`), and where."""

    severity: Severity
    place: str
    message: str

    def __str__(self) -> str:
        return (
            f"{self.severity}: {self.place}: {self.message}"
            if self.place
            else f"{self.severity}: {self.message}"
        )


def check(folder: str | Path) -> list[Finding]:
    """Check every bank in a folder of programmes, in one programme, or one course's bank.

    Checked: file names and UTF-8, unknown and doubled keys, answer keys,
    alignments against the frameworks, duplicate ids, a rationale for every
    option, languages, case sets, judged ratings, every form as the release it
    would become (blueprint, parameters, cut, scale), the seal of published
    files, and the rules of item writing (`publishing.item_writing`).

    Returns
    -------
    list of Finding
        Errors first; empty when all is well.

    Raises
    ------
    InvalidContent
        The folder holds no bank at all.
    """
    root = Path(folder)
    if (root / "bank.yaml").is_file():
        programmes, only = [root.resolve().parent], root.resolve()
    else:
        programmes, only = find_programmes(root), None
    findings: list[Finding] = []
    items: list[Item] = []
    for programme_folder in programmes:
        try:
            programme = load_programme(programme_folder)
        except InvalidContent as fault:
            findings.append(_finding(fault))
            continue
        banks = [only] if only else bank_folders(programme_folder)
        without = set(programme.assessed_here) - {bank.name for bank in bank_folders(programme_folder)}
        findings += [
            Finding(
                "error",
                f"{programme.id}/programme.yaml: courses",
                f"{course} is assessed here but has no bank",
            )
            for course in sorted(without)
        ]
        for bank_folder in banks:
            bank, found = _check_bank(bank_folder, programme)
            findings += found
            items += [] if bank is None else newest(bank)
            findings += [] if bank is None else _check_placement(bank, programme)
    findings += [
        Finding(
            "warning", one.reference, f"shares {share:.0%} of its runs of five words with {other.reference}"
        )
        for one, other, share in near_duplicates(items)
    ]
    return sorted(findings, key=lambda finding: (finding.severity != "error", finding.place))


def seal(folder: str | Path) -> dict[str, tuple[str, ...]]:
    """Seal the published files that are not sealed yet, by course.

    Raises
    ------
    InvalidContent
        A bank has errors: what is wrong must not be made permanent.
    """
    errors = [finding for finding in check(folder) if finding.severity == "error"]
    if errors:
        raise InvalidContent(
            f"{len(errors)} errors; nothing was sealed. The first: {errors[0].message}", place=errors[0].place
        )
    root = Path(folder)
    banks = (
        [root]
        if (root / "bank.yaml").is_file()
        else [b for p in find_programmes(root) for b in bank_folders(p)]
    )
    sealed: dict[str, tuple[str, ...]] = {}
    for bank_folder in banks:
        programme = load_programme(bank_folder.resolve().parent)
        bank = read_bank(bank_folder, programme, lambda _: None)
        assert bank is not None
        place = f"{programme.id}/{bank.course}/{LOCK_NAME}"
        sealed[bank.course] = add_to_lock(bank_folder, _published_files(bank), place)
    return sealed


def _finding(fault: InvalidContent) -> Finding:
    message = str(fault)
    if fault.place and message.startswith(f"{fault.place}: "):
        message = message[len(fault.place) + 2 :]
    return Finding("error", fault.place, message)


def _check_bank(folder: Path, programme: Programme) -> tuple[ItemBank | None, list[Finding]]:
    faults: list[InvalidContent] = []
    bank = read_bank(folder, programme, faults.append)
    place = f"{programme.id}/{folder.name}"
    findings = [*map(_finding, faults), *_check_seal(folder, place, bank)]
    if bank is not None:
        findings += _check_content(bank, place, readable=not faults)
    return bank, findings


def _check_content(bank: ItemBank, place: str, *, readable: bool) -> Iterator[Finding]:
    for item in bank.items.values():
        yield from _check_item(item, bank, f"{place}/items/{item.reference}.yaml")
    yield from _check_ratings(bank, place)
    yield from _check_judged(bank, place)
    for remark in review_bank(bank):
        yield Finding("warning", f"{place}/{remark.place}", remark.message)
    if not readable:
        return  # A form over items that could not be read would only repeat their faults.
    for form in bank.forms.values():
        file = f"{place}/forms/{form.reference}.yaml"
        try:
            require_feasible(Release.from_document(release_document(bank, form.reference)))
        except InvalidContent as fault:
            yield Finding("error", file, str(fault).removeprefix(f"{file}: "))
            continue
        except AssessError as fault:
            yield Finding("error", file, str(fault))
            continue
        yield from _check_languages(form, bank, file)
        yield from _check_confirming(form, bank, file)


def _check_confirming(form: Form, bank: ItemBank, file: str) -> Iterator[Finding]:
    """Whether a confirming form could go live beside the newest forms that it confirms."""
    if form.confirms is None:
        return
    latest = bank.latest_forms()
    absent = [name for name in form.confirms.forms if name not in latest]
    if absent:
        yield Finding("error", file, f"{absent[0]} is not a form of the bank of {bank.course}")
        return
    names = [form.reference, *(latest[name].reference for name in form.confirms.forms)]
    confirming, *firsts = (Release.from_document(release_document(bank, name)) for name in names)
    try:
        require_unseen(confirming, firsts)
    except AssessError as fault:
        yield Finding("warning", file, f"cannot go live: {fault}")


def _check_placement(bank: ItemBank, programme: Programme) -> Iterator[Finding]:
    """The part of a course in the placement is a form of its bank that decides by the placement rule."""
    place = f"{programme.id}/programme.yaml: placement"
    parts = () if programme.placement is None else programme.placement.parts
    named = {part.form for part in parts if part.course == bank.course}
    for form_id in named:
        form = bank.latest_forms().get(form_id)
        if form is None:
            yield Finding("error", place, f"{form_id} is not a form of the bank of {bank.course}")
        elif not form.placement:
            yield Finding(
                "error", place, f"{form_id} decides by {form.rule.kind}; a part says rule: placement"
            )
    for form in bank.latest_forms().values():
        if form.placement and form.id not in named:
            file = f"{programme.id}/{bank.course}/forms/{form.reference}.yaml"
            yield Finding("warning", file, "is a part of a placement in which the programme does not name it")


def _check_item(item: Item, bank: ItemBank, place: str) -> Iterator[Finding]:
    for alignment in item.alignments:
        try:
            frameworks.resolve(alignment)
        except InvalidContent as fault:
            yield Finding("error", f"{place}: alignments", str(fault))
    sets = [s for s in bank.case_sets.values() if item.reference in s.items]
    if item.case_set and not any(case_set.id == item.case_set for case_set in bank.case_sets.values()):
        yield Finding("error", f"{place}: case_set", f"there is no case set {item.case_set!r} in this bank")
    elif item.case_set and not sets and item.state == "active":
        yield Finding("error", f"{place}: case_set", f"no version of {item.case_set} lists {item.reference}")


def _check_languages(form: Form, bank: ItemBank, place: str) -> Iterator[Finding]:
    items = [item for unit in (*form.units, *form.pilot) for item in bank.unit_items(unit)]
    for language in form.languages:
        missing = [
            item.reference
            for item in items
            if item.text(language)[0] not in (language, language.split("-")[0])
        ]
        if len(missing) == len(items):
            yield Finding("error", f"{place}: languages", f"no item has a text in {language}")
        elif missing:
            yield Finding(
                "warning",
                f"{place}: languages",
                f"{len(missing)} of {len(items)} items have no text in {language} and are shown in their "
                f"source language, for example {missing[0]}",
            )
    for unit in form.units:
        stimulus = bank.case_sets.get(unit)
        absent = [] if stimulus is None else [x for x in form.languages if x not in stimulus.texts]
        if absent and all(item.text(absent[0])[0] == absent[0] for item in bank.unit_items(unit)):
            yield Finding("error", f"{place}: languages", f"{unit} has items in {absent[0]} but no stimulus")


def _check_ratings(bank: ItemBank, place: str) -> Iterator[Finding]:
    for reference, stored in bank.cuts.items():
        for rated, rating in stored.ratings.items():
            file = f"{place}/cuts/{reference}.yaml: ratings.{rated}"
            if rated not in bank.items:
                yield Finding("error", file, f"{rated} is not an item of this bank")
            elif rating > bank.items[rated].n_categories - 1:
                highest = bank.items[rated].n_categories - 1
                yield Finding("error", file, f"{rating:g} is above the item's highest category {highest}")


def _check_judged(bank: ItemBank, place: str) -> Iterator[Finding]:
    """A provisional parameter set says what the items' judgements say."""
    for reference, parameter_set in bank.parameter_sets.items():
        file = f"{place}/parameters/{reference}.yaml"
        for record in parameter_set.parameters.to_records():
            unit = str(record["item"])
            try:
                items = bank.unit_items(unit)
                n_categories = 1 + sum(item.n_categories - 1 for item in items)
                if n_categories != record["n_categories"]:
                    message = f"{unit} has {n_categories} categories, its parameters {record['n_categories']}"
                    yield Finding("error", file, message)
                elif (
                    parameter_set.id.startswith(f"{bank.course}-judged.")
                    and judged_record(unit, items) != record
                ):
                    message = f"{unit} does not follow from its judgement; run `assess bank judge`"
                    yield Finding("warning", file, message)
            except InvalidContent as fault:
                yield Finding("error", file, str(fault))


def _published_files(bank: ItemBank) -> list[str]:
    """Files that learners may depend on, as paths below the bank's folder."""
    drafts = {f"{reference}.yaml" for reference, item in bank.items.items() if item.state in _UNPUBLISHED}
    return [
        f"{path.parent.name}/{path.name}"
        for path in content_files(bank.folder)
        if path.suffix == ".yaml" and path.name not in drafts
    ]


def _check_seal(folder: Path, place: str, bank: ItemBank | None) -> Iterator[Finding]:
    try:
        sealed = read_lock(folder, f"{place}/{LOCK_NAME}")
    except InvalidContent as fault:
        yield _finding(fault)
        return
    for path, sha in sealed.items():
        if not (folder / path).is_file():
            yield Finding(
                "error", f"{place}/{path}", "was published and deleted; bring it back from version control"
            )
        elif file_sha256(folder / path) != sha:
            yield Finding(
                "error", f"{place}/{path}", "was published and edited; bring it back and write a new version"
            )
    unsealed = [] if bank is None else [path for path in _published_files(bank) if path not in sealed]
    if unsealed:
        yield Finding(
            "warning",
            f"{place}/{LOCK_NAME}",
            f"{len(unsealed)} published files are not sealed, such as {unsealed[0]}; run `assess bank seal`",
        )
