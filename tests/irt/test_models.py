from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assess.errors import InvalidParameters
from assess.irt import (
    ItemParameters,
    ParameterSet,
    category_probabilities,
    expected_score,
    information,
    log_category_probabilities,
    test_characteristic,
)
from assess.irt.models import log_derivatives
from assess.scale import Scale
from tests.irt.examples import SCORE_CASES, parameter_sets, reference
from tests.shared import needs_shared

thetas = st.floats(-6.0, 6.0)


def two_pl(a=1.0, b=0.0, **more):
    return ItemParameters(["i"], more.pop("model", "2PL"), [a], [[b]], **more)


def test_the_models_say_what_their_formulas_say_by_hand():
    assert category_probabilities(two_pl(1.2, 0.5), 1.0)[0, 0, 1] == pytest.approx(1 / (1 + math.exp(-0.6)))
    four = two_pl(1.2, 0.5, model="4PL", lower=[0.2], upper=[0.9])
    assert category_probabilities(four, 1.0)[0, 0, 1] == pytest.approx(0.2 + 0.7 / (1 + math.exp(-0.6)))
    graded = ItemParameters(["g"], "GRM", [1.5], [[-1.0, 0.5]])
    at_least = [1 / (1 + math.exp(-1.5 * (0.2 - b))) for b in (-1.0, 0.5)]
    assert category_probabilities(graded, 0.2)[0, 0] == pytest.approx(
        [1 - at_least[0], at_least[0] - at_least[1], at_least[1]]
    )
    partial = ItemParameters(["p"], "GPCM", [1.5], [[-1.0, 0.5]])
    terms = np.exp([0.0, 1.5 * 1.2, 1.5 * 1.2 - 1.5 * 0.3])
    assert category_probabilities(partial, 0.2)[0, 0] == pytest.approx(terms / terms.sum())
    record = {"item": "r", "model": "RSM", "a": 1.5, "b": -0.25, "tau1": -0.75, "tau2": 0.75}
    assert category_probabilities(ItemParameters.from_records([record]), 0.2) == pytest.approx(
        category_probabilities(partial, 0.2)
    )
    nominal = ItemParameters(
        ["n"], "NRM", [np.nan], [[np.nan] * 2], None, None, [[-1, 0.5, 0.5]], [[1, -2, 1]]
    )
    terms = np.exp([-0.2 + 1, 0.1 - 2, 0.1 + 1])
    assert category_probabilities(nominal, 0.2)[0, 0] == pytest.approx(terms / terms.sum())


@given(items=parameter_sets(), theta=thetas)
def test_category_probabilities_sum_to_one_and_padding_is_zero(items, theta):
    p = category_probabilities(items, theta)
    assert p.sum(axis=2) == pytest.approx(1.0, abs=1e-12)
    for j, n_categories in enumerate(items.n_categories):
        assert np.all(p[0, j, n_categories:] == 0.0)
        assert np.all(p[0, j, :n_categories] > 0.0)


@given(items=parameter_sets(), theta=thetas)
def test_derivatives_and_information_equal_their_numerical_twins(items, theta):
    h = 1e-5
    grid = np.array([theta - h, theta, theta + h])
    log_p = log_category_probabilities(items, grid)
    first, second = log_derivatives(items, grid)
    real = np.isfinite(log_p[1])
    log_p = np.where(real, log_p, 0.0)
    assert first[1][real] == pytest.approx(((log_p[2] - log_p[0]) / (2 * h))[real], rel=1e-5, abs=1e-5)
    assert second[1][real] == pytest.approx(((first[2] - first[0]) / (2 * h))[real], rel=1e-4, abs=1e-5)
    p = category_probabilities(items, grid)
    slopes = (p[2] - p[0]) / (2 * h)
    numerical = np.where(p[1] > 0.0, slopes**2 / np.where(p[1] > 0.0, p[1], 1.0), 0.0).sum(axis=1)
    assert information(items, theta)[0] == pytest.approx(numerical, rel=1e-4, abs=1e-6)


@given(items=parameter_sets(), theta=thetas)
def test_information_is_the_expected_curvature(items, theta):
    _, second = log_derivatives(items, theta)
    curvature = -(category_probabilities(items, theta) * second).sum(axis=2)
    assert information(items, theta) == pytest.approx(curvature, rel=1e-9, abs=1e-12)


@given(items=parameter_sets(models=("2PL", "3PL", "GRM", "GPCM", "NRM"), monotone=True), theta=thetas)
def test_the_expected_score_of_monotone_items_rises_with_theta(items, theta):
    assert items.is_monotone.all()
    low, high = test_characteristic(items, [theta, theta + 0.1])
    assert high > low
    assert expected_score(items, theta).sum() == pytest.approx(low)


@pytest.mark.parametrize("model", ["2PL", "GRM", "GPCM"])
def test_extreme_thetas_neither_overflow_nor_lose_the_logarithm(model):
    steps = [[0.0]] if model == "2PL" else [[-1.0, 0.0, 2.0]]
    items = ItemParameters(["i"], model, [2.0], steps)
    log_p = log_category_probabilities(items, [-1e5, 1e5])
    assert np.isfinite(log_p).all()
    assert log_p[0, 0, 0] == pytest.approx(0.0)
    assert log_p[1, 0, -1] == pytest.approx(0.0)
    assert np.isfinite(information(items, [-1e5, 1e5])).all()


