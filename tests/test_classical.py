from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from assess import classical
from assess.classical.reliability import one_factor
from assess.errors import InvalidResponses
from assess.responses import ResponseMatrix
from tests.shared import needs_shared, shared


def responses(n_persons=400, n_items=8, seed=1, n_categories=2):
    """Categories of a one-dimensional test, cut from normal variables."""
    rng = np.random.default_rng(seed)
    latent = rng.standard_normal((n_persons, 1)) + rng.standard_normal((n_persons, n_items))
    cuts = np.linspace(-0.7, 0.7, n_categories - 1) if n_categories > 2 else np.array([0.0])
    place = np.linspace(-0.5, 0.5, n_items)[:, None]
    return pd.DataFrame(
        (latent[:, :, None] > place + cuts).sum(axis=2), columns=[f"i{j + 1}" for j in range(n_items)]
    )


def flags(analysis, item):
    return set(analysis.flags.loc[analysis.flags["item"] == item, "flag"])


def key_of(name):
    table = pd.read_csv(shared("data", name))
    return dict(zip(table["item"], table["key"], strict=True))


# --- items -------------------------------------------------------------------


def test_the_numbers_of_an_item_are_those_of_the_textbook():
    frame = responses()
    row = classical.item_analysis(frame).items.loc["i3"]
    total = frame.sum(axis=1)
    x = frame["i3"]
    p = x.mean()
    assert row["p"] == pytest.approx(p)
    assert row["item_total"] == pytest.approx(np.corrcoef(x, total)[0, 1])
    assert row["item_rest"] == pytest.approx(np.corrcoef(x, total - x)[0, 1])
    biserial = row["item_rest"] * np.sqrt(p * (1 - p)) / norm.pdf(norm.ppf(p))
    assert row["biserial_rest"] == pytest.approx(biserial)


def test_the_polyserial_correlation_finds_the_correlation_behind_the_categories():
    rng = np.random.default_rng(3)
    z = rng.standard_normal((200_000, 2))
    y = 0.6 * z[:, 0] + 0.8 * z[:, 1]
    categories = np.searchsorted([-0.8, 0.1, 1.0], y)
    # A score of many fine steps that correlates 0.6 with what is behind the categories.
    fine = np.clip(np.round(20 * z[:, 0] + 60), 0, 120)
    matrix = ResponseMatrix(np.column_stack([categories, fine]), n_categories=[4, 121])
    assert classical.item_analysis(matrix).items["biserial_rest"].iloc[0] == pytest.approx(0.6, abs=0.01)


@given(seed=st.integers(0, 10_000), gone=st.integers(1, 30))
def test_statistics_of_an_item_do_not_depend_on_the_order_of_persons(seed, gone):
    frame = responses(60, 5, seed)
    matrix = frame.to_numpy(dtype=float, copy=True)
    rng = np.random.default_rng(seed)
    matrix[rng.integers(0, 60, gone), rng.integers(0, 5, gone)] = np.nan
    order = rng.permutation(60)
    one = classical.item_analysis(ResponseMatrix(matrix)).items
    other = classical.item_analysis(ResponseMatrix(matrix[order])).items
    pd.testing.assert_frame_equal(one, other)


def test_booklets_are_compared_by_the_share_of_points():
    frame = responses(2000, 10)
    full = classical.item_analysis(frame).items
    halved = frame.astype(float)
    halved.iloc[::2, :3] = np.nan
    part = classical.item_analysis(halved).items
    assert part["n"].tolist() == [1000] * 3 + [2000] * 7
    assert part["item_rest"].to_numpy() == pytest.approx(full["item_rest"].to_numpy(), abs=0.08)


def test_a_reversed_item_is_told_to_have_its_key_checked():
    frame = responses().assign(i4=lambda f: 1 - f["i4"])
    analysis = classical.item_analysis(frame)
    assert "negative discrimination" in flags(analysis, "i4")
    sentence = analysis.flags.loc[analysis.flags["item"] == "i4", "sentence"].iloc[0]
    assert sentence.startswith("item 'i4' is solved more often by weaker learners")


def test_constant_and_empty_items_are_said_aloud_and_crash_nothing():
    frame = responses().assign(i1=1.0, i2=np.nan)
    analysis = classical.item_analysis(frame)
    assert flags(analysis, "i1") == {"constant"}
    assert flags(analysis, "i2") == {"empty"}
    assert np.isnan(analysis.items["item_rest"].iloc[0])
    assert analysis.items["item_rest"].iloc[2:].min() > 0.2


