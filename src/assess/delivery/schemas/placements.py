"""A placement: a sitting of short parts, one per course."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from assess.delivery.schemas.base import Body, Reply
from assess.delivery.schemas.results import CourseName
from assess.delivery.schemas.sessions import SessionBegun


class BeginPlacement(Body, frozen=True):
    """`POST /v1/placements`: whom to place, in which programme."""

    learner: str
    programme: str
    locale: str | None = None
    assurance: Literal["unsupervised", "supervised", "proctored"] | None = None


class PlacementPart(Reply, frozen=True):
    """One course of a placement.

    `granted` counts as a pass of the course. `advised` decides nothing:
    `advice` says whether the course or only its assessment is what comes next.
    """

    course: CourseName
    form: str
    session: str | None
    state: Literal["to_come", "in_progress", "granted", "advised", "left_out"]
    advice: Literal["take_course", "take_assessment"] | None


class PlacementReply(Reply, frozen=True):
    """`GET /v1/placements/{id}`; `start_with` is the course to begin with, once all parts are done."""

    placement: str
    programme: str
    learner: str
    state: Literal["in_progress", "finished"]
    started_at: datetime
    closes_at: datetime
    parts: list[PlacementPart]
    start_with: str | None


class PlacementStep(Reply, frozen=True):
    """A placement and the session of the part that is to be taken now; null when all are done."""

    placement: PlacementReply
    session: SessionBegun | None
