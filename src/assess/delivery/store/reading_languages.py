"""In which languages a course was taken: groups in which items are compared."""

from __future__ import annotations

from sqlalchemy import Connection, select

from assess.delivery.store import tables


def session_languages(connection: Connection, tenant: str, course: str) -> dict[str, str]:
    """The language in which each ended session of a course was taken."""
    s = tables.sessions
    statement = select(s.c.id, s.c.start_record).where(
        s.c.tenant == tenant, s.c.course == course, s.c.state == "ended"
    )
    return {row.id: row.start_record["language"] for row in connection.execute(statement)}
