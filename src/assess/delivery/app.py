"""The application: everything is built here, and nothing at import.

Also the one table that turns an error into a status and a code. A code is
never renamed or reused; a client that does not know one falls back on the
status.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assess import __version__, errors
from assess.delivery import pages, schemas
from assess.delivery.api import ROUTERS, wire
from assess.delivery.security import new_id
from assess.delivery.service import Services, open_services, rescoring, sessions
from assess.delivery.settings import Settings, utc_now

log = logging.getLogger(__name__)

# Class: status, code, title. A code of None is said by the error itself.
PROBLEMS: dict[type[Exception], tuple[int, str | None, str]] = {
    wire.MalformedJson: (400, "malformed_json", "The body is not JSON"),
    wire.InvalidCursor: (400, "invalid_cursor", "Not a cursor of this list"),
    wire.MediaTypeUnsupported: (415, "media_type_unsupported", "The body is not JSON"),
    wire.BodyTooLarge: (413, "body_too_large", "The body is too large"),
    errors.InvalidRequest: (422, None, "The request cannot be carried out as it stands"),
    errors.InvalidFact: (422, None, "The fact cannot be taken as it stands"),
    errors.InvalidRule: (422, "rule_invalid", "The rule cannot be evaluated"),
    errors.RuleCycle: (422, "rule_cycle", "Badges feed each other"),
    errors.Unauthenticated: (401, None, "Say who you are"),
    errors.Forbidden: (403, None, "Not allowed"),
    errors.NotFound: (404, None, "Not found"),
    errors.NotFinished: (404, "not_finished", "The session has not ended"),
    errors.AnswerMalformed: (422, "answer_malformed", "The answer does not fit the item"),
    errors.ItemNotOffered: (422, "item_not_offered", "The item was not offered here"),
    errors.PositionConflict: (409, "position_conflict", "The position cannot be answered now"),
    errors.AnswerConflict: (409, "answer_conflict", "Another answer is stored"),
    errors.StaleSession: (409, "stale_session", "The session moved on; read it again"),
    errors.SessionFinished: (409, "session_finished", "The session has ended"),
    errors.SessionVoid: (409, "session_void", "The session was declared void"),
    errors.SessionExpired: (410, "session_expired", "The time is over"),
    errors.RetakeTooEarly: (409, "retake_too_early", "Too early for another try"),
    errors.TriesExhausted: (409, "tries_exhausted", "No further try"),
    errors.AlreadyPassed: (409, "tries_exhausted", "The course is passed"),
    errors.FormNotActive: (409, "form_not_active", "No form of this course is live"),
    errors.ActivationRefused: (422, "field_invalid", "The release must not go live"),
    errors.RescoreRefused: (409, "rescore_refused", "Sessions cannot be scored again like this"),
    errors.IdempotencyConflict: (409, "idempotency_conflict", "The key came before with another body"),
    errors.FactConflict: (409, "fact_id_conflict", "The id stands for another fact"),
    errors.StorageUnavailable: (503, "storage_unavailable", "Nothing was stored; try again"),
    errors.AssessError: (500, "internal_error", "Something went wrong here"),
}
_HTTP_CODES = {404: "route_unknown", 405: "method_not_allowed"}

# A page may load what this server serves, and nothing else; nothing runs inline.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    # The address of a session page may carry a token.
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)


def create_app(settings: Settings, *, clock: Callable[[], datetime] = utc_now) -> FastAPI:
    """The application for these settings; its database is opened when it starts and closed when it stops.

    Parameters
    ----------
    clock : callable
        Gives the time in UTC.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        services = await open_services(settings, clock=clock)
        app.state.services = services
        sweeping = asyncio.create_task(_sweep(services)) if settings.sweep_seconds > 0 else None
        try:
            yield
        finally:
            if sweeping is not None:
                sweeping.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await sweeping
            services.store.close()

    app = FastAPI(
        title="assess",
        version=__version__,
        lifespan=lifespan,
        # The interactive documentation loads scripts from elsewhere, which the policy above refuses.
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
    )
    app.state.settings = settings
    for router in ROUTERS:
        app.include_router(router)
    app.include_router(pages.router)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")
    answer = _handle_problems(app, pages.problem_page)
    _document(app)
    # A page shrinks to a quarter. Nothing a stranger sends is echoed beside a secret, so sizes tell nothing.
    app.add_middleware(GZipMiddleware, minimum_size=1000)
    app.add_middleware(
        Shell, max_body_bytes=settings.max_body_bytes, secure=settings.secure_cookies, on_fault=answer
    )
    return app


async def _sweep(services: Services) -> None:
    """End sessions whose time ran out, again and again."""
    while True:
        await asyncio.sleep(services.settings.sweep_seconds)
        try:
            await sessions.sweep(services)
            await rescoring.carry_on(services, seconds=5.0)
        except Exception:
            log.exception("the sweep failed and will be tried again")


