r"""Item parameters as files of other programs: plain CSV with its metric stated, and R mirt.

Here a slope is in the logistic metric, :math:`\mathrm{logit} = D a(\theta - b)`
with D = 1. Tables made for D = 1.7 or 1.702 hold smaller slopes for the same
curves; nothing in the numbers tells, so a file says its D or the reader does.
mirt's slope-intercept form has D = 1 always.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pandas as pd

from assess.errors import InvalidParameters
from assess.irt.parameters import ItemParameters

METRIC = "D"


def write_parameters(
    parameters: ItemParameters, path: str | Path, *, program: Literal["assess", "mirt"] = "assess"
) -> None:
    """Write parameters as CSV.

    Parameters
    ----------
    parameters : ItemParameters
    path : path
    program : str
        "assess": the columns of `ItemParameters.to_frame`, and D = 1 in each row.
        "mirt": slope-intercept form, as ``coef(model, simplify = TRUE)`` prints it,
        with the column itemtype.

    Raises
    ------
    InvalidParameters
        A program that is not known, or an item that it cannot hold.

    Examples
    --------
    >>> import tempfile
    >>> items = ItemParameters(["i1"], "2PL", [1.2], [[0.5]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "items.csv")
    ...     write_parameters(items, path)
    ...     path.read_text().splitlines()
    ['item,model,n_categories,a,b,D', 'i1,2PL,2,1.2,0.5,1.0']
    """
    if program not in ("assess", "mirt"):
        raise InvalidParameters(f"program {program!r} is not known; say 'assess' or 'mirt'")
    frame = parameters.to_mirt() if program == "mirt" else parameters.to_frame().assign(**{METRIC: 1.0})
    frame.to_csv(path)


def read_parameters(
    path: str | Path,
    *,
    program: Literal["assess", "mirt"] = "assess",
    scaling: float | None = None,
) -> ItemParameters:
    r"""Read parameters from CSV onto the logistic metric, D = 1.

    .. math:: a = D\,a_{file}

    Parameters
    ----------
    path : path
        First column (or the column item): item ids.
    program : str
        "assess" or "mirt".
    scaling : float, optional
        D of a file that does not say it: 1, 1.7 or 1.702.

    Raises
    ------
    InvalidParameters
        The file does not state its metric and neither do you; two statements
        differ; an item cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "items.csv")
    ...     _ = path.write_text("item,a,b,c\ni1,0.8,0.5,0.2\n")
    ...     float(read_parameters(path, scaling=1.7).slopes[0])
    1.36
    """
    file = Path(path)
    if not file.is_file():
        raise InvalidParameters(f"{file}: there is no such file")
    frame = pd.read_csv(file)
    frame = frame.set_index("item" if "item" in frame.columns else frame.columns[0])
    doubled = frame.index[frame.index.duplicated()]
    if len(doubled):
        raise InvalidParameters(f"{file.name}: item {doubled[0]!r} is listed twice")
    if program == "mirt":
        if scaling not in (None, 1, 1.0):
            raise InvalidParameters(f"mirt's parameters have D = 1, not {scaling:g}")
        return ItemParameters.from_mirt(frame)
    if program != "assess":
        raise InvalidParameters(f"program {program!r} is not known; say 'assess' or 'mirt'")
    if METRIC in frame.columns:
        stated = sorted(set(frame.pop(METRIC).astype(float)))
        if len(stated) != 1 or (scaling is not None and scaling != stated[0]):
            raise InvalidParameters(
                f"{file.name}: the column {METRIC} says {stated}, you say {scaling}; a table has one metric"
            )
        scaling = stated[0]
    if scaling is None:
        raise InvalidParameters(
            f"{file.name}: its metric is not stated; say scaling=1 (logistic) or scaling=1.7, as its "
            f"documentation does, or add a column {METRIC}"
        )
    if not scaling > 0.0:
        raise InvalidParameters(f"scaling is {scaling:g}; give a positive D")
    found = ItemParameters.from_frame(frame)
    return found if scaling == 1.0 else _scaled(found, scaling)


def _scaled(found: ItemParameters, scaling: float) -> ItemParameters:
    """The same curves with D = 1; what has no slope of its own becomes the model that has."""
    freed = {"Rasch": "1PL", "PCM": "GPCM", "RSM": "GPCM"}
    return ItemParameters(
        found.item_ids,
        [freed.get(model, model) for model in found.models],
        found.slopes * scaling,
        found.steps,
        found.lower,
        found.upper,
        found.category_slopes * scaling,
        found.category_intercepts * scaling,
    )
