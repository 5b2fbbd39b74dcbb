"""Reading requests and writing replies: one way for every JSON route.

Bodies are decoded by msgspec into the structs of `delivery.schemas`, strictly:
no unknown field, no number for a text. OpenAPI gets the same structs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, TypeVar, cast

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from assess.delivery import schemas
from assess.delivery.service import Scope, Services, keys
from assess.delivery.service.idempotency import Key
from assess.delivery.service.remembering import EVER, etag
from assess.delivery.service.standing import Moment
from assess.errors import AssessError, InvalidContent, InvalidRequest
from assess.standards.bounds import DEEPEST, require_shallow

T = TypeVar("T")
COOKIE = "assess_session"
_KEY = re.compile(r"[\x21-\x7e]{1,200}")
# A name that somebody made up may hold anything, a new line too.
_AT = re.compile(r"(?P<message>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<field>.*)`")


class MalformedJson(AssessError):
    """The body is not JSON."""


class MediaTypeUnsupported(AssessError):
    """The body is not declared as JSON."""


class BodyTooLarge(AssessError):
    """The body is larger than this server takes."""


class InvalidCursor(AssessError):
    """An `after` that no list of ours gave out."""


# --- requests ----------------------------------------------------------------


def services(request: Request) -> Services:
    """The services of the application."""
    found: Services = request.app.state.services
    return found


async def who(request: Request) -> Scope:
    """Whoever presents the bearer token, or the learner's cookie where there is none."""
    given = bearer(request.headers.get("authorization"))
    return await keys.authenticate(services(request), given or request.cookies.get(COOKIE))


def bearer(authorization: str | None) -> str | None:
    """The bearer token of a header."""
    scheme, _, credentials = (authorization or "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else None


async def known_query(request: Request) -> None:
    """Refuse query parameters that the route does not have: a misspelt `as_of` would answer for now.

    One that is said twice is refused too: a proxy and this server might each read another of them.
    """
    known = {field.alias for field in request.scope["route"].dependant.query_params}
    for name in request.query_params:
        if name not in known:
            raise InvalidRequest(
                f"unknown query parameter {name!r}; known here: {', '.join(sorted(known)) or 'none'}",
                path=name,
                code="field_unknown",
            )
        if len(request.query_params.getlist(name)) > 1:
            raise InvalidRequest("said twice; say it once", path=name)


Who = Annotated[Scope, Depends(who)]
AsOf = Annotated[str | None, Query(description="a time, or a day in the programme's time zone")]
AsKnownAt = Annotated[str | None, Query(description="leave out what was recorded later")]
Limit = Annotated[int, Query(ge=1, le=1000)]


def json_router() -> APIRouter:
    """A router whose routes refuse unknown query parameters."""
    return APIRouter(dependencies=[Depends(known_query)])


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, strict=True)


async def read(request: Request, kind: type[T]) -> T:
    """The body of a request as a struct.

    Raises
    ------
    MediaTypeUnsupported, MalformedJson
        It is not JSON, or not declared so: a form on a foreign page cannot declare it.
    InvalidRequest
        A field is missing, unknown, or of the wrong kind; with its path.
    """
    return decoded(request.headers.get("content-type", ""), await request.body(), kind)


