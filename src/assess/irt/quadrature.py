"""Posteriors of theta on equally spaced nodes: for one person exactly replayable, for many fast."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assess.errors import InvalidParameters
from assess.irt.models import information, log_category_probabilities
from assess.irt.modes import Categories, tabulated
from assess.irt.parameters import FloatArray, ItemParameters

_CHUNK = 2048
_MANY = 5000
# The floor of `assess.scale.upper_tail`, so that stopping and deciding see one probability.
_LOG_FLOOR = math.log(1e-300)


@dataclass(frozen=True, slots=True)
class Prior:
    """A normal distribution of theta before the first answer.

    Examples
    --------
    >>> Prior(0.5, 1.2)
    Prior(mean=0.5, sd=1.2)
    """

    mean: float = 0.0
    sd: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and math.isfinite(self.sd) and self.sd > 0.0):
            raise InvalidParameters(f"prior N({self.mean}, {self.sd}): give a finite mean and a positive sd")

    def log_density(self, nodes: FloatArray) -> FloatArray:
        """Log of the density up to a constant, (Q,)."""
        return np.asarray(-0.5 * ((nodes - self.mean) / self.sd) ** 2)

    def drawn(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Theta of some persons, (n,)."""
        return np.asarray(self.mean + self.sd * rng.standard_normal(n))

    def moved(self, slope: float, intercept: float) -> Prior:
        """The distribution of slope times theta plus intercept; the slope is positive."""
        return Prior(slope * self.mean + intercept, slope * self.sd)


