r"""How often a confirming form errs: honest learners whom it doubts, and scores that are too high and pass.

Learners of known theta sit the first form; those who pass sit the confirming
form without the items that they met. Who is honest answers by the same theta.
Who is not answered the first form as somebody whose theta is higher by a
*loss*; the loss that the form states, and others around it. The bounds of the
test hold on average over learners like the prior of the first form; here the
population is what it is stated to be, only passes are looked at, and the table
by theta shows where the averages come from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from assess.errors import InvalidParameters
from assess.irt.confirmation import ConfirmationRun
from assess.irt.models import log_category_probabilities
from assess.irt.parameters import FloatArray
from assess.irt.quadrature import Prior, default_nodes
from assess.progress import Progress, silent
from assess.session import Release, met_units
from assess.simulation.accuracy import plain
from assess.simulation.form_runs import PASSED, BoolArray, FormRun, run_form, with_estimates

# Multiples of the stated loss; the first is an honest learner, the third what is stated.
LOSSES = (0.0, 0.5, 1.0, 1.5, 2.0)
_STATED = 2
# Of the table by theta: width of a row, and learners below which a share says nothing.
_WIDTH, _FEWEST = 0.5, 50
_ROUNDS = 40


@dataclass(frozen=True, eq=False)
class ConfirmationStudy:
    """What a confirming form does to those who passed a first form.

    Attributes
    ----------
    form, first : str
        The two forms.
    loss, alpha, beta : float
        As the form states them.
    by_loss : DataFrame
        One row per loss: shares inconsistent, consistent and undecided, mean items, learners.
    by_theta : DataFrame
        The theta of the first session in steps of a half: share of honest learners found inconsistent
        (false alarm), of scores too high by the stated loss found consistent (missed), learners of each.
    population : Prior
    share_passed : float
        Of the population, who passes the first form and so could be asked.
    n : int
        Learners of each loss.
    """

    form: str
    first: str
    loss: float
    alpha: float
    beta: float
    by_loss: pd.DataFrame
    by_theta: pd.DataFrame
    population: Prior
    share_passed: float
    n: int

    def __repr__(self) -> str:
        return f"<ConfirmationStudy {self.form} of {self.first}: {self.summary()}>"

    @property
    def false_alarm(self) -> float:
        """Share of honest learners found inconsistent."""
        return float(self.by_loss["inconsistent"].iloc[0])

    @property
    def missed(self) -> float:
        """Share of scores too high by the stated loss that are found consistent."""
        return float(self.by_loss["consistent"].iloc[_STATED])

    @property
    def found(self) -> float:
        """Share of scores too high by the stated loss that are found inconsistent."""
        return float(self.by_loss["inconsistent"].iloc[_STATED])

    @property
    def kept(self) -> bool:
        """Whether both rates are within what is stated, to three standard errors of the simulation."""
        pairs = ((self.false_alarm, self.alpha), (self.missed, self.beta))
        return all(rate <= limit + 3.0 * math.sqrt(limit * (1 - limit) / self.n) for rate, limit in pairs)

    @property
    def basis(self) -> str:
        """What the numbers rest on, in a sentence."""
        return (
            f"{self.n:,} simulated learners each who pass {self.first}, from a normal population of mean "
            f"{self.population.mean:g} and SD {self.population.sd:g}, of whom {self.share_passed:.0%} do; "
            "items taken as known"
        )

    def summary(self) -> str:
        """The rates in a sentence."""
        honest, lost = self.by_loss.iloc[0], self.by_loss.iloc[_STATED]
        return (
            f"of scores that hold, {self.false_alarm:.1%} are found inconsistent (stated: at most "
            f"{self.alpha:.1%}) and {honest['undecided']:.0%} stay undecided; of scores too high by "
            f"{self.loss:g}, {self.missed:.1%} are found consistent (stated: at most {self.beta:.1%}), "
            f"{self.found:.0%} inconsistent, and {lost['undecided']:.0%} stay undecided; "
            f"{honest['items']:.1f} and {lost['items']:.1f} items on average"
        )

    def to_mapping(self) -> dict[str, Any]:
        """Plain data, six digits: what an activation keeps."""
        return {
            "first": self.first,
            "stated": {"loss": self.loss, "alpha": self.alpha, "beta": self.beta},
            "false_alarm": plain(self.false_alarm),
            "missed": plain(self.missed),
            "by_loss": _rows(self.by_loss),
            "by_theta": _rows(self.by_theta),
            "share_passed": plain(self.share_passed),
            "population": {"mean": self.population.mean, "sd": self.population.sd},
            "n": self.n,
            "kept": self.kept,
            "basis": self.basis,
        }


def confirmation_study(
    release: Release,
    first: Release,
    rng: np.random.Generator,
    *,
    population: Prior | None = None,
    n: int = 2_000,
    progress: Progress = silent,
) -> ConfirmationStudy:
    """Simulate a confirming form on those who pass a first form.

    Parameters
    ----------
    release : Release
        The confirming form.
    first : Release
        One of the forms whose passes it confirms; it scores by theta.
    rng : numpy.random.Generator
    population : Prior, optional
        Who takes the first form, on its scale; N(0, 1) unless given.
    n : int
        Learners who passed, for each loss. A share has a standard error of at most ``0.5 / sqrt(n)``.
    progress : Progress
        Told of every loss.

    Raises
    ------
    InvalidParameters
        The form confirms nothing, the first one has no theta, or nearly nobody passes it.

    Examples
    --------
    >>> confirmation_study(release, release, np.random.default_rng(1))
    Traceback (most recent call last):
        ...
    assess.errors.InvalidParameters: x-fixed.v1 confirms nothing; design it as a form
    """
    policy, name = release.form.confirms, release.form.reference
    if policy is None:
        raise InvalidParameters(f"{name} confirms nothing; design it as a form")
    if first.form.rule.kind == "raw":
        raise InvalidParameters(
            f"{first.form.reference} decides by a raw score, which has no theta to confirm"
        )
    people = Prior(0.0, 1.0) if population is None else population
    theta, run, share = _who_pass(first, people, n, rng)
    nodes, weights = first_scores(first, run)
    closed = _met(release, first, run)
    rows, runs = [], {}
    for done, multiple in enumerate(LOSSES):
        loss = multiple * policy.loss
        progress(done, len(LOSSES), f"loss {loss:g}")
        found = release.confirmation_test.simulate(nodes, weights, theta - loss, rng, closed=closed)
        runs[multiple] = found
        rows.append(
            {
                "loss": loss,
                "inconsistent": np.mean(found.signs == 1),
                "consistent": np.mean(found.signs == -1),
                "undecided": np.mean(found.signs == 0),
                "items": _n_items(release, found).mean(),
            }
        )
    return ConfirmationStudy(
        form=name,
        first=first.form.reference,
        loss=policy.loss,
        alpha=policy.alpha,
        beta=policy.beta,
        by_loss=pd.DataFrame(rows).set_index("loss"),
        by_theta=_by_theta(theta, runs[0.0].signs == 1, runs[1.0].signs == -1),
        population=people,
        share_passed=share,
        n=n,
    )


def first_scores(release: Release, run: FormRun) -> tuple[FloatArray, FloatArray]:
    """The distributions behind the scores of simulated learners, on common nodes: (Q,) and (N, Q).

    Posteriors by the prior of the form; where it scores by WL, normal ones around the estimates.

    Examples
    --------
    >>> run = run_form(release, [-2.0, 2.0], np.random.default_rng(1))
    >>> nodes, weights = first_scores(release, run)
    >>> weights.shape == (2, len(nodes)), bool(weights[0] @ nodes < weights[1] @ nodes)
    (True, True)
    """
    nodes = default_nodes(release.parameters, release.prior, run.units.shape[1])
    if release.form.scoring == "WL":
        estimates = with_estimates(release, run)
        log_weights = -0.5 * ((nodes - estimates.theta[:, None]) / estimates.se[:, None]) ** 2
    else:
        table = log_category_probabilities(release.parameters, nodes).transpose(1, 2, 0)
        log_weights = np.tile(release.prior.log_density(nodes), (len(run.units), 1))
        for step in range(run.units.shape[1]):
            rows = np.flatnonzero(run.units[:, step] >= 0)
            log_weights[rows] += table[run.units[rows, step], run.categories[rows, step]]
    weights = np.exp(log_weights - log_weights.max(axis=1, keepdims=True))
    return nodes, weights / np.add.reduce(weights, axis=1)[:, None]


# --- inside -------------------------------------------------------------------


def _who_pass(
    first: Release, people: Prior, n: int, rng: np.random.Generator
) -> tuple[FloatArray, FormRun, float]:
    """The first n learners of the population who pass, their runs, and the share of those who do."""
    parts, thetas, n_tried, n_passed = [], [], 0, 0
    for _ in range(_ROUNDS):
        theta = people.drawn(n, rng)
        run = run_form(first, theta, rng)
        rows = np.flatnonzero(run.outcomes == PASSED)
        parts.append((run.units[rows], run.categories[rows]))
        thetas.append(theta[rows])
        n_tried, n_passed = n_tried + n, n_passed + len(rows)
        if n_passed >= n:
            break
    else:
        raise InvalidParameters(
            f"{n_passed} of {n_tried} simulated learners pass {first.form.reference}; "
            "state a population of whom more do"
        )
    units, categories = (np.concatenate(side)[:n] for side in zip(*parts, strict=True))
    nothing = np.full(n, np.nan)
    taken = FormRun(
        units,
        categories,
        np.full(n, PASSED, dtype=np.int8),
        nothing,
        nothing,
        ("passed",) * n,
        np.zeros(n, dtype=np.int64),
        np.full(n, -1),
    )
    return np.concatenate(thetas)[:n], taken, n_passed / n_tried


def _met(release: Release, first: Release, run: FormRun) -> BoolArray:
    """Which units of the confirming form each learner has met in the first one, (N, J)."""
    place = {unit.reference: u for u, unit in enumerate(release.units)}
    known = np.zeros((len(first.units), len(release.units)), dtype=bool)
    for u, unit in enumerate(first.units):
        for reference in met_units(release, [item.reference for item in unit.items]):
            known[u, place[reference]] = True
    given = run.given(len(first.units))
    return np.asarray((given.astype(np.int64) @ known.astype(np.int64)) > 0)


def _n_items(release: Release, run: ConfirmationRun) -> FloatArray:
    lengths = np.array([*(len(unit.items) for unit in release.units), 0])
    return np.asarray(lengths[run.units].sum(axis=1), dtype=float)


def _by_theta(theta: FloatArray, alarmed: BoolArray, missed: BoolArray) -> pd.DataFrame:
    centres = np.round(theta / _WIDTH) * _WIDTH
    frame = pd.DataFrame({"theta": centres, "false_alarm": alarmed, "missed": missed, "n": 1})
    table = frame.groupby("theta").agg({"false_alarm": "mean", "missed": "mean", "n": "sum"})
    return table[table["n"] >= _FEWEST]


def _rows(table: pd.DataFrame) -> list[Mapping[str, float | None]]:
    return [
        {str(name): plain(value) for name, value in row.items()}
        for row in table.reset_index().to_dict(orient="records")
    ]
