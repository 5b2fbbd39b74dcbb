"""Rows of appeals and erasures."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from assess.delivery.store import tables_appeals as tables
from assess.delivery.store.rows import Stored


@dataclass(frozen=True, slots=True)
class Appeal(Stored):
    """A learner's doubt about a decision or a badge, and what came of it."""

    table = tables.appeals
    tenant: str
    id: str
    learner: str
    kind: str
    about: str
    session: str | None
    course: str | None
    statement: str | None = field(repr=False)
    filed_by: str
    filed_at: datetime
    due_at: datetime
    state: str
    sandbox: bool
    closed_at: datetime | None = None
    answer: str | None = field(default=None, repr=False)
    new: str | None = None


@dataclass(frozen=True, slots=True)
class AppealEntry(Stored):
    """Who did what about an appeal, and when."""

    table = tables.appeal_entries
    tenant: str
    appeal: str
    seq: int
    what: str
    by: str
    approved_by: str | None
    at: datetime
    data: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Erasure(Stored):
    """That a learner was erased, by whom and why."""

    table = tables.erasures
    tenant: str
    id: str
    learner: str
    by: str
    approved_by: str | None
    reason: str
    at: datetime
    removed: dict[str, int]