def test_a_group_of_three_gives_numbers_and_a_warning_flag():
    frame = pd.DataFrame({"i1": [1, 0, 1], "i2": [1, 0, 0], "i3": [0, 0, 1]})
    assert "few responses" in flags(classical.item_analysis(frame), "i1")


def test_a_person_who_answered_nothing_counts_nowhere():
    frame = responses().astype(float)
    more = pd.concat([frame, pd.DataFrame(np.nan, index=[9999], columns=frame.columns)])
    one, other = classical.item_analysis(frame).items, classical.item_analysis(more).items
    pd.testing.assert_frame_equal(one, other)


def test_omitted_and_not_reached_are_counted_apart():
    codes = responses().to_numpy(copy=True)
    codes[:60, 0] = -2
    codes[:100, 7] = -3
    analysis = classical.item_analysis(ResponseMatrix(codes))
    assert analysis.items["omitted"].iloc[0] == pytest.approx(0.15)
    assert analysis.items["not_reached"].iloc[7] == pytest.approx(0.25)
    assert analysis.items["n"].tolist() == [400] * 7 + [300]
    assert "often omitted" in flags(analysis, "item1")
    assert "not reached" in flags(analysis, "item8")


def test_a_category_that_nobody_is_in_is_flagged():
    frame = responses(n_categories=4)
    frame["i2"] = frame["i2"].replace(1, 2)
    assert "unused category" in flags(classical.item_analysis(frame), "i2")


def test_scored_categories_take_no_key():
    with pytest.raises(TypeError, match="raw options"):
        classical.item_analysis(ResponseMatrix([[0, 1]] * 5), key={"item1": 1})


def test_views_show_every_item_and_every_complaint():
    analysis = classical.item_analysis(responses().assign(i1=1))
    assert repr(analysis) == "<ItemAnalysis: 8 items, 400 persons, alpha 0.719, 1 items flagged>"
    assert "is in category 1 for all 400 persons" in analysis.summary()
    assert analysis.to_frame().loc["i1", "flags"] == "constant"
    assert "<table" in analysis._repr_html_()


# --- options -----------------------------------------------------------------


@needs_shared
def test_the_mis_keyed_item_of_the_science_test_is_found_and_no_other():
    raw = pd.read_csv(shared("data", "sat12_raw_options.csv"), index_col="person")
    key = key_of("sat12_key.csv")
    analysis = classical.item_analysis(raw, key=key, omitted_options=[8])
    assert analysis.reliability.alpha == pytest.approx(0.798, abs=5e-4)
    suspects = analysis.flags[analysis.flags["flag"] == "possibly mis-keyed"]
    assert suspects["item"].tolist() == ["item32"]
    assert "option '3' (44 %" in suspects["sentence"].iloc[0]
    assert "key '5' (16 %" in suspects["sentence"].iloc[0]


@needs_shared
def test_reliabilities_of_real_tests_are_those_stated_with_the_data():
    raw = pd.read_csv(shared("data", "hci_raw_options.csv"), index_col="person")
    key = key_of("hci_key.csv")
    assert classical.item_analysis(raw, key=key).reliability.alpha == pytest.approx(0.715, abs=5e-4)
    numeracy = pd.read_csv(shared("data", "numeracy.csv"), index_col="person").filter(like="scored_")
    assert classical.reliability(numeracy).alpha == pytest.approx(0.851, abs=5e-4)
    matura = pd.read_csv(shared("data", "cz_matura_math_sample.csv"), index_col=0)
    parts = matura.filter(regex=r"^(item|o|q|i|b)\.?\d")
    assert parts.shape[1] == 30
    assert classical.reliability(parts).alpha == pytest.approx(0.890, abs=5e-4)


def test_a_swapped_key_is_suspected():
    scored = responses(600)
    rng = np.random.default_rng(5)
    wrong = rng.choice(list("bcd"), scored.shape)
    raw = pd.DataFrame(np.where(scored == 1, "a", wrong), columns=scored.columns)
    key = dict.fromkeys(raw.columns, "a") | {"i5": "b"}
    analysis = classical.item_analysis(raw, key=key)
    suspects = analysis.flags.loc[analysis.flags["flag"] == "possibly mis-keyed", "item"]
    assert suspects.tolist() == ["i5"]


def test_shares_of_the_options_of_a_group_sum_to_one():
    raw = pd.DataFrame(np.random.default_rng(2).choice(list("abc"), (100, 4)), columns=list("wxyz"))
    found = classical.distractors(raw, dict.fromkeys("wxyz", "a"), n_groups=4)
    assert found.curves.groupby(["item", "group"])["share"].sum().to_numpy() == pytest.approx(1.0)
    assert found.options.groupby("item")["share"].sum().to_numpy() == pytest.approx(1.0)
    assert (found.curves.groupby(["item", "option"])["n"].sum() == 100).all()
    assert found.curves["n"].min() > 0
    assert repr(found) == "<Distractors: 12 options of 4 items>"


