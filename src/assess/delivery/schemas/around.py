"""Around a sitting: incidents, accommodations, invigilators."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from assess.delivery.schemas.base import Body, Reply


class IncidentScope(Body, frozen=True, omit_defaults=True):
    """Which sessions: all of the tenant, or those of a course, form or cohort, or a list."""

    tenant: bool = False
    course: str | None = None
    form: str | None = None
    cohort: str | None = None
    sessions: list[str] | None = None


class DeclareIncident(Body, frozen=True):
    """`POST /v1/incidents`; without `seconds` each session gets as long as the incident took from it."""

    action: Literal["add_time", "reopen", "void_without_try"]
    scope: IncidentScope
    from_: datetime = msgspec.field(name="from")
    to: datetime
    reason: str
    seconds: int | None = None
    message: str | None = None
    approved_by: str | None = None
    dry_run: bool = False


class IncidentSession(Reply, frozen=True):
    """What an incident did, or in a dry run would do, to one session; `why` it was skipped or gives less."""

    session: str
    learner: str
    course: str
    state: Literal["done", "skipped"]
    seconds: int
    why: str | None


class Incident(Reply, frozen=True):
    """An incident; `id` is null in a dry run, `done_at` until every session was seen to."""

    id: str | None
    kind: str
    action: str
    scope: dict[str, Any]
    from_: datetime = msgspec.field(name="from")
    to: datetime
    seconds: int | None
    reason: str
    message: str | None
    by: str
    approved_by: str | None
    created_at: datetime
    done_at: datetime | None
    dry_run: bool
    sessions: list[IncidentSession]


class GiveAccommodation(Body, frozen=True):
    """What a learner is given beyond the form, never why; what is left out is not given."""

    time_multiplier: float = 1.0
    untimed: bool = False
    breaks: int = 0
    break_minutes: int = 0
    no_pilot: bool = False
    until: datetime | None = None


class Given(Reply, frozen=True):
    """An accommodation."""

    time_multiplier: float
    untimed: bool
    breaks: int
    break_minutes: int
    no_pilot: bool


class AccommodationEntry(Reply, frozen=True):
    """One thing that was asked for or granted: under which id of the person, by whom and when."""

    learner: str
    state: Literal["asked", "granted"]
    given: Given
    until: datetime | None
    by: str
    at: datetime


class LearnerAccommodations(Reply, frozen=True):
    """What is in force for a person under all ids; `open_request` says that something was asked since."""

    learner: str
    given: Given
    until: datetime | None
    open_request: bool
    history: list[AccommodationEntry]


class MakeInvigilatorCode(Body, frozen=True):
    """`POST /v1/invigilator-codes`; a cohort is kept with the code for the record."""

    course: str
    from_: datetime = msgspec.field(name="from")
    to: datetime
    cohort: str | None = None


class InvigilatorCode(Reply, frozen=True):
    """A code's window, without the code."""

    id: str
    course: str
    cohort: str | None
    from_: datetime = msgspec.field(name="from")
    to: datetime
    by: str
    created_at: datetime
    revoked_at: datetime | None


class NewInvigilatorCode(InvigilatorCode, frozen=True, kw_only=True):
    """A code that was just made; only its hash is stored."""

    code: str
