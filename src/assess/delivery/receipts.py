"""Receipts: a signed statement that an answer is stored, which anybody can have checked later.

Ed25519 over the canonical JSON of the receipt without its signature. The key
pair is made with the database and stays in it, so that a receipt outlives the
server that wrote it.

A signature costs more than all else that an answer asks of the processor, so
answers that arrive together are signed together: their receipts are the leaves
of a hash tree, its root is signed, and each receipt carries the hashes beside
its way to the root. Such a receipt proves what one that was signed alone
proves, and needs no other receipt to be checked.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from assess.delivery.schemas import Receipt, ReceiptToVerify
from assess.delivery.store.rows import ResponseRow, SigningKey

PURPOSE = "receipt"
# What is signed for a tree cannot be read as a receipt, which begins with a brace.
_TREE = b"assess receipts tree/1\n"
_LARGEST_TREE = 32
_LONGEST_WAY = 16
_ENCODER = msgspec.json.Encoder(order="sorted")


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


class Signing:
    """Signs the receipts of rows that are written together; it goes to whoever writes them."""

    __slots__ = ("_key", "_private")

    def __init__(self, key: str) -> None:
        self._key = key
        self._private = Ed25519PrivateKey.from_private_bytes(_bytes(key))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Signing) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __reduce__(self) -> tuple[type[Signing], tuple[str]]:
        return Signing, (self._key,)

    def texts(self, rows: Sequence[ResponseRow]) -> list[str]:
        """A signature of each row's receipt, one act of signing for as many as make a tree."""
        found: list[str] = []
        for at in range(0, len(rows), _LARGEST_TREE):
            found += self._together(
                [
                    _signed(r.session, r.position, r.revision, r.answer_sha256, rfc3339(r.at), r.key_id)
                    for r in rows[at : at + _LARGEST_TREE]
                ]
            )
        return found

    def _together(self, statements: Sequence[bytes]) -> list[str]:
        if len(statements) == 1:
            return [_text(self._private.sign(statements[0]))]
        root, ways = _tree([_leaf(statement) for statement in statements])
        signature = _text(self._private.sign(_TREE + root))
        return [f"{signature}.{_text(way)}" for way in ways]


class ReceiptSigner:
    """Signs with the newest key, verifies with every key there ever was."""

    def __init__(self, keys: Iterable[SigningKey]) -> None:
        known = list(keys)
        current = next(key for key in reversed(known) if key.retired_at is None)
        self.key_id = current.id
        self.signing = Signing(current.private_key)
        self._public: dict[str, Ed25519PublicKey] = {}
        self.learn(known)

    def knows(self, key_id: str) -> bool:
        """Whether a receipt under this key can be verified."""
        return key_id in self._public

    def learn(self, keys: Iterable[SigningKey]) -> None:
        """Verify with these keys too; one that was retired still verifies what it signed."""
        for key in keys:
            self._public[key.id] = public_key(key.public_key)

    def valid(self, receipt: Receipt | ReceiptToVerify) -> bool:
        """Whether the receipt was signed here and nothing in it was changed."""
        key = self._public.get(receipt.key_id)
        return key is not None and signed_by(key, receipt)


def public_key(text: str) -> Ed25519PublicKey:
    """A public key as it is stored and handed out."""
    return Ed25519PublicKey.from_public_bytes(_bytes(text))


def signed_by(key: Ed25519PublicKey, receipt: Receipt | ReceiptToVerify) -> bool:
    """Whether the holder of a key signed the receipt, and nothing in it was changed."""
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
        signature, in_tree, way = receipt.signature.partition(".")
        if in_tree:
            signed = _TREE + _root(_leaf(signed), _bytes(way))
        key.verify(_bytes(signature), signed)
    except (InvalidSignature, binascii.Error, ValueError, OverflowError):
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
    """The canonical JSON of a receipt without its signature.

    Written by msgspec, which spells such a flat object as `canonical_json` does, at a tenth of its time.
    """
    return _ENCODER.encode(
        {
            "session": session,
            "position": position,
            "revision": revision,
            "answer_sha256": answer,
            "stored_at": stored_at,
            "key_id": key_id,
        }
    )


# --- the tree: hashes of leaves and of pairs differ in their first byte, as in RFC 9162, section 2.1 ---


def _leaf(statement: bytes) -> bytes:
    return hashlib.sha256(b"\0" + statement).digest()


def _pair(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def _tree(leaves: list[bytes]) -> tuple[bytes, list[bytes]]:
    """The root, and the way of each leaf: per step a byte (the other one is 0 left, 1 right) and its hash."""
    ways = [b""] * len(leaves)
    row = [(leaf, [n]) for n, leaf in enumerate(leaves)]
    while len(row) > 1:
        above = []
        for (left, under_left), (right, under_right) in zip(row[::2], row[1::2], strict=False):
            for n in under_left:
                ways[n] += b"\1" + right
            for n in under_right:
                ways[n] += b"\0" + left
            above.append((_pair(left, right), under_left + under_right))
        if len(row) % 2:
            above.append(row[-1])
        row = above
    return row[0][0], ways


def _root(leaf: bytes, way: bytes) -> bytes:
    steps, rest = divmod(len(way), 33)
    if rest or not 1 <= steps <= _LONGEST_WAY:
        raise ValueError("a way has 1 to 16 steps of 33 bytes")
    found = leaf
    for at in range(0, len(way), 33):
        side, beside = way[at], way[at + 1 : at + 33]
        if side not in (0, 1):
            raise ValueError("a side is 0 or 1")
        found = _pair(found, beside) if side else _pair(beside, found)
    return found


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
