"""Responses arranged for the likelihood: blocks of persons who answered the same items.

Persons of one group with the same pattern of missing responses form a block
of its own when they are many (complete data, booklets); the rest of the group
forms an irregular block. Where all items are canonical the likelihood needs a
weighted sum of the responses, and nothing else in a complete block
(`ScoreBlock`), or which items were answered in an irregular one
(`MaskedBlock`). Every other block is coded by indicators (`IndicatorBlock`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assess.irt.calibration.layout import Layout

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
CodeArray = NDArray[np.int8]

MISSING = -1
SMALLEST_BOOKLET = 100
SINGLE_PRECISION_FROM = 4_000
INDICATOR_BYTES = 512 * 2**20
ORDERED_AT_ONCE = 4_096


@dataclass(frozen=True)
class ScoreBlock:
    """Persons who all answered the same canonical items.

    Parameters
    ----------
    rows : array (n,)
        Row numbers of the persons in the data.
    items : array (J_b,)
        Item numbers.
    categories : array (n, J_b)
        Category numbers as floats, the sufficient statistic of the slopes.
    counts : array (M_b,)
        Weighted counts of every category of every item, in column order.
    weights : array (n,) or None
    """

    group: int
    rows: IntArray
    items: IntArray
    categories: NDArray[np.floating]
    counts: FloatArray
    columns: IntArray
    weights: FloatArray | None

    @property
    def n_persons(self) -> int:
        """Persons in the block."""
        return int(self.rows.size)

    def codes(self) -> CodeArray:
        """Category numbers (n, J_b)."""
        return self.categories.astype(np.int8)


@dataclass(frozen=True)
class IndicatorBlock:
    """Persons coded by indicators of the categories they chose.

    With `complete` the lowest category of each item needs no column: its
    log-probability is part of a constant. `indicators` is None when the coded
    matrix would be too large to keep; it is then made anew chunk by chunk.
    """

    group: int
    rows: IntArray
    items: IntArray
    responses: CodeArray
    columns: IntArray
    base_columns: IntArray
    column_item: IntArray
    column_category: IntArray
    weights: FloatArray | None
    complete: bool
    precision: type[np.float32] | type[np.float64]
    indicators: NDArray[np.floating] | None

    @property
    def n_persons(self) -> int:
        """Persons in the block."""
        return int(self.rows.size)

    def coded(self, chosen: slice) -> NDArray[np.floating]:
        """Indicators (n, M_b) of some persons."""
        if self.indicators is not None:
            return self.indicators[chosen]
        return indicators(self.responses[chosen], self.column_item, self.column_category, self.precision)

    def codes(self) -> CodeArray:
        """Category numbers (n, J_b), -1 where missing."""
        return self.responses


@dataclass(frozen=True)
class MaskedBlock:
    """Persons with patterns of their own, canonical items only.

    `answered` and `categories` (n, J_b) are ones and categories where an item
    was answered, zero elsewhere; both None when they would be too large to
    keep, and then made anew chunk by chunk. `by_column` has the position of the
    item and the category of every column.
    """

    group: int
    rows: IntArray
    items: IntArray
    responses: CodeArray
    counts: FloatArray
    columns: IntArray
    by_column: tuple[IntArray, IntArray]
    weights: FloatArray | None
    precision: type[np.float32] | type[np.float64]
    answered: NDArray[np.floating] | None
    categories: NDArray[np.floating] | None

    @property
    def n_persons(self) -> int:
        """Persons in the block."""
        return int(self.rows.size)

    def parts(self, chosen: slice) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Which items some persons answered, and the categories there, both (n, J_b)."""
        if self.answered is not None and self.categories is not None:
            return self.answered[chosen], self.categories[chosen]
        codes = self.responses[chosen]
        return (codes >= 0).astype(self.precision), np.maximum(codes, 0).astype(self.precision)

    def codes(self) -> CodeArray:
        """Category numbers (n, J_b), -1 where missing."""
        return self.responses


CodedBlock = IndicatorBlock | MaskedBlock
Block = ScoreBlock | CodedBlock


