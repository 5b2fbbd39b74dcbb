"""Joining sparse cells of a table of summed scores by categories, before a chi-square.

The rules are those under which the published comparisons of S-X2 were made
(and which R's mirt follows): join as little as possible, categories before
score groups. Observed and expected counts are always joined alike, so every
rule is valid; they differ in power only.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from assess.irt.parameters import FloatArray

Cells = tuple[FloatArray, FloatArray]


def collapse(observed: FloatArray, probability: FloatArray, min_expected: float = 1.0) -> list[Cells]:
    """Groups of scores, each with its observed and expected counts.

    1. Score groups in which some category is impossible are joined with the
       nearest in which none is; empty score groups are dropped.
    2. A score group of one person joins the neighbour with fewer persons (of
       equals the lower).
    3. Within a group, while more than two cells are left, the smallest cell
       below `min_expected` joins its smaller neighbour.
    4. A group that still has such a cell joins the neighbour with fewer persons.
    5. A category that one group alone has left joins the one before it.

    Nothing is left where no score leaves every category possible.

    Parameters
    ----------
    observed : array (S, K)
        Counts.
    probability : array (S, K)
        Of each category given the score; zero where impossible.

    Examples
    --------
    >>> seen = np.array([[4.0, 0.0], [9.0, 1.0], [5.0, 5.0]])
    >>> groups = collapse(seen, np.array([[0.95, 0.05], [0.9, 0.1], [0.5, 0.5]]))
    >>> [wanted.round(2).tolist() for _, wanted in groups]
    [[12.8, 1.2], [5.0, 5.0]]
    """
    expected = probability * observed.sum(axis=1, keepdims=True)
    possible = np.flatnonzero((probability > 0.0).all(axis=1))
    if not len(possible):
        return []
    first, last = int(possible[0]), int(possible[-1])
    edges = np.clip(np.arange(len(observed)), first, last) - first
    seen, wanted = np.zeros((2, last - first + 1, observed.shape[1]))
    np.add.at(seen, edges, observed)
    np.add.at(wanted, edges, expected)
    raw = [(row, aim) for row, aim in zip(seen, wanted, strict=True) if row.sum()]
    _join_groups(raw, lambda row, _: row.sum() < 2.0, lambda row, aim: (row, aim))

    def fewer_cells(row: FloatArray, aim: FloatArray) -> Cells:
        return _join_categories(row, aim, min_expected)

    groups = [fewer_cells(row, aim) for row, aim in raw]
    _join_groups(groups, lambda _, aim: bool((aim < min_expected).any()), fewer_cells)
    for width in range(observed.shape[1], 2, -1):
        wide = [i for i, (row, _) in enumerate(groups) if len(row) == width]
        if len(wide) == 1:
            row, aim = groups[wide[0]]
            groups[wide[0]] = (_last_two_joined(row), _last_two_joined(aim))
    return groups


def _join_groups(
    groups: list[Cells],
    is_small: Callable[[FloatArray, FloatArray], bool],
    settle: Callable[[FloatArray, FloatArray], Cells],
) -> None:
    """Join the first small group to the neighbour with fewer persons, until none is small."""
    while len(groups) > 1:
        i = next((i for i, (row, aim) in enumerate(groups) if is_small(row, aim)), None)
        if i is None:
            break
        neighbours = [k for k in (i - 1, i + 1) if 0 <= k < len(groups)]
        low = min(i, min(neighbours, key=lambda k: groups[k][0].sum()))
        joined = [_aligned_sum(a, b) for a, b in zip(groups[low], groups[low + 1], strict=True)]
        groups[low : low + 2] = [settle(joined[0], joined[1])]


def _join_categories(row: FloatArray, aim: FloatArray, least: float) -> Cells:
    row, aim = row.copy(), aim.copy()
    while len(aim) > 2 and aim.min() < least:
        i = int(aim.argmin())
        k = min((k for k in (i - 1, i + 1) if 0 <= k < len(aim)), key=lambda k: aim[k])
        row[k] += row[i]
        aim[k] += aim[i]
        row, aim = np.delete(row, i), np.delete(aim, i)
    return row, aim


def _aligned_sum(a: FloatArray, b: FloatArray) -> FloatArray:
    width = max(len(a), len(b))
    return np.pad(a, (0, width - len(a))) + np.pad(b, (0, width - len(b)))


def _last_two_joined(row: FloatArray) -> FloatArray:
    return np.append(row[:-2], row[-2] + row[-1])
