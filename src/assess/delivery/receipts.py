"""Receipts: a signed statement that an answer is stored, which anybody can have checked later.

Ed25519 over the canonical JSON of the receipt without its signature. The key
pair is made with the database and stays in it, so that a receipt outlives the
server that wrote it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from assess.delivery.schemas import Receipt, ReceiptToVerify
from assess.delivery.store.rows import SigningKey
from assess.errors import InvalidContent
from assess.standards.records import canonical_json

PURPOSE = "receipt"


def new_signing_key(id: str, now: datetime, purpose: str = PURPOSE) -> SigningKey:
    """A fresh key pair; each purpose has its own, so that no signature can be taken for another's."""
    private = Ed25519PrivateKey.generate()
    return SigningKey(
        id=id,
        purpose=purpose,
        private_key=_text(private.private_bytes_raw()),
        public_key=_text(private.public_key().public_bytes_raw()),
        created_at=now,
    )


class ReceiptSigner:
    """Signs with the newest key, verifies with every key there ever was."""

    def __init__(self, keys: Iterable[SigningKey]) -> None:
        known = list(keys)
        current = next(key for key in reversed(known) if key.retired_at is None)
        self.key_id = current.id
        self._private = Ed25519PrivateKey.from_private_bytes(_bytes(current.private_key))
        self._public: dict[str, Ed25519PublicKey] = {}
        self.learn(known)

    def knows(self, key_id: str) -> bool:
        """Whether a receipt under this key can be verified."""
        return key_id in self._public

    def learn(self, keys: Iterable[SigningKey]) -> None:
        """Verify with these keys too; one that was retired still verifies what it signed."""
        for key in keys:
            self._public[key.id] = Ed25519PublicKey.from_public_bytes(_bytes(key.public_key))

    def sign(self, *, session: str, position: int, revision: int, answer_sha256: str, at: datetime) -> str:
        """The signature of a receipt under the current key."""
        signed = _signed(session, position, revision, answer_sha256, rfc3339(at), self.key_id)
        return _text(self._private.sign(signed))

    def valid(self, receipt: Receipt | ReceiptToVerify) -> bool:
        """Whether the receipt was signed here and nothing in it was changed."""
        key = self._public.get(receipt.key_id)
        if key is None:
            return False
        stored_at = receipt.stored_at if isinstance(receipt.stored_at, str) else rfc3339(receipt.stored_at)
        try:
            signed = _signed(
                receipt.session,
                receipt.position,
                receipt.revision,
                receipt.answer_sha256,
                stored_at,
                receipt.key_id,
            )
            key.verify(_bytes(receipt.signature), signed)
        except (InvalidSignature, binascii.Error, ValueError, InvalidContent):
            return False
        return True


def rfc3339(instant: datetime) -> str:
    """An instant as it is written in JSON.

    Examples
    --------
    >>> from datetime import UTC
    >>> rfc3339(datetime(2026, 11, 22, 10, tzinfo=UTC))
    '2026-11-22T10:00:00Z'
    """
    return instant.isoformat().replace("+00:00", "Z")


def _signed(session: str, position: int, revision: int, answer: str, stored_at: str, key_id: str) -> bytes:
    return canonical_json(
        {
            "session": session,
            "position": position,
            "revision": revision,
            "answer_sha256": answer,
            "stored_at": stored_at,
            "key_id": key_id,
        }
    )


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
