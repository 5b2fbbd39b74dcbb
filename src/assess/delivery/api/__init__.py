"""The JSON routes: read the request, call one use case, write its reply."""

from __future__ import annotations

from assess.delivery.api import badges, delivery, manage, people, rescores

ROUTERS = (delivery.router, people.router, badges.router, manage.router, rescores.router)

__all__ = ["ROUTERS"]
