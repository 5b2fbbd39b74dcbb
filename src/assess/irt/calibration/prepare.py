"""From responses as handed in to a checked sample and a layout."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from assess.errors import CalibrationError, DataWarning, InvalidResponses
from assess.irt.calibration.blocks import Sample
from assess.irt.calibration.layout import UNIT_SLOPE, ItemSpec, Layout, check_model, to_natural
from assess.irt.calibration.options import CalibrationOptions
from assess.irt.models import ItemParameters
from assess.responses import ResponseMatrix

CodeArray = NDArray[np.int8]
FloatArray = NDArray[np.float64]
FEW_RESPONSES = 500


@dataclass(frozen=True)
class Prepared:
    """A sample, the layout it is fitted with, and what was done to get there.

    Parameters
    ----------
    collapsed : mapping
        Item id to the old category numbers that became 0, 1, ...
    excluded : sequence of str
        Items set aside because nothing can be estimated for them.
    """

    sample: Sample
    layout: Layout
    model: str
    responses_per_item: NDArray[np.int64]
    collapsed: Mapping[str, tuple[int, ...]]
    excluded: tuple[str, ...]
    notes: tuple[str, ...]


def data_hash(matrix: ResponseMatrix, codes: CodeArray) -> str:
    """SHA-256 over item ids, shape and every scored category; person labels stay out of it."""
    digest = hashlib.sha256()
    digest.update(repr((list(matrix.item_ids), codes.shape)).encode())
    digest.update(np.ascontiguousarray(codes).tobytes())
    return digest.hexdigest()


def prepare(
    matrix: ResponseMatrix,
    codes: CodeArray,
    model: str | Mapping[str, str],
    *,
    groups: ArrayLike | None,
    anchors: ItemParameters | None,
    weights: ArrayLike | None,
    options: CalibrationOptions,
) -> Prepared:
    """Check everything once.

    Raises
    ------
    CalibrationError
        Constant or empty items, a model that does not fit an item, anchors or
        weights that cannot be meant; always by name.
    """
    labels, group = _groups(groups, matrix.n_persons, options)
    weight = _weights(weights, matrix.n_persons, options)
    n_categories = int(matrix.n_categories.max())
    counts = np.stack(
        [np.add.reduce(codes == k, axis=0, dtype=np.int64) for k in range(n_categories)], axis=1
    )
    models = _models(matrix.item_ids, model)
    fixed = set() if anchors is None else set(anchors.item_ids) & set(matrix.item_ids)
    if anchors is not None and not fixed:
        raise CalibrationError(
            f"no anchor is among the items: anchors are {list(anchors.item_ids[:5])}, "
            f"items {list(matrix.item_ids[:5])}"
        )

    useless = [
        item
        for item, row in zip(matrix.item_ids, counts, strict=True)
        if np.count_nonzero(row) < 2 and item not in fixed
    ]
    if useless and options.constant_items == "refuse":
        shown = ", ".join(repr(item) for item in useless[:5]) + (" ..." if len(useless) > 5 else "")
        raise CalibrationError(
            f"nothing can be estimated for {len(useless)} item(s) that nobody answered or everybody answered "
            f"alike: {shown}; leave them out, or set options.constant_items='exclude'"
        )
    if useless:
        warnings.warn(
            f"set aside without variation: {', '.join(map(repr, useless))}", DataWarning, stacklevel=4
        )

    kept, specs, columns, collapsed = [], [], [], {}
    for j, item in enumerate(matrix.item_ids):
        if item in useless:
            continue
        kept.append(j)
        if item in fixed:
            specs.append(_anchor(anchors, item, int(counts[j].nonzero()[0].max(initial=0))))
            columns.append(codes[:, j])
            continue
        used = np.flatnonzero(counts[j])
        K = int(matrix.n_categories[j])
        column = codes[:, j]
        if used.size < K:
            collapsed[item] = tuple(int(k) for k in used)
            onto = np.full(n_categories + 1, -1, dtype=np.int8)
            onto[used] = np.arange(used.size)
            column = onto[column]
        check_model(item, models[item], used.size)
        specs.append(ItemSpec(item, models[item], int(used.size)))
        columns.append(column)
    if not specs:
        raise CalibrationError("no item is left to calibrate")
    if collapsed:
        shown = "; ".join(f"{item!r} keeps {list(used)}" for item, used in list(collapsed.items())[:5])
        warnings.warn(
            f"categories that nobody used were closed up and renumbered from 0: {shown}",
            DataWarning,
            stacklevel=4,
        )
    categories = codes if len(kept) == codes.shape[1] and not collapsed else np.stack(columns, axis=1)
    layout = _layout(specs, labels, options, anchored=bool(fixed))
    responses = counts[kept].sum(axis=1)
    return Prepared(
        Sample(categories, group, weight),
        layout,
        _label(model, specs),
        responses,
        collapsed,
        tuple(useless),
        _notes(specs, responses),
    )


def _layout(
    specs: Sequence[ItemSpec], labels: Sequence[str], options: CalibrationOptions, *, anchored: bool
) -> Layout:
    unit = any(spec.model in UNIT_SLOPE for spec in specs)
    free_mean = options.population == "free" or (anchored and options.population == "auto")
    free_sd = options.population == "free" or ((anchored or unit) and options.population == "auto")
    if options.population == "free" and not (anchored or unit):
        raise CalibrationError("a free population needs anchors, or items with slope 1 for its variance")
    if options.population == "free" and not anchored:
        free_mean = False
    others = len(labels) - 1
    return Layout(tuple(specs), tuple(labels), (free_mean, *(True,) * others), (free_sd, *(True,) * others))


def _models(items: Sequence[str], model: str | Mapping[str, str]) -> dict[str, str]:
    if isinstance(model, str):
        return dict.fromkeys(items, model)
    absent = [item for item in items if item not in model]
    if absent:
        raise CalibrationError(f"item {absent[0]!r}: no model given; name a model for every item")
    unknown = [item for item in model if item not in set(items)]
    if unknown:
        raise CalibrationError(f"model names item {unknown[0]!r}, which is not among the responses")
    return {item: model[item] for item in items}


def _label(model: str | Mapping[str, str], specs: Sequence[ItemSpec]) -> str:
    return model if isinstance(model, str) else "+".join(dict.fromkeys(spec.model for spec in specs))


def _anchor(anchors: ItemParameters | None, item: str, highest: int) -> ItemSpec:
    assert anchors is not None
    row = anchors.position[item]
    K = int(anchors.n_categories[row])
    if highest >= K:
        raise CalibrationError(f"anchor {item!r} has categories 0..{K - 1}, but {highest} was observed")
    return ItemSpec(item, anchors.models[row], K, to_natural(anchors, row, K))


def _groups(
    groups: ArrayLike | None, n: int, options: CalibrationOptions
) -> tuple[list[str], NDArray[np.int64]]:
    if groups is None:
        return ["population"], np.zeros(n, dtype=np.int64)
    given: NDArray[Any] = np.asarray(groups)
    if given.shape != (n,):
        raise CalibrationError(f"groups have shape {given.shape}; give one label for each of {n} persons")
    if any(label is None or label != label for label in given.tolist()):
        raise CalibrationError("a group label is missing; every person belongs to a group")
    labels, codes = np.unique(np.array([str(label) for label in given.tolist()]), return_inverse=True)
    names = labels.tolist()
    reference = options.reference_group
    if reference is not None:
        if reference not in names:
            raise CalibrationError(f"reference group {reference!r} does not occur; groups are {names}")
        order = [names.index(reference), *(i for i, name in enumerate(names) if name != reference)]
        return [names[i] for i in order], np.argsort(order)[codes.ravel()]
    return names, codes.ravel().astype(np.int64)


def _weights(weights: ArrayLike | None, n: int, options: CalibrationOptions) -> FloatArray | None:
    if weights is None:
        return None
    given = np.asarray(weights, dtype=np.float64)
    if given.shape != (n,) or not np.all(np.isfinite(given)) or np.any(given < 0.0) or not given.any():
        raise CalibrationError(f"weights must be {n} finite numbers, none negative and not all zero")
    return given * (n / given.sum()) if options.weights == "sampling" else given


def _notes(specs: Sequence[ItemSpec], responses: NDArray[np.int64]) -> tuple[str, ...]:
    notes = []
    free = [spec.fixed is None and spec.model not in (*UNIT_SLOPE, "1PL") for spec in specs]
    few = [
        spec.id
        for spec, n, own in zip(specs, responses.tolist(), free, strict=True)
        if own and n < FEW_RESPONSES
    ]
    if few:
        notes.append(
            f"{len(few)} item(s) with a slope of their own have fewer than {FEW_RESPONSES} responses "
            f"({', '.join(few[:3])}{' ...' if len(few) > 3 else ''}): prefer Rasch or PCM, or a named prior "
            "such as priors={'a': LogNormal(0, 0.5)}"
        )
    anchors = sum(spec.fixed is not None for spec in specs)
    if anchors:
        notes.append(
            f"{anchors} anchor(s) held at their values; the errors of those values "
            "are not in the standard errors"
        )
    return tuple(notes)


def require_persons(matrix: ResponseMatrix, codes: CodeArray) -> None:
    """Refuse data in which nobody answered anything."""
    if not (codes >= 0).any():
        raise InvalidResponses(f"none of {matrix.n_persons} persons answered any item")
