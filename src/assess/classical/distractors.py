"""What each option does: who chooses it, and whether the key is the right one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from assess.classical.scores import FloatArray, correlations, points, total_and_rest
from assess.errors import InvalidResponses
from assess.responses import NOT_ADMINISTERED, OMITTED, ResponseMatrix


@dataclass(frozen=True, eq=False)
class Distractors:
    """Options of every item.

    Parameters
    ----------
    options : DataFrame
        One row per item and option: item, option, is_key, is_blank, n, share (of those
        who were shown the item), mean_rest (mean share of points on the other
        items among those who chose it), r_rest (point-biserial of choosing it
        with that share).
    curves : DataFrame
        One row per item, option and score group: item, option, is_key, group
        (1 is the lowest), n, rest (the group's mean score on the other items), share.
    scored : ResponseMatrix
        1 for the key, 0 for any other option.
    """

    options: pd.DataFrame = field(repr=False)
    curves: pd.DataFrame = field(repr=False)
    scored: ResponseMatrix

    def __repr__(self) -> str:
        return f"<Distractors: {len(self.options)} options of {self.scored.n_items} items>"


def score_options(
    options: pd.DataFrame, key: Mapping[str, object], *, omitted: Collection[object] = ()
) -> ResponseMatrix:
    """Score raw options by their key.

    Parameters
    ----------
    options : DataFrame (persons x columns)
        The option that each person chose; an empty cell = not administered.
        Columns that have no key are left aside.
    key : mapping
        Item to its keyed option. 1, 1.0 and "1" are one option.
    omitted : collection
        Codes that mean "left blank".

    Raises
    ------
    InvalidResponses
        Where an item of the key has no column, or nobody has its keyed option.

    Examples
    --------
    >>> raw = pd.DataFrame({"i1": ["a", "b", "-"], "i2": ["c", None, "c"]})
    >>> score_options(raw, {"i1": "a", "i2": "c"}, omitted=["-"]).categories.tolist()
    [[1, 1], [0, -1], [-2, 1]]
    """
    texts = _texts(options, key)
    blank = {_text(code) for code in omitted}
    categories = np.full((len(texts), len(key)), NOT_ADMINISTERED, dtype=np.int8)
    for j, (item, keyed) in enumerate(key.items()):
        column = texts[item].to_numpy()
        right = column == _text(keyed)
        if not right.any():
            seen = sorted({value for value in column if value} - blank)
            raise InvalidResponses(
                f"item {item!r}: nobody chose the keyed option {keyed!r}; options are {seen}"
            )
        left_blank = np.isin(column, list(blank)) if blank else np.zeros(len(column), dtype=bool)
        categories[:, j] = np.where(left_blank, OMITTED, np.where(column == "", NOT_ADMINISTERED, right))
    counts = np.full(len(key), 2)
    return ResponseMatrix(categories, options.index.to_numpy(), list(key), counts)


def distractors(
    options: pd.DataFrame,
    key: Mapping[str, object],
    *,
    omitted: Collection[object] = (),
    n_groups: int = 5,
) -> Distractors:
    """Who chooses which option, overall and by score group.

    The score is that on the other items, so that an item does not vouch for
    itself; score groups are of nearly equal size, ties stay together.

    Parameters
    ----------
    options, key, omitted
        As in `score_options`.
    n_groups : int
        Number of score groups; there are fewer where many scores tie.

    Examples
    --------
    >>> raw = pd.DataFrame({"i1": list("aabb"), "i2": list("ccdd"), "i3": list("eefe")})
    >>> table = distractors(raw, {"i1": "a", "i2": "c", "i3": "e"}, n_groups=2).options
    >>> table.set_index(["item", "option"]).loc[("i1", "a"), "share"]
    np.float64(0.5)

    References
    ----------
    Haladyna & Rodriguez (2013), *Developing and Validating Test Items*, ch. 18.
    """
    if n_groups < 2:
        raise InvalidResponses(f"n_groups is {n_groups}; score groups are compared, so give at least 2")
    scored = score_options(options, key, omitted=omitted)
    texts = _texts(options, key)
    blank = {_text(code) for code in omitted}
    _, rest = total_and_rest(points(scored, 0, "missing"), np.ones(scored.n_items))
    rows: list[dict[str, object]] = []
    curves: list[dict[str, object]] = []
    for j, (item, keyed) in enumerate(key.items()):
        column, score = texts[item].to_numpy(), rest[:, j]
        shown = column != ""
        group = _groups(np.where(shown, score, np.nan), n_groups)
        found = sorted({*column[shown].tolist()})
        chose = np.array([column == option for option in found])
        r = correlations(np.where(shown, chose, np.nan).T, np.tile(score[:, None], (1, len(found))))
        for option, mask, r_rest in zip(found, chose, r.tolist(), strict=True):
            same = {"item": item, "option": option, "is_key": option == _text(keyed)}
            counted = mask & ~np.isnan(score)
            rows.append(
                same
                | {
                    "is_blank": option in blank,
                    "n": int(mask.sum()),
                    "share": mask.sum() / shown.sum(),
                    "mean_rest": float(score[counted].mean()) if counted.any() else np.nan,
                    "r_rest": r_rest,
                }
            )
            for g in range(int(np.nanmax(group)) + 1 if counted.any() else 0):
                members = group == g
                place = {"group": g + 1, "n": int(members.sum()), "rest": float(score[members].mean())}
                curves.append(same | place | {"share": float(mask[members].mean())})
    return Distractors(pd.DataFrame(rows), pd.DataFrame(curves), scored)


# --- inside -----------------------------------------------------------------


def _groups(score: FloatArray, n_groups: int) -> FloatArray:
    """Group 0, 1, ... of each person by the rank of the score; nan without one.

    Where many tie, there are fewer groups than asked for, and none is empty.
    """
    ranks = pd.Series(score).rank(method="average")
    group = ((ranks - 0.5) * n_groups / max(int(ranks.count()), 1)).floordiv(1)
    return np.asarray(group.rank(method="dense").to_numpy(dtype=np.float64) - 1.0, dtype=np.float64)


def _texts(options: pd.DataFrame, key: Mapping[str, object]) -> pd.DataFrame:
    """The keyed columns as text, empty where nothing was given."""
    if not key:
        raise InvalidResponses("the key is empty; give the keyed option of each item")
    absent = [item for item in key if item not in options.columns]
    if absent:
        raise InvalidResponses(
            f"item {absent[0]!r} has a key but no column; columns are {list(options.columns)}"
        )
    return options[list(key)].map(_text)


def _text(value: object) -> str:
    """An option as text; 1, 1.0 and " 1 " are one option, and an empty cell is the empty text."""
    if value is None or value is pd.NA or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
