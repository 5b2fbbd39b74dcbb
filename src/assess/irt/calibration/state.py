"""A point in parameter space, and what a pass over the data finds there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from assess.irt.calibration.families import Family
from assess.irt.calibration.layout import Batch, Layout
from assess.irt.calibration.population import NodeWeights

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# blocks whose spread is kept; beyond that (chunks larger than memory) the matrix comes from a subsample
MOST_SPREADS = 64


@dataclass(frozen=True, eq=False)
class State:
    """Everything that depends on the parameters but not on the responses.

    Parameters
    ----------
    eta : array
        Natural parameters.
    theta : array (Q,)
        Nodes.
    log_weights : array (G, Q) or None
        Of populations that are not normal.
    """

    layout: Layout
    eta: FloatArray
    theta: FloatArray
    families: tuple[tuple[Batch, Family], ...]
    log_weights: FloatArray | None = None

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
        if self.log_weights is not None:
            return tuple(NodeWeights.held(own) for own in self.log_weights)
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
class Spread:
    """Posterior variance in one block.

    Parameters
    ----------
    share : array (J_b, Q) or None
        Share of the persons at a node who answered each item; None where all did.
    spread : array (Q,)
        Persons at the nodes, each weighted by the variance of the posterior.
    """

    group: int
    items: IntArray
    share: FloatArray | None
    spread: FloatArray


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
    spreads : tuple of Spread
        Of the coded blocks, for Newton steps.
    """

    state: State
    log_likelihood: float
    gradient: FloatArray
    counts: FloatArray
    item_mass: FloatArray
    group_mass: FloatArray
    spreads: tuple[Spread, ...]

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
