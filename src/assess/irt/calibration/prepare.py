"""From responses as handed in to a checked sample and a layout."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from assess.errors import CalibrationError, DataWarning
from assess.irt.calibration.blocks import Sample
from assess.irt.calibration.intake import Intake, Recoding
from assess.irt.calibration.layout import UNIT_SLOPE, ItemSpec, Layout, check_model, to_natural
from assess.irt.calibration.options import CalibrationOptions
from assess.irt.calibration.regression import Design, combinations
from assess.irt.models import ItemParameters

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
FEW_RESPONSES = 500


@dataclass(frozen=True)
class Prepared:
    """A sample, the layout it is fitted with, and what was done to get there.

    Parameters
    ----------
    rows : int array or None
        Persons with at least one response, where some have none.
    collapsed : mapping
        Item id to the old category numbers that became 0, 1, ...
    anchors : ItemParameters or None
        Those among the items, as they were given.
    excluded : sequence of str
        Items set aside because nothing can be estimated for them.
    """

    sample: Sample
    rows: IntArray | None
    layout: Layout
    recoding: Recoding
    model: str
    collapsed: Mapping[str, tuple[int, ...]]
    anchors: ItemParameters | None
    excluded: tuple[str, ...]
    notes: tuple[str, ...]


def prepare(
    intake: Intake,
    model: str | Mapping[str, str],
    *,
    groups: ArrayLike | None,
    covariates: pd.DataFrame | None = None,
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
    labels, group = _groups(groups, len(intake.codes), options)
    weight = _weights(weights, len(intake.codes), options)
    counts = intake.counts
    models = _models(intake.item_ids, model)
    fixed = set() if anchors is None else set(anchors.item_ids) & set(intake.item_ids)
    if anchors is not None and not fixed:
        raise CalibrationError(
            f"no anchor is among the items: anchors are {list(anchors.item_ids[:5])}, "
            f"items {list(intake.item_ids[:5])}"
        )

    useless = [
        item
        for item, row in zip(intake.item_ids, counts, strict=True)
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
            f"set aside without variation: {', '.join(map(repr, useless))}", DataWarning, stacklevel=3
        )

    kept, specs, collapsed, onto = [], [], {}, {}
    for j, item in enumerate(intake.item_ids):
        if item in useless:
            continue
        kept.append(j)
        if item in fixed:
            specs.append(_anchor(anchors, item, int(counts[j].nonzero()[0].max(initial=0))))
            continue
        used = np.flatnonzero(counts[j])
        K = int(intake.n_categories[j])
        if used.size < K:
            collapsed[item] = tuple(int(k) for k in used)
            # the last entry stands for missing, which is -1
            onto[j] = np.full(counts.shape[1] + 1, -1, dtype=np.int8)
            onto[j][used] = np.arange(used.size)
        check_model(item, models[item], used.size)
        specs.append(ItemSpec(item, models[item], int(used.size)))
    if not specs:
        raise CalibrationError("no item is left to calibrate")
    if collapsed:
        shown = "; ".join(f"{item!r} keeps {list(used)}" for item, used in list(collapsed.items())[:5])
        warnings.warn(
            f"categories that nobody used were closed up and renumbered from 0: {shown}",
            DataWarning,
            stacklevel=3,
        )
    recoding = Recoding(np.array(kept, dtype=np.int64), onto)
    categories = recoding(intake.codes)
    design = None
    if covariates is not None:
        if groups is not None:
            raise CalibrationError("give groups or covariates; a group is a covariate of 0 and 1")
        # who answered nothing moves nothing, the centre of the covariates included
        persons = np.ones(len(categories)) if weight is None else weight
        answered = np.where((categories >= 0).any(axis=1), persons, 0.0)
        design, group = combinations(covariates, answered)
        labels = [f"combination {g + 1}" for g in range(len(design.values))]
    layout = _layout(specs, labels, options, design, anchored=bool(fixed))
    responses = counts[kept].sum(axis=1) if weight is None else weight @ (categories >= 0)
    sample = Sample(categories, group, weight)
    rows = None
    if categories.min() < 0 and not (categories >= 0).any(axis=1).all():
        rows = np.flatnonzero((categories >= 0).any(axis=1))
        sample = sample.take(rows)
    return Prepared(
        sample,
        rows,
        layout,
        recoding,
        _label(model, specs),
        collapsed,
        None if anchors is None else anchors.take(spec.id for spec in specs if spec.id in fixed),
        tuple(useless),
        _notes(specs, responses),
    )


def _layout(
    specs: Sequence[ItemSpec],
    labels: Sequence[str],
    options: CalibrationOptions,
    design: Design | None,
    *,
    anchored: bool,
) -> Layout:
    unit = any(spec.model in UNIT_SLOPE for spec in specs)
    free_mean = options.population == "free" or (anchored and options.population == "auto")
    free_sd = options.population == "free" or ((anchored or unit) and options.population == "auto")
    if options.population == "free" and not (anchored or unit):
        raise CalibrationError("a free population needs anchors, or items with slope 1 for its variance")
    if options.population == "free" and not anchored:
        free_mean = False
    means = (free_mean, *(True,) * (len(labels) - 1))
    sds = (free_sd, *(True if design is None else free_sd,) * (len(labels) - 1))
    return Layout(tuple(specs), tuple(labels), means, sds, design)


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


def _notes(specs: Sequence[ItemSpec], responses: NDArray[Any]) -> tuple[str, ...]:
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
