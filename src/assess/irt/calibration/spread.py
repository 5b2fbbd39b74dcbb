r"""A Newton matrix from what a pass has in hand, without going through the persons again.

What is missing because theta is not observed (Louis's second term) is, person by
person, the covariance of the complete-data score :math:`S_i(\theta)` under the
posterior. Where posteriors are narrow that is :math:`v_i\,S_i'(\theta)S_i'(\theta)^\top`
with the posterior variance v, and its expectation over the responses given theta

.. math:: \sum_q s_q \, \pi_{jq}\pi_{kq}\, \mathrm{E}[S_j'(\theta_q)]\,\mathrm{E}[S_k'(\theta_q)]^\top,
          \qquad s_q = \sum_i v_i\, p_{iq},

with pi the share of persons at a node who answered an item, and for j = k the
expectation of the product, at the cost of a product of P x Q matrices.

To first order is not enough in the few directions that move all items alike
(stretching or shifting theta), of which nearly everything is missing: there the
small difference of two large matrices is wanted. With C the complete-data
information and :math:`C V \\Lambda = M V` these directions, their block is replaced by
the cross-products of the scores of some thousand persons. The result serves Newton
steps; standard errors come from the exact formula in `information`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cholesky, solve_triangular

from assess.irt.calibration.information import projected_products
from assess.irt.calibration.likelihood import Likelihood
from assess.irt.calibration.state import Expectation, Spread, State

FloatArray = NDArray[np.float64]

MOSTLY_MISSING = 0.4
MOST_DIRECTIONS = 8


def expected_missing(state: State, spreads: tuple[Spread, ...]) -> FloatArray:
    """Louis's second term for the persons behind `spreads`, to first order, (n_natural, n_natural)."""
    layout, theta = state.layout, state.theta
    # derivatives by theta of the complete-data score: expected, and within an item its products
    slopes = np.zeros((layout.n_natural, theta.size))
    within = []
    for (batch, _), log_p, scores in zip(state.families, state.batch_log_p, state.batch_scores, strict=True):
        p = np.exp(log_p)
        turn = np.gradient(scores, theta, axis=3)
        slopes[batch.natural] = np.einsum("nkq,nkpq->npq", p, turn, optimize=True)
        weighted = turn * p[:, :, None]
        within.append(np.einsum("nkpq,nkrq->nprq", weighted, turn, optimize=True))
    item_of = np.repeat(np.arange(layout.n_items), np.diff(layout.offsets))
    matrix = np.zeros((layout.n_natural, layout.n_natural))
    for one in spreads:
        place = int(layout.offsets[-1]) + 2 * one.group
        own = np.flatnonzero(np.isin(item_of, one.items))
        position = np.searchsorted(one.items, item_of[own])
        natural = np.append(own, [place, place + 1])
        share = np.ones((one.items.size, theta.size)) if one.share is None else one.share
        u = np.concatenate(
            [slopes[own] * share[position], np.gradient(state.groups[one.group].scores, theta, axis=1)]
        )
        block = (u * one.spread) @ u.T
        matrix[np.ix_(natural, natural)] += block
        full = np.zeros((layout.n_items, theta.size))
        full[one.items] = share
        for (batch, _), products in zip(state.families, within, strict=True):
            p = batch.natural
            mean = slopes[p]
            weight = full[batch.rows] * one.spread
            squared = np.einsum("nq,npq,nrq->npr", full[batch.rows] * weight, mean, mean, optimize=True)
            exact = np.einsum("nq,nprq->npr", weight, products, optimize=True)
            matrix[p[:, :, None], p[:, None, :]] += exact - squared
    return matrix


def first_order_information(likelihood: Likelihood, expectation: Expectation) -> FloatArray:
    """Minus the Hessian in the natural parameters, near enough for Newton steps; coded blocks only."""
    state = expectation.state
    complete = expectation.complete_information()
    missing = expected_missing(state, expectation.spreads)
    used = np.flatnonzero(np.diag(complete) > 0.0)
    inside = np.ix_(used, used)
    basis = _mostly_missing(complete[inside], missing[inside])
    information = complete - missing
    if basis is not None:
        directions = np.zeros((complete.shape[0], basis.shape[1]))
        directions[used] = basis
        wanted = projected_products(likelihood, state, directions)
        along = complete @ directions
        information += along @ (wanted - directions.T @ information @ directions) @ along.T
    return information


def _mostly_missing(complete: FloatArray, missing: FloatArray) -> FloatArray | None:
    """Directions V with V'CV = 1, CV L = MV, of which most of the information is missing."""
    try:
        root = cholesky(complete, lower=True, check_finite=False)
    except LinAlgError:
        return None
    whitened = solve_triangular(root, missing, lower=True, check_finite=False)
    whitened = solve_triangular(root, whitened.T, lower=True, check_finite=False)
    size = min(2 * MOST_DIRECTIONS, complete.shape[0])
    # subspace iteration from fixed vectors: the same data give the same steps
    block = np.cos(np.outer(np.arange(complete.shape[0]) + 0.5, np.arange(size) * np.pi / complete.shape[0]))
    for _ in range(4):
        block = np.linalg.qr(whitened @ block)[0]
    values, turn = np.linalg.eigh(block.T @ whitened @ block)
    kept = np.flatnonzero(values > MOSTLY_MISSING)[-MOST_DIRECTIONS:]
    if not kept.size:
        return None
    return np.asarray(solve_triangular(root, block @ turn[:, kept], lower=True, trans=1, check_finite=False))
