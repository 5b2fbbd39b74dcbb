r"""Where every parameter lives: natural vector, free vector, and the map between.

The natural vector eta strings together the slope-intercept parameters of all
items and, at its end, mean and log standard deviation of every group. What is
estimated is the free vector xi; restrictions are linear,

.. math:: \eta = \eta_0 + A\,\xi ,

which covers Rasch and PCM (slope 1), 1PL (one slope for all), RSM (location
plus common thresholds), anchors and a population held at N(0, 1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from assess.errors import CalibrationError
from assess.irt.calibration.families import Asymptotes, Canonical, Family, Graded
from assess.irt.calibration.regression import Design
from assess.irt.models import ItemParameters

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

UNIT_SLOPE = ("Rasch", "PCM", "RSM")
TWO_CATEGORIES = ("Rasch", "1PL", "2PL", "3PL", "4PL")
CANONICAL = ("Rasch", "1PL", "2PL", "PCM", "GPCM", "RSM", "NRM")


@dataclass(frozen=True)
class ItemSpec:
    """One item: its id, model and number of categories, and its fixed values if it is an anchor."""

    id: str
    model: str
    n_categories: int
    fixed: FloatArray | None = None

    @property
    def shape(self) -> str:
        """The family that computes it."""
        if self.model == "NRM":
            return "nominal"
        if self.model in ("3PL", "4PL"):
            return self.model
        return "partial credit" if self.model in CANONICAL or self.n_categories == 2 else "graded"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its natural parameters, in order."""
        steps = range(1, self.n_categories)
        if self.model == "NRM":
            return (*(f"slope{k}" for k in steps), *(f"intercept{k}" for k in steps))
        intercepts = ("intercept",) if self.n_categories == 2 else tuple(f"intercept{k}" for k in steps)
        tails = {"3PL": ("logit_c",), "4PL": ("logit_c", "logit_d")}
        return ("slope", *intercepts, *tails.get(self.model, ()))


@dataclass(frozen=True)
class Batch:
    """Items of one family and one number of categories.

    `rows` are item numbers, `natural` (n, p) places in eta, `columns` (n, K)
    places in the table of categories.
    """

    shape: str
    n_categories: int
    rows: IntArray
    natural: IntArray
    columns: IntArray

    @property
    def canonical(self) -> bool:
        """Whether responses enter the likelihood only through a weighted sum."""
        return self.shape == "partial credit"

    def family(self, theta: FloatArray) -> Family:
        """The family on these nodes."""
        if self.shape == "partial credit":
            return Canonical.partial_credit(self.n_categories, theta)
        if self.shape == "nominal":
            return Canonical.nominal(self.n_categories, theta)
        if self.shape == "graded":
            return Graded(self.n_categories, theta)
        return Asymptotes(theta, upper=self.shape == "4PL")


@dataclass(frozen=True)
class Layout:
    """All parameters of a calibration.

    Parameters
    ----------
    items : sequence of ItemSpec
    groups : sequence of str
        The first is the reference group.
    free_mean, free_sd : sequence of bool
        Per group.
    design : Design or None
        Makes the groups' means linear in covariates, and their standard
        deviations one; the first group's flags then speak for all.
    """

    items: tuple[ItemSpec, ...]
    groups: tuple[str, ...]
    free_mean: tuple[bool, ...]
    free_sd: tuple[bool, ...]
    design: Design | None = None
    offsets: IntArray = field(init=False, repr=False)
    column_offsets: IntArray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        sizes = [len(item.names) for item in self.items]
        columns = [item.n_categories for item in self.items]
        object.__setattr__(self, "offsets", np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))
        object.__setattr__(self, "column_offsets", np.concatenate([[0], np.cumsum(columns)]).astype(np.int64))

    @property
    def n_items(self) -> int:
        """Items, anchors included."""
        return len(self.items)

    @property
    def n_natural(self) -> int:
        """Length of eta: item parameters, then (mean, log sd) of each group."""
        return int(self.offsets[-1]) + 2 * len(self.groups)

    @property
    def n_columns(self) -> int:
        """Categories of all items together."""
        return int(self.column_offsets[-1])

    @cached_property
    def batches(self) -> tuple[Batch, ...]:
        """Items grouped so that one vectorised call serves each group."""
        members: dict[tuple[str, int], list[int]] = {}
        for j, item in enumerate(self.items):
            members.setdefault((item.shape, item.n_categories), []).append(j)
        batches = []
        for (shape, n_categories), rows in members.items():
            index = np.array(rows, dtype=np.int64)
            size = len(self.items[rows[0]].names)
            batches.append(
                Batch(
                    shape,
                    n_categories,
                    index,
                    self.offsets[index][:, None] + np.arange(size),
                    self.column_offsets[index][:, None] + np.arange(n_categories),
                )
            )
        return tuple(batches)

    @property
    def canonical(self) -> bool:
        """Whether every item lets the responses in only through a weighted sum."""
        return all(batch.canonical for batch in self.batches)

    def population(self, eta: FloatArray) -> FloatArray:
        """(G, 2): mean and log standard deviation of each group."""
        return eta[self.offsets[-1] :].reshape(-1, 2)

    @cached_property
    def free_slopes(self) -> tuple[IntArray, IntArray, IntArray]:
        """Places of the slopes that are estimated, their items, and how many each item has."""
        rows = [
            (int(self.offsets[j]) + k, j, n)
            for j, item in enumerate(self.items)
            if item.fixed is None and item.model not in UNIT_SLOPE
            for n in [item.n_categories - 1 if item.model == "NRM" else 1]
            for k in range(n)
        ]
        table = np.array(rows, dtype=np.int64).reshape(-1, 3)
        return table[:, 0], table[:, 1], table[:, 2]

    @cached_property
    def restriction(self) -> Restriction:
        """The linear map from free to natural parameters."""
        return _restriction(self)


