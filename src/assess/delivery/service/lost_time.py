"""How much time an incident took from a session, and how much of that was given back before.

The same minutes may be lost to several incidents: downtime gives them back by
itself, somebody declares the power cut behind it, and somebody else one that
began a little earlier. Each gives what the earlier ones left. Together they
give what was lost in all of their spans, and no second twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from assess.delivery.service.context import Services
from assess.delivery.store import sitting
from assess.delivery.store.rows_sitting import Incident
from assess.session import SessionState, TimeGrant

Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Given:
    """Seconds that a session was given for a span of time."""

    span: Span
    seconds: int


@dataclass(frozen=True, slots=True)
class Lost:
    """Whole seconds that are still to be given for a span, and those that were given for it before."""

    seconds: int
    given: int = 0


async def lost(services: Services, incident: Incident, state: SessionState) -> Lost:
    """What an incident took from a session's clocks while they ran, less what was given back for it."""
    until = incident.to_at if state.ending is None else min(incident.to_at, state.ending.at)
    span = (max(incident.from_at, state.start.started_at), until)
    breaks = [(pause.at, pause.ends_at) for pause in state.breaks]
    return still_lost(span, breaks, await _given(services, incident.tenant, state))


async def _given(services: Services, tenant: str, state: SessionState) -> list[Given]:
    """For which spans a session was given time, and how much."""
    named = {grant.incident for grant in state.grants if grant.incident is not None}
    rows = await services.store.read(sitting.incidents_named, tenant, named) if named else []
    incidents = {row.id: row for row in rows}
    found: list[Given] = []
    for grant in state.grants:
        cause = incidents.get(grant.incident or "")
        # A session that is opened again gets two things: what was taken from it, and the time it was closed.
        promised = grant.seconds if grant.told_seconds is None else grant.told_seconds
        closed = grant.at - timedelta(seconds=grant.seconds - promised)
        if cause is not None:
            begin = max(cause.from_at, state.start.started_at)
            found.append(Given((begin, min(cause.to_at, closed)), promised))
            found.append(Given((closed, grant.at), grant.seconds - promised))
        elif grant.cause == "waiting":
            found.append(Given(_just_before(grant), grant.seconds))
    return [given for given in found if given.span[0] < given.span[1]]


def _just_before(grant: TimeGrant) -> Span:
    return grant.at - timedelta(seconds=grant.seconds), grant.at


def still_lost(span: Span, breaks: Sequence[Span], given: Sequence[Given]) -> Lost:
    """What is to be given for a span in which clocks ran, save for the breaks.

    Whoever gave less than a span took is made up for, and whoever gave more
    is not: what no earlier span touches is always given.

    Examples
    --------
    Ten minutes were lost, and downtime gave four of them.

    >>> from datetime import UTC
    >>> def at(minute): return datetime(2026, 11, 22, 12, minute, tzinfo=UTC)
    >>> still_lost((at(10), at(20)), [], [Given((at(12), at(16)), 240)])
    Lost(seconds=360, given=240)

    An incident gave two minutes by its own word, for ten that ended in the middle of these.

    >>> still_lost((at(10), at(20)), [], [Given((at(5), at(15)), 120)])
    Lost(seconds=600, given=0)
    """
    near = _connected(span, given)
    earlier = [other.span for other in near]
    both, own, others = (_length(spans, breaks) for spans in ([span, *earlier], [span], earlier))
    touched, outside = own + others - both, both - own
    # What was given counts first for what this span does not take up.
    credited = min(max(sum(other.seconds for other in near) - outside, 0.0), touched)
    return Lost(math.ceil(own - credited), round(credited))


def _connected(span: Span, given: Iterable[Given]) -> list[Given]:
    """What was given for spans that meet this one, or one another on the way to it."""
    left, found, reached = list(given), [], [span]
    while reached:
        begin, end = reached.pop()
        met = [other for other in left if other.span[0] < end and begin < other.span[1]]
        left = [other for other in left if other not in met]
        found += met
        reached += [other.span for other in met]
    return found


def _length(spans: Iterable[Span], breaks: Iterable[Span]) -> float:
    """Seconds that lie in any of the spans and in no break."""
    inside, breaks = list(spans), list(breaks)
    marks = sorted({mark for pair in (*inside, *breaks) for mark in pair})
    total = timedelta()
    for begin, end in pairwise(marks):
        running = any(a <= begin and end <= b for a, b in inside)
        if running and not any(a <= begin and end <= b for a, b in breaks):
            total += end - begin
    return total.total_seconds()
