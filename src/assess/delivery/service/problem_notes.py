"""What a learner tells us when something went wrong: an event of their session, not of the person."""

from __future__ import annotations

from datetime import timedelta

from assess.delivery.service.context import Scope, Services
from assess.delivery.service.loading import again, event_row, load
from assess.delivery.store import Writes
from assess.errors import InvalidRequest, RateLimited

REPORTED = "problem_reported"
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
