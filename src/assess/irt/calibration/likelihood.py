r"""The marginal likelihood, its gradient and the expected counts, in one pass over the data.

.. math:: \log L = \sum_i w_i \log \sum_q g(\theta_q) \prod_j P_{j x_{ij}}(\theta_q)

By Fisher's identity the gradient is the complete-data score averaged over the
posterior of theta. In a `ScoreBlock` a person's posterior is a function of one
number, :math:`s_i = \sum_j a_j x_{ij}`; above a few thousand persons it is
tabulated on a fine grid of s and interpolated by cubic Lagrange weights, so
that a pass costs two matrix-vector products. Other blocks cost two matrix
products with the indicators, in chunks, in single precision for large samples
with sums over chunks in double.

References
----------
Bock & Aitkin (1981), *Psychometrika* 46, 443-459, doi:10.1007/BF02293801.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from assess.irt.calibration.blocks import Block, IndicatorBlock, ScoreBlock
from assess.irt.calibration.families import Family
from assess.irt.calibration.layout import Batch, Layout
from assess.irt.calibration.population import NodeWeights
from assess.irt.calibration.workers import Workers

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

DIRECT_UP_TO = 3_000
GRID_SPACING = 0.05
CHUNK = 1_024
CHUNKS_PER_TASK = 4
SCORE_CHUNK = 65_536
SUMMED_AT_ONCE = 2_048


@dataclass(frozen=True, eq=False)
class State:
    """Everything that depends on the parameters but not on the responses.

    Parameters
    ----------
    eta : array
        Natural parameters.
    theta : array (Q,)
        Nodes.
    """

    layout: Layout
    eta: FloatArray
    theta: FloatArray
    families: tuple[tuple[Batch, Family], ...]

    @cached_property
    def batch_log_p(self) -> tuple[FloatArray, ...]:
        """Log-probabilities (n, K, Q) of each batch."""
        return tuple(family.log_probabilities(self.eta[batch.natural]) for batch, family in self.families)

    @cached_property
    def log_p(self) -> FloatArray:
        """Log-probabilities of all categories of all items, (M, Q)."""
        table = np.empty((self.layout.n_columns, self.theta.size))
        for (batch, _), log_p in zip(self.families, self.batch_log_p, strict=True):
            table[batch.columns] = log_p
        return table

    @cached_property
    def batch_scores(self) -> tuple[FloatArray, ...]:
        """First derivatives (n, K, p, Q) of each batch."""
        return tuple(
            family.scores(self.eta[batch.natural], log_p)
            for (batch, family), log_p in zip(self.families, self.batch_log_p, strict=True)
        )

    @cached_property
    def slopes(self) -> FloatArray:
        """The slope of every item; the first natural parameter."""
        return self.eta[self.layout.offsets[:-1]]

    @cached_property
    def groups(self) -> tuple[NodeWeights, ...]:
        """The population of each group on the nodes."""
        return tuple(
            NodeWeights.normal(float(mean), float(log_sd), self.theta)
            for mean, log_sd in self.layout.population(self.eta)
        )

    def feasible(self) -> bool:
        """Whether the parameters are finite, not absurd, and give every category a probability."""
        if not np.all(np.abs(self.eta) < 1e3):
            return False
        return all(family.feasible(self.eta[batch.natural]) for batch, family in self.families)


@dataclass(frozen=True, eq=False)
class Expectation:
    """What one pass over the data gives at one parameter point.

    Parameters
    ----------
    log_likelihood : float
    gradient : array
        With respect to the natural parameters.
    counts : array (M, Q)
        Expected counts of the categories in indicator blocks.
    item_mass : array (J, Q)
        Expected number of persons at each node who answered each item.
    group_mass : array (G, Q)
    """

    state: State
    log_likelihood: float
    gradient: FloatArray
    counts: FloatArray
    item_mass: FloatArray
    group_mass: FloatArray

    def complete_information(self, *, observed: bool = False) -> FloatArray:
        """Complete-data information of the natural parameters, block-diagonal.

        The expected form is positive definite and serves EM steps; the
        observed form is the first term of Louis's formula.
        """
        state, layout = self.state, self.state.layout
        matrix = np.zeros((layout.n_natural, layout.n_natural))
        for (batch, family), log_p in zip(state.families, state.batch_log_p, strict=True):
            eta, mass = state.eta[batch.natural], self.item_mass[batch.rows]
            if observed:
                blocks = family.observed_information(eta, log_p, self.counts[batch.columns], mass)
            else:
                blocks = family.information(eta, log_p, mass)
            matrix[batch.natural[:, :, None], batch.natural[:, None, :]] = blocks
        for g, population in enumerate(state.groups):
            place = slice(int(layout.offsets[-1]) + 2 * g, int(layout.offsets[-1]) + 2 * g + 2)
            matrix[place, place] = population.information(self.group_mass[g], observed=observed)
        return matrix


@dataclass(frozen=True)
class ScoreTable:
    """Posteriors of a score block as a function of the weighted score.

    `posterior` (G, Q) on the grid; `place` (n,) and `share` (4, n) say how each
    person is interpolated, or are None when every person has a row.
    """

    posterior: FloatArray
    place: IntArray | None
    share: FloatArray | None

    def gather(self, values: FloatArray) -> FloatArray:
        """A function on the grid, at every person."""
        if self.place is None or self.share is None:
            return values
        out = self.share[0] * values[self.place]
        for k in range(1, 4):
            out += self.share[k] * values[self.place + k]
        return np.asarray(out)

    def spread(self, weights: FloatArray | None) -> FloatArray:
        """Persons per grid point, the transpose of `gather` applied to the weights."""
        size = self.posterior.shape[0]
        if self.place is None or self.share is None:
            return np.ones(size) if weights is None else weights
        out = np.zeros(size)
        for k in range(4):
            share = self.share[k] if weights is None else self.share[k] * weights
            out += np.bincount(self.place + k, weights=share, minlength=size)
        return out


class Likelihood:
    """The marginal likelihood of a set of blocks on given nodes.

    Parameters
    ----------
    layout : Layout
    theta : array (Q,)
        Equally spaced nodes.
    blocks : iterable of Block
        Iterated once per pass, so that chunks larger than memory may be made
        on the way.
    double : bool
        Compute in double precision whatever the blocks prefer. Single precision
        rounds the table of log-probabilities, which all persons share: its
        gradient is off by about a thousandth of a standard error.
    """

    def __init__(
        self,
        layout: Layout,
        theta: FloatArray,
        blocks: Iterable[Block],
        workers: Workers,
        *,
        double: bool = False,
    ) -> None:
        self.layout = layout
        self.theta = theta
        self.blocks = blocks
        self.workers = workers
        self.double = double
        self._families = tuple((batch, batch.family(theta)) for batch in layout.batches)

    def state(self, eta: FloatArray) -> State:
        """Probabilities and population at a parameter point."""
        return State(self.layout, eta, self.theta, self._families)

    def __call__(self, eta: FloatArray) -> Expectation:
        """One pass over the data."""
        state = self.state(eta)
        layout = self.layout
        total = _Sums.zeros(layout, self.theta.size)
        for block in self.blocks:
            if isinstance(block, ScoreBlock):
                self._score_pass(state, block, total)
            else:
                self._indicator_pass(state, block, total)
        # in score blocks the intercepts enter as constants, person by person
        constants = float(total.category_counts @ intercept_table(state))
        return Expectation(
            state,
            total.log_likelihood + constants,
            self._gradient(state, total),
            total.counts,
            total.item_mass,
            total.group_mass,
        )

    # --- score blocks -------------------------------------------------------

    def _score_pass(self, state: State, block: ScoreBlock, total: _Sums) -> None:
        constant = block_constant(state, block)
        slopes = _split_slopes(state, block)
        grid = None
        if block.n_persons > DIRECT_UP_TO:
            grid = _Grid.over(state, block, constant)
        chunks = [slice(i, i + SCORE_CHUNK) for i in range(0, block.n_persons, SCORE_CHUNK)]
        parts = self.workers.run(
            [partial(_score_chunk, state, block, chunk, slopes, constant, grid) for chunk in chunks]
        )
        mass = np.zeros(self.theta.size)
        for log_likelihood, chunk_mass, weighted_scores in parts:
            total.log_likelihood += log_likelihood
            mass += chunk_mass
            total.slope_scores[block.items] += weighted_scores
        total.item_mass[block.items] += mass
        total.group_mass[block.group] += mass
        total.category_counts[block.columns] += block.counts

    # --- indicator blocks ---------------------------------------------------

    def _indicator_pass(self, state: State, block: IndicatorBlock, total: _Sums) -> None:
        log_p = state.log_p
        base = state.groups[block.group].log_weights.copy()
        table = log_p[block.columns]
        if block.complete:
            first = log_p[block.base_columns]
            base += first.sum(axis=0)
            table = table - first[block.column_item]
        table = table.astype(np.float64 if self.double else block.precision)
        starts = range(0, block.n_persons, CHUNK * CHUNKS_PER_TASK)
        parts = self.workers.run(
            [
                partial(_indicator_chunks, block, slice(i, i + CHUNK * CHUNKS_PER_TASK), table, base)
                for i in starts
            ]
        )
        counts = np.zeros((block.columns.size, self.theta.size))
        mass = np.zeros(self.theta.size)
        for log_likelihood, part_counts, part_mass in parts:
            total.log_likelihood += log_likelihood
            counts += part_counts
            mass += part_mass
        total.counts[block.columns] += counts
        answered = np.add.reduceat(
            counts, np.searchsorted(block.column_item, np.arange(block.items.size)), axis=0
        )
        if block.complete:
            total.counts[block.base_columns] += mass - answered
            answered = np.broadcast_to(mass, answered.shape)
        total.item_mass[block.items] += answered
        total.group_mass[block.group] += mass

    # --- the gradient ---------------------------------------------------------

    def _gradient(self, state: State, total: _Sums) -> FloatArray:
        gradient = np.zeros(self.layout.n_natural)
        dense = bool(total.counts.any())
        for b, ((batch, _), log_p) in enumerate(zip(state.families, state.batch_log_p, strict=True)):
            if batch.canonical:
                mass = total.item_mass[batch.rows]
                expected = np.exp(log_p) * mass[:, None]
                residual = total.counts[batch.columns] - expected
                k = np.arange(batch.n_categories)
                slope = total.slope_scores[batch.rows] + (k @ residual) @ self.theta
                intercepts = total.category_counts[batch.columns[:, 1:]] + residual[:, 1:].sum(axis=2)
                gradient[batch.natural[:, 0]] = slope
                gradient[batch.natural[:, 1:]] = intercepts
            elif dense:
                counts = total.counts[batch.columns]
                scores = state.batch_scores[b]
                n, K, p, Q = scores.shape
                flat = np.moveaxis(scores, 2, 1).reshape(n, p, K * Q)
                gradient[batch.natural] = (flat @ counts.reshape(n, K * Q, 1))[:, :, 0]
        for g, population in enumerate(state.groups):
            place = int(self.layout.offsets[-1]) + 2 * g
            gradient[place : place + 2] = population.gradient(total.group_mass[g])
        return gradient


@dataclass(eq=False)
class _Sums:
    """Sums over blocks during a pass."""

    log_likelihood: float
    counts: FloatArray
    item_mass: FloatArray
    group_mass: FloatArray
    slope_scores: FloatArray
    category_counts: FloatArray

    @classmethod
    def zeros(cls, layout: Layout, n_nodes: int) -> _Sums:
        return cls(
            0.0,
            np.zeros((layout.n_columns, n_nodes)),
            np.zeros((layout.n_items, n_nodes)),
            np.zeros((len(layout.groups), n_nodes)),
            np.zeros(layout.n_items),
            np.zeros(layout.n_columns),
        )


def intercept_table(state: State) -> FloatArray:
    """The intercept of every category of the canonical items, (M,); zero elsewhere."""
    table = np.zeros(state.layout.n_columns)
    for batch, _ in state.families:
        if batch.canonical:
            table[batch.columns[:, 1:]] = state.eta[batch.natural[:, 1:]]
    return table


def block_constant(state: State, block: ScoreBlock) -> FloatArray:
    """Log-probability of all lowest categories plus log-weight, per node."""
    first = state.layout.column_offsets[block.items]
    return np.asarray(state.log_p[first].sum(axis=0) + state.groups[block.group].log_weights)


@dataclass(frozen=True)
class _Grid:
    """Posterior mean and log-normaliser tabulated over the weighted score."""

    start: float
    spacing: float
    posterior: FloatArray
    log_normaliser: FloatArray
    mean: FloatArray

    @classmethod
    def over(cls, state: State, block: ScoreBlock, constant: FloatArray) -> _Grid:
        slopes = state.slopes[block.items]
        top = np.diff(state.layout.column_offsets)[block.items] - 1
        low = float(np.minimum(slopes * top, 0.0).sum())
        high = float(np.maximum(slopes * top, 0.0).sum())
        size = int(np.clip((high - low) / GRID_SPACING, 256, 8_192))
        spacing = (high - low) / (size - 1) * (1.0 + 1e-6)
        # one more point at either end, for the cubic
        start = low - spacing
        scores = start + spacing * np.arange(size + 3)
        posterior, log_normaliser = posterior_of(scores, state.theta, constant)
        return cls(start, spacing, posterior, log_normaliser, posterior @ state.theta)

    def table(self, scores: FloatArray) -> ScoreTable:
        """Where persons with these weighted scores lie on the grid."""
        position = (scores - self.start) / self.spacing
        place = np.clip(position.astype(np.int64), 1, self.posterior.shape[0] - 3)
        t = position - place
        u, v, w = t + 1.0, t - 1.0, t - 2.0
        tv = t * v
        share = np.stack([tv * w / -6.0, u * v * w / 2.0, u * t * w / -2.0, u * tv / 6.0])
        return ScoreTable(self.posterior, place - 1, share)


def posterior_of(
    scores: NDArray[np.floating], theta: FloatArray, constant: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Posterior (n, Q) and log-normaliser (n,) for weighted scores (n,)."""
    posterior = np.asarray(scores[:, None] * theta + constant, dtype=np.float64)
    top = posterior.max(axis=1)
    posterior -= top[:, None]
    np.exp(posterior, out=posterior)
    total = posterior.sum(axis=1)
    posterior /= total[:, None]
    return posterior, top + np.log(total)


