r"""Point estimates of theta for many persons at once: ML, MAP and Warm's WL.

All three are roots of a function of theta, found the same way: the function is
tabulated for everybody on one fine grid, the cell of the *global* solution is
chosen there, and a bracketed root finder polishes it. A local search would do
for most models, but the likelihood of a 3PL response vector can have several
maxima, and only the global one never rises after a wrong answer.

References
----------
Warm (1989), *Psychometrika* 54, 427-450, doi:10.1007/BF02294627.
Samejima (1973), *Psychometrika* 38, 221-233, doi:10.1007/BF02291115 (several maxima under 3PL).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from assess.irt.models import category_probabilities, log_category_probabilities, log_derivatives
from assess.irt.parameters import FloatArray, IntArray, ItemParameters

Categories = NDArray[np.int8]

_STEP = 0.05
_HALF_RANGE = 12.0
# Far enough that every response function has reached its limit, near enough that theta * a stays finite.
_INFINITY = 1e8
_TOLERANCE = 1e-10


def maximise(
    categories: Categories, parameters: ItemParameters, prior_mean: float = 0.0, prior_sd: float = np.inf
) -> FloatArray:
    """Global maximum of likelihood times normal prior, (N,).

    With an infinite `prior_sd` this is maximum likelihood; the estimate is
    then ``inf`` or ``-inf`` where the supremum is not reached at a finite theta
    or lies beyond the grid (-12..12, wider for extreme items). Of two equal maxima the lower is taken.
    """
    grid = _grid(parameters, abs(prior_mean) + 8.0 * prior_sd if np.isfinite(prior_sd) else 0.0)
    outer = np.concatenate([[-_INFINITY], grid, [_INFINITY]])
    precision = 1.0 / prior_sd**2
    log_posterior = tabulated(categories, log_category_probabilities(parameters, outer))
    log_posterior -= 0.5 * precision * (outer - prior_mean) ** 2
    _, second = log_derivatives(parameters, grid)
    # The top of a cell rises above its highest grid point by at most this much.
    slack = _STEP**2 / 8.0 * (float(np.abs(second).max(axis=(0, 2), initial=0.0).sum()) + precision)

    best = log_posterior[:, 1:-1].max(axis=1)
    inner = log_posterior[:, 2:-2]
    is_peak = (inner >= log_posterior[:, 1:-3]) & (inner > log_posterior[:, 3:-1])
    persons, cells = np.nonzero(is_peak & (inner >= best[:, None] - slack))
    centre = grid[cells + 1]

    def slope(theta: FloatArray) -> FloatArray:
        first, _ = own_derivatives(categories[persons], parameters, theta)
        return first - precision * (theta - prior_mean)

    root = bracketed_root(slope, centre - _STEP, centre + _STEP)
    height = own_log_likelihood(categories[persons], parameters, root)
    height -= 0.5 * precision * (root - prior_mean) ** 2

    # The ends are candidates too: where no finite peak is higher, the supremum is at infinity.
    left, right = log_posterior[:, :2].max(axis=1), log_posterior[:, -2:].max(axis=1)
    top, theta = np.maximum(left, right), np.where(right > left, np.inf, -np.inf)
    for person, value, at in zip(persons.tolist(), height.tolist(), root.tolist(), strict=True):
        if value > top[person] + _TOLERANCE:
            top[person], theta[person] = value, at
    return theta


def warm(categories: Categories, parameters: ItemParameters) -> FloatArray:
    r"""Warm's weighted likelihood estimate, (N,).

    .. math:: l'(\theta) + \frac{J(\theta)}{2 I(\theta)} = 0, \qquad
              J = \sum_j \sum_k \frac{P'_{jk} P''_{jk}}{P_{jk}}

    Of several roots the one is taken at which Warm's weighted likelihood
    :math:`L \exp(\tfrac12\int J/I)` is greatest. Under Rasch, 2PL, GRM, PCM and
    GPCM with equal slopes this is the mode of :math:`L\sqrt{I}`; under 3PL it is not.
    """
    grid = _grid(parameters)
    first, second = log_derivatives(parameters, grid)
    probabilities = category_probabilities(parameters, grid)
    curvature, bias = _information_terms(probabilities, first, second)
    given = (categories >= 0).astype(float)
    total_information = _sum_over_items(given, curvature)
    total_bias = _sum_over_items(given, bias)
    value = tabulated(categories, first) + _half_ratio(total_bias, total_information)
    cell, top, left, right = highest_root(value, _STEP)

    def weighted_slope(theta: FloatArray) -> FloatArray:
        u, v = log_derivatives(parameters, theta)
        p = category_probabilities(parameters, theta)
        i, j = _information_terms(p, u, v)
        slope: FloatArray = _gather(u, categories).sum(axis=1)
        return slope + _half_ratio((given * j).sum(axis=1), (given * i).sum(axis=1))

    theta = bracketed_root(weighted_slope, grid[cell], grid[cell + 1])
    theta = np.where(np.isfinite(top), theta, np.nan)
    theta = np.where((left > top) & (left >= right), -np.inf, theta)
    return np.where((right > top) & (right > left), np.inf, theta)


def highest_root(value: FloatArray, step: float) -> tuple[IntArray, FloatArray, FloatArray, FloatArray]:
    """Where the integral of each row is greatest among the roots at which it falls.

    Two roots can be almost equally high: cells are integrated by the cubic
    through four points of the grid.

    Parameters
    ----------
    value : array (N, Q)
        On a grid of this step.

    Returns
    -------
    cell : array (N,)
        The cell of the root.
    top, left, right : arrays (N,)
        The height there, and at the ends where the function leads out of the grid; ``-inf`` for none.
    """
    rise = 0.5 * step * (value[:, 1:] + value[:, :-1])
    rise[:, 1:-1] -= step / 24.0 * (value[:, 3:] - value[:, 2:-1] - value[:, 1:-2] + value[:, :-3])
    climb = np.zeros_like(value)
    np.cumsum(rise, axis=1, out=climb[:, 1:])
    falls = (value[:, :-1] > 0.0) & (value[:, 1:] <= 0.0)
    fall = np.where(falls, value[:, :-1] - value[:, 1:], 1.0)
    height = np.where(falls, climb[:, :-1] + 0.5 * step * value[:, :-1] ** 2 / fall, -np.inf)
    cell = height.argmax(axis=1)
    left = np.where(value[:, 0] < 0.0, climb[:, 0], -np.inf)
    right = np.where(value[:, -1] > 0.0, climb[:, -1], -np.inf)
    return cell, height[np.arange(len(value)), cell], left, right


def own_log_likelihood(categories: Categories, parameters: ItemParameters, theta: FloatArray) -> FloatArray:
    """Log-likelihood of each person at that person's own theta, (N,)."""
    own = _gather(log_category_probabilities(parameters, theta), categories)
    return np.asarray(own.sum(axis=1))


def own_derivatives(
    categories: Categories, parameters: ItemParameters, theta: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """First and second derivative of each log-likelihood at that person's own theta."""
    first, second = log_derivatives(parameters, theta)
    return _gather(first, categories).sum(axis=1), _gather(second, categories).sum(axis=1)


def tabulated(categories: Categories, table: FloatArray) -> FloatArray:
    """Sum over the given items of table[q, j, category], (N, Q).

    One person is summed item by item, in a fixed order and without BLAS, so
    that a recorded decision replays to the last bit; many go through matrix
    products.
    """
    n_nodes, _, n_categories = table.shape
    if len(categories) == 1:
        given = np.flatnonzero(categories[0] >= 0)
        own: FloatArray = np.add.reduce(table[:, given, categories[0, given]], axis=1)
        return own[None, :]
    out: FloatArray = np.zeros((len(categories), n_nodes))
    for k in range(n_categories):
        column = table[:, :, k]
        usable = np.isfinite(column).all(axis=0)
        out += (categories == k).astype(float) @ np.where(usable, column, 0.0).T
    return out


def bracketed_root(
    function: Callable[[FloatArray], FloatArray], low: FloatArray, high: FloatArray
) -> FloatArray:
    """Root of a function that is positive at `low` and negative at `high`, elementwise.

    The Anderson-Bjorck false position, superlinear and never outside the
    bracket, with every fourth step a bisection, which bounds the worst case.
    """
    low, high = low.copy(), high.copy()
    f_low, f_high = function(low), function(high)
    theta = 0.5 * (low + high)
    side = np.zeros(len(theta))
    for iteration in range(120):
        step = f_low - f_high
        chord = low + (high - low) * f_low / np.where(step > 0.0, step, 1.0)
        usable = (step > 0.0) & (iteration % 4 < 3)
        theta = np.clip(np.where(usable, chord, 0.5 * (low + high)), low, high)
        value = function(theta)
        if np.all((np.abs(value) < _TOLERANCE) | (high - low < _TOLERANCE)):
            break
        # An end that stays twice in a row is weighed down, or it would stay for ever.
        new_side = np.where(value > 0.0, 1.0, -1.0)
        replaced = np.where(new_side > 0.0, f_low, f_high)
        weight = 1.0 - value / np.where(replaced != 0.0, replaced, 1.0)
        weight = np.where(new_side == side, np.where(weight > 0.0, weight, 0.5), 1.0)
        f_high = np.where(new_side > 0.0, f_high * weight, value)
        f_low = np.where(new_side > 0.0, value, f_low * weight)
        low, high = np.where(new_side > 0.0, theta, low), np.where(new_side > 0.0, high, theta)
        side = new_side
    return theta


# --- inside ----------------------------------------------------------------


def _grid(parameters: ItemParameters, reach: float = 0.0) -> FloatArray:
    """Equally spaced points that leave no maximum outside."""
    furthest = float(np.nanmax(np.abs(parameters.steps), initial=0.0))
    half = _STEP * np.ceil(max(_HALF_RANGE, reach, furthest + 6.0) / _STEP)
    return np.linspace(-half, half, 2 * round(half / _STEP) + 1)


def _information_terms(p: FloatArray, u: FloatArray, v: FloatArray) -> tuple[FloatArray, FloatArray]:
    """I and J of each item from P and the derivatives of log P, (T, J)."""
    return (p * u**2).sum(axis=2), (p * u * (u**2 + v)).sum(axis=2)


def _half_ratio(bias: FloatArray, curvature: FloatArray) -> FloatArray:
    """J / (2 I), zero where there is no information."""
    return np.where(curvature > 0.0, 0.5 * bias / np.where(curvature > 0.0, curvature, 1.0), 0.0)


def _sum_over_items(given: FloatArray, values: FloatArray) -> FloatArray:
    """Sum of values[q, j] over the items given to each person, (N, Q)."""
    if len(given) == 1:
        own: FloatArray = np.add.reduce(values[:, given[0] > 0.0], axis=1)
        return own[None, :]
    return np.asarray(given @ values.T)


def _gather(values: FloatArray, categories: Categories) -> FloatArray:
    """values[n, j, categories[n, j]], zero where the item was not given, (N, J)."""
    own = np.take_along_axis(values, np.maximum(categories, 0)[:, :, None].astype(np.int64), axis=2)[:, :, 0]
    return np.where(categories >= 0, own, 0.0)
