"""Rows as frozen records: what the store gives, and what a use case asks it to write.

A use case never opens a transaction. It builds one `Writes`, and the store
makes all of it durable or nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any, ClassVar, TypeVar

from sqlalchemy import Row as SqlRow
from sqlalchemy import Table

from assess.delivery.store import tables, tables_webhooks
from assess.session.records import record

R = TypeVar("R", bound="Stored")


class Stored:
    """A row whose fields are the columns of its table."""

    __slots__ = ()
    table: ClassVar[Table]

    def values(self) -> dict[str, Any]:
        """Column values, for an insert."""
        names: tuple[str, ...] = self.__slots__
        return {name: getattr(self, name) for name in names}

    def changed(self: R, **values: Any) -> R:
        """The same row with other values in some columns."""
        kind: Any = type(self)
        names: tuple[str, ...] = kind.__slots__
        columns = list(_columns(kind)(self))
        for name, value in values.items():
            columns[names.index(name)] = value
        found: R = kind(*columns)
        return found

    @classmethod
    def read(cls: type[R], row: SqlRow[Any]) -> R:
        """The record of a row that was selected with all columns of the table."""
        names: tuple[str, ...] = cls.__slots__
        mapping = row._mapping
        return cls(**{name: mapping[name] for name in names})


@cache
def _columns(kind: Any) -> Callable[[Any], tuple[Any, ...]]:
    return attrgetter(*kind.__slots__)


@dataclass(frozen=True, slots=True)
class Tenant(Stored):
    """An organisation; `accept_provisional` lets its badges rest on provisional decisions."""

    table = tables.tenants
    id: str
    title: str
    accept_provisional: bool
    demo: bool
    two_person: bool
    change_sequence: int
    created_at: datetime
    assigned_only: bool = False


@dataclass(frozen=True, slots=True)
class ApiKey(Stored):
    """An API key; its secret is stored as a hash only."""

    table = tables.api_keys
    tenant: str
    id: str
    name: str
    secret_sha256: str
    scopes: list[str]
    sources: list[str] | None
    sandbox: bool
    created_at: datetime
    revoked_at: datetime | None = None
    may_proctor: bool = False


@dataclass(frozen=True, slots=True)
class SigningKey(Stored):
    """A key pair of this installation."""

    table = tables.signing_keys
    id: str
    purpose: str
    private_key: str = field(repr=False)
    public_key: str
    created_at: datetime
    retired_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Learner(Stored):
    """A pseudonymous learner: a person, a student, or a school, which takes no courses itself."""

    table = tables.learners
    tenant: str
    id: str
    locale: str | None
    sandbox: bool
    version: int
    created_at: datetime
    erased_at: datetime | None = None
    kind: str = "person"
    private: bool = False
    region: str | None = None


@dataclass(frozen=True, slots=True)
class LearnerExternalId(Stored):
    """Who a learner is elsewhere."""

    table = tables.learner_external_ids
    tenant: str
    issuer: str
    subject: str
    learner: str


@dataclass(frozen=True, slots=True)
class Consent(Stored):
    """What a learner agreed to, in which version and language."""

    table = tables.consents
    tenant: str
    learner: str
    form: str
    version: str
    language: str
    at: datetime


@dataclass(frozen=True, slots=True)
class StoredRelease(Stored):
    """A release document under its hash; `kind` is form or programme."""

    table = tables.releases
    sha256: str
    kind: str
    name: str
    document: str = field(repr=False)
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Activation(Stored):
    """What made a release live; a `seq` of 0 is numbered when it is written."""

    table = tables.activations
    tenant: str
    seq: int
    kind: str
    name: str
    course: str | None
    release: str
    by: str
    approved_by: str | None
    reason: str
    evidence: Any
    at: datetime


@record
class Session(Stored):
    """A session without its offers and responses."""

    table = tables.sessions
    tenant: str
    id: str
    learner: str
    course: str
    form_id: str
    form: str
    release: str
    start_record: dict[str, Any] = field(repr=False)
    token_sha256: str = field(repr=False)
    version: int
    state: str
    started_at: datetime
    closes_at: datetime
    ended_at: datetime | None
    ended_by: str | None
    void_at: datetime | None
    void_reason: str | None
    practice: bool
    sandbox: bool
    try_number: int


@record
class OfferRow(Stored):
    """The stored fact that an item was shown."""

    table = tables.offers
    tenant: str
    session: str
    position: int
    item: str
    at: datetime


@record
class ResponseRow(Stored):
    """A stored answer with its receipt; an erased one has no salt.

    Until the row is written its signature is a `Late` text, which stands in for one.
    """

    table = tables.responses
    tenant: str
    session: str
    position: int
    revision: int
    item: str
    answer: Any
    category: int | None
    at: datetime
    salt: str | None
    answer_sha256: str
    key_id: str
    signature: str


@record
class SessionEvent(Stored):
    """Something that happened to a session besides offers and responses, such as granted time."""

    table = tables.session_events
    tenant: str
    session: str
    seq: int
    type: str
    at: datetime
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class DecisionRow(Stored):
    """A decision; `chain_seq` 0 is numbered and chained when it is written."""

    table = tables.decisions
    tenant: str
    id: str
    session: str
    learner: str
    course: str
    form: str
    status: str
    provisional: bool
    practice: bool
    passed: bool
    source: str
    record: str = field(repr=False)
    record_sha256: str
    report: dict[str, Any] = field(repr=False)
    programme: str
    chain_seq: int
    chain_sha256: str
    decided_at: datetime
    superseded_at: datetime | None = None
    superseded_by: str | None = None
    supersedes: str | None = None
    cause: str = "session"
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Fact(Stored):
    """What an authorised outside source attests; `data` is what its type carries."""

    table = tables.facts
    tenant: str
    id: str
    source: str
    t: str
    subject: str
    at: str
    recorded_at: datetime
    void_at: str | None
    void_recorded_at: datetime | None
    void_reason: str | None
    sandbox: bool
    data: dict[str, Any]
    person: str | None = None


@dataclass(frozen=True, slots=True)
class ChangeRow(Stored):
    """An entry of the feed; a `sequence` of 0 is numbered when it is written."""

    table = tables.changes
    tenant: str
    sequence: int
    type: str
    learner: str
    course: str | None
    badge: str | None
    previous: str | None
    current: str | None
    cause: str
    reason_id: str | None
    at: datetime
    sandbox: bool
    data: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class EligibilityState(Stored):
    """The status of a learner for a badge since the last change."""

    table = tables.eligibility_states
    tenant: str
    learner: str
    badge: str
    status: str
    since: datetime
    sequence: int
    sandbox: bool
    ends_at: datetime | None = None


@record
class Idempotency(Stored):
    """What a request with an idempotency key made."""

    table = tables.idempotency
    tenant: str
    actor: str
    route: str
    key: str
    body_sha256: str
    result: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Job(Stored):
    """Work of a kind that is done later; a use case may write one with what it rests on."""

    table = tables.jobs
    id: str
    kind: str
    payload: dict[str, Any]
    run_at: datetime
    attempts: int = 0
    leased_until: datetime | None = None
    lease: str | None = None
    error: str | None = None
    dead_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Outgoing(Stored):
    """A change that is told, or still to be told, to one webhook; written in the commit of the change."""

    table = tables_webhooks.outbox
    tenant: str
    webhook: str
    sequence: int
    subject: str
    run_at: datetime
    attempts: int = 0
    leased_until: datetime | None = None
    lease: str | None = None
    error: str | None = None
    dead_at: datetime | None = None
    delivered_at: datetime | None = None
    status: int | None = None


# --- what is written -----------------------------------------------------------


@record
class Update:
    """New values for the one row that has this key and still has the expected values.

    No such row means that somebody was faster: the whole of the writes is
    refused with StaleSession, and the use case reads again.
    """

    row: type[Stored]
    key: Mapping[str, Any]
    values: Mapping[str, Any]
    expected: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delete:
    """Rows that go: work that is done, and what a later statement replaces.

    Parameters
    ----------
    key : mapping
        What the rows must equal.
    before : mapping
        Columns that must lie before a time.
    """

    row: type[Stored]
    key: Mapping[str, Any]
    before: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Claim:
    """Due work that nobody holds, taken by one statement; what was taken comes back in `Committed`.

    Parameters
    ----------
    row : type
        `Job` or `Outgoing`.
    lease : str
        Who claims; only the holder of the lease may end the work or put it off.
    until : datetime
        When the lease ends and others may claim what was not finished.
    kinds : tuple of str or None
        The kinds of jobs that this worker knows; None for a table without kinds.
    webhook : str, optional
        Whose entries of the outbox, in the tenant of the writes.
    """

    row: type[Job] | type[Outgoing]
    lease: str
    now: datetime
    until: datetime
    limit: int
    kinds: tuple[str, ...] | None = None
    webhook: str | None = None


@record
class Writes:
    """All that one use case writes, durable together or not at all.

    Parameters
    ----------
    updates : tuple of Update
        First, in order: they carry the versions on which everything else rests.
    deletes : tuple of Delete
    inserts : tuple of Stored
        Rows in the order of their references.
    keep : tuple of Stored
        Rows that may be there already, under the same key; then the present one stays.
    decisions : tuple of DecisionRow
        Numbered and chained in the commit; the head of the chain is locked last.
    changes : tuple of ChangeRow
        Numbered in the commit, and put into the outbox of every webhook that wants them. A change of a
        badge also moves its `eligibility_states` row.
    activations : tuple of Activation
        Numbered in the commit.
    claim : Claim, optional
        Due work to take.
    """

    tenant: str
    updates: tuple[Update, ...] = ()
    deletes: tuple[Delete, ...] = ()
    inserts: tuple[Stored, ...] = ()
    keep: tuple[Stored, ...] = ()
    decisions: tuple[DecisionRow, ...] = ()
    changes: tuple[ChangeRow, ...] = ()
    activations: tuple[Activation, ...] = ()
    claim: Claim | None = None


@record
class Committed:
    """What the commit numbered, and what it claimed."""

    last_sequence: int | None = None
    activation: int | None = None
    claimed: tuple[Job | Outgoing, ...] = ()
