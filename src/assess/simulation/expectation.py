r"""What a form can be expected to do before anybody has taken it.

Before a pilot, items have the difficulties that experts judged, and scoring
uses these. What the items will turn out to be is unknown; it is drawn around
the judgements (`true_parameters`), learners answer the drawn items, and the
form scores them with the judged values, as it will until the first
calibration. Over many draws this tells what the pilot has to show.

With :math:`\hat\theta` the reported estimate,

.. math::

   \text{reliability} = \operatorname{cor}^2(\hat\theta, \theta), \qquad
   SE(c) = \frac{SD(\hat\theta \mid \theta = c)}{E'(\hat\theta \mid \theta = c)} .

The derivative takes shrinkage and the wrong difficulties out of the scale of
the estimate, so that the standard error is in units of the true ability.

References
----------
Lord, F. M. (1980). *Applications of Item Response Theory to Practical Testing Problems*, section 6.3
(the information of a score).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from assess.errors import InvalidParameters
from assess.irt.decision_accuracy import accuracy_of_outcomes
from assess.irt.parameters import ItemParameters
from assess.irt.scoring import score
from assess.irt.simulate import simulate
from assess.irt.traces import simulate_adaptive
from assess.session import Release
from assess.simulation.accuracy import decide
from assess.simulation.cohorts import true_parameters

FloatArray = NDArray[np.float64]
# Learners this far to both sides of the cut tell what an estimate does at it.
_NEAR = 0.5


@dataclass(frozen=True, slots=True)
class Expectation:
    """One draw of the items: what the form then does to learners from N(0, 1).

    Attributes
    ----------
    reliability : float
        Squared correlation of estimate and ability.
    se_at_cut : float
        In units of ability (SD of the reference group).
    accuracy, consistency, kappa : float
        Of sorting learners at the cut by their estimate, nobody undetermined;
        consistency and kappa over two administrations.
    false_pass, false_fail, undetermined : float
        Of the rule in force.
    length : float
        Mean number of units answered.
    """

    reliability: float
    se_at_cut: float
    accuracy: float
    consistency: float
    kappa: float
    false_pass: float
    false_fail: float
    undetermined: float
    length: float


def expectation(
    release: Release,
    rng: np.random.Generator,
    *,
    n: int = 2_000,
    true: Callable[[ItemParameters, np.random.Generator], ItemParameters] = true_parameters,
) -> Expectation:
    """Draw true items once and send learners through the form, scored with the parameters of the release.

    Parameters
    ----------
    release : Release
        Fixed or adaptive; its parameters may be judged.
    rng : numpy.random.Generator
    n : int
        Learners from N(0, 1), and as many again around the cut.
    true : callable
        From the parameters of the release to drawn ones; `true_parameters`
        unless given. The identity makes the release's parameters true.

    Raises
    ------
    InvalidParameters
        Fewer than 100 learners: correlations of so few say nothing.

    Examples
    --------
    >>> found = expectation(release, np.random.default_rng(1), n=500)
    >>> 0.0 < found.reliability < 1.0 and found.se_at_cut > 0.1
    True
    """
    if n < 100:
        raise InvalidParameters(f"n is {n}; at least 100 learners")
    answering = true(release.parameters, rng)
    cut = release.cut.theta
    people = rng.standard_normal(n)
    runs = [_estimate(release, people, answering, rng) for _ in range(2)]
    (first, length), (again, _) = runs
    sorted_ = np.where(np.stack([first, again], axis=1) >= cut, 1, -1).astype(np.int8)
    by_estimate = accuracy_of_outcomes(people, sorted_, cut)
    rule = accuracy_of_outcomes(people, decide(release, people, answering, rng), cut)
    near = cut + rng.uniform(-_NEAR, _NEAR, n)
    estimate, _ = _estimate(release, near, answering, rng)
    slope, level = np.polyfit(near - cut, estimate, 1)
    spread = float(np.std(estimate - level - slope * (near - cut), ddof=2))
    return Expectation(
        reliability=float(np.corrcoef(first, people)[0, 1] ** 2),
        se_at_cut=spread / float(slope),
        accuracy=by_estimate.accuracy,
        consistency=by_estimate.consistency,
        kappa=by_estimate.kappa,
        false_pass=rule.false_pass,
        false_fail=rule.false_fail,
        undetermined=rule.undetermined,
        length=length,
    )


def percentiles(found: list[Expectation], at: tuple[float, ...] = (10.0, 50.0, 90.0)) -> pd.DataFrame:
    """Percentiles over draws: one row per quantity, one column per percentile.

    Examples
    --------
    >>> one = Expectation(0.8, 0.5, 0.85, 0.8, 0.6, 0.02, 0.02, 0.3, 24.0)
    >>> float(percentiles([one, one]).loc["reliability", 90.0])
    0.8
    """
    table = pd.DataFrame([asdict(draw) for draw in found])
    return pd.DataFrame(
        np.percentile(table.to_numpy(), at, axis=0).T,
        index=pd.Index(table.columns, name="quantity"),
        columns=pd.Index(at, name="percentile"),
    )


def _estimate(
    release: Release, theta: FloatArray, answering: ItemParameters, rng: np.random.Generator
) -> tuple[FloatArray, float]:
    """Reported estimates of one administration, and the mean number of units."""
    if release.form.kind == "adaptive":
        run = simulate_adaptive(release.adaptive_test, theta, rng, answering=answering)
        return run.theta, float(run.n_units.mean())
    if release.form.kind == "multistage":
        found = release.multistage_test.simulate(theta, rng, answering=answering)
        return found.theta, float((found.units >= 0).sum(axis=1).mean())
    categories = simulate(answering, theta, rng)
    frame = pd.DataFrame(categories, columns=list(release.parameters.item_ids))
    scored = score(
        frame,
        release.parameters,
        method="WL" if release.form.scoring == "WL" else "EAP",
        prior=release.prior,
    )
    return scored["theta"].to_numpy(dtype=np.float64), float(len(release.parameters))
