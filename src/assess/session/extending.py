"""An undetermined session that goes on: whether it may, with which clock, and what comes next in it."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime

from assess.errors import PositionConflict
from assess.irt.adaptive import Selection
from assess.irt.extension import ExtendedTest
from assess.session.state import SessionState, chance
from assess.session.timing import Extension


def can_be_extended(state: SessionState) -> bool:
    """Whether an ended session could go on if its decision leaves undetermined.

    It ended by its own rule, was not extended as often as its form allows, and
    enough unseen units are left. One whose time ran out, or that was handed in
    early, cannot: its blanks count, and more items must not wash them out.

    Examples
    --------
    >>> can_be_extended(fold(release, record, (), ()))
    False
    """
    if state.void or state.ending is None or state.ending.how != "completed":
        return False
    tests = state.release.extended_tests_at(state.start.try_number)
    if len(state.extensions) >= len(tests):
        return False
    test = tests[len(state.extensions)]
    # What is closed for exposure may be met: it is a few.
    return test.room(state.complete, state.excluded_rows) >= test.rule.min_units


def with_extension(state: SessionState, now: datetime) -> SessionState:
    """The state after the learner went on: open again, with a clock of its own.

    Raises
    ------
    PositionConflict
        It cannot be extended.

    Examples
    --------
    >>> with_extension(fold(release, record, (), ()), noon)
    Traceback (most recent call last):
        ...
    assess.errors.PositionConflict: this session cannot be extended
    """
    if not can_be_extended(state):
        raise PositionConflict("this session cannot be extended")
    form = state.release.form
    assert form.extension is not None
    assert form.adaptive is not None
    seconds = None
    if state.start.time_limit_seconds is not None:
        share = form.extension.max_units / form.adaptive.max_units
        seconds = math.ceil(state.start.time_limit_seconds * share)
    extension = Extension(len(state.extensions) + 1, now, state.position, seconds)
    # A new clock: whatever was computed of the old one is not carried over.
    return replace(state, ending=None, extensions=(*state.extensions, extension))


def chosen_in_extension(state: SessionState) -> Selection:
    """The next unit of an extended session, or why the extension ends, from its records alone."""
    extension = state.extensions[-1]
    done = state.complete
    before = len(state.completed_by(extension.after_position))
    u = chance(state.start.seed, "select", len(done))
    test = extended_test(state)
    return test.next_unit(done, n_before=before, u=u, excluded=state.excluded_rows)


def extended_test(state: SessionState) -> ExtendedTest:
    """What chooses in the extension that a session is in."""
    return state.release.extended_tests_at(state.start.try_number)[len(state.extensions) - 1]
