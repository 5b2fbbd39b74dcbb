"""A table of exposure is the next version of a form: computed, checked as a release, written beside it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from assess import __version__
from assess.errors import InvalidContent, InvalidParameters
from assess.items import Form
from assess.publishing import load_bank, release_document
from assess.publishing.assembling import write_forms
from assess.publishing.exposing import Takers, renewed
from assess.session import Release
from assess.simulation.exposure import exposure_of, simulate_sessions
from tests.publishing.small_bank import write_bank

DAY = date(2026, 11, 28)
# The small bank has few units, of which a session of four meets most.
TARGET, N = 0.8, 150


@pytest.fixture
def bank(tmp_path: Path):
    write_bank(tmp_path / "banks")
    return load_bank(next((tmp_path / "banks").rglob("bank.yaml")).parent)


def adaptive(bank) -> Form:
    return next(form for form in bank.latest_forms().values() if form.kind == "adaptive")


def test_the_next_version_says_how_its_table_was_made_and_keeps_the_target(bank) -> None:
    form = adaptive(bank)
    takers = Takers(-0.3, 0.8, "250 scores of sessions since 2026-08-30")
    following, table = renewed(bank, form, takers, computed=DAY, seed=4, target=TARGET, n_learners=N)
    assert (following.id, following.version) == (form.id, form.version + 1)
    assert following.adaptive is not None
    rule = following.adaptive.exposure
    assert rule is not None
    assert rule.target == TARGET
    assert rule.made["population"] == {"mean": -0.3, "sd": 0.8, "source": takers.source}
    assert (rule.made["after"], rule.made["computed"]) == (form.reference, "2026-11-28")
    assert (rule.made["engine"], rule.made["seed"], rule.made["learners"]) == (__version__, 4, N)
    path = write_forms(bank, [following], "as a test")[0]
    again = load_bank(bank.folder)
    assert path.exists()
    assert again.latest_forms()[form.id] == following
    release = Release.from_document(release_document(again, following.reference))
    rng = np.random.default_rng(9)
    theta = rng.normal(-0.3, 0.8, 300)
    run = simulate_sessions(release, theta, [rng.bytes(16).hex() for _ in theta], rng)
    # The tolerance of the table, and three Monte Carlo errors of 150 and 300 learners.
    most = TARGET + 0.005 + 3.0 * np.sqrt(0.16 * (1 / N + 1 / 300))
    assert exposure_of(run, len(release.units)).max() <= most
    assert table.exposure.max() <= TARGET + 0.005


def test_a_table_is_the_same_again_from_the_same_seed(bank) -> None:
    made = [
        renewed(bank, adaptive(bank), Takers(0.0, 1.0), computed=DAY, seed=seed, target=TARGET, n_learners=N)[
            0
        ]
        for seed in (1, 1, 2)
    ]
    assert made[0] == made[1]
    assert made[0] != made[2]


def test_what_cannot_be_renewed_is_said(bank) -> None:
    form = adaptive(bank)

    def ask(form: Form, target: float | None = None) -> None:
        renewed(bank, form, Takers(0.0, 1.0), computed=DAY, seed=1, target=target, n_learners=60)

    with pytest.raises(InvalidContent, match="states no target of exposure; say one"):
        ask(form)
    with pytest.raises(InvalidParameters, match="cannot be kept"):
        ask(form, 0.05)
    fixed = next(f for f in bank.latest_forms().values() if f.kind == "fixed")
    with pytest.raises(InvalidParameters, match="is not adaptive"):
        ask(fixed, 0.5)
    following = renewed(bank, form, Takers(0.0, 1.0), computed=DAY, seed=1, target=TARGET, n_learners=60)[0]
    write_forms(bank, [following], "as a test")
    with pytest.raises(InvalidContent, match="is not the newest version; renew"):
        renewed(
            load_bank(bank.folder), form, Takers(0.0, 1.0), computed=DAY, seed=1, target=0.8, n_learners=60
        )


def test_a_table_that_misses_its_target_is_not_given_out(bank, monkeypatch) -> None:
    from assess.publishing import exposing
    from assess.simulation.exposure import exposure_table as whole

    monkeypatch.setattr(
        exposing, "exposure_table", lambda *given, **more: whole(*given, **more, max_rounds=1)
    )
    n_units = len(adaptive(bank).units)
    with pytest.raises(InvalidContent, match="after 1 rounds some unit is still met by"):
        renewed(
            bank,
            adaptive(bank),
            Takers(0.0, 1.0),
            computed=DAY,
            seed=1,
            target=4 / n_units + 0.02,
            n_learners=60,
        )