def decoded(content_type: str, raw: bytes, kind: type[T]) -> T:
    """The bytes of a body as a struct; raises as `read` does."""
    declared = content_type.partition(";")[0].strip().lower()
    if declared != "application/json" and not declared.endswith("+json"):
        raise MediaTypeUnsupported("send the body as application/json")
    decoder: msgspec.json.Decoder[T] = _decoder(cast(Any, kind))
    try:
        body = decoder.decode(raw)
    except msgspec.ValidationError as fault:
        raise _refusal(str(fault)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise MalformedJson(f"the body is not JSON: {fault}") from None
    # What may hold any JSON could be deeper than what stores it can follow. Few brackets cannot be, and
    # counting them costs next to nothing.
    if raw.count(b"{") + raw.count(b"[") > DEEPEST:
        try:
            require_shallow(msgspec.json.decode(raw))
        except InvalidContent as fault:
            raise InvalidRequest(f"the body is nested too deeply: {fault}") from None
    if b"\\u0000" in raw and any("\0" in text for text in _texts(msgspec.json.decode(raw))):
        raise InvalidRequest("a text holds the character U+0000, which no text has")
    return body


def _refusal(message: str) -> InvalidRequest:
    """What msgspec says, as a path and a code."""
    match = _AT.fullmatch(message)
    assert match is not None
    text, path = match["message"], (match["path"] or "").removeprefix(".")
    code = "field_invalid"
    for pattern, named in ((_UNKNOWN, "field_unknown"), (_MISSING, "field_invalid")):
        found = pattern.fullmatch(text)
        if found is not None:
            path, code = f"{path}.{found['field']}".removeprefix("."), named
    return InvalidRequest(text, path=path, code=code)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield name
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def idempotency_key(request: Request, body: object) -> Key | None:
    """The request's idempotency key, with its route and what its body says."""
    scope = request.scope
    return key_of(request.headers.get("idempotency-key"), scope["method"], scope["path"], body)


def key_of(given: str | None, method: str, path: str, body: object) -> Key | None:
    """An idempotency key as it was given, with its route and what its body says."""
    if given is None:
        return None
    if not _KEY.fullmatch(given):
        raise InvalidRequest(
            "an idempotency key has 1 to 200 visible ASCII characters", path="Idempotency-Key"
        )
    return Key(given, f"{method} {path}", hashlib.sha256(schemas.encode(body)).hexdigest())


def number_cursor(value: str | None) -> int:
    """A cursor that is a sequence number."""
    if value is None:
        return 0
    if not (value.isascii() and value.isdigit() and len(value) <= 18):
        raise InvalidCursor(f"{value!r} is no cursor; take `next` of the list before, or a sequence number")
    return int(value)


# --- replies -----------------------------------------------------------------


def reply(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A struct as a JSON response."""
    return Response(schemas.encode(body), status, dict(headers or {}), media_type="application/json")


def tagged(request: Request, body: object, moment: Moment) -> Response:
    """A reply with an ETag over all that the client did not ask for by a date of its own.

    Without this, an answer for "now" would differ with every second, and the
    client that polls could never be told 304.
    """
    parts: list[Any] = body.items if isinstance(body, schemas.Page) else [body]
    still = {name: EVER for name in ("as_of", "as_known_at") if name not in moment.given}
    tag = etag(msgspec.json.encode([msgspec.structs.replace(part, **still) for part in parts]))
    headers = {"ETag": tag, **KEPT}
    if is_known(tag, request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    return reply(body, headers=headers)


KEPT = {"Cache-Control": "private, no-cache", "Vary": "Authorization, Cookie"}
"""Whoever keeps such a reply asks each time whether it still stands."""


def is_known(tag: str, if_none_match: str) -> bool:
    """Whether a client has what is tagged, by the header in which it says so."""
    known = [entry.strip().removeprefix("W/") for entry in if_none_match.split(",")]
    return tag in known or "*" in known


# --- OpenAPI -----------------------------------------------------------------

_DOCUMENTED: list[Any] = [schemas.Problem]
# What any route may answer, and what one with a body may answer besides; the code says which problem it is.
_PROBLEMS = (400, 401, 403, 404, 410, 422, 500, 503)
_PROBLEMS_OF_BODIES = (409, 413, 415)


def documents(
    answer: Any, *, body: Any = None, also: tuple[int, ...] = (), status: int = 200
) -> dict[str, Any]:
    """Keywords of a route for what OpenAPI cannot see: the structs of its request and its replies.

    Parameters
    ----------
    answer, body : type
        Struct of the reply, and of the request if it has a body.
    also : tuple of int
        Further statuses with the same reply (201 beside 200), or problems beside those of every route.
    """
    _DOCUMENTED.extend(kind for kind in (answer, body) if kind is not None)
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    extra: dict[str, Any] = {}
    content = {"application/json": {"schema": _schema(answer)}}
    responses: dict[int | str, dict[str, Any]] = {status: {"description": "as asked", "content": content}}
    for other in sorted({*also, *_PROBLEMS, *(_PROBLEMS_OF_BODIES if body is not None else ())}):
        if other < 300:
            responses[other] = {"description": "as asked", "content": content}
        elif other == 304:
            responses[other] = {"description": "not changed"}
        else:
            responses[other] = {"description": "a problem", "content": problem}
    if body is not None:
        extra["requestBody"] = {"required": True, "content": {"application/json": {"schema": _schema(body)}}}
    return {"responses": responses, "openapi_extra": extra, "response_class": Response, "status_code": status}


def _schema(kind: Any) -> dict[str, Any]:
    (found,), _ = msgspec.json.schema_components([kind], ref_template="#/components/schemas/{name}")
    return found


def components() -> dict[str, Any]:
    """The schemas of all documented structs, for the OpenAPI document."""
    _, found = msgspec.json.schema_components(_DOCUMENTED, ref_template="#/components/schemas/{name}")
    return found
