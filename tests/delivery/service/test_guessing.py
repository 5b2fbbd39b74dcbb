"""Limits against guessing: from one place, from all, and what they cost in memory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from assess.delivery.service import guessing
from assess.delivery.service.guessing import Guesses
from assess.errors import RateLimited

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_wrong_codes_use_up_a_places_tries_and_time_gives_them_back() -> None:
    guesses = Guesses(per_place=3, place_seconds=10)
    for _ in range(3):
        guesses.require("192.0.2.1", NOW)
        guesses.wrong("192.0.2.1", NOW)
    with pytest.raises(RateLimited) as refusal:
        guesses.require("192.0.2.1", NOW)
    assert refusal.value.retry_after == 10
    guesses.require("192.0.2.2", NOW)
    with pytest.raises(RateLimited) as refusal:
        guesses.require("192.0.2.1", NOW + timedelta(seconds=4))
    assert refusal.value.retry_after == 6
    guesses.require("192.0.2.1", NOW + timedelta(seconds=10))


def test_right_codes_cost_nothing() -> None:
    guesses = Guesses(per_place=1)
    for _ in range(100):
        guesses.require("192.0.2.1", NOW)


def test_a_network_of_version_6_is_one_place() -> None:
    guesses = Guesses(per_place=2)
    for n in range(2):
        guesses.wrong(f"2001:db8::{n}", NOW)
    with pytest.raises(RateLimited):
        guesses.require("2001:db8::ffff", NOW)


def test_guesses_from_everywhere_are_limited_together() -> None:
    guesses = Guesses(in_all=50, all_seconds=2)
    for n in range(50):
        guesses.wrong(f"192.0.2.{n}", NOW)
    with pytest.raises(RateLimited) as refusal:
        guesses.require("198.51.100.1", NOW)
    assert refusal.value.retry_after == 2


def test_a_clock_that_steps_back_gives_nothing_and_takes_nothing() -> None:
    guesses = Guesses(per_place=2, place_seconds=10)
    guesses.wrong("a", NOW)
    guesses.require("a", NOW - timedelta(days=1))


def test_places_are_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guessing, "_MOST_PLACES", 10)
    guesses = Guesses(per_place=2, place_seconds=1)
    for n in range(100):
        guesses.wrong(f"192.0.2.{n}", NOW)
        assert len(guesses._places) <= 10
    late = NOW + timedelta(hours=1)
    for n in range(10):
        guesses.require(f"198.51.100.{n}", late)
    assert len(guesses._places) <= 10
