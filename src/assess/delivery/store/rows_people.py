"""Rows about who a learner is."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from assess.delivery.store import tables_people as tables
from assess.delivery.store.rows import Stored


@dataclass(frozen=True, slots=True)
class Cohort(Stored):
    """Learners who take courses together."""

    table = tables.cohorts
    tenant: str
    id: str
    title: str
    sandbox: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CohortMember(Stored):
    """A learner in a cohort."""

    table = tables.cohort_members
    tenant: str
    cohort: str
    learner: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Assignment(Stored):
    """A course assigned to a cohort or a learner, with the window in which it may be begun."""

    table = tables.assignments
    tenant: str
    kind: str
    target: str
    course: str
    opens_at: datetime | None
    closes_at: datetime | None
    zone: str


@dataclass(frozen=True, slots=True)
class SignInCode(Stored):
    """A one-time code, stored as a hash only."""

    table = tables.sign_in_codes
    tenant: str
    code_sha256: str = field(repr=False)
    learner: str
    cohort: str | None
    created_at: datetime
    created_by: str
    expires_at: datetime
    ended_at: datetime | None = None
    ended_by: str | None = None


@dataclass(frozen=True, slots=True)
class SignIn(Stored):
    """A learner who came in with a code; the token is stored as a hash only."""

    table = tables.sign_ins
    tenant: str
    id: str
    learner: str
    cohort: str | None
    token_sha256: str = field(repr=False)
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Merge(Stored):
    """That two records are one person's, until it is undone."""

    table = tables.learner_merges
    tenant: str
    id: str
    learner: str
    into: str
    at: datetime
    by: str
    reason: str
    undone_at: datetime | None = None
    undone_by: str | None = None
    undone_reason: str | None = None
