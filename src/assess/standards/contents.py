"""What a fact carries, as tokens and as a hash: each made when it is asked for, which it seldom is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from assess.standards.grammar import token


class Tokens(Mapping[str, str]):
    """Properties as tokens, each made when it is asked for: most never are."""

    __slots__ = ("_made", "_properties")

    def __init__(self, properties: Mapping[str, Any]) -> None:
        self._properties = properties
        self._made: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        found = self._made.get(name)
        if found is None:
            found = self._made[name] = token(self._properties[name])
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._properties)

    def __len__(self) -> int:
        return len(self._properties)


class Digest:
    """The content of a fact as a hash, the last word on which of two comes first; made when it is asked for.

    Delivery is no part of what happened: the same event delivered twice is one fact.
    """

    __slots__ = ("_content", "_made")

    def __init__(self, properties: Mapping[str, Any], **more: Any) -> None:
        self._content = (properties, more)
        self._made = ""

    def __str__(self) -> str:
        if not self._made:
            properties, more = self._content
            self._made = sha256(token({**properties, **more}).encode()).hexdigest()
        return self._made

    def __eq__(self, other: object) -> bool:
        return self is other or str(self) == str(other)

    def __lt__(self, other: object) -> bool:
        return str(self) < str(other)

    def __hash__(self) -> int:
        return hash(str(self))
