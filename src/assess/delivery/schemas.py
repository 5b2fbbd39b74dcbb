"""Wire types: what crosses HTTP, and nothing else knows their shape.

The JSON of each struct is exactly a body of the HTTP contract; pages use the
same objects. Replies are structs in the order of the contract; request bodies
refuse unknown fields. Fields are only ever added.

Longer than 500 lines on purpose: it is one list, read beside the contract from
top to bottom, and a body that is split over files is a body nobody compares.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

import msgspec

from assess.items import RawAnswer

T = TypeVar("T")
Number = int | float  # score points are whole, raw ranges need not be


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client sends; an unknown field is refused."""


class Reply(msgspec.Struct, frozen=True):
    """What a client gets."""


class Page(Reply, Generic[T], frozen=True):
    """A list, with the cursor of what follows."""

    items: list[T]
    next: str | None = None


# --- delivery ----------------------------------------------------------------


class BeginSession(Body, frozen=True):
    """`POST /v1/sessions`: a course (its form is chosen for it) or a form by id.

    `code` is an invigilator's; `assurance` is stated by a key that may.
    """

    learner: str
    course: str | None = None
    form: str | None = None
    locale: str | None = None
    code: str | None = None
    assurance: Literal["unsupervised", "supervised", "proctored"] | None = None


class PostResponse(Body, frozen=True):
    """`POST /v1/sessions/{id}/responses`; `answer` null leaves the item blank.

    `fence` is the one that this client got when it opened the session; with it
    an answer is refused once the session was opened elsewhere.
    """

    position: int
    item: str
    revision: int
    answer: str | list[str] | dict[str, str] | None
    fence: int | None = None


class Choice(Reply, frozen=True):
    """An option or target: a language-free id and its text."""

    id: str
    html: str


class ShownItem(Reply, frozen=True):
    """An item as a learner may see it: no key, no parameter, no rationale.

    `targets` is for matching only: what each option is matched to.
    """

    id: str
    version: int
    type: str
    stem_html: str
    options: list[Choice] | None
    stimulus_html: str | None
    targets: list[Choice] | None
    language: str


class Timer(Reply, frozen=True):
    """One running clock: of the session, the section or the item; `title` names the section."""

    of: Literal["session", "section", "item"]
    seconds_left: int
    seconds: int
    title: str | None = None


class Current(Reply, frozen=True):
    """One offered position.

    `seconds_left` is that of the clock which is over first; `timers` has them
    all, the most urgent first. `revision` is the number to send next. `answer` is what stands there now
    (only when looking back; null on a fresh item), so that a page can show it.
    """

    position: int
    n_items: int | None
    revision: int
    seconds_left: int | None
    item: ShownItem
    answer: RawAnswer | None = None
    timers: list[Timer] = []


class SessionBegun(Reply, frozen=True):
    """Reply to `POST /v1/sessions`; `fence` is this opening's own."""

    session: str
    token: str
    url: str
    form: str
    release: str
    expires_at: datetime
    current: Current | None
    fence: int


class Progress(Reply, frozen=True):
    """How far a session is; `n_items` is null where the length depends on the answers."""

    answered: int
    offered: int
    n_items: int | None


class Accommodations(Reply, frozen=True):
    """What a learner has beyond the form: extra seconds so far, and what was arranged; never why."""

    extra_seconds: int
    time_multiplier: float = 1.0
    untimed: bool = False
    breaks: int = 0
    break_minutes: int = 0
    no_pilot: bool = False


class OnBreak(Reply, frozen=True):
    """A break: the clocks stand, and no item is shown, until it is ended or ends by itself."""

    since: datetime
    ends_at: datetime


class Notice(Reply, frozen=True):
    """What a learner is told of an incident."""

    incident: str
    action: Literal["add_time", "reopen", "void_without_try"]
    seconds: int
    message: str | None
    at: datetime


class SessionView(Reply, frozen=True):
    """`GET /v1/sessions/{id}`; `state` is in_progress, finished or void, `fence` that of the last opening."""

    session: str
    state: Literal["in_progress", "finished", "void"]
    current: Current | None
    progress: Progress
    accommodations: Accommodations
    learner: str
    course: str
    form: str
    review: bool
    language: str
    started_at: datetime
    expires_at: datetime
    seconds_left: int | None
    practice: bool
    sandbox: bool
    timers: list[Timer] = []
    assurance: str = "unsupervised"
    on_break: OnBreak | None = None
    breaks_left: int = 0
    notices: list[Notice] = []
    fence: int = 1


