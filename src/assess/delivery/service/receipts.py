"""Receipts after the fact: all of a session's, and whether one was signed here."""

from __future__ import annotations

from assess.delivery import schemas
from assess.delivery.receipts import PURPOSE
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.loading import load, require_not_erased
from assess.delivery.store import reading
from assess.delivery.store.rows import ResponseRow


def receipt(row: ResponseRow) -> schemas.Receipt:
    """The receipt of a stored answer, as it was given."""
    return schemas.Receipt(
        session=row.session,
        position=row.position,
        revision=row.revision,
        answer_sha256=row.answer_sha256,
        stored_at=row.at,
        key_id=row.key_id,
        signature=str(row.signature),
    )


async def listed(services: Services, scope: Scope, session: str) -> list[schemas.Receipt]:
    """Every receipt of a session, open or ended, in the order of its positions."""
    loaded = await load(services, scope, session)
    require_not_erased(loaded.row)
    return [receipt(row) for row in loaded.records.responses]


async def verify(services: Services, asked: schemas.ReceiptToVerify) -> bool:
    """Whether a receipt was signed here and nothing in it was changed.

    Another process, or a change of keys, may have signed with a key that this
    process has not read yet.
    """
    if not services.receipts.knows(asked.key_id):
        services.receipts.learn(await services.store.read(reading.signing_keys, PURPOSE))
    return services.receipts.valid(asked)
