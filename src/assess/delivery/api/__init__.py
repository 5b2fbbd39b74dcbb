"""The JSON routes: read the request, call one use case, write its reply."""

from __future__ import annotations

from assess.delivery.api import (
    appeals,
    badges,
    cohorts,
    delivery,
    manage,
    open_badges,
    people,
    placements,
    rescores,
    sitting,
    webhooks,
)

ROUTERS = (
    delivery.router,
    people.router,
    cohorts.router,
    badges.router,
    manage.router,
    rescores.router,
    placements.router,
    sitting.router,
    webhooks.router,
    open_badges.router,
    appeals.router,
)

__all__ = ["ROUTERS"]
