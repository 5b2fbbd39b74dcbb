"""Item curves with their derivatives by theta, and how they move with each item parameter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from assess.irt.models import category_probabilities, log_derivatives
from assess.irt.parameters import FloatArray, IntArray, ItemParameters

_STEP = 1e-5


class Curves(NamedTuple):
    """Curves of J items at Q points, (Q, J, C), and their first two derivatives by theta.

    C counts categories, or is one for expected scores.
    """

    value: FloatArray
    first: FloatArray
    second: FloatArray


def curves(parameters: ItemParameters, theta: FloatArray, by_category: bool) -> Curves:
    """Category probabilities, or expected scores."""
    p = category_probabilities(parameters, theta)
    u, v = log_derivatives(parameters, theta)
    found = Curves(p, p * u, p * (v + u * u))
    if by_category:
        return found
    score = np.arange(p.shape[2], dtype=np.float64)
    return Curves(*((part * score).sum(axis=2, keepdims=True) for part in found))


@dataclass(frozen=True, eq=False)
class Variation:
    """Derivatives by P parameters, by central differences.

    Parameters
    ----------
    rows : array (P,)
        Which item each parameter belongs to.
    slopes, steps : arrays (P,), (P, K - 1)
        Derivatives of the slope and of the steps of that item.
    """

    rows: IntArray
    slopes: FloatArray
    steps: FloatArray
    _up: ItemParameters
    _down: ItemParameters
    _width: FloatArray
    _n_categories: int

    def curves(self, theta: FloatArray, by_category: bool) -> Curves:
        """Derivatives of the curve of each parameter's item, (Q, P, C)."""
        up, down = curves(self._up, theta, by_category), curves(self._down, theta, by_category)
        width = self._width[:, None]
        missing = self._n_categories - up.value.shape[2] if by_category else 0
        return Curves(
            *(
                np.pad((high - low) / width, ((0, 0), (0, 0), (0, missing)))
                for high, low in zip(up, down, strict=True)
            )
        )


def variations(parameters: ItemParameters, names: Sequence[tuple[str, str]]) -> Variation:
    """Move each named parameter, (item, name), a little up and down."""
    records = {str(record["item"]): record for record in parameters.to_records()}
    up, down, width = [], [], []
    for number, (item, name) in enumerate(names):
        record = records[item] | {"item": f"{number}"}
        value = float(record[name])
        high, low = value + _STEP, value - _STEP
        if name in ("c", "d") and record["model"] in ("3PL", "4PL"):
            # An asymptote at its end is moved inwards only.
            high, low = min(high, 1.0), max(low, 0.0)
        up.append(record | {name: high})
        down.append(record | {name: low})
        width.append(high - low)
    above, below = ItemParameters.from_records(up), ItemParameters.from_records(down)
    step = np.array(width)
    n_steps = parameters.steps.shape[1]
    change = np.full((len(names), n_steps), np.nan)
    found = (above.steps - below.steps) / step[:, None] if len(names) else above.steps
    change[:, : found.shape[1]] = found[:, :n_steps]
    return Variation(
        np.array([parameters.position[item] for item, _ in names], dtype=np.int64),
        (above.slopes - below.slopes) / step,
        change,
        above,
        below,
        step,
        parameters.max_categories,
    )
