"""Exposure is counted over delivered sessions, and the alarm is raised where chance does not explain it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from scipy.stats import binomtest

import assess
from assess.delivery import watching
from assess.delivery.settings import Settings
from assess.delivery.watching import Watched, takers, watch
from assess.errors import InvalidRequest, NotFound
from tests import synthetic
from tests.delivery.conftest import Saved, copy_of, saved_after
from tests.delivery.world import Clock, World

FORM = {"adaptive": {"min_units": 5, "max_units": 5, "randomesque": 1}}


def _watched(world: World, target: float | None = None) -> Watched:
    with assess.connect(world.services.settings) as database:
        return watch(database, "x-adaptive", since=world.clock() - timedelta(days=1), target=target)


def _sit(world: World) -> None:
    world.activate(synthetic.document(kind="adaptive", calibrated=True, n_items=15, form=FORM))
    for n in range(12):
        world.learner(f"lrn_{n}")
        world.sit(f"lrn_{n}", "ba"[n % 2], form="x-adaptive")


@pytest.fixture(scope="module")
def twelve(seeded: Saved, tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """Twelve sessions; the first unit is the same for all, as nothing is drawn."""
    return saved_after(seeded, tmp_path_factory.mktemp("watching"), _sit)


@pytest.fixture
def sat(settings: Settings, clock: Clock, twelve: Saved) -> Iterator[World]:
    yield from copy_of(twelve, settings, clock)


def test_every_session_is_counted_once_for_each_unit_it_met(sat: World) -> None:
    found = _watched(sat, target=0.9)
    assert found.n_sessions == 12
    assert found.units["met"].sum() == 12 * 5
    assert found.units["share"].iloc[0] == 1.0
    assert found.units["share"].is_monotonic_decreasing


def test_the_alarm_is_raised_where_even_the_lower_bound_is_above(sat: World) -> None:
    assert _watched(sat, target=0.3).alarms
    assert _watched(sat, target=0.9).alarms == []
    found = _watched(sat, target=0.5).units
    for met, low in found[["met", "low"]].itertuples(index=False):
        level = 1.0 - 2.0 * 0.025 / 15
        exact = binomtest(int(met), 12).proportion_ci(level, method="wilson").low
        assert low == pytest.approx(exact, abs=1e-9)


def test_void_and_open_sessions_are_not_counted(sat: World) -> None:
    sat.learner("lrn_open")
    sat.begin("lrn_open", form="x-adaptive")
    assert _watched(sat, target=0.5).n_sessions == 12


def test_what_cannot_be_watched_is_said(sat: World) -> None:
    with pytest.raises(InvalidRequest, match="states no target of exposure"):
        _watched(sat)
    with pytest.raises(InvalidRequest, match="no share"):
        _watched(sat, target=1.5)
    sat.clock.advance(days=30)
    with pytest.raises(NotFound):
        _watched(sat, target=0.5)


def test_who_takes_a_form_is_known_from_the_scores_that_stand(
    sat: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "FEWEST_SCORES", 12)
    with assess.connect(sat.services.settings) as database:
        scored = database.decisions("twt-3")[["theta", "se"]]
        seen = takers(database, "x-adaptive", "twt-3/1", since=sat.clock() - timedelta(days=1))
    assert seen.n == len(scored) == 12
    assert seen.mean == pytest.approx(scored["theta"].mean())
    assert seen.sd**2 == pytest.approx(scored["theta"].var(ddof=0) + (scored["se"] ** 2).mean())


def test_too_few_scores_on_the_scale_do_not_say_who_takes_a_form(sat: World) -> None:
    since = sat.clock() - timedelta(days=1)
    with assess.connect(sat.services.settings) as database:
        with pytest.raises(
            InvalidRequest, match="has 12 scores on scale twt-3/1 in that time, 200 are needed"
        ):
            takers(database, "x-adaptive", "twt-3/1", since=since)
        with pytest.raises(InvalidRequest, match="has 0 scores on scale other"):
            takers(database, "x-adaptive", "other", since=since)
