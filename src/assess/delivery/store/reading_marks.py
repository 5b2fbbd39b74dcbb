"""Whether anything changed about a learner since it was read, and what badges rest on without the rest."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, bindparam, exists, func, or_, select

from assess.delivery.store import tables
from assess.delivery.store.gathering import Part, gathered
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

    @property
    def is_alone(self) -> bool:
        """Whether it covers all that an answer rests on: no other record, and no member's."""
        return not (self.joined or self.erased) and self.kind != "school"


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


@dataclass(frozen=True, slots=True)
class LookedAt:
    """Courses and types of facts that some rules look at."""

    courses: Collection[str]
    types: Collection[str]


LEAN: dict[type[Stored], tuple[str, ...]] = {
    Session: ("start_record",),
    DecisionRow: ("record",),
    ChangeRow: ("data",),
}
"""Start records, records of decisions and snapshots are long, and no rule looks at them."""

_OWN = "tenant = :tenant AND learner = :learner"
_LEARNER = Part(Learner, "tenant = :tenant AND id = :learner")
_CHANGES = Part(ChangeRow, _OWN, ("sequence",), LEAN[ChangeRow])


def _parts(course: str, type_: str) -> tuple[Part, ...]:
    return (
        _LEARNER,
        Part(Session, _OWN + course, ("started_at", "id"), LEAN[Session]),
        Part(DecisionRow, _OWN + course, ("decided_at", "id"), LEAN[DecisionRow]),
        Part(Fact, f"tenant = :tenant AND subject = :learner{type_}", ("recorded_at", "id")),
        _CHANGES,
    )


_ALL, _SOME = _parts("", ""), _parts(" AND course IN :courses", " AND t IN :types")


def lean_records(
    connection: Connection, tenant: str, learner: str, looked_at: LookedAt | None = None
) -> LearnerRecords | None:
    """The records of a learner who was never merged, without what is long.

    Parameters
    ----------
    looked_at : LookedAt, optional
        Only sessions and decisions of these courses, and facts of these types; but all changes.
    """
    values: dict[str, object] = {"tenant": tenant, "learner": learner}
    if looked_at is not None:
        values |= {"courses": list(looked_at.courses), "types": list(looked_at.types)}
    known, sessions, decisions, facts, changes = gathered(
        connection, _ALL if looked_at is None else _SOME, values
    )
    if not known:
        return None
    return LearnerRecords(known[0], sessions, decisions, facts, changes, ids=(learner,))


def marked_records(
    connection: Connection, tenant: str, learner: str, looked_at: LookedAt | None = None
) -> tuple[Mark | None, LearnerRecords | None]:
    """The mark of a learner, and the records with it where the mark covers them."""
    found = mark(connection, tenant, learner)
    if found is None or not found.is_alone:
        return found, None
    return found, lean_records(connection, tenant, learner, looked_at)
