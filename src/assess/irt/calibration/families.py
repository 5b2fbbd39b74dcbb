r"""The three families behind every model: log-probabilities and their derivatives.

Inside a calibration every item is in slope-intercept form, because there the
likelihood is smoothest. All models of the library are members of three
families, or linear restrictions of a member (see `layout`):

* canonical: :math:`\log P_k = F_k(\theta)\cdot\eta - \log\sum_m e^{F_m(\theta)\cdot\eta}`.
  2PL, 1PL, Rasch, GPCM, PCM and RSM have :math:`F_k\eta = k a\theta + d_k`, the nominal
  model :math:`a_k\theta + d_k`;
* graded: :math:`P_k = \sigma(a\theta + d_k) - \sigma(a\theta + d_{k+1})`;
* asymptotes: :math:`P_1 = c + (u - c)\,\sigma(a\theta + d)` with the logits of c and u free.

Arrays carry items on the first axis, then categories, parameters, nodes.

References
----------
Chalmers (2012), *mirt*, Journal of Statistical Software 48(6), doi:10.18637/jss.v048.i06.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit

FloatArray = NDArray[np.float64]


class Family(ABC):
    """Items of one shape: the same number of categories and of parameters."""

    def __init__(self, n_categories: int, theta: FloatArray) -> None:
        self.n_categories = n_categories
        self.theta = theta

    @property
    @abstractmethod
    def n_parameters(self) -> int:
        """Parameters of one item in slope-intercept form."""

    @abstractmethod
    def log_probabilities(self, eta: FloatArray) -> FloatArray:
        """Logarithm of each category's probability, (n, K, Q), for parameters (n, p)."""

    @abstractmethod
    def scores(self, eta: FloatArray, log_p: FloatArray) -> FloatArray:
        """First derivatives of the log-probabilities, (n, K, p, Q)."""

    @abstractmethod
    def curvatures(self, eta: FloatArray, log_p: FloatArray) -> FloatArray:
        """Second derivatives of the log-probabilities, (n, K or 1, p, p, Q)."""

    def information(self, eta: FloatArray, log_p: FloatArray, mass: FloatArray) -> FloatArray:
        """Expected complete-data information, (n, p, p), for `mass` (n, Q) persons at the nodes."""
        scores = self.scores(eta, log_p)
        weight = np.exp(log_p) * mass[:, None, :]
        n, K, p, Q = scores.shape
        flat = np.moveaxis(scores, 2, 1).reshape(n, p, K * Q)
        return np.asarray((flat * weight.reshape(n, 1, K * Q)) @ flat.transpose(0, 2, 1))

    def observed_information(
        self, eta: FloatArray, log_p: FloatArray, counts: FloatArray, mass: FloatArray
    ) -> FloatArray:
        """Minus the second derivatives weighted by expected counts (n, K, Q), as (n, p, p)."""
        curvatures = self.curvatures(eta, log_p)
        weight = mass[:, None, :] if curvatures.shape[1] == 1 else counts
        return -np.asarray(np.einsum("nkq,nkprq->npr", weight, curvatures, optimize=True))

    def feasible(self, eta: FloatArray) -> bool:
        """Whether these parameters give every category a probability."""
        return True


