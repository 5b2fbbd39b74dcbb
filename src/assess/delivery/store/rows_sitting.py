"""Rows about what happens around a sitting: incidents, outages, accommodations, invigilators' codes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from assess.delivery.store import tables
from assess.delivery.store.rows import Stored


@dataclass(frozen=True, slots=True)
class Incident(Stored):
    """Something that went wrong for several sessions, and what is done about it."""

    table = tables.incidents
    tenant: str
    id: str
    kind: str
    action: str
    scope: dict[str, Any]
    from_at: datetime
    to_at: datetime
    seconds: int
    reason: str
    message: str | None
    by: str
    approved_by: str | None
    sandbox: bool
    created_at: datetime
    done_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class IncidentSession(Stored):
    """What an incident did to one session, or why it did nothing; there is one for each."""

    table = tables.incident_sessions
    tenant: str
    incident: str
    session: str
    learner: str
    course: str
    action: str
    state: str
    why: str | None
    seconds: int
    message: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Heartbeat(Stored):
    """When a server process was last known to run."""

    table = tables.heartbeats
    process: str
    started_at: datetime
    at: datetime
    stopped_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AccommodationRow(Stored):
    """An accommodation that a learner asked for or was granted; never changed, only followed by the next."""

    table = tables.accommodations
    tenant: str
    learner: str
    seq: int
    state: str
    given: dict[str, Any]
    until: datetime | None
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class InvigilatorCode(Stored):
    """A code that an invigilator gives out in a room; stored as a slow hash only."""

    table = tables.invigilator_codes
    tenant: str
    id: str
    code_hash: str
    course: str
    cohort: str | None
    from_at: datetime
    to_at: datetime
    by: str
    created_at: datetime
    revoked_at: datetime | None
    sandbox: bool
