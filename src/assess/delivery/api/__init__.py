"""The JSON routes: read the request, call one use case, write its reply."""

from __future__ import annotations

from assess.delivery.api import badges, cohorts, delivery, manage, people, placements, rescores, sitting

ROUTERS = (
    delivery.router,
    people.router,
    cohorts.router,
    badges.router,
    manage.router,
    rescores.router,
    placements.router,
    sitting.router,
)

__all__ = ["ROUTERS"]