def _split_slopes(state: State, block: ScoreBlock) -> NDArray[np.floating]:
    """The slopes as a coarse and a fine part (J_b, 2), so that a weighted sum is exact.

    Rounded to a fixed number of binary places, the coarse parts add up without
    rounding in the 24 bits of single precision; the fine parts are so small
    that theirs does not matter. One product with two columns costs no more
    than one with one: reading the responses is the cost.
    """
    slopes = state.slopes[block.items]
    top = np.diff(state.layout.column_offsets)[block.items] - 1
    places = 23 - np.ceil(np.log2(max(float(np.abs(slopes * top).sum()), 1.0)))
    coarse = np.round(slopes * 2.0**places) / 2.0**places
    return np.stack([coarse, slopes - coarse], axis=1).astype(block.categories.dtype)


def score_table(state: State, block: ScoreBlock) -> ScoreTable:
    """Posteriors of all persons of a score block, for the information matrix."""
    constant = block_constant(state, block)
    scores = (block.categories @ _split_slopes(state, block)).sum(axis=1, dtype=np.float64)
    if block.n_persons <= DIRECT_UP_TO:
        return ScoreTable(posterior_of(scores, state.theta, constant)[0], None, None)
    return _Grid.over(state, block, constant).table(scores)


def _score_chunk(
    state: State,
    block: ScoreBlock,
    chunk: slice,
    slopes: NDArray[np.floating],
    constant: FloatArray,
    grid: _Grid | None,
) -> tuple[float, FloatArray, FloatArray]:
    """Log-likelihood, mass at the nodes, and sum of category times posterior mean."""
    categories = block.categories[chunk]
    weights = None if block.weights is None else block.weights[chunk]
    scores = (categories @ slopes).sum(axis=1, dtype=np.float64)
    if grid is None:
        posterior, log_normaliser = posterior_of(scores, state.theta, constant)
        mean = posterior @ state.theta
        if weights is not None:
            mean *= weights
        mass = posterior.sum(axis=0) if weights is None else weights @ posterior
        log_likelihood = float(log_normaliser.sum() if weights is None else weights @ log_normaliser)
        return log_likelihood, mass, np.asarray(mean @ categories, dtype=np.float64)
    table = grid.table(scores)
    persons = table.spread(weights)
    mean = table.gather(grid.mean)
    if weights is not None:
        mean *= weights
    weighted = _summed_rows(mean, categories)
    return (
        float(persons @ grid.log_normaliser),
        persons @ grid.posterior,
        weighted,
    )


