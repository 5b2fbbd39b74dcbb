"""`assess demo`: everything live and six sandbox learners, one for each answer a badge platform can get."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assess.cli.console import DEFAULT_BANKS, Banks, CommandError, out, together, wait
from assess.cli.running import Host, Port, require_free, run_server

if TYPE_CHECKING:
    from assess.delivery.service import Scope, Services
    from assess.delivery.settings import Settings

PROGRAMME = "teaching-with-technology"
COURSE, FORM, BADGE = "twt-3", "twt-3-fixed", "TWT"
_KEY_NAME = "demo"
_OTHERS = ("twt-1", "twt-2", "twt-4", "twt-5", "twt-6")


@dataclass(frozen=True, slots=True)
class Seeded:
    """One learner of the demonstration.

    Parameters
    ----------
    takes_course : bool
        Takes a real session of `COURSE`, and passes.
    states : mapping
        Other course -> the state that the sandbox gives it, as `PUT /v1/sandbox/...` would. So the
        demonstration stays the same whether a course is assessed here or elsewhere.
    withdrawn : str
        The course whose decision is withdrawn after that.
    """

    id: str
    story: str
    takes_course: bool
    states: Mapping[str, str]
    withdrawn: str = ""


_PASSED = dict.fromkeys(_OTHERS, "passed")
SEEDED = (
    Seeded("demo-none-started", "has started nothing", False, {}),
    Seeded("demo-4-of-6", "4 of 6 courses", True, dict.fromkeys(_OTHERS[:3], "passed")),
    Seeded("demo-eligible", "all six courses", True, _PASSED),
    Seeded("demo-undetermined", "one course too close to say", True, {**_PASSED, "twt-5": "undetermined"}),
    Seeded("demo-withdrawn", "was eligible until a decision was withdrawn", True, _PASSED, withdrawn="twt-2"),
    Seeded("demo-pending", "one course awaits its decision", True, {**_PASSED, "twt-6": "pending"}),
)


def demo(port: Port = 8000, host: Host = "127.0.0.1", banks: Banks = DEFAULT_BANKS) -> None:
    """Serve a demonstration: banks live, provisional decisions accepted, six sandbox learners."""
    serve_demo(port=port, host=host, banks=banks)


def serve_demo(*, port: int, host: str, banks: Path) -> None:
    """Prepare the demonstration, if that was not done before, and serve it."""
    from assess.delivery.settings import Settings

    require_free(host, port)
    settings = Settings.from_environment()
    key = wait(prepare(settings, banks))
    run_server(settings, host, port, started=lambda: announce(f"http://{host}:{port}", key))


def announce(address: str, key: str) -> None:
    """What to open, and what to type."""
    out.print(f"\nassess demo at {address}", style="bold", markup=False)
    out.print(f"  pages           {address}/", markup=False)
    out.print(f"  a course        {address}/courses/{COURSE}", markup=False)
    out.print(f"  the badge       {address}/badges/{BADGE}", markup=False)
    out.print(f"  the HTTP API    {address}/v1/openapi.json", markup=False)
    out.print(
        "\nItem parameters are judged, not calibrated; this demonstration accepts such provisional decisions."
    )
    out.print("Six sandbox learners:", markup=False)
    for learner in SEEDED:
        out.print(f"  {learner.id:<20}{learner.story}", markup=False)
    out.print("\nMay the badge be awarded? (the test key lasts until the next start)", markup=False)
    url = f"{address}/v1/learners/demo-eligible/badges/{BADGE}"
    out.print(f"  curl -H 'Authorization: Bearer {key}' {url}\n", markup=False)


# --- preparing ---------------------------------------------------------------


async def prepare(settings: Settings, banks: Path) -> str:
    """Make the demonstration's tenant, releases, learners and key; what is there already stays.

    Returns
    -------
    str
        A test key with every scope.

    Raises
    ------
    CommandError
        The tenant is a real one.
    """
    from assess.delivery.service import activations, keys, open_services
    from assess.delivery.store import reading

    services = await open_services(settings)
    try:
        scope = keys.local(settings.tenant, "assess demo", sandbox=True)
        tenant = await services.store.read(reading.tenant, settings.tenant)
        live = await services.store.read(reading.activations, settings.tenant)
        if tenant is not None and not tenant.demo and live:
            raise CommandError(
                f"tenant {settings.tenant!r} of {settings.database_url.split('@')[-1]} is in use and is no "
                "demonstration; name another database with ASSESS_DATABASE_URL"
            )
        if tenant is None or not tenant.demo:
            await activations.set_tenant(
                services, scope, title="Demonstration", accept_provisional=True, demo=True
            )
        await _activate_banks(
            services, scope, banks, {activation.name: activation.release for activation in live}
        )
        await _seed_once(services, scope)
        return await _fresh_key(services, scope)
    finally:
        services.store.close()


async def _activate_banks(services: Services, scope: Scope, banks: Path, live: Mapping[str, str]) -> None:
    """Make programme and forms live; a form that is live stays, for it may be a later version."""
    from assess.delivery.service import activations
    from assess.publishing import (
        bank_folders,
        find_programmes,
        load_bank,
        load_programme,
        programme_document,
        release_document,
    )
    from assess.standards.records import canonical_json, sha256

    reason = "demonstration"
    for programme_folder in find_programmes(banks):
        programme = load_programme(programme_folder)
        if not bank_folders(programme_folder):
            continue  # badges without a course: `assess activate` makes them live for whom they concern
        document = programme_document(programme)
        if live.get(programme.id) != sha256(canonical_json(document, floats=True)):
            await activations.activate(services, scope, document=document, reason=reason)
        elif programme.forms and programme.forms <= set(live):
            continue  # reading hundreds of items to find nothing to do would be most of a start
        for folder in bank_folders(programme_folder):
            bank = load_bank(folder, programme)
            for form in bank.latest_forms().values():
                if form.id not in live:
                    release = release_document(bank, form.reference)
                    await activations.activate(services, scope, document=release, reason=reason)


async def _fresh_key(services: Services, scope: Scope) -> str:
    """A new test key; the one of the last start ends, because its secret was printed and is not stored."""
    from assess.delivery.service import SCOPES, keys

    for row in await keys.listing(services, scope):
        if row.name == _KEY_NAME and row.sandbox and row.revoked_at is None:
            await keys.revoke(services, scope, row.id)
    _, secret = await keys.create(services, scope, name=_KEY_NAME, scopes=SCOPES, sandbox=True)
    return secret


async def _seed_once(services: Services, scope: Scope) -> None:
    """Seed the learners, unless a row says that it was done to its end for this list of them."""
    from assess.delivery.store import Writes, reading
    from assess.delivery.store.rows import Idempotency
    from assess.standards.records import sha256

    key = sha256(repr(SEEDED).encode())
    if await services.store.read(reading.idempotency, scope.tenant, _KEY_NAME, "demo", key) is not None:
        return
    # Side by side: what several learners do at one moment is committed together.
    await together(_seed(services, scope, learner) for learner in SEEDED)
    done = Idempotency(scope.tenant, _KEY_NAME, "demo", key, key, "seeded", services.clock())
    await services.store.commit(Writes(scope.tenant, keep=(done,)))


async def _seed(services: Services, scope: Scope, learner: Seeded) -> None:
    from assess.delivery.service import learners, sandbox, status
    from assess.delivery.service.standing import Moment
    from assess.delivery.store import reading

    await learners.upsert(services, scope, id=learner.id)
    records = await services.store.read(reading.learner_records, scope.tenant, learner.id)
    assert records is not None
    shelf, now = await services.catalogue.shelf(scope.tenant), Moment.at(services.clock())

    def found(course: str) -> str:
        return status.status_at(records, shelf, course, now).state

    if learner.takes_course and found(COURSE) in ("not_started", "in_progress"):
        await _take_course(services, scope, learner.id)
    for course, state in learner.states.items():
        if found(course) == "not_started":
            await sandbox.force(services, scope, learner=learner.id, course=course, state=state)
    if learner.withdrawn and found(learner.withdrawn) != "void":
        await sandbox.force(services, scope, learner=learner.id, course=learner.withdrawn, state="void")


async def _take_course(services: Services, scope: Scope, learner: str) -> None:
    """A real session with the best answer to every item."""
    from assess.delivery.service import sessions

    release = await services.catalogue.active_release(scope.tenant, FORM)
    by_id = {(item.id, item.version): item for item in release.items.values()}
    begun = await sessions.begin(services, scope, learner=learner, form=FORM)
    current = begun.current
    while current is not None:
        item = by_id[current.item.id, current.item.version]  # type: ignore[index]
        responded = await sessions.respond(
            services,
            scope,
            begun.session,
            position=current.position,
            item=item.id,
            revision=current.revision,
            answer=json.loads(json.dumps(item.interaction.best())),
        )
        current = responded.current
    await sessions.submit(services, scope, begun.session)
