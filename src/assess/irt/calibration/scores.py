r"""Score blocks: a person's posterior as a function of one number.

With canonical items all answered, the responses enter the likelihood only
through :math:`s_i = \sum_j a_j x_{ij}`. Above a few thousand persons posterior
mean and log-normaliser are tabulated on a fine grid of s and interpolated by
cubic Lagrange weights: the error is far below the rounding of single precision.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assess.irt.calibration.blocks import MaskedBlock, ScoreBlock
from assess.irt.calibration.state import State

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

DIRECT_UP_TO = 3_000
GRID_SPACING = 0.05
SUMMED_AT_ONCE = 2_048


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


@dataclass(frozen=True)
class ScoreGrid:
    """Posterior mean and log-normaliser tabulated over the weighted score."""

    start: float
    spacing: float
    posterior: FloatArray
    log_normaliser: FloatArray
    mean: FloatArray

    @classmethod
    def over(cls, state: State, block: ScoreBlock, constant: FloatArray) -> ScoreGrid:
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


def block_constant(state: State, block: ScoreBlock) -> FloatArray:
    """Log-probability of all lowest categories plus log-weight, per node."""
    first = state.layout.column_offsets[block.items]
    return np.asarray(state.log_p[first].sum(axis=0) + state.groups[block.group].log_weights)


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


def split_slopes(state: State, block: ScoreBlock | MaskedBlock) -> NDArray[np.floating]:
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
    precision = block.categories.dtype if isinstance(block, ScoreBlock) else block.precision
    return np.stack([coarse, slopes - coarse], axis=1).astype(precision)


def score_table(state: State, block: ScoreBlock) -> ScoreTable:
    """Posteriors of all persons of a score block, for the information matrix."""
    constant = block_constant(state, block)
    scores = (block.categories @ split_slopes(state, block)).sum(axis=1, dtype=np.float64)
    if block.n_persons <= DIRECT_UP_TO:
        return ScoreTable(posterior_of(scores, state.theta, constant)[0], None, None)
    return ScoreGrid.over(state, block, constant).table(scores)


def score_chunk(
    state: State,
    block: ScoreBlock,
    chunk: slice,
    slopes: NDArray[np.floating],
    constant: FloatArray,
    grid: ScoreGrid | None,
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