def _summed_rows(weights: FloatArray, matrix: NDArray[np.floating]) -> FloatArray:
    """Multiply weights by a matrix; long single-precision sums are cut up and added in double."""
    weights = weights.astype(matrix.dtype)
    out = np.zeros(matrix.shape[1])
    for start in range(0, matrix.shape[0], SUMMED_AT_ONCE):
        stop = start + SUMMED_AT_ONCE
        out += weights[start:stop] @ matrix[start:stop]
    return out


def _indicator_chunks(
    block: IndicatorBlock, chosen: slice, table: NDArray[np.floating], base: FloatArray
) -> tuple[float, FloatArray, FloatArray]:
    """Log-likelihood, expected counts and mass of some chunks, summed in double."""
    counts = np.zeros(table.shape)
    mass = np.zeros(base.size)
    log_likelihood = 0.0
    offset = base.astype(table.dtype)
    for start in range(chosen.start, min(chosen.stop, block.n_persons), CHUNK):
        rows = slice(start, min(start + CHUNK, chosen.stop))
        coded = block.coded(rows).astype(table.dtype, copy=False)
        posterior = coded @ table
        posterior += offset
        top = posterior.max(axis=1)
        posterior -= top[:, None]
        np.exp(posterior, out=posterior)
        total = posterior.sum(axis=1)
        normaliser = np.log(total, dtype=np.float64) + top
        scale = 1.0 / total
        if block.weights is not None:
            weights = block.weights[rows]
            log_likelihood += float(weights @ normaliser)
            scale = (scale * weights).astype(posterior.dtype)
        else:
            log_likelihood += float(normaliser.sum())
        posterior *= scale[:, None]
        counts += coded.T @ posterior
        mass += posterior.sum(axis=0, dtype=np.float64)
    return log_likelihood, counts, mass


def indicator_posterior(state: State, block: IndicatorBlock, rows: slice) -> FloatArray:
    """Posteriors (n, Q) of some persons of an indicator block."""
    log_p = state.log_p
    table = log_p[block.columns]
    base = state.groups[block.group].log_weights.copy()
    if block.complete:
        first = log_p[block.base_columns]
        base += first.sum(axis=0)
        table = table - first[block.column_item]
    posterior = np.asarray(block.coded(rows) @ table.astype(block.precision), dtype=np.float64)
    posterior += base
    posterior -= posterior.max(axis=1)[:, None]
    np.exp(posterior, out=posterior)
    posterior /= posterior.sum(axis=1)[:, None]
    return posterior
