"""All that a begin rests on, in one statement."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from assess.delivery.store import sitting
from assess.delivery.store.gathering import Part, gathered
from assess.delivery.store.reading import LEARNER, LearnerRecords, records_found
from assess.delivery.store.reading_people import assignments_for
from assess.delivery.store.rows import Idempotency
from assess.delivery.store.rows_people import Assignment
from assess.delivery.store.rows_sitting import AccommodationRow


@dataclass(frozen=True, slots=True)
class Beginning:
    """What was there before: an earlier request with the same key, and all about the person."""

    earlier: Idempotency | None
    records: LearnerRecords | None
    assignments: list[Assignment]
    accommodations: list[AccommodationRow]


_ASSIGNED = """tenant = :tenant AND (kind = 'learner' AND target = :learner OR kind = 'cohort' AND target IN
 (SELECT cohort FROM cohort_members WHERE tenant = :tenant AND learner = :learner))"""
_PARTS = (
    Part(Idempotency, "tenant = :tenant AND actor = :actor AND route = :route AND key = :key"),
    Part(Assignment, _ASSIGNED, ("course", "target")),
    Part(AccommodationRow, "tenant = :tenant AND learner = :learner", ("seq",)),
    *LEARNER,
)


def beginning(
    connection: Connection, tenant: str, learner: str, *, actor: str, route: str, key: str
) -> Beginning:
    """What the begin of a session rests on; one statement, where no record of the learner was ever merged."""
    values = {"tenant": tenant, "learner": learner, "actor": actor, "route": route, "key": key}
    earlier, assigned, given, *theirs = gathered(connection, _PARTS, values)
    records = records_found(connection, tenant, learner, theirs, None)
    assignments, accommodations = list(assigned), list(given)
    if records is not None and records.ids != (learner,):
        assignments = assignments_for(connection, tenant, learner)
        accommodations = sitting.accommodations(connection, tenant, learner)
    return Beginning(earlier[0] if earlier else None, records, assignments, accommodations)
