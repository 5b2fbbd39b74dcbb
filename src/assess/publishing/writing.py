"""Response matrices as files: CSV and Parquet, wide and long, read back as they were by `read_responses`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from assess.errors import InvalidResponses
from assess.responses import NOT_ADMINISTERED, ResponseMatrix


def write_responses(
    matrix: ResponseMatrix,
    path: str | Path,
    *,
    layout: Literal["wide", "long"] = "wide",
    missing_codes: bool = False,
) -> None:
    """Write responses to a new file.

    Parameters
    ----------
    matrix : ResponseMatrix
    path : path
        Parquet by ``.parquet`` or ``.pq``, else CSV.
    layout : str
        "wide": person, and a column per item. "long": id, item, resp, a row per response.
    missing_codes : bool
        Keep -1, -2, -3 (read them with ``missing_codes=True``); otherwise a
        response that is missing in any way is an empty cell, or has no row.

    Raises
    ------
    InvalidResponses
        The file exists, or the layout is not known.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "data.csv")
    ...     write_responses(ResponseMatrix([[1, -2], [0, 1]], ["p", "q"], ["i1", "i2"]), path)
    ...     path.read_text().splitlines()
    ['person,i1,i2', 'p,1,', 'q,0,1']
    """
    file = Path(path)
    if file.exists():
        raise InvalidResponses(f"{file}: exists already; give another name")
    if layout == "wide":
        frame = matrix.to_frame(missing_codes=missing_codes).astype("Int16").reset_index()
    elif layout == "long":
        wanted = matrix.categories != NOT_ADMINISTERED if missing_codes else matrix.categories >= 0
        rows, columns = np.nonzero(wanted)
        frame = pd.DataFrame(
            {
                "id": matrix.person_ids[rows],
                "item": np.array(matrix.item_ids, dtype=object)[columns],
                "resp": matrix.categories[rows, columns].astype(np.int16),
            }
        )
    else:
        raise InvalidResponses(f"layout {layout!r} is not known; say 'wide' or 'long'")
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix.lower() in (".parquet", ".pq"):
        frame.to_parquet(file, index=False)
    else:
        frame.to_csv(file, index=False)
