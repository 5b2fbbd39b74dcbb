"""What a learner and a badge platform are told about a course: result and pass status."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from assess.delivery.schemas.base import Number, Reply
from assess.delivery.schemas.confirmations import Confirmation
from assess.delivery.schemas.sessions import Choice, Notice, ShownItem
from assess.items import RawAnswer


class PositionView(Reply, frozen=True):
    """One offered position in the overview before handing in."""

    position: int
    item: str
    state: Literal["answered", "blank", "open"]


class NextStep(Reply, frozen=True, omit_defaults=True):
    """What the learner can do next about a course.

    `notice` is there after an incident that changed it; `until` and `session` where a session can go on
    (`extend`): by when, and which; `next_try` and `p_pass`, the number of the next try and the probability
    that it asks, where the retake policy asks more of later tries.
    """

    action: Literal["none", "start", "resume", "extend", "retake", "wait", "contact"]
    not_before: datetime | None
    tries_used: int
    tries_left: int | None
    notice: Notice | None = None
    until: datetime | None = None
    session: str | None = None
    next_try: int | None = None
    p_pass: float | None = None


class ResultDecision(Reply, frozen=True):
    """A decision as the learner sees it; the probability only of a pass."""

    id: str
    status: str
    level: str
    provisional: bool
    practice: bool
    p_at_or_above_cut: float | None


class ResultScore(Reply, frozen=True):
    """The score on the reported scale with its 90 % range; never theta."""

    value: Number
    low: Number
    high: Number
    min: Number
    max: Number
    cut: Number


class ObjectiveResult(Reply, frozen=True):
    """Items right of items seen; `text` says the objective in the learner's language."""

    code: str
    right: int
    seen: int
    text: str


class Rationale(Reply, frozen=True):
    """One item looked back on, where the form's feedback policy is `rationales`."""

    position: int
    item: ShownItem
    answer: RawAnswer | None
    right: bool
    rationales: list[Choice]


class FormAccuracy(Reply, frozen=True):
    """The form's classification accuracy for the rule in force, over a stated population."""

    accuracy: float
    false_pass: float
    false_fail: float
    basis: str
    undetermined: float | None = None
    consistency: float | None = None
    kappa: float | None = None


class Correction(Reply, frozen=True):
    """That a result replaces an earlier one, since when and why."""

    at: datetime
    reason: str
    cause: str


class Pending(Reply, frozen=True):
    """Why a decision cannot be used yet."""

    reason: Literal["awaiting_calibration", "awaiting_standard", "awaiting_rater", "under_review"]
    since: datetime
    sentence: str = ""


class Result(Reply, frozen=True):
    """`GET /v1/sessions/{id}/result`; `rationales` is null unless the form's policy gives them.

    While a form holds its results, the decision is `pending`, `pending` says why, and `score` is null.
    `confirmation` is what a supervised confirmation says of the decision; of a confirming session
    itself, the decision's status is its outcome, and there is no score.
    """

    session: str
    decision: ResultDecision
    score: ResultScore | None
    objectives: list[ObjectiveResult]
    next: NextStep
    rationales: list[Rationale] | None = None
    form_accuracy: FormAccuracy | None = None
    release: str = ""
    corrected: Correction | None = None
    pending: Pending | None = None
    confirmation: Confirmation | None = None


# --- pass status ---------------------------------------------------------------


class CourseName(Reply, frozen=True):
    """A course by id and title."""

    id: str
    title: str


class DecisionScore(Reply, frozen=True):
    """The score behind a decision, for a badge system."""

    value: Number
    se: Number | None
    interval_90: tuple[Number, Number]
    min: Number
    max: Number
    scale: str


class DecisionCut(Reply, frozen=True):
    """The cut on the score's scale."""

    value: Number
    version: str
    status: str


class AlignedTo(Reply, frozen=True):
    """A coded part of a framework."""

    framework: str
    version: str
    code: str


class LevelDecision(Reply, frozen=True):
    """The decision that speaks for a further level of a course; `decision` is the record it stands in."""

    level: str
    status: str
    provisional: bool
    cut: DecisionCut
    p_at_or_above_cut: float | None
    decision: str
    tested_at: datetime
    valid_until: datetime | None


class StatusDecision(Reply, frozen=True):
    """The decision that speaks for a course; what an outside source did not tell is null."""

    id: str
    status: str
    level: str | None
    provisional: bool
    source: str
    assurance: str | None
    tested_at: datetime
    decided_at: datetime
    valid_until: datetime | None
    try_: int | None = msgspec.field(name="try")
    score: DecisionScore | None
    cut: DecisionCut | None
    p_at_or_above_cut: float | None
    probability_basis: str
    rule: str | None
    form: str | None
    form_accuracy: FormAccuracy | None
    parameter_set: str | None
    engine: str | None
    bank_security: str | None
    alignments: list[AlignedTo]
    record_sha256: str | None
    supersedes: str | None
    change_reason: str | None
    url: str | None
    levels: list[LevelDecision] = []
    confirmation: Confirmation | None = None


class CourseStatus(Reply, frozen=True):
    """`GET /v1/learners/{learner}/courses/{course}/status`."""

    schema: str
    learner: str
    sandbox: bool
    course: CourseName
    as_of: datetime
    as_known_at: datetime
    sequence: int
    state: Literal["not_started", "in_progress", "incomplete", "pending", "decided", "void"]
    passed: bool | None
    decision: StatusDecision | None
    pending: Pending | None
    next: NextStep
