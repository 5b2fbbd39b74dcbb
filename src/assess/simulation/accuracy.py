r"""How often a form decides rightly, in a stated population.

A learner's own probability says how sure one decision is. What a badge system
must know besides is how often the whole procedure errs: the form with the rule
in force, and its retakes. Here learners of known ability go through the
production rule; `badges` puts several courses together.

What is unknown beyond measurement enters by draws: item parameters around
their estimates, the cut around its own. With W the share of wrong decisions
(false pass and false fail),

.. math::

   W = \underbrace{W_{\text{known}}}_{\text{measurement}}
     + \underbrace{(W_{\text{items}} - W_{\text{known}})}_{\text{calibration}}
     + \underbrace{(W_{\text{items, cut}} - W_{\text{items}})}_{\text{cut}} .

The same abilities and the same chance serve all three, so that the differences
are not those of the draw.

References
----------
Wainer, Wang, Skorupski & Bradlow (2005), *Journal of Educational Measurement* 42, 271-281,
doi:10.1111/j.1745-3984.2005.00014.x (posterior probability as a pass rule).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from assess.errors import InvalidParameters
from assess.irt.decision_accuracy import RuleAccuracy, accuracy_of_outcomes
from assess.irt.parameters import ItemParameters
from assess.irt.scoring import Prior
from assess.irt.uncertainty import draw_parameters
from assess.session import Release
from assess.simulation.form_runs import NOT_PASSED, PASSED, run_form

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]
# Below this mean standard error of b a draw of the items moves nothing that people see.
UNCERTAIN_B = 0.2
_N_DRAWS = 20


@dataclass(frozen=True, eq=False)
class FormAccuracy:
    """What the rule in force of one form does to a population.

    Attributes
    ----------
    form, release : str
    population : Prior
        Who takes the form, on its scale.
    rule : RuleAccuracy
        With everything unknown that is unknown: what is to be reported.
    wrong : mapping
        Share of wrong decisions by where they come from: measurement,
        calibration, cut. The two latter may be slightly negative by chance.
    mean_se_b : float
        Mean standard error of the difficulties; nan where none is stored.
    drawn : tuple of str
        What was drawn: "items", "cut", or nothing.
    """

    form: str
    release: str
    population: Prior
    rule: RuleAccuracy
    wrong: Mapping[str, float]
    mean_se_b: float
    drawn: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<FormAccuracy {self.form}: {self.rule.summary()}>"

    @property
    def basis(self) -> str:
        """Population, method and what was taken as known, in a sentence."""
        taken = " and ".join(word for word in ("items", "cut") if word not in self.drawn)
        known = f"; {taken} taken as known" if taken else ""
        return (
            f"{self.rule.n_simulees:,} simulated learners of a normal population, mean "
            f"{self.population.mean:g} and SD {self.population.sd:g}, decided by the rule in force{known}"
        )

    def to_mapping(self) -> dict[str, Any]:
        """Plain data, six digits: what an activation keeps and a status answer shows."""
        shares = {name: plain(value) for name, value in self.rule.shares.items()}
        return shares | {
            "wrong": {name: plain(value) for name, value in self.wrong.items()},
            "mean_se_b": plain(self.mean_se_b),
            "population": {"mean": self.population.mean, "sd": self.population.sd},
            "n_simulees": self.rule.n_simulees,
            "basis": self.basis,
        }

    def to_frame(self) -> pd.DataFrame:
        """One row: the technical table of a form."""
        import pandas as pd

        row = self.to_mapping()
        row |= {f"wrong_{name}": value for name, value in row.pop("wrong").items()}
        row |= {f"population_{name}": value for name, value in row.pop("population").items()}
        return pd.DataFrame([row], index=pd.Index([self.form], name="form"))


def plain(value: float) -> float | None:
    """Six digits for what is kept; None for what is not known.

    Examples
    --------
    >>> plain(1 / 3), plain(math.nan)
    (0.333333, None)
    """
    return round(float(value), 6) if math.isfinite(value) else None


def form_accuracy(
    release: Release,
    rng: np.random.Generator,
    *,
    population: Prior | None = None,
    n: int = 10_000,
    n_draws: int = _N_DRAWS,
) -> FormAccuracy:
    """Accuracy of the rule in force of a calibrated form, fixed or adaptive.

    Every simulated learner takes the form twice and answers every item that is
    offered. Items are drawn around their estimates where their difficulties
    are uncertain (mean standard error above 0.2), the cut wherever its
    standard error is known.

    Parameters
    ----------
    release : Release
    rng : numpy.random.Generator
    population : Prior, optional
        On the release's scale; N(0, 1), its reference group, unless given.
    n : int
        Simulated learners. A share has a standard error of at most ``0.5 / sqrt(n)``.
    n_draws : int
        Draws of items and cut, each for an equal part of the learners.

    Raises
    ------
    InvalidParameters
        Judged parameters: no probability can be defended. Or n below two for each draw.

    Examples
    --------
    >>> form_accuracy(release, np.random.default_rng(1))
    Traceback (most recent call last):
        ...
    assess.errors.InvalidParameters: x-fixed.v1 rests on judged parameters; accuracy needs calibrated ones
    """
    if not release.calibrated:
        raise InvalidParameters(
            f"{release.form.reference} rests on judged parameters; accuracy needs calibrated ones"
        )
    if n_draws < 1 or n < 2 * n_draws:
        raise InvalidParameters(f"n is {n} for {n_draws} draws; two learners or more are needed for each")
    people = Prior(0.0, 1.0) if population is None else population
    errors, correlations = _errors(release)
    mean_se_b = _mean_se_b(errors)
    with_items = bool(mean_se_b > UNCERTAIN_B)
    with_cut = math.isfinite(release.cut.se) and release.cut.se > 0.0
    theta = rng.normal(people.mean, people.sd, n)
    parts = np.array_split(np.arange(n), n_draws)
    seeds = rng.integers(0, 2**63, size=(n_draws, 3))
    cuts = np.full(n, release.cut.theta)
    known = np.empty((n, 2), dtype=np.int8)
    drawn = known
    for part, (_, answer_seed, cut_seed) in zip(parts, seeds.tolist(), strict=True):
        known[part] = _twice(release, theta[part], release.parameters, answer_seed)
        if with_cut:
            # One draw of the cut for a part: a panel errs for everybody together.
            cuts[part] += np.random.default_rng(cut_seed).normal(0.0, release.cut.se)
    if with_items:
        drawn = np.empty((n, 2), dtype=np.int8)
        for part, (item_seed, answer_seed, _) in zip(parts, seeds.tolist(), strict=True):
            answering = draw_parameters(
                release.parameters, errors, np.random.default_rng(item_seed), correlations=correlations
            )
            drawn[part] = _twice(release, theta[part], answering, answer_seed)
    method = f"simulated {release.form.kind} form, {release.form.rule.kind} rule"
    alone = accuracy_of_outcomes(theta, known, release.cut.theta, method=method)
    items = accuracy_of_outcomes(theta, drawn, release.cut.theta, method=method) if with_items else alone
    both = accuracy_of_outcomes(theta - cuts, drawn, 0.0, method=method) if with_cut else items
    return FormAccuracy(
        form=release.form.reference,
        release=release.sha256,
        population=people,
        rule=both,
        wrong={
            "measurement": _wrong(alone),
            "calibration": _wrong(items) - _wrong(alone),
            "cut": _wrong(both) - _wrong(items),
        },
        mean_se_b=mean_se_b,
        drawn=(*(("items",) if with_items else ()), *(("cut",) if with_cut else ())),
    )


def accuracy_after_tries(
    release: Release,
    rng: np.random.Generator,
    *,
    population: Prior | None = None,
    n: int = 10_000,
    tries: int | None = None,
) -> tuple[RuleAccuracy, ...]:
    """Accuracy of what stands after 1, 2, ..., k tries, where everybody tries again until passed.

    The worst case for false passes: nobody gives up, and nobody learns between
    two tries. Items are not exhausted. Where the policy asks more of later
    tries (`RetakePolicy.p_pass_by_try`), so does the simulation.

    Parameters
    ----------
    tries : int, optional
        The largest k; the form's retake policy unless given.

    Examples
    --------
    >>> accuracy_after_tries(release, np.random.default_rng(1))
    Traceback (most recent call last):
        ...
    assess.errors.InvalidParameters: x-fixed.v1 rests on judged parameters; accuracy needs calibrated ones
    """
    if not release.calibrated:
        raise InvalidParameters(
            f"{release.form.reference} rests on judged parameters; accuracy needs calibrated ones"
        )
    k = release.form.retake.max_tries if tries is None else tries
    if k < 1:
        raise InvalidParameters(f"tries is {k}; at least one")
    people = Prior(0.0, 1.0) if population is None else population
    theta = rng.normal(people.mean, people.sd, n)
    standing = np.full(n, NOT_PASSED, dtype=np.int8)
    out = []
    for number in range(1, k + 1):
        again = np.flatnonzero(standing != PASSED)
        standing[again] = decide(release, theta[again], release.parameters, rng, try_number=number)
        method = "first try" if number == 1 else f"after up to {number} tries"
        out.append(accuracy_of_outcomes(theta, standing, release.cut.theta, method=method))
    return tuple(out)


def decide(
    release: Release,
    theta: ArrayLike,
    answering: ItemParameters,
    rng: np.random.Generator,
    *,
    try_number: int = 1,
) -> NDArray[np.int8]:
    """One administration of every learner, decided as production decides: 1 passed, -1 not, 0 neither.

    Parameters
    ----------
    theta : array (N,)
        True abilities.
    answering : ItemParameters
        By which they answer; the release scores by its own.
    try_number : int
        Which try, where the retake policy asks more of later ones.

    Examples
    --------
    >>> decide(release, [-9.0, 9.0], release.parameters, np.random.default_rng(1)).tolist()
    [-1, 1]
    """
    return run_form(release, theta, rng, answering=answering, try_number=try_number).outcomes


# --- inside -------------------------------------------------------------------


def _twice(release: Release, theta: FloatArray, answering: ItemParameters, seed: int) -> NDArray[np.int8]:
    rng = np.random.default_rng(seed)
    return np.stack([decide(release, theta, answering, rng) for _ in range(2)], axis=1)


def _errors(release: Release) -> tuple[Mapping[str, Mapping[str, float]], Mapping[str, Sequence[float]]]:
    provenance = release.parameter_set.provenance
    return provenance.get("standard_errors", {}), provenance.get("correlations", {})


def _mean_se_b(errors: Mapping[str, Mapping[str, float]]) -> float:
    found = [se for known in errors.values() for name, se in known.items() if name[0] == "b"]
    return math.fsum(found) / len(found) if found else math.nan


def _wrong(rule: RuleAccuracy) -> float:
    return rule.false_pass + rule.false_fail
