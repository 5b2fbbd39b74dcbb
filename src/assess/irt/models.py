r"""Item response functions: the one thing on which everything in this room stands.

Every model family is one branch of `log_category_probabilities`:

===========================  ==========================================================
Rasch 1PL 2PL 3PL 4PL        :math:`P(1) = c + (d-c)\,\sigma(a(\theta-b))`
GRM                          :math:`P(X \ge k) = \sigma(a(\theta-b_k))`
PCM GPCM RSM                 :math:`P(k) \propto \exp(\sum_{j\le k} a(\theta-b_j))`,
                             RSM with :math:`b_j = b + \tau_j`
NRM                          :math:`P(k) \propto \exp(a_k\theta + c_k)`
===========================  ==========================================================

The metric is logistic, D = 1, and categories count from 0.

References
----------
van der Linden (ed.) (2016), *Handbook of Item Response Theory*, vol. 1, ch. 2, 4, 6, 7, 8.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from assess.errors import InvalidParameters
from assess.irt.parameters import FloatArray, Group, ItemParameters, ParameterSet

__all__ = [
    "ItemParameters",
    "ParameterSet",
    "category_probabilities",
    "expected_score",
    "information",
    "linear_form",
    "log_category_probabilities",
    "log_derivatives",
    "test_characteristic",
]


def log_category_probabilities(parameters: ItemParameters, theta: ArrayLike) -> FloatArray:
    r"""Log-probability of every category, without cancellation or overflow.

    The graded model uses
    :math:`\sigma(x)-\sigma(y) = \sigma(x)\,\sigma(-y)\,(1-e^{y-x})`, in which
    nothing is subtracted.

    Parameters
    ----------
    parameters : ItemParameters
        J items.
    theta : array (T,) or float
        In units of the scale.

    Returns
    -------
    array (T, J, K)
        Categories an item does not have are ``-inf``.

    Examples
    --------
    >>> items = ItemParameters(["i1"], "2PL", [2.0], [[0.0]])
    >>> log_category_probabilities(items, -500.0).tolist()
    [[[0.0, -1000.0]]]
    """
    nodes = _theta(theta)
    out = np.full((len(nodes), len(parameters), parameters.max_categories), -np.inf)
    for (family, n_categories), group in parameters.groups.items():
        j = group.rows
        if family == "divide-by-total":
            slopes, intercepts = linear_form(parameters, group)
            numerator = slopes * nodes[:, None, None] + intercepts
            peak = numerator.max(axis=2, keepdims=True)
            total = peak + np.log(np.add.reduce(np.exp(numerator - peak), axis=2, keepdims=True))
            out[:, j, :n_categories] = numerator - total
            continue
        at_least, below = _log_logistic(parameters, group, nodes)
        if family == "asymptotes":
            c, d = parameters.lower[j], parameters.upper[j]
            with np.errstate(divide="ignore"):
                out[:, j, 0] = np.logaddexp(np.log(1.0 - d), np.log(d - c) + below[:, :, 0])
                out[:, j, 1] = np.logaddexp(np.log(c), np.log(d - c) + at_least[:, :, 0])
            continue
        out[:, j, 0] = below[:, :, 0]
        out[:, j, n_categories - 1] = at_least[:, :, -1]
        if n_categories > 2:
            gaps = np.diff(parameters.slopes[j, None] * parameters.steps[j, : n_categories - 1], axis=1)
            out[:, j, 1 : n_categories - 1] = at_least[:, :, :-1] + below[:, :, 1:] + np.log(-np.expm1(-gaps))
    return out


def category_probabilities(parameters: ItemParameters, theta: ArrayLike) -> FloatArray:
    """Probability of every category.

    Returns
    -------
    array (T, J, K)
        Sums to one over K; categories an item does not have are zero.

    Examples
    --------
    >>> items = ItemParameters(["i1"], "3PL", [1.0], [[0.0]], lower=[0.2])
    >>> category_probabilities(items, 0.0).round(3).tolist()
    [[[0.4, 0.6]]]
    """
    return np.asarray(np.exp(log_category_probabilities(parameters, theta)), dtype=float)


def log_derivatives(parameters: ItemParameters, theta: ArrayLike) -> tuple[FloatArray, FloatArray]:
    r"""First and second derivative of each log-probability by theta.

    Returns
    -------
    first, second : arrays (T, J, K)
        Zero for categories an item does not have.
    """
    nodes = _theta(theta)
    shape = (len(nodes), len(parameters), parameters.max_categories)
    first, second = np.zeros(shape), np.zeros(shape)
    for (family, n_categories), group in parameters.groups.items():
        j = group.rows
        k = slice(0, n_categories)
        if family == "divide-by-total":
            slopes, intercepts = linear_form(parameters, group)
            numerator = slopes * nodes[:, None, None] + intercepts
            weight = np.exp(numerator - numerator.max(axis=2, keepdims=True))
            weight /= weight.sum(axis=2, keepdims=True)
            deviation = slopes - (weight * slopes).sum(axis=2, keepdims=True)
            first[:, j, k] = deviation
            second[:, j, k] = -(weight * deviation**2).sum(axis=2, keepdims=True)
            continue
        at_least, below = _log_logistic(parameters, group, nodes)
        a = parameters.slopes[j, None]
        spread = np.exp(at_least + below)
        if family == "asymptotes":
            log_range = np.log(parameters.upper[j] - parameters.lower[j])
            rise = log_range + at_least[:, :, 0] + below[:, :, 0]
            bend = a[:, 0] * (np.exp(below[:, :, 0]) - np.exp(at_least[:, :, 0]))
            with np.errstate(divide="ignore"):
                log_p1 = np.logaddexp(np.log(parameters.lower[j]), log_range + at_least[:, :, 0])
                log_p0 = np.logaddexp(np.log(1.0 - parameters.upper[j]), log_range + below[:, :, 0])
            for category, sign, log_p in ((1, 1.0, log_p1), (0, -1.0, log_p0)):
                slope = sign * a[:, 0] * np.exp(rise - log_p)
                first[:, j, category] = slope
                second[:, j, category] = slope * (bend - slope)
            continue
        above, under = np.exp(at_least), np.exp(below)
        # d log P_k = a (1 - P*_k - P*_{k+1}), written so that nothing cancels near 0 and 1.
        first[:, j, 0] = -a[:, 0] * above[:, :, 0]
        first[:, j, n_categories - 1] = a[:, 0] * under[:, :, -1]
        second[:, j, 0] = -(a[:, 0] ** 2) * spread[:, :, 0]
        second[:, j, n_categories - 1] = -(a[:, 0] ** 2) * spread[:, :, -1]
        if n_categories > 2:
            first[:, j, 1 : n_categories - 1] = a * (under[:, :, :-1] - above[:, :, 1:])
            second[:, j, 1 : n_categories - 1] = -(a**2) * (spread[:, :, :-1] + spread[:, :, 1:])
    return first, second


def information(parameters: ItemParameters, theta: ArrayLike) -> FloatArray:
    r"""Expected (Fisher) information of each item.

    .. math:: I_j(\theta) = \sum_k P_{jk}\,(\partial_\theta \log P_{jk})^2

    Returns
    -------
    array (T, J)
        In units of 1 / theta**2.

    Examples
    --------
    >>> items = ItemParameters(["i1"], "2PL", [2.0], [[0.0]])
    >>> information(items, 0.0).tolist()
    [[1.0]]

    References
    ----------
    Samejima (1969), *Psychometrika Monograph* 17, eq. 6-6,
    doi:10.1002/j.2333-8504.1968.tb00153.x.
    """
    first, _ = log_derivatives(parameters, theta)
    return np.asarray(np.add.reduce(category_probabilities(parameters, theta) * first**2, axis=2))


def expected_score(parameters: ItemParameters, theta: ArrayLike) -> FloatArray:
    """Expected category of each item, (T, J).

    Examples
    --------
    >>> items = ItemParameters(["i1", "i2"], "2PL", [1.0, 1.5], [[0.0], [0.0]])
    >>> expected_score(items, 0.0).tolist()
    [[0.5, 0.5]]
    """
    probabilities = category_probabilities(parameters, theta)
    return np.asarray(np.add.reduce(probabilities * np.arange(probabilities.shape[2]), axis=2))


def test_characteristic(parameters: ItemParameters, theta: ArrayLike) -> FloatArray:
    """Expected raw score on all items together, (T,).

    Examples
    --------
    >>> items = ItemParameters(["i1", "i2"], "2PL", [1.0, 1.5], [[0.0], [0.0]])
    >>> test_characteristic(items, [0.0]).tolist()
    [1.0]
    """
    return np.asarray(np.add.reduce(expected_score(parameters, theta), axis=1))


# pytest would take the function above for a test when a test module imports it.
test_characteristic.__test__ = False  # type: ignore[attr-defined]


def linear_form(parameters: ItemParameters, group: Group) -> tuple[FloatArray, FloatArray]:
    """Slopes and intercepts of the numerators of divide-by-total items, (group, K).

    Examples
    --------
    >>> items = ItemParameters(["i1"], "PCM", [1.0], [[0.5, 1.0]])
    >>> [part.tolist() for part in linear_form(items, next(iter(items.groups.values())))]
    [[[0.0, 1.0, 2.0]], [[0.0, -0.5, -1.5]]]
    """
    j, n_categories = group.rows, group.n_categories
    nominal = np.array([parameters.models[i] == "NRM" for i in j])[:, None]
    a = np.where(nominal, 0.0, parameters.slopes[j, None])
    width = min(n_categories - 1, parameters.steps.shape[1])
    steps = np.zeros((len(j), n_categories - 1))
    steps[:, :width] = parameters.steps[j, :width]
    steps = np.where(nominal, 0.0, steps)
    slopes: FloatArray = a * np.arange(n_categories)
    intercepts: FloatArray = np.concatenate([np.zeros((len(j), 1)), -np.cumsum(a * steps, axis=1)], axis=1)
    if nominal.any():
        slopes = np.where(nominal, parameters.category_slopes[j, :n_categories], slopes)
        intercepts = np.where(nominal, parameters.category_intercepts[j, :n_categories], intercepts)
    return slopes, intercepts


# --- inside ----------------------------------------------------------------


def _log_logistic(
    parameters: ItemParameters, group: Group, nodes: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Log of the logistic function and of its complement, (T, group, K - 1)."""
    j = group.rows
    z = parameters.slopes[j, None] * (nodes[:, None, None] - parameters.steps[j, : group.n_categories - 1])
    tail = np.log1p(np.exp(-np.abs(z)))
    return np.minimum(z, 0.0) - tail, np.minimum(-z, 0.0) - tail


def _theta(theta: ArrayLike) -> FloatArray:
    nodes = np.atleast_1d(np.asarray(theta, dtype=float))
    if nodes.ndim != 1:
        raise InvalidParameters(f"theta has shape {nodes.shape}; give a number or one row of numbers")
    return nodes
