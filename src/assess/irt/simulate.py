"""Responses drawn from the model."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from assess.irt.models import category_probabilities
from assess.irt.parameters import ItemParameters

_CHUNK = 4096


def simulate(parameters: ItemParameters, theta: ArrayLike, rng: np.random.Generator) -> NDArray[np.int8]:
    """Categories that persons with these thetas would give, independently per item.

    Parameters
    ----------
    parameters : ItemParameters
        J items.
    theta : array (N,)
        True values, in units of the scale.
    rng : numpy.random.Generator
        One uniform number per person and item is taken, persons first, so that
        the responses of the first persons do not depend on how many follow.

    Returns
    -------
    array (N, J) of int8

    Examples
    --------
    >>> items = ItemParameters(["i1", "i2"], "2PL", [1.0, 1.5], [[0.0], [0.4]])
    >>> simulate(items, [-9.0, 9.0], np.random.default_rng(1)).tolist()
    [[0, 0], [1, 1]]
    """
    persons = np.atleast_1d(np.asarray(theta, dtype=float))
    out = np.empty((len(persons), len(parameters)), dtype=np.int8)
    last = parameters.n_categories - 1
    for start in range(0, len(persons), _CHUNK):
        rows = slice(start, start + _CHUNK)
        reached = np.cumsum(category_probabilities(parameters, persons[rows]), axis=2)
        draw = rng.random(reached.shape[:2])
        # A cumulative sum may end just below 1; a draw above it is still the last category.
        out[rows] = np.minimum((draw[:, :, None] >= reached).sum(axis=2), last)
    return out
