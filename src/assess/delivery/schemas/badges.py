"""Eligibility, the catalogue of badges and the changes feed."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from assess.delivery.schemas.base import Body, Reply
from assess.delivery.schemas.results import AlignedTo, CourseName


class Subject(Reply, frozen=True):
    """Whom an eligibility is about."""

    type: str
    id: str


class BadgeName(Reply, frozen=True):
    """A badge, the version of its rule, and where its criteria are to be read."""

    id: str
    rule_version: str
    criteria_url: str


class BadgeProgress(Reply, frozen=True):
    """Parts of the rule that are met, of all."""

    met: int
    of: int


class Reason(Reply, frozen=True):
    """One predicate of the rule with its value."""

    path: str
    predicate: dict[str, Any]
    value: Literal["true", "false", "unknown"]
    code: str
    evidence: list[str]


class Missing(Reply, frozen=True):
    """What would make the rule true, who can do it, and from when."""

    path: str
    predicate: dict[str, Any]
    who: str
    action: str
    not_before: datetime | None


class Evidence(Reply, frozen=True):
    """A decision, or a fact by its type, that the eligibility rests on."""

    type: str
    id: str
    course: str | None
    record_sha256: str | None
    badge: str | None


class Award(Reply, frozen=True):
    """What the issuer did with it, as far as we were told."""

    state: Literal["none", "claimable", "claimed", "suspended", "withdrawn"]
    policy_on_loss: str
    claim_url: str | None


class BadgeEligibility(Reply, frozen=True):
    """`GET /v1/learners/{learner}/badges/{badge}`."""

    schema: str
    subject: Subject
    sandbox: bool
    badge: BadgeName
    as_of: datetime
    as_known_at: datetime
    sequence: int
    status: str
    since: datetime | None
    valid_until: str | None
    sentence: str
    progress: BadgeProgress
    reasons: list[Reason]
    missing: list[Missing]
    evidence: list[Evidence]
    award: Award
    statement: str | None


class Criterion(Reply, frozen=True):
    """What was published, in our paraphrase, with its source, and how we read it."""

    text: str
    source: str
    reading: str


class PinnedRule(Reply, frozen=True):
    """The badge, and its version, whose rule another one inherits."""

    badge: str
    version: str


class CorrelatedAccuracy(Reply, frozen=True):
    """What the badge's rule does where the abilities of its courses have this correlation."""

    correlation: float
    accuracy: float
    false_pass: float
    false_fail: float
    undetermined: float
    passed: float
    at_or_above: float


class BadgeAccuracy(Reply, frozen=True):
    """How often the whole rule is right: "passed" is eligible, "at or above" truly has what it asks."""

    tries: int
    by_correlation: list[CorrelatedAccuracy]
    basis: str


class BadgeInfo(Reply, frozen=True):
    """`GET /v1/badges/{badge}`."""

    id: str
    title: str
    subject: str
    rule_version: str
    sentence: str
    criterion: Criterion
    alignments: list[AlignedTo]
    courses: list[CourseName]
    criteria_url: str
    starts_on: str | None
    retired_on: str | None
    valid_until: str | None
    image: str | None = None
    extends: PinnedRule | None = None
    earlier_versions: list[str] = []
    accuracy: BadgeAccuracy | None = None


class BadgeSubject(Reply, frozen=True):
    """One subject of a badge in a list by status."""

    subject: Subject
    status: str
    since: datetime
    sequence: int


class BadgeQuery(Body, frozen=True):
    """`POST /v1/badges/{badge}/query`: up to 1,000 learner ids."""

    subjects: list[str]


class QueryAnswer(Reply, frozen=True):
    """One id of a batch: its eligibility, or its own error."""

    id: str
    eligibility: BadgeEligibility | None
    error: dict[str, Any] | None


class TryRule(Body, frozen=True):
    """`POST /v1/badges/{badge}/try`: a programme document, or the badge's entry alone; and where to go on."""

    document: dict[str, Any]
    after: str = ""
    limit: int = 250


class TrialMove(Reply, frozen=True):
    """A learner whose status would differ."""

    learner: str
    was: str
    would_be: str


class RuleTrial(Reply, frozen=True):
    """Who of a page of learners would gain or lose a badge by another rule; nothing was written."""

    badge: str
    seen: int
    gains: list[TrialMove]
    losses: list[TrialMove]
    others: list[TrialMove]
    unchanged: int
    next: str | None


class UsageCell(Reply, frozen=True):
    """How many people are eligible for a badge and were awarded it; a count that could tell who is null."""

    badge: str
    group: str | None
    eligible: int | None
    awarded: int | None


class Usage(Reply, frozen=True):
    """`GET /v1/usage`; what began at `as_of` or later is in no count."""

    by: str
    smallest: int
    as_of: datetime
    items: list[UsageCell]


class ChangeData(Reply, frozen=True):
    """What changed for whom, and why."""

    sequence: int
    subject: Subject
    course: str | None
    badge: str | None
    previous: str | None
    current: str | None
    cause: str
    reason_id: str | None
    resource: str
    snapshot: dict[str, Any]


class Change(Reply, frozen=True):
    """One entry of `GET /v1/changes`, in the shape of a webhook."""

    type: str
    timestamp: datetime
    data: ChangeData
