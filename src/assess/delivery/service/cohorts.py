"""Cohorts: learners who take courses together, and what is assigned to them or to one learner."""

from __future__ import annotations

import re

from assess.delivery import schemas
from assess.delivery.service import learners, windows
from assess.delivery.service.catalogue import Shelf
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.loading import again
from assess.delivery.store import Writes, reading_people
from assess.delivery.store.rows import Delete, Update
from assess.delivery.store.rows_people import Assignment, Cohort, CohortMember
from assess.errors import Forbidden, InvalidRequest, NotFound

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@~-]{0,127}")


async def require(services: Services, scope: Scope, id: str) -> Cohort:
    """A cohort of the scope's tenant; NotFound also for one of the other of live data and sandbox."""
    found = await services.store.read(reading_people.cohort, scope.tenant, id)
    if found is None or found.sandbox != scope.sandbox:
        raise NotFound("cohort", id)
    return found


async def put(
    services: Services,
    scope: Scope,
    *,
    id: str,
    title: str,
    courses: list[schemas.AssignCourse] | None,
) -> tuple[schemas.CohortReply, bool]:
    """`PUT /v1/cohorts/{id}`: the cohort, and whether it is new.

    Parameters
    ----------
    courses : list, optional
        They replace those assigned so far; without the list these stay.

    Raises
    ------
    Forbidden
        The id belongs to the other of live data and sandbox.
    NotFound, InvalidRequest
        A course that is not known, or a window that cannot be.
    """
    scope.require("manage")

    async def once() -> bool:
        shelf = await services.catalogue.shelf(scope.tenant)
        known = await services.store.read(reading_people.cohort, scope.tenant, id)
        if known is not None and known.sandbox != scope.sandbox:
            raise Forbidden(f"cohort {id!r} is not reached by this key", code="sandbox_only")
        given = None if courses is None else _checked(shelf, scope.tenant, "cohort", id, courses)
        row = Cohort(scope.tenant, id, title, scope.sandbox, services.clock())
        updates = () if known is None else (Update(Cohort, _key(scope.tenant, id), {"title": title}),)
        inserts = () if known is not None else (row,)
        deletes = () if given is None else (_all_of(scope.tenant, "cohort", id),)
        await services.store.commit(Writes(scope.tenant, updates, deletes, (*inserts, *(given or ()))))
        return known is None

    is_new = await again(once)
    return await get(services, scope, id), is_new


async def get(services: Services, scope: Scope, id: str) -> schemas.CohortReply:
    """`GET /v1/cohorts/{id}`."""
    scope.require("manage")
    found = await require(services, scope, id)
    rows = await services.store.read(reading_people.assignments_of, scope.tenant, "cohort", id)
    return schemas.CohortReply(
        id=found.id,
        title=found.title,
        courses=[_assigned(row) for row in rows],
        n_learners=await services.store.read(reading_people.n_members, scope.tenant, id),
        sandbox=found.sandbox,
        created_at=found.created_at,
    )


async def listing(
    services: Services, scope: Scope, *, after: str = "", limit: int = 100
) -> schemas.Page[schemas.CohortReply]:
    """`GET /v1/cohorts`: by id."""
    scope.require("manage")
    rows = await services.store.read(
        reading_people.cohorts, scope.tenant, sandbox=scope.sandbox, after=after, limit=limit + 1
    )
    items = [await get(services, scope, row.id) for row in rows[:limit]]
    return schemas.Page(items=items, next=items[-1].id if len(rows) > limit else None)


async def members(
    services: Services, scope: Scope, id: str, *, after: str = "", limit: int = 1000
) -> schemas.Page[schemas.CohortLearner]:
    """`GET /v1/cohorts/{id}/learners`: by id."""
    scope.require("manage")
    await require(services, scope, id)
    rows = await services.store.read(
        reading_people.cohort_members, scope.tenant, id, after=after, limit=limit + 1
    )
    items = [schemas.CohortLearner(id=row) for row in rows[:limit]]
    return schemas.Page(items=items, next=items[-1].id if len(rows) > limit else None)


