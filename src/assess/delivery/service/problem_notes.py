"""What a learner tells us when something went wrong: an event of their session; and who reads it."""

from __future__ import annotations

from datetime import datetime, timedelta

from assess.delivery import schemas
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.loading import again, event_row, load
from assess.delivery.store import Writes, reading_appeals
from assess.delivery.store.reading_appeals import REPORTED
from assess.errors import InvalidRequest, RateLimited

LONGEST = 1000
_AN_HOUR = timedelta(hours=1)
_PER_HOUR = 5
_PER_SESSION = 20


async def report(services: Services, scope: Scope, session: str, *, note: str, request: str = "") -> None:
    """Keep a learner's note with their session, which may be open or ended.

    Parameters
    ----------
    request : str
        The id of the request that went wrong, where the learner's page named one.

    Raises
    ------
    InvalidRequest
        An empty note, or one of more than 1,000 characters.
    RateLimited
        More than 5 notes in an hour, or 20 in the session.
    """
    words = note.strip()
    if not words:
        raise InvalidRequest("the note is empty; say in a few words what happened", path="note")
    if len(words) > LONGEST:
        raise InvalidRequest(f"the note has {len(words)} characters; {LONGEST} are taken", path="note")

    async def once() -> None:
        now = services.clock()
        loaded = await load(services, scope, session)
        earlier = [event.at for event in loaded.records.events if event.type == REPORTED]
        recent = [at for at in earlier if at > now - _AN_HOUR]
        if len(recent) >= _PER_HOUR or len(earlier) >= _PER_SESSION:
            wait = min(recent, default=now) + _AN_HOUR - now
            raise RateLimited(
                f"{len(earlier)} notes are kept with this session; tell your organisation in person",
                retry_after=max(1, int(wait.total_seconds())),
            )
        data = {"note": words, "position": loaded.state.position, "request": request or None}
        event = event_row(loaded.records, REPORTED, now, data)
        await services.store.commit(Writes(scope.tenant, inserts=(event,)))

    await again(once)


async def listing(
    services: Services, scope: Scope, *, after: tuple[datetime, str, int] | None = None, limit: int = 100
) -> tuple[list[schemas.ProblemNote], tuple[datetime, str, int] | None]:
    """`GET /v1/problem-notes`: what learners left, oldest first, and where the next page begins.

    A note whose learner was erased is passed over.
    """
    scope.require("manage")
    rows = await services.store.read(
        reading_appeals.notes, scope.tenant, sandbox=scope.sandbox, after=after, limit=limit + 1
    )
    found = [
        schemas.ProblemNote(
            session=row.session.id,
            learner=row.session.learner,
            course=row.session.course,
            form=row.session.form,
            at=row.event.at,
            position=row.event.data.get("position"),
            request=row.event.data.get("request"),
            note=row.event.data["note"],
        )
        for row in rows[:limit]
        if row.event.data.get("note") is not None
    ]
    last = rows[limit - 1].event if len(rows) > limit else None
    return found, None if last is None else (last.at, last.session, last.seq)
