"""Use cases: plain functions, each reading, computing, and committing once.

The first argument is `Services`, the second the `Scope` of whoever asks. What
they return are the wire types of `delivery.schemas`; the JSON routes and the
pages call the same functions.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial

from assess.delivery.receipts import PURPOSE as RECEIPT
from assess.delivery.receipts import ReceiptSigner, new_signing_key
from assess.delivery.rendering import Renderer
from assess.delivery.security import new_id
from assess.delivery.service import downtime
from assess.delivery.service.admission import Admission
from assess.delivery.service.catalogue import Catalogue
from assess.delivery.service.context import SCOPES, Scope, Services
from assess.delivery.service.recent import Recent
from assess.delivery.settings import Settings, utc_now
from assess.delivery.statements import PURPOSE as STATEMENT
from assess.delivery.statements import StatementSigner
from assess.delivery.store import Store, Writes, open_store, reading
from assess.delivery.store.rows import SigningKey


async def open_services(
    settings: Settings,
    *,
    clock: Callable[[], datetime] = utc_now,
    monotonic: Callable[[], float] = time.monotonic,
    store: Store | None = None,
) -> Services:
    """All that the use cases need, over an open store; close it with ``services.store.close()``."""
    opened = open_store(settings) if store is None else store
    receipts = ReceiptSigner(await _signing_keys(opened, settings.tenant, RECEIPT, clock))
    statements = StatementSigner(await _signing_keys(opened, settings.tenant, STATEMENT, clock))
    recent = Recent(math.inf if opened.exclusive else settings.refresh_seconds, clock)
    opened.watch(recent.written)
    services = Services(
        store=opened,
        catalogue=Catalogue(opened, settings.refresh_seconds),
        recent=recent,
        admission=Admission(
            at_once=settings.begin_at_once,
            line=settings.begin_line,
            patience=settings.begin_patience_seconds,
        ),
        receipts=receipts,
        statements=statements,
        renderer=Renderer(),
        settings=settings,
        clock=clock,
        monotonic=monotonic,
    )
    services.settling.how = partial(downtime.settle, services)
    return services


async def _signing_keys(
    store: Store, tenant: str, purpose: str, clock: Callable[[], datetime]
) -> list[SigningKey]:
    keys = await store.read(reading.signing_keys, purpose)
    if any(key.retired_at is None for key in keys):
        return keys
    # Two processes that start together make two keys, and both verify for good.
    key = new_signing_key(new_id("sk"), clock(), purpose)
    await store.commit(Writes(tenant, inserts=(key,)))
    return await store.read(reading.signing_keys, purpose)


__all__ = ["SCOPES", "Catalogue", "Scope", "Services", "open_services"]
