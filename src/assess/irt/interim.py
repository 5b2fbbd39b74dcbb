r"""Point estimates between the units of an adaptive test: MAP, ML and Warm's WL, kept up answer by answer.

Every estimate is a root of :math:`g(\theta) = l'(\theta) + r(\theta)`, with

======  =======================================================
ML      :math:`r = 0`
MAP     :math:`r = -(\theta - \mu) / \sigma^2`
WL      :math:`r = J(\theta) / \{2 I(\theta)\}`
======  =======================================================

Sums of :math:`l'`, I and J over the units given are held on one grid, so that
an answer costs one addition whatever came before. Of several roots the one is
taken at which the integral of g is greatest, the global maximum. Between the
points of the grid g is the cubic through four of them. `assess.irt.modes` finds
the same roots exactly from complete responses, for scores.

While all answers point one way, ML has no finite value; then there is none, and
whoever asks falls back on the posterior mean.

References
----------
Warm (1989), *Psychometrika* 54, 427-450, doi:10.1007/BF02294627.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np

from assess.irt.models import category_probabilities, log_derivatives
from assess.irt.modes import highest_root
from assess.irt.parameters import FloatArray, IntArray, ItemParameters
from assess.irt.quadrature import Prior, cubic_basis

Updating = Literal["EAP", "MAP", "ML", "WL"]
UPDATING: tuple[Updating, ...] = get_args(Updating)
_STEP = 0.05
_BISECTIONS = 45


@dataclass(frozen=True, eq=False)
class Interim:
    """One estimator over a set of units.

    Parameters
    ----------
    parameters : ItemParameters
        J units.
    method : str
        MAP, ML or WL.
    prior : Prior
        Of MAP; its mean and six standard deviations either side are the grid of all three.

    Examples
    --------
    >>> bank = ItemParameters(["i1", "i2"], "2PL", [1.0, 1.0], [[0.0], [0.5]])
    >>> wl = Interim(bank, "WL", Prior())
    >>> curves = wl.begin(1)
    >>> wl.enter(curves, np.array([0]), np.array([0]), np.array([1]))
    >>> theta, se = wl.estimate(curves)
    >>> theta.round(3).tolist(), se.round(3).tolist()
    ([1.099], [2.309])
    """

    parameters: ItemParameters
    method: Updating
    prior: Prior

    def begin(self, n_examinees: int) -> FloatArray:
        """Nothing given yet: zeros, (N, 3, G)."""
        return np.zeros((n_examinees, 3, len(self.grid)))

    def enter(self, curves: FloatArray, rows: IntArray, units: IntArray, categories: IntArray) -> None:
        """Add one answer of each of these examinees to their curves."""
        curves[rows, 0] += self._slopes[units, categories]
        curves[rows, 1:] += self._terms[units]

    def enter_all(self, curves: FloatArray, units: IntArray, categories: IntArray) -> None:
        """Add all answers of one examinee, the first of the curves."""
        curves[0, 0] += np.add.reduce(self._slopes[units, categories], axis=0)
        curves[0, 1:] += np.add.reduce(self._terms[units], axis=0)

    def estimate(self, curves: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Theta and its standard error, (N,) each; nan where there is no finite estimate."""
        slope, information, bias = curves[:, 0], curves[:, 1], curves[:, 2]
        value = slope
        if self.method == "MAP":
            value = slope - (self.grid - self.prior.mean) / self.prior.sd**2
        elif self.method == "WL":
            value = slope + 0.5 * bias / np.where(information > 0.0, information, 1.0)
        cell, top, left, right = highest_root(value, float(self.grid[1] - self.grid[0]))
        theta = self._root(value, cell)
        precision = self._read(information, theta)
        if self.method == "MAP":
            precision = precision + 1.0 / self.prior.sd**2
        known = np.isfinite(top) & (top >= left) & (top >= right) & (precision > 0.0)
        se = 1.0 / np.sqrt(np.where(known, precision, 1.0))
        return np.where(known, theta, np.nan), np.where(known, se, np.nan)

    # --- inside ---------------------------------------------------------------

    @cached_property
    def grid(self) -> FloatArray:
        """Equally spaced points, (G,)."""
        half = 6.0 * self.prior.sd
        n_cells = round(2.0 * half / _STEP)
        return np.linspace(self.prior.mean - half, self.prior.mean + half, n_cells + 1)

    @cached_property
    def _slopes(self) -> FloatArray:
        """First derivatives of the log-probabilities, (J, K, G)."""
        return np.ascontiguousarray(log_derivatives(self.parameters, self.grid)[0].transpose(1, 2, 0))

    @cached_property
    def _terms(self) -> FloatArray:
        """I and J of each unit, (J, 2, G)."""
        first, second = log_derivatives(self.parameters, self.grid)
        p = category_probabilities(self.parameters, self.grid)
        information = np.add.reduce(p * first**2, axis=2)
        bias = np.add.reduce(p * first * (first**2 + second), axis=2)
        return np.ascontiguousarray(np.stack([information, bias]).transpose(2, 0, 1))

    def _root(self, value: FloatArray, cell: IntArray) -> FloatArray:
        """The root of each row inside its cell, by halving it."""
        low, high = self.grid[cell], self.grid[cell + 1]
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            rising = self._read(value, middle) > 0.0
            low, high = np.where(rising, middle, low), np.where(rising, high, middle)
        return 0.5 * (low + high)

    def _read(self, value: FloatArray, theta: FloatArray) -> FloatArray:
        """Each row at its own theta, by the cubic through four points, (N,)."""
        position = (theta - self.grid[0]) / (self.grid[1] - self.grid[0])
        first = np.clip(position.astype(np.int64) - 1, 0, len(self.grid) - 4)
        x = position - first
        rows = np.arange(len(value))
        near = np.stack([value[rows, first + k] for k in range(4)])
        return np.asarray(np.add.reduce(cubic_basis(x) * near, axis=0))