@dataclass(frozen=True)
class Sample:
    """What a calibration is fitted to, checked and recoded.

    Parameters
    ----------
    categories : int8 array (N, J)
        From 0 without gaps; -1 is missing.
    group : int array (N,)
        Group numbers.
    weights : array (N,) or None
    """

    categories: CodeArray
    group: IntArray
    weights: FloatArray | None = None

    @property
    def n_persons(self) -> int:
        """Rows."""
        return int(self.categories.shape[0])

    def take(self, rows: IntArray) -> Sample:
        """Some of the persons."""
        weights = None if self.weights is None else self.weights[rows]
        return Sample(self.categories[rows], self.group[rows], weights)


def column_counts(mask: NDArray[np.bool_]) -> IntArray:
    """How many rows are true, per column; sums of 255 rows fit a byte and run at its speed."""
    n, width = mask.shape
    whole = n - n % 255
    bytes_of = np.ascontiguousarray(mask).view(np.uint8)
    parts = np.add.reduce(bytes_of[:whole].reshape(-1, 255, width), axis=1, dtype=np.uint8)
    rest = np.add.reduce(bytes_of[whole:], axis=0, dtype=np.int64)
    return np.asarray(np.add.reduce(parts, axis=0, dtype=np.int64) + rest)


def indicators(
    codes: CodeArray, column_item: IntArray, column_category: IntArray, precision: type[np.floating]
) -> NDArray[np.floating]:
    """Ones (n, M) where a person chose the category of a column, zeros elsewhere."""
    return np.asarray(codes[:, column_item] == column_category.astype(np.int8), dtype=precision)


def _patterns(sample: Sample) -> Iterator[tuple[int, IntArray, NDArray[np.bool_] | None]]:
    """(group, rows, answered items or None for a mixture of patterns)."""
    given = sample.categories >= 0
    if given.all():
        answered = np.ones(sample.categories.shape[1], dtype=bool)
        if not sample.group.any():
            yield 0, np.arange(sample.n_persons), answered
            return
        for g in np.unique(sample.group).tolist():
            yield g, np.flatnonzero(sample.group == g), answered
        return
    packed = np.packbits(given, axis=1)
    keyed = np.ascontiguousarray(
        np.column_stack([packed, sample.group.astype("<u4").view(np.uint8).reshape(-1, 4)])
    )
    _, first, inverse, counts = np.unique(
        keyed.view(np.dtype((np.void, keyed.shape[1]))).ravel(),
        return_index=True,
        return_inverse=True,
        return_counts=True,
    )
    inverse = inverse.ravel()
    large = counts >= min(SMALLEST_BOOKLET, max(1, sample.n_persons // 20))
    order = np.argsort(inverse, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)])
    for pattern in np.flatnonzero(large).tolist():
        rows = np.sort(order[starts[pattern] : starts[pattern + 1]])
        yield int(sample.group[first[pattern]]), rows, given[first[pattern]]
    rest = ~large[inverse]
    for g in np.unique(sample.group[rest]).tolist():
        yield g, np.flatnonzero(rest & (sample.group == g)), None


def build_blocks(sample: Sample, layout: Layout, *, precise: bool = False) -> tuple[Block, ...]:
    """Arrange a sample; `precise` forbids single precision."""
    canonical = np.zeros(layout.n_items, dtype=bool)
    for batch in layout.batches:
        if batch.canonical:
            canonical[batch.rows] = True
    single = sample.n_persons >= SINGLE_PRECISION_FROM and not precise
    precision: type[np.float32] | type[np.float64] = np.float32 if single else np.float64

    def block(g: int, rows: IntArray, answered: NDArray[np.bool_] | None) -> Block:
        items = np.arange(layout.n_items) if answered is None else np.flatnonzero(answered)
        if not canonical[items].all():
            return _indicator_block(sample, layout, g, rows, items, precision, complete=answered is not None)
        make = _masked_block if answered is None else _score_block
        return make(sample, layout, g, rows, items, precision)

    return tuple(
        block(g, rows, answered)
        for g, rows, answered in _patterns(sample)
        if answered is None or answered.any()
    )


