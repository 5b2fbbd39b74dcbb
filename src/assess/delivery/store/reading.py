"""What a use case may read: one function per question, over an open connection."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, exists, func, or_, select

from assess.delivery.store import claiming, tables
from assess.delivery.store.gathering import Part, gathered
from assess.delivery.store.persons import Person, person
from assess.delivery.store.rows import (
    Activation,
    ApiKey,
    ChangeRow,
    Consent,
    DecisionRow,
    Fact,
    Idempotency,
    Job,
    Learner,
    LearnerExternalId,
    OfferRow,
    Outgoing,
    R,
    ResponseRow,
    Session,
    SessionEvent,
    SigningKey,
    StoredRelease,
    Tenant,
)
from assess.delivery.store.rows_appeals import Appeal
from assess.delivery.store.rows_people import Merge
from assess.delivery.store.rows_sitting import IncidentSession
from assess.session.records import record


def _one(connection: Connection, row: type[R], *conditions: Any) -> R | None:
    found = connection.execute(select(row.table).where(*conditions)).one_or_none()
    return None if found is None else row.read(found)


def _all(
    connection: Connection,
    row: type[R],
    *conditions: Any,
    order: tuple[Any, ...] = (),
    limit: int | None = None,
) -> list[R]:
    statement = select(row.table).where(*conditions).order_by(*order).limit(limit)
    return [row.read(found) for found in connection.execute(statement)]


# --- tenants, keys -----------------------------------------------------------


def tenant(connection: Connection, id: str) -> Tenant | None:
    """A tenant."""
    return _one(connection, Tenant, tables.tenants.c.id == id)


def tenants(connection: Connection) -> list[str]:
    """The ids of all tenants."""
    return list(connection.scalars(select(tables.tenants.c.id).order_by(tables.tenants.c.id)))


def api_key(connection: Connection, secret_sha256: str) -> ApiKey | None:
    """The API key with this hash, revoked or not."""
    return _one(connection, ApiKey, tables.api_keys.c.secret_sha256 == secret_sha256)


def api_key_by_id(connection: Connection, tenant: str, id: str) -> ApiKey | None:
    """An API key by its id."""
    c = tables.api_keys.c
    return _one(connection, ApiKey, c.tenant == tenant, c.id == id)


def api_keys(connection: Connection, tenant: str) -> list[ApiKey]:
    """All keys of a tenant, oldest first."""
    c = tables.api_keys.c
    return _all(connection, ApiKey, c.tenant == tenant, order=(c.created_at, c.id))


def signing_keys(connection: Connection, purpose: str) -> list[SigningKey]:
    """All signing keys of a purpose, oldest first; retired ones still verify."""
    c = tables.signing_keys.c
    return _all(connection, SigningKey, c.purpose == purpose, order=(c.created_at, c.id))


def idempotency(connection: Connection, tenant: str, actor: str, route: str, key: str) -> Idempotency | None:
    """What an earlier request with this key made."""
    c = tables.idempotency.c
    return _one(connection, Idempotency, c.tenant == tenant, c.actor == actor, c.route == route, c.key == key)


# --- releases ----------------------------------------------------------------


def release(connection: Connection, sha256: str) -> StoredRelease | None:
    """A stored release or programme."""
    return _one(connection, StoredRelease, tables.releases.c.sha256 == sha256)


def activations(connection: Connection, tenant: str) -> list[Activation]:
    """The activation in force under each name, oldest first."""
    a, b = tables.activations, tables.activations.alias()
    same = and_(b.c.tenant == a.c.tenant, b.c.kind == a.c.kind, b.c.name == a.c.name)
    later = exists().where(same, b.c.seq > a.c.seq)
    return _all(connection, Activation, a.c.tenant == tenant, ~later, order=(a.c.seq,))


def accuracies(connection: Connection, tenant: str) -> dict[str, Any]:
    """By release, the accuracy study that stands as evidence of its newest activation that has one."""
    c = tables.activations.c
    found = select(c.release, c.evidence).where(c.tenant == tenant, c.evidence.is_not(None)).order_by(c.seq)
    return {
        row.release: row.evidence["accuracy"]
        for row in connection.execute(found)
        if isinstance(row.evidence, dict) and "accuracy" in row.evidence
    }


def badge_accuracies(connection: Connection, tenant: str) -> dict[str, Any]:
    """By badge, the newest accuracy study that an activation made, with the releases that it is about."""
    c = tables.activations.c
    found = select(c.evidence).where(c.tenant == tenant, c.evidence.is_not(None)).order_by(c.seq)
    known: dict[str, Any] = {}
    for evidence in connection.execute(found).scalars():
        if isinstance(evidence, dict):
            known |= evidence.get("badges", {})
    return known


def frozen_units(connection: Connection, tenant: str, course: str) -> set[str]:
    """Units that an activation of the course said are frozen."""
    c = tables.activations.c
    found = select(c.evidence).where(c.tenant == tenant, c.course == course, c.evidence.is_not(None))
    return {
        unit
        for evidence in connection.execute(found).scalars()
        if isinstance(evidence, dict)
        for unit in evidence.get("frozen", ())
    }


def was_activated(connection: Connection, tenant: str, release: str) -> bool:
    """Whether a tenant ever made this release live."""
    c = tables.activations.c
    found = select(c.seq).where(c.tenant == tenant, c.release == release).limit(1)
    return connection.execute(found).first() is not None


def activation(connection: Connection, tenant: str, seq: int) -> Activation | None:
    """One activation."""
    c = tables.activations.c
    return _one(connection, Activation, c.tenant == tenant, c.seq == seq)


# --- learners ----------------------------------------------------------------


def learner(connection: Connection, tenant: str, id: str) -> Learner | None:
    """A learner."""
    c = tables.learners.c
    return _one(connection, Learner, c.tenant == tenant, c.id == id)


def external_ids(connection: Connection, tenant: str, learner: str) -> list[LearnerExternalId]:
    """Who a learner is elsewhere."""
    c = tables.learner_external_ids.c
    return _all(
        connection, LearnerExternalId, c.tenant == tenant, c.learner == learner, order=(c.issuer, c.subject)
    )


def external_id(connection: Connection, tenant: str, issuer: str, subject: str) -> LearnerExternalId | None:
    """The learner whom an issuer calls by this subject."""
    c = tables.learner_external_ids.c
    return _one(connection, LearnerExternalId, c.tenant == tenant, c.issuer == issuer, c.subject == subject)


def consent(connection: Connection, tenant: str, learner: str, form: str, version: str) -> Consent | None:
    """A person's latest consent to a version of a form's conditions, in any language."""
    c = tables.consents.c
    ids = person(connection, tenant, learner).ids
    found = _all(
        connection, Consent,
        c.tenant == tenant, c.learner.in_(ids), c.form == form, c.version == version,
        order=(c.at.desc(),), limit=1,
    )  # fmt: skip
    return found[0] if found else None


# --- sessions ----------------------------------------------------------------


@record
class SessionRecords:
    """A session with all that its fold reads."""

    session: Session
    offers: tuple[OfferRow, ...]
    responses: tuple[ResponseRow, ...]
    events: tuple[SessionEvent, ...]


_SESSION = (
    Part(Session, "tenant = :tenant AND id = :session"),
    Part(OfferRow, "tenant = :tenant AND session = :session", ("position",)),
    Part(ResponseRow, "tenant = :tenant AND session = :session", ("position", "revision")),
    Part(SessionEvent, "tenant = :tenant AND session = :session", ("seq",)),
)


def session_records(connection: Connection, tenant: str, id: str) -> SessionRecords | None:
    """A session with its offers, responses and events."""
    found, offers, responses, events = gathered(connection, _SESSION, {"tenant": tenant, "session": id})
    return SessionRecords(found[0], offers, responses, events) if found else None


def session_by_token(connection: Connection, token_sha256: str) -> Session | None:
    """The session that a learner token opens."""
    return _one(connection, Session, tables.sessions.c.token_sha256 == token_sha256)


# The event of an opening, and where it keeps the hash of the token that it took out of use.
OPENED, REPLACED = "opened", "replaced"


def open_session(connection: Connection, tenant: str, learner: str, form_id: str) -> Session | None:
    """A person's open session of a form; the older one, where two were open when records were merged."""
    c = tables.sessions.c
    ids = person(connection, tenant, learner).ids
    mine = (c.tenant == tenant, c.learner.in_(ids), c.form_id == form_id, c.state == "open")
    found = _all(connection, Session, *mine, order=(c.started_at, c.id), limit=1)
    return found[0] if found else None


