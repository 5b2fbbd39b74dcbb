"""Waiting for the server does not count against a learner's time.

The next item's clock starts when an answer arrives, but the learner sees the
item only once the answer is on the disk. A wait that is felt is given back to
every clock of that item, up to the cap of the form, as an event of the
session: the fold knows it, and an auditor can read it.
"""

from __future__ import annotations

import logging

from assess.delivery import schemas
from assess.delivery.service import showing
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.loading import after, again, event_row, load, moved_on
from assess.delivery.store import Writes
from assess.errors import AssessError
from assess.session import TimeGrant, with_grant

log = logging.getLogger(__name__)


def was_felt(services: Services, begun: float) -> bool:
    """Whether somebody has waited long enough since `begun` for it to be given back."""
    return services.monotonic() - begun >= 1


async def given_back(
    services: Services, scope: Scope, session: str, current: schemas.Current | None, begun: float
) -> schemas.Current | None:
    """The current item after whole seconds of waiting since `begun` were given back to its clocks.

    A wait below a second costs nothing and is not written, nor is one from
    before the session began. If the credit
    itself cannot be stored, the answer before it is stored all the same, and
    its reply must not fail.
    """
    waited = int(services.monotonic() - begun)
    if waited < 1 or current is None or not current.timers:
        return current
    position = current.position

    async def once() -> schemas.Current | None:
        loaded = await load(services, scope, session)
        state, now = loaded.state, services.clock()
        if state.awaiting is None or state.awaiting.position != position:
            return current
        credited = sum(g.seconds for g in state.grants if g.cause == "waiting" and g.position == position)
        # Who waits in the line to begin loses nothing: no clock runs before there is a session.
        existed = int((now - state.start.started_at).total_seconds())
        seconds = min(waited, existed, state.release.form.waiting_cap_seconds - credited)
        if seconds < 1:
            return current
        grant = TimeGrant(seconds, now, "waiting for the server", position, "waiting")
        state = with_grant(state, grant)
        row = event_row(loaded.records, "time_granted", now, grant.to_mapping())
        await services.store.commit(Writes(loaded.row.tenant, (moved_on(loaded.row, state),), inserts=(row,)))
        services.recent.keep(after(loaded, state, (row,)))
        return showing.current(services.renderer, state, now)

    try:
        return await again(once)
    except AssessError:
        log.warning("session %s: %s s of waiting could not be given back", session, waited)
        return current
