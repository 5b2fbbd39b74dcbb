"""Statements: an eligibility that somebody else can verify without asking us again.

A compact JWS (RFC 7515) with EdDSA (RFC 8037) over the body that was answered.
The public keys are at ``/.well-known/jwks.json``; retired ones stay there, so
that old statements verify.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

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
        self.jwks: dict[str, list[dict[str, str]]] = {"keys": [_jwk(key) for key in known]}

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
        claims = {
            "iss": issuer,
            "iat": int(at.timestamp()),
            "sub": body["subject"]["id"],
            "eligibility": {name: value for name, value in body.items() if name != "statement"},
        }
        return self.jws(claims, kind="JWT")

    def jws(self, claims: Mapping[str, Any], *, kind: str) -> str:
        """Any claims under the current key; `kind` says what they are, so that none is taken for another."""
        header = {"alg": "EdDSA", "kid": self.key_id, "typ": kind}
        signed = f"{_text(canonical_json(header))}.{_text(canonical_json(claims, floats=True))}"
        return f"{signed}.{_text(self._private.sign(signed.encode()))}"

    def learn(self, keys: Iterable[SigningKey]) -> None:
        """Verify what was signed under these keys too."""
        known = {key["kid"] for key in self.jwks["keys"]}
        self.jwks["keys"] += [_jwk(key) for key in keys if key.id not in known]

    def read(self, token: str, *, kind: str) -> dict[str, Any] | None:
        """The claims of a token that was signed here and is of this kind; None for anything else."""
        return read(token, {key["kid"]: key["x"] for key in self.jwks["keys"]}, kind=kind)


def read(token: str, keys: Mapping[str, str], *, kind: str) -> dict[str, Any] | None:
    """The claims of a token that was signed under one of these keys and is of this kind; else None.

    Parameters
    ----------
    keys : mapping of key id to public key
        As a key set holds them.
    """
    try:
        signed, _, signature = token.rpartition(".")
        header, claims = unverified(token)
        if (header["alg"], header["typ"]) != ("EdDSA", kind):
            return None
        Ed25519PublicKey.from_public_bytes(_bytes(keys[header["kid"]])).verify(
            _bytes(signature), signed.encode()
        )
    except (InvalidSignature, ValueError, TypeError, KeyError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None


def unverified(token: str) -> tuple[Any, Any]:
    """Header and claims of a token as they stand there, whoever wrote them.

    Raises
    ------
    ValueError, RecursionError
        It is no token.
    """
    header, claims, _ = token.split(".")
    return json.loads(_bytes(header)), json.loads(_bytes(claims))


def _jwk(key: SigningKey) -> dict[str, str]:
    return {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": key.id, "x": key.public_key}


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
