"""Secrets and ids: how they are made, hashed and recognised."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import threading
from datetime import datetime

LIVE_PREFIX = "ask_live_"
TEST_PREFIX = "ask_test_"
TOKEN_PREFIX = "lrt_"  # noqa: S105 - a learner token; only its hash is stored
SIGN_IN_PREFIX = "lsi_"


class _Reserve:
    """Random bytes of the kernel, fetched a few thousand at a time: a system call per answer is dear.

    No byte is given out twice, not in a forked process either.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bytes = memoryview(b"")
        os.register_at_fork(after_in_child=self.__init__)  # type: ignore[misc]

    def take(self, n: int) -> bytes:
        with self._lock:
            if len(self._bytes) < n:
                self._bytes = memoryview(secrets.token_bytes(4096))
            taken, self._bytes = self._bytes[:n].tobytes(), self._bytes[n:]
        return taken


_reserve = _Reserve()
# Each of the 32 stands for eight values of a byte: five bits of chance a letter.
_LETTERS = b"abcdefghijklmnopqrstuvwxyz234567" * 8
_IN_ORDER = "234567abcdefghijklmnopqrstuvwxyz"


def new_salt() -> str:
    """128 secret bits as 32 hexadecimal digits."""
    return _reserve.take(16).hex()


def new_id(prefix: str) -> str:
    """A random id: 100 bits in lower-case letters and digits.

    Examples
    --------
    >>> new_id("ses").startswith("ses_"), len(new_id("ses"))
    (True, 24)
    """
    return f"{prefix}_{_reserve.take(20).translate(_LETTERS).decode()}"


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
    return f"{prefix}_{time}{_reserve.take(12).translate(_LETTERS).decode()}"


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
