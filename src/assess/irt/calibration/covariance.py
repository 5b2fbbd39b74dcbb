r"""From the information matrix to standard errors of what is reported.

The covariance of the free parameters is the inverse information, the inverse
of the summed cross-products of the persons' scores, or the sandwich of the two;
reported parameters (a, b, c, d, tau, mean, sd) follow by the delta method,
:math:`\mathrm{Cov}(\hat\beta) \approx J\,\mathrm{Cov}(\hat\xi)\,J^\top`.

References
----------
White (1982), *Econometrica* 50, 1-25, doi:10.2307/1912526.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assess.irt.calibration.fit import Fit
from assess.irt.calibration.information import observed_information, person_scores
from assess.irt.calibration.layout import ItemSpec, Layout, report_jacobian

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# a direction with less than this share of the largest eigenvalue (of the scaled matrix) is flat
EMPTY = 1e-5


@dataclass(frozen=True, eq=False)
class Covariance:
    """Covariance of the free parameters and of the reported ones.

    Parameters
    ----------
    free : array (P, P)
    names : tuple of str
        Reported free parameters.
    reported : array
        Their covariance.
    errors : mapping
        Item to parameter to standard error.
    population : array (G, 2)
        Standard errors of mean and sd.
    regression : array (P + 1,)
        Of the coefficients and the residual sd, where there is a regression.
    condition : float
        Condition number of the scaled information matrix.
    decrement : float
        Newton decrement with the exact matrix.
    is_maximum : bool
        Whether the objective falls in every direction; false on a saddle.
    """

    free: FloatArray
    names: tuple[str, ...]
    reported: FloatArray
    errors: dict[str, dict[str, float]]
    population: FloatArray
    regression: FloatArray
    condition: float
    decrement: float
    is_maximum: bool


def covariance(
    fit: Fit, kind: str, weights: FloatArray | None, clusters: IntArray | None, *, sampling: bool
) -> Covariance:
    """Standard errors of a fit.

    Parameters
    ----------
    kind : "observed", "cross-product" or "sandwich"
    weights : array (N,) or None
        By row of the sample.
    clusters : int array (N,) or None
        Persons of one cluster are not independent.
    sampling : bool
        Whether weights are sampling weights rather than frequencies.
    """
    objective, point = fit.objective, fit.optimum.point
    restriction = objective.restriction
    information = observed_information(objective.likelihood, point.expectation)
    bread = restriction.pull_matrix(information)
    if objective.prior:
        bread = bread - objective.prior_curvature(point)
    inverse, condition, is_maximum = safe_inverse(bread)
    decrement = 0.5 * float(point.gradient @ np.nan_to_num(inverse) @ point.gradient)
    free = inverse
    if kind != "observed":
        rows, scores = person_scores(objective.likelihood, point.expectation.state)
        pulled = np.asarray(restriction.matrix.T @ scores.T).T
        w = np.ones(rows.size) if weights is None else weights[rows]
        if clusters is not None:
            # the factor for few clusters, as in Stata and R's sandwich
            n_clusters = int(np.unique(clusters[rows]).size)
            summed = np.zeros((int(clusters.max()) + 1, pulled.shape[1]))
            np.add.at(summed, clusters[rows], pulled * w[:, None])
            meat = summed.T @ summed * (n_clusters / max(n_clusters - 1, 1))
        else:
            meat = (pulled * (w**2 if sampling else w)[:, None]).T @ pulled
        if kind == "cross-product":
            if objective.prior:
                meat = meat - objective.prior_curvature(point)
            free, condition, _ = safe_inverse(meat)
        else:
            free = inverse @ meat @ inverse
    names, jacobian = _reported(fit)
    full = np.asarray(jacobian @ (restriction.matrix @ free))
    reported = np.asarray(full @ (restriction.matrix.T @ jacobian.T))
    with np.errstate(invalid="ignore"):
        errors = np.sqrt(np.diag(reported))
    layout = objective.likelihood.layout
    by_item: dict[str, dict[str, float]] = {item.id: {} for item in layout.items}
    estimated = np.asarray(abs(restriction.matrix).sum(axis=1)) > 0.0
    moving = (np.abs(jacobian) @ estimated) > 0.0
    errors = np.where(moving, errors, np.nan)
    of_items = sum(len(reported_names(item)) for item in layout.items)
    for (owner, name), error in zip(names[:of_items], errors.tolist(), strict=False):
        by_item[owner][name] = error
    rest = errors[of_items:]
    n_population = rest.size if layout.design is None else 2
    shown = np.flatnonzero(moving)
    labels = tuple(f"{owner}.{name}" for owner, name in names)
    return Covariance(
        free,
        tuple(labels[i] for i in shown.tolist()),
        reported[np.ix_(shown, shown)],
        by_item,
        rest[:n_population].reshape(-1, 2),
        rest[n_population:],
        condition,
        decrement,
        is_maximum,
    )


def safe_inverse(matrix: FloatArray) -> tuple[FloatArray, float, bool]:
    """Inverse, condition number, and whether no direction is negative.

    Parameters in whose direction there is no information get nan rows.
    """
    if not matrix.size:
        return matrix, float("nan"), True
    scale = np.sqrt(np.maximum(np.abs(np.diag(matrix)), 1e-300))
    values, vectors = np.linalg.eigh(matrix / scale[:, None] / scale)
    top = float(values.max())
    condition = top / float(values.min()) if values.min() > 0.0 else float("inf")
    empty = values < EMPTY * top
    inverse = (vectors[:, ~empty] / values[~empty]) @ vectors[:, ~empty].T / scale[:, None] / scale
    if empty.any():
        lost = (vectors[:, empty] ** 2).sum(axis=1) > 1e-4
        inverse[lost] = np.nan
        inverse[:, lost] = np.nan
    return np.asarray(inverse), condition, bool(values.min() > -1e-6 * top)


def reported_names(item: ItemSpec) -> tuple[str, ...]:
    """Names of the reported parameters of an item, in the order of `layout.report`."""
    K = item.n_categories
    if item.model == "NRM":
        return (*(f"a{k}" for k in range(1, K + 1)), *(f"c{k}" for k in range(1, K + 1)))
    steps = range(1, K)
    if item.model == "RSM":
        return ("a", "b", *(f"tau{k}" for k in steps))
    b = ("b",) if item.model in ("Rasch", "1PL", "2PL", "3PL", "4PL") else tuple(f"b{k}" for k in steps)
    return ("a", *b, *{"3PL": ("c",), "4PL": ("c", "d")}.get(item.model, ()))


def _n_population(layout: Layout) -> int:
    """How many reported values describe the population."""
    return 2 * len(layout.groups) if layout.design is None else 3 + len(layout.design.names)


def _reported(fit: Fit) -> tuple[list[tuple[str, str]], FloatArray]:
    """Names and Jacobian of all reported parameters with respect to the natural ones."""
    layout = fit.objective.likelihood.layout
    eta = fit.eta
    names: list[tuple[str, str]] = []
    parts: list[tuple[slice, FloatArray]] = []
    for j, item in enumerate(layout.items):
        place = slice(int(layout.offsets[j]), int(layout.offsets[j + 1]))
        jacobian = report_jacobian(item, eta[place])
        if item.model == "RSM":
            # steps b_k become their mean and the deviations from it
            K = item.n_categories
            turn = np.zeros((K + 1, K))
            turn[0, 0] = 1.0
            turn[1, 1:] = 1.0 / (K - 1)
            turn[2:, 1:] = np.eye(K - 1) - 1.0 / (K - 1)
            jacobian = turn @ jacobian
        names += [(item.id, name) for name in reported_names(item)]
        parts.append((place, jacobian))
    full = np.zeros((len(names) + _n_population(layout), layout.n_natural))
    row = 0
    for place, jacobian in parts:
        full[row : row + jacobian.shape[0], place] = jacobian
        row += jacobian.shape[0]
    if layout.design is not None:
        means, log_sds = layout.population(eta).T
        full[row:, int(layout.offsets[-1]) :] = layout.design.jacobian(means, float(log_sds[0]))
        if not layout.free_mean[0]:
            full[row] = 0.0
        names += [("population", "mean"), ("population", "sd")]
        names += [*(("regression", name) for name in layout.design.names), ("residual", "sd")]
        return names, full
    for g, group in enumerate(layout.groups):
        names += [(group, "mean"), (group, "sd")]
        at = int(layout.offsets[-1]) + 2 * g
        full[row, at] = 1.0
        full[row + 1, at + 1] = float(np.exp(eta[at + 1]))
        row += 2
    return names, full
