"""The record of a decision: exact numbers, canonical JSON, a chain of hashes.

A record must give the same bytes on every machine and in every year, or its
hash proves nothing. So it holds no floating-point numbers: a measured number
enters as a decimal string of nine significant digits, and the decision is
taken on that rounded number, so that the record and the decision agree.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from assess.errors import InvalidContent

SIGNIFICANT_DIGITS = 9
GENESIS = "0" * 64
"""What stands in for the hash before the first record of a chain."""

# Beyond this a reader that keeps JSON numbers as doubles would change the value (RFC 8259, section 6).
_LARGEST_INTEGER = 2**53 - 1


def decimal9(x: float) -> str:
    """A number as the canonical decimal string of nine significant digits.

    Rounding is that of the exact binary value, half to even, as IEEE 754 and
    Python's formatting define it on every platform. Trailing zeros and a
    negative zero disappear. From 1e-6 up to, but not including, 1e15 in
    absolute value the notation is plain; outside it is ``d.ddde-7``.

    Raises
    ------
    InvalidContent
        The number is not finite.

    Examples
    --------
    >>> decimal9(0.94), decimal9(-1.2345), decimal9(1 / 3), decimal9(-0.0)
    ('0.94', '-1.2345', '0.333333333', '0')
    >>> decimal9(123456789012.0), decimal9(1e-12), decimal9(2.5e20)
    ('123456789000', '1e-12', '2.5e20')
    """
    x = float(x)
    if not math.isfinite(x):
        raise InvalidContent(f"{x} cannot stand in a record; write null for what is unknown")
    # Formatting rounds the binary value once; rounding its shortest digits would round a second time.
    mantissa, exponent = f"{x:.{SIGNIFICANT_DIGITS - 1}e}".split("e")
    power = int(exponent)
    if float(mantissa) == 0.0:
        return "0"
    if -6 <= power < 15:
        plain = format(Decimal(mantissa).scaleb(power), "f")
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    return f"{mantissa.rstrip('0').rstrip('.')}e{power}"


def rounded9(x: float) -> float:
    """The number that `decimal9` writes, as a float: what decisions compare.

    Examples
    --------
    >>> rounded9(0.74999999996)
    0.75
    """
    return float(decimal9(x))


def sha256(data: bytes) -> str:
    """SHA-256 as 64 lower-case hexadecimal digits.

    Examples
    --------
    >>> sha256(b"")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(data).hexdigest()


def canonical_json(value: object, *, floats: bool = False) -> bytes:
    """JSON with one spelling: sorted keys, no spaces, UTF-8, no floats.

    Keys are sorted by code point. Strings are written as they are, not
    normalised. Allowed are null, booleans, integers up to 2**53 - 1 in
    absolute value, strings, lists, tuples and mappings with string keys.

    `floats=True` is for content (releases), whose numbers were written by
    people or published once: a finite float is then spelt with its shortest
    digits, which every reader turns back into the same number.

    Raises
    ------
    InvalidContent
        Anything else, with its path.

    Examples
    --------
    >>> canonical_json({"b": [1, None], "a": "ä"}).decode()
    '{"a":"ä","b":[1,null]}'
    >>> canonical_json({"score": {"theta": 0.5}})
    Traceback (most recent call last):
        ...
    assess.errors.InvalidContent: score.theta: 0.5 is a float; write it with decimal9
    """
    plain = value if _is_plain(value, floats) else _checked(value, "", floats)
    return _encode(plain).encode()


# Made once: `json.dumps` with options makes an encoder for every call.
_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


def _is_plain(value: Any, floats: bool) -> bool:
    """Whether all of it is certainly allowed as it stands; of anything else, `_checked` has the last word.

    It makes no copy and no path, which took most of the time that a record took.
    """
    waiting = [value]
    for each in waiting:  # a list takes more while it is gone through
        kind = type(each)
        if kind is str:
            if not each.isascii():
                return False
        elif kind is dict:
            if not all(type(key) is str and key.isascii() for key in each):
                return False
            waiting += each.values()
        elif kind is list or kind is tuple:
            waiting += each
        elif kind is int:
            if not -_LARGEST_INTEGER <= each <= _LARGEST_INTEGER:
                return False
        elif kind is float:
            if not (floats and math.isfinite(each)):
                return False
        elif each is not None and kind is not bool:
            return False
    return True


def _checked(value: object, path: str, floats: bool) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if abs(value) > _LARGEST_INTEGER:
            raise InvalidContent(f"{value} is beyond 2**53 - 1; write it as a string", place=path)
        return int(value)
    if isinstance(value, float):
        if floats and math.isfinite(value):
            return float(value)
        raise InvalidContent(f"{value!r} is a float; write it with decimal9", place=path)
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidContent(f"{value!r} holds half of a surrogate pair", place=path) from None
        return str(value)
    if isinstance(value, Mapping):
        checked = {}
        for key, inner in value.items():
            if not isinstance(key, str):
                raise InvalidContent(f"key {key!r} is not a string", place=path)
            checked[str(_checked(key, path, floats))] = _checked(
                inner, f"{path}.{key}" if path else key, floats
            )
        return checked
    if isinstance(value, list | tuple):
        return [_checked(inner, f"{path}[{index}]", floats) for index, inner in enumerate(value)]
    raise InvalidContent(f"a {type(value).__name__} has no place in a record", place=path)


def record_sha256(previous_sha: str, record: Mapping[str, object]) -> str:
    r"""The hash of a record in its chain.

    .. math:: h_n = \mathrm{SHA256}(h_{n-1} \,\|\, \texttt{"\\n"} \,\|\, \mathrm{canonical}(r_n))

    with hashes as 64 lower-case hexadecimal digits; `GENESIS` precedes the
    first record.

    Raises
    ------
    InvalidContent
        The previous hash is not 64 lower-case hexadecimal digits, or the
        record is not canonical.

    Examples
    --------
    >>> first = record_sha256(GENESIS, {"status": "passed"})
    >>> record_sha256(first, {"status": "passed"}) == first
    False
    """
    if len(previous_sha) != 64 or not set(previous_sha) <= set("0123456789abcdef"):
        raise InvalidContent(f"{previous_sha!r} is not a SHA-256 in 64 lower-case hexadecimal digits")
    return hashlib.sha256(previous_sha.encode() + b"\n" + canonical_json(record)).hexdigest()


def first_break(chain: Iterable[tuple[Mapping[str, object], str]], *, start: str = GENESIS) -> int | None:
    """The position of the first record whose stored hash does not follow.

    Parameters
    ----------
    chain : iterable of (record, stored hash)
        In the order in which they were chained.
    start : str
        The hash before the first of them.

    Returns
    -------
    int or None
        None when the whole chain holds.

    Examples
    --------
    >>> first = record_sha256(GENESIS, {"n": 1})
    >>> second = record_sha256(first, {"n": 2})
    >>> first_break([({"n": 1}, first), ({"n": 2}, second)])
    >>> first_break([({"n": 1}, first), ({"n": 3}, second)])
    1
    """
    previous = start
    for position, (record, stored) in enumerate(chain):
        if record_sha256(previous, record) != stored:
            return position
        previous = stored
    return None