def test_numbers_and_texts_name_the_same_option():
    raw = pd.DataFrame({"i1": [1.0, 2.0, np.nan], "i2": ["1", " 2", "2"]})
    scored = classical.score_options(raw, {"i1": "1", "i2": 2})
    assert scored.categories.tolist() == [[1, 0], [0, 1], [-1, 1]]


@pytest.mark.parametrize(
    ("key", "message"),
    [({}, "key is empty"), ({"i9": "a"}, "'i9' has a key but no column"), ({"i1": "z"}, "nobody chose")],
)
def test_a_key_that_does_not_fit_is_refused(key, message):
    with pytest.raises(InvalidResponses, match=message):
        classical.score_options(pd.DataFrame({"i1": ["a", "b"]}), key)


def test_one_score_group_is_refused():
    with pytest.raises(InvalidResponses, match="at least 2"):
        classical.distractors(pd.DataFrame({"i1": ["a", "b"]}), {"i1": "a"}, n_groups=1)


# --- reliability -------------------------------------------------------------


def test_halves_that_undo_each_other_have_no_reliability_and_no_crash():
    """One item scored the wrong way round: the whole score is the same for everybody."""
    found = classical.reliability(pd.DataFrame({"i1": [0, 1, 1, 0, 1], "i2": [1, 0, 0, 1, 0]}))
    assert np.isnan(found.split_half)
    assert np.isnan(found.alpha)


def test_alpha_of_parallel_items_is_the_formula_of_spearman_and_brown():
    r, n_items = 0.3, 10
    covariance = np.full((n_items, n_items), r) + (1 - r) * np.eye(n_items)
    expected = n_items * r / (1 + (n_items - 1) * r)
    from assess.classical.reliability import alpha_of, omega_of, split_half_of

    assert alpha_of(covariance) == pytest.approx(expected)
    assert split_half_of(covariance) == pytest.approx(expected)
    assert omega_of(covariance) == pytest.approx(expected, abs=1e-5)


def test_one_factor_is_found_again():
    loadings = np.array([0.3, 0.5, 0.6, 0.7, 0.8])
    correlation = np.outer(loadings, loadings) + np.diag(1 - loadings**2)
    found, uniquenesses = one_factor(correlation)
    assert found == pytest.approx(loadings, abs=1e-4)
    assert uniquenesses == pytest.approx(1 - loadings**2, abs=1e-4)


def test_omega_is_not_below_alpha_where_loadings_differ():
    result = classical.reliability(responses(2000, 10))
    assert result.alpha_low < result.alpha < result.alpha_high
    assert result.omega >= result.alpha - 0.002
    assert result.sem == pytest.approx(result.sd * np.sqrt(1 - result.alpha))
    assert not result.pairwise
    assert result.to_frame().loc["alpha", "value"] == result.alpha


@pytest.mark.parametrize("shape", [(2, 4), (9, 1)])
def test_too_little_for_a_reliability_is_refused(shape):
    with pytest.raises(InvalidResponses, match="two items, three persons"):
        classical.reliability(ResponseMatrix(np.ones(shape, dtype=int)))


def test_a_confidence_of_95_is_refused():
    with pytest.raises(InvalidResponses, match="between 0 and 1"):
        classical.reliability(responses(), confidence=95)


# --- time --------------------------------------------------------------------


def test_a_test_that_many_do_not_finish_is_speeded():
    codes = responses(100, 8).to_numpy(copy=True)
    assert not classical.speededness(ResponseMatrix(codes)).is_speeded
    codes[:30, 6:] = -3
    found = classical.speededness(ResponseMatrix(codes))
    assert found.is_speeded
    assert found.completing == pytest.approx(0.7)
    assert found.reached_by_80_percent == pytest.approx(0.75)
    assert found.least_reached == pytest.approx(0.75)
    assert repr(found) == "<Speededness: speeded, 70.0 % reached all items>"


def test_rapid_responses_are_those_below_a_tenth_of_the_mean():
    times = pd.DataFrame({"i1": [50.0] * 9 + [3.0], "i2": [np.nan] * 10})
    found = classical.response_times(times)
    assert found.loc["i1", "rapid"] == pytest.approx(0.1)
    assert found.loc["i2", "n"] == 0


def test_a_time_of_zero_is_refused():
    with pytest.raises(InvalidResponses, match="'i1', person 1"):
        classical.response_times(pd.DataFrame({"i1": [4.0, 0.0]}))
