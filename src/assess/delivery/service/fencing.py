"""Which of several openings of a session may write.

Every opening, a page or a resume through the API, is an event with a fence: a
number that rises. Only the holder of the newest one stores answers or hands
in. A tab or device that was left behind is told so, and can neither overwrite
an answer nor move the session on.
"""

from __future__ import annotations

from typing import Literal

from assess.delivery.security import digest
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.finishing import touched
from assess.delivery.service.loading import Loaded, again, event_row, session_update
from assess.delivery.store import Writes, reading
from assess.delivery.store.reading import OPENED, REPLACED, SessionRecords
from assess.delivery.store.rows import SessionEvent, Update
from assess.errors import OpenedElsewhere, StaleSession

# The fence of the begin itself, which is no event: the start record says it.
FIRST = 1


def newest(records: SessionRecords) -> int:
    """The fence of the last opening."""
    return max((int(e.data["fence"]) for e in records.events if e.type == OPENED), default=FIRST)


def require(records: SessionRecords, fence: int | None) -> None:
    """Refuse who does not hold the newest fence; without one, nothing is asked.

    Raises
    ------
    OpenedElsewhere
        The session was opened again since.
    StaleSession
        A fence that these records do not know: they are behind, or it was never given.
    """
    last = newest(records)
    if fence is None or fence == last:
        return
    if fence > last:
        raise StaleSession(f"the newest fence of this session is {last}, and this answer comes with {fence}")
    raise OpenedElsewhere(
        f"this session was opened again: its fence is {last}, and this answer comes with {fence}; "
        "open the session again to go on here"
    )


def opening(
    services: Services, loaded: Loaded, by: Literal["api", "page"], **values: object
) -> tuple[Update, SessionEvent]:
    """The event of one more opening, with the update of the session that keeps late writers out.

    The session's version rises with it, so that an answer on its way from an
    older opening is read, and refused, again. Where the token changes, the
    event keeps the hash of the one that ends: enough to tell its device why.
    """
    fence = newest(loaded.records) + 1
    data: dict[str, object] = {"fence": fence, "by": by}
    if "token_sha256" in values:
        data[REPLACED] = loaded.row.token_sha256
    event = event_row(loaded.records, OPENED, services.clock(), data)
    return session_update(loaded.row, {"version": loaded.row.version + 1, **values}), event


async def open_page(services: Services, scope: Scope, session: str) -> int:
    """Take the fence for a page that is being opened; an ended session is only looked at."""

    async def once() -> int:
        loaded = await touched(services, scope, session)
        if loaded.state.ending is not None or loaded.state.void:
            return newest(loaded.records)
        update, event = opening(services, loaded, "page")
        await services.store.commit(Writes(scope.tenant, (update,), inserts=(event,)))
        return int(event.data["fence"])

    return await again(once)


async def was_replaced(services: Services, tenant: str, session: str, token: str) -> bool:
    """Whether a token opened this session until a resume put another one in its place.

    Whoever presents it may hear that, and nothing else: it shows and stores nothing any more.
    """
    records = await services.store.read(reading.session_records, tenant, session)
    events = () if records is None else records.events
    presented = digest(token)
    return any(event.type == OPENED and event.data.get(REPLACED) == presented for event in events)
