"""Errors over HTTP, as problem documents (RFC 9457)."""

from __future__ import annotations

from datetime import datetime

from assess.delivery.schemas.base import Reply


class FieldProblem(Reply, frozen=True):
    """One field that was wrong."""

    path: str
    code: str
    message: str


class Problem(Reply, frozen=True, omit_defaults=True):
    """A problem document (RFC 9457); `not_before` comes with the codes of the retake policy."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str
    request_id: str
    errors: list[FieldProblem]
    not_before: datetime | None = None