async def join(services: Services, scope: Scope, id: str, learner: str) -> schemas.CohortLearner:
    """`PUT /v1/cohorts/{id}/learners/{learner}`; a second time changes nothing."""
    scope.require("manage")
    await require(services, scope, id)
    await learners.get(services, scope, learner)
    row = CohortMember(scope.tenant, id, learner, services.clock())
    await services.store.commit(Writes(scope.tenant, keep=(row,)))
    return schemas.CohortLearner(id=learner)


async def leave(services: Services, scope: Scope, id: str, learner: str) -> schemas.CohortLearner:
    """`DELETE /v1/cohorts/{id}/learners/{learner}`: sessions and decisions stay; only the membership goes."""
    scope.require("manage")
    await require(services, scope, id)
    await learners.get(services, scope, learner)
    gone = Delete(CohortMember, {"tenant": scope.tenant, "cohort": id, "learner": learner})
    await services.store.commit(Writes(scope.tenant, deletes=(gone,)))
    return schemas.CohortLearner(id=learner)


# --- one learner -----------------------------------------------------------------


async def assign(
    services: Services, scope: Scope, learner: str, courses: list[schemas.AssignCourse]
) -> schemas.Page[schemas.AssignedCourse]:
    """`PUT /v1/learners/{id}/courses`: what is assigned to this learner alone."""
    scope.require("manage")
    await learners.get(services, scope, learner)
    shelf = await services.catalogue.shelf(scope.tenant)
    rows = _checked(shelf, scope.tenant, "learner", learner, courses)
    gone = _all_of(scope.tenant, "learner", learner)
    await again(lambda: services.store.commit(Writes(scope.tenant, deletes=(gone,), inserts=rows)))
    return await assigned(services, scope, learner)


async def assigned(services: Services, scope: Scope, learner: str) -> schemas.Page[schemas.AssignedCourse]:
    """`GET /v1/learners/{id}/courses`: what is assigned to the learner, alone and by cohorts."""
    if scope.learner != learner or scope.session is not None:
        scope.require("deliver", "read-status", "manage")
    await learners.get(services, scope, learner)
    rows = await services.store.read(reading_people.assignments_for, scope.tenant, learner)
    return schemas.Page(items=[_assigned(row) for row in rows], next=None)


async def window(services: Services, scope: Scope, learner: str, course: str) -> Assignment | None:
    """The window of a course that speaks for a learner now; None for a course that is not assigned."""
    rows = await services.store.read(reading_people.assignments_for, scope.tenant, learner)
    return windows.speaking([row for row in rows if row.course == course], services.clock())


def _checked(
    shelf: Shelf, tenant: str, kind: str, target: str, courses: list[schemas.AssignCourse]
) -> tuple[Assignment, ...]:
    rows: dict[str, Assignment] = {}
    for index, entry in enumerate(courses):
        path = f"courses[{index}]"
        if entry.course in rows:
            raise InvalidRequest(f"{entry.course} is listed twice", path=path)
        try:
            rows[entry.course] = windows.assignment(
                shelf,
                tenant,
                kind=kind,
                target=target,
                course=entry.course,
                opens=entry.from_,
                closes=entry.to,
                zone=entry.time_zone,
            )
        except NotFound as fault:
            raise InvalidRequest(str(fault), path=f"{path}.course") from None
        except InvalidRequest as fault:
            raise InvalidRequest(str(fault), path=f"{path}.{fault.path}", code=fault.code) from None
    return tuple(rows.values())


def _key(tenant: str, id: str) -> dict[str, str]:
    return {"tenant": tenant, "id": id}


def _all_of(tenant: str, kind: str, target: str) -> Delete:
    return Delete(Assignment, {"tenant": tenant, "kind": kind, "target": target})


def _assigned(row: Assignment) -> schemas.AssignedCourse:
    return schemas.AssignedCourse(
        course=row.course,
        opens_at=row.opens_at,
        closes_at=row.closes_at,
        time_zone=row.zone,
        cohort=row.target if row.kind == "cohort" else None,
    )
