"""How abilities go together is found again from scores with errors; what says nothing is refused."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
import pytest

from assess import irt
from assess.errors import InvalidResponses
from assess.simulation import ability_correlation, accuracy_after_tries, decide
from tests import synthetic


def scores(
    rho: float, *, method: Literal["EAP", "WL"], n: int = 4_000, courses: int = 2, seed: int = 1
) -> pd.DataFrame:
    """Scores of simulated learners on 20 items in each course, as a scoring method gives them."""
    rng = np.random.default_rng(seed)
    items = irt.ItemParameters(
        [f"i{j}" for j in range(20)], "2PL", [1.2] * 20, [[b] for b in np.linspace(-2, 2, 20)]
    )
    common = rng.standard_normal(n)
    frames = []
    for course in range(courses):
        theta = np.sqrt(rho) * common + np.sqrt(1.0 - rho) * rng.standard_normal(n)
        given = pd.DataFrame(irt.simulate(items, theta, rng), columns=list(items.item_ids))
        found = irt.score(given, items, method, prior=irt.Prior(0.0, 1.0))
        frames.append(
            pd.DataFrame(
                {"learner": range(n), "course": f"c{course}", "theta": found["theta"], "se": found["se"]}
            ).assign(method=method)
        )
    return pd.concat(frames, ignore_index=True)


@pytest.mark.parametrize("method", ["EAP", "WL"])
@pytest.mark.parametrize("rho", [0.5, 0.9])
def test_the_correlation_of_abilities_is_found_through_the_errors_of_measurement(rho, method):
    given = scores(rho, method=method)
    found = ability_correlation(given)
    # 4,000 pairs: three standard errors are about 0.03, and errors that depend on ability add a little.
    assert found.correlation == pytest.approx(rho, abs=0.04)
    x, y = (given[given["course"] == course]["theta"].to_numpy() for course in ("c0", "c1"))
    raw = np.corrcoef(x, y)[0, 1]
    assert raw < rho - 0.05, "without the correction it would be too low"
    assert "4,000 learners in 1 pairs" in found.summary()


def test_the_standard_error_is_what_repeated_samples_show():
    found = [ability_correlation(scores(0.7, method="WL", n=200, seed=seed)) for seed in range(12)]
    spread = float(np.std([one.correlation for one in found], ddof=1))
    # A standard deviation of 12 values is known to about a fifth; the formula leaves out the error of R.
    assert np.mean([one.se for one in found]) == pytest.approx(spread, rel=0.5)


def test_several_courses_are_averaged_over_their_pairs():
    found = ability_correlation(scores(0.6, method="EAP", n=2_000, courses=3))
    assert [pair[:2] for pair in found.pairs] == [("c0", "c1"), ("c0", "c2"), ("c1", "c2")]
    assert found.correlation == pytest.approx(np.mean([pair[2] for pair in found.pairs]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: pd.concat([frame, frame.head(1)]), "learner 0 occurs twice in course c0"),
        (lambda frame: frame.assign(theta=np.nan), "finite theta"),
        (lambda frame: frame.assign(method="raw"), "method 'raw' is neither EAP nor WL"),
        (lambda frame: frame.head(60), "no pair of courses has 100 learners"),
        (lambda frame: frame.assign(method="WL", se=9.0), "vary no more than their errors"),
    ],
)
def test_scores_that_say_nothing_are_refused(change, message):
    with pytest.raises(InvalidResponses, match=message):
        ability_correlation(change(scores(0.5, method="EAP", n=200)))


# --- what a policy that asks more of later tries does ----------------------------------


def test_a_probability_that_rises_holds_back_the_false_passes_of_later_tries():
    flat = synthetic.release(calibrated=True)
    rising = synthetic.release(
        calibrated=True, form={"retake": {"p_pass_by_try": [0.75, 0.85, 0.9, 0.95, 0.95]}}
    )
    plain, strict = (accuracy_after_tries(r, np.random.default_rng(1), n=4_000) for r in (flat, rising))
    assert plain[0].accuracy == strict[0].accuracy, "the first try asks the same"
    assert strict[-1].false_pass < 0.7 * plain[-1].false_pass
    passed = [accuracy.passed for accuracy in strict]
    assert passed == sorted(passed)


def test_a_later_try_alone_passes_as_a_form_that_always_asks_so_much():
    rising = synthetic.release(calibrated=True, form={"retake": {"p_pass_by_try": [0.75, 0.9]}})
    always = synthetic.release(calibrated=True, form={"rule": {"kind": "probability", "p_pass": 0.9}})
    theta = np.random.default_rng(2).normal(size=2_000)
    second = decide(rising, theta, rising.parameters, np.random.default_rng(3), try_number=2)
    other = decide(always, theta, always.parameters, np.random.default_rng(3))
    assert (second == other).all()


def test_a_placement_decides_nothing_about_those_whom_it_does_not_grant():
    release = synthetic.release(
        kind="adaptive", calibrated=True, n_items=30, form={"rule": {"kind": "placement"}}
    )
    theta = np.random.default_rng(2).normal(size=2_000)
    found = decide(release, theta, release.parameters, np.random.default_rng(3))
    assert set(found.tolist()) == {0, 1}
    assert (found[theta < -1.0] == 0).all()
