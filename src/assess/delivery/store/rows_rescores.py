"""Rows of rescorings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from assess.delivery.store import tables_rescores as tables
from assess.delivery.store.rows import Stored


@dataclass(frozen=True, slots=True)
class Rescore(Stored):
    """A rescoring of the sessions of some releases by another one, or a release of held results."""

    table = tables.rescores
    tenant: str
    id: str
    course: str
    onto: str
    sources: list[str]
    reason: str
    by: str
    approved_by: str | None
    sandbox: bool
    state: str
    started_at: datetime
    finished_at: datetime | None = None
    kind: str = "rescore"


@dataclass(frozen=True, slots=True)
class RescoredSession(Stored):
    """What a rescoring did with one session: a new outcome, or the reason why there is none."""

    table = tables.rescored_sessions
    tenant: str
    rescore: str
    session: str
    learner: str
    old: str | None
    new: str | None
    excluded: str | None
    at: datetime
