"""The hot routes without the framework's way to them: the same use cases, a fraction of the time.

A framework matches some sixty routes, solves dependencies and makes objects of
the request and the reply; for a stored answer, or for badges that are known,
that costs more than the thing itself. A request that is plainly one of these is
taken here, before the application: its headers are read from the scope, and its
reply is one list of headers and one text. Everything else, and whatever is
unusual about a request, goes the long way, to the function of the route
(`api.delivery.post_response`, `api.people.learner_badge` and `learner_badges`);
what both ways have in common stands in `api.wire` and `around.Frame`.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from assess.delivery import schemas
from assess.delivery.api import delivery, people, wire
from assess.delivery.around import Answer, Frame, Header
from assess.delivery.security import new_id
from assess.delivery.service import Services, keys, sessions, telling

_SESSIONS, _RESPONSES = "/v1/sessions/", "/responses"
_LEARNERS, _BADGES = "/v1/learners/", "badges"
_ASKED = "assess.asked"
_Given = dict[bytes, bytes]
_JSON: Header = (b"content-type", b"application/json")
_KEPT: tuple[Header, ...] = tuple((name.encode(), value.encode()) for name, value in wire.KEPT.items())


def _route(router: Any, endpoint: Any) -> str:
    """Method and pattern of a route, as its figures name it."""
    found = next(route for route in router.routes if getattr(route, "endpoint", None) is endpoint)
    return f"{min(found.methods)} {found.path}"


class Application(FastAPI):
    """The application, with the shortcut in front of it once `shorten` was called."""

    _shortcut: Shortcut | None = None

    def shorten(self, frame: Frame, on_fault: Answer, *, minimum_size: int) -> None:
        """Answer the hot route in front of everything else."""
        self._shortcut = Shortcut(self, frame, on_fault, minimum_size=minimum_size)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        shortcut = self._shortcut
        way = None if shortcut is None else shortcut.way(scope)
        if way is None:
            await super().__call__(scope, receive, send)
        else:
            await way(scope, receive, send)


class _Reply(NamedTuple):
    """What one of the hot routes says, without the headers that every reply has."""

    body: bytes
    status: int = 200
    headers: tuple[Header, ...] = (_JSON,)


class Shortcut:
    """Answers an answer to an item, and who may have which badge, where nothing is unusual about it."""

    def __init__(self, app: FastAPI, frame: Frame, on_fault: Answer, *, minimum_size: int) -> None:
        self._app = app
        self._frame = frame
        self._on_fault = on_fault
        self._compressed = GZipMiddleware(self._respond, minimum_size=minimum_size)

    def way(self, scope: Scope) -> Any:
        """What answers the request; None for the long way."""
        if scope["type"] != "http" or scope["query_string"]:
            return None
        method, path = scope["method"], scope["path"]
        asked: Any = None
        if method == "POST":
            asked = _session(path)
        elif method == "GET":
            asked = _about(path)
        if asked is None:
            return None
        # Of a header that comes twice, the first counts, as everywhere.
        given = dict(reversed(scope["headers"]))
        length = given.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self._frame.limit:
            # A body that will be refused is refused where all others are.
            return None
        scope[_ASKED] = asked, given
        return self._compressed if b"gzip" in given.get(b"accept-encoding", b"") else self._respond

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        frame, began, started = self._frame, time.perf_counter(), False
        request_id, status, entered = new_id("req"), 0, 0
        asked, given = scope[_ASKED]
        route = _STORED if scope["method"] == "POST" else _ONE_BADGE if asked[1] else _ALL_BADGES
        arrived: float | None = None
        try:
            try:
                sent = await frame.whole(receive) if route is _STORED else b""
                # Whatever this request waits for from here on is the server's time, not the learner's.
                arrived, began = frame.monotonic(), time.perf_counter()
                frame.inside += 1
                entered = 1
                frame.require_room(scope["path"])
                if route is _STORED:
                    status, body = 200, await self._stored(scope, sent, asked, given, arrived)
                    dressed = frame.dressed_json(request_id, body)
                else:
                    reply = await self._told(scope, given, *asked)
                    status, body, headers = reply.status, reply.body, [*reply.headers]
                    if status != 304:
                        headers.append((b"content-length", b"%d" % len(body)))
                    dressed = frame.dressed(scope, request_id, headers)
            except ClientDisconnect:
                # Nobody is there to be told.
                return
            except Exception as fault:  # noqa: BLE001 - whatever it was, the client must hear of it
                scope["app"] = self._app
                scope.setdefault("state", {}).update(request_id=request_id, arrived=arrived)
                response = await self._on_fault(Request(scope), fault)
                status, body = response.status_code, bytes(response.body)
                dressed = frame.dressed(scope, request_id, response.raw_headers)
            started = True
            await send({"type": "http.response.start", "status": status, "headers": dressed})
            await send({"type": "http.response.body", "body": body})
        finally:
            frame.inside -= entered
            frame.note(route, request_id, status if started else 0, time.perf_counter() - began)

    async def _told(self, scope: Scope, given: _Given, learner: str, badge: str | None) -> _Reply:
        """Who has the right to a badge, or to which badges; or that this is what the client has."""
        services: Services = self._app.state.services
        token = _token(scope, given)
        who = await keys.authenticate(services, token)
        answer = await telling.told(services, who, learner, badge)
        tag = answer.tagged()
        headers = ((b"etag", tag.encode()), *_KEPT)
        if wire.is_known(tag, given.get(b"if-none-match", b"").decode("latin-1")):
            return _Reply(b"", 304, headers)
        return _Reply(answer.text(), headers=(_JSON, *headers))

    async def _stored(self, scope: Scope, sent: bytes, session: str, given: _Given, arrived: float) -> bytes:
        """The reply to an answer that is on the disk."""
        services: Services = self._app.state.services
        token = _token(scope, given)
        who = keys.at_once(services, token) or await keys.authenticate(services, token)
        declared = given.get(b"content-type", b"").decode("latin-1")
        body = wire.decoded(declared, sent, schemas.PostResponse)
        key = given.get(b"idempotency-key")
        stored = await sessions.respond(
            services,
            who,
            session,
            position=body.position,
            item=body.item,
            revision=body.revision,
            answer=body.answer,
            fence=body.fence,
            key=None if key is None else wire.key_of(key.decode("latin-1"), "POST", scope["path"], body),
            arrived=arrived,
        )
        return schemas.encode(stored)


def _token(scope: Scope, given: _Given) -> str | None:
    """Who asks: by the header, else by the cookie."""
    authorization = given.get(b"authorization", b"").decode("latin-1")
    return wire.bearer(authorization) or Request(scope).cookies.get(wire.COOKIE)


def _session(path: str) -> str | None:
    """The session that an answer is for, by the path; None if it is anything else."""
    if not (path.startswith(_SESSIONS) and path.endswith(_RESPONSES)):
        return None
    session = path[len(_SESSIONS) : -len(_RESPONSES)]
    return session if session and "/" not in session and "\0" not in session else None


def _about(path: str) -> tuple[str, str | None] | None:
    """The learner and the badge that are asked for, None for all badges; None if it is anything else."""
    if not path.startswith(_LEARNERS) or "\0" in path:
        return None
    learner, *rest = path[len(_LEARNERS) :].split("/")
    if not learner or not 1 <= len(rest) <= 2 or rest[0] != _BADGES or not rest[-1]:
        return None
    return learner, rest[1] if len(rest) == 2 else None


_STORED = _route(delivery.router, delivery.post_response)
_ONE_BADGE = _route(people.router, people.learner_badge)
_ALL_BADGES = _route(people.router, people.learner_badges)
