"""`assess webhook`: who is told of changes, what was given up, and telling it again."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import quote

import typer

from assess.cli.console import By, Key, Sandbox, Server, out, table
from assess.cli.running import through

webhooks_app = typer.Typer(help="Webhooks: make, list, look at deliveries, replay.", no_args_is_help=True)

_Webhook = Annotated[str, typer.Argument(help="The id of the webhook, whk_...")]


@webhooks_app.command("create")
def create_webhook(
    url: Annotated[str, typer.Argument(help="An https address that takes POST requests.")],
    types: Annotated[
        list[str] | None,
        typer.Option("--type", help="Such as eligibility.gained; repeatable; all if none."),
    ] = None,
    description: Annotated[str, typer.Option(help="Whose it is.")] = "",
    thin: Annotated[bool, typer.Option("--thin", help="Say what changed, without a snapshot.")] = False,
    sandbox: Sandbox = False,
    by: By = "",
    server: Server = "",
    key: Key = "",
) -> None:
    """Tell an address of changes; the secret is printed once."""
    from assess.delivery import schemas
    from assess.delivery.service import webhooks

    asked = schemas.NewWebhook(url, description, types or None, "thin" if thin else "full")
    made = through(
        server, key, by, "POST", "/v1/webhooks", schemas.plain(asked),
        lambda services, who: webhooks.create(services, who, asked), sandbox=sandbox,
    )  # fmt: skip
    out.print(f"{made['id']} {made['url']}", markup=False)
    out.print(made["secret"], markup=False)


@webhooks_app.command("list")
def list_webhooks(sandbox: Sandbox = False, by: By = "", server: Server = "", key: Key = "") -> None:
    """List the webhooks, without their secrets."""
    from assess.delivery.service import webhooks

    found = through(server, key, by, "GET", "/v1/webhooks", None, webhooks.listing, sandbox=sandbox)
    table(
        "webhooks",
        ["id", "address", "types", "payload", "by", "disabled"],
        [
            (
                w["id"],
                w["url"],
                " ".join(w["types"] or ["all"]),
                w["payload"],
                w["by"],
                w["disabled_why"] or "",
            )
            for w in found["items"]
        ],
    )


@webhooks_app.command("deliveries")
def list_deliveries(
    webhook: _Webhook,
    state: Annotated[
        Literal["waiting", "delivered", "dead"], typer.Option(help="What waits, was taken, or was given up.")
    ] = "dead",
    after: Annotated[int, typer.Option(help="After this sequence number.", min=0)] = 0,
    sandbox: Sandbox = False,
    by: By = "",
    server: Server = "",
    key: Key = "",
) -> None:
    """List what was given up, waits, or was taken: a hundred at most, in the order of the changes."""
    from assess.delivery.service import webhooks

    found = through(
        server, key, by, "GET",
        f"/v1/webhooks/{quote(webhook, safe='')}/deliveries?state={state}&after={after}", None,
        lambda services, who: webhooks.deliveries(services, who, webhook, state=state, after=after),
        sandbox=sandbox,
    )  # fmt: skip
    table(
        state,
        ["sequence", "type", "subject", "attempts", "next", "status", "error"],
        [
            (
                d["sequence"], d["type"], d["subject"], d["attempts"],
                d["next_at"] or "", d["status"] or "", d["error"] or "",
            )
            for d in found["items"]
        ],
    )  # fmt: skip
    if found["next"] is not None:
        out.print(f"there are more: --after {found['next']}")


@webhooks_app.command("replay")
def replay_webhook(
    webhook: _Webhook,
    after: Annotated[int, typer.Option(help="Tell everything after this sequence number again.", min=0)],
    sandbox: Sandbox = False,
    by: By = "",
    server: Server = "",
    key: Key = "",
) -> None:
    """Tell what was given up, or missed, again; a receiver knows by the id what it has."""
    from assess.delivery.service import webhooks

    found = through(
        server, key, by, "POST", f"/v1/webhooks/{quote(webhook, safe='')}/replay?after={after}", None,
        lambda services, who: webhooks.replay(services, who, webhook, after=after), sandbox=sandbox,
    )  # fmt: skip
    out.print(f"{found['replayed']} changes are told again")


@webhooks_app.command("test")
def try_webhook(
    webhook: _Webhook, sandbox: Sandbox = False, by: By = "", server: Server = "", key: Key = ""
) -> None:
    """Send an endpoint.test; exit code 1 when it was not taken."""
    from assess.delivery.service import webhooks

    found = through(
        server, key, by, "POST", f"/v1/webhooks/{quote(webhook, safe='')}/test", None,
        lambda services, who: webhooks.try_out(services, who, webhook), sandbox=sandbox,
    )  # fmt: skip
    out.print("taken" if found["delivered"] else f"not taken: {found['error']}", markup=False)
    if not found["delivered"]:
        raise typer.Exit(1)
