"""`assess accuracy`: how often a form or a whole badge rule decides rightly, in tables to print and keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assess.cli.console import DEFAULT_BANKS, Banks, CommandError, out, table
from assess.cli.running import find_document
from assess.errors import InvalidResponses, NotFound, StorageUnavailable

if TYPE_CHECKING:
    import pandas as pd

    from assess.irt.decision_accuracy import RuleAccuracy
    from assess.publishing import ItemBank, Programme
    from assess.session import Release

_SHARES = ("accuracy", "false_pass", "false_fail", "undetermined", "passed", "at_or_above", "kappa")


def accuracy(
    name: Annotated[str, typer.Argument(help="A form such as twt-3-fixed.v2, or a badge such as TWT.")],
    learners: Annotated[int, typer.Option(help="Simulated learners.", min=100)] = 10_000,
    seed: Annotated[int, typer.Option(help="Of the simulation; the same seed gives the same table.")] = 1,
    mean: Annotated[float, typer.Option(help="Of a form: mean ability of who takes it.")] = 0.0,
    sd: Annotated[float, typer.Option(help="Of a form: SD of the ability of who takes it.")] = 1.0,
    form: Annotated[
        list[str] | None,
        typer.Option(help="Of a badge: the form of a course; repeatable. By default each course's default."),
    ] = None,
    correlation: Annotated[
        list[float] | None,
        typer.Option(
            help="Of a badge: between abilities; repeatable. By default from the data, and 0.5 to 0.9."
        ),
    ] = None,
    as_if_calibrated: Annotated[
        bool,
        typer.Option(
            "--as-if-calibrated", help="A design study: take judged parameters as if they were true."
        ),
    ] = False,
    save: Annotated[
        Path | None,
        typer.Option("--out", help="Write the tables to this file: .html, or .csv for the first."),
    ] = None,
    banks: Banks = DEFAULT_BANKS,
) -> None:
    """Say how often a form, or a whole badge rule, decides rightly, and after how many tries."""
    programme = _programme_of(banks, name)
    if programme is not None:
        tables, notes = _badge(
            programme, name, form or (), correlation or (), learners, seed, as_if_calibrated
        )
    else:
        tables, notes = _form(find_document(banks, name), mean, sd, learners, seed, as_if_calibrated)
    for title, frame in tables.items():
        shown = frame.reset_index()
        rows = [[_shown(value) for value in row] for row in shown.to_numpy(dtype=object).tolist()]
        table(title, [str(column).replace("_", " ") for column in shown.columns], rows)
    for note in notes:
        out.print(f"note: {note}", style="yellow", markup=False)
    if save is not None:
        _write(save, name, tables, notes)
        out.print(f"wrote {save}", markup=False)


def _shown(value: object) -> object:
    return "" if value is None or value != value else value


def _write(path: Path, name: str, tables: Mapping[str, pd.DataFrame], notes: Sequence[str]) -> None:
    from assess.reports.tables import page

    if path.suffix == ".csv":
        next(iter(tables.values())).to_csv(path)
    elif path.suffix == ".html":
        path.write_text(page(f"Decision accuracy of {name}", tables, notes), encoding="utf-8")
    else:
        raise CommandError(f"{path.name}: name a file that ends in .html or .csv")


# --- a form ------------------------------------------------------------------


def _form(
    document: dict[str, Any], mean: float, sd: float, learners: int, seed: int, pretend: bool
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    import numpy as np
    import pandas as pd

    from assess.irt import Prior
    from assess.simulation import accuracy_after_tries, form_accuracy

    release = _release(document, pretend)
    if release.form.confirms is not None:
        raise CommandError(
            f"{release.form.reference} confirms passes and decides none: "
            f"type assess design {release.form.reference} for its error rates"
        )
    people, rng = Prior(mean, sd), np.random.default_rng(seed)
    found = form_accuracy(release, rng, population=people, n=learners)
    tables = {f"{release.form.reference}: the rule in force": _shares([found.rule], [1], "tries")}
    sources = pd.DataFrame(found.wrong, index=pd.Index(["share of all decisions"], name="wrong because of"))
    tables["wrong decisions by where they come from"] = sources
    if release.form.placement:
        granted = found.rule.false_pass / found.rule.passed if found.rule.passed else float("nan")
        grants = {
            "granted": found.rule.passed,
            "of them wrongly": granted,
            "granted of those below": found.rule.false_pass_rate,
            "granted of those at or above": (found.rule.passed - found.rule.false_pass)
            / found.rule.at_or_above,
        }
        tables["what the placement grants"] = pd.DataFrame(grants, index=pd.Index(["share"], name=""))
    else:
        tries = accuracy_after_tries(release, rng, population=people, n=learners)
        tables["after so many tries, where everybody tries until passed"] = _shares(
            tries, range(1, len(tries) + 1), "tries"
        )
    return tables, [found.basis, *_pretended(pretend)]


def _shares(found: Sequence[RuleAccuracy], labels: Sequence[object], name: str) -> pd.DataFrame:
    import pandas as pd

    rows = [{share: getattr(one, share) for share in _SHARES} for one in found]
    return pd.DataFrame(rows, index=pd.Index(list(labels), name=name))


def _release(document: dict[str, Any], pretend: bool) -> Release:
    from assess.session import Release

    if pretend:
        document = {**document, "parameter_set": {**document["parameter_set"], "status": "calibrated"}}
    return Release.from_document(document)


def _pretended(pretend: bool) -> list[str]:
    said = "a design study: judged parameters were taken as if they were true; no learner's decision has this"
    return [said] if pretend else []


# --- a badge -----------------------------------------------------------------


def _programme_of(banks: Path, badge: str) -> Programme | None:
    from assess.publishing import find_programmes, load_programme
    from assess.standards.eligibility import load_rules

    for folder in find_programmes(banks):
        programme = load_programme(folder)
        if badge in load_rules(programme.document).badges:
            return programme
    return None


def _badge(
    programme: Programme,
    badge: str,
    named: Sequence[str],
    correlations: Sequence[float],
    learners: int,
    seed: int,
    pretend: bool,
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    import numpy as np

    from assess.simulation import SENSITIVITY, badge_accuracy
    from assess.standards.eligibility import load_rules

    rules = load_rules(programme.document)
    releases = _releases(programme, named, pretend)
    notes: list[str] = []
    if not correlations:
        measured, said = _from_data()
        notes.append(said)
        correlations = (*SENSITIVITY, *(() if measured is None else (measured,)))
    tries = max((release.form.retake.max_tries for release in releases.values()), default=1)
    tables = {}
    for k in dict.fromkeys((1, tries)):
        rng = np.random.default_rng(seed)
        found = badge_accuracy(
            rules, badge, releases, rng, correlations=sorted(set(correlations)), tries=k, n=learners
        )
        words = "one try" if k == 1 else f"up to {k} tries"
        frame = _shares(list(found.by_correlation.values()), list(found.by_correlation), "correlation")
        # Everybody takes it once here, so that nothing can agree with a second time.
        tables[f"{badge}: {words} in each course"] = frame.drop(columns="kappa")
    forms = ", ".join(release.form.reference for release in releases.values())
    return tables, [*notes, found.basis, f"forms: {forms}", *_pretended(pretend)]


def _releases(programme: Programme, named: Sequence[str], pretend: bool) -> dict[str, Release]:
    from assess.publishing import bank_folders, load_bank, release_document

    courses = programme.document["courses"]
    entries = courses if isinstance(courses, Mapping) else {entry["id"]: entry for entry in courses}
    found, seen = {}, set()
    for folder in bank_folders(programme.folder):
        bank = load_bank(folder, programme)
        chosen = _chosen(bank, named, (entries[bank.course] or {}).get("default_form"))
        if chosen is not None:
            found[bank.course] = _release(release_document(bank, chosen), pretend)
            seen |= {chosen, chosen.rpartition(".v")[0]}
    unknown = [name for name in named if name not in seen]
    if unknown:
        raise CommandError(
            f"--form {unknown[0]}: no course of {programme.id} has this form, or two were named"
        )
    return found


def _chosen(bank: ItemBank, named: Sequence[str], default: str | None) -> str | None:
    """The reference of the form by which a course is taken: the one named, its default, or any."""
    latest = {
        form.id: form.reference
        for form in bank.latest_forms().values()
        if not (form.placement or form.confirms)
    }
    for name in named:
        if name in bank.forms or name in latest:
            return latest.get(name, name)
    return latest.get(default or "") or next(iter(latest.values()), None)


def _from_data() -> tuple[float | None, str]:
    """The correlation of abilities among the learners of the database, and what is to be said of it."""
    import assess
    from assess.simulation import ability_correlation

    try:
        with assess.connect() as database:
            scores = database.decisions().reset_index()
    except (StorageUnavailable, NotFound) as fault:
        return None, f"no correlation from data ({fault})"
    scores = scores[scores["theta"].notna() & ~scores["provisional"] & scores["superseded_at"].isna()]
    scores = scores.sort_values("decided_at").drop_duplicates(["learner", "course"])
    try:
        found = ability_correlation(scores)
    except InvalidResponses as fault:
        return None, f"no correlation from data ({fault})"
    return round(min(found.correlation, 0.99), 2), f"from the data: {found.summary()}"
