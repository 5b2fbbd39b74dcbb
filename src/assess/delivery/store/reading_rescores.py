"""What a rescoring reads: whom it reaches, how far it has come, and whether that adds up."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, exists, func, or_, select

from assess.delivery.store import tables
from assess.delivery.store.reading import (
    LearnerRecords,
    SessionRecords,
    _all,
    _one,
    learner_records,
    session_records,
)
from assess.delivery.store.rows import ChangeRow
from assess.delivery.store.rows_rescores import Rescore, RescoredSession
from assess.delivery.store.tables_rescores import rescored_sessions
from assess.delivery.store.tables_rescores import rescores as rescores_table


def rescore(connection: Connection, tenant: str, id: str) -> Rescore | None:
    """One rescoring."""
    c = rescores_table.c
    return _one(connection, Rescore, c.tenant == tenant, c.id == id)


def rescores(connection: Connection, tenant: str, *, sandbox: bool) -> list[Rescore]:
    """All rescorings of a tenant, the newest first."""
    c = rescores_table.c
    return _all(
        connection, Rescore, c.tenant == tenant, c.sandbox == sandbox, order=(c.started_at.desc(), c.id)
    )


def running_rescores(connection: Connection) -> list[Rescore]:
    """Those that are not reconciled yet, of all tenants."""
    c = rescores_table.c
    return _all(connection, Rescore, c.state == "running", order=(c.started_at, c.id))


def releases_of_form(connection: Connection, form: str) -> list[str]:
    """Every release of a form there ever was."""
    c = tables.releases.c
    return list(
        connection.scalars(select(c.sha256).where(c.kind == "form", c.name == form).order_by(c.sha256))
    )


def _reached(rescore: Rescore) -> list[Any]:
    """Sessions that a rescoring must account for: those that had ended under its sources when it began.

    A release of results must account for those of them whose result was held at that moment.
    """
    s, d = tables.sessions.c, tables.decisions.c
    then = rescore.started_at
    waiting = exists().where(
        d.tenant == s.tenant, d.session == s.id, d.status == "pending",
        d.source.in_(("course_form", "placement")),
        d.decided_at <= then, or_(d.superseded_at.is_(None), d.superseded_at >= then),
    )  # fmt: skip
    held: list[Any] = [waiting] if rescore.kind == "release" else []
    return [
        *held,
        s.tenant == rescore.tenant,
        s.course == rescore.course,
        s.release.in_(rescore.sources),
        s.sandbox == rescore.sandbox,
        s.state == "ended",
        s.practice.in_((False,)),
        s.ended_at <= then,
    ]


def _left(rescore: Rescore) -> Any:
    """That a rescoring has not said yet what it did with a session."""
    s, d = tables.sessions.c, rescored_sessions.c
    # Looked up session by session: a list of all that is done would be made anew for every page.
    return ~exists().where(d.tenant == s.tenant, d.rescore == rescore.id, d.session == s.id)


def learners_to_rescore(connection: Connection, rescore: Rescore, *, after: str, limit: int) -> list[str]:
    """Learners with sessions to account for that are not yet, in the order of their ids."""
    s = tables.sessions.c
    statement = (
        select(s.learner)
        .where(*_reached(rescore), s.learner > after, _left(rescore))
        .distinct()
        .order_by(s.learner)
        .limit(limit)
    )
    return list(connection.scalars(statement))


@dataclass(frozen=True, slots=True)
class LearnerToRescore:
    """A learner, with those sessions that a rescoring must account for and has not yet, oldest first."""

    records: LearnerRecords
    sessions: tuple[SessionRecords, ...]


def to_rescore(connection: Connection, rescore: Rescore, learners: Sequence[str]) -> list[LearnerToRescore]:
    """What is left to do for some learners; one of whom nothing is left is left out."""
    s = tables.sessions.c
    statement = (
        select(s.learner, s.id)
        .where(*_reached(rescore), s.learner.in_(learners), _left(rescore))
        .order_by(s.learner, s.started_at, s.id)
    )
    sessions: dict[str, list[SessionRecords]] = {}
    for row in connection.execute(statement):
        found = session_records(connection, rescore.tenant, row.id)
        assert found is not None
        sessions.setdefault(row.learner, []).append(found)
    left = []
    for learner, ended in sessions.items():
        records = learner_records(connection, rescore.tenant, learner)
        assert records is not None
        left.append(LearnerToRescore(records, tuple(ended)))
    return left


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Sessions reached, and what became of them; nothing is left over when the numbers agree.

    `moves` counts the sessions by old and new word, `excluded` by reason.
    """

    affected: int
    moves: dict[tuple[str, str], int]
    excluded: dict[str, int]

    @property
    def difference(self) -> int:
        """Sessions that nobody has accounted for."""
        return self.affected - sum(self.moves.values()) - sum(self.excluded.values())


