"""Activation, rescoring and the sandbox."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from assess.delivery.schemas.base import Body, Reply


class Activate(Body, frozen=True):
    """`POST /v1/activations`: a stored release by its hash, or a document to be stored first.

    `exception` says why a form goes live that does not meet its stated target; `approved_by` must then name
    another person. `frozen` are units of the course that no form may offer any more; they stay so here, for
    every later activation.
    """

    release: str | None = None
    document: dict[str, Any] | None = None
    approved_by: str | None = None
    reason: str = ""
    exception: str | None = None
    frozen: list[str] = []


class Activated(Reply, frozen=True):
    """An activation as it is stored."""

    sequence: int
    name: str
    kind: str
    course: str | None
    release: str
    by: str
    approved_by: str | None
    reason: str
    at: datetime


class AskRescoring(Body, frozen=True):
    """`POST /v1/rescores`: by a release that was live here, or (a dry run only) by a document that never was.

    `sources` are delivered releases; every other release of the form unless given.
    """

    onto: str | None = None
    document: dict[str, Any] | None = None
    sources: list[str] = []
    reason: str = ""
    approved_by: str | None = None
    dry_run: bool = False


class Excluded(Reply, frozen=True):
    """Sessions that were not scored again, and why."""

    reason: str
    sessions: int


class Moved(Reply, frozen=True):
    """Sessions by their word before and after; equal words stand here too."""

    old: str
    new: str
    sessions: int


class BadgeMoves(Reply, frozen=True):
    """How many learners gained and lost a badge."""

    badge: str
    gained: int
    lost: int


class FlippedSession(Reply, frozen=True):
    """A session whose word changed."""

    session: str
    learner: str
    old: str
    new: str


class Rescoring(Reply, frozen=True):
    """`GET /v1/rescores/{id}`, and what a dry run says; affected = rescored + excluded + difference."""

    rescore: str | None
    state: Literal["dry_run", "running", "done"]
    course: str
    form: str
    onto: str
    sources: list[str]
    reason: str
    started_at: datetime
    finished_at: datetime | None
    affected: int
    rescored: int
    excluded: list[Excluded]
    difference: int
    moves: list[Moved]
    badges: list[BadgeMoves]
    flipped: list[FlippedSession]
    kind: Literal["rescore", "release"] = "rescore"


class AskWhatIf(Body, frozen=True):
    """`POST /v1/what-if`: a release document, a programme document, or both.

    With `retake` the past sessions are held to the retake policy of the release too.
    """

    document: dict[str, Any] | None = None
    retake: bool = False
    programme: dict[str, Any] | None = None


class CourseMoves(Reply, frozen=True):
    """Learners by the word that speaks for a course now and would then; `none` where nothing does."""

    course: str
    old: str
    new: str
    learners: int


class WhatIf(Reply, frozen=True):
    """What would change; nothing was written.

    `left_out` counts sessions that the retake policy would not have let begin, `changed` names the
    learners for whom a course or a badge would be different.
    """

    learners: int
    left_out: int
    courses: list[CourseMoves]
    badges: list[BadgeMoves]
    changed: list[str]


class RescoringState(Reply, frozen=True):
    """An entry of `GET /v1/rescores`."""

    rescore: str
    state: Literal["running", "done"]
    course: str
    onto: str
    reason: str
    by: str
    approved_by: str | None
    started_at: datetime
    finished_at: datetime | None
    kind: Literal["rescore", "release"] = "rescore"


class ReleaseResults(Body, frozen=True):
    """`POST /v1/forms/{form}/results`: decide what was held, by the cut that the live form pins.

    `sources` are delivered releases; every one of the form that held its results unless given.
    """

    reason: str = ""
    sources: list[str] = []
    approved_by: str | None = None
    dry_run: bool = False


SANDBOX_STATES = (
    "not_started",
    "in_progress",
    "incomplete",
    "pending",
    "passed",
    "not_passed",
    "undetermined",
    "void",
)


class ForceState(Body, frozen=True):
    """`PUT /v1/sandbox/learners/{id}/courses/{course}`."""

    state: Literal[
        "not_started", "in_progress", "incomplete", "pending", "passed", "not_passed", "undetermined", "void"
    ]
