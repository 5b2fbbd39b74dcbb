"""Whether anything changed about a learner since it was read, and what badges rest on without the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, Text, and_, bindparam, exists, func, literal_column, or_, select

from assess.delivery.store import tables
from assess.delivery.store.columns import JsonText
from assess.delivery.store.reading import LearnerRecords
from assess.delivery.store.rows import ChangeRow, DecisionRow, Fact, Learner, Session, Stored
from assess.delivery.store.tables_people import learner_merges


@dataclass(frozen=True, slots=True)
class Mark:
    """What differs whenever a learner's standing may: the versions of the learner and of all sessions.

    `joined` says that records were ever merged; then the versions of several learners count.
    """

    version: int
    sandbox: bool
    kind: str
    private: bool
    n_sessions: int
    session_versions: int
    joined: bool
    erased: bool


_l, _s, _m = tables.learners.c, tables.sessions.c, learner_merges.c
_TENANT: Any = bindparam("tenant")
_ID: Any = bindparam("learner")
_STATEMENT = select(
    _l.version,
    _l.sandbox,
    _l.kind,
    _l.private,
    _l.erased_at,
    select(func.count()).where(_s.tenant == _TENANT, _s.learner == _ID).scalar_subquery().label("n_sessions"),
    select(func.coalesce(func.sum(_s.version), 0))
    .where(_s.tenant == _TENANT, _s.learner == _ID)
    .scalar_subquery()
    .label("session_versions"),
    exists()
    .where(and_(_m.tenant == _TENANT, or_(_m.learner == _ID, _m.into == _ID)))
    .correlate(None)
    .label("joined"),
).where(_l.tenant == _TENANT, _l.id == _ID)


def mark(connection: Connection, tenant: str, learner: str) -> Mark | None:
    """The mark of a learner; None of somebody who is not known."""
    row = connection.execute(_STATEMENT, {"tenant": tenant, "learner": learner}).one_or_none()
    if row is None:
        return None
    return Mark(
        row.version,
        bool(row.sandbox),
        row.kind,
        bool(row.private),
        row.n_sessions,
        int(row.session_versions),
        bool(row.joined),
        row.erased_at is not None,
    )


# --- the records without what is long and read by nobody who asks about badges -------------------

_LONG: dict[Any, tuple[str, Any]] = {
    "start_record": ("'{}'", JsonText()),
    "record": ("''", Text()),
    ("changes", "data"): ("'{}'", JsonText()),
}


def _lean(row: type[Stored], owner: str, *order: str) -> Select[Any]:
    columns = []
    for column in row.table.c:
        long = _LONG.get(column.name) or _LONG.get((row.table.name, column.name))
        columns.append(column if long is None else literal_column(long[0], long[1]).label(column.name))
    c = row.table.c
    found = select(*columns).where(c.tenant == _TENANT, c[owner] == _ID)
    return found.order_by(*(c[name] for name in order))


_LEARNER = _lean(Learner, "id")
_SESSIONS = _lean(Session, "learner", "started_at", "id")
_DECISIONS = _lean(DecisionRow, "learner", "decided_at", "id")
_FACTS = _lean(Fact, "subject", "recorded_at", "id")
_CHANGES = _lean(ChangeRow, "learner", "sequence")


def lean_records(connection: Connection, tenant: str, learner: str) -> LearnerRecords | None:
    """The records of a learner who was never merged, without start records, decision records and snapshots.

    Those are long, and no rule looks at them.
    """
    asked = {"tenant": tenant, "learner": learner}
    row = connection.execute(_LEARNER, asked).one_or_none()
    if row is None:
        return None
    return LearnerRecords(
        Learner.read(row),
        tuple(Session.read(one) for one in connection.execute(_SESSIONS, asked)),
        tuple(DecisionRow.read(one) for one in connection.execute(_DECISIONS, asked)),
        tuple(Fact.read(one) for one in connection.execute(_FACTS, asked)),
        tuple(ChangeRow.read(one) for one in connection.execute(_CHANGES, asked)),
        ids=(learner,),
    )
