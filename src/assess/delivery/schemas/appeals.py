"""Appeals and notes: what a learner says to people, and what they answer."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from assess.delivery.schemas.base import Body, Reply


class FileAppeal(Body, frozen=True):
    """`POST /v1/learners/{id}/appeals`: about one of a decision, a session's result, or a badge."""

    reason: str
    decision: str | None = None
    session: str | None = None
    badge: str | None = None


class LookAtAppeal(Body, frozen=True):
    """`POST /v1/appeals/{id}/looks`: who looked, what they found, and what shows it."""

    note: str
    who: str | None = None
    evidence: list[str] = []


class DecideAppeal(Body, frozen=True):
    """`POST /v1/appeals/{id}/decide`.

    `answer` is told to the learner. Upheld, it names what changes: a `status`
    for the decision (of a badge's appeal, with the `decision`), or the `facts`
    that were attested since. A review that a confirmation opened fails nobody:
    upheld, its status is `undetermined`, and no other appeal's is.
    """

    outcome: Literal["upheld", "rejected"]
    answer: str
    evidence: list[str] = []
    status: Literal["passed", "not_passed", "undetermined"] | None = None
    decision: str | None = None
    facts: list[str] = []
    who: str | None = None
    approved_by: str | None = None


class OwnAppeal(Reply, frozen=True):
    """An appeal as its learner sees it; a `review` was opened by a confirmation that did not fit."""

    id: str
    kind: Literal["decision", "badge", "review"]
    about: str
    course: str | None
    state: Literal["open", "upheld", "rejected", "withdrawn"]
    filed_at: datetime
    due_at: datetime
    closed_at: datetime | None
    answer: str | None


class AppealEntry(Reply, frozen=True):
    """Who did what about an appeal."""

    what: Literal["looked", "decided"]
    by: str
    who: str
    approved_by: str | None
    at: datetime
    note: str
    evidence: list[str]


class Appeal(Reply, frozen=True):
    """An appeal as those see it who look at it; `decision` is the new one, where one was made."""

    id: str
    learner: str
    kind: Literal["decision", "badge", "review"]
    about: str
    session: str | None
    course: str | None
    reason: str | None
    filed_by: str
    filed_at: datetime
    due_at: datetime
    overdue: bool
    state: Literal["open", "upheld", "rejected", "withdrawn"]
    closed_at: datetime | None
    answer: str | None
    decision: str | None
    entries: list[AppealEntry]


class ProblemNote(Reply, frozen=True):
    """What a learner wrote when something went wrong, and where that was."""

    session: str
    learner: str
    course: str
    form: str
    at: datetime
    position: int | None
    request: str | None
    note: str
