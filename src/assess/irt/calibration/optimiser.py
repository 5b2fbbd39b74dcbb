r"""EM first, then Newton's method with L-BFGS corrections, judged by the Newton decrement.

A few EM steps (one scoring step with the complete-data information, which is
positive definite) bring the parameters near the maximum. Then the inverse of
the observed information preconditions L-BFGS. The run stops on

.. math:: \tfrac12\, g^\top H^{-1} g,

which estimates how far the objective is from its maximum; a rule on the last
change would stop early, in single precision by whole units.

References
----------
Lange (1995), *J. R. Stat. Soc. B* 57, 425-437, doi:10.1111/j.2517-6161.1995.tb02037.x;
Nocedal & Wright (2006), *Numerical Optimization*, algorithm 7.4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve, qr, solve_triangular

from assess.irt.calibration.likelihood import Likelihood
from assess.irt.calibration.priors import LogPrior
from assess.irt.calibration.state import Expectation

FloatArray = NDArray[np.float64]

LONGEST_STEP = 2.0
MEMORY = 6
HALVINGS = 30
SMALLEST_SHARE = 0.01


@dataclass(frozen=True, eq=False)
class Point:
    """The objective at one vector of free parameters."""

    xi: FloatArray
    value: float
    gradient: FloatArray
    expectation: Expectation


class Objective:
    """Log-likelihood plus log-prior as a function of the free parameters."""

    def __init__(self, likelihood: Likelihood, prior: LogPrior) -> None:
        self.likelihood = likelihood
        self.prior = prior
        self.restriction = likelihood.layout.restriction
        self.n_passes = 0

    def __call__(self, xi: FloatArray) -> Point | None:
        """The point, or None where the parameters are impossible."""
        eta = self.restriction.natural(xi)
        if not np.all(np.isfinite(eta)) or not self.likelihood.state(eta).feasible():
            return None
        value, gradient, _ = self.prior(eta)
        if not np.isfinite(value):
            return None
        self.n_passes += 1
        expectation = self.likelihood(eta)
        value += expectation.log_likelihood
        pulled = self.restriction.pull(expectation.gradient + gradient)
        if not (np.isfinite(value) and np.all(np.isfinite(pulled))):
            return None
        return Point(xi, value, pulled, expectation)

    def complete(self, point: Point) -> FloatArray:
        """Expected complete-data information plus what the priors add, positive definite."""
        matrix = self.restriction.pull_matrix(point.expectation.complete_information())
        if self.prior:
            bend = -np.diag(self.prior_curvature(point))
            matrix[np.diag_indices_from(matrix)] += np.maximum(bend, 0.0)
        return matrix

    def prior_curvature(self, point: Point) -> FloatArray:
        """Second derivatives of the log-prior in the free parameters."""
        return self.restriction.pull_matrix(self.prior(point.expectation.state.eta)[2])


@dataclass(frozen=True, eq=False)
class Optimum:
    """Where the optimiser stopped, and how."""

    point: Point
    converged: bool
    n_iterations: int
    decrement: float
    metric: Metric | None = field(repr=False)


@dataclass(eq=False)
class Metric:
    """An approximate inverse of minus the Hessian: a factored matrix and L-BFGS pairs."""

    factor: tuple[FloatArray, bool]
    pairs: list[tuple[FloatArray, FloatArray, float]] = field(default_factory=list)

    def remember(self, step: FloatArray, change: FloatArray) -> None:
        curvature = float(step @ change)
        if curvature > 1e-10 * float(np.linalg.norm(step) * np.linalg.norm(change)):
            self.pairs.append((step, change, 1.0 / curvature))
            del self.pairs[:-MEMORY]

    def direction(self, gradient: FloatArray) -> FloatArray:
        q = gradient.copy()
        alphas = []
        for step, change, rho in reversed(self.pairs):
            alpha = rho * float(step @ q)
            q -= alpha * change
            alphas.append(alpha)
        q = np.asarray(cho_solve(self.factor, q, check_finite=False))
        for (step, change, rho), alpha in zip(self.pairs, reversed(alphas), strict=True):
            q += step * (alpha - rho * float(change @ q))
        return q


def factored(matrix: FloatArray) -> tuple[FloatArray, bool] | None:
    """Cholesky factor, or None if the matrix is not safely positive definite."""
    scale = np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    try:
        factor, lower = cho_factor(matrix, check_finite=True)
    except (LinAlgError, ValueError):
        return None
    if np.any(np.diag(factor) < 1e-6 * scale):
        return None
    return factor, lower


def positive(observed: FloatArray, complete: FloatArray) -> tuple[FloatArray, bool]:
    """Factor of the observed information, made positive definite where it is not.

    Far from the maximum the missing information can outweigh what is there.
    In the metric of the complete-data information (that of an EM step) the
    eigenvalues lie below one; negative ones are turned round, so that the step
    leads away from a saddle, and none is left below a hundredth.
    """
    if not np.all(np.isfinite(observed)):
        observed = complete
    factor = factored(observed)
    if factor is not None:
        return factor
    ridge = 0.0
    while (base := factored(complete + ridge * np.eye(complete.shape[0]))) is None:
        ridge = max(100.0 * ridge, 1e-8 + 1e-8 * float(np.trace(complete)))
    root = np.triu(base[0])
    inner = solve_triangular(root, observed, trans=1)
    inner = solve_triangular(root, inner.T, trans=1)
    values, vectors = np.linalg.eigh(0.5 * (inner + inner.T))
    half = (np.sqrt(np.maximum(np.abs(values), SMALLEST_SHARE))[:, None] * vectors.T) @ root
    upper = np.asarray(qr(half, mode="r", check_finite=False)[0])
    return upper, False


def maximise(
    objective: Objective,
    start: Point,
    information: Callable[[Point], FloatArray],
    *,
    tolerance: float,
    max_iterations: int,
    em_steps: int,
    noise: float,
    report: Callable[[int, float, float], None],
    runaway: Callable[[Point], bool],
    metric: Metric | None = None,
) -> Optimum:
    """Maximise an objective.

    Parameters
    ----------
    information : callable
        Minus the Hessian in the free parameters at a point, approximately.
    tolerance : float
        On the Newton decrement.
    noise : float
        Rounding error of the objective; smaller decreases are not decreases.
    report : callable
        Called with iteration, objective and decrement; may raise to cancel.
    runaway : callable
        Whether a point is on its way to infinity, so that going on is in vain.
    metric : Metric, optional
        Where an earlier run left off.
    """
    point = start
    decrement, previous = np.inf, np.inf
    since_fresh, fallback = 0, False
    if point.gradient.size == 0:
        return Optimum(point, True, 0, 0.0, None)
    for iteration in range(1, max_iterations + 1):
        in_em = iteration <= em_steps
        if in_em or fallback:
            metric = Metric(positive(complete := objective.complete(point), complete))
        elif (
            metric is None
            or (em_steps and iteration == em_steps + 1)
            or (decrement > 0.1 * previous and since_fresh > 1)
        ):
            metric = Metric(positive(information(point), objective.complete(point)))
            since_fresh = 0
        since_fresh += 1
        previous = decrement
        direction = metric.direction(point.gradient)
        decrement = 0.5 * float(point.gradient @ direction)
        report(iteration, point.value, decrement)
        if not in_em and decrement < tolerance:
            return Optimum(point, True, iteration - 1, decrement, metric)
        new = _search(objective, point, direction, decrement, noise)
        if new is None:
            # first a fresh matrix, then an EM step, then give up
            if in_em or fallback:
                break
            fallback, metric = since_fresh == 1, None
            continue
        if fallback:
            fallback, since_fresh = False, 2
        metric.remember(new.xi - point.xi, point.gradient - new.gradient)
        point = new
        if runaway(point):
            break
    return Optimum(point, False, min(iteration, max_iterations), decrement, metric)


def _search(
    objective: Objective, point: Point, direction: FloatArray, decrement: float, noise: float
) -> Point | None:
    """Step along the direction, halved until the objective rises; None if it never does."""
    longest = float(np.max(np.abs(direction)))
    length = min(1.0, LONGEST_STEP / longest) if longest > 0.0 else 1.0
    for _ in range(HALVINGS):
        new = objective(point.xi + length * direction)
        if new is not None and new.value >= point.value + 1e-4 * length * 2.0 * decrement - noise:
            return new
        length *= 0.5
    return None
