"""Statements: an eligibility that somebody else can verify without asking us again.

A compact JWS (RFC 7515) with EdDSA (RFC 8037) over the body that was answered.
The public keys are at ``/.well-known/jwks.json``; retired ones stay there, so
that old statements verify.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from assess.delivery.store.rows import SigningKey
from assess.standards.records import canonical_json

PURPOSE = "statement"


class StatementSigner:
    """Signs with the newest key, and publishes every key there ever was."""

    def __init__(self, keys: Iterable[SigningKey]) -> None:
        known = list(keys)
        current = next(key for key in reversed(known) if key.retired_at is None)
        self.key_id = current.id
        self._private = Ed25519PrivateKey.from_private_bytes(_bytes(current.private_key))
        self.jwks: dict[str, list[dict[str, str]]] = {
            "keys": [
                {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": k.id, "x": k.public_key}
                for k in known
            ]
        }

    def sign(self, body: Mapping[str, Any], *, issuer: str, at: datetime) -> str:
        """A body as a signed statement.

        Parameters
        ----------
        body : mapping
            Plain JSON; its `statement` is left out, it cannot hold itself.
        issuer : str
            Where this server is reached.
        at : datetime
            When the statement is made.
        """
        header = {"alg": "EdDSA", "kid": self.key_id, "typ": "JWT"}
        claims = {
            "iss": issuer,
            "iat": int(at.timestamp()),
            "sub": body["subject"]["id"],
            "eligibility": {name: value for name, value in body.items() if name != "statement"},
        }
        signed = f"{_text(canonical_json(header))}.{_text(canonical_json(claims, floats=True))}"
        return f"{signed}.{_text(self._private.sign(signed.encode()))}"


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
