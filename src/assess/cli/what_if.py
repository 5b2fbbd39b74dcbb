"""`assess what-if`: what another cut, retake policy or badge rule would change over the past."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assess.cli.console import DEFAULT_BANKS, Banks, CommandError, Key, Sandbox, Server, account, out, table
from assess.cli.running import call, find_document, with_services
from assess.errors import StoreLocked

if TYPE_CHECKING:
    from assess.delivery import schemas


def what_if(
    form: Annotated[
        str,
        typer.Argument(help="The form that is changed, such as twt-3-fixed; none for badge rules alone."),
    ] = "",
    cut: Annotated[float | None, typer.Option(help="Another cut, in theta on the form's scale.")] = None,
    raw_cut: Annotated[
        float | None, typer.Option(help="Another raw cut, of a form that decides by points.")
    ] = None,
    p_pass: Annotated[float | None, typer.Option(help="Another probability that passes.")] = None,
    p_pass_by_try: Annotated[
        list[float] | None, typer.Option(help="What the first, second, ... try asks; repeat it in order.")
    ] = None,
    first_wait_hours: Annotated[int | None, typer.Option(help="Wait after the first try.", min=0)] = None,
    wait_days: Annotated[int | None, typer.Option(help="Wait between later tries.", min=0)] = None,
    max_tries: Annotated[int | None, typer.Option(help="Tries within a period.", min=1)] = None,
    period_days: Annotated[int | None, typer.Option(help="Length of the period.", min=1)] = None,
    programme: Annotated[
        Path | None, typer.Option(help="A folder with a programme.yaml of other badge rules.")
    ] = None,
    sandbox: Sandbox = False,
    banks: Banks = DEFAULT_BANKS,
    server: Server = "",
    key: Key = "",
) -> None:
    """Say what would be different, had the past been decided otherwise; nothing is written."""
    policy = {
        "first_wait_hours": first_wait_hours,
        "wait_days": wait_days,
        "max_tries": max_tries,
        "period_days": period_days,
    }
    retake = {name: value for name, value in policy.items() if value is not None}
    body: dict[str, Any] = {"retake": bool(retake)}
    if form:
        document = find_document(banks, form)
        if "form" not in document:
            raise CommandError(f"{form} is a programme; name a form, and the other rules with --programme")
        rising = {"p_pass_by_try": list(p_pass_by_try)} if p_pass_by_try else {}
        body["document"] = _changed(document, cut, raw_cut, p_pass, {**retake, **rising})
    elif cut is not None or raw_cut is not None or p_pass is not None or p_pass_by_try or retake:
        raise CommandError("name the form whose cut, rule or retake policy would be another one")
    if programme is not None:
        body["programme"] = _programme(programme)
    if len(body) == 1:
        raise CommandError("say what would be different: a form and its cut, or --programme")
    if not server:
        try:
            _show(_here(body, sandbox))
        except StoreLocked:
            if not key:
                raise CommandError(
                    "a running server has the database; ask through it: "
                    "add --server http://127.0.0.1:8000 --key ask_..."
                ) from None
            server = "http://127.0.0.1:8000"
        else:
            return
    if not key:
        raise CommandError("add --key, an API key with the scope manage of that server")
    import msgspec

    from assess.delivery import schemas

    _show(msgspec.convert(call(server, key, "POST", "/v1/what-if", body), schemas.WhatIf))


def _here(body: dict[str, Any], sandbox: bool) -> schemas.WhatIf:
    from assess.delivery.service import what_if as asking
    from assess.delivery.settings import Settings

    return with_services(
        Settings.from_environment(),
        account(),
        lambda services, who: asking.ask(services, who, **body),
        sandbox=sandbox,
    )


def _changed(
    document: dict[str, Any],
    cut: float | None,
    raw_cut: float | None,
    p_pass: float | None,
    retake: dict[str, Any],
) -> dict[str, Any]:
    """The release with what would be different; it is never stored, so its version stays."""
    from assess.session import Release

    form, stored = dict(document["form"]), dict(document["cut"])
    if cut is not None:
        stored["theta"] = cut
    if raw_cut is not None:
        release = Release.from_document(document)
        if release.form.rule.kind != "raw" or not 0.0 < raw_cut <= release.raw_maximum:
            raise CommandError(
                f"--raw-cut {raw_cut:g}: {release.form.reference} decides by {release.form.rule.kind}; a raw "
                f"cut is above 0 and at most {release.raw_maximum}"
            )
        # Every rating by the same factor: only their sum decides.
        factor = raw_cut / release.raw_cut
        stored["ratings"] = {item: factor * rating for item, rating in stored["ratings"].items()}
    if p_pass is not None:
        form["rule"] = {**form["rule"], "p_pass": p_pass}
    if retake:
        form["retake"] = {**form["retake"], **retake}
    return {**document, "form": form, "cut": stored}


def _programme(folder: Path) -> dict[str, Any]:
    from assess.publishing import load_programme, programme_document

    return programme_document(load_programme(folder.resolve()))


def _show(found: schemas.WhatIf) -> None:
    out.print(
        f"{found.learners} learners: {len(found.changed)} would stand differently; "
        f"{found.left_out} sessions would not have begun",
        markup=False,
    )
    rows = [(move.course, move.old, move.new, move.learners) for move in found.courses]
    table("courses", ["course", "as it is", "as it would be", "learners"], rows)
    if found.badges:
        table("badges", ["badge", "gained", "lost"], [(b.badge, b.gained, b.lost) for b in found.badges])
    out.print("nothing was written; people might have acted otherwise under another rule", markup=False)
