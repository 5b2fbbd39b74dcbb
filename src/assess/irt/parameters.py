"""The parameters of a set of items, and a published set of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from assess.errors import InvalidParameters
from assess.scale import Scale

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

DICHOTOMOUS = ("Rasch", "1PL", "2PL", "3PL", "4PL")
CUMULATIVE = ("GRM",)
ADJACENT = ("PCM", "GPCM", "RSM")
MODELS = (*DICHOTOMOUS, *CUMULATIVE, *ADJACENT, "NRM")


class Group(NamedTuple):
    """Items of one family with one number of categories, dense and unpadded."""

    rows: IntArray
    n_categories: int


@dataclass(frozen=True, eq=False)
class ItemParameters:
    r"""Parameters of a set of items, one model family per item.

    Parameters
    ----------
    item_ids : sequence of str (J,)
        Unique labels.
    models : sequence of str (J,) or str
        One of Rasch, 1PL, 2PL, 3PL, 4PL, GRM, PCM, GPCM, RSM, NRM; one word
        serves all items.
    slopes : array (J,)
        The slope a, not zero; nan for an NRM item.
    steps : array (J, K - 1)
        b (one column for dichotomous items), or b_1, b_2, ...; short rows are
        padded on the right with nan, NRM rows are nan. RSM: b + tau_k.
    lower, upper : array (J,), optional
        Asymptotes c and d, 0 <= c < d <= 1; 0 and 1 unless given.
    category_slopes, category_intercepts : array (J, K), optional
        NRM rows only, one value per category, kept with sum zero.

    Raises
    ------
    InvalidParameters
        Naming the first item that no model can have.

    Examples
    --------
    >>> ItemParameters(["i1", "i2"], "2PL", [1.0, 1.5], [[0.0], [0.4]])
    <ItemParameters: 2 items (2PL), 2 categories>
    """

    item_ids: tuple[str, ...]
    models: tuple[str, ...]
    slopes: FloatArray
    steps: FloatArray
    lower: FloatArray
    upper: FloatArray
    category_slopes: FloatArray
    category_intercepts: FloatArray
    n_categories: IntArray = field(repr=False)

    def __init__(
        self,
        item_ids: Iterable[str],
        models: str | Iterable[str],
        slopes: ArrayLike,
        steps: ArrayLike,
        lower: ArrayLike | None = None,
        upper: ArrayLike | None = None,
        category_slopes: ArrayLike | None = None,
        category_intercepts: ArrayLike | None = None,
    ) -> None:
        ids = tuple(item_ids)
        n_items = len(ids)
        words = (models,) * n_items if isinstance(models, str) else tuple(models)
        b = np.array(steps, dtype=float)
        if b.ndim != 2 or b.shape[0] != n_items or len(words) != n_items:
            raise InvalidParameters(
                f"{n_items} items need {n_items} models and steps of shape ({n_items}, K - 1); "
                f"got {len(words)} models and steps of shape {b.shape}"
            )
        alpha = _category_matrix(category_slopes, n_items, "category_slopes")
        gamma = _category_matrix(category_intercepts, n_items, "category_intercepts")
        if alpha.shape != gamma.shape:
            raise InvalidParameters("category_slopes and category_intercepts must have one shape")
        counts = np.where(
            np.array([word == "NRM" for word in words], dtype=bool),
            np.sum(~np.isnan(alpha), axis=1),
            1 + np.sum(~np.isnan(b), axis=1),
        ).astype(np.int64)
        values = {
            "item_ids": ids,
            "models": words,
            "slopes": _vector(slopes, n_items, "slopes"),
            "steps": b,
            "lower": np.zeros(n_items) if lower is None else _vector(lower, n_items, "lower"),
            "upper": np.ones(n_items) if upper is None else _vector(upper, n_items, "upper"),
            "category_slopes": _centred(alpha),
            "category_intercepts": _centred(gamma),
            "n_categories": counts,
        }
        for name, value in values.items():
            if isinstance(value, np.ndarray):
                value.setflags(write=False)
            object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        seen: set[str] = set()
        for j, (item, model) in enumerate(zip(self.item_ids, self.models, strict=True)):
            if not item or type(item) is not str:
                raise InvalidParameters(f"item {j}: its id is {item!r}; an id is a non-empty text")
            if item in seen:
                raise InvalidParameters(f"item {item!r} occurs twice; item ids must be unique")
            seen.add(item)
            fault = self._fault(j, model)
            if fault:
                raise InvalidParameters(f"item {item!r} ({model}): {fault}")

    def _fault(self, j: int, model: str) -> str:
        """What no model can have in item `j`; empty when all is well."""
        if model not in MODELS:
            return f"unknown model; say one of {', '.join(MODELS)}"
        n_categories = int(self.n_categories[j])
        if n_categories < 2:
            return "needs at least one step (two categories)"
        if model == "NRM":
            pair = np.stack([self.category_slopes[j], self.category_intercepts[j]])
            if not np.isfinite(pair[:, :n_categories]).all() or not np.isnan(pair[:, n_categories:]).all():
                return "every category needs a finite slope and a finite intercept, without gaps"
            return ""
        a, b = float(self.slopes[j]), self.steps[j]
        c, d = float(self.lower[j]), float(self.upper[j])
        if not np.isfinite(a) or a == 0.0:
            return f"the slope is {a}; it must be a finite number other than zero"
        if not np.isfinite(b[: n_categories - 1]).all():
            return "the steps must be finite numbers without gaps"
        if not 0.0 <= c < d <= 1.0:
            return f"asymptotes are c = {c}, d = {d}; they must satisfy 0 <= c < d <= 1"
        if model in DICHOTOMOUS and n_categories != 2:
            return f"has {n_categories - 1} steps; a dichotomous item has one"
        if (c > 0.0 and model not in ("3PL", "4PL")) or (d < 1.0 and model != "4PL"):
            return f"cannot have asymptotes c = {c}, d = {d}; 3PL has c, 4PL has c and d"
        if model in CUMULATIVE and not np.all(np.diff(a * b[: n_categories - 1]) > 0.0):
            return f"steps {b[: n_categories - 1].tolist()} must rise strictly (fall under a negative slope)"
        return ""

    # --- shape -------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.item_ids)

    def __repr__(self) -> str:
        if not len(self):
            return "<ItemParameters: no items>"
        low, high = int(self.n_categories.min()), int(self.n_categories.max())
        span = f"{low}" if low == high else f"{low} to {high}"
        words = "+".join(dict.fromkeys(self.models))
        return f"<ItemParameters: {len(self)} items ({words}), {span} categories>"

    @property
    def max_categories(self) -> int:
        """The largest number of categories, K."""
        return int(self.n_categories.max(initial=2))

    @cached_property
    def position(self) -> Mapping[str, int]:
        """Item id to its row."""
        return {item: j for j, item in enumerate(self.item_ids)}

    @cached_property
    def is_monotone(self) -> NDArray[np.bool_]:
        """(J,) whether a higher category always speaks for a higher theta."""
        nominal = np.array([model == "NRM" for model in self.models], dtype=bool)
        steps = np.diff(self.category_slopes, axis=1)
        rising = np.all((steps > 0.0) | np.isnan(steps), axis=1)
        return np.asarray(np.where(nominal, rising, self.slopes > 0.0), dtype=bool)

    @cached_property
    def linear_weights(self) -> FloatArray | None:
        r"""(J, K) scores :math:`w_{jk}` of an exponential family, or None.

        Where every item is of a divide-by-total family (or 1PL, 2PL), a
        complete response vector speaks of theta only through
        :math:`s = \sum_j w_{j x_j}`. Padded categories are zero.
        """
        weights = np.zeros((len(self), self.max_categories))
        for j, model in enumerate(self.models):
            k = np.arange(self.n_categories[j])
            if model == "NRM":
                weights[j, k] = self.category_slopes[j, k] - self.category_slopes[j, 0]
            elif self.lower[j] == 0.0 and self.upper[j] == 1.0 and (model not in CUMULATIVE or len(k) == 2):
                weights[j, k] = self.slopes[j] * k
            else:
                return None
        return weights

    @cached_property
    def groups(self) -> Mapping[tuple[str, int], Group]:
        """(family, number of categories) to the items that have them."""
        keys = [(self._family(j), int(self.n_categories[j])) for j in range(len(self))]
        return {
            key: Group(np.array([j for j, other in enumerate(keys) if other == key], dtype=np.int64), key[1])
            for key in dict.fromkeys(keys)
        }

    def _family(self, j: int) -> str:
        if self.lower[j] > 0.0 or self.upper[j] < 1.0:
            return "asymptotes"
        return "cumulative" if self.models[j] in DICHOTOMOUS + CUMULATIVE else "divide-by-total"

    # --- taking apart and putting together ----------------------------------

    def take(self, item_ids: Iterable[str]) -> ItemParameters:
        """The parameters of these items, in this order.

        Examples
        --------
        >>> items = ItemParameters(["i1", "i2"], "2PL", [1.0, 1.5], [[0.0], [0.4]])
        >>> items.take(["i2"]).slopes.tolist()
        [1.5]
        """
        wanted = list(item_ids)
        unknown = [item for item in wanted if item not in self.position]
        if unknown:
            raise InvalidParameters(f"no parameters for item {unknown[0]!r}; known: {_some(self.item_ids)}")
        rows = np.array([self.position[item] for item in wanted], dtype=np.int64)
        return ItemParameters(
            wanted,
            [self.models[j] for j in rows],
            self.slopes[rows],
            self.steps[rows],
            self.lower[rows],
            self.upper[rows],
            self.category_slopes[rows],
            self.category_intercepts[rows],
        )

    @classmethod
    def concat(cls, parts: Sequence[ItemParameters]) -> ItemParameters:
        """Several sets, one after the other; an id may occur once."""
        n_steps = max((part.steps.shape[1] for part in parts), default=1)
        n_nominal = max((part.category_slopes.shape[1] for part in parts), default=0)

        def stacked(arrays: Iterable[FloatArray], width: int) -> FloatArray:
            padded = [np.pad(x, ((0, 0), (0, width - x.shape[1])), constant_values=np.nan) for x in arrays]
            return np.concatenate([np.empty((0, width)), *padded])

        return cls(
            [item for part in parts for item in part.item_ids],
            [model for part in parts for model in part.models],
            np.concatenate([np.empty(0), *(part.slopes for part in parts)]),
            stacked((part.steps for part in parts), n_steps),
            np.concatenate([np.empty(0), *(part.lower for part in parts)]),
            np.concatenate([np.empty(0), *(part.upper for part in parts)]),
            stacked((part.category_slopes for part in parts), n_nominal),
            stacked((part.category_intercepts for part in parts), n_nominal),
        )

    # --- as tables (assess.irt.parameter_tables says how) --------------------

    def to_records(self) -> list[dict[str, str | int | float]]:
        """One flat mapping per item, ready for JSON; the columns of `to_frame`."""
        from assess.irt import parameter_tables

        return parameter_tables.to_records(self)

    @classmethod
    def from_records(cls, records: Iterable[Mapping[str, Any]]) -> ItemParameters:
        """The inverse of `to_records`."""
        from assess.irt import parameter_tables

        return parameter_tables.from_records(records)

    def to_frame(self) -> pd.DataFrame:
        """Index item; columns model, n_categories, a, b or b1.., c, d, tau1.., a1.., c1.. ."""
        from assess.irt import parameter_tables

        return parameter_tables.to_frame(self)

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> ItemParameters:
        """The inverse of `to_frame`; columns that start with ``se_`` are left aside."""
        from assess.irt import parameter_tables

        return parameter_tables.from_frame(frame)

    def to_mirt(self) -> pd.DataFrame:
        """Slope-intercept form as R's mirt prints it: itemtype, a1, d or d0.., g, u, ak0.. ."""
        from assess.irt import parameter_tables

        return parameter_tables.to_mirt(self)

    @classmethod
    def from_mirt(cls, frame: pd.DataFrame) -> ItemParameters:
        """The inverse of `to_mirt`; also takes ``coef(fit, simplify=TRUE)$items``."""
        from assess.irt import parameter_tables

        return parameter_tables.from_mirt(frame)


