"""What a fit statistic needs of a calibration and of the responses, checked once."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from assess.errors import ConvergenceWarning, DataWarning, InvalidResponses
from assess.irt.parameters import FloatArray, ItemParameters
from assess.irt.quadrature import Prior, default_nodes
from assess.irt.scoring import Source, closed_up, resolved
from assess.responses import ResponseMatrix, as_matrix

_UNIT_SLOPE = ("Rasch", "PCM", "RSM")
# Persons per booklet below which missingness does not look planned.
_PERSONS_PER_BOOKLET = 20


@dataclass(frozen=True, eq=False)
class Fitted:
    """Parameters and population of a calibration, in the order of the responses.

    Parameters
    ----------
    items : ItemParameters (J)
    categories : array (N, J) of int8
        -1 where there is no response.
    matrix : ResponseMatrix
    population : Prior
    nodes, weights : arrays (Q,)
        Of the population.
    free : array (J,) of bool
        Items whose parameters were estimated from these responses.
    free_mean, free_sd : bool
        Whether the population's were.
    """

    items: ItemParameters
    categories: NDArray[np.int8]
    matrix: ResponseMatrix
    population: Prior
    nodes: FloatArray
    weights: FloatArray
    free: NDArray[np.bool_]
    free_mean: bool
    free_sd: bool

    def complete(self, what: str) -> NDArray[np.int8]:
        """Rows without a missing response; the others are set aside, and that is said."""
        whole = np.asarray((self.categories >= 0).all(axis=1))
        n = int(whole.sum())
        if n < len(whole):
            if n < 2:
                raise InvalidResponses(
                    f"{what} needs persons who answered all {len(self.items)} items, and there are {n}; "
                    "take the items of one booklet at a time"
                )
            warnings.warn(
                f"{what} rests on the {n:,} of {len(whole):,} persons who answered all items",
                DataWarning,
                stacklevel=3,
            )
        return self.categories[whole]


def fitted(source: Source, responses: pd.DataFrame | ResponseMatrix) -> Fitted:
    """Bring a calibration and responses together.

    Raises
    ------
    InvalidResponses
        Where an item has no parameters or a category it does not have.

    Warns
    -----
    ConvergenceWarning
        Where the calibration did not converge.
    """
    parameters, population = resolved(source, None)
    if getattr(source, "converged", True) is False:
        warnings.warn(
            "the calibration did not converge; its fit says nothing about the model",
            ConvergenceWarning,
            stacklevel=3,
        )
    matrix = closed_up(as_matrix(responses, known_items=parameters.item_ids), source)
    items = parameters.take(matrix.item_ids)
    categories = matrix.recode()
    highest = categories.max(axis=0)
    for j in np.flatnonzero(highest >= items.n_categories).tolist():
        raise InvalidResponses(
            f"item {items.item_ids[j]!r}: category {highest[j]} is outside 0..{items.n_categories[j] - 1}"
        )
    nodes = default_nodes(items, population)
    density = np.exp(population.log_density(nodes))
    free, free_mean, free_sd = _free(source, items)
    return Fitted(
        items,
        categories,
        matrix,
        population,
        nodes,
        density / density.sum(),
        free,
        free_mean,
        free_sd,
    )


def booklets(categories: NDArray[np.int8]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which items each booklet holds, (B, J), and how many persons had it, (B,).

    Raises
    ------
    InvalidResponses
        Where there are so many patterns of missing responses that nobody planned them.
    """
    held, counts = np.unique(categories >= 0, axis=0, return_counts=True)
    n = len(categories)
    if len(held) > max(1, n // _PERSONS_PER_BOOKLET):
        raise InvalidResponses(
            f"{len(held)} patterns of missing responses among {n:,} persons are no planned booklets. After "
            "adaptive routing what is missing depends on the answers, and this statistic has no known "
            "distribution; it is refused, not approximated"
        )
    return held, counts


def n_item_parameters(items: ItemParameters) -> NDArray[np.int64]:
    """How many parameters each item takes from the data, (J,)."""
    own = {"Rasch": 1, "1PL": 2, "2PL": 2, "3PL": 3, "4PL": 4, "RSM": 1}
    counts = items.n_categories
    several = {"GRM": counts, "GPCM": counts, "PCM": counts - 1, "NRM": 2 * (counts - 1)}
    return np.array(
        [own[model] if model in own else several[model][j] for j, model in enumerate(items.models)],
        dtype=np.int64,
    )


def _free(source: Source, items: ItemParameters) -> tuple[NDArray[np.bool_], bool, bool]:
    """What was estimated; a bare set of parameters is taken as estimated in the usual way."""
    names = getattr(source, "vcov_names", ())
    population = getattr(source, "population", None)
    errors = getattr(population, "se_sds", None)
    if names and errors is not None:
        estimated = {name.rpartition(".")[0] for name in names}
        free = np.array([item in estimated for item in items.item_ids])
        means = getattr(population, "se_means", (np.nan,))
        return free, bool(np.isfinite(means[0])), bool(np.isfinite(errors[0]))
    unit = any(model in _UNIT_SLOPE for model in items.models)
    return np.ones(len(items), dtype=bool), False, unit