def overdue_sessions(connection: Connection, now: datetime, limit: int) -> list[Session]:
    """Open sessions whose time ran out, of all tenants, oldest first."""
    c = tables.sessions.c
    return _all(connection, Session, c.state == "open", c.closes_at < now, order=(c.closes_at,), limit=limit)


def offered_items(connection: Connection, tenant: str, session: str) -> list[str]:
    """References of the items that a session offered, in order."""
    c = tables.offers.c
    statement = select(c.item).where(c.tenant == tenant, c.session == session).order_by(c.position)
    return list(connection.scalars(statement))


# --- decisions and what rests on them -------------------------------------------


def decision(connection: Connection, tenant: str, id: str) -> DecisionRow | None:
    """A decision, current or superseded."""
    c = tables.decisions.c
    return _one(connection, DecisionRow, c.tenant == tenant, c.id == id)


def session_decision(connection: Connection, tenant: str, session: str) -> DecisionRow | None:
    """The current decision of a session."""
    c = tables.decisions.c
    return _one(connection, DecisionRow, c.tenant == tenant, c.session == session, c.superseded_at.is_(None))


def decisions(
    connection: Connection, tenant: str, *, after: tuple[str, int] = ("", 0), limit: int = 1000
) -> list[DecisionRow]:
    """All decisions of a tenant in the order of their chains, a page at a time."""
    c = tables.decisions.c
    programme, seq = after
    beyond = or_(c.programme > programme, and_(c.programme == programme, c.chain_seq > seq))
    return _all(
        connection, DecisionRow, c.tenant == tenant, beyond, order=(c.programme, c.chain_seq), limit=limit
    )