class Canonical(Family):
    """Exponential family: log-probabilities linear in the parameters, but for the normaliser.

    Parameters
    ----------
    features : array (K, p, Q)
        The row F_k(theta) of each category at each node.
    """

    def __init__(self, n_categories: int, theta: FloatArray, features: FloatArray) -> None:
        super().__init__(n_categories, theta)
        self.features = features

    @classmethod
    def partial_credit(cls, n_categories: int, theta: FloatArray) -> Canonical:
        """GPCM and its kin: parameters (a, d_1 .. d_{K-1})."""
        features = np.zeros((n_categories, n_categories, theta.size))
        for k in range(1, n_categories):
            features[k, 0] = k * theta
            features[k, k] = 1.0
        return cls(n_categories, theta, features)

    @classmethod
    def nominal(cls, n_categories: int, theta: FloatArray) -> Canonical:
        """The nominal model: parameters (a_1 .. a_{K-1}, d_1 .. d_{K-1}), category 0 at zero."""
        features = np.zeros((n_categories, 2 * (n_categories - 1), theta.size))
        for k in range(1, n_categories):
            features[k, k - 1] = theta
            features[k, n_categories - 2 + k] = 1.0
        return cls(n_categories, theta, features)

    @property
    def n_parameters(self) -> int:
        return int(self.features.shape[1])

    def log_probabilities(self, eta: FloatArray) -> FloatArray:
        K, p, Q = self.features.shape
        if K == 2:
            logit = eta @ self.features[1]
            log_p = np.empty((eta.shape[0], 2, Q))
            log_expit(-logit, out=log_p[:, 0])
            np.add(logit, log_p[:, 0], out=log_p[:, 1])
            return log_p
        linear = (eta @ np.moveaxis(self.features, 1, 0).reshape(p, K * Q)).reshape(-1, K, Q)
        top = linear.max(axis=1, keepdims=True)
        linear -= top + np.log(np.exp(linear - top).sum(axis=1, keepdims=True))
        return linear

    def scores(self, eta: FloatArray, log_p: FloatArray) -> FloatArray:
        expected = np.einsum("nkq,kpq->npq", np.exp(log_p), self.features, optimize=True)
        return np.asarray(self.features[None] - expected[:, None])

    def curvatures(self, eta: FloatArray, log_p: FloatArray) -> FloatArray:
        scores = self.scores(eta, log_p)
        curvature = np.einsum("nkq,nkpq,nkrq->nprq", np.exp(log_p), scores, scores, optimize=True)
        return -np.asarray(curvature)[:, None]

    def information(self, eta: FloatArray, log_p: FloatArray, mass: FloatArray) -> FloatArray:
        if self.n_categories > 2:
            return super().information(eta, log_p, mass)
        # two categories: a variance at each node, and three moments of it
        weight = mass * np.exp(log_p[:, 0] + log_p[:, 1])
        first, second = self.features[1]
        moments = weight @ np.stack([first * first, first * second, first * second, second * second], axis=1)
        return np.asarray(moments.reshape(-1, 2, 2))

    def observed_information(
        self, eta: FloatArray, log_p: FloatArray, counts: FloatArray, mass: FloatArray
    ) -> FloatArray:
        # observed and expected information are the same thing in an exponential family
        return self.information(eta, log_p, mass)


