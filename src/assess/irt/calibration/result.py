"""What a calibration hands out: a frozen record that remembers how it was made."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from assess.errors import CalibrationError
from assess.irt.calibration.histogram import Histogram
from assess.irt.calibration.regression import Regression
from assess.irt.models import ItemParameters

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]
SCHEMA = "assess.calibration/1"


@dataclass(frozen=True, slots=True)
class Population:
    """Populations on the scale of theta, one per group; normal unless there are weights.

    Standard errors are nan for what was held fixed.

    Parameters
    ----------
    groups : tuple of str
        The first is the reference group.
    means, sds, se_means, se_sds : tuple of float
    nodes : tuple of float
        Where an estimated density has its weights; empty for normal populations.
    weights : tuple of tuple of float
        Per group, at the nodes, with sum one.

    Examples
    --------
    >>> Population(("population",), (0.0,), (1.0,), (float("nan"),), (float("nan"),)).sd
    1.0
    """

    groups: tuple[str, ...]
    means: tuple[float, ...]
    sds: tuple[float, ...]
    se_means: tuple[float, ...]
    se_sds: tuple[float, ...]
    nodes: tuple[float, ...] = ()
    weights: tuple[tuple[float, ...], ...] = ()

    def shaped(self, histogram: Histogram) -> Population:
        """The same groups with estimated densities."""
        means, sds = histogram.moments()
        unknown = (float("nan"),) * len(self.groups)
        return Population(
            self.groups,
            tuple(means.tolist()),
            tuple(sds.tolist()),
            unknown,
            unknown,
            tuple(histogram.theta.tolist()),
            tuple(tuple(own) for own in histogram.weights.tolist()),
        )

    @property
    def mean(self) -> float:
        """Mean of the (reference) group."""
        return self.means[0]

    @property
    def sd(self) -> float:
        """Standard deviation of the (reference) group."""
        return self.sds[0]

    @property
    def variance(self) -> float:
        """Variance of the (reference) group."""
        return self.sds[0] ** 2

    def of(self, group: str) -> tuple[float, float]:
        """Mean and standard deviation of one group."""
        if group not in self.groups:
            raise CalibrationError(f"no group {group!r}; groups are {list(self.groups)}")
        g = self.groups.index(group)
        return self.means[g], self.sds[g]

    def to_frame(self) -> pd.DataFrame:
        """One row per group: mean, sd, se_mean, se_sd."""
        import pandas as pd

        columns = {"mean": self.means, "sd": self.sds, "se_mean": self.se_means, "se_sd": self.se_sds}
        return pd.DataFrame(columns, index=pd.Index(self.groups, name="group"))


@dataclass(frozen=True, eq=False)
class Calibration:
    """Item parameters with their uncertainty, and how they came about.

    Parameters
    ----------
    parameters : ItemParameters
    errors : mapping
        Item id to a mapping from parameter (a, b, b1, tau1, ...) to its
        standard error; nan for fixed parameters and where none was computed.
    model : str
        One word, or several joined by "+".
    log_likelihood, log_prior : float
        Marginal log-likelihood at the estimates, without the prior; and the prior's part.
    n_parameters : int
        Free parameters, those of the population included.
    n_persons : int
        Persons with at least one response (frequency weights counted).
    converged, n_iterations, newton_decrement, gradient_norm, condition
        How the optimiser ended: estimated distance from the maximum, largest
        absolute derivative, condition number of the information matrix (nan
        where no standard errors were computed).
    population : Population
        With covariates the population over all persons.
    regression : Regression or None
        How the mean of theta depends on the covariates, where some were given.
    vcov_names, vcov_matrix
        Covariance of the reported free parameters, as ``item.parameter``.
    unbounded : tuple of str
        Items whose parameters the data do not hold.
    notes : tuple of str
        What a reader should know before using the numbers.
    provenance : mapping
        Data hash, options, priors, versions, engine.
    """

    parameters: ItemParameters
    errors: Mapping[str, Mapping[str, float]] = field(repr=False)
    model: str
    log_likelihood: float
    log_prior: float
    n_parameters: int
    n_persons: int
    converged: bool
    n_iterations: int
    newton_decrement: float
    gradient_norm: float
    condition: float
    population: Population
    vcov_names: tuple[str, ...] = field(repr=False)
    vcov_matrix: FloatArray | None = field(repr=False)
    unbounded: tuple[str, ...]
    notes: tuple[str, ...]
    collapsed: Mapping[str, tuple[int, ...]]
    provenance: Mapping[str, Any] = field(repr=False)
    regression: Regression | None = None

    @property
    def n_items(self) -> int:
        """Calibrated items, anchors included."""
        return len(self.parameters)

    @property
    def engine(self) -> str:
        """ "own" or "girth"."""
        return str(self.provenance["engine"])

    @property
    def aic(self) -> float:
        """Akaike's criterion, -2 log L + 2 p."""
        return -2.0 * self.log_likelihood + 2.0 * self.n_parameters

    @property
    def bic(self) -> float:
        """Schwarz's criterion, -2 log L + p log N."""
        return -2.0 * self.log_likelihood + self.n_parameters * float(np.log(self.n_persons))

    @property
    def vcov(self) -> pd.DataFrame:
        """Covariance of the estimates, named ``item.parameter`` and ``group.mean``, ``group.sd``."""
        import pandas as pd

        if self.vcov_matrix is None:
            raise CalibrationError(
                "no standard errors were computed; calibrate with options.standard_errors='observed'"
            )
        names = list(self.vcov_names)
        return pd.DataFrame(self.vcov_matrix, index=names, columns=names)

    def to_frame(self) -> pd.DataFrame:
        """One row per item: model, n_categories, the parameters, and se_ columns."""
        import pandas as pd

        frame = self.parameters.to_frame()
        names = [name for name in frame.columns if name not in ("model", "n_categories")]
        errors = {
            f"se_{name}": [self.errors.get(item, {}).get(name, np.nan) for item in frame.index]
            for name in names
        }
        return frame.join(pd.DataFrame(errors, index=frame.index, dtype=float))

    # --- views ----------------------------------------------------------------

    def __repr__(self) -> str:
        end = "converged in" if self.converged else "NOT converged after"
        return (
            f"<Calibration: {self.model}, {self.n_items} items, {self.n_persons:,} persons, "
            f"{end} {self.n_iterations} iterations>"
        )

    def summary(self) -> str:
        """The page: fit, population, items, and what to keep in mind."""
        lines = [
            repr(self)[1:-1],
            "",
            f"log-likelihood  {self.log_likelihood:.3f}",
            f"parameters      {self.n_parameters}",
            f"AIC             {self.aic:.3f}",
            f"BIC             {self.bic:.3f}",
            f"distance from the maximum (estimated)  {self.newton_decrement:.2g}",
            f"largest derivative                     {self.gradient_norm:.2g}",
            f"condition of the information           {self.condition:.3g}",
            "",
            "population",
            self.population.to_frame().round(4).to_string(),
            *self._regression_lines(),
            "",
            self.to_frame().round(4).to_string(),
        ]
        lines += ["", *(f"note: {note}" for note in self.notes)] if self.notes else []
        return "\n".join(lines)

    def _regression_lines(self) -> list[str]:
        if self.regression is None:
            return []
        found = self.regression
        said = f"residual sd {found.residual_sd:.4f}, {found.explained:.1%} of the variance explained"
        return ["", "regression of theta on covariates", found.to_frame().round(4).to_string(), said]

    def _repr_html_(self) -> str:
        """For notebooks."""
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        head = html.escape(repr(self)[1:-1])
        fit = f"log L = {self.log_likelihood:.3f}, AIC = {self.aic:.1f}, BIC = {self.bic:.1f}"
        return (
            f"<p><strong>{head}</strong><br>{fit}</p>{self.to_frame().round(3).to_html()}"
            f"{self.population.to_frame().round(3).to_html()}"
            + ("" if self.regression is None else self.regression.to_frame().round(3).to_html())
            + (f"<ul>{notes}</ul>" if notes else "")
        )

    # --- JSON -----------------------------------------------------------------

    def to_json(self) -> str:
        """The whole record as JSON, with a schema version; nan is null."""
        matrix = None if self.vcov_matrix is None else self.vcov_matrix.tolist()
        record = {
            "schema": SCHEMA,
            "model": self.model,
            "items": self.parameters.to_records(),
            "standard_errors": {item: dict(errors) for item, errors in self.errors.items()},
            "population": {name: list(getattr(self.population, name)) for name in Population.__slots__},
            "regression": None
            if self.regression is None
            else {name: getattr(self.regression, name) for name in Regression.__slots__},
            "vcov": {"names": list(self.vcov_names), "matrix": matrix},
            "unbounded": list(self.unbounded),
            "notes": list(self.notes),
            "collapsed": {item: list(used) for item, used in self.collapsed.items()},
            "provenance": dict(self.provenance),
            **{name: getattr(self, name) for name in (*_REALS, *_WHOLES, "converged")},
        }
        return json.dumps(_without_nan(record), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Calibration:
        """The inverse of `to_json`."""
        record = json.loads(text)
        if record.get("schema") != SCHEMA:
            raise CalibrationError(f"schema is {record.get('schema')!r}; this version reads {SCHEMA!r}")
        population = record["population"]
        matrix = record["vcov"]["matrix"]
        return cls(
            parameters=ItemParameters.from_records(record["items"]),
            errors={item: _with_nan(errors) for item, errors in record["standard_errors"].items()},
            model=record["model"],
            population=Population(
                tuple(population["groups"]),
                means=_numbers(population["means"]),
                sds=_numbers(population["sds"]),
                se_means=_numbers(population["se_means"]),
                se_sds=_numbers(population["se_sds"]),
                nodes=tuple(population.get("nodes", ())),
                weights=tuple(tuple(own) for own in population.get("weights", ())),
            ),
            regression=_regression(record.get("regression")),
            vcov_names=tuple(record["vcov"]["names"]),
            vcov_matrix=None if matrix is None else np.array(matrix, dtype=np.float64),
            unbounded=tuple(record["unbounded"]),
            notes=tuple(record["notes"]),
            collapsed={item: tuple(used) for item, used in record["collapsed"].items()},
            provenance=record["provenance"],
            log_likelihood=_number(record["log_likelihood"]),
            log_prior=_number(record["log_prior"]),
            newton_decrement=_number(record["newton_decrement"]),
            gradient_norm=_number(record["gradient_norm"]),
            condition=_number(record["condition"]),
            n_parameters=int(record["n_parameters"]),
            n_persons=int(record["n_persons"]),
            n_iterations=int(record["n_iterations"]),
            converged=bool(record["converged"]),
        )


_REALS = ("log_likelihood", "log_prior", "newton_decrement", "gradient_norm", "condition")
_WHOLES = ("n_parameters", "n_persons", "n_iterations")


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _numbers(values: Sequence[float | None]) -> tuple[float, ...]:
    return tuple(_number(x) for x in values)


def _regression(record: Mapping[str, Any] | None) -> Regression | None:
    if record is None:
        return None
    return Regression(
        tuple(record["names"]),
        tuple(_number(x) for x in record["coefficients"]),
        tuple(_number(x) for x in record["errors"]),
        *(_number(record[name]) for name in ("residual_sd", "se_residual_sd", "explained")),
    )


def _with_nan(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: _number(value) for name, value in values.items()}


def _without_nan(value: Any) -> Any:
    """NaN and infinities as null, at any depth; JSON has no word for them."""
    if isinstance(value, Mapping):
        return {str(key): _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(inner) for inner in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