@dataclass(frozen=True)
class Restriction:
    """eta = constant + matrix @ xi; `names` are those of the free parameters."""

    constant: FloatArray
    matrix: csr_array[np.float64, tuple[int, int]]
    names: tuple[str, ...]
    selection: IntArray | None

    @property
    def n_free(self) -> int:
        """How many parameters are estimated."""
        return len(self.names)

    def natural(self, xi: FloatArray) -> FloatArray:
        """The natural vector of a free one."""
        if self.selection is not None:
            eta = self.constant.copy()
            eta[self.selection] = xi
            return eta
        return np.asarray(self.constant + self.matrix @ xi)

    def free(self, eta: FloatArray) -> FloatArray:
        """The free vector whose natural vector is nearest to `eta`."""
        if self.selection is not None:
            return eta[self.selection].copy()
        squares = np.asarray((self.matrix.T @ self.matrix).todense())
        return np.linalg.solve(squares, np.asarray(self.matrix.T @ (eta - self.constant)))

    def pull(self, gradient: FloatArray) -> FloatArray:
        """A gradient in eta as one in xi."""
        return (
            gradient[self.selection] if self.selection is not None else np.asarray(self.matrix.T @ gradient)
        )

    def pull_matrix(self, matrix: FloatArray) -> FloatArray:
        """A second-order matrix in eta as one in xi."""
        if self.selection is not None:
            return matrix[np.ix_(self.selection, self.selection)]
        return np.asarray(self.matrix.T @ (self.matrix.T @ matrix.T).T)

    def push_matrix(self, covariance: FloatArray) -> FloatArray:
        """A covariance matrix of xi as one of eta; zero rows for what is fixed."""
        return np.asarray(self.matrix @ (self.matrix @ covariance.T).T)


def _restriction(layout: Layout) -> Restriction:
    constant = np.zeros(layout.n_natural)
    names: list[str] = []
    entries: list[tuple[int, int, float]] = []
    shared: dict[str, int] = {}

    def free(name: str) -> int:
        names.append(name)
        return len(names) - 1

    def common(name: str) -> int:
        if name not in shared:
            shared[name] = free(name)
        return shared[name]

    for item, offset in zip(layout.items, layout.offsets[:-1].tolist(), strict=True):
        if item.fixed is not None:
            constant[offset : offset + len(item.names)] = item.fixed
            continue
        places = list(enumerate(item.names, start=offset))
        if item.model in UNIT_SLOPE:
            constant[offset] = 1.0
            places = places[1:]
        elif item.model == "1PL":
            entries.append((offset, common("1PL.slope"), 1.0))
            places = places[1:]
        if item.model == "RSM":
            # d_k = k * location + T_k with T_{K-1} = 0: easiness per item, thresholds in common
            location = free(f"{item.id}.location")
            for k, (place, _) in enumerate(places, start=1):
                entries.append((place, location, float(k)))
                if k < len(places):
                    entries.append((place, common(f"RSM{item.n_categories}.threshold{k}"), 1.0))
            continue
        entries.extend((place, free(f"{item.id}.{name}"), 1.0) for place, name in places)
    entries.extend(_of_population(layout, free))

    rows = np.array([entry[0] for entry in entries], dtype=np.int64)
    columns = np.array([entry[1] for entry in entries], dtype=np.int64)
    values = np.array([entry[2] for entry in entries])
    matrix = csr_array((values, (rows, columns)), shape=(layout.n_natural, len(names)))
    plain = len(set(columns.tolist())) == len(columns) and bool(np.all(values == 1.0))
    selection = rows[np.argsort(columns)] if plain else None
    return Restriction(constant, matrix, tuple(names), selection)


def _of_population(layout: Layout, free: Callable[[str], int]) -> Iterator[tuple[int, int, float]]:
    """Entries (natural, free, value) of the restriction for the means and log sds of the groups."""
    means = (int(layout.offsets[-1]) + 2 * np.arange(len(layout.groups))).tolist()
    if layout.design is None:
        for place, group, mean, sd in zip(
            means, layout.groups, layout.free_mean, layout.free_sd, strict=True
        ):
            if mean:
                yield place, free(f"{group}.mean"), 1.0
            if sd:
                yield place + 1, free(f"{group}.log_sd"), 1.0
        return
    columns = [("population.mean", np.ones(len(means)))] if layout.free_mean[0] else []
    names = [f"regression.{name}" for name in layout.design.names]
    for name, values in [*columns, *zip(names, layout.design.values.T, strict=True)]:
        index = free(name)
        for place, value in zip(means, values.tolist(), strict=True):
            yield place, index, value
    if layout.free_sd[0]:
        index = free("residual.log_sd")
        for place in means:
            yield place + 1, index, 1.0


