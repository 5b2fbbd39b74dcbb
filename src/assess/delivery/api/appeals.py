"""What learners say to people: appeals, their packets, and notes of what went wrong."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Query, Request, Response

from assess.delivery import packets, schemas
from assess.delivery.api.wire import InvalidCursor, Limit, Who, documents, json_router, read, reply, services
from assess.delivery.service import appealing, problem_notes

router = json_router()
State = Annotated[
    Literal["open", "upheld", "rejected", "withdrawn"] | None, Query(description="of one state")
]


@router.post(
    "/v1/learners/{learner}/appeals",
    **documents(schemas.OwnAppeal, body=schemas.FileAppeal, status=201, also=(200, 410, 429)),
)
async def post_appeal(request: Request, scope: Who, learner: str) -> Response:
    """File an appeal against a decision, a session's result, or a badge that is not turned on."""
    body = await read(request, schemas.FileAppeal)
    found, is_new = await appealing.file(services(request), scope, learner=learner, body=body)
    return reply(found, 201 if is_new else 200)


@router.get("/v1/learners/{learner}/appeals", **documents(schemas.Page[schemas.OwnAppeal]))
async def own_appeals(request: Request, scope: Who, learner: str) -> Response:
    """A learner's appeals, with what came of them."""
    return reply(await appealing.of_learner(services(request), scope, learner))


@router.get("/v1/appeals", **documents(schemas.Page[schemas.Appeal]))
async def get_appeals(
    request: Request,
    scope: Who,
    state: State = None,
    overdue: bool = False,
    after: str | None = None,
    limit: Limit = 100,
) -> Response:
    """Appeals by the day on which an answer is due; with `overdue`, those whose day has passed."""
    return reply(
        await appealing.listing(
            services(request), scope, state=state, overdue=overdue, after=after, limit=limit
        )
    )


@router.get("/v1/appeals/{appeal}", **documents(schemas.Appeal))
async def get_appeal(request: Request, scope: Who, appeal: str) -> Response:
    """An appeal, and everything that was done about it."""
    return reply(await appealing.get(services(request), scope, appeal))


@router.post("/v1/appeals/{appeal}/looks", **documents(schemas.Appeal, body=schemas.LookAtAppeal, status=201))
async def post_look(request: Request, scope: Who, appeal: str) -> Response:
    """Enter who looked, what was found, and what shows it."""
    body = await read(request, schemas.LookAtAppeal)
    return reply(await appealing.look(services(request), scope, appeal, body), 201)


@router.post("/v1/appeals/{appeal}/decide", **documents(schemas.Appeal, body=schemas.DecideAppeal))
async def post_decision(request: Request, scope: Who, appeal: str) -> Response:
    """Answer an appeal; upheld, a new decision cites the old one."""
    body = await read(request, schemas.DecideAppeal)
    return reply(await appealing.decide(services(request), scope, appeal, body))


_PACKET = documents(schemas.Appeal, also=(409,))
_PACKET["responses"][200] = {"description": "as asked", "content": {"application/zip": {}}}


@router.get("/v1/appeals/{appeal}/packet", **_PACKET)
async def get_packet(request: Request, scope: Who, appeal: str) -> Response:
    """All that the decision rests on, as one file that can be checked without this server."""
    data = await packets.build(services(request), scope, appeal)
    headers = {
        "Content-Disposition": f'attachment; filename="{appeal}.zip"',
        "Cache-Control": "no-store",
    }
    return Response(data, media_type="application/zip", headers=headers)


@router.get("/v1/problem-notes", **documents(schemas.Page[schemas.ProblemNote]))
async def get_notes(request: Request, scope: Who, after: str | None = None, limit: Limit = 100) -> Response:
    """What learners wrote when something went wrong, oldest first."""
    found, following = await problem_notes.listing(services(request), scope, after=_place(after), limit=limit)
    cursor = None if following is None else f"{following[0].isoformat()}~{following[1]}~{following[2]}"
    return reply(schemas.Page(items=found, next=cursor))


def _place(cursor: str | None) -> tuple[datetime, str, int] | None:
    if cursor is None:
        return None
    # In a query string, the plus sign of an offset arrives as a space.
    at, _, rest = cursor.replace(" ", "+").partition("~")
    session, _, seq = rest.partition("~")
    try:
        moment, number = datetime.fromisoformat(at), int(seq)
    except ValueError:
        moment, number = None, -1
    if moment is None or moment.tzinfo is None or not session or not 0 <= number < 2**31:
        raise InvalidCursor(f"{cursor!r} is no cursor; take `next` of the list before")
    return moment, session, number
