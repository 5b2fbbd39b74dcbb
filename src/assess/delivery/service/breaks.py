"""Breaks that stop the clocks, for a learner to whom they were granted."""

from __future__ import annotations

from assess.delivery import schemas
from assess.delivery.service import sessions
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.finishing import touched
from assess.delivery.service.loading import again, event_row, moved_on
from assess.delivery.store import Writes
from assess.errors import BreakRefused, SessionFinished, SessionVoid
from assess.session import with_break, with_break_ended


async def begin(services: Services, scope: Scope, session: str) -> schemas.SessionView:
    """`POST /v1/sessions/{id}/break`: stop the clocks and hide the item; during a break it changes nothing.

    Raises
    ------
    BreakRefused
        None was granted, or all are used.
    SessionFinished, SessionVoid
    """

    async def once() -> None:
        loaded = await touched(services, scope, session)
        state, now = loaded.state, services.clock()
        if state.void:
            raise SessionVoid("this session was declared void")
        if state.ending is not None:
            raise SessionFinished("this session has ended")
        if state.on_break(now) is not None:
            return
        if state.breaks_left == 0:
            granted = state.accommodation.breaks
            raise BreakRefused(
                f"all {granted} breaks of this session are used" if granted else "no breaks were granted here"
            )
        state = with_break(state, now)
        pause = state.breaks[-1]
        data = {"seconds": pause.seconds, "position": pause.position}
        row = event_row(loaded.records, "break_begun", now, data)
        await services.store.commit(Writes(scope.tenant, (moved_on(loaded.row, state),), inserts=(row,)))

    await again(once)
    return await sessions.view(services, scope, session)


async def end(services: Services, scope: Scope, session: str) -> schemas.SessionView:
    """`POST /v1/sessions/{id}/break/end`: let the clocks run on; without a break it changes nothing."""

    async def once() -> None:
        loaded = await touched(services, scope, session)
        state, now = loaded.state, services.clock()
        if state.ending is not None or state.void or state.on_break(now) is None:
            return
        state = with_break_ended(state, now)
        row = event_row(loaded.records, "break_ended", now, {})
        await services.store.commit(Writes(scope.tenant, (moved_on(loaded.row, state),), inserts=(row,)))

    await again(once)
    return await sessions.view(services, scope, session)
