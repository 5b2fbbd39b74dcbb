r"""How often a decision rule is right, when it may also leave a learner undetermined.

`irt.accuracy` speaks of estimates and scores that are compared with cuts; here
it is the rule in force, in a stated population: by simulation where the
posterior decides, exactly where the summed score does.

References
----------
Lee (2010), *Journal of Educational Measurement* 47, 1-17, doi:10.1111/j.1745-3984.2009.00096.x.
Lord & Wingersky (1984), *Applied Psychological Measurement* 8, 453-461, doi:10.1177/014662168400800409.
Spray & Reckase (1996), *Journal of Educational and Behavioral Statistics* 21, 405-414,
doi:10.3102/10769986021004405.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from assess.errors import InvalidParameters, InvalidResponses
from assess.irt.models import log_category_probabilities
from assess.irt.modes import Categories, tabulated
from assess.irt.parameters import FloatArray, ItemParameters, same_units
from assess.irt.quadrature import Prior, TailMass, chunks, default_nodes
from assess.irt.scoring import summed_score_distribution
from assess.irt.simulate import simulate

if TYPE_CHECKING:
    import pandas as pd

Population = Prior | ArrayLike
"""A normal population, or the abilities of a sample, each with the same share."""

_SHARES = (
    "accuracy", "false_pass", "false_fail", "undetermined", "passed", "not_passed", "at_or_above",
    "false_pass_rate", "false_fail_rate", "consistency", "agreement", "kappa",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class RuleAccuracy:
    r"""What a decision rule does to a population, as shares of it.

    With the outcome :math:`D \in \{+, -, u\}` (passed, not passed, undetermined)
    of one administration, :math:`D'` that of a parallel one, and the true
    standing :math:`M = [\theta \ge c]`:

    .. math::

       \text{accuracy} = P(D{=}+, M) + P(D{=}-, \bar M), \quad
       \text{false pass} = P(D{=}+, \bar M), \quad
       \text{false fail} = P(D{=}-, M), \quad
       \text{undetermined} = P(D{=}u),

    which sum to one: undetermined is not decided, and never correct. In the same spirit

    .. math::

       \text{consistency} = P(D = D' \ne u), \qquad \text{agreement} = P(D = D'), \qquad
       \kappa = \frac{\text{agreement} - \sum_k P(D{=}k)^2}{1 - \sum_k P(D{=}k)^2}.

    Parameters
    ----------
    accuracy, false_pass, false_fail, undetermined : float
        As above; shares of the whole population.
    passed, not_passed : float
        Shares with each decision, right or wrong.
    at_or_above : float
        Share whose true theta is at or above the cut.
    false_pass_rate, false_fail_rate : float
        :math:`P(D{=}+ \mid \bar M)` and :math:`P(D{=}- \mid M)`; nan where nobody is there.
    consistency, agreement, kappa : float
        As above; kappa is nan where everybody has one outcome.
    method : str
        How it was computed.
    n_simulees : int
        Simulated learners; 0 where it is exact.
    errors : mapping
        Name of each number above to its Monte Carlo standard error.
    """

    accuracy: float
    false_pass: float
    false_fail: float
    undetermined: float
    passed: float
    not_passed: float
    at_or_above: float
    false_pass_rate: float
    false_fail_rate: float
    consistency: float
    agreement: float
    kappa: float
    method: str = ""
    n_simulees: int = 0
    errors: Mapping[str, float] = field(default_factory=dict, repr=False)

    @property
    def accuracy_when_decided(self) -> float:
        """Share of right decisions among those taken; nan where none is."""
        decided = 1.0 - self.undetermined
        return self.accuracy / decided if decided > 0.0 else math.nan

    @property
    def shares(self) -> dict[str, float]:
        """All numbers by name."""
        return {name: getattr(self, name) for name in _SHARES}

    def summary(self) -> str:
        """The accuracy in one sentence."""
        return (
            f"right {100 * self.accuracy:.1f} %, wrongly passed {100 * self.false_pass:.1f} %, "
            f"wrongly failed {100 * self.false_fail:.1f} %, undetermined {100 * self.undetermined:.1f} %; "
            f"the same decision twice {100 * self.consistency:.1f} %, kappa {self.kappa:.2f} ({self.method})"
        )

    def to_frame(self) -> pd.DataFrame:
        """One row per number: value and Monte Carlo standard error."""
        import pandas as pd

        rows = [(value, self.errors.get(name, 0.0)) for name, value in self.shares.items()]
        return pd.DataFrame(rows, columns=["value", "se"], index=pd.Index(_SHARES, name="quantity"))


def rule_accuracy(
    parameters: ItemParameters,
    cut: float,
    *,
    prior: Prior | None = None,
    p_pass: float = 0.75,
    p_fail: float = 0.25,
    population: Population | None = None,
    n_simulees: int = 20_000,
    rng: np.random.Generator,
    answering: ItemParameters | None = None,
) -> RuleAccuracy:
    r"""Accuracy of the probability rule on a fixed form, by simulation.

    Each simulated learner takes the form twice. The decision is the
    production one: the posterior on `default_nodes`, its mass at and above the
    cut, passed at :math:`\ge p_{pass}` and not passed at :math:`\le p_{fail}`.
    Every item is answered; items left out are a matter of form policy.

    Parameters
    ----------
    parameters : ItemParameters
        All units of the form.
    cut : float
        In units of theta.
    prior : Prior, optional
        Of the rule, the same for all learners; N(cut, 1) unless given.
    p_pass, p_fail : float
        0 < p_fail < p_pass < 1.
    population : Prior or array (T,), optional
        Who takes the form; a normal population, or abilities drawn from with
        replacement. N(0, 1) unless given.
    n_simulees : int
        At least 2. A share has a standard error of at most ``0.5 / sqrt(n)``.
    rng : numpy.random.Generator
    answering : ItemParameters, optional
        By which the learners answer, where that is not what they are scored
        by: a draw from the covariance of a calibration, say. The same units.

    Raises
    ------
    InvalidParameters
        A cut or a population that is not finite, limits that do not rise,
        fewer than two simulees, or answers by other units.

    Examples
    --------
    >>> items = ItemParameters([f"i{j}" for j in range(24)], "2PL", [1.2] * 24, [[0.0]] * 24)
    >>> result = rule_accuracy(items, 0.0, n_simulees=2000, rng=np.random.default_rng(1))
    >>> 0.75 < result.accuracy < 0.85, 0.1 < result.undetermined < 0.2
    (True, True)
    """
    if not 0.0 < p_fail < p_pass < 1.0:
        raise InvalidParameters(f"p_fail {p_fail} and p_pass {p_pass}: say 0 < p_fail < p_pass < 1")
    if not math.isfinite(cut) or not len(parameters):
        raise InvalidParameters(f"cut {cut} on {len(parameters)} units; give a finite cut and a form")
    if n_simulees < 2:
        raise InvalidParameters(f"n_simulees is {n_simulees}; two or more are needed for a standard error")
    answers = parameters if answering is None else same_units(answering, parameters)
    used = Prior(cut, 1.0) if prior is None else prior
    people = _checked(population)
    if isinstance(people, Prior):
        theta = rng.normal(people.mean, people.sd, n_simulees)
    else:
        theta = rng.choice(people, n_simulees)

    outcomes = np.stack(
        [
            rule_outcomes(
                simulate(answers, theta, rng), parameters, cut, prior=used, p_pass=p_pass, p_fail=p_fail
            )
            for _ in range(2)
        ],
        axis=1,
    )
    return accuracy_of_outcomes(
        theta, outcomes, cut, method=f"simulated posterior rule {p_pass:g}/{p_fail:g}"
    )


def rule_outcomes(
    categories: Categories,
    parameters: ItemParameters,
    cut: float,
    *,
    prior: Prior,
    p_pass: float = 0.75,
    p_fail: float = 0.25,
) -> NDArray[np.int8]:
    """What the probability rule makes of many complete response patterns, as production decides.

    Parameters
    ----------
    categories : array (N, J)
        One row per learner, every unit answered.
    prior : Prior
        Of the rule.

    Returns
    -------
    array (N,)
        1 passed, -1 not passed, 0 undetermined.

    Examples
    --------
    >>> items = ItemParameters(["i1", "i2"], "2PL", [2.0, 2.0], [[0.0], [0.0]])
    >>> rule_outcomes(np.array([[0, 0], [0, 1], [1, 1]]), items, 0.0, prior=Prior(0.0, 1.0))
    array([-1,  0,  1], dtype=int8)
    """
    nodes = default_nodes(parameters, prior)
    table, density = log_category_probabilities(parameters, nodes), prior.log_density(nodes)
    tail = TailMass(nodes, cut)
    outcomes = np.empty(len(categories), dtype=np.int8)
    for rows in chunks(len(categories)):
        log_weights = tabulated(categories[rows], table) + density
        log_weights -= log_weights.max(axis=1, keepdims=True)
        # Nine digits, as `decide` compares them.
        above = np.round(tail.above(log_weights), 9)
        outcomes[rows] = (above >= p_pass).astype(np.int8) - (above <= p_fail)
    return outcomes


def accuracy_of_outcomes(
    theta: ArrayLike, outcomes: ArrayLike, cut: float, *, method: str = "simulated"
) -> RuleAccuracy:
    """Accuracy of any rule, from simulated learners and what became of them.

    For forms and rules that need their own simulation, such as adaptive ones.

    Parameters
    ----------
    theta : array (N,)
        True abilities.
    outcomes : array (N, R) or (N,)
        1 passed, -1 not passed, 0 undetermined, one column for each of R
        independent administrations; with one there is no consistency (nan).
    cut : float
        In units of theta.

    Raises
    ------
    InvalidResponses
        Where shapes differ or an outcome is none of the three.

    Examples
    --------
    >>> result = accuracy_of_outcomes([-1.0, -0.2, 0.2, 1.0], [[-1, -1], [0, 1], [1, 1], [1, 1]], 0.0)
    >>> result.accuracy, result.false_pass, result.undetermined, result.consistency
    (0.75, 0.125, 0.125, 0.75)
    """
    at = np.atleast_1d(np.asarray(theta, dtype=float))
    given = np.asarray(outcomes)
    given = given[:, None] if given.ndim == 1 else given
    if given.ndim != 2 or len(given) != len(at) or given.shape[1] < 1 or len(at) < 2:
        raise InvalidResponses(
            f"{len(at)} thetas and outcomes of shape {given.shape}; give one row for each of two or more"
        )
    if not np.isin(given, (-1, 0, 1)).all() or not np.isfinite(at).all() or not math.isfinite(cut):
        raise InvalidResponses("an outcome is 1, 0 or -1, and thetas and the cut are finite")
    n_times = given.shape[1]
    master = at >= cut
    times = np.stack([(given == k).sum(axis=1) for k in (1, -1, 0)], axis=1)
    share = times / n_times
    pairs = times * (times - 1) / (n_times * (n_times - 1)) if n_times > 1 else np.full(times.shape, np.nan)
    each: dict[str, NDArray[Any]] = {
        "accuracy": np.where(master, share[:, 0], share[:, 1]),
        "false_pass": np.where(master, 0.0, share[:, 0]),
        "false_fail": np.where(master, share[:, 1], 0.0),
        "undetermined": share[:, 2],
        "passed": share[:, 0],
        "not_passed": share[:, 1],
        "at_or_above": master.astype(float),
        "consistency": pairs[:, 0] + pairs[:, 1],
        "agreement": pairs.sum(axis=1),
    }
    value = {name: float(column.mean()) for name, column in each.items()}
    deviation = {name: column - value[name] for name, column in each.items()}
    for name, part, base in (
        ("false_pass_rate", "false_pass", ~master),
        ("false_fail_rate", "false_fail", master),
    ):
        size = float(base.mean())
        value[name] = value[part] / size if size > 0.0 else math.nan
        deviation[name] = (each[part] - value[name] * base) / (size if size > 0.0 else math.nan)
    mean = share.mean(axis=0)
    value["kappa"], by_chance = _kappa(value["agreement"], mean)
    # Kappa is a function of means: its error is that of its linear part in them (delta method).
    left = 1.0 - by_chance if by_chance < 1.0 else math.nan
    deviation["kappa"] = deviation["agreement"] / left - (1.0 - value["agreement"]) / left**2 * 2.0 * (
        (share - mean) @ mean
    )
    errors = {name: float(np.std(deviation[name], ddof=1)) / math.sqrt(len(at)) for name in _SHARES}
    return RuleAccuracy(**value, method=method, n_simulees=len(at), errors=errors)


def raw_rule_accuracy(
    parameters: ItemParameters,
    raw_cut: float,
    cut_theta: float,
    population: Population | None = None,
    *,
    raw_fail: float | None = None,
) -> RuleAccuracy:
    r"""Accuracy of a rule on the summed score, without simulation.

    The Lord-Wingersky recursion gives :math:`P(S = s \mid \theta)`, so that

    .. math:: P(D{=}+ \mid \theta) = \sum_{s \ge s_{cut}} P(s \mid \theta), \qquad
              P(D{=}- \mid \theta) = \sum_{s \le s_{fail}} P(s \mid \theta),

    integrated over the population by Gauss-Legendre on either side of
    `cut_theta`, where the true standing jumps.

    Parameters
    ----------
    parameters : ItemParameters
        All units of the form.
    raw_cut : float
        Passed at and above it; above 0 and at most the highest score.
    cut_theta : float
        Who is truly at or above the level, in units of theta.
    population : Prior or array (T,), optional
        N(0, 1) unless given; an array is a population by itself.
    raw_fail : float, optional
        Not passed at and below it, undetermined between the two. Unless given,
        everybody below `raw_cut` is not passed.

    Examples
    --------
    >>> items = ItemParameters(["i1", "i2"], "2PL", [1.0, 1.0], [[0.0], [0.0]])
    >>> result = raw_rule_accuracy(items, 1, 0.0)
    >>> round(result.accuracy, 4), round(result.undetermined, 4)
    (0.6749, 0.0)
    """
    people = _checked(population)
    scores = np.arange(int((parameters.n_categories - 1).sum()) + 1)
    needed = float(f"{raw_cut:.8e}")  # Nine digits, as `decide_raw` compares them.
    highest_fail = np.nextafter(needed, -math.inf) if raw_fail is None else float(f"{raw_fail:.8e}")
    if not (0.0 < needed <= scores[-1] and math.isfinite(cut_theta)) or not highest_fail < needed:
        raise InvalidParameters(
            f"raw cut {raw_cut}, raw_fail {raw_fail}, theta {cut_theta}: a raw cut is above 0 and at most "
            f"{scores[-1]}, raw_fail below it, theta finite"
        )
    if isinstance(people, Prior):
        theta, weight = _either_side(people, cut_theta, len(default_nodes(parameters, people)))
    else:
        theta, weight = people, np.full(len(people), 1.0 / len(people))
    master = theta >= cut_theta
    distribution = summed_score_distribution(parameters, theta)
    passing = distribution[scores >= needed].sum(axis=0)
    failing = distribution[scores <= highest_fail].sum(axis=0)
    share = np.stack([passing, failing, np.clip(1.0 - passing - failing, 0.0, 1.0)], axis=1)
    above = float(weight[master].sum())
    false_pass = float((weight * passing)[~master].sum())
    false_fail = float((weight * failing)[master].sum())
    passed, not_passed, undetermined = (weight @ share).tolist()
    agreement = float(weight @ (share**2).sum(axis=1))
    return RuleAccuracy(
        accuracy=passed + not_passed - false_pass - false_fail,
        false_pass=false_pass,
        false_fail=false_fail,
        undetermined=undetermined,
        passed=passed,
        not_passed=not_passed,
        at_or_above=above,
        false_pass_rate=false_pass / (1.0 - above) if above < 1.0 else math.nan,
        false_fail_rate=false_fail / above if above > 0.0 else math.nan,
        consistency=float(weight @ (share[:, :2] ** 2).sum(axis=1)),
        agreement=agreement,
        kappa=_kappa(agreement, weight @ share)[0],
        method="exact raw rule",
        errors=dict.fromkeys(_SHARES, 0.0),
    )


# --- inside -------------------------------------------------------------------


def _checked(population: Population | None) -> Prior | FloatArray:
    if population is None:
        return Prior()
    if isinstance(population, Prior):
        return population
    sample = np.atleast_1d(np.asarray(population, dtype=float))
    if sample.ndim != 1 or not len(sample) or not np.isfinite(sample).all():
        raise InvalidParameters("a population is a normal one, or one row of finite abilities")
    return sample


def _either_side(people: Prior, cut: float, n_cells: int) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights for a normal population, in cells of which none holds the cut inside."""
    edges = np.linspace(people.mean - 9.0 * people.sd, people.mean + 9.0 * people.sd, n_cells + 1)
    if edges[0] < cut < edges[-1]:
        edges = np.unique(np.append(edges, cut))
    x, w = np.polynomial.legendre.leggauss(6)
    half = 0.5 * np.diff(edges)[:, None]
    theta = (edges[:-1, None] + half * (1.0 + x)).ravel()
    weight = (half * w).ravel() * np.exp(people.log_density(theta))
    return theta, weight / weight.sum()


def _kappa(agreement: float, shares: FloatArray) -> tuple[float, float]:
    """Agreement beyond chance, and the agreement by chance."""
    by_chance = float((shares**2).sum())
    return ((agreement - by_chance) / (1.0 - by_chance) if by_chance < 1.0 else math.nan), by_chance
