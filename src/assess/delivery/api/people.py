"""Learners, their pass status and eligibility, decision records, and facts about them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query, Request, Response

from assess.delivery import schemas
from assess.delivery.api.wire import (
    AsKnownAt,
    AsOf,
    Who,
    documents,
    json_router,
    read,
    reply,
    services,
    tagged,
)
from assess.delivery.service import (
    decisions,
    eligibility,
    erasing,
    fact_import,
    facts,
    learners,
    merging,
    sandbox,
    status,
)

router = json_router()
LearnerId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@~-]{0,127}$")]


@router.put("/v1/learners/{learner}", **documents(schemas.LearnerReply, body=schemas.PutLearner, also=(201,)))
async def put_learner(request: Request, scope: Who, learner: LearnerId) -> Response:
    """Make a learner known, or say anew who the learner is elsewhere."""
    body = await read(request, schemas.PutLearner)
    found, is_new = await learners.upsert(
        services(request),
        scope,
        id=learner,
        external_ids=body.external_ids,
        locale=body.locale,
        kind=body.kind,
        private=body.private,
        region=body.region,
    )
    return reply(found, 201 if is_new else 200)


@router.get("/v1/learners", **documents(schemas.Page[schemas.LearnerReply]))
async def find_learner(
    request: Request, scope: Who, issuer: Annotated[str, Query()], subject: Annotated[str, Query()]
) -> Response:
    """The learner whom an issuer calls by a subject: a list of one or none."""
    return reply(await learners.find(services(request), scope, issuer=issuer, subject=subject))


@router.get("/v1/learners/{learner}", **documents(schemas.LearnerReply))
async def get_learner(request: Request, scope: Who, learner: str) -> Response:
    """A learner; an id that was merged is answered for by the one that stands."""
    scope.require("deliver", "read-status", "manage")
    return reply(await learners.get(services(request), scope, learner))


@router.post("/v1/learners/{learner}/merge", **documents(schemas.MergeReply, body=schemas.MergeLearner))
async def merge_learner(request: Request, scope: Who, learner: str) -> Response:
    """Say that a record is the same person's as another one, which answers for it from here on."""
    body = await read(request, schemas.MergeLearner)
    found = await merging.merge(services(request), scope, learner=learner, into=body.into, reason=body.reason)
    return reply(found)


@router.post("/v1/learners/{learner}/unmerge", **documents(schemas.MergeReply, body=schemas.UnmergeLearner))
async def unmerge_learner(request: Request, scope: Who, learner: str) -> Response:
    """Take a merge back: each record has again what it had, and what came since to each."""
    body = await read(request, schemas.UnmergeLearner)
    return reply(await merging.unmerge(services(request), scope, learner=learner, reason=body.reason))


@router.get("/v1/learners/{learner}/courses/{course}/status", **documents(schemas.CourseStatus, also=(304,)))
async def course_status(
    request: Request,
    scope: Who,
    learner: str,
    course: str,
    as_of: AsOf = None,
    as_known_at: AsKnownAt = None,
) -> Response:
    """Whether a learner passed a course, and all that the decision rests on."""
    body, moment = await status.course_status(
        services(request), scope, learner=learner, course=course, as_of=as_of, as_known_at=as_known_at
    )
    return tagged(request, body, moment)


@router.get("/v1/learners/{learner}/badges", **documents(schemas.Page[schemas.BadgeEligibility], also=(304,)))
async def learner_badges(
    request: Request, scope: Who, learner: str, as_of: AsOf = None, as_known_at: AsKnownAt = None
) -> Response:
    """The eligibility of a learner for every badge."""
    body, moment = await eligibility.badges(
        services(request), scope, learner=learner, as_of=as_of, as_known_at=as_known_at
    )
    return tagged(request, body, moment)


@router.get("/v1/learners/{learner}/badges/{badge}", **documents(schemas.BadgeEligibility, also=(304,)))
async def learner_badge(
    request: Request,
    scope: Who,
    learner: str,
    badge: str,
    as_of: AsOf = None,
    as_known_at: AsKnownAt = None,
    statement: bool = False,
) -> Response:
    """Whether a learner is eligible for a badge, with reasons and what is missing; signed if asked."""
    body, moment = await eligibility.badge(
        services(request),
        scope,
        learner=learner,
        badge=badge,
        as_of=as_of,
        as_known_at=as_known_at,
        statement=statement,
    )
    # A statement names the second in which it was made: there is nothing to compare it with.
    return reply(body) if statement else tagged(request, body, moment)


@router.get("/v1/decisions/{decision}", **documents(dict[str, Any]))
async def decision_record(request: Request, scope: Who, decision: str) -> Response:
    """The record of a decision with its hash and its place in the chain."""
    return reply(await decisions.record(services(request), scope, decision))


@router.post("/v1/learners/{learner}/erase", **documents(schemas.ErasureReply, body=schemas.EraseLearner))
async def erase_learner(request: Request, scope: Who, learner: str) -> Response:
    """Remove who a person is and what they wrote; what was measured stays under the random id."""
    body = await read(request, schemas.EraseLearner)
    return reply(
        await erasing.erase(
            services(request),
            scope,
            learner=learner,
            reason=body.reason,
            approved_by=body.approved_by,
            dry_run=body.dry_run,
        )
    )


@router.get("/v1/erasures", **documents(schemas.Page[schemas.ErasureReply]))
async def get_erasures(request: Request, scope: Who) -> Response:
    """Who was erased, oldest first."""
    return reply(await erasing.all_of(services(request), scope))


@router.post("/v1/facts", **documents(schemas.FactReply, body=dict[str, Any], status=201, also=(200,)))
async def post_fact(request: Request, scope: Who) -> Response:
    """Attest a fact; the same again is answered as before."""
    body = await read(request, dict[str, Any])
    fact, is_new = await facts.attest(services(request), scope, body)
    return reply(fact, 201 if is_new else 200)


@router.post("/v1/facts/import", **documents(schemas.FactsReply, body=schemas.ImportFacts))
async def import_facts(request: Request, scope: Who) -> Response:
    """A part of a file of facts: all of it, or with a fault none."""
    body = await read(request, schemas.ImportFacts)
    return reply(await fact_import.take(services(request), scope, body))


@router.post("/v1/facts/{fact}/void", **documents(schemas.FactReply, body=schemas.VoidFact))
async def void_fact(request: Request, scope: Who, fact: str) -> Response:
    """Say from which day a fact no longer counts, and why."""
    body = await read(request, schemas.VoidFact)
    return reply(await facts.void(services(request), scope, fact, at=body.at, reason=body.reason))


@router.put(
    "/v1/sandbox/learners/{learner}/courses/{course}",
    **documents(schemas.CourseStatus, body=schemas.ForceState),
)
async def force_state(request: Request, scope: Who, learner: LearnerId, course: str) -> Response:
    """Test keys only: force the state of a course, events included."""
    body = await read(request, schemas.ForceState)
    return reply(
        await sandbox.force(services(request), scope, learner=learner, course=course, state=body.state)
    )
