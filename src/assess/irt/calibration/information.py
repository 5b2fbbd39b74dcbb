r"""The observed information of the marginal likelihood, by Louis's formula.

.. math::
   I = \sum_i \mathrm{E}_i[-\ell''] - \sum_i \mathrm{Cov}_i[\ell'],

the complete-data information minus what is missing because theta is: for each
person the covariance, under the posterior of theta, of the complete-data score.
It is exact for the quadrature sum, at the cost of a few passes. In a score
block only :math:`x_{ij}\theta` differs between persons, and the covariance is a
sum of Gram matrices; elsewhere the score vectors are laid out node by node,
over the few nodes where a chunk of like persons has any posterior.

For a Newton step on many persons the cross-products of their scores are enough;
as standard errors they would be off by a tenth at a thousand persons.

References
----------
Louis (1982), *J. R. Stat. Soc. B* 44, 226-233, doi:10.1111/j.2517-6161.1982.tb01203.x.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from assess.irt.calibration.blocks import Block, CodedBlock, ScoreBlock
from assess.irt.calibration.chunks import coded_posterior
from assess.irt.calibration.layout import Layout
from assess.irt.calibration.likelihood import Likelihood
from assess.irt.calibration.scores import ScoreTable, score_table
from assess.irt.calibration.state import Expectation, State

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

CHUNK = 256
NEGLIGIBLE = 1e-9
PROJECTED_PERSONS = 4_000


def observed_information(likelihood: Likelihood, expectation: Expectation) -> FloatArray:
    """Information matrix of the natural parameters.

    Parameters
    ----------
    likelihood : Likelihood
    expectation : Expectation
        Of a pass at the point where the information is wanted.

    Returns
    -------
    array (n_natural, n_natural)
        Fixed parameters included; the caller selects or contracts.
    """
    complete = expectation.complete_information(observed=True)
    return complete - missing_information(likelihood, expectation.state)


def missing_information(likelihood: Likelihood, state: State) -> FloatArray:
    """The second term of Louis's formula, summed over persons."""
    matrix = np.zeros((state.layout.n_natural, state.layout.n_natural))
    for block in likelihood.blocks:
        _add_missing(matrix, likelihood, state, block)
    return matrix


def _add_missing(matrix: FloatArray, likelihood: Likelihood, state: State, block: Block) -> None:
    if isinstance(block, ScoreBlock):
        _score_block(matrix, state, block)
        return
    table = _ScoreRows(state, block)
    step = CHUNK
    tasks = [
        partial(_indicator_chunk, state, block, table, slice(i, i + step))
        for i in range(0, block.n_persons, step)
    ]
    missing = np.zeros((table.natural.size, table.natural.size))
    # as many chunks at a time as there are threads, so that memory stays bounded
    width = max(likelihood.workers.n_threads, 1) * 4
    for start in range(0, len(tasks), width):
        for part in likelihood.workers.run(tasks[start : start + width]):
            missing += part
    matrix[np.ix_(table.natural, table.natural)] += missing


def cross_products(likelihood: Likelihood, state: State) -> FloatArray:
    """Sum over persons of the outer product of their scores; coded blocks only."""
    matrix = np.zeros((state.layout.n_natural, state.layout.n_natural))
    for block in likelihood.blocks:
        assert not isinstance(block, ScoreBlock)
        lookup = _MeanScores(_ScoreRows(state, block))
        place = lookup.table.natural
        total = np.zeros((place.size, place.size))
        tasks = [
            partial(_scores_chunk, state, block, lookup, slice(i, i + 2 * CHUNK))
            for i in range(0, block.n_persons, 2 * CHUNK)
        ]
        for part in likelihood.workers.run(tasks):
            total += part
        matrix[np.ix_(place, place)] += total
    return matrix