class Graded(Family):
    r"""Samejima's graded model: parameters (a, d_1 > d_2 > ... > d_{K-1}).

    With :math:`x_k = a\theta + d_k` and :math:`\delta_k = d_k - d_{k+1}`,

    .. math:: \log P_k = \log\sigma(x_k) + \log\sigma(-x_{k+1}) + \log(1 - e^{-\delta_k}),

    a form without a difference of nearly equal numbers, and concave.
    """

    @property
    def n_parameters(self) -> int:
        return self.n_categories

    def feasible(self, eta: FloatArray) -> bool:
        return bool(np.all(np.diff(eta[:, 1:], axis=1) < 0.0))

    def _linear(self, eta: FloatArray) -> FloatArray:
        return np.asarray(eta[:, :1, None] * self.theta + eta[:, 1:, None])

    def log_probabilities(self, eta: FloatArray) -> FloatArray:
        linear = self._linear(eta)
        log_p = np.zeros((eta.shape[0], self.n_categories, self.theta.size))
        log_p[:, 1:] = log_expit(linear)
        log_p[:, :-1] += log_expit(-linear)
        if self.n_categories > 2:
            with np.errstate(invalid="ignore", divide="ignore"):
                gap = np.log(-np.expm1(np.diff(eta[:, 1:], axis=1)))
            log_p[:, 1:-1] += gap[:, :, None]
        return log_p

    def _boundaries(self, eta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """sigma(x_k) at the nodes (n, K-1, Q), and 1 / (exp(delta_k) - 1), (n, K-2)."""
        # beyond 700 the exponential overflows, and its inverse is nothing anyway
        gap = np.minimum(-np.diff(eta[:, 1:], axis=1), 700.0)
        return expit(self._linear(eta)), 1.0 / np.expm1(gap)

    def scores(self, eta: FloatArray, log_p: FloatArray) -> FloatArray:
        upper, gap = self._boundaries(eta)
        n, K, Q = log_p.shape
        scores = np.zeros((n, K, K, Q))
        for k in range(K):
            if k >= 1:
                scores[:, k, k] += 1.0 - upper[:, k - 1]
            if k <= K - 2:
                scores[:, k, k + 1] -= upper[:, k]
            scores[:, k, 0] = self.theta * (
                scores[:, k, k] * (k >= 1) + (scores[:, k, k + 1] if k <= K - 2 else 0.0)
            )
            if 1 <= k <= K - 2:
                scores[:, k, k] += gap[:, k - 1, None]
                scores[:, k, k + 1] -= gap[:, k - 1, None]
        return scores

    def curvatures(self, eta: FloatArray, log_p: FloatArray) -> FloatArray:
        upper, gap = self._boundaries(eta)
        spread = upper * (1.0 - upper)
        bend = gap * (1.0 + gap)
        n, K, Q = log_p.shape
        out = np.zeros((n, K, K, K, Q))
        for k in range(K):
            for m in (k, k + 1):
                if 1 <= m <= K - 1:
                    out[:, k, m, m] -= spread[:, m - 1]
                    out[:, k, 0, m] -= self.theta * spread[:, m - 1]
                    out[:, k, m, 0] -= self.theta * spread[:, m - 1]
                    out[:, k, 0, 0] -= self.theta**2 * spread[:, m - 1]
            if 1 <= k <= K - 2:
                out[:, k, k, k] -= bend[:, k - 1, None]
                out[:, k, k + 1, k + 1] -= bend[:, k - 1, None]
                out[:, k, k, k + 1] += bend[:, k - 1, None]
                out[:, k, k + 1, k] += bend[:, k - 1, None]
        return out


@dataclass(frozen=True)
class _Curve:
    """The pieces of a curve with asymptotes at the nodes, each (n, Q)."""

    s: FloatArray
    c: FloatArray
    u: FloatArray
    right: FloatArray
    wrong: FloatArray


class Asymptotes(Family):
    """3PL and 4PL: parameters (a, d, logit c) and, with `upper`, logit u."""

    def __init__(self, theta: FloatArray, *, upper: bool) -> None:
        super().__init__(2, theta)
        self.upper = upper

    @property
    def n_parameters(self) -> int:
        return 4 if self.upper else 3

    def _curve(self, eta: FloatArray) -> _Curve:
        x = eta[:, :1] * self.theta + eta[:, 1:2]
        s, t = expit(x), expit(-x)
        c = expit(eta[:, 2:3])
        u = expit(eta[:, 3:4]) if self.upper else np.ones_like(c)
        below_one = expit(-eta[:, 3:4]) if self.upper else np.zeros_like(c)
        # u - c and 1 - P without cancellation where both are near one
        return _Curve(s=s, c=c, u=u, right=c * t + u * s, wrong=expit(-eta[:, 2:3]) * t + below_one * s)

    def feasible(self, eta: FloatArray) -> bool:
        return not self.upper or bool(np.all(eta[:, 3] > eta[:, 2]))

    def log_probabilities(self, eta: FloatArray) -> FloatArray:
        curve = self._curve(eta)
        tiny = np.finfo(np.float64).tiny
        return np.log(np.maximum(np.stack([curve.wrong, curve.right], axis=1), tiny))

    def _first(self, curve: _Curve) -> FloatArray:
        """Derivatives of P with respect to (x, logit c, logit u), (n, 2 or 3, Q)."""
        s, c, u = curve.s, curve.c, curve.u
        parts = [(u - c) * s * (1.0 - s), c * (1.0 - c) * (1.0 - s)]
        if self.upper:
            parts.append(u * (1.0 - u) * s)
        return np.stack(parts, axis=1)

    def scores(self, eta: FloatArray, log_p: FloatArray) -> FloatArray:
        curve = self._curve(eta)
        first = self._first(curve)
        slopes = np.concatenate([first[:, :1] * self.theta, first], axis=1)
        tiny = np.finfo(np.float64).tiny
        wrong, right = np.maximum(curve.wrong, tiny), np.maximum(curve.right, tiny)
        return np.stack([-slopes / wrong[:, None], slopes / right[:, None]], axis=1)

    def curvatures(self, eta: FloatArray, log_p: FloatArray) -> FloatArray:
        curve = self._curve(eta)
        s, c, u = curve.s, curve.c, curve.u
        n, Q = s.shape
        p = self.n_parameters
        second = np.zeros((n, p, p, Q))
        xx = (u - c) * s * (1.0 - s) * (1.0 - 2.0 * s)
        xc = -c * (1.0 - c) * s * (1.0 - s)
        theta = self.theta
        second[:, 0, 0], second[:, 1, 1] = theta**2 * xx, xx
        second[:, 0, 1] = second[:, 1, 0] = theta * xx
        second[:, 0, 2] = second[:, 2, 0] = theta * xc
        second[:, 1, 2] = second[:, 2, 1] = xc
        second[:, 2, 2] = c * (1.0 - c) * (1.0 - 2.0 * c) * (1.0 - s)
        if self.upper:
            xu = u * (1.0 - u) * s * (1.0 - s)
            second[:, 0, 3] = second[:, 3, 0] = theta * xu
            second[:, 1, 3] = second[:, 3, 1] = xu
            second[:, 3, 3] = u * (1.0 - u) * (1.0 - 2.0 * u) * s
        scores = self.scores(eta, log_p)
        tiny = np.finfo(np.float64).tiny
        wrong, right = np.maximum(curve.wrong, tiny), np.maximum(curve.right, tiny)
        out = -scores[:, :, :, None] * scores[:, :, None]
        out[:, 0] -= second / wrong[:, None, None]
        out[:, 1] += second / right[:, None, None]
        return out