def _columns_of(layout: Layout, items: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Columns of these items, with each column's position in `items` and its category."""
    sizes = np.diff(layout.column_offsets)[items]
    position = np.repeat(np.arange(items.size), sizes)
    category = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return layout.column_offsets[items][position] + category, position, category


def _weighted_counts(
    codes: CodeArray, weights: FloatArray | None, position: IntArray, category: IntArray
) -> FloatArray:
    """Weighted counts of the categories, in column order."""
    top = int(category.max(initial=0)) + 1
    by_category = np.empty((top, codes.shape[1]))
    for k in range(top):
        chosen = codes == k
        by_category[k] = column_counts(chosen) if weights is None else weights @ chosen
    return by_category[category, position]


def _score_block(
    sample: Sample,
    layout: Layout,
    g: int,
    rows: IntArray,
    items: IntArray,
    precision: type[np.float32] | type[np.float64],
) -> ScoreBlock:
    whole = rows.size == sample.n_persons
    codes = sample.categories if whole else sample.categories[rows]
    codes = codes if items.size == codes.shape[1] else codes[:, items]
    weights = None if sample.weights is None else sample.weights[rows]
    columns, position, category = _columns_of(layout, items)
    counts = _weighted_counts(codes, weights, position, category)
    return ScoreBlock(g, rows, items, codes.astype(precision), counts, columns, weights)


def _ordered(sample: Sample, layout: Layout, rows: IntArray, items: IntArray) -> tuple[IntArray, CodeArray]:
    """Rows and responses with persons of like score together.

    Their posteriors then share a few nodes when the information matrix is summed.
    """
    codes = (
        sample.categories[rows] if items.size == layout.n_items else sample.categories[np.ix_(rows, items)]
    )
    share = (1.0 / (np.diff(layout.column_offsets)[items] - 1)).astype(np.float32)
    score = np.empty(rows.size, dtype=np.float32)
    for start in range(0, rows.size, ORDERED_AT_ONCE):
        part = codes[start : start + ORDERED_AT_ONCE]
        given = np.count_nonzero(part >= 0, axis=1)
        score[start : start + ORDERED_AT_ONCE] = np.maximum(part, 0) @ share / np.maximum(given, 1)
    order = np.argsort(score, kind="stable")
    return rows[order], np.ascontiguousarray(codes[order])


def _masked_block(
    sample: Sample,
    layout: Layout,
    g: int,
    rows: IntArray,
    items: IntArray,
    precision: type[np.float32] | type[np.float64],
) -> MaskedBlock:
    rows, codes = _ordered(sample, layout, rows, items)
    weights = None if sample.weights is None else sample.weights[rows]
    columns, position, category = _columns_of(layout, items)
    counts = _weighted_counts(codes, weights, position, category)
    answered: NDArray[np.floating] | None = None
    categories: NDArray[np.floating] | None = None
    if 2 * codes.size * np.dtype(precision).itemsize <= INDICATOR_BYTES:
        answered = np.asarray(codes >= 0, dtype=precision)
        categories = np.asarray(np.maximum(codes, 0), dtype=precision)
    by_column = (position, category)
    return MaskedBlock(
        g, rows, items, codes, counts, columns, by_column, weights, precision, answered, categories
    )


def _indicator_block(
    sample: Sample,
    layout: Layout,
    g: int,
    rows: IntArray,
    items: IntArray,
    precision: type[np.float32] | type[np.float64],
    *,
    complete: bool,
) -> IndicatorBlock:
    rows, codes = _ordered(sample, layout, rows, items)
    columns, position, category = _columns_of(layout, items)
    kept = category > 0 if complete else np.ones(category.size, dtype=bool)
    weights = None if sample.weights is None else sample.weights[rows]
    size = rows.size * int(kept.sum()) * np.dtype(precision).itemsize
    coded = None
    if size <= INDICATOR_BYTES:
        coded = indicators(codes, position[kept], category[kept], precision)
    return IndicatorBlock(
        g,
        rows,
        items,
        codes,
        columns[kept],
        columns[category == 0],
        position[kept],
        category[kept],
        weights,
        complete,
        precision,
        coded,
    )
