"""Figures draw without a murmur, and the numbers behind them are those one finds by hand."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assess import classical, irt
from assess.errors import InvalidParameters, InvalidRequest, InvalidResponses
from assess.reports import figures
from assess.reports.looks import THEMES, spread

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def bank():
    steps = np.full((12, 2), np.nan)
    steps[:, 0] = np.linspace(-1.5, 1.2, 12)
    steps[9:, 1] = steps[9:, 0] + 0.8
    return irt.ItemParameters(
        [f"item-{j:02d}" for j in range(12)], ["2PL"] * 9 + ["GPCM"] * 3, np.linspace(0.7, 1.6, 12), steps
    )


@pytest.fixture(scope="module")
def responses(bank):
    rng = np.random.default_rng(5)
    return pd.DataFrame(irt.simulate(bank, rng.standard_normal(1500), rng), columns=list(bank.item_ids))


@pytest.fixture(scope="module")
def options():
    rng = np.random.default_rng(6)
    right = rng.random((300, 6)) < rng.uniform(0.2, 0.9, (300, 1))
    other = rng.choice(list("acd"), (300, 6))
    raw = pd.DataFrame(np.where(right, "b", other), columns=[f"q{j}" for j in range(6)])
    return classical.distractors(raw, dict.fromkeys(raw.columns, "b"))


def _drawn(name, bank, responses, options, theme):
    theta = np.linspace(-2.0, 2.0, 60)
    return {
        "item_curves": lambda: figures.item_curves(bank, list(bank.item_ids[7:11]), responses, theme=theme),
        "one_item": lambda: figures.item_curves(bank, "item-10", theme=theme),
        "information_curve": lambda: figures.information_curve(bank, cut=0.3, theme=theme),
        "wright_map": lambda: figures.wright_map(bank, theta, theme=theme),
        "score_distribution": lambda: figures.score_distribution(theta, 0.3, theme=theme),
        "distractor_curves": lambda: figures.distractor_curves(options, "q1", theme=theme),
    }[name]()


FIGURES = [
    "item_curves",
    "one_item",
    "information_curve",
    "wright_map",
    "score_distribution",
    "distractor_curves",
]


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_draws_without_warnings_and_leaves_global_settings_alone(
    name, theme, bank, responses, options, tmp_path, caplog
):
    before = dict(matplotlib.rcParams)
    figure = _drawn(name, bank, responses, options, theme)
    figure.savefig(tmp_path / "figure.png")
    figure.savefig(tmp_path / "figure.svg")
    assert dict(matplotlib.rcParams) == before
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    assert matplotlib.colors.to_hex(figure.get_facecolor()) == THEMES[theme].background
    # matplotlib tells of missing fonts and glyphs in its log.
    assert caplog.records == []


@pytest.mark.parametrize("name", FIGURES)
def test_no_words_of_a_figure_leave_its_edges(name, bank, responses, options):
    figure = _drawn(name, bank, responses, options, "print")
    figure.draw_without_rendering()
    inked = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert inked.x0 >= 0.0
    assert inked.y0 >= 0.0
    assert inked.x1 <= width
    assert inked.y1 <= height


def test_axes_say_what_they_measure_and_in_which_unit(bank):
    above, below = figures.information_curve(bank).axes
    assert above.get_ylabel() == "Information (1 / θ²)"
    assert below.get_xlabel() == "Proficiency θ (SD of the reference group)"
    logits = figures.information_curve(bank, theta_label="Proficiency θ (logits)")
    assert logits.axes[1].get_xlabel() == "Proficiency θ (logits)"


def _luminance(colour: str) -> float:
    channels = np.array(matplotlib.colors.to_rgb(colour))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("theme", THEMES.values(), ids=list(THEMES))
def test_words_have_the_contrast_that_wcag_asks_for(theme):
    ground = _luminance(theme.background)
    for colour in (theme.ink, theme.soft):
        lighter, darker = sorted((ground, _luminance(colour)), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5


# --- the numbers behind ---------------------------------------------------------


def test_item_curves_are_the_category_probabilities():
    item = irt.ItemParameters(["i"], "GPCM", [1.0], [[0.0, 0.0]])
    table = figures.item_curves_data(item, "i", [0.0, np.log(2.0)])
    assert table["category"].tolist() == [0, 0, 1, 1, 2, 2]
    # exp(0), exp(theta), exp(2 theta) over their sum
    assert table["probability"].tolist() == pytest.approx([1 / 3, 1 / 7, 1 / 3, 2 / 7, 1 / 3, 4 / 7])


def test_information_is_summed_and_the_standard_error_is_its_root():
    items = irt.ItemParameters(["i", "j"], "2PL", [2.0, 1.0], [[0.0], [0.0]])
    table = figures.information_data(items, [0.0])
    assert table.to_numpy().tolist() == [pytest.approx([0.0, 1.25, 1.25**-0.5])]


def test_observed_shares_of_one_group_are_the_shares_of_all_persons(bank, responses):
    table = figures.observed_categories_data(bank, responses, "item-10", n_groups=1)
    shares = responses["item-10"].value_counts(normalize=True).sort_index()
    assert table["n"].iloc[0] == pytest.approx(1500, rel=0.02)
    assert table["observed"].tolist() == pytest.approx(shares.tolist(), abs=0.01)


def test_observed_shares_of_one_person_are_the_posterior_masses():
    # One item, two persons: posteriors proportional to phi(theta) * P and phi(theta) * (1 - P).
    items = irt.ItemParameters(["i"], "2PL", [1.0], [[0.0]])
    table = figures.observed_categories_data(
        items,
        pd.DataFrame({"i": [1, 0]}),
        "i",
        n_groups=2,
        min_persons=0.0,
    )
    theta = np.linspace(-2.75, 2.75, 20001)
    density = np.exp(-0.5 * theta**2)
    right = density / (1 + np.exp(-theta))
    share = right[theta >= 0].sum() / density[theta >= 0].sum()
    upper = table[(table["category"] == 1) & (table["theta"] > 0)]
    # Edges fall between nodes a tenth of a standard deviation apart.
    assert upper["observed"].tolist() == pytest.approx([share], abs=0.02)


def test_observed_shares_follow_the_true_curves(bank, responses):
    for item in ("item-02", "item-10"):
        table = figures.observed_categories_data(bank, responses, item)
        observed, expected, n = (table[name].to_numpy() for name in ("observed", "expected", "n"))
        assert np.abs((observed - expected) / np.sqrt(expected * (1 - expected) / n)).max() < 4.0
        assert table.groupby("theta")[["observed", "expected"]].sum().to_numpy() == pytest.approx(1.0)
        assert table["observed"].between(table["low"] - 1e-12, table["high"] + 1e-12).all()


def test_an_item_with_a_wrong_key_lies_off_its_curve(bank, responses):
    turned = responses.assign(**{"item-04": 1 - responses["item-04"]})
    table = figures.observed_categories_data(bank, turned, "item-04")
    assert (table["observed"] - table["expected"]).abs().max() > 0.4


def test_wright_map_counts_persons_and_places_items_where_half_the_chance_is(bank):
    table = figures.wright_map_data(bank, [0.0, 0.24, 0.25, -0.01, np.nan, np.inf])
    persons = table[table["side"] == "persons"]
    assert dict(zip(persons["theta"], persons["n"], strict=True)) == {-0.125: 1, 0.125: 2, 0.375: 1}
    items = table[table["side"] == "items"]
    for name, step, theta in zip(items["item"], items["step"], items["theta"], strict=True):
        upper = irt.category_probabilities(bank.take([name]), [theta])[0, 0, step:].sum()
        assert upper == pytest.approx(0.5, abs=1e-9)


def test_a_wright_map_places_a_guessed_item_at_its_difficulty():
    item = irt.ItemParameters(["i"], "3PL", [1.2], [[0.4]], lower=[0.25])
    assert figures.wright_map_data(item, [0.0])["theta"].iloc[-1] == 0.4


def test_thresholds_are_in_order_where_steps_are_not():
    item = irt.ItemParameters(["i"], "GPCM", [1.0], [[1.0, -1.0]])
    table = figures.wright_map_data(item, [0.0])
    low, high = table.loc[table["side"] == "items", "theta"]
    assert low < high
    assert low + high == pytest.approx(0.0, abs=1e-9)


def test_score_groups_have_the_cut_as_an_edge_and_every_person_once():
    theta = [-0.5, 0.1, 0.29, 0.31, 0.9, np.inf]
    status = ["not_passed", "undetermined", "undetermined", "passed", "passed", "passed"]
    table = figures.score_distribution_data(theta, 0.3, status, width=0.2)
    assert table.groupby("status")["n"].sum().to_dict() == {"not_passed": 1, "undetermined": 2, "passed": 2}
    assert np.isclose(table["low"], 0.3).any()
    found = table[table["n"] > 0]
    assert found["low"].round(6).tolist() == [-0.5, 0.1, 0.3, 0.9]


@given(
    theta=st.lists(st.floats(-6, 6), min_size=1, max_size=40), cut=st.floats(-3, 3), width=st.floats(0.05, 1)
)
def test_no_person_is_lost_between_the_groups(theta, cut, width):
    table = figures.score_distribution_data(theta, cut, width=width)
    assert table["n"].sum() == len(theta)


def test_distractor_curves_are_the_shares_of_the_analysis(options):
    table = figures.distractor_curves_data(options, "q1")
    assert table.groupby("group")["share"].sum().to_numpy() == pytest.approx(1.0)
    assert set(table.loc[table["is_key"], "option"]) == {"b"}


@given(
    wanted=st.lists(st.floats(0, 1), min_size=1, max_size=12),
    gap=st.floats(0.0, 0.3),
)
def test_labels_keep_their_distance_their_order_and_their_bounds(wanted, gap):
    placed = np.array(spread(wanted, gap, 0.0, 1.0))
    gap = min(gap, 1.0 / max(len(wanted) - 1, 1))
    assert placed.min() >= -1e-9
    assert placed.max() <= 1.0 + 1e-9
    in_order = placed[np.argsort(wanted, kind="stable")]
    assert (np.diff(in_order) >= gap - 1e-9).all()


# --- refusals --------------------------------------------------------------------


def test_without_matplotlib_a_figure_says_what_to_install_and_the_data_come_all_the_same(bank, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ModuleNotFoundError, match=r"assess\[notebooks\]"):
        figures.information_curve(bank)
    assert len(figures.information_data(bank)) == 161


def test_figures_say_no_in_words(bank, responses, options):
    with pytest.raises(InvalidRequest, match="theme 'blue' is not known; say print or dark"):
        figures.information_curve(bank, theme="blue")
    with pytest.raises(InvalidRequest, match="name at least one"):
        figures.item_curves(bank, [])
    with pytest.raises(InvalidParameters, match="no parameters for item 'x'"):
        figures.item_curves(bank, "x")
    with pytest.raises(InvalidResponses, match="item 'item-01' is not among the responses"):
        figures.observed_categories_data(bank, responses.drop(columns="item-01"), "item-01")
    with pytest.raises(InvalidRequest, match="n_groups is 0"):
        figures.observed_categories_data(bank, responses, "item-01", n_groups=0)
    with pytest.raises(InvalidRequest, match="item 'q9' has no option curves"):
        figures.distractor_curves(options, "q9")
    with pytest.raises(InvalidRequest, match="no finite value of theta"):
        figures.wright_map(bank, [np.nan])
    with pytest.raises(InvalidRequest, match="width is 0"):
        figures.wright_map_data(bank, [0.0], width=0.0)
    with pytest.raises(InvalidRequest, match="one status per person"):
        figures.score_distribution([0.0, 1.0], 0.0, ["passed"])
    with pytest.raises(InvalidRequest, match="status 'pass' is not known"):
        figures.score_distribution([0.0], 0.0, ["pass"])
    nominal = irt.ItemParameters(
        ["n"], "NRM", [np.nan], [[np.nan]], category_slopes=[[0, 1.0, 2]], category_intercepts=[[0, 0, 0.0]]
    )
    with pytest.raises(InvalidParameters, match=r"item 'n' \(NRM\): its categories have no order"):
        figures.wright_map(nominal, [0.0])
