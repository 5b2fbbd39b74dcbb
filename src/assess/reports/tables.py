"""Tables as one page of HTML that opens anywhere, for a technical report or its appendix."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;margin:0 0 2rem}caption{text-align:start;font-weight:600;padding:.5rem 0}"
    "th,td{padding:.25rem .75rem;border-bottom:1px solid #bbb;text-align:end}"
    "th:first-child{text-align:start}.wide{overflow-x:auto}"
)


def page(title: str, tables: Mapping[str, pd.DataFrame], notes: Sequence[str] = ()) -> str:
    """A page with a caption over every table; numbers have three decimals, what is not known a dash.

    Parameters
    ----------
    title : str
    tables : mapping of caption to DataFrame
        The index is the first column.
    notes : sequence of str
        What the reader must know to read the tables.

    Examples
    --------
    >>> import pandas as pd
    >>> text = page("Accuracy", {"the form": pd.DataFrame({"kappa": [0.81234]}, index=["x & y"])})
    >>> "<td>0.812</td>" in text, "x &amp; y" in text
    (True, True)
    """
    drawn = "".join(_table(caption, frame) for caption, frame in tables.items())
    said = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{html.escape(title)}</h1>{drawn}"
        f"{f'<ul>{said}</ul>' if said else ''}</body></html>\n"
    )


def _table(caption: str, frame: pd.DataFrame) -> str:
    names = ["" if frame.index.name is None else frame.index.name, *frame.columns]
    head = "".join(f'<th scope="col">{html.escape(str(name).replace("_", " "))}</th>' for name in names)
    rows = "".join(
        f'<tr><th scope="row">{_cell(label)}</th>{"".join(f"<td>{_cell(value)}</td>" for value in row)}</tr>'
        for label, row in zip(frame.index, frame.to_numpy(dtype=object).tolist(), strict=True)
    )
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{html.escape(caption)}"><table>'
        f"<caption>{html.escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
        "</table></div>"
    )


def _cell(value: object) -> str:
    if value is None or value != value:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else html.escape(str(value))
