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
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles

from assess import __version__, errors
from assess.delivery import pages, schemas
from assess.delivery.api import ROUTERS, wire
from assess.delivery.around import Answer, Frame, Shell
from assess.delivery.clock import SteadyClock
from assess.delivery.jobs import worker
from assess.delivery.metrics import Metrics
from assess.delivery.sender import Sender
from assess.delivery.service import downtime, open_services
from assess.delivery.settings import Settings
from assess.delivery.shortcut import Application
from assess.delivery.store import Store

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
    errors.ItemTimeOver: (409, "position_conflict", "The time of the item is over"),
    errors.AnswerConflict: (409, "answer_conflict", "Another answer is stored"),
    errors.StaleSession: (409, "stale_session", "The session moved on; read it again"),
    errors.OpenedElsewhere: (409, "stale_session", "The session was opened elsewhere"),
    errors.BreakRefused: (409, "break_refused", "No break is left"),
    errors.SessionFinished: (409, "session_finished", "The session has ended"),
    errors.SessionVoid: (409, "session_void", "The session was declared void"),
    errors.SessionExpired: (410, "session_expired", "The time is over"),
    errors.RetakeTooEarly: (409, "retake_too_early", "Too early for another try"),
    errors.TriesExhausted: (409, "tries_exhausted", "No further try"),
    errors.AlreadyPassed: (409, "tries_exhausted", "The course is passed"),
    errors.NotConfirmable: (409, "not_confirmable", "There is nothing to confirm"),
    errors.WindowClosed: (409, "window_closed", "Not the time for this course"),
    errors.FormNotActive: (409, "form_not_active", "No form of this course is live"),
    errors.ActivationRefused: (422, "field_invalid", "The release must not go live"),
    errors.RescoreRefused: (409, "rescore_refused", "Sessions cannot be scored again like this"),
    errors.AppealRefused: (409, "appeal_refused", "The appeal cannot be taken like this"),
    errors.LearnerErased: (410, "learner_erased", "The learner was erased"),
    errors.RateLimited: (429, "rate_limited", "Too many tries"),
    errors.IdempotencyConflict: (409, "idempotency_conflict", "The key came before with another body"),
    errors.FactConflict: (409, "fact_id_conflict", "The id stands for another fact"),
    errors.NotEligible: (409, "not_eligible", "The rule of the badge is not met"),
    errors.ClaimInvalid: (422, "claim_invalid", "Not a claim that was made here"),
    errors.ClaimExpired: (410, "claim_expired", "The claim came too late"),
    errors.ClaimUsed: (409, "claim_used", "The claim was redeemed before"),
    errors.Overloaded: (503, "overloaded", "Too many at once; try again"),
    errors.OutcomeUnknown: (503, "outcome_unknown", "It may or may not be stored; send it again"),
    errors.StorageUnavailable: (503, "storage_unavailable", "Nothing was stored; try again"),
    errors.AssessError: (500, "internal_error", "Something went wrong here"),
}
_HTTP_CODES = {404: "route_unknown", 405: "method_not_allowed"}

_COMPRESSED_FROM = 1000  # bytes


def create_app(
    settings: Settings, *, clock: Callable[[], datetime] | None = None, store: Store | None = None
) -> FastAPI:
    """The application for these settings; its database is opened when it starts and closed when it stops.

    Parameters
    ----------
    clock : callable, optional
        Gives the time in UTC; by default a clock that no step of the machine's time of day moves. Durations
        inside the process are then read from it too.
    store : Store, optional
        The database that these settings name, where it is open already.
    """
    steady = SteadyClock() if clock is None else clock
    monotonic = time.monotonic if clock is None else lambda: steady().timestamp()
    metrics = Metrics()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        services = await open_services(settings, clock=steady, monotonic=monotonic, store=store)
        app.state.services = services
        line = services.admission
        line.crowded = lambda: frame.crowded
        metrics.gauge("assess_begin_waiting", "Requests that wait to begin", lambda: line.waiting)
        # What an outage took is given back before anybody is told that the time is over.
        try:
            pulse = await downtime.begin(services)
        except BaseException:
            services.store.close()
            raise
        beating = None if pulse is None else asyncio.create_task(downtime.keep_beating(services, pulse))
        stop = asyncio.Event()
        working: set[asyncio.Task[None]] = set()
        if settings.work_seconds > 0:
            working = {asyncio.create_task(one.run(stop)) for one in (worker(services), Sender(services))}
        try:
            yield
        finally:
            if working:
                # What is being done is brought to its end, if that comes soon; else its lease ends.
                stop.set()
                await asyncio.wait(working, timeout=5)
                for task in working:
                    task.cancel()
                await asyncio.gather(*working, return_exceptions=True)
            if beating is not None and pulse is not None:
                beating.cancel()
                await asyncio.gather(beating, return_exceptions=True)
                await downtime.stop(services, pulse)
            services.store.close()

    app = Application(
        title="assess",
        version=__version__,
        lifespan=lifespan,
        # The interactive documentation loads scripts from elsewhere, which the policy above refuses.
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        # Traces would hold addresses, and the address of a session page may carry a token.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.settings = settings
    app.state.metrics = metrics
    for router in ROUTERS:
        app.include_router(router)
    app.include_router(pages.router)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")
    answer = _handle_problems(app, pages.problem_page)
    _document(app)
    # A page shrinks to a quarter. Nothing a stranger sends is echoed beside a secret, so sizes tell nothing.
    app.add_middleware(GZipMiddleware, minimum_size=_COMPRESSED_FROM)
    frame = Frame(settings, metrics, monotonic)
    app.add_middleware(Shell, frame=frame, on_fault=answer)
    app.shorten(frame, answer, minimum_size=_COMPRESSED_FROM)
    return app


def settle_memory() -> None:
    """Keep the garbage collector off what start-up made: its pauses were the slowest answers.

    For a server's process, once, after the application was built.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 50)


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
        if code == "storage_unavailable":
            detail = "The database did not take it. Nothing was stored; send the same request again."
        elif code == "outcome_unknown":
            detail = (
                "The database was lost while it stored this, which may or may not be stored. "
                "Send the same request again; an answer is never stored twice."
            )
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


def _handle_problems(app: FastAPI, page: Callable[[Request, schemas.Problem], Awaitable[Response]]) -> Answer:
    """Answer every error as a problem document, or as a page where pages are."""

    async def answer(request: Request, fault: Exception) -> Response:
        found = problem(request, fault)
        if found.status >= 500 and found.code != "overloaded":
            log.error("%s", type(fault).__name__, exc_info=fault, extra={"request_id": found.request_id})
        if not request.url.path.startswith("/v1/"):
            response = await page(request, found)
        else:
            response = Response(schemas.encode(found), found.status, media_type="application/problem+json")
        if found.status == 401:
            response.headers["WWW-Authenticate"] = 'Bearer realm="assess"'
        if found.status == 503:
            response.headers.setdefault("Retry-After", "5" if found.code == "overloaded" else "2")
        if isinstance(fault, errors.RateLimited):
            response.headers["Retry-After"] = str(fault.retry_after)
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