def projected_products(likelihood: Likelihood, state: State, directions: FloatArray) -> FloatArray:
    """Cross-products of the scores along some directions (n_natural, k), as (k, k).

    From evenly spread persons of the coded blocks, scaled up to all of them.
    """
    total = np.zeros((directions.shape[1], directions.shape[1]))
    tasks = []
    for block in likelihood.blocks:
        assert not isinstance(block, ScoreBlock)
        step = max(1, block.n_persons // PROJECTED_PERSONS)
        lookup = _MeanScores(_ScoreRows(state, block))
        along = directions[lookup.table.natural].astype(lookup.flat.dtype)
        for start in range(0, block.n_persons, step * 2 * CHUNK):
            rows = slice(start, min(start + step * 2 * CHUNK, block.n_persons), step)
            tasks.append(partial(_projected_chunk, state, block, lookup, rows, along))
    for part, weight in likelihood.workers.run(tasks):
        total += part * weight
    return total


def _projected_chunk(
    state: State, block: CodedBlock, lookup: _MeanScores, rows: slice, along: NDArray[np.floating]
) -> tuple[FloatArray, float]:
    """Cross-products of some persons along directions, and how many persons each of them stands for."""
    scores = lookup(block.responses[rows], coded_posterior(state, block, rows)) @ along
    scores = scores.astype(np.float64)
    everybody = slice(rows.start, rows.stop)
    if block.weights is None:
        return scores.T @ scores, (rows.stop - rows.start) / scores.shape[0]
    weights = block.weights[rows]
    return (scores * weights[:, None]).T @ scores, float(block.weights[everybody].sum() / max(weights.sum(), 1e-300))


def person_scores(likelihood: Likelihood, state: State) -> tuple[IntArray, FloatArray]:
    """Row numbers (N,) and each person's gradient of log L_i (N, n_natural), unweighted."""
    rows, scores = [], []
    for block in likelihood.blocks:
        out = np.zeros((block.n_persons, state.layout.n_natural))
        if isinstance(block, ScoreBlock):
            table = _ScoreRows(state, block)
            posterior_table = score_table(state, block)
            codes = block.codes()
            for start in range(0, block.n_persons, CHUNK * 4):
                chunk = slice(start, start + CHUNK * 4)
                posterior = _rows_of(posterior_table, chunk)
                out[chunk][:, table.natural] = table.mean_scores(codes[chunk], posterior)
        else:
            table = _ScoreRows(state, block)
            for start in range(0, block.n_persons, CHUNK * 4):
                chunk = slice(start, start + CHUNK * 4)
                posterior = coded_posterior(state, block, chunk)
                out[chunk][:, table.natural] = table.mean_scores(block.responses[chunk], posterior)
        rows.append(block.rows)
        scores.append(out)
    return np.concatenate(rows), np.concatenate(scores)


def _rows_of(table: ScoreTable, chunk: slice) -> FloatArray:
    if table.place is None or table.share is None:
        return table.posterior[chunk]
    place, share = table.place[chunk], table.share[:, chunk]
    return np.asarray(sum(share[k][:, None] * table.posterior[place + k] for k in range(4)))


# --- score blocks ---------------------------------------------------------------


def _natural_of(layout: Layout, block: Block) -> IntArray:
    """Places in eta that a block informs: its items' parameters, then its group's."""
    spans = [np.arange(layout.offsets[j], layout.offsets[j + 1]) for j in block.items.tolist()]
    group = int(layout.offsets[-1]) + 2 * block.group
    return np.concatenate([*spans, np.array([group, group + 1])]).astype(np.int64)


def _score_block(matrix: FloatArray, state: State, block: ScoreBlock) -> None:
    layout, theta = state.layout, state.theta
    table = score_table(state, block)
    natural = _natural_of(layout, block)
    # u(theta): what the complete-data score subtracts, the same for every person
    u = np.zeros((layout.n_natural, theta.size))
    for (batch, _), log_p in zip(state.families, state.batch_log_p, strict=True):
        p = np.exp(log_p)
        u[batch.natural[:, 0]] = theta * np.einsum("k,nkq->nq", np.arange(batch.n_categories), p)
        u[batch.natural[:, 1:]] = p[:, 1:]
    place = int(layout.offsets[-1]) + 2 * block.group
    u[place : place + 2] = -state.groups[block.group].scores
    u = u[natural]
    posterior = table.posterior
    mean = posterior @ theta
    variance = posterior @ theta**2 - mean**2
    mean_u = posterior @ u.T
    cross = posterior @ (u * theta).T - mean[:, None] * mean_u
    persons = table.spread(block.weights)
    missing = (u * (persons @ posterior)) @ u.T - (mean_u * persons[:, None]).T @ mean_u
    weights = table.gather(variance)
    if block.weights is not None:
        weights = weights * block.weights
    # in the slopes' rows and columns: x_i x_i' Var(theta) and -x_i Cov(theta, u)'
    slope = np.searchsorted(natural[:-2], layout.offsets[block.items])
    x = block.categories
    rooted = x * np.sqrt(np.maximum(weights, 0.0))[:, None].astype(x.dtype)
    missing[np.ix_(slope, slope)] += rooted.T @ rooted
    crossed = _spread_matrix(block, table) @ cross
    missing[slope] -= crossed
    missing[:, slope] -= crossed.T
    matrix[np.ix_(natural, natural)] += missing


def _spread_matrix(block: ScoreBlock, table: ScoreTable) -> FloatArray:
    """X' B (J_b, G): weighted categories brought onto the grid."""
    x = block.categories
    if table.place is None or table.share is None:
        weighted = x if block.weights is None else x * block.weights[:, None]
        return np.asarray(weighted.T, dtype=np.float64)
    from scipy.sparse import csr_array

    n, size = block.n_persons, table.posterior.shape[0]
    share = table.share if block.weights is None else table.share * block.weights
    columns = table.place[:, None] + np.arange(4)
    onto = csr_array((share.T.ravel(), columns.ravel(), np.arange(0, 4 * n + 1, 4)), shape=(n, size))
    return np.asarray((onto.T @ x).T, dtype=np.float64)


# --- indicator blocks -------------------------------------------------------------


class _ScoreRows:
    """Derivatives of log P looked up by response: rows are categories, padded to p columns.

    The last row is zero and stands for a missing response. The two parameters
    of the population follow the items' at the end.
    """

    def __init__(self, state: State, block: Block) -> None:
        layout = state.layout
        self.theta = state.theta
        self.natural = _natural_of(layout, block)
        sizes = np.diff(layout.offsets)[block.items]
        self.width = int(sizes.max())
        table = np.zeros((layout.n_columns, self.width, state.theta.size))
        for (batch, _), scores in zip(state.families, state.batch_scores, strict=True):
            width = min(self.width, scores.shape[2])
            table[batch.columns, :width] = scores[:, :, :width]
        spans = [
            np.arange(layout.column_offsets[j], layout.column_offsets[j + 1]) for j in block.items.tolist()
        ]
        columns = np.concatenate(spans)
        self.first = np.concatenate([[0], np.cumsum([span.size for span in spans])])[:-1].astype(np.int64)
        self.missing_row = columns.size
        dtype = np.float64 if isinstance(block, ScoreBlock) else block.precision
        # (Q, rows, p): one contiguous table per node
        rows = np.concatenate([table[columns], np.zeros((1, self.width, state.theta.size))])
        self.rows = np.ascontiguousarray(np.moveaxis(rows, 2, 0)).astype(dtype)
        self.population = state.groups[block.group].scores
        padded = np.arange(self.width)[None, :] < sizes[:, None]
        self.used = None if padded.all() else np.flatnonzero(padded.ravel())

    def codes(self, responses: NDArray[np.int8]) -> IntArray:
        """Row numbers (n, J_b) of responses."""
        return np.where(responses >= 0, self.first + responses, self.missing_row)

    def at(self, codes: IntArray, q: int) -> NDArray[np.floating]:
        """Score vectors (n, p_total) of persons at node q, without the population."""
        out: NDArray[np.floating] = self.rows[q][codes].reshape(codes.shape[0], -1)
        return out if self.used is None else out[:, self.used]

    def mean_scores(self, responses: NDArray[np.int8], posterior: FloatArray) -> FloatArray:
        """Scores averaged over the posterior, population included."""
        codes = self.codes(responses)
        out = np.zeros((codes.shape[0], self.natural.size))
        for q in np.flatnonzero(posterior.max(axis=0) > NEGLIGIBLE).tolist():
            out[:, :-2] += posterior[:, q, None] * self.at(codes, q)
        out[:, -2:] = posterior @ self.population.T
        return out


def _indicator_chunk(state: State, block: CodedBlock, table: _ScoreRows, rows: slice) -> FloatArray:
    posterior = coded_posterior(state, block, rows)
    codes = table.codes(block.responses[rows])
    n = codes.shape[0]
    dtype = table.rows.dtype
    root_weight = np.ones(n) if block.weights is None else np.sqrt(block.weights[rows])
    mean = table.mean_scores(block.responses[rows], posterior)
    missing = np.zeros((mean.shape[1], mean.shape[1]))
    centre = mean.astype(dtype)
    vectors = np.empty((n, mean.shape[1]), dtype=dtype)
    for q in np.flatnonzero(posterior.max(axis=0) > NEGLIGIBLE).tolist():
        vectors[:, :-2] = table.at(codes, q)
        vectors[:, -2:] = table.population[:, q]
        # centred first: the difference of two large sums would lose digits
        vectors -= centre
        vectors *= (root_weight * np.sqrt(posterior[:, q]))[:, None].astype(dtype)
        missing += vectors.T @ vectors
    return missing


def _scores_chunk(
    state: State, block: CodedBlock, lookup: _MeanScores, rows: slice
) -> NDArray[np.floating]:
    """Cross-products of the scores of some persons."""
    scores = lookup(block.responses[rows], coded_posterior(state, block, rows))
    if block.weights is not None:
        scores = scores * np.sqrt(block.weights[rows])[:, None].astype(scores.dtype)
    return scores.T @ scores


class _MeanScores:
    """Posterior means of the score vectors by one matrix product and one lookup."""

    def __init__(self, table: _ScoreRows) -> None:
        self.table = table
        n_nodes, n_rows, width = table.rows.shape
        self.flat = table.rows.reshape(n_nodes, n_rows * width)
        self.shape = (n_rows, width)

    def __call__(self, responses: NDArray[np.int8], posterior: FloatArray) -> NDArray[np.floating]:
        """Scores (n, P), population included."""
        table = self.table
        codes = table.codes(responses)
        n, dtype = codes.shape[0], self.flat.dtype
        means = (posterior.astype(dtype) @ self.flat).reshape(n, *self.shape)
        scores = means[np.arange(n)[:, None], codes].reshape(n, -1)
        scores = scores if table.used is None else scores[:, table.used]
        population = (posterior @ table.population.T).astype(dtype)
        return np.concatenate([scores, population], axis=1)
