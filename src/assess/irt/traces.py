"""Adaptive tests run to their end: over one learner's known responses, or over simulated examinees."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from assess.errors import InvalidParameters, InvalidResponses
from assess.irt.adaptive import REASONS, AdaptiveTest
from assess.irt.batch import Answers, Kernel
from assess.irt.criteria import Criterion, SelectionRule
from assess.irt.models import information
from assess.irt.parameters import FloatArray, IntArray, ItemParameters, same_units
from assess.irt.quadrature import Prior, default_nodes
from assess.irt.scoring import Method, Source, resolved, score_one

if TYPE_CHECKING:
    import pandas as pd

# Where the next item is chosen while the estimate is infinite.
_FURTHEST = 6.0


def replay(
    parameters: Source,
    responses: Mapping[str, int] | pd.Series[Any],
    selection: SelectionRule = "MFI",
    estimator: Method = "EAP",
    start: float = 0.0,
    min_items: int = 1,
    max_items: int | None = None,
    se: float | None = None,
    prior: Prior | None = None,
) -> pd.DataFrame:
    """One learner's adaptive test over responses that are known beforehand.

    Parameters
    ----------
    parameters : ItemParameters, ParameterSet or calibration
        The bank; items without a response are not offered.
    responses : mapping or Series of item id to category
        What the learner would answer.
    selection : str
        One of `assess.irt.criteria.SELECTION_RULES`; the first item has maximum Fisher information
        at `start` whatever the rule. "cut" looks at the mean of the prior.
    estimator : str
        EAP, MAP, ML or WL.
    start : float
        Where the first item is chosen.
    min_items, max_items : int
        Length.
    se : float, optional
        End when the standard error is at or below it.
    prior : Prior, optional
        N(0, 1) unless given, or the population of a calibration.

    Returns
    -------
    DataFrame
        One row per step: item, response, theta and se after it.

    Examples
    --------
    >>> from assess.irt import ItemParameters
    >>> bank = ItemParameters(["i1", "i2", "i3"], "2PL", [1.0, 1.0, 1.0], [[-1.0], [0.1], [1.0]])
    >>> replay(bank, {"i1": 1, "i2": 0, "i3": 1}, max_items=2).item.tolist()
    ['i2', 'i1']
    """
    import pandas as pd

    if estimator == "EAPsum":
        raise InvalidParameters("an adaptive test has no common summed score; say EAP, MAP, ML or WL")
    bank, chosen = resolved(parameters, prior)
    given = {str(item): value for item, value in responses.items() if value is not None and value == value}
    unknown = [item for item in given if item not in bank.position]
    if unknown:
        raise InvalidResponses(f"item {unknown[0]!r} has no parameters; replay only items of the bank")
    bank = bank.take([item for item in bank.item_ids if item in given])
    longest = len(bank) if max_items is None else min(max_items, len(bank))
    nodes = default_nodes(bank, chosen, longest)
    log_weights = chosen.log_density(nodes)
    criterion = Criterion(selection, bank, nodes, log_weights, cut=chosen.mean)
    left = np.ones(len(bank), dtype=bool)
    theta, error = start, math.inf
    taken: dict[str, int] = {}
    steps: list[tuple[str, int, float, float]] = []
    while len(steps) < longest and not (se is not None and len(steps) >= min_items and error <= se):
        at = min(max(theta, -_FURTHEST), _FURTHEST)
        if not steps or selection == "MFI":
            worth = information(bank, at)
        else:
            worth = criterion.worth(log_weights[None, :], np.array([at]))
        j = int(np.where(left, worth[0], -1.0).argmax())
        left[j] = False
        item = bank.item_ids[j]
        taken[item] = int(given[item])
        score = score_one(taken, bank, method=estimator, prior=chosen, nodes=nodes)
        theta, error = score.theta, score.se
        steps.append((item, taken[item], theta, error))
        if selection not in ("MFI", "cut"):
            log_weights = np.log(np.maximum(_posterior(taken, bank, chosen, nodes), np.finfo(float).tiny))
    return pd.DataFrame(steps, columns=["item", "response", "theta", "se"])


def _posterior(taken: Mapping[str, int], bank: ItemParameters, prior: Prior, nodes: FloatArray) -> FloatArray:
    weights = score_one(taken, bank, prior=prior, nodes=nodes).posterior
    assert weights is not None
    return weights


@dataclass(frozen=True, eq=False)
class AdaptiveRun:
    """What happened to N simulated examinees.

    Parameters
    ----------
    units, categories : arrays (N, T)
        What was given at each step and what was answered; -1 after the end.
    theta, se, p_above : arrays (N,)
        At the end.
    n_units : array (N,)
        Length.
    reasons : tuple of str (N,)
        Why each ended; see `assess.irt.adaptive.REASONS`.
    """

    units: IntArray
    categories: NDArray[np.int8]
    theta: FloatArray
    se: FloatArray
    p_above: FloatArray
    n_units: IntArray
    reasons: tuple[str, ...]

    @classmethod
    def of(
        cls, units: IntArray, categories: NDArray[np.int8], final: FloatArray, codes: IntArray
    ) -> AdaptiveRun:
        """From what `assess.irt.batch.Kernel.run` returns."""
        reasons = tuple(REASONS[code] for code in codes.tolist())
        return cls(units, categories, final[0], final[1], final[2], (units >= 0).sum(axis=1), reasons)

    def __repr__(self) -> str:
        return f"<AdaptiveRun: {len(self.theta):,} examinees, {self.n_units.mean():.1f} units on average>"


def simulate_adaptive(
    test: AdaptiveTest,
    theta: ArrayLike,
    rng: np.random.Generator,
    *,
    answering: ItemParameters | None = None,
    closed: NDArray[np.bool_] | None = None,
) -> AdaptiveRun:
    """Send examinees with known thetas through an adaptive test.

    Parameters
    ----------
    test : AdaptiveTest
        The same kernel that serves one learner.
    theta : array (N,)
        True values.
    rng : numpy.random.Generator
        Two uniform numbers per examinee and step: for the choice, for the answer.
    answering : ItemParameters, optional
        By which examinees answer, where that is not what the test scores by; the same units.
    closed : array (N, J) of bool, optional
        Units that each examinee must not meet.

    Examples
    --------
    >>> from assess.irt import ItemParameters
    >>> bank = ItemParameters(["i1", "i2", "i3"], "2PL", [1.0, 1.0, 1.0], [[-1.0], [0.1], [1.0]])
    >>> simulate_adaptive(AdaptiveTest(bank), [0.0, 1.0], np.random.default_rng(1)).reasons
    ('exhausted', 'exhausted')
    """
    answers = test.parameters if answering is None else same_units(answering, test.parameters)
    persons = np.atleast_1d(np.asarray(theta, dtype=float))
    longest = min(test.stop.max_units, len(test.parameters))
    # Drawn beforehand, person by person, so that nobody's luck depends on how long others take.
    chance = rng.random((len(persons), longest, 2))
    found = Kernel(test).run(Answers(answers), persons, chance, closed=closed)
    return AdaptiveRun.of(*found)
