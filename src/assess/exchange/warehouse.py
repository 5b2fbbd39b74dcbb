"""The long format of the Item Response Warehouse: one response per row, columns id, item, resp.

What that format cannot say is said in columns that it leaves to its users:
``itemcov_n_categories`` (categories that nobody used), and ``missing`` (omitted
or not reached; a response that was not administered has no row).

References
----------
Domingue et al. (2025), *Behavior Research Methods* 57, the Item Response Warehouse.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from assess.errors import InvalidResponses
from assess.responses import NOT_ADMINISTERED, NOT_REACHED, OMITTED, ResponseMatrix

_REQUIRED = ("id", "item", "resp")
_REPEATS = ("wave", "rater")
_WORDS = {"omitted": OMITTED, "not reached": NOT_REACHED}


def to_warehouse(
    matrix: ResponseMatrix,
    *,
    times: ArrayLike | None = None,
    covariates: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Responses in long format.

    Parameters
    ----------
    matrix : ResponseMatrix
    times : array (N, J), optional
        Seconds per response, as ``rt``.
    covariates : DataFrame (N, P), optional
        Of the persons, in their order, as ``cov_<name>``.

    Examples
    --------
    >>> to_warehouse(ResponseMatrix([[1, -1], [0, -2]], ["p", "q"], ["i1", "i2"])).to_dict("list")
    {'id': ['p', 'q', 'q'], 'item': ['i1', 'i1', 'i2'], 'resp': [1.0, 0.0, nan], 'itemcov_n_categories': [2, 2, 2], 'missing': ['', '', 'omitted']}
    """  # noqa: E501
    rows, columns = np.nonzero(matrix.categories != NOT_ADMINISTERED)
    codes = matrix.categories[rows, columns]
    frame = pd.DataFrame(
        {
            "id": matrix.person_ids[rows],
            "item": np.array(matrix.item_ids, dtype=object)[columns],
            "resp": np.where(codes >= 0, codes, np.nan),
        }
    )
    if times is not None:
        seconds = np.asarray(times, dtype=np.float64)
        if seconds.shape != matrix.categories.shape:
            raise InvalidResponses(
                f"times have shape {seconds.shape}; give one per response, {matrix.categories.shape}"
            )
        frame["rt"] = seconds[rows, columns]
    if covariates is not None:
        if len(covariates) != matrix.n_persons:
            raise InvalidResponses(
                f"covariates have {len(covariates)} rows; there are {matrix.n_persons} persons"
            )
        for name in covariates.columns:
            frame[f"cov_{name}"] = covariates[name].to_numpy()[rows]
    frame["itemcov_n_categories"] = matrix.n_categories[columns]
    if (codes < 0).any():
        names = {code: word for word, code in _WORDS.items()}
        frame["missing"] = [names.get(code, "") for code in codes.tolist()]
    return frame


def from_warehouse(frame: pd.DataFrame, *, chosen: Mapping[str, object] | None = None) -> ResponseMatrix:
    """Responses from the long format; covariates, times and dates are left aside.

    Parameters
    ----------
    frame : DataFrame
        Columns id, item, resp, and any others of the format.
    chosen : mapping, optional
        Column to value, such as ``{"wave": 1}``: only these rows. Needed where
        persons answer an item more than once.

    Raises
    ------
    InvalidResponses
        A column is missing; a person answers an item more than once, in waves
        or by raters of which none is chosen; a response is no category.

    Examples
    --------
    >>> frame = pd.DataFrame({"id": [1, 1, 2], "item": ["a", "b", "a"], "resp": [1, None, 0], "cov_age": 9})
    >>> from_warehouse(frame).categories.tolist()
    [[1, -1], [0, -1]]
    """
    absent = [name for name in _REQUIRED if name not in frame.columns]
    if absent:
        raise InvalidResponses(f"the long format has the columns id, item, resp; {absent[0]!r} is not there")
    for name, value in (chosen or {}).items():
        if name not in frame.columns:
            raise InvalidResponses(f"there is no column {name!r} to choose rows by")
        frame = frame[frame[name] == value]
        if not len(frame):
            raise InvalidResponses(f"no row has {name} = {value!r}")
    frame = frame.reset_index(drop=True)
    doubled = frame.duplicated(["id", "item"])
    if doubled.any():
        row = frame[doubled].iloc[0]
        several = [name for name in _REPEATS if name in frame.columns and frame[name].nunique() > 1]
        hint = f"choose one {several[0]}, chosen={{{several[0]!r}: ...}}" if several else "keep one row"
        raise InvalidResponses(f"person {row['id']!r} answers item {row['item']!r} more than once; {hint}")
    if "missing" in frame.columns:
        codes = frame["missing"].map(_WORDS)
        frame = frame.assign(resp=frame["resp"].where(codes.isna() | frame["resp"].notna(), codes))
    counts = None
    if "itemcov_n_categories" in frame.columns:
        stated = frame.groupby(frame["item"].astype(str))["itemcov_n_categories"].max()
        counts = {str(item): int(n) for item, n in stated.items()}
    return ResponseMatrix.from_long(
        frame, n_categories=counts, missing_codes="missing" in frame.columns, allow_wide=True
    )


def write_warehouse(matrix: ResponseMatrix, path: str | Path, **more: object) -> None:
    """Write `to_warehouse` as CSV, or Parquet by the file's name.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "data.csv")
    ...     write_warehouse(ResponseMatrix([[1, 0], [0, 1]], ["p", "q"], ["i1", "i2"]), path)
    ...     path.read_text().splitlines()[:2]
    ['id,item,resp,itemcov_n_categories', 'p,i1,1,2']
    """
    frame = to_warehouse(matrix, **more)  # type: ignore[arg-type]
    file = Path(path)
    frame["resp"] = frame["resp"].astype("Int64")
    if file.suffix.lower() in (".parquet", ".pq"):
        frame.to_parquet(file, index=False)
    else:
        frame.to_csv(file, index=False, na_rep="NA")


def read_warehouse(path: str | Path, *, chosen: Mapping[str, object] | None = None) -> ResponseMatrix:
    """Read a CSV or Parquet file in long format; see `from_warehouse`.

    Raises
    ------
    InvalidResponses
        As `from_warehouse`, or there is no such file.
    """
    file = Path(path)
    if not file.is_file():
        raise InvalidResponses(f"{file}: there is no such file")
    if file.suffix.lower() in (".parquet", ".pq"):
        frame = pd.read_parquet(file)
    else:
        # "NA" is missing in a response and a fine name for a person.
        frame = pd.read_csv(file, keep_default_na=False, na_values={"resp": ["NA", "", "."]})
    try:
        return from_warehouse(frame, chosen=chosen)
    except InvalidResponses as fault:
        raise InvalidResponses(f"{file.name}: {fault}") from None