def chain_heads(connection: Connection, tenant: str) -> dict[str, tuple[int, str]]:
    """Programme to number and hash of the last link of its chain."""
    c = tables.chain_heads.c
    found = connection.execute(select(c.programme, c.seq, c.sha256).where(c.tenant == tenant))
    return {row.programme: (row.seq, row.sha256) for row in found}


@dataclass(frozen=True, slots=True)
class LearnerRecords:
    """All that a learner's standing rests on: every session, decision, fact and change there ever was.

    Of all records that are this person's: `learner` is the one that survives where some were merged.
    """

    learner: Learner
    sessions: tuple[Session, ...]
    decisions: tuple[DecisionRow, ...]
    facts: tuple[Fact, ...]
    changes: tuple[ChangeRow, ...]
    incidents: tuple[IncidentSession, ...] = ()
    ids: tuple[str, ...] = ()
    # Merges that were undone: what was told because of them holds no more.
    undone: frozenset[str] = frozenset()
    # Of a school: the records of all who ever were its members.
    members: tuple[LearnerRecords, ...] = ()
    # Reviews that confirmations opened; badges do not look at them.
    reviews: tuple[Appeal, ...] = ()


LEARNER = (
    Part(Merge, "tenant = :tenant AND learner = :learner"),
    Part(Merge, 'tenant = :tenant AND "into" = :learner'),
    Part(Learner, "tenant = :tenant AND id = :learner"),
    Part(Session, "tenant = :tenant AND learner = :learner", ("started_at", "id")),
    Part(DecisionRow, "tenant = :tenant AND learner = :learner", ("decided_at", "id")),
    Part(Fact, "tenant = :tenant AND subject = :learner", ("recorded_at", "id")),
    Part(ChangeRow, "tenant = :tenant AND learner = :learner", ("sequence",)),
    Part(IncidentSession, "tenant = :tenant AND learner = :learner AND state = 'done'", ("at", "incident")),
    Part(Appeal, "tenant = :tenant AND learner = :learner AND kind = 'review'", ("filed_at", "id")),
)


def learner_records(
    connection: Connection, tenant: str, id: str, *, known_at: datetime | None = None
) -> LearnerRecords | None:
    """Everything from which a learner's standing at any time can be told.

    Parameters
    ----------
    known_at : datetime, optional
        Records that were merged later, as far as known then, are left apart.
    """
    found = gathered(connection, LEARNER, {"tenant": tenant, "learner": id})
    return records_found(connection, tenant, id, found, known_at)


def records_found(
    connection: Connection, tenant: str, id: str, found: list[tuple[Any, ...]], known_at: datetime | None
) -> LearnerRecords | None:
    """The records that `LEARNER` found, or of all that are the same person's where some were merged."""
    merged, merging, learners, sessions, decisions, facts, changes, incidents, reviews = found
    if merged or merging:
        return records_of(connection, tenant, person(connection, tenant, id, known_at), known_at=known_at)
    if not learners:
        return None
    return LearnerRecords(learners[0], sessions, decisions, facts, changes, incidents, (id,), reviews=reviews)


