"""Reading plain mappings into types that cannot be wrong.

Content files and stored releases are nested mappings. A `Fields` object takes
known keys out of one, checks their type, and at the end refuses what nobody
asked for, so that a misspelt key is an error with a place and never a silence.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from assess.errors import InvalidContent

_REQUIRED: Any = object()


class Fields:
    """The fields of one mapping, taken out one by one.

    Parameters
    ----------
    mapping : object
        What was read; anything but a mapping is refused.
    place : str
        Where it stands, for the messages: ``"items/x.v1.yaml"``.

    Examples
    --------
    >>> fields = Fields({"id": "x", "verson": 1}, "items/x.v1.yaml")
    >>> fields.text("id")
    'x'
    >>> fields.finish()
    Traceback (most recent call last):
        ...
    assess.errors.InvalidContent: items/x.v1.yaml: unknown field 'verson'; known here: id
    """

    def __init__(self, mapping: object, place: str) -> None:
        if not isinstance(mapping, Mapping):
            raise InvalidContent(f"expected a mapping, got {type(mapping).__name__}", place=place)
        self._mapping = mapping
        self._seen: list[str] = []
        self.place = place

    def __contains__(self, key: str) -> bool:
        return self._mapping.get(key) is not None

    def at(self, key: str | int) -> str:
        """The place of a field below this mapping."""
        return f"{self.place}: {key}" if self.place else str(key)

    def fault(self, key: str, message: str) -> InvalidContent:
        """An error about one field, ready to be raised."""
        return InvalidContent(message, place=self.at(key))

    def raw(self, key: str, default: Any = _REQUIRED) -> Any:
        """The value as it stands; a missing one without a default is refused."""
        self._seen.append(key)
        value = self._mapping.get(key)
        if value is None:
            if default is _REQUIRED:
                raise InvalidContent(f"the field {key!r} is missing", place=self.place)
            return default
        return value

    def text(self, key: str, default: Any = _REQUIRED) -> str:
        """A non-empty string; a bare number is refused, so that codes stay strings."""
        value = self.raw(key, default)
        if value is default and default is not _REQUIRED:
            return value  # type: ignore[no-any-return]
        if not isinstance(value, str) or not value.strip():
            raise self.fault(key, f"expected text, got {value!r}; quote it if it looks like a number")
        return value.strip()

    def choice(self, key: str, allowed: Sequence[str], default: Any = _REQUIRED) -> str:
        """One of a few words."""
        value = self.text(key, default)
        if value not in allowed:
            raise self.fault(key, f"{value!r} is not one of {', '.join(allowed)}")
        return value

    def integer(self, key: str, default: Any = _REQUIRED, *, minimum: int | None = None) -> int:
        """A whole number; true and false are not numbers here."""
        value = self.raw(key, default)
        if value is default and default is not _REQUIRED:
            return value  # type: ignore[no-any-return]
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.fault(key, f"expected a whole number, got {value!r}")
        if minimum is not None and value < minimum:
            raise self.fault(key, f"{value} is below {minimum}")
        return value

    def number(self, key: str, default: Any = _REQUIRED) -> float:
        """A finite number."""
        value = self.raw(key, default)
        if value is default and default is not _REQUIRED:
            return value  # type: ignore[no-any-return]
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.fault(key, f"expected a finite number, got {value!r}")
        return float(value)

    def flag(self, key: str, default: Any = _REQUIRED) -> bool:
        """True or false."""
        value = self.raw(key, default)
        if not isinstance(value, bool):
            raise self.fault(key, f"expected true or false, got {value!r}")
        return value

    def strings(self, key: str, default: Any = _REQUIRED) -> tuple[str, ...]:
        """A list of non-empty strings."""
        value = self.raw(key, default)
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise self.fault(key, f"expected a list, got {value!r}")
        for i, entry in enumerate(value):
            if not isinstance(entry, str) or not entry:
                raise self.fault(
                    f"{key}[{i}]", f"expected text, got {entry!r}; quote it if it looks like a number"
                )
        return tuple(value)

    def texts(self, key: str, default: Any = _REQUIRED) -> dict[str, str]:
        """A mapping from string to non-empty string (by language, by option)."""
        value = self.raw(key, default)
        if not isinstance(value, Mapping):
            raise self.fault(key, f"expected a mapping, got {value!r}")
        for inner, entry in value.items():
            if not isinstance(inner, str) or not isinstance(entry, str) or not entry.strip():
                raise self.fault(
                    f"{key}.{inner}", f"expected text under a text key, got {inner!r}: {entry!r}"
                )
        return {inner: entry.strip() for inner, entry in value.items()}

    def below(self, key: str) -> Fields:
        """The fields of a mapping inside this one."""
        return Fields(self.raw(key), self.at(key))

    def each(self, key: str, default: Any = _REQUIRED) -> Iterator[Fields]:
        """The mappings of a list, one by one."""
        value = self.raw(key, default)
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise self.fault(key, f"expected a list, got {value!r}")
        for i, entry in enumerate(value):
            yield Fields(entry, self.at(f"{key}[{i}]"))

    def named(self, key: str, default: Any = _REQUIRED) -> Iterator[tuple[str, Fields]]:
        """The mappings of a mapping, with their names."""
        value = self.raw(key, default)
        if not isinstance(value, Mapping):
            raise self.fault(key, f"expected a mapping, got {value!r}")
        for name, entry in value.items():
            if not isinstance(name, str):
                raise self.fault(f"{key}.{name}", "expected a text key; quote it if it looks like a number")
            yield name, Fields(entry, self.at(f"{key}.{name}"))

    def finish(self) -> None:
        """Refuse every field that was not asked for."""
        unknown = [key for key in self._mapping if key not in self._seen]
        if unknown:
            known = ", ".join(dict.fromkeys(self._seen))
            raise InvalidContent(f"unknown field {unknown[0]!r}; known here: {known}", place=self.place)
