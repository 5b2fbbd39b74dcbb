"""`assess simulate`: a cohort of simulated teachers through the real service, over its HTTP contract."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import httpx
import typer

from assess.cli.console import (
    DEFAULT_BANKS,
    Banks,
    CommandError,
    Key,
    Server,
    account,
    find_bank_folder,
    out,
    table,
    together,
    wait,
)
from assess.errors import StoreLocked
from assess.progress import bar

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message

    from assess.delivery.settings import Settings
    from assess.publishing import ItemBank
    from assess.simulation import Cohort

_AT_ONCE = 48
"""Learners at the same time: enough that commits are made in groups."""

_RETRY = (429, 503)


def simulate(
    course: Annotated[str, typer.Argument(help="The course, such as twt-3.")],
    learners: Annotated[int, typer.Option(help="How many simulated teachers.", min=1)] = 1000,
    seed: Annotated[int, typer.Option(help="Of the teachers; the same seed makes the same ones.")] = 1,
    item_seed: Annotated[int, typer.Option(help="Of the true item parameters.")] = 1,
    form: Annotated[
        list[str] | None, typer.Option(help="A form id; repeatable. By default all live forms in turn.")
    ] = None,
    mean: Annotated[float, typer.Option(help="Mean of true ability.")] = 0.0,
    sd: Annotated[float, typer.Option(help="SD of true ability.")] = 1.0,
    banks: Banks = DEFAULT_BANKS,
    server: Server = "",
    key: Key = "",
) -> None:
    """Let simulated teachers take a course through the real service, as sandbox learners.

    Without --server the service runs in this process, on the configured
    database and on a clock that is set back, so that teachers who walk away
    run out of time at the end.
    """
    from assess.publishing import load_bank

    bank = load_bank(find_bank_folder(banks, course))
    cohort = build_cohort(bank, seed=seed, item_seed=item_seed, mean=mean, sd=sd)
    forms = tuple(form or sorted(bank.latest_forms()))
    if server:
        if not key.startswith("ask_test_"):
            raise CommandError(
                "add --key, a test key (ask_test_...): simulated teachers are sandbox learners"
            )
        tally = wait(_through_server(server, key, cohort, bank, forms, learners))
    else:
        from assess.delivery.settings import Settings

        try:
            tally = wait(_in_process(Settings.from_environment(), cohort, bank, forms, learners))
        except StoreLocked:
            raise CommandError(
                "a running server has the database; simulate through it: add --server http://127.0.0.1:8000 "
                "--key ask_test_... (`assess demo` prints one)"
            ) from None
    table(
        f"{learners:,} simulated teachers, seed {seed}, forms {', '.join(tally.forms)}",
        ["outcome", "learners"],
        sorted(tally.outcomes.items()),
    )
    rate = learners / tally.seconds
    out.print(
        f"{tally.answers:,} answers in {tally.seconds:.1f} s: {rate:.1f} learners/s, "
        f"{tally.answers / tally.seconds:.0f} answers/s"
    )


def build_cohort(
    bank: ItemBank, *, seed: int, item_seed: int = 1, mean: float = 0.0, sd: float = 1.0
) -> Cohort:
    """Simulated teachers over all judged units of a bank, with true parameters around the judged ones."""
    import numpy as np

    from assess.irt.models import ItemParameters
    from assess.publishing import judged_parameters
    from assess.simulation import Cohort, true_parameters

    judged = ItemParameters.from_records(judged_parameters(bank)["items"])
    true = true_parameters(judged, np.random.default_rng([item_seed, 2]))
    units = {unit: bank.unit_items(unit) for unit in judged.item_ids}
    return Cohort(units, true, seed=seed, mean=mean, sd=sd)


@dataclass
class Tally:
    """What became of a cohort."""

    forms: tuple[str, ...]
    outcomes: Counter[str] = field(default_factory=Counter)
    answers: int = 0
    seconds: float = 0.0
    walked_away: list[tuple[str, str]] = field(default_factory=list)


async def _in_process(
    settings: Settings, cohort: Cohort, bank: ItemBank, forms: Sequence[str], n_learners: int
) -> Tally:
    """The service in this process, on a clock of its own."""
    from assess.delivery.app import create_app
    from assess.delivery.service import keys
    from assess.delivery.settings import utc_now

    limits = [form.time_limit_minutes or 60 for form in bank.forms.values()]
    behind = [timedelta(minutes=max(limits) + 5)]

    def clock() -> datetime:
        return utc_now() - behind[0]

    # The leap of this clock is no downtime, which would be given back.
    app = create_app(replace(settings, heartbeat_seconds=0), clock=clock)
    async with app.router.lifespan_context(app):
        services = app.state.services
        scope = keys.local(settings.tenant, account(), sandbox=True)
        row, secret = await keys.create(
            services, scope, name="assess simulate", scopes=["deliver", "read-status"], sandbox=True
        )
        async with _client("http://assess", secret, InProcess(app)) as client:
            tally = await run_cohort(client, cohort, bank, forms, n_learners)
            behind[0] = timedelta(0)
            await _time_out(client, tally)
        await keys.revoke(services, scope, row.id)
    return tally


async def _through_server(
    server: str, key: str, cohort: Cohort, bank: ItemBank, forms: Sequence[str], n_learners: int
) -> Tally:
    """A server that runs already; its clock cannot be moved, so who walks away hands in early."""
    try:
        async with _client(server, key, None) as client:
            tally = await run_cohort(client, cohort, bank, forms, n_learners)
            for session, token in tally.walked_away:
                await _send(client, "POST", f"/v1/sessions/{session}/submit", token)
            await _time_out(client, tally)
            return tally
    except httpx.TransportError as fault:
        raise CommandError(f"{server} does not answer ({fault}); is the address right?") from None


@asynccontextmanager
async def _client(
    base: str, key: str, transport: httpx.AsyncBaseTransport | None
) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=_AT_ONCE, max_keepalive_connections=_AT_ONCE)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(
        base_url=base.rstrip("/"), headers=headers, transport=transport, limits=limits, timeout=60
    ) as client:
        yield client


class InProcess(httpx.AsyncBaseTransport):
    """Requests straight into an application of this process.

    httpx has such a transport. It looks for an optional module at every
    request, all along the import path, and that alone was a fifth of the time.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Hand one request over and collect the reply."""
        body = await request.aread()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": request.url.scheme,
            "path": request.url.path,
            "raw_path": request.url.raw_path.split(b"?")[0],
            "query_string": request.url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "server": (request.url.host, request.url.port),
            "client": ("127.0.0.1", 0),
        }
        received = [{"type": "http.request", "body": body, "more_body": False}]
        status, headers, parts = 500, [], []

        async def receive() -> Message:
            return received.pop() if received else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status, headers = message["status"], list(message["headers"])
            elif message["type"] == "http.response.body":
                parts.append(message.get("body", b""))

        await self._app(scope, receive, send)
        return httpx.Response(status, headers=headers, content=b"".join(parts))


async def run_cohort(
    client: httpx.AsyncClient, cohort: Cohort, bank: ItemBank, forms: Sequence[str], n_learners: int
) -> Tally:
    """Send a cohort through the service that `client` reaches; teachers take the live forms in turn."""
    live = list(forms)
    tally = Tally(tuple(forms))
    turns = asyncio.Semaphore(_AT_ONCE)
    began = time.perf_counter()
    done = 0
    with bar("simulated teachers") as progress:

        async def one(number: int) -> None:
            nonlocal done
            async with turns:
                await _take(client, cohort, bank, live, number, tally)
            done += 1
            progress(done, n_learners, "")

        # One after the other until every form was tried: from then on it is known which are live.
        n_first = min(len(forms), n_learners)
        for number in range(n_first):
            await one(number)
        await together(one(number) for number in range(n_first, n_learners))
    tally.seconds = max(time.perf_counter() - began, 1e-9)
    tally.forms = tuple(live)
    return tally


async def _begin(
    client: httpx.AsyncClient, learner: str, live: list[str], number: int
) -> tuple[int, dict[str, Any]]:
    """Begin a session on the teacher's form; a form that is not live is struck off."""
    while True:
        form = live[number % len(live)]
        status, begun = await _send(
            client,
            "POST",
            "/v1/sessions",
            body={"learner": learner, "form": form},
            fail=False,
            once=f"{learner}-{form}",
        )
        if status != 404 or begun.get("code") not in ("form_unknown", "form_not_active"):
            return status, begun
        if form in live:
            live.remove(form)
        if not live:
            raise CommandError(
                f"no form of this course is live; `assess activate {form} --reason ...`, or `assess demo`"
            )