def reconciliation(connection: Connection, rescore: Rescore) -> Reconciliation:
    """Count what a rescoring reached against what it wrote, each from its own table."""
    affected = connection.scalar(select(func.count()).select_from(tables.sessions).where(*_reached(rescore)))
    done = rescored_sessions
    old, new = tables.decisions.alias(), tables.decisions.alias()
    here = and_(done.c.tenant == rescore.tenant, done.c.rescore == rescore.id)
    moves = connection.execute(
        select(old.c.status, new.c.status, func.count())
        .select_from(done)
        .join(old, and_(old.c.tenant == done.c.tenant, old.c.id == done.c.old))
        .join(new, and_(new.c.tenant == done.c.tenant, new.c.id == done.c.new))
        .where(here)
        .group_by(old.c.status, new.c.status)
    )
    excluded = connection.execute(
        select(done.c.excluded, func.count())
        .where(here, done.c.excluded.is_not(None))
        .group_by(done.c.excluded)
    )
    return Reconciliation(
        affected=int(affected or 0),
        moves={(row[0], row[1]): int(row[2]) for row in moves},
        excluded={row[0]: int(row[1]) for row in excluded},
    )


def rescored(
    connection: Connection, tenant: str, rescore: str, *, after: str, limit: int
) -> list[RescoredSession]:
    """What a rescoring did with each session, by id."""
    c = rescored_sessions.c
    return _all(
        connection,
        RescoredSession,
        c.tenant == tenant,
        c.rescore == rescore,
        c.session > after,
        order=(c.session,),
        limit=limit,
    )


def changes_caused(connection: Connection, tenant: str, reason_id: str) -> list[ChangeRow]:
    """The entries of the feed that one cause wrote."""
    c = tables.changes.c
    return _all(connection, ChangeRow, c.tenant == tenant, c.reason_id == reason_id, order=(c.sequence,))


def decision_words(connection: Connection, tenant: str, ids: Collection[str]) -> dict[str, str]:
    """The word of each of some decisions."""
    c = tables.decisions.c
    found = connection.execute(select(c.id, c.status).where(c.tenant == tenant, c.id.in_(list(ids))))
    return {row.id: row.status for row in found}


def regraded(connection: Connection, tenant: str, course: str) -> dict[str, str]:
    """By session of a course, the record of its outcome in force, where that came from a rescoring."""
    d = tables.decisions.c
    found = select(d.session, d.record).where(
        d.tenant == tenant, d.course == course, d.cause == "rescore", d.superseded_at.is_(None)
    )
    return {row.session: row.record for row in connection.execute(found)}


def learners_decided(
    connection: Connection, tenant: str, *, sandbox: bool, after: str, limit: int
) -> list[str]:
    """Learners about whom there is a decision, in the order of their ids."""
    d, who = tables.decisions.c, tables.learners.c
    statement = (
        select(d.learner)
        .join(tables.learners, and_(who.tenant == d.tenant, who.id == d.learner))
        .where(d.tenant == tenant, who.sandbox == sandbox, d.learner > after)
        .distinct()
        .order_by(d.learner)
        .limit(limit)
    )
    return list(connection.scalars(statement))