def records_of(
    connection: Connection, tenant: str, who: Person, *, known_at: datetime | None = None
) -> LearnerRecords | None:
    """The records of these ids, as one person's."""
    found = learner(connection, tenant, who.id)
    if found is None:
        return None
    ids = who.ids
    s, d, f, c = tables.sessions.c, tables.decisions.c, tables.facts.c, tables.changes.c
    i, a = tables.incident_sessions.c, Appeal.table.c
    # What was told about a merge belongs to both sides for good: a number once answered never falls.
    told = or_(c.learner.in_(ids), c.reason_id.in_([merge.id for merge in who.merges]))
    return LearnerRecords(
        found,
        tuple(_all(connection, Session, s.tenant == tenant, s.learner.in_(ids), order=(s.started_at, s.id))),
        tuple(
            _all(connection, DecisionRow, d.tenant == tenant, d.learner.in_(ids), order=(d.decided_at, d.id))
        ),
        tuple(_all(connection, Fact, f.tenant == tenant, f.subject.in_(ids), order=(f.recorded_at, f.id))),
        tuple(_all(connection, ChangeRow, c.tenant == tenant, told, order=(c.sequence,))),
        tuple(
            _all(
                connection, IncidentSession, i.tenant == tenant, i.learner.in_(ids), i.state == "done",
                order=(i.at, i.incident),
            )
        ),
        ids,
        who.undone(known_at),
        reviews=tuple(
            _all(
                connection, Appeal, a.tenant == tenant, a.learner.in_(ids), a.kind == "review",
                order=(a.filed_at, a.id),
            )
        ),
    )  # fmt: skip


def fact(connection: Connection, tenant: str, id: str) -> Fact | None:
    """A fact by the sender's id."""
    c = tables.facts.c
    return _one(connection, Fact, c.tenant == tenant, c.id == id)


def not_private(tenant: str, learner: Any) -> Any:
    """That nobody private is meant by a column."""
    p = tables.learners.c
    return ~exists().where(p.tenant == tenant, p.id == learner, p.private.is_(True))


def changes(
    connection: Connection, tenant: str, *, after: int, limit: int, sandbox: bool, private: bool = True
) -> list[ChangeRow]:
    """The feed after a sequence number; without `private`, not what is about somebody private."""
    c = tables.changes.c
    conditions = [c.tenant == tenant, c.sequence > after, c.sandbox == sandbox]
    if not private:
        conditions.append(not_private(tenant, c.learner))
    return _all(connection, ChangeRow, *conditions, order=(c.sequence,), limit=limit)


# --- work ------------------------------------------------------------------------


def jobs(connection: Connection) -> list[Job]:
    """All jobs, the next one first."""
    return _all(connection, Job, order=(tables.jobs.c.run_at, tables.jobs.c.id))


def work_is_due(connection: Connection, now: datetime) -> bool:
    """Whether a job waits to be claimed."""
    due = select(tables.jobs.c.run_at).where(*claiming.due(Job, now)).limit(1)
    return connection.execute(due).first() is not None


@dataclass(frozen=True, slots=True)
class Backlog:
    """How a table of work stands."""

    n_waiting: int
    oldest: datetime | None
    n_dead: int
    last_error: str | None


def backlog(connection: Connection, row: type[Job] | type[Outgoing]) -> Backlog:
    """What waits, since when, and what was given up."""
    c = row.table.c
    waiting = connection.scalar(select(func.count()).select_from(row.table).where(*claiming.waiting(row)))
    # What waits behind another entry is not late, however long ago it was written.
    oldest = connection.scalar(select(func.min(c.run_at)).where(*claiming.claimable(row)))
    dead = connection.scalar(select(func.count()).where(c.dead_at.is_not(None)))
    newest = select(c.error).where(c.dead_at.is_not(None)).order_by(c.dead_at.desc()).limit(1)
    return Backlog(waiting or 0, oldest, dead or 0, connection.scalar(newest))


def change(connection: Connection, tenant: str, sequence: int) -> ChangeRow | None:
    """One entry of the feed."""
    c = tables.changes.c
    return _one(connection, ChangeRow, c.tenant == tenant, c.sequence == sequence)
