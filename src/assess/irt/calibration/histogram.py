r"""A population of any shape: a weight at every node, estimated together with the items.

Let h be the logarithms of a group's weights. What is maximised is

.. math:: \log L(\xi, h) - \frac{\lambda}{2} \int \bigl(h^{(3)}(\theta)\bigr)^2 d\theta .

Without the second term the maximum is a handful of spikes, however large the
sample (Laird); histograms that programs print are where their EM stopped. The
term is zero for every normal density, so that the log-likelihood is never below
the normal one's, and so small that skewness and modes pass it. What it leaves
free is counted: the trace of (S + P)^-1 S with S the information about h.

Mean and standard deviation, which the items would take up, are kept by tilting h
with a polynomial of degree two, which costs no penalty either. Items and h move in
turn: h by scoring with the cross-products of the posteriors,
:math:`S = \sum_i (p_i - w)(p_i - w)^\top`.

References
----------
Laird (1978), *J. Am. Stat. Assoc.* 73, 805-811, doi:10.1080/01621459.1978.10480103;
Mislevy (1984), *Psychometrika* 49, 359-381, doi:10.1007/BF02306026;
Silverman (1982), *Ann. Stat.* 10, 795-810, doi:10.1214/aos/1176345872.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from assess.irt.calibration.blocks import ScoreBlock
from assess.irt.calibration.chunks import coded_posterior, spans
from assess.irt.calibration.layout import Layout
from assess.irt.calibration.likelihood import Likelihood
from assess.irt.calibration.optimiser import Objective, Optimum, Point
from assess.irt.calibration.scores import score_table
from assess.irt.calibration.state import State

FloatArray = NDArray[np.float64]

# lambda above, in units of theta to the fifth
SMOOTHING = 0.01
ROUNDS = 200
HALVINGS = 12


@dataclass(frozen=True, eq=False)
class Histogram:
    """Weights of every group, and how many parameters they are worth.

    Parameters
    ----------
    theta : array (Q,)
    weights : array (G, Q)
    n_effective : float
        Of all groups together.
    """

    theta: FloatArray
    weights: FloatArray
    n_effective: float

    def moments(self) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of each group."""
        mean = self.weights @ self.theta
        return mean, np.sqrt(self.weights @ self.theta**2 - mean**2)


def with_histogram(
    start: Objective,
    at: FloatArray,
    maximise: Callable[[Objective, FloatArray], Optimum | None],
    enough: float,
) -> tuple[Objective, Optimum, Histogram, int]:
    """Estimate items and weights from a normal solution on, on its nodes.

    Parameters
    ----------
    start : Objective
        Of the normal calibration.
    at : array
        Its natural parameters.
    maximise : callable
        Maximises an objective over the items, from natural parameters on.
    enough : float
        Newton decrement at which to stop.

    Returns
    -------
    Objective, Optimum, Histogram, int
        With the weights held; and how many iterations it took.
    """
    old, free = start.likelihood, start.likelihood.layout
    held = replace(free, free_mean=(False,) * len(free.groups), free_sd=(False,) * len(free.groups))
    penalty = smoothness(old.theta)

    def objective(h: FloatArray) -> Objective:
        likelihood = Likelihood(held, old.theta, old.blocks, old.workers, double=True, log_weights=h)
        return Objective(likelihood, start.prior)

    groups = old.state(at).groups
    h = np.stack([_tilted(own.log_weights, old.theta, *_kept(free, g)) for g, own in enumerate(groups)])
    n_iterations, settled = 0, False
    for _ in range(ROUNDS):
        here = objective(h)
        found = maximise(here, at)
        # the first point is that of the normal solution, which was possible
        assert found is not None
        optimum = found
        n_iterations += optimum.n_iterations + 1
        state = optimum.point.expectation.state
        at = state.eta
        moved, decrement = _step(objective, optimum.point, h, free, penalty)
        settled = decrement < enough and optimum.n_iterations == 0
        if settled:
            break
        h = moved
    ended = replace(optimum, converged=settled and optimum.converged)
    return here, ended, _histogram(here, state, np.exp(state_weights(state)), free, penalty), n_iterations


def state_weights(state: State) -> FloatArray:
    """Log-weights (G, Q) of a state."""
    return np.stack([group.log_weights for group in state.groups])


def smoothness(theta: FloatArray) -> FloatArray:
    """The matrix P of the penalty h' P h / 2, (Q, Q); zero on polynomials of degree two."""
    spacing = float(theta[1] - theta[0])
    third = np.diff(np.eye(theta.size), n=3, axis=0)
    return np.asarray(SMOOTHING * spacing**-5 * (third.T @ third))


