r"""How often a classification by cut scores is right, and how often it would repeat.

Both methods ask, at every true theta, how probable each level is as an
observed classification, :math:`p_k(\theta)`, and average over theta with
weights :math:`w`, the true level being :math:`t(\theta)`:

.. math::

   \text{accuracy} = \sum_\theta w\,p_{t(\theta)}(\theta), \qquad
   \text{consistency} = \sum_\theta w \sum_k p_k(\theta)^2, \qquad
   \kappa = \frac{\text{consistency} - \sum_k \bar p_k^2}{1 - \sum_k \bar p_k^2}.

References
----------
Rudner (2005), *Practical Assessment, Research & Evaluation* 10(13), doi:10.7275/56a5-6b14.
Lee (2010), *Journal of Educational Measurement* 47, 1-17, doi:10.1111/j.1745-3984.2009.00096.x.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from assess.errors import InvalidParameters
from assess.irt.models import test_characteristic
from assess.irt.parameters import FloatArray, ItemParameters
from assess.irt.scoring import summed_score_distribution


@dataclass(frozen=True, eq=False)
class ClassificationAccuracy:
    """Accuracy and consistency of a classification in a stated population.

    Parameters
    ----------
    accuracy : float
        Probability that the observed level is the true one.
    consistency : float
        Probability that two parallel administrations agree.
    kappa : float
        Consistency beyond chance; nan where everybody has one level.
    conditional_accuracy, conditional_consistency : arrays (T,)
        The same at each theta.
    method : str
        Rudner or Lee.
    """

    accuracy: float
    consistency: float
    kappa: float
    conditional_accuracy: FloatArray = field(repr=False)
    conditional_consistency: FloatArray = field(repr=False)
    method: str = ""


def rudner(
    theta: ArrayLike, se: ArrayLike, cuts: Sequence[float], weights: ArrayLike | None = None
) -> ClassificationAccuracy:
    """Classification accuracy from thetas and their standard errors.

    An estimate is taken as normal about theta; a theta at a cut belongs to the
    level above it.

    Parameters
    ----------
    theta, se : arrays (T,)
        True values (or estimates in their place) and standard errors.
    cuts : sequence of float
        Increasing, on the same scale.
    weights : array (T,), optional
        Share of each theta; equal unless given.

    Raises
    ------
    InvalidParameters
        Where shapes differ, a theta is not finite, or the cuts do not increase.

    Examples
    --------
    >>> result = rudner([-1.0, 1.0], [0.5, 0.5], [0.0])
    >>> round(result.accuracy, 4), round(result.consistency, 4)
    (0.9772, 0.9555)
    """
    from scipy.special import ndtr

    at, error = np.atleast_1d(np.asarray(theta, dtype=float)), np.atleast_1d(np.asarray(se, dtype=float))
    limits = _increasing(cuts)
    if at.shape != error.shape or not (
        np.isfinite(at).all() and np.isfinite(error).all() and (error > 0).all()
    ):
        raise InvalidParameters(
            "rudner needs one positive standard error per finite theta; leave infinite ones out"
        )
    below = ndtr((limits - at[:, None]) / error[:, None])
    edges = np.concatenate([np.zeros((len(at), 1)), below, np.ones((len(at), 1))], axis=1)
    return _summary(np.diff(edges, axis=1), np.searchsorted(limits, at, side="right"), weights, "Rudner")


def lee(
    parameters: ItemParameters,
    score_cuts: Sequence[float],
    theta: ArrayLike,
    weights: ArrayLike | None = None,
) -> ClassificationAccuracy:
    """Classification accuracy of summed scores.

    The distribution of the summed score at each theta comes from the
    Lord-Wingersky recursion; the true level is that of the expected score. A
    score at a cut belongs to the level above it.

    Parameters
    ----------
    parameters : ItemParameters
        All items of the form.
    score_cuts : sequence of float
        Increasing, in raw points.
    theta, weights : arrays (T,)
        The population; equal weights unless given.

    Raises
    ------
    InvalidParameters
        Where shapes differ, a theta is not finite, or the cuts do not increase.

    Examples
    --------
    >>> items = ItemParameters(["i1", "i2"], "2PL", [1.0, 1.0], [[0.0], [0.0]])
    >>> round(lee(items, [1], [2.0]).accuracy, 4)
    0.9858
    """
    nodes = np.atleast_1d(np.asarray(theta, dtype=float))
    if not np.isfinite(nodes).all():
        raise InvalidParameters("lee needs finite thetas; leave out who has no score")
    limits = _increasing(score_cuts)
    distribution = summed_score_distribution(parameters, nodes)
    level = np.searchsorted(limits, np.arange(len(distribution)), side="right")
    levels = np.stack([distribution[level == k].sum(axis=0) for k in range(len(limits) + 1)], axis=1)
    true_level = np.searchsorted(limits, test_characteristic(parameters, nodes), side="right")
    return _summary(levels, true_level, weights, "Lee")


def _summary(
    levels: FloatArray, true_level: ArrayLike, weights: ArrayLike | None, method: str
) -> ClassificationAccuracy:
    share = np.ones(len(levels)) if weights is None else np.asarray(weights, dtype=float)
    if share.shape != (len(levels),) or not (share >= 0.0).all() or not 0.0 < share.sum() < np.inf:
        raise InvalidParameters(f"{len(levels)} thetas need as many finite weights >= 0 with a positive sum")
    share = share / share.sum()
    right = np.take_along_axis(levels, np.asarray(true_level)[:, None], axis=1)[:, 0]
    agree = (levels**2).sum(axis=1)
    consistency = float((share * agree).sum())
    by_chance = float(((share[:, None] * levels).sum(axis=0) ** 2).sum())
    kappa = (consistency - by_chance) / (1.0 - by_chance) if by_chance < 1.0 else float("nan")
    return ClassificationAccuracy(float((share * right).sum()), consistency, kappa, right, agree, method)


def _increasing(cuts: Sequence[float]) -> FloatArray:
    limits = np.asarray(cuts, dtype=float)
    if (
        limits.ndim != 1
        or not len(limits)
        or not np.isfinite(limits).all()
        or not (np.diff(limits) > 0.0).all()
    ):
        raise InvalidParameters(f"cuts are {cuts}; give one or more finite numbers that increase")
    return limits
