"""Secrets and ids: how they are made, hashed and recognised."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from datetime import datetime

LIVE_PREFIX = "ask_live_"
TEST_PREFIX = "ask_test_"
TOKEN_PREFIX = "lrt_"  # noqa: S105 - a learner token; only its hash is stored
SIGN_IN_PREFIX = "lsi_"


class _Reserve:
    """Texts of random bytes of the kernel, made some hundred at a time: a system call per answer is dear.

    No text is given out twice, not in a forked process either.
    """

    def __init__(self, n_bytes: int, text: Callable[[bytes], str]) -> None:
        self._n_bytes = n_bytes
        self._text = text
        self._ready: list[str] = []
        os.register_at_fork(after_in_child=self._ready.clear)

    def take(self) -> str:
        try:
            return self._ready.pop()
        except IndexError:
            n = self._n_bytes
            chance = secrets.token_bytes(256 * n)
            made = [self._text(chance[at : at + n]) for at in range(0, 256 * n, n)]
            own = made.pop()
            self._ready.extend(made)
            return own


# Each of the 32 stands for eight values of a byte: five bits of chance a letter.
_LETTERS = b"abcdefghijklmnopqrstuvwxyz234567" * 8
_IN_ORDER = "234567abcdefghijklmnopqrstuvwxyz"
_salts = _Reserve(16, bytes.hex)
_ids = _Reserve(20, lambda chance: chance.translate(_LETTERS).decode())


def new_salt() -> str:
    """128 secret bits as 32 hexadecimal digits."""
    return _salts.take()


def new_id(prefix: str) -> str:
    """A random id: 100 bits in lower-case letters and digits.

    Examples
    --------
    >>> new_id("ses").startswith("ses_"), len(new_id("ses"))
    (True, 24)
    """
    return f"{prefix}_{_ids.take()}"


def new_timed_id(prefix: str, at: datetime) -> str:
    """A random id that sorts by when it was made: 40 bits of time, in 32nds of a second, and 60 of chance.

    Rows of those who began together then lie together in every index, where
    each would be on a page of its own.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> new_timed_id("ses", datetime(2026, 1, 1, tzinfo=UTC))[:12]
    'ses_3opfic22'
    """
    ticks = int(at.timestamp() * 32)
    time = "".join(_IN_ORDER[ticks >> shift & 31] for shift in range(35, -1, -5))
    return f"{prefix}_{time}{_ids.take()[:12]}"


def new_api_key(*, sandbox: bool) -> str:
    """A new API key: 200 random bits after a prefix that says what it reaches."""
    return (TEST_PREFIX if sandbox else LIVE_PREFIX) + _base32(secrets.token_bytes(25))


def new_token() -> str:
    """A learner token that nobody can derive."""
    return TOKEN_PREFIX + _base32(secrets.token_bytes(25))


def new_sign_in_token() -> str:
    """The token of a learner who signed in: good for the pages only."""
    return SIGN_IN_PREFIX + _base32(secrets.token_bytes(25))


def new_share_token() -> str:
    """The token of a link under which a learner shows badges."""
    return _base32(secrets.token_bytes(25))


def derived_token(token_key: bytes, *parts: str) -> str:
    """A learner token that the same request gives again.

    The key comes from the API key that the client presents, so a repeated
    request gets its token back although only the token's hash was stored.
    """
    digest = hmac.new(token_key, "\n".join(parts).encode(), hashlib.sha256).digest()
    return TOKEN_PREFIX + _base32(digest[:25])


def token_key(api_key: str) -> bytes:
    """The secret from which the tokens of one API key are derived."""
    return hmac.new(api_key.encode(), b"assess learner tokens", hashlib.sha256).digest()


def digest(secret: str) -> str:
    """The stored form of a secret. Its 200 random bits make a slow hash needless.

    Examples
    --------
    >>> digest("ask_live_x")[:8]
    'a1192132'
    """
    return hashlib.sha256(secret.encode()).hexdigest()


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()
