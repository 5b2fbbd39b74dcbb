"""Scales, scores and the mass above a cut."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assess.errors import InvalidContent, ScaleMismatch
from assess.scale import CutScore, Scale, Score, require_same_scale, upper_tail


@given(mean=st.floats(-2, 2), sd=st.floats(0.25, 1.2), cut=st.floats(-3, 3))
def test_the_mass_of_a_normal_posterior_above_a_cut_is_the_normal_tail(
    mean: float, sd: float, cut: float
) -> None:
    nodes = np.linspace(-8.0, 8.0, 81)
    density = np.exp(-0.5 * ((nodes - mean) / sd) ** 2)
    exact = 0.5 * math.erfc((cut - mean) / sd / math.sqrt(2.0))
    assert upper_tail(nodes, density, cut) == pytest.approx(exact, abs=2e-6)


@given(st.lists(st.floats(0.2, 2.5), min_size=3, max_size=20), st.data())
def test_the_mass_above_a_cut_agrees_with_a_fine_quadrature(slopes: list[float], data: st.DataObject) -> None:
    right = data.draw(st.lists(st.booleans(), min_size=len(slopes), max_size=len(slopes)))
    cut = data.draw(st.floats(-2, 2))

    def density(theta: np.ndarray) -> np.ndarray:
        log = -0.5 * theta**2
        for j, (a, x) in enumerate(zip(slopes, right, strict=True)):
            z = a * (theta - (j % 5 - 2))
            log = log - np.logaddexp(0.0, -z if x else z)
        return np.exp(log)

    coarse, fine = np.linspace(-6, 6, 61), np.linspace(-6, 6, 120_001)
    w = density(fine)
    exact = np.trapezoid(np.where(fine >= cut, w, 0.0), fine) / np.trapezoid(w, fine)
    assert upper_tail(coarse, density(coarse), cut) == pytest.approx(exact, abs=2e-4)


def test_the_mass_above_a_cut_falls_as_the_cut_rises_and_ends_at_one_and_zero() -> None:
    nodes = np.linspace(-6.0, 6.0, 61)
    density = np.exp(-0.5 * ((nodes - 0.4) / 0.3) ** 2)
    tails = [upper_tail(nodes, density, cut) for cut in np.linspace(-6.5, 6.5, 400)]
    assert tails[0] == 1.0
    assert tails[-1] == 0.0
    assert all(later <= earlier + 1e-12 for earlier, later in itertools.pairwise(tails))


def test_before_the_first_answer_a_prior_centred_at_the_cut_gives_one_half() -> None:
    nodes = 0.37 + np.linspace(-6.0, 6.0, 61)
    density = np.exp(-0.5 * (nodes - 0.37) ** 2)
    assert upper_tail(nodes, density, 0.37) == pytest.approx(0.5, abs=1e-12)


def test_a_bare_estimate_says_that_its_probability_is_an_approximation() -> None:
    bare = Score(theta=0.5, se=0.5, method="WL", item_ids=())
    assert bare.probability_basis == "normal_approximation"
    assert bare.probability_at_or_above(0.0) == pytest.approx(0.8413, abs=1e-4)
    assert Score(math.inf, math.nan, "ML", ()).probability_at_or_above(3.0) == 1.0
    assert Score(-math.inf, math.nan, "ML", ()).probability_at_or_above(-3.0) == 0.0


@given(st.floats(-20, 20))
def test_a_reported_score_stays_on_the_scale(theta: float) -> None:
    assert 200 <= Scale("s", "all").report(theta) <= 800


@pytest.mark.parametrize("fault", [{"id": ""}, {"sd": 0.0}, {"sd": math.nan}, {"minimum": 800.0}])
def test_a_scale_that_means_nothing_is_refused(fault: dict[str, object]) -> None:
    with pytest.raises(InvalidContent):
        Scale(**({"id": "s", "reference_group": "all"} | fault))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"status": "agreed"}, "provisional or adopted"),
        ({"status": "adopted"}, "panel"),
        ({"theta": math.nan}, "finite"),
    ],
)
def test_a_cut_without_standing_is_refused(fault: dict[str, object], message: str) -> None:
    good: dict[str, object] = {
        "id": "c.v1",
        "level": "KA",
        "theta": 0.0,
        "se": 0.1,
        "scale_id": "s",
        "method": "judged",
    }
    with pytest.raises(InvalidContent, match=message):
        CutScore(**(good | fault))  # type: ignore[arg-type]


def test_numbers_of_two_scales_never_meet() -> None:
    with pytest.raises(ScaleMismatch, match=r"linking needs one scale, got 's/1' and 's/2'"):
        require_same_scale("s/1", "s/2", doing="linking")
