"""Around every request: an id, limits, headers that every reply has, figures and a line in the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assess.delivery.api import wire
from assess.delivery.metrics import Metrics
from assess.delivery.security import new_id
from assess.delivery.settings import Settings
from assess.errors import Overloaded

log = logging.getLogger("assess.request")
Answer = Callable[[Request, Exception], Awaitable[Response]]
Header = tuple[bytes, bytes]

# A page may load what this server serves, and nothing else; nothing runs inline.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_OF_A_PAGE = (
    (b"content-security-policy", _POLICY.encode()),
    # The address of a session page may carry a token.
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)
# JSON is never shown as a page: it loads nothing and nobody frames it.
_OF_DATA = ((b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),)
_DATA = (b"application/json", b"application/problem+json")
_NO_STORE = (b"cache-control", b"no-store")
_SLOW_SECONDS = 1.0
# A monitor must see a server that is overloaded, who waits must keep the place, and a page of those who have
# begun may need its file.
_ALWAYS = ("/healthz", "/readyz", "/metrics", "/waiting")
_FILES = "/static/"
_STARTED = ("/s/", "/v1/sessions/")
# Bytes of bodies of which the rest is still to come: what slow clients together may take of the memory.
_MOST_HELD = 64 * 2**20
# No answer is larger, for a text of 20,000 characters takes at most 12 bytes for each: of what slow clients
# hold back, none is refused that has only come so far.
_SMALL = 256 * 2**10


class Frame:
    """What holds for every request, whichever way it goes: limits, headers, figures and a line in the log."""

    def __init__(self, settings: Settings, metrics: Metrics, monotonic: Callable[[], float]) -> None:
        self.monotonic = monotonic
        self.limit = settings.max_body_bytes
        self._admitted = settings.admission_limit
        self._log_requests = settings.log_requests
        self._metrics = metrics
        self._held = 0
        self.inside = 0
        metrics.gauge("assess_requests_inside", "Requests that are being answered", lambda: self.inside)
        extra = ((b"strict-transport-security", b"max-age=31536000"),) if settings.secure_cookies else ()
        self._of_a_page = (*_HEADERS, *_OF_A_PAGE, *extra)
        self._of_data = (*_HEADERS, *_OF_DATA, *extra)

    def too_large(self) -> wire.BodyTooLarge:
        """The refusal of a body beyond the limit."""
        return wire.BodyTooLarge(f"the body may have {self.limit} bytes")

    async def whole(self, receive: Receive) -> bytes:
        """The body of a request, once its last byte is here.

        What a client does not send yet is no wait for the server: no clock stands still for it, and no
        place is taken.

        Raises
        ------
        BodyTooLarge
            As soon as it is beyond the limit.
        Overloaded
            All clients together hold too much back.
        ClientDisconnect
            Whoever asked left before all of it was here.
        """
        message = await receive()
        body: bytes = message.get("body", b"")
        if message.get("more_body", False):
            parts = bytearray()
            try:
                while True:
                    parts += body
                    self._held += len(body)
                    if len(parts) > self.limit or not message.get("more_body", False):
                        break
                    if self._held > _MOST_HELD and len(parts) > _SMALL:
                        raise Overloaded("too many bodies are half received; nothing was stored")
                    message = await receive()
                    body = message.get("body", b"")
            finally:
                self._held -= len(parts)
            body = bytes(parts)
        if len(body) > self.limit:
            raise self.too_large()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect()
        return body

    @property
    def crowded(self) -> bool:
        """Whether newcomers are sent away."""
        return self.inside > self._admitted

    def require_room(self, path: str) -> None:
        """Those who have begun go before those who come: their answers are taken for twice as long."""
        if not self.crowded or path in _ALWAYS or path.startswith(_FILES):
            return
        if not path.startswith(_STARTED) or self.inside > 2 * self._admitted:
            raise Overloaded(f"{self.inside} requests are being answered at this moment; nothing was stored")

    def dressed(self, scope: Scope, request_id: str, headers: Iterable[Header]) -> list[Header]:
        """The headers of a reply with those that every reply has."""
        found = list(headers)
        present = {name.lower(): value for name, value in found}
        own = self._of_data if present.get(b"content-type") in _DATA else self._of_a_page
        found += [header for header in own if header[0] not in present]
        found.append((b"x-request-id", request_id.encode()))
        if b"cache-control" not in present:
            found.append((b"cache-control", _caching(scope)))
        return found

    def dressed_json(self, request_id: str, body: bytes) -> list[Header]:
        """The headers of a reply in JSON that says nothing special, as `dressed` would give them."""
        return [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            *self._of_data,
            (b"x-request-id", request_id.encode()),
            _NO_STORE,
        ]

    def note(self, route: str, request_id: str, status: int, seconds: float) -> None:
        """Count a request, and write a line if it is wanted, slow, or a fault."""
        self._metrics.request(route, status, seconds)
        if status == 503:
            self._metrics.refused.inc()
        if self._log_requests or status >= 500 or seconds > _SLOW_SECONDS:
            extra = {
                "request_id": request_id,
                "route": route,
                "status": status,
                "milliseconds": round(1000 * seconds, 1),
            }
            log.info("request", extra=extra)


class Shell:
    """Around every request: an id, limits on the body and on how many come at once, and headers.

    Faults that nobody expected are answered here, so that this reply has them too.
    """

    def __init__(self, app: ASGIApp, *, frame: Frame, on_fault: Answer) -> None:
        self._app = app
        self._frame = frame
        self._on_fault = on_fault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        frame = self._frame
        request_id = new_id("req")
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        if "\0" in scope["path"] or b"%00" in scope.get("query_string", b""):
            # No id holds this character, and PostgreSQL would not even compare it.
            path = "/v1/unknown" if scope["path"].startswith("/v1/") else "/unknown"
            scope = {**scope, "path": path, "raw_path": path.encode(), "query_string": b""}
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        too_large = not declared.isdigit() or int(declared) > frame.limit
        began = time.perf_counter()
        status = entered = 0
        body: bytes | None = None

        async def again() -> Message:
            nonlocal body
            if body is None:
                return await receive()
            message = {"type": "http.request", "body": body, "more_body": False}
            body = None
            return message

        async def dressed(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = frame.dressed(scope, request_id, message.get("headers", ()))
            await send(message)

        try:
            if too_large:
                raise frame.too_large()
            body = await frame.whole(receive)
            # Whatever this request waits for from here on is the server's time, not the learner's.
            state["arrived"], began = frame.monotonic(), time.perf_counter()
            frame.inside += 1
            entered = 1
            frame.require_room(scope["path"])
            await self._app(scope, again, dressed)
        except ClientDisconnect:
            # Nobody is there to be told.
            return
        except Exception as fault:
            if status:
                raise
            response = await self._on_fault(Request(scope), fault)
            await response(scope, again, dressed)
        finally:
            frame.inside -= entered
            frame.note(route_of(scope), request_id, status, time.perf_counter() - began)


def route_of(scope: Scope) -> str:
    """Method and pattern of a request, never its address: that may name a learner, or carry a token."""
    route = scope.get("route")
    return f"{scope['method']} {getattr(route, 'path', 'other')}"


def _caching(scope: Scope) -> bytes:
    """How long a reply may be kept: people's data never, a file under the hash of its content for ever."""
    if not scope["path"].startswith("/static/"):
        return _NO_STORE[1]
    return b"public, max-age=31536000, immutable" if b"v=" in scope["query_string"] else b"no-cache"
