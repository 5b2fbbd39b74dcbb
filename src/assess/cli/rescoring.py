"""`assess rescore` and `assess release`: who is reached by a correction or a release, and then doing it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from assess.cli.console import DEFAULT_BANKS, Banks, By, CommandError, Key, Sandbox, Server, out, table
from assess.cli.running import call, either, find_document

if TYPE_CHECKING:
    from assess.delivery import schemas
    from assess.delivery.service import Scope, Services
    from assess.delivery.store.rows_rescores import Rescore


def rescore(
    form: Annotated[str, typer.Argument(help="The form to score by, such as twt-3-fixed.v2.")],
    reason: Annotated[str, typer.Option(help="Why; every learner who is reached is told.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")
    ] = False,
    by: By = "",
    approved_by: Annotated[str, typer.Option(help="Another person, where the tenant demands two.")] = "",
    sandbox: Sandbox = False,
    save: Annotated[
        Path | None, typer.Option("--out", help="Write the sessions that flip to this CSV.")
    ] = None,
    banks: Banks = DEFAULT_BANKS,
    server: Server = "",
    key: Key = "",
) -> None:
    """Score every ended session of a form again by another version of it.

    A dry run takes any version that is on disk; a real run one that is live.
    It can be killed and typed again: what is done stays done.
    """
    document = find_document(banks, form)
    if not dry_run and not reason.strip():
        raise CommandError("a rescoring needs --reason; every learner it reaches is told")
    found = either(
        lambda services, who: _here(services, who, document, reason, approved_by or None, dry_run),
        lambda address: _there(address, key, document, reason, approved_by or None, dry_run),
        server=server,
        key=key,
        by=by,
        sandbox=sandbox,
    )
    _show(found, save)


async def _here(
    services: Services,
    who: Scope,
    document: dict[str, Any],
    reason: str,
    approved_by: str | None,
    dry_run: bool,
) -> schemas.Rescoring:
    from assess.delivery.service import rescoring

    if dry_run:
        return await rescoring.preview(services, who, document=document)
    onto = _hash(document)
    return await _to_its_end(
        services,
        who,
        lambda run: (run.kind, run.onto) == ("rescore", onto),
        lambda: rescoring.begin(services, who, onto=onto, reason=reason, approved_by=approved_by),
    )


async def _to_its_end(
    services: Services,
    who: Scope,
    is_it: Callable[[Rescore], bool],
    begin: Callable[[], Awaitable[Rescore]],
) -> schemas.Rescoring:
    """Carry out what was interrupted, or else what is begun, and say what came of it."""
    from assess.delivery.service import rescoring
    from assess.delivery.store import reading_rescores

    running = await services.store.read(reading_rescores.running_rescores)
    mine = [r for r in running if (r.tenant, r.sandbox) == (who.tenant, who.sandbox) and is_it(r)]
    if mine:
        out.print(f"going on with {mine[0].id}, which was interrupted", markup=False)
    begun = mine[0] if mine else await begin()
    await rescoring.advance(services, begun)
    return await rescoring.report(services, who, begun.id)


def release(
    form: Annotated[str, typer.Argument(help="The form whose results were held, such as twt-3-fixed.")],
    reason: Annotated[str, typer.Option(help="Why; stored with every decision.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how they would be decided, and change nothing.")
    ] = False,
    by: By = "",
    approved_by: Annotated[str, typer.Option(help="Another person, where the tenant demands two.")] = "",
    sandbox: Sandbox = False,
    save: Annotated[Path | None, typer.Option("--out", help="Write the outcomes to this CSV.")] = None,
    server: Server = "",
    key: Key = "",
) -> None:
    """Decide the sessions whose results a form held, by the adopted cut of its live version.

    It can be killed and typed again: what is done stays done.
    """
    body = {"reason": reason, "approved_by": approved_by or None, "dry_run": dry_run}

    async def here(services: Services, who: Scope) -> schemas.Rescoring:
        from assess.delivery.service import releasing

        if dry_run:
            return await releasing.preview(services, who, form=form)
        live = (await services.catalogue.shelf(who.tenant)).forms.get(form.partition(".v")[0])
        return await _to_its_end(
            services,
            who,
            lambda run: run.kind == "release" and live is not None and run.onto == live.sha256,
            lambda: releasing.begin(services, who, form=form, reason=reason, approved_by=approved_by or None),
        )

    path = f"/v1/forms/{quote(form, safe='')}/results"
    found = either(
        here,
        lambda address: _awaited(call(address, key, "POST", path, body), address, key),
        server=server,
        key=key,
        by=by,
        sandbox=sandbox,
    )
    _show(found, save)


def _awaited(found: dict[str, Any], server: str, key: str) -> schemas.Rescoring:
    """What a server said, once it has carried it out."""
    import msgspec

    from assess.delivery import schemas

    while found["state"] == "running":
        time.sleep(1.0)
        found = call(server, key, "GET", f"/v1/rescores/{found['rescore']}")
    return msgspec.convert(found, schemas.Rescoring)


def _there(
    server: str, key: str, document: dict[str, Any], reason: str, approved_by: str | None, dry_run: bool
) -> schemas.Rescoring:
    body: dict[str, Any] = {"dry_run": dry_run, "reason": reason, "approved_by": approved_by}
    body |= {"document": document} if dry_run else {"onto": _hash(document)}
    return _awaited(call(server, key, "POST", "/v1/rescores", body), server, key)


def _hash(document: dict[str, Any]) -> str:
    from assess.standards.records import canonical_json, sha256

    return sha256(canonical_json(document, floats=True))


def _show(found: schemas.Rescoring, save: Path | None) -> None:
    did = "scored again" if found.kind == "rescore" else "decided"
    tense = "would be" if found.state == "dry_run" else "were"
    out.print(
        f"{found.affected} sessions {tense} reached: {found.rescored} {did}, "
        f"{sum(e.sessions for e in found.excluded)} excluded, {found.difference} left over",
        markup=False,
    )
    table("outcomes", ["before", "after", "sessions"], [(m.old, m.new, m.sessions) for m in found.moves])
    if found.excluded:
        table("excluded", ["reason", "sessions"], [(e.reason, e.sessions) for e in found.excluded])
    if found.badges:
        table("badges", ["badge", "gained", "lost"], [(b.badge, b.gained, b.lost) for b in found.badges])
    if save is not None:
        import csv

        with save.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["session", "learner", "before", "after"])
            writer.writerows([f.session, f.learner, f.old, f.new] for f in found.flipped)
        out.print(f"wrote {len(found.flipped)} sessions that flip to {save}", markup=False)
    if found.rescore is not None:
        out.print(f"{found.rescore} is {found.state}", markup=False)
