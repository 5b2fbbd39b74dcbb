"""Fit, DIF and anchor figures: what they flag is what the tables say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from assess import irt
from assess.errors import InvalidRequest
from assess.reports import figures
from assess.reports.looks import THEMES

matplotlib = pytest.importorskip("matplotlib")

N_ITEMS = 12


@pytest.fixture(scope="module")
def drift():
    """Two occasions; item-03 has become harder by 0.9, the scale has moved by 0.3."""
    rng = np.random.default_rng(8)
    ids = [f"item-{j:02d}" for j in range(N_ITEMS)]
    steps = np.linspace(-1.5, 1.5, N_ITEMS)[:, None]
    later = steps - 0.3
    later[3] += 0.9
    fits = []
    for b in (steps, later):
        items = irt.ItemParameters(ids, "2PL", np.full(N_ITEMS, 1.3), b)
        categories = irt.simulate(items, rng.standard_normal(1500), rng)
        fits.append(irt.calibrate(pd.DataFrame(categories, columns=ids), "2PL"))
    return irt.anchor_drift(fits[1], fits[0])


@pytest.fixture
def fit():
    return pd.DataFrame(
        {"p": [0.5, 0.001, np.nan, 0.004], "rmsea": [0.01, 0.05, np.nan, 0.03]}, index=["a", "b", "c", "d"]
    )


@pytest.fixture
def dif():
    return pd.DataFrame(
        {"delta": [1.9, -0.2, np.nan, -1.2], "se_delta": [0.2, 0.1, np.nan, 0.2], "ets": ["C", "A", "", "B"]},
        index=["a", "b", "c", "d"],
    )


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", ["fit", "dif", "anchor"])
def test_a_figure_draws_within_its_edges_and_without_warnings(name, theme, fit, dif, drift, caplog):
    before = dict(matplotlib.rcParams)
    figure = {
        "fit": lambda: figures.fit_plot(fit, theme=theme),
        "dif": lambda: figures.dif_plot(dif, theme=theme),
        "anchor": lambda: figures.anchor_plot(drift, theme=theme),
    }[name]()
    figure.draw_without_rendering()
    inked, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert inked.x0 >= 0.0
    assert inked.y0 >= 0.0
    assert inked.x1 <= width
    assert inked.y1 <= height
    assert dict(matplotlib.rcParams) == before
    assert caplog.records == []


def test_p_values_of_fit_are_corrected_by_the_number_of_tests(fit):
    table = figures.fit_plot_data(fit).set_index("item")
    assert table.index.tolist() == ["b", "d", "a"]
    # Three tests: 3 * 0.001, 2 * 0.004, 1 * 0.5.
    assert table["p_holm"].tolist() == pytest.approx([0.003, 0.008, 0.5])
    assert table["flagged"].tolist() == [True, True, False]
    assert figures.fit_plot_data(fit, level=0.005)["flagged"].sum() == 1


def test_dif_is_shown_with_its_interval_and_in_order(dif):
    table = figures.dif_plot_data(dif)
    assert table["item"].tolist() == ["d", "b", "a"]
    assert table["low"].tolist() == pytest.approx([-1.592, -0.396, 1.508], abs=1e-3)
    assert table["high"].tolist() == pytest.approx([-0.808, -0.004, 2.292], abs=1e-3)


def test_dif_takes_the_table_of_the_analysis():
    rng = np.random.default_rng(9)
    items = irt.ItemParameters([f"i{j}" for j in range(8)], "2PL", np.ones(8), np.zeros((8, 1)))
    frame = pd.DataFrame(irt.simulate(items, rng.standard_normal(600), rng), columns=list(items.item_ids))
    table = irt.dif(frame, np.where(rng.random(600) < 0.5, "A", "B"), reference="A", focal="B")
    assert len(figures.dif_plot_data(table)) == 8


def test_an_anchor_that_moved_is_named(drift):
    table = figures.anchor_plot_data(drift).set_index("item")
    assert table.index[table["drifts"]].tolist() == ["item-03"]
    assert table["d"].to_numpy() == pytest.approx((table["b_new"] - table["b_onto"]).to_numpy())
    words = " ".join(text.get_text() for text in figures.anchor_plot(drift).axes[0].texts)
    assert "item-03 (+" in words
    assert "item-04" not in words


def checks(n=4):
    """Checks of twelve anchors, of which the fourth becomes easier with every check."""
    b, found = np.linspace(-1.5, 1.5, 12), {}
    names = [f"item-{j:02d}" for j in range(12)]
    rng = np.random.default_rng(4)
    for k in range(n):
        moved = b + 0.06 * rng.standard_normal(12) - 0.25 * k * (np.arange(12) == 3)
        new = irt.ItemParameters(names, "2PL", np.ones(12), moved[:, None])
        onto = irt.ItemParameters(names, "2PL", np.ones(12), b[:, None])
        found[f"2026-{k + 8:02d}"] = irt.anchor_drift(new, onto, "mean-mean")
    return found


def test_drift_over_time_names_what_alarms_and_shows_every_anchor():
    table = figures.drift_over_time_data(checks())
    assert len(table) == 48
    alarms = table[table["drifts"]]
    assert set(alarms["item"]) == {"item-03"}
    assert alarms["check"].tolist() == ["2026-10", "2026-11"]
    figure = figures.drift_over_time(checks(), theme="dark")
    words = " ".join(text.get_text() for text in figure.axes[0].texts)
    assert "item-03" in words
    assert "item-04" not in words
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()][:2] == ["2026-08", "2026-09"]
    with pytest.raises(InvalidRequest, match="no check was given"):
        figures.drift_over_time({})


def test_tables_that_cannot_be_drawn_are_refused(fit, dif):
    with pytest.raises(InvalidRequest, match="column 'rmsea' is missing"):
        figures.fit_plot(fit[["p"]])
    with pytest.raises(InvalidRequest, match="no item has a fit statistic"):
        figures.fit_plot(fit.loc[["c"]])
    with pytest.raises(InvalidRequest, match="column 'ets' is missing"):
        figures.dif_plot(dif.drop(columns="ets"))
    with pytest.raises(InvalidRequest, match="no item has an estimate of DIF"):
        figures.dif_plot(dif.loc[["c"]])
