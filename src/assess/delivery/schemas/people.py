"""Facts about learners, their records, cohorts, rosters and codes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from assess.delivery.schemas.base import Body, Reply

# An index of PostgreSQL holds 2,704 bytes of a key, and these come two to a key, up to four bytes each.
_OutsideName = Annotated[str, Meta(max_length=300)]


class RosterFault(Reply, frozen=True):
    """What is wrong with a line of a roster, or of a file of facts."""

    row: int
    field: str
    message: str


class FactReply(Reply, frozen=True):
    """A fact as it is stored."""

    id: str
    source: str
    t: str
    subject: str
    at: str
    recorded_at: datetime
    void_at: str | None
    void_reason: str | None
    data: dict[str, Any]


class FactRow(Body, frozen=True):
    """One line of a file of facts; `row` is its number there."""

    row: int
    fact: dict[str, Any]


class ImportFacts(Body, frozen=True):
    """`POST /v1/facts/import`: a part of a file; with `dry_run` nothing is written."""

    rows: list[FactRow]
    dry_run: bool = False


class FactLine(Reply, frozen=True):
    """What a line of a file of facts does."""

    row: int
    state: Literal["new", "unchanged"]


class FactsReply(Reply, frozen=True):
    """What a part of a file would do, or did; nothing was written where there is a fault."""

    lines: list[FactLine]
    faults: list[RosterFault]
    written: bool


class VoidFact(Body, frozen=True):
    """`POST /v1/facts/{id}/void`."""

    at: str
    reason: str


class ExternalId(Body, frozen=True):
    """Who a learner is elsewhere."""

    issuer: _OutsideName
    subject: _OutsideName


class PutLearner(Body, frozen=True):
    """`PUT /v1/learners/{id}`; what is left out stays, external ids that are given replace all."""

    external_ids: list[ExternalId] | UnsetType = UNSET
    locale: str | UnsetType | None = UNSET
    kind: Literal["person", "student", "school"] | None = None
    private: bool | None = None
    region: str | None = None


class LearnerReply(Reply, frozen=True):
    """A learner: a pseudonymous id with external ids, and the ids of records that were merged into it.

    A school is a subject of badges too, and its members are told by facts.
    """

    id: str
    external_ids: list[ExternalId]
    locale: str | None
    sandbox: bool
    created_at: datetime
    merged_ids: list[str] = []
    kind: str = "person"
    private: bool = False
    region: str | None = None


class MergeLearner(Body, frozen=True):
    """`POST /v1/learners/{id}/merge`: the learner's record is the same person's as another one."""

    into: str
    reason: str


class UnmergeLearner(Body, frozen=True):
    """`POST /v1/learners/{id}/unmerge`."""

    reason: str


class MergeReply(Reply, frozen=True):
    """A merge: as long as it is not undone, `into` answers for `learner`."""

    merge: str
    learner: str
    into: str
    at: datetime
    by: str
    reason: str
    undone_at: datetime | None
    undone_by: str | None
    undone_reason: str | None


class AssignCourse(Body, frozen=True, rename={"from_": "from"}):
    """A course with the window in which it may be begun: a day, a local time, or a time with its offset."""

    course: str
    from_: str | None = None
    to: str | None = None
    time_zone: str | None = None


class AssignCourses(Body, frozen=True):
    """`PUT /v1/learners/{id}/courses`: the courses assigned to a learner alone; they replace those known."""

    courses: list[AssignCourse]


class AssignedCourse(Reply, frozen=True):
    """A course that is assigned to a learner; `cohort` where it comes from one."""

    course: str
    opens_at: datetime | None
    closes_at: datetime | None
    time_zone: str
    cohort: str | None


class PutCohort(Body, frozen=True):
    """`PUT /v1/cohorts/{id}`; the courses replace those known, when they are given."""

    title: str = ""
    courses: list[AssignCourse] | None = None


class CohortReply(Reply, frozen=True):
    """A cohort with its courses; its learners are a list of their own."""

    id: str
    title: str
    courses: list[AssignedCourse]
    n_learners: int
    sandbox: bool
    created_at: datetime


class CohortLearner(Reply, frozen=True):
    """A learner of a cohort."""

    id: str


class RosterRow(Body, frozen=True):
    """One line of a roster, in the words of its file; `row` is its number there."""

    row: int
    learner: str | None = None
    issuer: _OutsideName | None = None
    subject: _OutsideName | None = None
    cohort: str | None = None
    courses: list[str] = []
    window_from: str | None = None
    window_to: str | None = None
    time_zone: str | None = None
    locale: str | None = None


class Leaving(Body, frozen=True):
    """A learner who leaves a cohort."""

    cohort: str
    learner: str


class ImportRoster(Body, frozen=True):
    """`POST /v1/roster`: a part of a roster; with `dry_run` nothing is written."""

    rows: list[RosterRow] = []
    leaving: list[Leaving] = []
    dry_run: bool = False


class RosterLine(Reply, frozen=True):
    """What a line of a roster does: `new`, `changed` or `unchanged`, with what changes in words."""

    row: int
    learner: str | None
    state: Literal["new", "changed", "unchanged"]
    changes: list[str]


class RosterReply(Reply, frozen=True):
    """What a part of a roster would do, or did; nothing was written where there is a fault."""

    lines: list[RosterLine]
    cohorts: list[str]
    left: list[str]
    faults: list[RosterFault]
    written: bool


class MakeCodes(Body, frozen=True):
    """`POST /v1/cohorts/{id}/codes`: a fresh code for each learner after `after`, or for those named."""

    days: int = 14
    learners: list[str] | None = None
    after: str = ""
    limit: int = 500


class CodeReply(Reply, frozen=True):
    """A one-time code: said once, and stored as a hash."""

    learner: str
    code: str
    url: str
    expires_at: datetime


class EraseLearner(Body, frozen=True):
    """`POST /v1/learners/{id}/erase`: remove who the person is; with `dry_run` only count."""

    reason: str
    approved_by: str | None = None
    dry_run: bool = False


class ErasureReply(Reply, frozen=True):
    """What an erasure removed, or would remove; `ids` are all ids of the person."""

    erasure: str | None
    learner: str
    ids: list[str]
    erased_at: datetime | None
    by: str
    approved_by: str | None
    reason: str
    removed: dict[str, int]
    dry_run: bool
