"""Receipts stay true: after a change of keys, in another process, and for the learner who kept them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from assess.delivery.receipts import ReceiptSigner, new_signing_key
from assess.delivery.service import Services, receipts
from assess.delivery.store import Writes, reading
from assess.delivery.store.rows import ResponseRow, SigningKey, Update
from tests.delivery.world import NOON, World


def _verified(world: World, receipt: dict[str, Any]) -> bool:
    found: bool = world.call("POST", "/v1/receipts/verify", {"receipt": receipt}, key=None).json()["valid"]
    return found


async def _change_keys(services: Services) -> ReceiptSigner:
    """Retire the key in use and put a new one in its place, as another process would."""
    new = new_signing_key("sk_new", NOON + timedelta(days=1))
    old = Update(SigningKey, {"id": services.receipts.key_id}, {"retired_at": NOON + timedelta(days=1)}, {})
    await services.store.commit(Writes("default", (old,), inserts=(new,)))
    return ReceiptSigner(await services.store.read(reading.signing_keys, "receipt"))


def _sign(signer: ReceiptSigner, *, session: str, position: int, revision: int, answer_sha256: str) -> str:
    row = ResponseRow(
        "default", session, position, revision, "x.v1", "b", 0, NOON, "0f", answer_sha256, signer.key_id, ""
    )
    (signature,) = signer.signing.texts([row])
    return signature


def test_receipts_outlive_the_key_they_were_signed_with(both_worlds: World) -> None:
    world = both_worlds
    world.learner()
    begun = world.begin()
    stored = world.respond(begun["session"], begun["current"], "b").json()
    signer: ReceiptSigner = world.run(_change_keys)
    assert signer.key_id == "sk_new"
    assert signer.key_id != stored["receipt"]["key_id"]
    assert _verified(world, stored["receipt"])
    assert signer.knows(stored["receipt"]["key_id"])
    # What the new key signs, a process that started before can verify: it reads the keys again.
    assert not world.services.receipts.knows("sk_new")
    body: dict[str, Any] = {"session": "ses_x", "position": 1, "revision": 1, "answer_sha256": "0" * 64}
    signature = _sign(signer, **body)
    fresh = {**body, "stored_at": "2026-11-22T12:00:00Z", "key_id": "sk_new", "signature": signature}
    assert _verified(world, fresh)
    assert not _verified(world, {**fresh, "position": 2})
    assert not _verified(world, {**fresh, "key_id": "sk_nobody"})


def test_the_receipts_of_a_session_are_the_ones_that_were_given(both_worlds: World) -> None:
    world = both_worlds
    world.learner()
    begun = world.begin()
    given, current = [], begun["current"]
    for answer in ("a", None, "b"):
        reply = world.respond(begun["session"], current, answer).json()
        given.append(reply["receipt"])
        current = reply["current"]
    found = world.run(receipts.listed, world.admin, begun["session"])
    assert [(r.position, r.signature) for r in found] == [(g["position"], g["signature"]) for g in given]
