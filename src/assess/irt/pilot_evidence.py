r"""What a number of responses says about a pilot item: precision, fit, DIF, drift, dependence.

A pilot item is shown whatever the learner's theta is. So given the responses
:math:`x` to the operational items, routed or not, its category has the
distribution

.. math:: p_{ik} = \int P_k(\theta)\, f(\theta \mid x_i)\, d\theta ,

and persons are independent. Fit and drift are tested against that, which needs
neither complete data nor an estimate of theta: in groups of persons with like
posterior means,

.. math::

   X^2 = \sum_g (O_g - E_g)^\top V_g^{-1} (O_g - E_g), \qquad
   V_g = \sum_{i \in g} \bigl[\mathrm{diag}(p_i) - p_i p_i^\top\bigr],

with (K - 1) degrees of freedom per group minus the item's parameters.

References
----------
Orlando & Thissen (2000), *Applied Psychological Measurement* 24, 50-64, doi:10.1177/01466216000241003
(the degrees of freedom of such a statistic).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import chi2

from assess.errors import InvalidParameters
from assess.irt.calibration import Calibration
from assess.irt.dif import dif
from assess.irt.fit.pairs import local_dependence
from assess.irt.fit.sources import n_item_parameters
from assess.irt.models import category_probabilities, log_category_probabilities
from assess.irt.modes import tabulated
from assess.irt.parameters import FloatArray, IntArray, ItemParameters
from assess.irt.quadrature import chunks, default_nodes
from assess.irt.scoring import resolved
from assess.responses import ResponseMatrix

_LEAST = {1: 250, 2: 500, 3: 1000}
_FAMILY = {"Rasch": 1, "1PL": 1, "PCM": 1, "RSM": 1, "3PL": 3, "4PL": 3}


@dataclass(frozen=True, slots=True)
class PilotRules:
    """When a pilot item has enough responses, and what it must show then.

    Parameters
    ----------
    looks : tuple of int
        Numbers of responses at which an item is looked at, rising. What is not
        precise enough at the last one fails.
    per_category : int
        Fewest responses in each category.
    se_b, se_log_a : float
        Largest standard errors. Of an item of several steps the location, the
        mean of the steps, is meant.
    fit_level : float
        An item with a smaller p fails.
    n_groups : int
        Groups of persons for the test of fit.
    drift_z, drift_difference : float
        An item fails that changed, from the first to the second half of its
        responses, by more than both: in standard errors and in logits.
    dependence : float
        Largest excess of a Q3 above the mean Q3.
    fewest_shared : int
        Only pairs of items that so many persons share are looked at, except
        within a set.

    Examples
    --------
    >>> PilotRules().least("2PL"), PilotRules().least("Rasch"), PilotRules().least("3PL")
    (500, 250, 1000)
    """

    looks: tuple[int, ...] = (250, 500, 1000, 2000)
    per_category: int = 15
    se_b: float = 0.15
    se_log_a: float = 0.20
    fit_level: float = 0.01
    n_groups: int = 10
    drift_z: float = 2.7
    drift_difference: float = 0.3
    dependence: float = 0.2
    fewest_shared: int = 250

    def __post_init__(self) -> None:
        if not self.looks or min(self.looks) < 1 or list(self.looks) != sorted(set(self.looks)):
            raise InvalidParameters(f"looks are {self.looks}; give rising numbers of responses")

    def least(self, model: str) -> int:
        """Fewest responses for a model: 250 for one parameter, 500 for two, 1,000 for three."""
        return _LEAST[_FAMILY.get(model, 2)]


@dataclass(frozen=True)
class Estimate:
    """Parameters of one item as they are published."""

    record: dict[str, Any]
    errors: Mapping[str, float]
    correlations: Sequence[float]


class Evidence:
    """Everything that one look says about the items that are due."""

    def __init__(
        self,
        matrix: ResponseMatrix,
        calibration: Calibration,
        anchors: ItemParameters,
        rules: PilotRules,
        labels: NDArray[Any] | None,
        sets: Mapping[str, str],
    ) -> None:
        self.matrix, self.calibration, self.rules = matrix, calibration, rules
        self.labels, self.sets = labels, sets
        self.codes = matrix.recode()
        self.frame = calibration.to_frame()
        operational = self.codes[:, : len(anchors)]
        _, population = resolved(calibration, None)
        self.nodes = default_nodes(anchors, population)
        table = log_category_probabilities(anchors, self.nodes)
        self.weights = np.empty((len(operational), len(self.nodes)))
        for part in chunks(len(operational)):
            log_weights = tabulated(operational[part], table) + population.log_density(self.nodes)
            own = np.exp(log_weights - log_weights.max(axis=1, keepdims=True))
            self.weights[part] = own / own.sum(axis=1, keepdims=True)
        self.theta = self.weights @ self.nodes
        q3 = local_dependence(calibration, matrix)
        values = q3.to_numpy()
        self.q3, self.mean_q3 = q3, float(np.nanmean(values[np.triu_indices(len(values), 1)]))
        shown = (self.codes >= 0).astype(np.float64)
        self.shared = pd.DataFrame(shown.T @ shown, index=q3.index, columns=q3.columns)

    def _column(self, item: str) -> NDArray[np.int8]:
        return self.codes[:, self.matrix.item_ids.index(item)]

    def precision(self, item: str) -> dict[str, Any]:
        """Location and slope with their standard errors, and the rarest category."""
        row = self.frame.loc[item]
        errors = self.calibration.errors.get(item, {})
        steps = [name for name in errors if name[0] == "b" and np.isfinite(errors[name])]
        names = list(self.calibration.vcov_names)
        place = [names.index(f"{item}.{name}") for name in steps if f"{item}.{name}" in names]
        matrix = self.calibration.vcov_matrix
        variance = np.nan if matrix is None or not place else float(matrix[np.ix_(place, place)].mean())
        slope = float(self.frame["a"][item]) if "a" in self.frame.columns else np.nan
        column = self._column(item)
        n_categories = int(self.matrix.n_categories[self.matrix.item_ids.index(item)])
        return {
            "b": float(np.nanmean([row[name] for name in steps])) if steps else np.nan,
            "se_b": variance**0.5,
            "a": slope,
            "se_log_a": errors.get("a", np.nan) / slope,
            "least_category": int(np.bincount(column[column >= 0], minlength=n_categories).min()),
        }

    def too_vague(self, row: Mapping[str, Any]) -> list[str]:
        """Why more responses are needed."""
        rules, short = self.rules, []
        if not self.calibration.converged:
            short.append("the calibration did not converge")
        if row["least_category"] < rules.per_category:
            short.append(f"a category has {row['least_category']} responses, {rules.per_category} are needed")
        if not row["se_b"] <= rules.se_b:
            short.append(f"SE(b) is {row['se_b']:.3f}, above {rules.se_b:g}")
        if np.isfinite(row["se_log_a"]) and row["se_log_a"] > rules.se_log_a:
            short.append(f"SE(log a) is {row['se_log_a']:.3f}, above {rules.se_log_a:g}")
        return short

    def estimate(self, item: str) -> Estimate:
        """What is published of an item."""
        errors = {
            name: float(value)
            for name, value in self.calibration.errors.get(item, {}).items()
            if np.isfinite(value)
        }
        names, matrix = list(self.calibration.vcov_names), self.calibration.vcov_matrix
        correlations: list[float] = []
        if matrix is not None and len(errors) > 1:
            place = [names.index(f"{item}.{name}") for name in errors]
            block = matrix[np.ix_(place, place)]
            sd = np.sqrt(np.diag(block))
            correlations = (block / np.outer(sd, sd))[np.tril_indices(len(place), -1)].tolist()
        return Estimate(self.calibration.parameters.take([item]).to_records()[0], errors, correlations)

    # --- the gate ---

    def gate(self, item: str) -> dict[str, Any]:
        """Fit, DIF, drift and dependence, and in words what is wrong."""
        rules = self.rules
        column = self._column(item)
        rows = np.flatnonzero(column >= 0)
        own = self.calibration.parameters.take([item])
        chance = self.weights[rows] @ category_probabilities(own, self.nodes)[:, 0, :]
        wrong: list[str] = []
        fit_p = _fit(column[rows], chance, self.theta[rows], rules.n_groups, int(n_item_parameters(own)[0]))
        if fit_p < rules.fit_level:
            wrong.append(f"does not follow its model (p = {fit_p:.4f})")
        drift, z = self._drift(own, column[rows], chance, rows)
        if abs(z) > rules.drift_z and abs(drift) > rules.drift_difference:
            wrong.append(f"became {'harder' if drift > 0 else 'easier'} by {abs(drift):.2f} logits")
        classes, worst = self._dif(item)
        if worst:
            wrong.append(worst)
        excess, other = self._dependence(item)
        if excess > rules.dependence:
            wrong.append(f"depends on {other}: Q3 is {excess:.2f} above the mean of all pairs")
        return {
            "fit_p": fit_p,
            "dif": classes,
            "drift": drift,
            "drift_z": z,
            "q3_excess": excess,
            "wrong": wrong,
        }

    def _drift(
        self, own: ItemParameters, column: NDArray[np.int8], chance: FloatArray, rows: IntArray
    ) -> tuple[float, float]:
        """How much harder the later half found the item: in logits of its location, in standard errors."""
        k = np.arange(chance.shape[1], dtype=np.float64)
        mean = chance @ k
        variance = chance @ k**2 - mean**2
        residual = column - mean
        late = np.arange(len(rows)) >= len(rows) // 2
        difference = residual[late].mean() - residual[~late].mean()
        spread = (variance[late].sum() / late.sum() ** 2 + variance[~late].sum() / (~late).sum() ** 2) ** 0.5
        step = 1e-4
        moved = [
            category_probabilities(_shifted(own, shift), self.nodes)[:, 0, :] @ k for shift in (step, -step)
        ]
        slope = float((self.weights[rows] @ ((moved[0] - moved[1]) / (2.0 * step))).mean())
        return float(difference / slope), float(difference / spread * np.sign(slope))

    def _dif(self, item: str) -> tuple[str, str]:
        """ETS class against each other group, and a sentence if one is large."""
        if self.labels is None:
            return "no groups", ""
        column = self._column(item)
        labels = np.array(
            ["" if label is None or label != label else str(label) for label in self.labels], dtype=object
        )
        known = (column >= 0) & (labels != "")
        names, sizes = np.unique(labels[known], return_counts=True)
        order = names[np.argsort(-sizes, kind="stable")].tolist()
        if len(order) < 2:
            return "one group", ""
        said, worst = [], ""
        for focal in order[1:]:
            n = int((labels[known] == focal).sum())
            if n < 100:
                said.append(f"{focal}: {n} responses, too few")
                continue
            rows = np.flatnonzero(known & np.isin(labels, [order[0], focal]))
            part = self.matrix.take_persons(rows).take_items([item])
            method: Literal["MH", "Mantel"] = "MH" if int(part.n_categories[0]) == 2 else "Mantel"
            found = dif(
                part, labels[rows], method, reference=order[0], focal=focal, matching=self.theta[rows]
            )
            kind = str(found["ets"].iloc[0])[:1]
            said.append(f"{focal}: {kind}")
            if kind == "C":
                worst = f"large DIF for {focal} against {order[0]}"
        return "; ".join(said), worst

    def _dependence(self, item: str) -> tuple[float, str]:
        """Largest Q3 with another item above the mean Q3, and that item."""
        own = self.q3[item].drop(item) - self.mean_q3
        together = self.shared[item].drop(item)
        mates = np.array([self.sets.get(other, other) == self.sets.get(item) for other in own.index])
        own = own[(together >= self.rules.fewest_shared) | mates].dropna()
        return (float(own.max()), str(own.idxmax())) if len(own) else (np.nan, "")


def _shifted(own: ItemParameters, by: float) -> ItemParameters:
    return ItemParameters(
        own.item_ids,
        own.models,
        own.slopes,
        own.steps + by,
        own.lower,
        own.upper,
        own.category_slopes,
        own.category_intercepts - own.category_slopes * by,
    )


def _fit(
    column: NDArray[np.int8], chance: FloatArray, theta: FloatArray, n_groups: int, n_parameters: int
) -> float:
    """P value of the grouped statistic; nan where no degree of freedom is left."""
    order = np.argsort(theta, kind="stable")
    statistic, df = 0.0, -n_parameters
    for group in np.array_split(order, n_groups):
        p = chance[group][:, 1:]
        seen = (column[group, None] == np.arange(1, chance.shape[1])).sum(axis=0)
        away = seen - p.sum(axis=0)
        covariance = np.diag(p.sum(axis=0)) - p.T @ p
        known = np.diag(covariance) > 1.0 / 4.0
        if known.any():
            part = covariance[np.ix_(known, known)]
            statistic += float(away[known] @ np.linalg.solve(part, away[known]))
            df += int(known.sum())
    return float(chi2.sf(statistic, df)) if df > 0 else np.nan
