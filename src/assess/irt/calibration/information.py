r"""The observed information of the marginal likelihood, by Louis's formula.

.. math::
   I = \sum_i \mathrm{E}_i[-\ell''] - \sum_i \mathrm{Cov}_i[\ell'],

the complete-data information minus what is missing because theta is: for each
person the covariance, under the posterior of theta, of the complete-data score.
It is exact for the quadrature sum, at the cost of a few passes. In a score
block only :math:`x_{ij}\theta` differs between persons, and the covariance is a
sum of Gram matrices. Elsewhere a score vector is :math:`S_i(\theta_q) = T_q^\top z_i` with
the indicators z of the person's categories, so that

.. math:: \sum_i \mathrm{E}_i[S_i S_i^\top] = \sum_q T_q^\top \Bigl(\sum_i p_{iq} z_i z_i^\top\Bigr) T_q

takes one Gram matrix of indicators per node, over the persons whose posterior
reaches that node: a contiguous part, since they are sorted by score.

For a Newton step on many persons the cross-products of their scores are enough;
as standard errors they would be off by a tenth at a thousand persons.

References
----------
Louis (1982), *J. R. Stat. Soc. B* 44, 226-233, doi:10.1111/j.2517-6161.1982.tb01203.x.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from assess.irt.calibration.blocks import (
    Block,
    CodeArray,
    CodedBlock,
    IndicatorBlock,
    MaskedBlock,
    ScoreBlock,
    indicators,
)
from assess.irt.calibration.chunks import coded_posterior
from assess.irt.calibration.layout import Layout
from assess.irt.calibration.likelihood import Likelihood
from assess.irt.calibration.scores import ScoreTable, score_table
from assess.irt.calibration.state import Expectation, State

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

CHUNK = 256
GRAM_PERSONS = 16_384
GRAM_CHUNK = 2_048
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
    lookup = _MeanScores(_ScoreRows(state, block))
    turn = _turns(state, block, lookup.table.natural)
    missing = np.zeros((lookup.table.natural.size,) * 2)
    # as many nodes at a time as there are threads, so that memory stays bounded
    width = max(likelihood.workers.n_threads, 1) * 4
    for start in range(0, block.n_persons, GRAM_PERSONS):
        rows = slice(start, min(start + GRAM_PERSONS, block.n_persons))
        posterior, coded = coded_posterior(state, block, rows), _with_ones(block, rows)
        weights = 1.0 if block.weights is None else block.weights[rows, None]
        tasks: list[Callable[[], FloatArray]] = [
            partial(_mean_products, lookup, block.responses[part], posterior[part], weight)
            for part, weight in _parts(rows.stop - rows.start, block.weights, start)
        ]
        root = np.sqrt(posterior * weights).astype(coded.dtype)
        reached = posterior > NEGLIGIBLE
        tasks += [
            partial(_node_products, turn[q], coded, root[:, q], np.flatnonzero(reached[:, q]))
            for q in np.flatnonzero(reached.any(axis=0)).tolist()
        ]
        for first in range(0, len(tasks), width):
            for part in likelihood.workers.run(tasks[first : first + width]):
                missing += part
    place = lookup.table.natural
    matrix[np.ix_(place, place)] += missing


def _parts(n: int, weights: FloatArray | None, start: int) -> Iterator[tuple[slice, FloatArray | None]]:
    """Rows of a stretch of persons in chunks, with their weights."""
    for i in range(0, n, 4 * CHUNK):
        rows = slice(i, min(i + 4 * CHUNK, n))
        yield rows, None if weights is None else weights[start + i : start + rows.stop]


def _mean_products(
    lookup: _MeanScores, responses: CodeArray, posterior: FloatArray, weights: FloatArray | None
) -> FloatArray:
    """Minus the products of the persons' mean scores."""
    scores = lookup(responses, posterior).astype(np.float64)
    return -(scores.T @ (scores if weights is None else scores * weights[:, None]))


def _with_ones(block: CodedBlock, rows: slice) -> NDArray[np.floating]:
    """Indicators (n, M + 1) of some persons; the last column is one."""
    if isinstance(block, MaskedBlock):
        coded = indicators(block.responses[rows], *block.by_column, block.precision)
    else:
        coded = block.coded(rows)
    return np.concatenate([coded, np.ones((coded.shape[0], 1), dtype=coded.dtype)], axis=1)


def _turns(state: State, block: CodedBlock, natural: IntArray) -> list[csr_array]:
    """From indicators to score vectors, per node: (P, M + 1), T transposed."""
    layout = state.layout
    widest = max(scores.shape[2] for scores in state.batch_scores)
    table = np.zeros((layout.n_columns, widest, state.theta.size))
    place = np.full((layout.n_columns, widest), -1, dtype=np.int64)
    at = np.full(layout.n_natural, -1, dtype=np.int64)
    at[natural] = np.arange(natural.size)
    for (batch, _), scores in zip(state.families, state.batch_scores, strict=True):
        width = scores.shape[2]
        table[batch.columns, :width] = scores
        place[batch.columns, :width] = at[batch.natural][:, None, :]
    columns, shift = block.columns, np.zeros((0, widest, state.theta.size))
    if isinstance(block, IndicatorBlock) and block.complete:
        shift = table[block.base_columns]
        values = table[columns] - shift[block.column_item]
        where = np.concatenate([place[columns], place[block.base_columns]])
    else:
        values, where = table[columns], place[columns]
    M = columns.size
    column = np.concatenate([np.arange(M), np.full(len(shift), M)])
    column = np.repeat(column[:, None], widest, axis=1)
    used = where >= 0
    population = np.array([natural.size - 2, natural.size - 1])
    rows = np.concatenate([where[used], population])
    columns_of = np.concatenate([column[used], [M, M]])
    every = np.concatenate([values, shift])[used]
    every = np.concatenate([every, state.groups[block.group].scores])
    size = (natural.size, M + 1)
    return [csr_array((every[:, q], (rows, columns_of)), shape=size) for q in range(state.theta.size)]


def _node_products(
    turn: csr_array, coded: NDArray[np.floating], root: NDArray[np.floating], reached: IntArray
) -> FloatArray:
    """Expected products of the score vectors at one node."""
    gram = np.zeros((coded.shape[1], coded.shape[1]))
    for start in range(int(reached[0]), int(reached[-1]) + 1, GRAM_CHUNK):
        rows = slice(start, min(start + GRAM_CHUNK, int(reached[-1]) + 1))
        weighted = coded[rows] * root[rows, None]
        gram += weighted.T @ weighted
    return np.asarray(turn @ (turn @ gram).T)


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
    return (scores * weights[:, None]).T @ scores, float(
        block.weights[everybody].sum() / max(weights.sum(), 1e-300)
    )


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


def _scores_chunk(state: State, block: CodedBlock, lookup: _MeanScores, rows: slice) -> NDArray[np.floating]:
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
