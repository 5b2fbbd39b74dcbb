"""Canonical numbers, canonical JSON, and the chain."""

from __future__ import annotations

import hashlib
import json
import math
from decimal import ROUND_HALF_EVEN, Context, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assess.errors import InvalidContent
from assess.standards.records import (
    GENESIS,
    canonical_json,
    decimal9,
    first_break,
    record_sha256,
    rounded9,
)

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.94, "0.94"),
        (-1.2345, "-1.2345"),
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (100.0, "100"),
        (0.1 + 0.2, "0.3"),
        (2 / 3, "0.666666667"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (-1.5e-9, "-1.5e-9"),
        (999999999.5, "1000000000"),
        (1e14, "100000000000000"),
        (1e15, "1e15"),
        (5e-324, "4.94065646e-324"),
    ],
)
def test_a_number_has_one_canonical_spelling(number, text):
    assert decimal9(number) == text


@given(NUMBERS)
def test_the_spelling_is_the_exact_binary_value_rounded_once(number):
    exact = Context(prec=9, rounding=ROUND_HALF_EVEN).create_decimal(Decimal(number))
    assert Decimal(decimal9(number)) == exact


@given(NUMBERS)
def test_rounding_twice_is_rounding_once(number):
    if math.isfinite(rounded9(number)):
        assert decimal9(rounded9(number)) == decimal9(number)


@given(NUMBERS, NUMBERS)
def test_rounding_keeps_the_order(left, right):
    if left <= right:
        assert rounded9(left) <= rounded9(right)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused(number):
    with pytest.raises(InvalidContent, match="null for what is unknown"):
        decimal9(number)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(_JSON)
def test_canonical_json_reads_back_as_what_was_written(value):
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=3), st.integers(-5, 5)))
def test_the_order_of_keys_changes_nothing(mapping):
    assert canonical_json(dict(reversed(mapping.items()))) == canonical_json(mapping)


def test_canonical_json_has_no_space_and_no_escapes():
    assert canonical_json({"z": "né", "a": (1, None, True)}) == '{"a":[1,null,true],"z":"né"}'.encode()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"score": {"theta": 0.5}}, r"score\.theta: 0\.5 is a float"),
        ({"rows": [1, [2.0]]}, r"rows\[1\]\[0\]: 2\.0 is a float"),
        ({"a": {1: "x"}}, r"a: key 1 is not a string"),
        ({"a": 2**53}, r"a: 9007199254740992 is beyond"),
        ({"a": "\ud800"}, r"a: .* surrogate"),
        ({"a": {1, 2}}, r"a: a set has no place"),
        ({"a": b"x"}, r"a: a bytes has no place"),
    ],
)
def test_what_has_no_one_spelling_is_refused_by_path(value, message):
    with pytest.raises(InvalidContent, match=message):
        canonical_json(value)


def test_the_hash_is_that_of_the_previous_hash_and_the_canonical_bytes():
    expected = hashlib.sha256(b"0" * 64 + b"\n" + b'{"n":1}').hexdigest()
    assert record_sha256(GENESIS, {"n": 1}) == expected


def test_a_previous_hash_that_is_none_is_refused():
    with pytest.raises(InvalidContent, match="64 lower-case"):
        record_sha256("ABC", {"n": 1})


@pytest.mark.parametrize("changed", [0, 1, 2])
def test_a_changed_record_breaks_the_chain_where_it_stands(changed):
    records, chain, sha = [{"n": n} for n in range(3)], [], GENESIS
    for record in records:
        sha = record_sha256(sha, record)
        chain.append((record, sha))
    assert first_break(chain) is None
    chain[changed] = ({"n": 99}, chain[changed][1])
    assert first_break(chain) == changed


def test_a_removed_record_breaks_the_chain():
    first = record_sha256(GENESIS, {"n": 1})
    second = record_sha256(first, {"n": 2})
    assert first_break([({"n": 2}, second)]) == 0
    assert first_break([({"n": 2}, second)], start=first) is None
