"""Decision records as they were written."""

from __future__ import annotations

import json
from typing import Any

from assess.delivery.service.context import Scope, Services
from assess.delivery.service.learners import require_visible
from assess.delivery.store import reading
from assess.errors import NotFound


async def record(services: Services, scope: Scope, id: str) -> dict[str, Any]:
    """`GET /v1/decisions/{id}`: the record with its hash, its place in the chain, and what became of it.

    The record holds decimal strings and names no person but the random id of
    the learner; its bytes are canonical, so whoever writes it out again with
    sorted keys can check the hash.
    """
    scope.require("read-status")
    row = await services.store.read(reading.decision, scope.tenant, id)
    if row is not None:
        learner = await services.store.read(reading.learner, scope.tenant, row.learner)
    if row is None or learner is None or learner.sandbox != scope.sandbox:
        raise NotFound("decision", id)
    require_visible(scope, learner)
    return {
        "id": row.id,
        "record": json.loads(row.record),
        "record_sha256": row.record_sha256,
        "chain": {"programme": row.programme, "seq": row.chain_seq, "sha256": row.chain_sha256},
        "source": row.source,
        "supersedes": row.supersedes,
        "superseded_by": row.superseded_by,
        "superseded_at": row.superseded_at,
        "cause": row.cause,
        "reason": row.reason,
    }
