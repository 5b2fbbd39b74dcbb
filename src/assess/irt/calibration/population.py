r"""The population on the nodes: a normal density restricted to the grid, as data.

For a group with mean mu and standard deviation sigma the weights are

.. math:: w_q = \exp(\tau\cdot T_q - A(\tau)), \quad T_q = (\theta_q, \theta_q^2), \quad
          \tau = (\mu/\sigma^2,\; -1/(2\sigma^2)),

an exponential family on the grid, so that value, gradient and curvature are
exact for the sum that is really computed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class NodeWeights:
    """Weights of one group at the nodes, and their derivatives.

    Parameters
    ----------
    log_weights : array (Q,)
        Logarithms; the weights sum to one.
    scores : array (2, Q)
        Derivatives of the log-weights with respect to (mean, log sd).
    """

    log_weights: FloatArray
    scores: FloatArray
    _jacobian: FloatArray
    _covariance: FloatArray
    _centred: FloatArray
    _sigma2: float
    _mean: float

    @classmethod
    def normal(cls, mean: float, log_sd: float, theta: FloatArray) -> NodeWeights:
        """A normal density on the nodes."""
        sigma2 = float(np.exp(2.0 * log_sd))
        log_w = -0.5 * (theta - mean) ** 2 / sigma2
        log_w -= log_w.max()
        log_w -= np.log(np.exp(log_w).sum())
        w = np.exp(log_w)
        statistics = np.stack([theta, theta**2])
        centred = statistics - (statistics @ w)[:, None]
        # rows: tau; columns: mean, log sd
        jacobian = np.array([[1.0 / sigma2, -2.0 * mean / sigma2], [0.0, 1.0 / sigma2]])
        return cls(log_w, jacobian.T @ centred, jacobian, (centred * w) @ centred.T, centred, sigma2, mean)

    @classmethod
    def held(cls, log_weights: FloatArray) -> NodeWeights:
        """Weights of any shape; mean and log sd move nothing."""
        none, empty = np.zeros((2, 2)), np.zeros((2, log_weights.size))
        return cls(log_weights, empty, none, none, empty, 1.0, 0.0)

    def gradient(self, mass: FloatArray) -> FloatArray:
        """Complete-data gradient for `mass` (Q,) persons at the nodes."""
        return np.asarray(self.scores @ mass)

    def information(self, mass: FloatArray, *, observed: bool) -> FloatArray:
        """Complete-data information (2, 2); the expected one is always positive definite."""
        expected = mass.sum() * self._jacobian.T @ self._covariance @ self._jacobian
        if not observed:
            return np.asarray(expected)
        residual = self._centred @ mass
        s2, m = self._sigma2, self._mean
        second = np.array([[[0.0, -2.0 / s2], [-2.0 / s2, 4.0 * m / s2]], [[0.0, 0.0], [0.0, -2.0 / s2]]])
        return np.asarray(expected - residual[0] * second[0] - residual[1] * second[1])
