r"""Chunks of persons through the likelihood, by two matrix products each.

With indicators :math:`z` of the categories a person's log-posterior is
:math:`\sum z_{ijk}\log P_{jk}(\theta_q)`. With canonical items it is

.. math:: s_i\theta_q + \sum_{j\ \text{answered}} \log P_{j0}(\theta_q) + \text{constant},
          \quad s_i = \sum_j a_j x_{ij},

which needs one column per item rather than one per category. Posteriors stand
with the nodes on rows, so that sums over nodes run along the processor's vectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assess.irt.calibration.blocks import CodedBlock, MaskedBlock
from assess.irt.calibration.scores import split_slopes
from assess.irt.calibration.state import State

FloatArray = NDArray[np.float64]

CHUNK = 1_024
CHUNKS_PER_TASK = 4
# Logarithms of posteriors stop here, far below what any sum can notice. Left alone, many fall among
# the denormal numbers of single precision, on which some processors work ten times as long.
LEAST = -60.0


@dataclass(frozen=True, eq=False)
class Tables:
    """What all persons of a block share at one parameter point.

    Parameters
    ----------
    table : array (Q, M)
        Log-probabilities of the columns the block is coded by.
    base : array (Q,)
        What every person's log-posterior begins with.
    theta : array (Q,)
    slopes : array (J_b, 2)
        Of a masked block, in two parts; empty elsewhere.
    """

    table: NDArray[np.floating]
    base: NDArray[np.floating]
    theta: FloatArray
    slopes: NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class ChunkSums:
    """Sums over persons, in double precision.

    Parameters
    ----------
    counts : array (M, Q)
        Expected number of persons at each node, per column of the block.
    mass : array (Q,)
    spread : array (Q,)
        The same, each person counting by the variance of the posterior.
    slope_scores : array (J_b,)
        Category times posterior mean, of a masked block; zero elsewhere.
    """

    log_likelihood: float
    counts: FloatArray
    mass: FloatArray
    spread: FloatArray
    slope_scores: FloatArray


def spans(n_persons: int) -> Iterator[slice]:
    """What one task takes; cut by the number of persons alone, so that threads change no sum."""
    step = CHUNK * CHUNKS_PER_TASK
    return (slice(start, min(start + step, n_persons)) for start in range(0, n_persons, step))


def chunk_tables(state: State, block: CodedBlock, precision: type[np.floating]) -> Tables:
    """The tables of a block at a parameter point."""
    log_p = state.log_p
    base = state.groups[block.group].log_weights.copy()
    slopes: NDArray[np.floating] = np.zeros((0, 2))
    if isinstance(block, MaskedBlock):
        table = log_p[state.layout.column_offsets[block.items]]
        slopes = split_slopes(state, block)
    else:
        table = log_p[block.columns]
        if block.complete:
            first = log_p[block.base_columns]
            base += first.sum(axis=0)
            table = table - first[block.column_item]
    return Tables(
        np.ascontiguousarray(table.T).astype(precision), base.astype(precision), state.theta, slopes
    )


def _log_posterior(
    block: CodedBlock, rows: slice, tables: Tables
) -> tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating] | None]:
    """Unnormalised log-posteriors (Q, n), coded responses (n, M), and categories of a masked block."""
    precision = tables.table.dtype
    if isinstance(block, MaskedBlock):
        coded, categories = block.parts(rows)
        coded = coded.astype(precision, copy=False)
        out = tables.table @ coded.T
        scores = (categories @ tables.slopes).sum(axis=1, dtype=np.float64)
        out += np.multiply.outer(tables.theta.astype(precision), scores.astype(precision))
    else:
        coded, categories = block.coded(rows).astype(precision, copy=False), None
        out = tables.table @ coded.T
    out += tables.base[:, None]
    return out, coded, categories


def _exponentiated(log_posterior: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Turn log-posteriors into posteriors in place; greatest value before, and sum (n,)."""
    top = log_posterior.max(axis=0)
    log_posterior -= top
    np.maximum(log_posterior, LEAST, out=log_posterior)
    np.exp(log_posterior, out=log_posterior)
    total = log_posterior.sum(axis=0)
    log_posterior *= 1.0 / total
    return top, total


def chunk_sums(block: CodedBlock, chosen: slice, tables: Tables) -> ChunkSums:
    """Log-likelihood and expected counts of the persons of one task."""
    counts = np.zeros(tables.table.shape)
    sums = np.zeros((tables.theta.size, 2))
    slope_scores = np.zeros(block.items.size)
    log_likelihood = 0.0
    moments = np.stack([tables.theta, tables.theta**2]).astype(tables.table.dtype)
    for start in range(chosen.start, chosen.stop, CHUNK):
        rows = slice(start, min(start + CHUNK, chosen.stop))
        posterior, coded, categories = _log_posterior(block, rows, tables)
        top, total = _exponentiated(posterior)
        normaliser = np.log(total, dtype=np.float64) + top
        mean, square = moments @ posterior
        variance = square - mean**2
        if block.weights is None:
            log_likelihood += float(normaliser.sum())
        else:
            weights = block.weights[rows]
            log_likelihood += float(weights @ normaliser)
            posterior *= weights.astype(posterior.dtype)
            mean = mean * weights
        counts += posterior @ coded
        sums += posterior @ np.stack([np.ones_like(variance), variance], axis=1)
        if categories is not None:
            slope_scores += mean.astype(categories.dtype) @ categories
    return ChunkSums(log_likelihood, counts.T, sums[:, 0], sums[:, 1], slope_scores)


def added(parts: Sequence[ChunkSums]) -> ChunkSums:
    """The sum of some tasks, in their order."""
    first = parts[0]
    for part in parts[1:]:
        first = ChunkSums(
            first.log_likelihood + part.log_likelihood,
            first.counts + part.counts,
            first.mass + part.mass,
            first.spread + part.spread,
            first.slope_scores + part.slope_scores,
        )
    return first


def coded_posterior(state: State, block: CodedBlock, rows: slice) -> FloatArray:
    """Posteriors (n, Q) of some persons of a coded block."""
    posterior = _log_posterior(block, rows, chunk_tables(state, block, block.precision))[0].astype(np.float64)
    _exponentiated(posterior)
    return np.ascontiguousarray(posterior.T)
