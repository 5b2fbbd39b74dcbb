"""The tables, declared once; Alembic reads them and every statement is built from them.

The tenant comes first in the key of every table about people. Tables of facts
about what happened (offers, responses, decisions, facts, changes) are only
appended to; what ends them is a column with a time.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Column,
    Constraint,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from assess.delivery.store.columns import Flag, Instant, JsonText, Whole
from assess.delivery.store.late import LateText

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _key(name: str) -> Column[str]:
    return Column(name, Text, primary_key=True, nullable=False)


def _table(name: str, *parts: Column[Any] | Constraint | Index, **options: Any) -> Table:
    return Table(name, metadata, *parts, sqlite_strict=True, **options)


def _partial(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """An index over the rows for which a condition holds."""
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


def _of(table: str, *columns: str, to: tuple[str, ...]) -> ForeignKeyConstraint:
    return ForeignKeyConstraint([*columns], [f"{table}.{column}" for column in to])


tenants = _table(
    "tenants",
    _key("id"),
    Column("title", Text, nullable=False),
    Column("accept_provisional", Flag, nullable=False),
    Column("demo", Flag, nullable=False),
    Column("two_person", Flag, nullable=False),
    # The last number given to a row of `changes`: they rise in the order of commits, and jump at a restore.
    Column("change_sequence", Whole, nullable=False),
    Column("created_at", Instant, nullable=False),
    # Learners may begin only what was assigned to them.
    Column("assigned_only", Flag, nullable=False, server_default=text("0")),
)

api_keys = _table(
    "api_keys",
    _key("tenant"),
    _key("id"),
    Column("name", Text, nullable=False),
    Column("secret_sha256", Text, nullable=False, unique=True),
    Column("scopes", JsonText, nullable=False),
    Column("sources", JsonText),
    Column("sandbox", Flag, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    # Whether it may state that a session is proctored.
    Column("may_proctor", Flag, nullable=False, server_default=text("0")),
    _of("tenants", "tenant", to=("id",)),
)

signing_keys = _table(
    "signing_keys",
    _key("id"),
    Column("purpose", Text, nullable=False),
    Column("private_key", Text, nullable=False),
    Column("public_key", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("retired_at", Instant),
)

learners = _table(
    "learners",
    _key("tenant"),
    _key("id"),
    Column("locale", Text),
    Column("sandbox", Flag, nullable=False),
    # Rises with every commit that changes what the learner's standing rests on.
    Column("version", Whole, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("erased_at", Instant),
    # person, student or school; only a student or whoever asked for it is private.
    Column("kind", Text, nullable=False, server_default=text("'person'")),
    Column("private", Flag, nullable=False, server_default=text("0")),
    Column("region", Text),
    _of("tenants", "tenant", to=("id",)),
)

learner_external_ids = _table(
    "learner_external_ids",
    _key("tenant"),
    _key("issuer"),
    _key("subject"),
    Column("learner", Text, nullable=False),
    _of("learners", "tenant", "learner", to=("tenant", "id")),
    Index(None, "tenant", "learner"),
)

consents = _table(
    "consents",
    _key("tenant"),
    _key("learner"),
    _key("form"),
    _key("version"),
    _key("language"),
    Column("at", Instant, nullable=False),
    _of("learners", "tenant", "learner", to=("tenant", "id")),
)

releases = _table(
    "releases",
    _key("sha256"),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)

activations = _table(
    "activations",
    _key("tenant"),
    Column("seq", Whole, primary_key=True, nullable=False, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("course", Text),
    Column("release", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("approved_by", Text),
    Column("reason", Text, nullable=False),
    Column("evidence", JsonText),
    Column("at", Instant, nullable=False),
    _of("tenants", "tenant", to=("id",)),
    _of("releases", "release", to=("sha256",)),
)

sessions = _table(
    "sessions",
    _key("tenant"),
    _key("id"),
    Column("learner", Text, nullable=False),
    Column("course", Text, nullable=False),
    Column("form_id", Text, nullable=False),
    Column("form", Text, nullable=False),
    Column("release", Text, nullable=False),
    Column("start_record", JsonText, nullable=False),
    Column("token_sha256", Text, nullable=False, unique=True),
    Column("version", Whole, nullable=False),
    # open, ended, or reset: taken back in the sandbox, and since then without effect.
    Column("state", Text, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("closes_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("ended_by", Text),
    Column("void_at", Instant),
    Column("void_reason", Text),
    Column("practice", Flag, nullable=False),
    Column("sandbox", Flag, nullable=False),
    Column("try_number", Integer, nullable=False),
    _of("learners", "tenant", "learner", to=("tenant", "id")),
    _of("releases", "release", to=("sha256",)),
    Index(None, "tenant", "learner", "course"),
    # The sweep asks for open sessions whose time ran out.
    _partial("ix_sessions_open_closes_at", "closes_at", where="state = 'open'"),
    # One open session per learner and form, whatever arrives at the same time.
    _partial("uq_sessions_one_open", "tenant", "learner", "form_id", where="state = 'open'", unique=True),
    # Every answer makes a new version: one that fits on its page is not entered into six indexes.
    postgresql_with={"fillfactor": 70},
)

offers = _table(
    "offers",
    _key("tenant"),
    _key("session"),
    Column("position", Integer, primary_key=True, nullable=False, autoincrement=False),
    Column("item", Text, nullable=False),
    Column("at", Instant, nullable=False),
    _of("sessions", "tenant", "session", to=("tenant", "id")),
    UniqueConstraint("tenant", "session", "item"),
)

responses = _table(
    "responses",
    _key("tenant"),
    _key("session"),
    Column("position", Integer, primary_key=True, nullable=False, autoincrement=False),
    Column("revision", Integer, primary_key=True, nullable=False, autoincrement=False),
    Column("item", Text, nullable=False),
    Column("answer", JsonText),
    Column("category", Integer),
    Column("at", Instant, nullable=False),
    Column("salt", Text),
    Column("answer_sha256", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("signature", LateText, nullable=False),
    _of("offers", "tenant", "session", "position", to=("tenant", "session", "position")),
)

session_events = _table(
    "session_events",
    _key("tenant"),
    _key("session"),
    Column("seq", Integer, primary_key=True, nullable=False, autoincrement=False),
    Column("type", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("data", JsonText, nullable=False),
    _of("sessions", "tenant", "session", to=("tenant", "id")),
)

decisions = _table(
    "decisions",
    _key("tenant"),
    _key("id"),
    Column("session", Text, nullable=False),
    Column("learner", Text, nullable=False),
    Column("course", Text, nullable=False),
    Column("form", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("provisional", Flag, nullable=False),
    Column("practice", Flag, nullable=False),
    Column("passed", Flag, nullable=False),
    # course_form, or sandbox for a state that was forced; only the former replays.
    Column("source", Text, nullable=False),
    # The canonical bytes under the hash, and what the status answers show beside them.
    Column("record", Text, nullable=False),
    Column("record_sha256", Text, nullable=False),
    Column("report", JsonText, nullable=False),
    Column("programme", Text, nullable=False),
    Column("chain_seq", Whole, nullable=False),
    Column("chain_sha256", Text, nullable=False),
    Column("decided_at", Instant, nullable=False),
    Column("superseded_at", Instant),
    Column("superseded_by", Text),
    Column("supersedes", Text),
    Column("cause", Text, nullable=False),
    Column("reason", Text),
    _of("sessions", "tenant", "session", to=("tenant", "id")),
    UniqueConstraint("tenant", "programme", "chain_seq"),
    Index(None, "tenant", "learner", "course"),
    # One current outcome per session.
    _partial("uq_decisions_one_current", "tenant", "session", where="superseded_at IS NULL", unique=True),
)

chain_heads = _table(
    "chain_heads",
    _key("tenant"),
    _key("programme"),
    Column("seq", Whole, nullable=False),
    Column("sha256", Text, nullable=False),
    _of("tenants", "tenant", to=("id",)),
)

facts = _table(
    "facts",
    _key("tenant"),
    _key("id"),
    Column("source", Text, nullable=False),
    Column("t", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column("void_at", Text),
    Column("void_recorded_at", Instant),
    Column("void_reason", Text),
    Column("sandbox", Flag, nullable=False),
    Column("data", JsonText, nullable=False),
    # Of a membership: whom it is about. What changes for this person may change something for the school.
    Column("person", Text),
    _of("learners", "tenant", "subject", to=("tenant", "id")),
    Index(None, "tenant", "subject"),
    _partial("ix_facts_person", "tenant", "person", where="person IS NOT NULL"),
)

changes = _table(
    "changes",
    _key("tenant"),
    Column("sequence", Whole, primary_key=True, nullable=False, autoincrement=False),
    Column("type", Text, nullable=False),
    Column("learner", Text, nullable=False),
    Column("course", Text),
    Column("badge", Text),
    Column("previous", Text),
    Column("current", Text),
    Column("cause", Text, nullable=False),
    Column("reason_id", Text),
    Column("at", Instant, nullable=False),
    Column("sandbox", Flag, nullable=False),
    # What the resource answered at that sequence.
    Column("data", JsonText, nullable=False),
    _of("tenants", "tenant", to=("id",)),
    Index(None, "tenant", "learner", "sequence"),
)

eligibility_states = _table(
    "eligibility_states",
    _key("tenant"),
    _key("learner"),
    _key("badge"),
    Column("status", Text, nullable=False),
    Column("since", Instant, nullable=False),
    Column("sequence", Whole, nullable=False),
    Column("sandbox", Flag, nullable=False),
    # Until when an eligible one was told to last; looked at again when that has passed.
    Column("ends_at", Instant),
    _of("learners", "tenant", "learner", to=("tenant", "id")),
    Index(None, "tenant", "badge", "status", "learner"),
    _partial("ix_eligibility_states_ends_at", "tenant", "ends_at", where="ends_at IS NOT NULL"),
)

idempotency = _table(
    "idempotency",
    _key("tenant"),
    _key("actor"),
    _key("route"),
    _key("key"),
    Column("body_sha256", Text, nullable=False),
    # What the request made, so that its repetition answers about the same thing.
    Column("result", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Index(None, "at"),
    # A route names the session: the keys of those who began together lie together, as their answers do.
    PrimaryKeyConstraint("tenant", "route", "actor", "key"),
)

# --- incidents, accommodations, invigilators -----------------------------------------

incidents = _table(
    "incidents",
    _key("tenant"),
    _key("id"),
    # declared by somebody, or downtime, which the server found by itself.
    Column("kind", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("scope", JsonText, nullable=False),
    Column("from_at", Instant, nullable=False),
    Column("to_at", Instant, nullable=False),
    Column("seconds", Whole, nullable=False),
    Column("reason", Text, nullable=False),
    # What learners are told beside the fact itself.
    Column("message", Text),
    Column("by", Text, nullable=False),
    Column("approved_by", Text),
    Column("sandbox", Flag, nullable=False),
    Column("created_at", Instant, nullable=False),
    # When every session had been seen to; until then a restart carries it on.
    Column("done_at", Instant),
    _of("tenants", "tenant", to=("id",)),
    _partial("ix_incidents_not_done", "created_at", where="done_at IS NULL"),
)

incident_sessions = _table(
    "incident_sessions",
    _key("tenant"),
    _key("incident"),
    _key("session"),
    Column("learner", Text, nullable=False),
    Column("course", Text, nullable=False),
    Column("action", Text, nullable=False),
    # done, or skipped with the sentence why; of what is done, why it got other seconds than the span says.
    Column("state", Text, nullable=False),
    Column("why", Text),
    Column("seconds", Whole, nullable=False),
    Column("message", Text),
    Column("at", Instant, nullable=False),
    _of("incidents", "tenant", "incident", to=("tenant", "id")),
    _of("sessions", "tenant", "session", to=("tenant", "id")),
    Index(None, "tenant", "learner"),
)

# Written by every running server every few seconds: the last one tells when none was running.
heartbeats = _table(
    "heartbeats",
    _key("process"),
    Column("started_at", Instant, nullable=False),
    Column("at", Instant, nullable=False),
    Column("stopped_at", Instant),
)

accommodations = _table(
    "accommodations",
    _key("tenant"),
    _key("learner"),
    Column("seq", Integer, primary_key=True, nullable=False, autoincrement=False),
    # asked by the learner, or granted; the latest granted one is in force. Why is never stored.
    Column("state", Text, nullable=False),
    Column("given", JsonText, nullable=False),
    Column("until", Instant),
    Column("by", Text, nullable=False),
    Column("at", Instant, nullable=False),
    _of("learners", "tenant", "learner", to=("tenant", "id")),
)

invigilator_codes = _table(
    "invigilator_codes",
    _key("tenant"),
    _key("id"),
    Column("code_hash", Text, nullable=False),
    Column("course", Text, nullable=False),
    Column("cohort", Text),
    Column("from_at", Instant, nullable=False),
    Column("to_at", Instant, nullable=False),
    Column("by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    Column("sandbox", Flag, nullable=False),
    _of("tenants", "tenant", to=("id",)),
    UniqueConstraint("tenant", "code_hash"),
)

# --- what is done later: claimed by one statement, see store/claiming.py -----------


def claimable() -> tuple[Column[Any], ...]:
    """Columns of work that is claimed."""
    return (
        Column("run_at", Instant, nullable=False),
        # How often it was claimed; a claim that was never finished counts too.
        Column("attempts", Integer, nullable=False),
        Column("leased_until", Instant),
        Column("lease", Text),
        Column("error", Text),
        # Given up: a person looks at it.
        Column("dead_at", Instant),
    )


jobs = _table(
    "jobs",
    _key("id"),
    Column("kind", Text, nullable=False),
    Column("payload", JsonText, nullable=False),
    *claimable(),
    _partial("ix_jobs_waiting_run_at", "run_at", where="dead_at IS NULL"),
)
