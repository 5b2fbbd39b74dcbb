"""Idempotency keys: the same request again makes nothing twice, also after a restart."""

from __future__ import annotations

from assess.delivery.service.context import Scope, Services
from assess.delivery.store import reading
from assess.delivery.store.rows import Idempotency, Stored
from assess.errors import IdempotencyConflict
from assess.session.records import record


@record
class Key:
    """The key of one request, with its route and the hash of its body."""

    key: str
    route: str
    body_sha256: str


async def earlier(services: Services, scope: Scope, key: Key | None) -> str | None:
    """What the first request with this key made; None if this is the first.

    Raises
    ------
    IdempotencyConflict
        The first request had another body.
    """
    if key is None:
        return None
    found = await services.store.read(reading.idempotency, scope.tenant, scope.actor, key.route, key.key)
    return made(found, key)


def made(found: Idempotency | None, key: Key) -> str | None:
    """What the earlier request made that left this row under the key.

    Raises
    ------
    IdempotencyConflict
        It had another body.
    """
    if found is None:
        return None
    if found.body_sha256 != key.body_sha256:
        raise IdempotencyConflict(
            f"the idempotency key {key.key!r} came before with another body; take a new key"
        )
    return found.result


def rows(services: Services, scope: Scope, key: Key | None, result: str) -> tuple[Stored, ...]:
    """The row that remembers the request, for the commit that carries it out."""
    if key is None:
        return ()
    return (
        Idempotency(scope.tenant, scope.actor, key.route, key.key, key.body_sha256, result, services.clock()),
    )
