"""The learner for whom an assessment was too close to say goes on with a few more items."""

from __future__ import annotations

from assess.delivery import schemas
from assess.delivery.service import finishing, invigilation, sessions, standing
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.finishing import touched
from assess.delivery.service.loading import Loaded, again, event_row, offer_row
from assess.delivery.store import Writes, reading
from assess.errors import NotFinished, SessionFinished, SessionVoid
from assess.session import step, with_extension, with_offer


async def extend(
    services: Services, scope: Scope, session: str, *, code: str | None = None, assurance: str | None = None
) -> schemas.SessionView:
    """`POST /v1/sessions/{id}/extend`: open an undetermined session again; a second time changes nothing.

    It costs no try, and the decision stays the current one until the session
    ends again.

    Parameters
    ----------
    code, assurance : str, optional
        As at the begin of a session: who was supervised then is supervised again.

    Raises
    ------
    NotFinished
        The session is still open for another reason.
    SessionFinished
        It cannot go on: another outcome, too late, too often, or no items left; the message says which.
    SessionVoid
    LessSupervised
        It began under more supervision than this.
    """

    async def once() -> None:
        loaded = await touched(services, scope, session)
        if loaded.state.void:
            raise SessionVoid("this session was declared void")
        if loaded.state.ending is None:
            if loaded.state.extensions:
                return
            raise NotFinished(f"session {session} has not ended; there is nothing to extend yet")
        await _extend(services, scope, loaded, code, assurance)

    await again(once)
    return await sessions.view(services, scope, session)


async def _extend(
    services: Services, scope: Scope, loaded: Loaded, code: str | None, assurance: str | None
) -> None:
    row, now = loaded.row, services.clock()
    records = await services.store.read(reading.learner_records, row.tenant, row.learner)
    assert records is not None
    until = standing.extendable_until(records, row.course, now)
    speaking = standing.spoken(records, row.course, now)
    if until is None or speaking is None or speaking.session.id != row.id:
        raise SessionFinished(
            "this session cannot go on: only the newest session of a course, ended by its own rule, "
            "too close to say, and within the days that its form allows"
        )
    assured = await invigilation.assurance(
        services, scope, learner=row.learner, course=row.course, code=code, stated=assurance
    )
    invigilation.require_as_before(loaded.state.start.assurance, assured)
    ending = loaded.state.ending
    assert ending is not None
    state = with_extension(loaded.state, now)
    following = step(state, now).offer
    assert following is not None, "an extension has room for its first unit"
    state = with_offer(state, following, now)
    data = state.extensions[-1].to_mapping() | {
        "ended_at": ending.at.isoformat(),
        "ended_by": ending.how,
        "assurance": assured,
    }
    rows = (event_row(loaded.records, "extended", now, data), offer_row(row, state.offers[-1]))
    await services.store.commit(
        Writes(row.tenant, (finishing.reopened(row, state), finishing.moved(records.learner)), inserts=rows)
    )
