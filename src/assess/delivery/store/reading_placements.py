"""What a placement reads: itself, and the last one of a person."""

from __future__ import annotations

from sqlalchemy import Connection

from assess.delivery.store.persons import person
from assess.delivery.store.reading import _all, _one
from assess.delivery.store.rows_placements import PlacementRow
from assess.delivery.store.tables_placements import placements


def placement(connection: Connection, tenant: str, id: str) -> PlacementRow | None:
    """One placement."""
    c = placements.c
    return _one(connection, PlacementRow, c.tenant == tenant, c.id == id)


def last_placement(connection: Connection, tenant: str, learner: str, programme: str) -> PlacementRow | None:
    """The placement in a programme that a person began last, under any id."""
    c = placements.c
    ids = person(connection, tenant, learner).ids
    mine = (c.tenant == tenant, c.learner.in_(ids), c.programme == programme)
    found = _all(connection, PlacementRow, *mine, order=(c.started_at.desc(), c.id), limit=1)
    return found[0] if found else None
