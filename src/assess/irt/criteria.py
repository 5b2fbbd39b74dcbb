r"""What a unit is worth to an examinee: the criteria by which adaptive tests choose.

========  ==================================================================================
MFI       information at the estimate, :math:`I_j(\hat\theta)`
MLWI      information weighted by the likelihood, :math:`\int L\, I_j`
MPWI      information weighted by the posterior, :math:`\int L\,\pi\, I_j`
KL        :math:`\int L\, K_j(\hat\theta \| \theta)`, with
          :math:`K_j = \sum_k P_{jk}(\hat\theta) \log \{P_{jk}(\hat\theta) / P_{jk}(\theta)\}`
KLP       the same with the posterior, :math:`\int L\,\pi\, K_j`
MEI       expected information, :math:`\sum_k P_{jk}(\hat\theta)\, I_j(\hat\theta_{+jk})`
MEPV      expected precision, :math:`1 / \sum_k P_{jk}(\hat\theta)\, \mathrm{Var}(\theta \mid +jk)`
cut       information at the cut, for everybody the same
========  ==================================================================================

Integrals are trapezoid sums over the nodes of the posterior. The last two but
one look one answer ahead; the answer is weighted as catR does, by its
probability at the estimate and not by the predictive one, so that sequences can
be compared unit by unit.

References
----------
Chang & Ying (1996), *Applied Psychological Measurement* 20, 213-229, doi:10.1177/014662169602000303 (KL).
van der Linden (1998), *Psychometrika* 63, 201-216, doi:10.1007/BF02294775 (MPWI, MEI, MEPV).
Veerkamp & Berger (1997), *Journal of Educational and Behavioral Statistics* 22, 203-226,
doi:10.3102/10769986022002203 (MLWI).
Eggen (1999), *Applied Psychological Measurement* 23, 249-261, doi:10.1177/01466219922031365 (at the cut).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np

from assess.errors import InvalidParameters
from assess.irt.models import category_probabilities, information, log_category_probabilities
from assess.irt.parameters import FloatArray, IntArray, ItemParameters
from assess.irt.quadrature import cubic_basis

SelectionRule = Literal["MFI", "MLWI", "MPWI", "KL", "KLP", "MEI", "MEPV", "cut"]
SELECTION_RULES: tuple[SelectionRule, ...] = get_args(SelectionRule)
_STEP = 0.05


@dataclass(frozen=True, eq=False)
class Criterion:
    """One criterion over a set of units, with its tables.

    Parameters
    ----------
    rule : str
        One of `SELECTION_RULES`.
    parameters : ItemParameters
        J units.
    nodes, log_prior : arrays (Q,)
        Equally spaced nodes of the posterior, and the log of the prior there.
    cut : float
        Where "cut" looks.

    Examples
    --------
    >>> bank = ItemParameters(["i1", "i2"], "2PL", [1.0, 1.0], [[0.0], [1.5]])
    >>> nodes = np.linspace(-6.0, 6.0, 61)
    >>> prior = -0.5 * nodes**2
    >>> at_the_cut = Criterion("cut", bank, nodes, prior, cut=1.5)
    >>> at_the_cut.worth(prior[None, :], np.array([0.0])).round(3).tolist()
    [[0.149, 0.25]]
    """

    rule: SelectionRule
    parameters: ItemParameters
    nodes: FloatArray
    log_prior: FloatArray
    cut: float = 0.0

    def __post_init__(self) -> None:
        if self.rule not in SELECTION_RULES:
            raise InvalidParameters(
                f"selection {self.rule!r} is not known; say one of {', '.join(SELECTION_RULES)}"
            )

    def worth(self, log_weights: FloatArray, theta: FloatArray) -> FloatArray:
        """What each unit is worth, never negative; more is better.

        Parameters
        ----------
        log_weights : array (N, Q)
            Log of likelihood times prior on the nodes, up to a constant per examinee.
        theta : array (N,)
            Where each examinee is taken to stand.

        Returns
        -------
        array (N, J)
            In units that differ by criterion.
        """
        match self.rule:
            case "cut":
                return np.tile(self._at_the_cut, (len(theta), 1))
            case "MFI":
                return self.information_at(theta)
            case "MLWI" | "MPWI":
                return _weighted(self._weights(log_weights), self._information)
            case "KL" | "KLP":
                return self._divergence(self._weights(log_weights), theta)
        return self._one_answer_ahead(_normalised(log_weights), theta)

    def information_at(self, theta: FloatArray) -> FloatArray:
        """Information of every unit at the theta of each examinee, (N, J)."""
        weights, first = self._cubic(theta)
        value = sum(w[:, None] * self._fine_information[first + k] for k, w in enumerate(weights))
        return np.asarray(np.maximum(value, 0.0))

    # --- inside ---------------------------------------------------------------

    def _weights(self, log_weights: FloatArray) -> FloatArray:
        """Posterior or likelihood by the trapezoid rule, largest value one, (N, Q)."""
        if self.rule in ("MLWI", "KL"):
            log_weights = log_weights - self.log_prior
        weights = np.exp(log_weights - log_weights.max(axis=1, keepdims=True))
        weights[:, [0, -1]] *= 0.5
        return np.asarray(weights)

    def _divergence(self, weights: FloatArray, theta: FloatArray) -> FloatArray:
        at = np.exp(self._read_log(theta))
        own = np.where(at > 0.0, at * np.log(np.where(at > 0.0, at, 1.0)), 0.0)
        total = np.add.reduce(weights, axis=1)[:, None, None]
        cross = _weighted(weights, self._log_flat).reshape(at.shape)
        return np.asarray(np.maximum(np.add.reduce(own * total - at * cross, axis=2), 0.0))

    def _one_answer_ahead(self, weights: FloatArray, theta: FloatArray) -> FloatArray:
        at = np.exp(self._read_log(theta))
        centre = np.add.reduce(weights * self.nodes, axis=1)[:, None]
        deviation = self.nodes - centre
        mass = np.maximum(_weighted(weights, self._flat), np.finfo(float).tiny).reshape(at.shape)
        mean = _weighted(weights * deviation, self._flat).reshape(at.shape) / mass
        if self.rule == "MEI":
            ahead = centre[:, :, None] + mean
            found = sum(
                at[:, :, k] * self._read_own(ahead[:, :, k]) for k in range(self.parameters.max_categories)
            )
            return np.asarray(found)
        square = _weighted(weights * deviation**2, self._flat).reshape(at.shape) / mass
        variance = np.maximum(square - mean**2, 0.0)
        return np.asarray(1.0 / np.maximum(np.add.reduce(at * variance, axis=2), np.finfo(float).tiny))

    # --- tables ---------------------------------------------------------------

    @cached_property
    def _at_the_cut(self) -> FloatArray:
        return np.asarray(information(self.parameters, self.cut)[0])

    @cached_property
    def _information(self) -> FloatArray:
        return information(self.parameters, self.nodes)

    @cached_property
    def _log_flat(self) -> FloatArray:
        """Log-probabilities, zero for categories a unit does not have, (Q, J K)."""
        table = log_category_probabilities(self.parameters, self.nodes)
        return np.where(np.isfinite(table), table, 0.0).reshape(len(self.nodes), -1)

    @cached_property
    def _flat(self) -> FloatArray:
        return category_probabilities(self.parameters, self.nodes).reshape(len(self.nodes), -1)

    @cached_property
    def _grid(self) -> FloatArray:
        n_cells = round((self.nodes[-1] - self.nodes[0]) / _STEP)
        return np.linspace(self.nodes[0], self.nodes[-1], n_cells + 1)

    @cached_property
    def _fine_information(self) -> FloatArray:
        return information(self.parameters, self._grid)

    @cached_property
    def _fine_log(self) -> FloatArray:
        """Log-probabilities on the fine grid, a large negative number for missing categories, (G, J, K)."""
        table = log_category_probabilities(self.parameters, self._grid)
        return np.where(np.isfinite(table), table, -1e4)

    def _cubic(self, theta: FloatArray) -> tuple[FloatArray, IntArray]:
        """Weights and first row of the cubic through four points of the grid."""
        step = self._grid[1] - self._grid[0]
        position = np.clip((theta - self._grid[0]) / step, 0.0, len(self._grid) - 1.0)
        first = np.clip(position.astype(np.int64) - 1, 0, len(self._grid) - 4)
        x = position - first
        return cubic_basis(x), first

    def _read_log(self, theta: FloatArray) -> FloatArray:
        """Log-probabilities at one theta per examinee, (N, J, K)."""
        weights, first = self._cubic(theta)
        return np.asarray(sum(w[:, None, None] * self._fine_log[first + k] for k, w in enumerate(weights)))

    def _read_own(self, theta: FloatArray) -> FloatArray:
        """Information of each unit at a theta of its own, (N, J) from (N, J)."""
        weights, first = self._cubic(theta)
        own = np.arange(theta.shape[1])
        value = sum(w * self._fine_information[first + k, own] for k, w in enumerate(weights))
        return np.asarray(np.maximum(value, 0.0))


def _normalised(log_weights: FloatArray) -> FloatArray:
    weights = np.exp(log_weights - log_weights.max(axis=1, keepdims=True))
    return np.asarray(weights / np.add.reduce(weights, axis=1)[:, None])


def _weighted(weights: FloatArray, table: FloatArray) -> FloatArray:
    """Sums over the nodes, (N, columns); for one examinee in a fixed order, without BLAS."""
    if len(weights) == 1:
        return np.asarray(np.add.reduce(weights[0][:, None] * table, axis=0))[None, :]
    return np.asarray(weights @ table)
