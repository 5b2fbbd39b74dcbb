"""Whether anything changed about a learner since it was read, and what badges rest on without the rest."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from assess.delivery.store.gathering import Part, beside, gathered
from assess.delivery.store.reading import LearnerRecords
from assess.delivery.store.rows import ChangeRow, DecisionRow, Fact, Learner, Session, Stored


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


_OWN = "tenant = :tenant AND learner = :learner"
# How many sessions, their versions together, and whether records were ever merged.
_COUNTED = (
    "(SELECT count(*) FROM sessions WHERE tenant = :tenant AND learner = :learner)",
    "(SELECT coalesce(sum(version), 0) FROM sessions WHERE tenant = :tenant AND learner = :learner)",
    "(SELECT count(*) FROM learner_merges WHERE tenant = :tenant AND learner = :learner)",
    '(SELECT count(*) FROM learner_merges WHERE tenant = :tenant AND "into" = :learner)',
)
_LEARNER = Part(Learner, "tenant = :tenant AND id = :learner")


def mark(connection: Connection, tenant: str, learner: str) -> Mark | None:
    """The mark of a learner; None of somebody who is not known."""
    counted, (known,) = beside(connection, _COUNTED, (_LEARNER,), {"tenant": tenant, "learner": learner})
    return _mark(counted, known)


def _mark(counted: list[Any], known: tuple[Learner, ...]) -> Mark | None:
    if not known:
        return None
    n_sessions, versions, *merges = counted
    (one,) = known
    return Mark(
        one.version,
        one.sandbox,
        one.kind,
        one.private,
        n_sessions,
        int(versions),
        any(merges),
        one.erased_at is not None,
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
    values, parts = _asked(tenant, learner, looked_at)
    return _records(gathered(connection, parts, values))


def marked_records(
    connection: Connection, tenant: str, learner: str, looked_at: LookedAt | None = None
) -> tuple[Mark | None, LearnerRecords | None]:
    """The mark of a learner, and as of the same instant the records, where the mark covers them."""
    values, parts = _asked(tenant, learner, looked_at)
    counted, found = beside(connection, _COUNTED, parts, values)
    known = _mark(counted, found[0])
    return known, _records(found) if known is not None and known.is_alone else None


def _asked(
    tenant: str, learner: str, looked_at: LookedAt | None
) -> tuple[dict[str, object], tuple[Part, ...]]:
    values: dict[str, object] = {"tenant": tenant, "learner": learner}
    if looked_at is None:
        return values, _ALL
    return values | {"courses": list(looked_at.courses), "types": list(looked_at.types)}, _SOME


def _records(found: list[tuple[Any, ...]]) -> LearnerRecords | None:
    known, sessions, decisions, facts, changes = found
    if not known:
        return None
    return LearnerRecords(known[0], sessions, decisions, facts, changes, ids=(known[0].id,))
