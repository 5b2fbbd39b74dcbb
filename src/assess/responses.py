"""Who answered what: categories of persons by items, with labels and three kinds of missing.

Persons on rows, items on columns, categories from 0. A category that is not
there is one of three things, and they are never mixed: the item was not
administered, it was shown and left blank, or time ran out before it.
Everything is checked once, here, and trusted afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from assess.errors import DataWarning, InvalidResponses

if TYPE_CHECKING:
    import pandas as pd

NOT_ADMINISTERED = -1
OMITTED = -2
NOT_REACHED = -3

_MAX_CATEGORY = 126


@dataclass(frozen=True, eq=False)
class ResponseMatrix:
    """Scored categories of N persons on J items.

    Parameters
    ----------
    categories : array (N, J) of int8
        0, 1, ... or NOT_ADMINISTERED (-1), OMITTED (-2), NOT_REACHED (-3).
    person_ids : array (N,)
        Unique labels of the rows.
    item_ids : tuple of str (J,)
        Unique labels of the columns.
    n_categories : array (J,)
        How many categories each item has, observed or not.

    Raises
    ------
    InvalidResponses
        Naming the person, item or category that cannot be what was meant.

    Examples
    --------
    >>> ResponseMatrix([[0, 1], [1, -2], [1, 0]], ["p1", "p2", "p3"], ["i1", "i2"])
    <ResponseMatrix: 3 persons x 2 items, 16.7 % missing>
    """

    categories: NDArray[np.int8]
    person_ids: NDArray[Any]
    item_ids: tuple[str, ...]
    n_categories: NDArray[np.int64]

    def __init__(
        self,
        categories: ArrayLike,
        person_ids: ArrayLike | None = None,
        item_ids: Sequence[str] | None = None,
        n_categories: ArrayLike | Mapping[str, int] | None = None,
    ) -> None:
        values = np.asarray(categories)
        if values.ndim != 2:
            raise InvalidResponses(f"responses have shape {values.shape}; give persons x items")
        n_persons, n_items = values.shape
        items = tuple(f"item{j + 1}" for j in range(n_items)) if item_ids is None else tuple(item_ids)
        persons = np.arange(n_persons) if person_ids is None else np.asarray(person_ids)
        _check_labels(persons, items, n_persons, n_items)
        checked = _as_categories(values, items)
        counts = _counts(checked, items, n_categories)
        for name, value in (
            ("categories", checked),
            ("person_ids", persons),
            ("item_ids", items),
            ("n_categories", counts),
        ):
            object.__setattr__(self, name, value)

    # --- from and to tables --------------------------------------------------

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        known_items: Iterable[str] | None = None,
        n_categories: ArrayLike | Mapping[str, int] | None = None,
        missing_codes: bool = False,
        allow_wide: bool = False,
    ) -> ResponseMatrix:
        """Persons on rows, items on columns, an empty cell = not administered.

        Parameters
        ----------
        frame : DataFrame (N, J)
            Numbers (or booleans); the index labels the persons.
        known_items : iterable of str, optional
            The items of the bank; any other column is refused.
        n_categories : array (J,) or mapping, optional
            How many categories each item has; else the highest seen plus one.
        missing_codes : bool
            Take -1, -2, -3 as not administered, omitted, not reached. Otherwise
            a negative number is refused: it is too often a code of another program.
        allow_wide : bool
            Accept more items than persons although nothing says what an item is.

        Examples
        --------
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"i1": [0, 1, 1], "i2": [1.0, None, 0.0]})
        >>> ResponseMatrix.from_frame(frame).categories.tolist()
        [[0, 1], [1, -1], [1, 0]]
        """
        columns = [str(column) for column in frame.columns]
        _check_orientation(frame.shape, columns, [*map(str, frame.index[:50])], known_items, allow_wide)
        values = _numbers(frame, columns)
        if not missing_codes:
            _refuse_negative(values, columns, frame.index.to_numpy())
        return cls(values, frame.index.to_numpy(), columns, n_categories)

    @classmethod
    def from_long(
        cls,
        frame: pd.DataFrame,
        *,
        known_items: Iterable[str] | None = None,
        n_categories: ArrayLike | Mapping[str, int] | None = None,
        missing_codes: bool = False,
        allow_wide: bool = False,
    ) -> ResponseMatrix:
        """One response per row, columns ``id``, ``item``, ``resp``; others are left aside.

        Examples
        --------
        >>> import pandas as pd
        >>> long = pd.DataFrame({"id": [7, 7, 8], "item": ["i1", "i2", "i2"], "resp": [1, 0, 1]})
        >>> ResponseMatrix.from_long(long).categories.tolist()
        [[1, 0], [-1, 1]]
        """
        import pandas as pd

        absent = [name for name in ("id", "item", "resp") if name not in frame.columns]
        if absent:
            raise InvalidResponses(
                f"a long table needs the columns id, item, resp; {absent[0]!r} is not there"
            )
        if not len(frame):
            raise InvalidResponses("the table has no rows; give one row per response")
        rows, persons = pd.factorize(frame["id"])
        positions, items = pd.factorize(frame["item"].astype(str))
        if (rows < 0).any() or frame["item"].isna().any():
            at = int(np.flatnonzero((rows < 0) | frame["item"].isna().to_numpy())[0])
            raise InvalidResponses(f"row {at}: id or item is empty; every response names both")
        cell = rows.astype(np.int64) * len(items) + positions
        first_seen, counts = np.unique(cell, return_counts=True)
        if (counts > 1).any():
            twice = int(first_seen[counts > 1][0])
            raise InvalidResponses(
                f"person {persons[twice // len(items)]!r} answers item {items[twice % len(items)]!r} "
                "more than once; keep one row per person and item"
            )
        columns = [str(item) for item in items]
        _check_orientation(
            (len(persons), len(items)), columns, [str(p) for p in persons[:50]], known_items, allow_wide
        )
        values = _numbers(frame[["resp"]], ["resp"])[:, 0]
        wide = np.full((len(persons), len(items)), float(NOT_ADMINISTERED))
        wide[rows, positions] = np.where(np.isnan(values), NOT_ADMINISTERED, values)
        if not missing_codes:
            _refuse_negative(values[:, None], ["resp"], np.arange(len(values)))
        return cls(wide, np.asarray(persons), columns, n_categories)

    def to_frame(self, *, missing_codes: bool = False) -> pd.DataFrame:
        """As a wide table; missing cells are empty, or keep their three codes."""
        import pandas as pd

        index, columns = pd.Index(self.person_ids, name="person"), list(self.item_ids)
        if missing_codes:
            return pd.DataFrame(self.categories, index=index, columns=columns)
        values = self.categories.astype(float)
        values[self.categories < 0] = np.nan
        return pd.DataFrame(values, index=index, columns=columns)

    # --- shape and taking apart ----------------------------------------------

    @property
    def n_persons(self) -> int:
        """Rows."""
        return int(self.categories.shape[0])

    @property
    def n_items(self) -> int:
        """Columns."""
        return int(self.categories.shape[1])

    def __repr__(self) -> str:
        share = float(np.mean(self.categories < 0)) if self.categories.size else 0.0
        shape = f"{self.n_persons:,} persons x {self.n_items} items"
        return f"<ResponseMatrix: {shape}, {100 * share:.1f} % missing>"

    def take_persons(self, rows: slice | ArrayLike) -> ResponseMatrix:
        """Some persons, by row numbers, a slice or a boolean mask; items keep their categories."""
        chosen = rows if isinstance(rows, slice) else np.asarray(rows)
        return ResponseMatrix(
            self.categories[chosen], self.person_ids[chosen], self.item_ids, self.n_categories
        )

    def take_items(self, item_ids: Iterable[str]) -> ResponseMatrix:
        """Some items, in this order."""
        wanted = list(item_ids)
        position = {item: j for j, item in enumerate(self.item_ids)}
        unknown = [item for item in wanted if item not in position]
        if unknown:
            raise InvalidResponses(f"no responses to item {unknown[0]!r}; items are {_some(self.item_ids)}")
        columns = [position[item] for item in wanted]
        return ResponseMatrix(
            self.categories[:, columns], self.person_ids, wanted, self.n_categories[columns]
        )

    def empty_items(self) -> tuple[str, ...]:
        """Items that nobody answered."""
        return self._named(np.all(self.categories < 0, axis=0))

    def constant_items(self) -> tuple[str, ...]:
        """Items on which everybody who answered got the same category."""
        given = self.categories >= 0
        low = np.where(given, self.categories, 127).min(axis=0, initial=127)
        high = self.categories.max(axis=0, initial=-1)
        return self._named(given.any(axis=0) & (low == high))

    def informative_items(self, *, exclude: bool = False) -> ResponseMatrix:
        """The matrix without empty and constant items.

        Nothing can be estimated for them. They are refused by name, or with
        `exclude` set aside under a `DataWarning` that names them.
        """
        useless = {*self.empty_items(), *self.constant_items()}
        if not useless:
            return self
        named = [item for item in self.item_ids if item in useless]
        if not exclude:
            raise InvalidResponses(
                f"items without variation: {_some(named)}; nobody answered, or all got the same category. "
                "Leave them out, or ask to exclude them"
            )
        import warnings

        warnings.warn(
            f"set aside {len(named)} items without variation: {_some(named)}", DataWarning, stacklevel=2
        )
        return self.take_items([item for item in self.item_ids if item not in useless])

    def recode(
        self, omitted: int | Literal["missing"] = 0, not_reached: int | Literal["missing"] = "missing"
    ) -> NDArray[np.int8]:
        """Categories with one missing code, -1.

        Parameters
        ----------
        omitted, not_reached : int or "missing"
            The category such a response is scored as, or "missing".

        Examples
        --------
        >>> ResponseMatrix([[1, -2, -3]]).recode().tolist()
        [[1, 0, -1]]
        """
        out = self.categories.copy()
        lowest = int(out.min())
        for code, meaning in ((OMITTED, omitted), (NOT_REACHED, not_reached)):
            if meaning != "missing" and not 0 <= meaning < self.n_categories.min():
                raise InvalidResponses(f"{meaning!r} is no category of every item; say 0 or 'missing'")
            if lowest <= code:
                out[self.categories == code] = NOT_ADMINISTERED if meaning == "missing" else meaning
        return out

    def sha256(self) -> str:
        """Hash of labels, numbers of categories and every response."""
        import hashlib

        digest = hashlib.sha256()
        for part in (self.item_ids, self.n_categories.tolist(), self.person_ids.tolist()):
            digest.update(repr([str(label) for label in part]).encode())
        digest.update(np.ascontiguousarray(self.categories).tobytes())
        return digest.hexdigest()

    def _named(self, mask: NDArray[np.bool_]) -> tuple[str, ...]:
        return tuple(item for item, hit in zip(self.item_ids, mask, strict=True) if hit)


def as_matrix(
    responses: pd.DataFrame | ResponseMatrix,
    *,
    known_items: Iterable[str] | None = None,
    allow_wide: bool = False,
) -> ResponseMatrix:
    """A ResponseMatrix from what users hand in: itself, or a wide DataFrame.

    Examples
    --------
    >>> import pandas as pd
    >>> matrix = as_matrix(pd.DataFrame({"i1": [0, 1, 1], "i2": [1, 0, None]}))
    >>> as_matrix(matrix) is matrix
    True
    """
    if isinstance(responses, ResponseMatrix):
        return responses
    if not hasattr(responses, "columns"):
        raise InvalidResponses(
            f"got {type(responses).__name__}; give a DataFrame, persons x items, or a ResponseMatrix"
        )
    return ResponseMatrix.from_frame(responses, known_items=known_items, allow_wide=allow_wide)


# --- checks ----------------------------------------------------------------


def _check_labels(persons: NDArray[Any], items: Sequence[str], n_persons: int, n_items: int) -> None:
    if len(items) != n_items or persons.shape != (n_persons,):
        raise InvalidResponses(
            f"{n_persons} x {n_items} responses need {n_persons} person ids and {n_items} item ids; "
            f"got {persons.shape[0] if persons.ndim else 0} and {len(items)}"
        )
    if not n_persons or not n_items:
        raise InvalidResponses(f"responses are {n_persons} persons x {n_items} items; nothing is in them")
    for kind, labels in (("item", list(items)), ("person", persons.tolist())):
        if len(set(labels)) != len(labels):
            seen: set[Any] = set()
            for label in labels:
                if label in seen:
                    raise InvalidResponses(f"{kind} {label!r} occurs twice; {kind} ids must be unique")
                seen.add(label)


def _check_orientation(
    shape: tuple[int, int],
    columns: Sequence[str],
    index: Sequence[str],
    known_items: Iterable[str] | None,
    allow_wide: bool,
) -> None:
    if known_items is not None:
        known = set(known_items)
        foreign = [column for column in columns if column not in known]
        if foreign:
            turned = any(label in known for label in index)
            hint = "the row labels are items: transpose the matrix" if turned else "drop or rename the column"
            raise InvalidResponses(f"column {foreign[0]!r} is not an item; {hint}")
    elif shape[1] > shape[0] > 0 and not allow_wide:
        raise InvalidResponses(
            f"{shape[0]} persons x {shape[1]} items: more items than persons looks transposed; "
            "put persons on rows, name the known items, or say allow_wide=True"
        )


def _numbers(frame: pd.DataFrame, columns: Sequence[str]) -> NDArray[Any]:
    """Numbers of a table, nan where a cell is empty; text is refused by column."""
    import pandas as pd

    kinds = {dtype.kind if isinstance(dtype, np.dtype) else "?" for dtype in frame.dtypes}
    if kinds <= set("iub"):
        narrow = all(dtype == np.int8 for dtype in frame.dtypes)
        return frame.to_numpy(dtype=np.int8 if narrow else np.int64)
    if kinds <= set("iubf"):
        return frame.to_numpy(dtype=float)
    out = np.empty(frame.shape)
    for j, column in enumerate(columns):
        cells = frame.iloc[:, j].astype(object)
        is_text = cells.map(lambda cell: isinstance(cell, str))
        numbers = pd.to_numeric(cells.mask(is_text), errors="coerce")
        bad = np.flatnonzero((numbers.isna() & cells.notna()).to_numpy())
        if len(bad):
            row, cell = frame.index[bad[0]], cells.iloc[bad[0]]
            raise InvalidResponses(f"column {column!r}, row {row!r}: {cell!r} is no number; give 0, 1, ...")
        out[:, j] = numbers.to_numpy(dtype=float, na_value=np.nan)
    return out


def _refuse_negative(values: NDArray[Any], columns: Sequence[str], rows: NDArray[Any]) -> None:
    with np.errstate(invalid="ignore"):
        bad = values < 0
    if bad.any():
        i, j = (int(x[0]) for x in np.nonzero(bad))
        person = rows.tolist()[i]
        raise InvalidResponses(
            f"item {columns[j]!r}, person {person!r}: category {values[i, j]:g} is negative; leave the "
            "cell empty, or say missing_codes=True for -1 not administered, -2 omitted, -3 not reached"
        )


def _as_categories(values: NDArray[Any], items: Sequence[str]) -> NDArray[np.int8]:
    if values.dtype.kind not in "iubf":
        raise InvalidResponses(f"categories are of type {values.dtype}; give whole numbers from 0")
    if values.dtype.kind == "f":
        empty = np.isnan(values)
        filled = np.where(empty, NOT_ADMINISTERED, values)
        broken = ~np.isfinite(filled) | (filled != np.floor(filled))
        if broken.any():
            i, j = (int(x[0]) for x in np.nonzero(broken))
            raise InvalidResponses(f"item {items[j]!r}, row {i}: {values[i, j]} is not a whole number from 0")
        values = filled
    if values.dtype.kind != "b" and ((values < NOT_REACHED) | (values > _MAX_CATEGORY)).any():
        outside = (values < NOT_REACHED) | (values > _MAX_CATEGORY)
        i, j = (int(x[0]) for x in np.nonzero(outside))
        raise InvalidResponses(
            f"item {items[j]!r}, row {i}: category {values[i, j]:g} is outside 0..{_MAX_CATEGORY}; "
            "is this column an item?"
        )
    checked = np.array(values, dtype=np.int8)
    checked.setflags(write=False)
    return checked


def _counts(
    categories: NDArray[np.int8], items: Sequence[str], given: ArrayLike | Mapping[str, int] | None
) -> NDArray[np.int64]:
    highest = categories.max(axis=0, initial=-1).astype(np.int64)
    if given is None:
        return np.asarray(np.maximum(highest + 1, 2), dtype=np.int64)
    if isinstance(given, Mapping):
        absent = [item for item in items if item not in given]
        if absent:
            raise InvalidResponses(f"item {absent[0]!r}: its number of categories is not given")
        counts = np.array([given[item] for item in items], dtype=np.int64)
    else:
        counts = np.array(given, dtype=np.int64)
    if counts.shape != (len(items),) or (counts < 2).any():
        raise InvalidResponses(f"{len(items)} items need {len(items)} numbers of categories, each at least 2")
    for j in np.flatnonzero(highest >= counts).tolist():
        raise InvalidResponses(
            f"item {items[j]!r}: category {highest[j]} is outside 0..{counts[j] - 1}; "
            "code a response that was not given as missing"
        )
    return counts


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
