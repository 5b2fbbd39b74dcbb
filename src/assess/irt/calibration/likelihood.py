r"""The marginal likelihood, its gradient and the expected counts, in one pass over the data.

.. math:: \log L = \sum_i w_i \log \sum_q g(\theta_q) \prod_j P_{j x_{ij}}(\theta_q)

By Fisher's identity the gradient is the complete-data score averaged over the
posterior of theta. In a `ScoreBlock` a pass costs two matrix-vector products
(see `scores`). Other blocks cost two matrix products, with the indicators of the
categories or of the items answered, in chunks, in single precision for large
samples with sums over chunks in double (see `chunks`).

References
----------
Bock & Aitkin (1981), *Psychometrika* 46, 443-459, doi:10.1007/BF02293801.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from assess.irt.calibration.blocks import Block, CodedBlock, IndicatorBlock, MaskedBlock, ScoreBlock
from assess.irt.calibration.chunks import added, chunk_sums, chunk_tables, spans
from assess.irt.calibration.layout import Layout
from assess.irt.calibration.scores import DIRECT_UP_TO, ScoreGrid, block_constant, score_chunk, split_slopes
from assess.irt.calibration.state import MOST_SPREADS, Expectation, Spread, State
from assess.irt.calibration.workers import Workers

FloatArray = NDArray[np.float64]

SCORE_CHUNK = 65_536


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
    log_weights : array (G, Q), optional
        Populations that are not normal, held at these weights.
    """

    def __init__(
        self,
        layout: Layout,
        theta: FloatArray,
        blocks: Iterable[Block],
        workers: Workers,
        *,
        double: bool = False,
        log_weights: FloatArray | None = None,
    ) -> None:
        self.layout = layout
        self.theta = theta
        self.blocks = blocks
        self.workers = workers
        self.double = double
        self.log_weights = log_weights
        self._families = tuple((batch, batch.family(theta)) for batch in layout.batches)

    def state(self, eta: FloatArray) -> State:
        """Probabilities and population at a parameter point."""
        return State(self.layout, eta, self.theta, self._families, self.log_weights)

    def __call__(self, eta: FloatArray) -> Expectation:
        """One pass over the data."""
        state = self.state(eta)
        layout = self.layout
        total = _Sums.zeros(layout, self.theta.size)
        for block in self.blocks:
            if isinstance(block, ScoreBlock):
                self._score_pass(state, block, total)
            else:
                self._coded_pass(state, block, total)
        # in score blocks the intercepts enter as constants, person by person
        constants = float(total.category_counts @ intercept_table(state))
        return Expectation(
            state,
            total.log_likelihood + constants,
            self._gradient(state, total),
            total.counts,
            total.item_mass,
            total.group_mass,
            tuple(total.spreads),
        )

    # --- score blocks -------------------------------------------------------

    def _score_pass(self, state: State, block: ScoreBlock, total: _Sums) -> None:
        constant = block_constant(state, block)
        slopes = split_slopes(state, block)
        grid = None
        if block.n_persons > DIRECT_UP_TO:
            grid = ScoreGrid.over(state, block, constant)
        chunks = [slice(i, i + SCORE_CHUNK) for i in range(0, block.n_persons, SCORE_CHUNK)]
        parts = self.workers.run(
            [partial(score_chunk, state, block, chunk, slopes, constant, grid) for chunk in chunks]
        )
        mass = np.zeros(self.theta.size)
        for log_likelihood, chunk_mass, weighted_scores in parts:
            total.log_likelihood += log_likelihood
            mass += chunk_mass
            total.slope_scores[block.items] += weighted_scores
        total.item_mass[block.items] += mass
        total.group_mass[block.group] += mass
        total.category_counts[block.columns] += block.counts

    # --- coded blocks ---------------------------------------------------------

    def _coded_pass(self, state: State, block: CodedBlock, total: _Sums) -> None:
        tables = chunk_tables(state, block, np.float64 if self.double else block.precision)
        tasks = [partial(chunk_sums, block, part, tables) for part in spans(block.n_persons)]
        sums = added(self.workers.run(tasks))
        total.log_likelihood += sums.log_likelihood
        mass = sums.mass
        if isinstance(block, MaskedBlock):
            answered = sums.counts
            total.slope_scores[block.items] += sums.slope_scores
            total.category_counts[block.columns] += block.counts
        else:
            total.counts[block.columns] += sums.counts
            starts = np.searchsorted(block.column_item, np.arange(block.items.size))
            answered = np.add.reduceat(sums.counts, starts, axis=0)
            if block.complete:
                total.counts[block.base_columns] += mass - answered
                answered = np.broadcast_to(mass, answered.shape)
        total.item_mass[block.items] += answered
        total.group_mass[block.group] += mass
        if len(total.spreads) < MOST_SPREADS:
            complete = isinstance(block, IndicatorBlock) and block.complete
            share = None if complete else answered / np.maximum(mass, np.finfo(np.float64).tiny)
            total.spreads.append(Spread(block.group, block.items, share, sums.spread))

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
    spreads: list[Spread]

    @classmethod
    def zeros(cls, layout: Layout, n_nodes: int) -> _Sums:
        return cls(
            0.0,
            np.zeros((layout.n_columns, n_nodes)),
            np.zeros((layout.n_items, n_nodes)),
            np.zeros((len(layout.groups), n_nodes)),
            np.zeros(layout.n_items),
            np.zeros(layout.n_columns),
            [],
        )


def intercept_table(state: State) -> FloatArray:
    """The intercept of every category of the canonical items, (M,); zero elsewhere."""
    table = np.zeros(state.layout.n_columns)
    for batch, _ in state.families:
        if batch.canonical:
            table[batch.columns[:, 1:]] = state.eta[batch.natural[:, 1:]]
    return table