def test_the_two_category_forms_of_all_families_are_the_2pl():
    alike = [two_pl(1.3, 0.4, model=model) for model in ("2PL", "GRM", "GPCM", "PCM", "Rasch")]
    nominal = ItemParameters(["i"], "NRM", [np.nan], [[np.nan]], None, None, [[0.0, 1.3]], [[0.0, -0.52]])
    nodes = np.linspace(-4, 4, 9)
    for items in [*alike, nominal]:
        assert category_probabilities(items, nodes) == pytest.approx(category_probabilities(alike[0], nodes))
        assert information(items, nodes) == pytest.approx(information(alike[0], nodes))


@needs_shared
@pytest.mark.parametrize("case", SCORE_CASES)
def test_information_and_expected_score_agree_with_the_reference(case):
    results, items, _ = reference(case)
    curve = results["test_information"]
    assert information(items, curve["theta"]).sum(axis=1) == pytest.approx(curve["info_own"], rel=1e-5)
    if "expected_score" in results:
        score = results["expected_score"]
        assert test_characteristic(items, score["theta"]) == pytest.approx(score["score"], abs=1e-9)


# --- ItemParameters --------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a": 0.0}, "slope is 0.0"),
        ({"a": math.inf}, "slope is inf"),
        ({"b": math.inf}, "steps must be finite"),
        ({"model": "5PL"}, "unknown model"),
        ({"lower": [0.2]}, "cannot have asymptotes"),
        ({"model": "3PL", "lower": [-0.1]}, "0 <= c < d <= 1"),
        ({"model": "3PL", "lower": [0.2], "upper": [0.9]}, "cannot have asymptotes"),
        ({"model": "4PL", "lower": [0.5], "upper": [0.4]}, "0 <= c < d <= 1"),
    ],
)
def test_parameters_that_no_model_can_have_are_refused_by_item(change, message):
    with pytest.raises(InvalidParameters, match="item 'i'") as caught:
        two_pl(**change)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["i", "i"], "2PL", [1, 1], [[0], [0]]), "occurs twice"),
        (([""], "2PL", [1], [[0]]), "non-empty text"),
        ((["i"], "2PL", [1, 2], [[0]]), "slopes has shape"),
        ((["i"], "2PL", [1], [0]), "steps of shape"),
        ((["i"], "GRM", [1], [[1.0, 0.5]]), "must rise strictly"),
        ((["i"], "GRM", [1], [[1.0, np.nan, 2.0]]), "without gaps"),
        ((["i"], "2PL", [1], [[0.0, 1.0]]), "a dichotomous item has one"),
        ((["i"], "GPCM", [1], [[np.nan]]), "at least one step"),
        ((["i"], "NRM", [1], [[np.nan]], None, None, [[1, np.inf]], [[1, 2]]), "finite slope"),
        ((["i"], "NRM", [1], [[np.nan]], None, None, [[1, 2]], [[1, 2, 3]]), "one shape"),
        ((["i"], "NRM", [1], [[np.nan]], None, None, [1, 2], [[1, 2]]), "category_slopes has shape"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(InvalidParameters, match=message):
        ItemParameters(*arguments)


def test_parameters_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        two_pl().slopes[0] = 2.0


def test_a_negative_slope_takes_falling_graded_steps():
    items = ItemParameters(["g"], "GRM", [-1.0], [[1.0, -1.0]])
    assert category_probabilities(items, 0.3).sum() == pytest.approx(1.0)
    assert not items.is_monotone[0]


@given(items=parameter_sets(min_size=2))
def test_taking_items_apart_and_putting_them_together_changes_nothing(items):
    parts = [items.take([item]) for item in items.item_ids]
    whole = ItemParameters.concat(parts)
    assert whole.item_ids == items.item_ids
    assert category_probabilities(whole, [0.3]) == pytest.approx(
        category_probabilities(items, [0.3]), abs=1e-15
    )


def test_an_unknown_item_cannot_be_taken():
    with pytest.raises(InvalidParameters, match="no parameters for item 'x'; known: 'i'"):
        two_pl().take(["x"])


def test_theta_must_be_a_row_of_numbers():
    with pytest.raises(InvalidParameters, match="one row of numbers"):
        category_probabilities(two_pl(), np.zeros((2, 2)))


def test_a_parameter_set_knows_its_scale_and_refuses_another_status():
    scale = Scale("twt-3/1", "teachers")
    published = ParameterSet("p.v1", "twt-3", scale, two_pl(), "calibrated")
    assert published.scale_id == "twt-3/1"
    with pytest.raises(InvalidParameters, match="provisional or calibrated"):
        ParameterSet("p.v1", "twt-3", scale, two_pl(), "final")
    with pytest.raises(InvalidParameters, match="versioned id"):
        ParameterSet("", "twt-3", scale, two_pl(), "calibrated")


def test_a_representation_is_one_line():
    assert repr(two_pl()) == "<ItemParameters: 1 items (2PL), 2 categories>"
    assert repr(ItemParameters([], [], [], np.empty((0, 1)))) == "<ItemParameters: no items>"


def test_importing_the_package_loads_numpy_only():
    code = (
        "import sys, assess.irt; heavy = {'scipy', 'pandas', 'girth', 'pyarrow', 'rich'} & set(sys.modules); "
        "assert not heavy, heavy; assert callable(assess.irt.simulate)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    code = "import assess.irt.simulate, assess.irt as irt; assert callable(irt.simulate), irt.simulate"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    import assess.irt

    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        assess.irt.nonsense  # noqa: B018