async def _take(
    client: httpx.AsyncClient, cohort: Cohort, bank: ItemBank, live: list[str], number: int, tally: Tally
) -> None:
    """One teacher takes one form, item by item."""
    teacher, learner = cohort.teacher(number), f"sim-{cohort.seed}-{number:05d}"
    await _send(client, "PUT", f"/v1/learners/{learner}", body={"external_ids": []})
    status, begun = await _begin(client, learner, live, number)
    if status not in (200, 201):
        tally.outcomes[f"refused: {begun.get('code', status)}"] += 1
        return
    session, token, current, answered = begun["session"], begun["token"], begun["current"], 0
    while current is not None:
        if answered == teacher.patience:
            tally.walked_away.append((session, token))
            return
        item = bank.items[f"{current['item']['id']}.v{current['item']['version']}"]
        body = {
            "position": current["position"],
            "item": item.id,
            "revision": current["revision"],
            "answer": cohort.answer(teacher, item),
        }
        _, replied = await _send(
            client,
            "POST",
            f"/v1/sessions/{session}/responses",
            token,
            body=body,
            once=f"{session}-{current['position']}",
        )
        answered += 1
        tally.answers += 1
        current = replied["current"]
        if current is None and not replied["finished"]:
            await _send(client, "POST", f"/v1/sessions/{session}/submit", token)
    await _result(client, session, token, tally)


async def _time_out(client: httpx.AsyncClient, tally: Tally) -> None:
    """Ask for the results of those who walked away; the server notices that their time is over."""
    for session, token in tally.walked_away:
        await _result(client, session, token, tally)


async def _result(client: httpx.AsyncClient, session: str, token: str, tally: Tally) -> None:
    _, result = await _send(client, "GET", f"/v1/sessions/{session}/result", token)
    decision = result["decision"]
    tally.outcomes[decision["status"] + (" (practice)" if decision.get("practice") else "")] += 1


async def _send(
    client: httpx.AsyncClient,
    method: str,
    path: str,
    token: str = "",
    *,
    body: object = None,
    once: str = "",
    fail: bool = True,
) -> tuple[int, dict[str, Any]]:
    """One request; an overloaded server is asked again, with the same idempotency key."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if once:
        headers["Idempotency-Key"] = once
    for attempt in range(5):
        response = await client.request(method, path, json=body, headers=headers)
        if response.status_code not in _RETRY:
            break
        await asyncio.sleep(float(response.headers.get("Retry-After", 0.2 * 2**attempt)))
    reply: dict[str, Any] = response.json() if response.content else {}
    if response.is_error and fail:
        raise CommandError(f"{method} {path} was refused: {reply.get('detail')} ({reply.get('code')})")
    return response.status_code, reply
