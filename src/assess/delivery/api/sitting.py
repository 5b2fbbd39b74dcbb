"""Incidents, accommodations, invigilators' codes: what happens around a sitting."""

from __future__ import annotations

from fastapi import Request, Response

from assess.delivery import schemas
from assess.delivery.api.wire import Who, documents, idempotency_key, json_router, read, reply, services
from assess.delivery.service import accommodations, incidents, invigilation

router = json_router()


@router.post(
    "/v1/incidents", **documents(schemas.Incident, body=schemas.DeclareIncident, status=201, also=(200, 409))
)
async def post_incident(request: Request, scope: Who) -> Response:
    """Declare an incident and carry it out; with `dry_run`, say what it would do and store nothing."""
    body = await read(request, schemas.DeclareIncident)
    found = await incidents.declare(services(request), scope, body, key=idempotency_key(request, body))
    return reply(found, 200 if found.dry_run else 201)


@router.get("/v1/incidents", **documents(schemas.Page[schemas.Incident]))
async def list_incidents(request: Request, scope: Who) -> Response:
    """All incidents, newest first, without their sessions."""
    return reply(await incidents.listing(services(request), scope))


@router.get("/v1/incidents/{incident}", **documents(schemas.Incident))
async def get_incident(request: Request, scope: Who, incident: str) -> Response:
    """An incident, and what it did to each session."""
    return reply(await incidents.get(services(request), scope, incident))


@router.put(
    "/v1/learners/{learner}/accommodations",
    **documents(schemas.LearnerAccommodations, body=schemas.GiveAccommodation, also=(409,)),
)
async def put_accommodations(request: Request, scope: Who, learner: str) -> Response:
    """What the learner's next sessions are given; it follows whatever was granted before."""
    body = await read(request, schemas.GiveAccommodation)
    return reply(await accommodations.grant(services(request), scope, learner=learner, given=body))


@router.get("/v1/learners/{learner}/accommodations", **documents(schemas.LearnerAccommodations))
async def get_accommodations(request: Request, scope: Who, learner: str) -> Response:
    """What is in force, and everything that was asked for and granted."""
    return reply(await accommodations.of_learner(services(request), scope, learner))


@router.post(
    "/v1/sessions/{session}/accommodations",
    **documents(schemas.Accommodations, body=schemas.GiveAccommodation, also=(409,)),
)
async def post_session_accommodations(request: Request, scope: Who, session: str) -> Response:
    """Grant an accommodation to a session that is going on."""
    body = await read(request, schemas.GiveAccommodation)
    return reply(await accommodations.grant_in_session(services(request), scope, session, body))


@router.post(
    "/v1/invigilator-codes",
    **documents(schemas.NewInvigilatorCode, body=schemas.MakeInvigilatorCode, status=201, also=(409,)),
)
async def post_invigilator_code(request: Request, scope: Who) -> Response:
    """A code for a course and a window of time; it is told this once."""
    body = await read(request, schemas.MakeInvigilatorCode)
    made = await invigilation.create(
        services(request), scope, course=body.course, cohort=body.cohort, from_at=body.from_, to_at=body.to
    )
    return reply(made, 201)


@router.get("/v1/invigilator-codes", **documents(schemas.Page[schemas.InvigilatorCode]))
async def list_invigilator_codes(request: Request, scope: Who) -> Response:
    """The codes that were made, without the codes themselves."""
    return reply(await invigilation.listing(services(request), scope))


@router.post("/v1/invigilator-codes/{code}/revoke", **documents(schemas.InvigilatorCode, also=(409,)))
async def revoke_invigilator_code(request: Request, scope: Who, code: str) -> Response:
    """End a code by its id."""
    return reply(await invigilation.revoke(services(request), scope, code))
