"""Cohorts, assigned courses, rosters, and codes to sign in with."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query, Request, Response

from assess.delivery import schemas
from assess.delivery.api.wire import Limit, Who, documents, json_router, read, reply, services
from assess.delivery.service import cohorts, rosters, signing_in

router = json_router()
CohortId = Annotated[str, Path(pattern=f"^{cohorts.ID.pattern}$")]
After = Annotated[str, Query()]


@router.put("/v1/cohorts/{cohort}", **documents(schemas.CohortReply, body=schemas.PutCohort, also=(201,)))
async def put_cohort(request: Request, scope: Who, cohort: CohortId) -> Response:
    """Make a cohort, or change its title and its courses."""
    body = await read(request, schemas.PutCohort)
    found, is_new = await cohorts.put(
        services(request), scope, id=cohort, title=body.title, courses=body.courses
    )
    return reply(found, 201 if is_new else 200)


@router.get("/v1/cohorts", **documents(schemas.Page[schemas.CohortReply]))
async def list_cohorts(request: Request, scope: Who, after: After = "", limit: Limit = 100) -> Response:
    """All cohorts."""
    return reply(await cohorts.listing(services(request), scope, after=after, limit=limit))


@router.get("/v1/cohorts/{cohort}", **documents(schemas.CohortReply))
async def get_cohort(request: Request, scope: Who, cohort: str) -> Response:
    """A cohort with its courses."""
    return reply(await cohorts.get(services(request), scope, cohort))


@router.get("/v1/cohorts/{cohort}/learners", **documents(schemas.Page[schemas.CohortLearner]))
async def cohort_learners(
    request: Request, scope: Who, cohort: str, after: After = "", limit: Limit = 1000
) -> Response:
    """The learners of a cohort."""
    return reply(await cohorts.members(services(request), scope, cohort, after=after, limit=limit))


@router.put("/v1/cohorts/{cohort}/learners/{learner}", **documents(schemas.CohortLearner))
async def join_cohort(request: Request, scope: Who, cohort: str, learner: str) -> Response:
    """Put a learner into a cohort."""
    return reply(await cohorts.join(services(request), scope, cohort, learner))


@router.delete("/v1/cohorts/{cohort}/learners/{learner}", **documents(schemas.CohortLearner))
async def leave_cohort(request: Request, scope: Who, cohort: str, learner: str) -> Response:
    """Take a learner out of a cohort."""
    return reply(await cohorts.leave(services(request), scope, cohort, learner))


@router.post(
    "/v1/cohorts/{cohort}/codes",
    **documents(schemas.Page[schemas.CodeReply], body=schemas.MakeCodes, status=201),
)
async def make_codes(request: Request, scope: Who, cohort: str) -> Response:
    """Fresh one-time codes for the learners of a cohort; said once."""
    body = await read(request, schemas.MakeCodes)
    return reply(await signing_in.make_codes(services(request), scope, cohort, body), 201)


@router.post("/v1/roster", **documents(schemas.RosterReply, body=schemas.ImportRoster))
async def import_roster(request: Request, scope: Who) -> Response:
    """A part of a roster: all of it, or with a fault none."""
    body = await read(request, schemas.ImportRoster)
    return reply(await rosters.take(services(request), scope, body))


@router.put(
    "/v1/learners/{learner}/courses",
    **documents(schemas.Page[schemas.AssignedCourse], body=schemas.AssignCourses),
)
async def assign_courses(request: Request, scope: Who, learner: str) -> Response:
    """Assign courses to a learner alone; they replace those assigned so before."""
    body = await read(request, schemas.AssignCourses)
    return reply(await cohorts.assign(services(request), scope, learner, body.courses))


@router.get("/v1/learners/{learner}/courses", **documents(schemas.Page[schemas.AssignedCourse]))
async def assigned_courses(request: Request, scope: Who, learner: str) -> Response:
    """The courses assigned to a learner, alone and by cohorts, with their windows."""
    return reply(await cohorts.assigned(services(request), scope, learner))