def check_model(item: str, model: str, n_categories: int) -> None:
    """Refuse a model that the number of categories does not allow."""
    known = (*TWO_CATEGORIES, "GRM", "PCM", "GPCM", "RSM", "NRM")
    if model not in known:
        raise CalibrationError(f"item {item!r}: unknown model {model!r}; say one of {', '.join(known)}")
    if model in TWO_CATEGORIES and n_categories > 2:
        instead = "PCM" if model in ("Rasch", "1PL") else "GRM or GPCM"
        raise CalibrationError(
            f"item {item!r} has {n_categories} categories and {model} is for two; use {instead}, "
            f"for all items or for this one: model={{{item!r}: ...}}"
        )


# --- anchors in, ItemParameters out ------------------------------------------


def to_natural(parameters: ItemParameters, row: int, n_categories: int) -> FloatArray:
    """Slope-intercept values of one item of an `ItemParameters`."""
    model = parameters.models[row]
    if model == "NRM":
        slopes = parameters.category_slopes[row, :n_categories]
        intercepts = parameters.category_intercepts[row, :n_categories]
        return np.concatenate([slopes[1:] - slopes[0], intercepts[1:] - intercepts[0]])
    a = float(parameters.slopes[row])
    b = parameters.steps[row, : n_categories - 1]
    intercepts = -a * b if model == "GRM" or n_categories == 2 else -a * np.cumsum(b)
    tails = {"3PL": [parameters.lower[row]], "4PL": [parameters.lower[row], parameters.upper[row]]}
    with np.errstate(divide="ignore"):
        logits = [np.log(p) - np.log1p(-p) for p in tails.get(model, [])]
    return np.concatenate([[a], intercepts, np.clip(logits, -40.0, 40.0)])


def to_parameters(items: Sequence[ItemSpec], values: Mapping[str, FloatArray]) -> ItemParameters:
    """`ItemParameters` from slope-intercept values per item id."""
    width = max([item.n_categories - 1 for item in items if item.model != "NRM"], default=1)
    nominal = max([item.n_categories for item in items if item.model == "NRM"], default=0)
    n = len(items)
    slopes, steps = np.full(n, np.nan), np.full((n, width), np.nan)
    lower, upper = np.zeros(n), np.ones(n)
    category_slopes, category_intercepts = np.full((n, nominal), np.nan), np.full((n, nominal), np.nan)
    for j, item in enumerate(items):
        reported = report(item, values[item.id])
        K = item.n_categories
        if item.model == "NRM":
            category_slopes[j, :K], category_intercepts[j, :K] = reported[:K], reported[K:]
            continue
        slopes[j], steps[j, : K - 1] = reported[0], reported[1:K]
        if item.model in ("3PL", "4PL"):
            lower[j] = reported[2]
        if item.model == "4PL":
            upper[j] = reported[3]
    return ItemParameters(
        [item.id for item in items],
        [item.model for item in items],
        slopes,
        steps,
        lower,
        upper,
        category_slopes if nominal else None,
        category_intercepts if nominal else None,
    )


def report(item: ItemSpec, eta: FloatArray) -> FloatArray:
    """The values people read: a, b.., c, d; for the nominal model a_k and c_k with sum zero."""
    K = item.n_categories
    if item.model == "NRM":
        slopes, intercepts = np.append(0.0, eta[: K - 1]), np.append(0.0, eta[K - 1 :])
        return np.concatenate([slopes - slopes.mean(), intercepts - intercepts.mean()])
    a, d = eta[0], eta[1:K]
    b = -d / a if item.model == "GRM" or K == 2 else -np.diff(d, prepend=0.0) / a
    return np.concatenate([[a], b, 1.0 / (1.0 + np.exp(-eta[K:]))])


def report_jacobian(item: ItemSpec, eta: FloatArray) -> FloatArray:
    """Derivatives of `report` with respect to the natural parameters, for the delta method."""
    K = item.n_categories
    if item.model == "NRM":
        centre = (np.eye(K) - 1.0 / K)[:, 1:]
        return np.block([[centre, np.zeros_like(centre)], [np.zeros_like(centre), centre]])
    a = eta[0]
    jacobian = np.zeros((eta.size, eta.size))
    jacobian[0, 0] = 1.0
    b = report(item, eta)[1:K]
    jacobian[1:K, 0] = -b / a
    jacobian[range(1, K), range(1, K)] = -1.0 / a
    if not (item.model == "GRM" or K == 2):
        jacobian[range(2, K), range(1, K - 1)] = 1.0 / a
    p = 1.0 / (1.0 + np.exp(-eta[K:]))
    jacobian[range(K, eta.size), range(K, eta.size)] = p * (1.0 - p)
    return jacobian