@dataclass(frozen=True, slots=True)
class ParameterSet:
    """Parameters that were reviewed, put on a course's scale and published.

    Parameters
    ----------
    id : str
        Versioned id, for example ``"twt-3-2026.v1"``.
    course : str
        The course whose scale it is.
    scale : Scale
        What theta means.
    parameters : ItemParameters
        On that scale.
    status : str
        "provisional" (judged by experts) or "calibrated".
    provenance : mapping
        Where it comes from: data hash, options, versions, who and why.
    """

    id: str
    course: str
    scale: Scale
    parameters: ItemParameters
    status: str
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.id:
            raise InvalidParameters("a parameter set needs a versioned id such as 'twt-3-2026.v1'")
        if self.status not in ("provisional", "calibrated"):
            raise InvalidParameters(
                f"parameter set {self.id!r}: status is {self.status!r}; say provisional or calibrated"
            )

    @property
    def scale_id(self) -> str:
        """The id of the scale."""
        return self.scale.id


def _vector(values: ArrayLike, n_items: int, name: str) -> FloatArray:
    vector = np.array(values, dtype=float)
    if vector.shape != (n_items,):
        raise InvalidParameters(f"{name} has shape {vector.shape}; {n_items} items need ({n_items},)")
    return vector


def _category_matrix(values: ArrayLike | None, n_items: int, name: str) -> FloatArray:
    if values is None:
        return np.full((n_items, 0), np.nan)
    matrix = np.array(values, dtype=float)
    if matrix.ndim != 2 or matrix.shape[0] != n_items:
        raise InvalidParameters(f"{name} has shape {matrix.shape}; {n_items} items need ({n_items}, K)")
    return matrix


def _centred(matrix: FloatArray) -> FloatArray:
    """Rows with sum zero; rows that have it already keep their digits."""
    known = np.isfinite(matrix)
    mean = np.where(known, matrix, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return matrix - np.where(np.abs(mean) > 1e-12, mean, 0.0)[:, None]


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"


def same_units(answering: ItemParameters, scored_by: ItemParameters) -> ItemParameters:
    """The parameters that simulated learners answer by, refused where they are those of other units.

    Raises
    ------
    InvalidParameters
        Item ids or numbers of categories differ.

    Examples
    --------
    >>> items = ItemParameters(["i1"], "2PL", [1.0], [[0.0]])
    >>> same_units(items, items) is items
    True
    """
    if answering.item_ids != scored_by.item_ids or (answering.n_categories != scored_by.n_categories).any():
        raise InvalidParameters(
            "learners answer by other units than they are scored by; "
            "give the same units, in the same order and with the same categories"
        )
    return answering
