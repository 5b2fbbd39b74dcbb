"""Schools after their members: what changes for one person may change something for the school.

The school is judged by a job that is written in the commit of the change: a
school may have hundreds of members, and nobody who answers an item waits for
them.
"""

from __future__ import annotations

from assess.delivery.security import new_id
from assess.delivery.service.catalogue import Shelf
from assess.delivery.service.context import Services
from assess.delivery.service.judging import personal_badges
from assess.delivery.store import reading_bulk
from assess.delivery.store.reading import LearnerRecords
from assess.delivery.store.rows import Job

JOB = "reassess-subject"


async def follow_ups(
    services: Services, shelf: Shelf, records: LearnerRecords, *, cause: str, reason_id: str | None
) -> tuple[Job, ...]:
    """Jobs for the schools that a change of one person may concern; to be written in the same commit."""
    if records.learner.kind == "school" or not personal_badges(shelf, "school"):
        return ()
    tenant = records.learner.tenant
    schools = await services.store.read(reading_bulk.schools_of, tenant, records.ids)
    return tuple(
        Job(
            new_id("job"),
            JOB,
            {"tenant": tenant, "subject": school, "cause": cause, "reason_id": reason_id},
            services.clock(),
        )
        for school in schools
    )
