"""Webhooks: who is told, and what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from assess.delivery.schemas.base import Body, Reply

EVENT_TYPES = (
    "decision.made",
    "decision.changed",
    "decision.withdrawn",
    "eligibility.gained",
    "eligibility.lost",
    "eligibility.changed",
    "learner.merged",
    "learner.erased",
)

Payload = Literal["full", "thin"]
DeliveryState = Literal["waiting", "delivered", "dead"]


class NewWebhook(Body, frozen=True):
    """`POST /v1/webhooks`: `types` left out is all; a thin payload has no snapshot."""

    url: str
    description: str = ""
    types: list[str] | None = None
    payload: Payload = "full"


class ChangedWebhook(Body, frozen=True):
    """`PATCH /v1/webhooks/{webhook}`: what is named is changed, the rest stays."""

    url: str | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType = msgspec.UNSET
    types: list[str] | msgspec.UnsetType | None = msgspec.UNSET
    payload: Payload | msgspec.UnsetType = msgspec.UNSET
    disabled: bool | msgspec.UnsetType = msgspec.UNSET


class WebhookReply(Reply, frozen=True):
    """A webhook; `secret` is told once, when it was made or rotated."""

    id: str
    url: str
    description: str
    types: list[str] | None
    payload: Payload
    sandbox: bool
    by: str
    created_at: datetime
    disabled_at: datetime | None
    disabled_why: str | None
    old_secret_until: datetime | None
    secret: str | None


class Delivery(Reply, frozen=True):
    """One change and one webhook: `id` is the header webhook-id, the same at every attempt."""

    id: str
    sequence: int
    type: str
    subject: str
    state: DeliveryState
    attempts: int
    next_at: datetime | None
    delivered_at: datetime | None
    status: int | None
    error: str | None


class Replayed(Reply, frozen=True):
    """How many changes are told again."""

    replayed: int


class Tested(Reply, frozen=True):
    """What the receiver said to an `endpoint.test`."""

    delivered: bool
    status: int | None
    error: str | None