class Receipt(Reply, frozen=True):
    """A signed statement that an answer is stored."""

    session: str
    position: int
    revision: int
    answer_sha256: str
    stored_at: datetime
    key_id: str
    signature: str


class Responded(Reply, frozen=True):
    """Reply to a response; `current` null and not finished means: look back or submit."""

    receipt: Receipt
    current: Current | None
    finished: bool


class Finished(Reply, frozen=True):
    """Reply to `submit`."""

    finished: bool = True


class ReceiptToVerify(Body, frozen=True):
    """A receipt as a client sends it back."""

    session: str
    position: int
    revision: int
    answer_sha256: str
    stored_at: str
    key_id: str
    signature: str


class VerifyReceipt(Body, frozen=True):
    """`POST /v1/receipts/verify`."""

    receipt: ReceiptToVerify


class Verified(Reply, frozen=True):
    """Whether the receipt was signed by this server and nothing in it was changed."""

    valid: bool


class PositionView(Reply, frozen=True):
    """One offered position in the overview before handing in."""

    position: int
    item: str
    state: Literal["answered", "blank", "open"]


class NextStep(Reply, frozen=True, omit_defaults=True):
    """What the learner can do next about a course; `notice` is there after an incident that changed it."""

    action: Literal["none", "start", "resume", "extend", "retake", "wait", "contact"]
    not_before: datetime | None
    tries_used: int
    tries_left: int | None
    notice: Notice | None = None


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


class Result(Reply, frozen=True):
    """`GET /v1/sessions/{id}/result`; `rationales` is null unless the form's policy gives them."""

    session: str
    decision: ResultDecision
    score: ResultScore
    objectives: list[ObjectiveResult]
    next: NextStep
    rationales: list[Rationale] | None = None
    form_accuracy: FormAccuracy | None = None
    release: str = ""
    corrected: Correction | None = None


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


class Pending(Reply, frozen=True):
    """Why a decision cannot be used yet."""

    reason: Literal["awaiting_calibration", "awaiting_standard", "awaiting_rater", "under_review"]
    since: datetime


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


# --- eligibility -----------------------------------------------------------------


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


# --- facts, learners, management -----------------------------------------------------


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


class VoidFact(Body, frozen=True):
    """`POST /v1/facts/{id}/void`."""

    at: str
    reason: str


class ExternalId(Body, frozen=True):
    """Who a learner is elsewhere."""

    issuer: str
    subject: str


class PutLearner(Body, frozen=True):
    """`PUT /v1/learners/{id}`; the external ids replace those known."""

    external_ids: list[ExternalId] = []
    locale: str | None = None


class LearnerReply(Reply, frozen=True):
    """A learner: a pseudonymous id with external ids, and the ids of records that were merged into it."""

    id: str
    external_ids: list[ExternalId]
    locale: str | None
    sandbox: bool
    created_at: datetime
    merged_ids: list[str] = []


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
    issuer: str | None = None
    subject: str | None = None
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


class RosterFault(Reply, frozen=True):
    """What is wrong with a line of a roster."""

    row: int
    field: str
    message: str


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


class Activate(Body, frozen=True):
    """`POST /v1/activations`: a stored release by its hash, or a document to be stored first."""

    release: str | None = None
    document: dict[str, Any] | None = None
    approved_by: str | None = None
    reason: str = ""


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


# --- around a sitting --------------------------------------------------------------------


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
    """What an incident did, or in a dry run would do, to one session; `why` it was skipped."""

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
    """One thing that was asked for or granted, by whom and when."""

    state: Literal["asked", "granted"]
    given: Given
    until: datetime | None
    by: str
    at: datetime


class LearnerAccommodations(Reply, frozen=True):
    """What is in force for a learner; `open_request` says that something was asked for since."""

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


# --- errors ---------------------------------------------------------------------------


class FieldProblem(Reply, frozen=True):
    """One field that was wrong."""

    path: str
    code: str
    message: str


class Problem(Reply, frozen=True, omit_defaults=True):
    """A problem document (RFC 9457); `not_before` comes with the codes of the retake policy."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str
    request_id: str
    errors: list[FieldProblem]
    not_before: datetime | None = None


def encode(reply: object) -> bytes:
    """A reply as JSON."""
    return _ENCODER.encode(reply)


def plain(reply: object) -> Any:
    """A reply as plain JSON values, for storage and comparison."""
    return msgspec.json.decode(_ENCODER.encode(reply))


_ENCODER = msgspec.json.Encoder()