def settle_memory() -> None:
    """Keep the garbage collector off what start-up made: its pauses were the slowest answers.

    For a server's process, once, after the application was built.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)


# --- problems ----------------------------------------------------------------


def problem(request: Request, fault: Exception) -> schemas.Problem:
    """An error as a problem document; what nobody outside should read stays inside."""
    status, code, title = 500, "internal_error", "Something went wrong here"
    entries: list[schemas.FieldProblem] = []
    detail = "The fault is logged under the request id."
    if isinstance(fault, RequestValidationError):
        status, code, title = 422, "field_invalid", "The request cannot be carried out as it stands"
        entries = [
            schemas.FieldProblem(path=_place(entry["loc"]), code=code, message=entry["msg"])
            for entry in fault.errors()
        ]
        detail = "; ".join(f"{entry.path}: {entry.message}" for entry in entries)
    elif isinstance(fault, HTTPException):
        status, title = fault.status_code, fault.detail
        code, detail = _HTTP_CODES.get(status, "internal_error"), fault.detail
    else:
        found = next((PROBLEMS[kind] for kind in type(fault).__mro__ if kind in PROBLEMS), None)
        if found is not None and found[0] != 500:
            status, title, detail = found[0], found[2], str(fault)
            code = found[1] or _own_code(fault)
        path: str = getattr(fault, "path", "")
        if status == 422 and path:
            entries = [schemas.FieldProblem(path=path, code=code, message=str(fault))]
        if status == 503:
            detail = "The database did not take it. Nothing was stored; send the same request again."
    return schemas.Problem(
        type=f"/problems/{code}",
        title=title,
        status=status,
        detail=detail,
        code=code,
        instance=request.url.path,
        request_id=request.scope.get("state", {}).get("request_id", ""),
        errors=entries,
        not_before=getattr(fault, "not_before", None),
    )


def _own_code(fault: Exception) -> str:
    if isinstance(fault, errors.NotFound):
        return "form_unknown" if fault.kind == "release" else f"{fault.kind}_unknown"
    return str(getattr(fault, "code", "internal_error"))


def _place(parts: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in parts if part not in ("query", "path", "body", "header"))


_Answer = Callable[[Request, Exception], Awaitable[Response]]


def _handle_problems(
    app: FastAPI, page: Callable[[Request, schemas.Problem], Awaitable[Response]]
) -> _Answer:
    """Answer every error as a problem document, or as a page where pages are."""

    async def answer(request: Request, fault: Exception) -> Response:
        found = problem(request, fault)
        if found.status >= 500:
            log.error("request %s: %s", found.request_id, type(fault).__name__, exc_info=fault)
        if not request.url.path.startswith("/v1/"):
            response = await page(request, found)
        else:
            response = Response(schemas.encode(found), found.status, media_type="application/problem+json")
        if found.status == 401:
            response.headers["WWW-Authenticate"] = 'Bearer realm="assess"'
        if found.status == 503:
            response.headers["Retry-After"] = "2"
        if isinstance(fault, HTTPException) and fault.headers:
            response.headers.update(fault.headers)
        return response

    for kind in (errors.AssessError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, answer)
    return answer


def _document(app: FastAPI) -> None:
    """Put the structs of the routes into the OpenAPI document."""
    plain = app.openapi

    def with_structs() -> dict[str, Any]:
        found = plain()
        found.setdefault("components", {}).setdefault("schemas", {}).update(wire.components())
        return found

    app.openapi = with_structs  # type: ignore[method-assign]


def _caching(scope: Scope) -> bytes:
    """How long a reply may be kept: people's data never, a file under the hash of its content for ever."""
    if not scope["path"].startswith("/static/"):
        return b"no-store"
    return b"public, max-age=31536000, immutable" if b"v=" in scope["query_string"] else b"no-cache"


# --- around every request ------------------------------------------------------


class Shell:
    """Around every request: an id, a limit on the body, and headers that every reply has.

    Faults that nobody expected are answered here, so that this reply has them too.
    """

    def __init__(self, app: ASGIApp, *, max_body_bytes: int, secure: bool, on_fault: _Answer) -> None:
        self._app = app
        self._on_fault = on_fault
        self._limit = max_body_bytes
        extra = ((b"strict-transport-security", b"max-age=31536000"),) if secure else ()
        self._headers = (*_HEADERS, *extra)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = new_id("req")
        scope.setdefault("state", {})["request_id"] = request_id
        if "\0" in scope["path"] or b"%00" in scope.get("query_string", b""):
            # No id holds this character, and PostgreSQL would not even compare it.
            path = "/v1/unknown" if scope["path"].startswith("/v1/") else "/unknown"
            scope = {**scope, "path": path, "raw_path": path.encode(), "query_string": b""}
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        too_large = not declared.isdigit() or int(declared) > self._limit
        received = 0
        started = False

        async def limited() -> Message:
            nonlocal received
            if too_large:
                raise wire.BodyTooLarge(f"the body may have {self._limit} bytes")
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise wire.BodyTooLarge(f"the body may have {self._limit} bytes")
            return message

        async def dressed(message: MutableMapping[str, Any]) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = list(message.get("headers", ()))
                present = {name.lower() for name, _ in headers}
                headers += [header for header in self._headers if header[0] not in present]
                headers.append((b"x-request-id", request_id.encode()))
                if b"cache-control" not in present:
                    headers.append((b"cache-control", _caching(scope)))
                message["headers"] = headers
            await send(message)

        try:
            await self._app(scope, limited, dressed)
        except Exception as fault:
            if started:
                raise
            response = await self._on_fault(Request(scope), fault)
            await response(scope, limited, dressed)
