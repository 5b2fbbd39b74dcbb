"""What every wire type is made of."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")
Number = int | float  # score points are whole, raw ranges need not be


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client sends; an unknown field is refused."""


class Reply(msgspec.Struct, frozen=True):
    """What a client gets."""


class Page(Reply, Generic[T], frozen=True):
    """A list, with the cursor of what follows."""

    items: list[T]
    next: str | None = None


def encode(reply: object) -> bytes:
    """A reply as JSON."""
    return _ENCODER.encode(reply)


def plain(reply: object) -> Any:
    """A reply as plain JSON values, for storage and comparison."""
    return msgspec.json.decode(_ENCODER.encode(reply))


_ENCODER = msgspec.json.Encoder()