def _kept(layout: Layout, g: int) -> tuple[float | None, float | None]:
    """Mean and standard deviation that a group is held at."""
    return (None if layout.free_mean[g] else 0.0), (None if layout.free_sd[g] else 1.0)


def _tilted(h: FloatArray, theta: FloatArray, mean: float | None, sd: float | None) -> FloatArray:
    """Log-weights that sum to one, tilted to this mean and this standard deviation."""
    for _ in range(100):
        h = h - h.max()
        h -= np.log(np.exp(h).sum())
        w = np.exp(h)
        centre = float(w @ theta) if mean is None else mean
        features = np.stack([theta - centre, (theta - centre) ** 2])
        goal = np.array([0.0, float(w @ features[1]) if sd is None else sd**2])
        used = [k for k, value in enumerate((mean, sd)) if value is not None]
        miss = (goal - features @ w)[used]
        if not used or float(np.abs(miss).max()) < 1e-12:
            break
        centred = (features - (features @ w)[:, None])[used]
        step = np.linalg.solve((centred * w) @ centred.T, miss)
        h = h + min(1.0, 0.5 / max(float(np.abs(step).max()), 1e-300)) * step @ centred
    return h


def _cross(likelihood: Likelihood, state: State, g: int, w: FloatArray) -> FloatArray:
    """Cross-products of p_i - w over the persons of a group, (Q, Q)."""
    total = np.zeros((w.size, w.size))
    for block in likelihood.blocks:
        if block.group != g:
            continue
        if isinstance(block, ScoreBlock):
            table = score_table(state, block)
            centred = table.posterior - w
            total += (centred * table.spread(block.weights)[:, None]).T @ centred
            continue
        for rows in spans(block.n_persons):
            centred = coded_posterior(state, block, rows) - w
            weights = 1.0 if block.weights is None else block.weights[rows, None]
            total += (centred * weights).T @ centred
    return total


def _step(
    objective: Callable[[FloatArray], Objective],
    point: Point,
    h: FloatArray,
    layout: Layout,
    penalty: FloatArray,
) -> tuple[FloatArray, float]:
    """One scoring step of all groups' weights, halved until it gains; and the gain it promised."""
    expectation, state = point.expectation, point.expectation.state
    likelihood = objective(h).likelihood
    step, promised = np.zeros_like(h), 0.0
    for g, own in enumerate(h):
        w, mass = np.exp(own), expectation.group_mass[g]
        gradient = mass - mass.sum() * w - penalty @ own
        curvature = _cross(likelihood, state, g, w) + penalty
        plane = _plane(_constraints(state.theta, w, *_kept(layout, g)))
        inner = plane.T @ curvature @ plane
        inner[np.diag_indices_from(inner)] += 1e-10 * float(np.trace(inner)) / len(inner)
        step[g] = plane @ np.linalg.solve(inner, plane.T @ gradient)
        promised += 0.5 * float(gradient @ step[g])

    def value(h: FloatArray, log_likelihood: float) -> float:
        return log_likelihood - 0.5 * float(np.einsum("gq,qr,gr->", h, penalty, h))

    before = value(h, expectation.log_likelihood)
    length = min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-300))
    for _ in range(HALVINGS):
        moved = np.stack(
            [_tilted(own, state.theta, *_kept(layout, g)) for g, own in enumerate(h + length * step)]
        )
        found = objective(moved).likelihood(state.eta)
        if value(moved, found.log_likelihood) >= before - 1e-12 * abs(before):
            return moved, promised
        length *= 0.5
    return h, promised


def _constraints(theta: FloatArray, w: FloatArray, mean: float | None, sd: float | None) -> FloatArray:
    """Rows that a step must be orthogonal to, (1 to 3, Q): total, mean and spread do not move."""
    rows = [w]
    if mean is not None:
        rows.append(w * theta)
    if sd is not None:
        rows.append(w * (theta - float(w @ theta)) ** 2)
    return np.stack(rows)


def _plane(rows: FloatArray) -> FloatArray:
    """An orthonormal basis of what is orthogonal to some rows."""
    return np.asarray(np.linalg.svd(rows)[2][len(rows) :].T)


def _histogram(
    objective: Objective, state: State, weights: FloatArray, layout: Layout, penalty: FloatArray
) -> Histogram:
    n_effective = 0.0
    for g, w in enumerate(weights):
        cross = _cross(objective.likelihood, state, g, w)
        plane = _plane(_constraints(state.theta, w, *_kept(layout, g)))
        inner, rough = plane.T @ cross @ plane, plane.T @ penalty @ plane
        ridge = 1e-10 * float(np.trace(inner + rough)) / len(inner) * np.eye(len(inner))
        n_effective += float(np.trace(np.linalg.solve(inner + rough + ridge, inner)))
    return Histogram(state.theta, weights, n_effective)
