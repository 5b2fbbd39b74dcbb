"""Responses as they are handed in: one table, or chunks that may be larger than memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from assess.errors import CalibrationError, InvalidResponses
from assess.irt.calibration.blocks import Block, CodeArray, Sample, build_blocks, column_counts
from assess.irt.calibration.layout import Layout
from assess.irt.calibration.options import CalibrationOptions
from assess.responses import ResponseMatrix, as_matrix

if TYPE_CHECKING:
    import pandas as pd

IntArray = NDArray[np.int64]

SPREAD = 10_000


@dataclass(frozen=True)
class Intake:
    """What one reading of the responses shows.

    Parameters
    ----------
    codes : int8 array
        All responses; or, where they are larger than memory, those of an
        evenly spread sample of persons.
    counts : array (J, K)
        Of every category, over all persons.
    stream : callable or None
        Reads the responses again, chunk by chunk; None when `codes` holds them all.
    """

    item_ids: tuple[str, ...]
    n_categories: IntArray
    n_persons: int
    codes: CodeArray
    counts: IntArray
    sha256: str
    stream: Callable[[], Iterator[CodeArray]] | None = None


def take_in(
    responses: pd.DataFrame | ResponseMatrix | Iterable[ResponseMatrix],
    options: CalibrationOptions,
    *,
    allow_wide: bool,
) -> Intake:
    """Read responses once: check, count, hash.

    Raises
    ------
    InvalidResponses
        No responses, or chunks whose items differ.
    """
    single = isinstance(responses, ResponseMatrix) or hasattr(responses, "columns")
    if not single and not isinstance(responses, Iterable):
        as_matrix(responses)
    chunks: Iterable[ResponseMatrix | pd.DataFrame] = [responses] if single else responses  # type: ignore[assignment, list-item]
    if iter(chunks) is chunks:
        raise InvalidResponses(
            "chunks are read more than once; give a list, or an object that can be iterated again"
        )

    def read() -> Iterator[tuple[ResponseMatrix, CodeArray]]:
        for chunk in chunks:
            matrix = as_matrix(chunk, allow_wide=allow_wide or not single)
            yield matrix, matrix.recode(options.omitted, options.not_reached)

    digest = hashlib.sha256()
    items: tuple[str, ...] = ()
    n_categories = np.zeros(0, dtype=np.int64)
    counts = np.zeros((0, 0), dtype=np.int64)
    kept: list[CodeArray] = []
    n_persons, held, stride, whole = 0, 0, 1, True
    for matrix, codes in read():
        if not items:
            items, n_categories = matrix.item_ids, matrix.n_categories.copy()
            counts = np.zeros((len(items), 128), dtype=np.int64)
            digest.update(repr(list(items)).encode())
        if matrix.item_ids != items:
            raise InvalidResponses(
                f"the chunk from person {n_persons} on has items {list(matrix.item_ids[:3])}..., "
                f"the first has {list(items[:3])}...; every chunk has the same items in the same order"
            )
        n_categories = np.maximum(n_categories, matrix.n_categories)
        for k in range(int(matrix.n_categories.max())):
            counts[:, k] += column_counts(codes == k)
        digest.update(np.ascontiguousarray(codes).data)
        part = codes if whole else codes[(-n_persons) % stride :: stride]
        kept.append(part)
        n_persons += codes.shape[0]
        held += part.nbytes
        if whole and held > options.memory_bytes:
            whole = False
        while not whole and sum(len(codes) for codes in kept) > 2 * SPREAD:
            # halve the sample by keeping every second of its rows
            kept = [np.concatenate(kept)[::2].copy()]
            stride *= 2
    if not counts.any():
        raise InvalidResponses(f"none of {n_persons} persons answered any item")
    codes = kept[0] if len(kept) == 1 else np.concatenate(kept)
    return Intake(
        items,
        n_categories,
        n_persons,
        codes,
        counts[:, : int(n_categories.max())],
        digest.hexdigest(),
        None if whole else lambda: (codes for _, codes in read()),
    )


@dataclass(frozen=True)
class Recoding:
    """Items kept, and new category numbers where unused ones were closed up."""

    kept: IntArray
    onto: dict[int, CodeArray]

    def __call__(self, codes: CodeArray) -> CodeArray:
        """The same responses in the calibration's own columns and categories."""
        if self.kept.size == codes.shape[1] and not self.onto:
            return codes
        columns = [self.onto[j][codes[:, j]] if j in self.onto else codes[:, j] for j in self.kept.tolist()]
        return np.stack(columns, axis=1)


@dataclass(frozen=True)
class Stream:
    """Blocks made chunk by chunk, as often as they are iterated."""

    chunks: Callable[[], Iterator[CodeArray]]
    recoding: Recoding
    layout: Layout
    n_persons: int

    def __iter__(self) -> Iterator[Block]:
        for codes in self.chunks():
            recoded = self.recoding(codes)
            recoded = recoded[(recoded >= 0).any(axis=1)]
            group = np.zeros(recoded.shape[0], dtype=np.int64)
            yield from build_blocks(Sample(recoded, group), self.layout)


def refuse_with_chunks(**arguments: object) -> None:
    """Chunks larger than memory come without arrays that have one entry per person."""
    given = [name for name, value in arguments.items() if value is not None]
    if given:
        raise CalibrationError(
            f"{given[0]} cannot be given with chunks larger than memory; raise options.memory_bytes"
        )