@dataclass(frozen=True, slots=True)
class DensityPrior(Prior):
    """An estimated distribution of theta before the first answer.

    Parameters
    ----------
    nodes, weights : tuple of float
        Equally spaced, four at least, and what stands at them; between them the
        logarithm is a cubic through the nearest four, beyond them a parabola.

    Examples
    --------
    >>> nodes = (-1.0, 0.0, 1.0, 2.0)
    >>> prior = DensityPrior(0.5, 1.0, nodes, (0.1, 0.4, 0.4, 0.1))
    >>> np.exp(prior.log_density(np.array([0.0, 2.0]))).round(3).tolist()
    [0.4, 0.1]
    """

    nodes: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        # by name: with slots the class is made anew, and super() without arguments is lost
        Prior.__post_init__(self)
        if len(self.nodes) < 4 or len(self.nodes) != len(self.weights) or min(self.weights) < 0.0:
            raise InvalidParameters("a density needs four nodes at least, with a weight that is not negative")

    def drawn(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Theta of some persons, (n,): a node, and a place in the cell around it."""
        spacing = self.nodes[1] - self.nodes[0]
        share = np.array(self.weights) / np.add.reduce(self.weights)
        return np.asarray(rng.choice(self.nodes, n, p=share) + spacing * (rng.random(n) - 0.5))

    def moved(self, slope: float, intercept: float) -> Prior:
        """The distribution of slope times theta plus intercept; the slope is positive."""
        nodes = tuple(slope * node + intercept for node in self.nodes)
        return DensityPrior(slope * self.mean + intercept, slope * self.sd, nodes, self.weights)

    def log_density(self, nodes: FloatArray) -> FloatArray:
        """Log of the density up to a constant, (Q,)."""
        own = np.log(np.maximum(self.weights, np.finfo(np.float64).tiny))
        place = (nodes - self.nodes[0]) / (self.nodes[1] - self.nodes[0])
        inside = (place >= 0.0) & (place <= len(own) - 1)
        first = np.clip(np.floor(place).astype(np.int64) - 1, 0, len(own) - 4)
        u = place - first
        basis = (
            -(u - 1.0) * (u - 2.0) * (u - 3.0) / 6.0,
            u * (u - 2.0) * (u - 3.0) / 2.0,
            -u * (u - 1.0) * (u - 3.0) / 2.0,
            u * (u - 1.0) * (u - 2.0) / 6.0,
        )
        cubic = sum(share * own[first + k] for k, share in enumerate(basis))
        # through the three values at the nearer end
        left = place < 0.0
        v = np.where(left, place, len(own) - 1 - place)
        near = np.where(left[:, None], own[:3], own[::-1][:3])
        parabola = (
            near[:, 0] * (v - 1.0) * (v - 2.0) / 2.0
            - near[:, 1] * v * (v - 2.0)
            + near[:, 2] * v * (v - 1.0) / 2.0
        )
        return np.asarray(np.where(inside, cubic, np.minimum(parabola, near[:, 0])))


def default_nodes(parameters: ItemParameters, prior: Prior, n_items: int | None = None) -> FloatArray:
    """Equally spaced nodes over six prior standard deviations either side, (Q,).

    61 of them, more where the test is so informative that their spacing would
    exceed the smallest posterior standard deviation (then a sum over nodes is
    no longer an integral). With `n_items`, the sharpest test of that many items.

    Examples
    --------
    >>> items = ItemParameters(["i1"], "2PL", [1.0], [[0.0]])
    >>> default_nodes(items, Prior(0.5, 1.0))[[0, 30, 60]].tolist()
    [-5.5, 0.5, 6.5]
    """
    span = np.linspace(prior.mean - 6.0 * prior.sd, prior.mean + 6.0 * prior.sd, 121)
    each = np.sort(information(parameters, span), axis=1)[:, ::-1]
    sharpest = float(np.add.reduce(each[:, :n_items], axis=1).max(initial=0.0))
    cells = math.ceil(12.0 * math.sqrt(1.0 + sharpest * prior.sd**2))
    return np.linspace(span[0], span[-1], max(61, 2 * (cells // 2) + 3))


def posterior(
    categories: NDArray[np.integer[Any]], parameters: ItemParameters, prior: Prior, nodes: FloatArray
) -> FloatArray:
    r"""Posterior weights of one person on the nodes, summing to one, (Q,).

    .. math:: w_q \propto \phi(\theta_q)\prod_j P_{j x_j}(\theta_q)

    Items are multiplied in the order of the parameters, elementwise and without
    BLAS or threads: the same responses give the same bits, in whatever order
    they were answered.

    Parameters
    ----------
    categories : array (J,)
        One category per item of `parameters`; negative = not given.
    """
    given = np.flatnonzero(categories >= 0)
    items = parameters.take([parameters.item_ids[j] for j in given])
    log_probabilities = log_category_probabilities(items, nodes)
    own = log_probabilities[:, np.arange(len(given)), categories[given]]
    log_weights = prior.log_density(nodes) + np.add.reduce(own, axis=1)
    weights = np.exp(log_weights - log_weights.max())
    return np.asarray(weights / np.add.reduce(weights))


def moments(nodes: FloatArray, weights: FloatArray) -> tuple[float, float]:
    """Mean and standard deviation of weights that sum to one."""
    mean = float(np.add.reduce(nodes * weights))
    return mean, math.sqrt(float(np.add.reduce((nodes - mean) ** 2 * weights)))


def eap(
    categories: Categories, items: ItemParameters, prior: Prior, nodes: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Posterior mean and standard deviation of each person, (N,) and (N,)."""
    weights = items.linear_weights
    if len(categories) >= _MANY and weights is not None and np.ptp(weights) > 0.0 and categories.min() >= 0:
        return _eap_by_statistic(categories, items, weights, prior, nodes)
    table = log_category_probabilities(items, nodes)
    theta, error = np.empty(len(categories)), np.empty(len(categories))
    for rows in chunks(len(categories)):
        log_weights = tabulated(categories[rows], table) + prior.log_density(nodes)
        theta[rows], error[rows] = _moments_of_rows(log_weights, nodes)
    return theta, error


def _moments_of_rows(log_weights: FloatArray, nodes: FloatArray) -> tuple[FloatArray, FloatArray]:
    weights = np.exp(log_weights - log_weights.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    mean = weights @ nodes
    return mean, np.sqrt((weights * (nodes - mean[:, None]) ** 2).sum(axis=1))


def _eap_by_statistic(
    categories: Categories, items: ItemParameters, weights: FloatArray, prior: Prior, nodes: FloatArray
) -> tuple[FloatArray, FloatArray]:
    r"""EAP of complete responses through the sufficient statistic :math:`s=\sum_j w_{jx_j}`.

    The likelihood is :math:`\exp(s\theta + C(\theta))`, so mean and variance
    are functions of one number. Both are tabulated, and read as cubic Hermite
    polynomials: the slope of the mean by s is the variance, that of the
    variance the third central moment.
    """
    low, high = float(weights.min(axis=1).sum()), float(weights.max(axis=1).sum())
    points = np.linspace(low, high, 4097)
    step = float(points[1] - points[0])
    log_lowest = np.add.reduce(log_category_probabilities(items, nodes)[:, :, 0], axis=1)
    log_weights = points[:, None] * nodes + log_lowest + prior.log_density(nodes)
    mass = np.exp(log_weights - log_weights.max(axis=1, keepdims=True))
    mass /= mass.sum(axis=1, keepdims=True)
    mean = mass @ nodes
    deviation = nodes - mean[:, None]
    variance, skew = (mass * deviation**2).sum(axis=1), (mass * deviation**3).sum(axis=1)
    curves = np.stack([_hermite(mean, step * variance), _hermite(variance, step * skew)])

    steps = np.arange(weights.shape[1])
    linear = bool(np.all((weights == weights[:, [1]] * steps) | (steps >= items.n_categories[:, None])))
    theta, error = np.empty(len(categories)), np.empty(len(categories))
    # Chunks that fit in the cache; larger ones also wake BLAS's threads, which stall on a busy machine.
    for rows in chunks(len(categories), 4096):
        own = categories[rows]
        if linear:
            statistic = own.astype(float) @ weights[:, 1]
        else:
            statistic = weights[np.arange(len(items)), own].sum(axis=1)
        position = (statistic - low) / step
        cell = np.clip(position.astype(np.int64), 0, len(points) - 2)
        x = position - cell
        c = curves[:, :, cell]
        theta[rows], variance_at = c[:, 0] + x * (c[:, 1] + x * (c[:, 2] + x * c[:, 3]))
        error[rows] = np.sqrt(variance_at)
    return theta, error


def _hermite(value: FloatArray, slope: FloatArray) -> FloatArray:
    """Coefficients of the cubic of each cell from values and slopes at its ends, (4, cells)."""
    rise = value[1:] - value[:-1]
    return np.stack(
        [
            value[:-1],
            slope[:-1],
            3.0 * rise - 2.0 * slope[:-1] - slope[1:],
            slope[:-1] + slope[1:] - 2.0 * rise,
        ]
    )


def chunks(n_persons: int, size: int = _CHUNK) -> Iterator[slice]:
    """Slices that cover all persons."""
    return (slice(start, min(start + size, n_persons)) for start in range(0, n_persons, size))


def cubic_basis(x: FloatArray) -> FloatArray:
    """Lagrange polynomials on 0, 1, 2, 3 at x: the weights of four neighbours in a cubic, (4, ...).

    Examples
    --------
    >>> cubic_basis(np.array([1.5])).ravel().tolist()
    [-0.0625, 0.5625, 0.5625, -0.0625]
    """
    return np.stack(
        [
            -(x - 1.0) * (x - 2.0) * (x - 3.0) / 6.0,
            x * (x - 2.0) * (x - 3.0) / 2.0,
            -x * (x - 1.0) * (x - 3.0) / 2.0,
            x * (x - 1.0) * (x - 2.0) / 6.0,
        ]
    )


class TailMass:
    """Mass of posteriors above one cut: the vectorised twin of `assess.scale.upper_tail`."""

    def __init__(self, nodes: FloatArray, cut: float) -> None:
        n_cells = len(nodes) - 1
        position = (cut - float(nodes[0])) / float(nodes[1] - nodes[0])
        self.certain = 1.0 if position <= 0.0 else 0.0 if position >= n_cells else None
        cell = min(max(int(position), 0), n_cells - 1)
        x, weight = np.polynomial.legendre.leggauss(5)
        x, weight = 0.5 * (x + 1.0), 0.5 * weight
        start = min(max(position - cell, 0.0), 1.0)
        cells = np.arange(n_cells)
        first = np.clip(cells - 1, 0, n_cells - 3)
        self.neighbours = first + np.arange(4)[:, None]
        self.whole = cubic_basis((cells - first)[:, None] + x)
        self.part = cubic_basis(((cells - first)[cell] + start + (1.0 - start) * x)[None])
        self.weight, self.cell, self.share = weight, cell, 1.0 - start

    def above(self, log_density: FloatArray) -> FloatArray:
        """Share of each row's mass at and above the cut, (N,); a row's greatest value is zero."""
        if self.certain is not None:
            return np.full(len(log_density), self.certain)
        log_density = np.maximum(log_density, _LOG_FLOOR)
        whole = self._mass(log_density[:, self.neighbours], self.whole)
        part = self.share * self._mass(log_density[:, self.neighbours[:, [self.cell]]], self.part)[:, 0]
        above = part + np.add.reduce(whole[:, self.cell + 1 :], axis=1)
        return np.asarray(np.clip(above / np.add.reduce(whole, axis=1), 0.0, 1.0))

    def _mass(self, values: FloatArray, basis: FloatArray) -> FloatArray:
        """Integral of exp(local cubic) over each cell, in cell units, (N, cells)."""
        cubic = np.add.reduce(values[:, :, :, None] * basis, axis=1)
        return np.asarray(np.add.reduce(np.exp(cubic) * self.weight, axis=2))
