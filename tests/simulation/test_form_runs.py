"""Simulated learners go the way that real sessions go: the same units, the same decisions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from assess.session import answer, fold, outcome, start, step, with_ending, with_offer, with_response
from assess.simulation import run_form, with_estimates
from tests import synthetic

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
WORDS = {1: "passed", 0: "undetermined", -1: "not_passed"}


def _session(release, units, categories):
    """The session of a learner who answers as the simulated one did; the units it met and its decision."""
    record = start(release, session="s", learner="l", seed="0f" * 16, now=NOON)
    state, now, met = fold(release, record, (), ()), NOON, []
    answers = dict(zip(units.tolist(), categories.tolist(), strict=True))
    while True:
        following = step(state, now)
        if following.ending is not None or following.waiting:
            break
        now += timedelta(seconds=5)
        assert following.offer is not None
        state = with_offer(state, following.offer, now)
        unit = release.unit_of[following.offer]
        met.append(unit)
        raw = "b" if answers[unit] else "a"
        item = release.items[following.offer].id
        given = answer(
            state, position=state.position, item=item, revision=1, raw=raw, now=now, salt="00" * 16
        )
        state = with_response(state, given)
    assert following.ending is not None
    ended = with_ending(state, following.ending)
    return met, outcome(ended, decided_at=now)


@pytest.mark.parametrize("calibrated", [True, False])
def test_adaptive_learners_meet_what_a_session_offers_and_get_its_decision(calibrated):
    release = synthetic.release(
        kind="adaptive",
        calibrated=calibrated,
        n_items=20,
        form={"adaptive": {"min_units": 5, "max_units": 9, "randomesque": 1}},
    )
    run = run_form(release, np.linspace(-2.0, 2.0, 20), np.random.default_rng(1))
    for row in range(20):
        units = run.units[row][run.units[row] >= 0]
        met, decided = _session(release, units, run.categories[row][: len(units)])
        assert met == units.tolist()
        assert decided.decision.status == WORDS[int(run.outcomes[row])]
        assert decided.score is not None
        assert decided.score.theta == pytest.approx(run.theta[row], abs=1e-6)


@pytest.mark.parametrize("rule", [{"kind": "raw"}, {"kind": "probability"}, {"kind": "point"}])
def test_learners_of_a_fixed_form_get_the_decision_of_a_session(rule):
    calibrated = rule["kind"] != "raw"
    # Off the middle of the items: as many right as wrong would be a tie that rounding decides.
    form, cut = {"review": "none", "rule": rule}, {"theta": 0.1}
    release = synthetic.release(calibrated=calibrated, form=form, cut=cut)
    run = with_estimates(release, run_form(release, np.linspace(-1.0, 1.0, 12), np.random.default_rng(2)))
    for row in range(12):
        met, decided = _session(release, run.units[row], run.categories[row])
        assert met == list(range(12))
        assert decided.decision.status == WORDS[int(run.outcomes[row])]
        if decided.score is not None:
            assert decided.score.theta == pytest.approx(run.theta[row], abs=1e-6)


def test_only_the_undetermined_are_extended_and_they_meet_nothing_twice():
    adaptive = {"adaptive": {"min_units": 5, "max_units": 6, "randomesque": 1}}
    plain = synthetic.release(kind="adaptive", calibrated=True, n_items=24, form=adaptive)
    extended = synthetic.release(
        kind="adaptive", calibrated=True, n_items=24, form=adaptive | {"extension": {"max_units": 8}}
    )
    theta = np.random.default_rng(3).normal(0.0, 0.5, 400)
    before = run_form(plain, theta, np.random.default_rng(4))
    after = run_form(extended, theta, np.random.default_rng(4))
    open_ = before.outcomes == 0
    assert open_.any()
    assert (after.extensions[~open_] == 0).all()
    assert (after.extensions[open_] >= 1).all()
    assert (after.outcomes[~open_] == before.outcomes[~open_]).all()
    assert (after.outcomes == 0).sum() < open_.sum()
    added = after.n_units - before.n_units
    assert added[open_].min() >= 6
    assert added.max() <= 16
    for row in after.units:
        assert len(set(row[row >= 0].tolist())) == (row >= 0).sum()


def test_no_extension_is_offered_where_fewer_units_are_left_than_it_has():
    form = {"adaptive": {"min_units": 5, "max_units": 6, "randomesque": 1}, "extension": {"min_units": 6}}
    release = synthetic.release(kind="adaptive", calibrated=True, n_items=11, form=form)
    run = run_form(release, np.zeros(50), np.random.default_rng(5))
    assert (run.extensions == 0).all()
