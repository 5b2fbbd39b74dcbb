"""Unscored items: when enough responses are there, and whether an item may count from then on.

An item is looked at when it has as many responses as a look says and no other
time, on exactly its first so many responses, so that the verdict does not
depend on who asks when. It is calibrated on the scale of the operational items,
whose parameters are held fixed.

References
----------
Kim (2006), *Journal of Educational Measurement* 43, 355-381, doi:10.1111/j.1745-3984.2006.00021.x
(fixed-parameter calibration).
Wainer & Mislevy (2000), in Wainer, *Computerized Adaptive Testing: A Primer*, ch. 4 (pretesting on line).
"""

from __future__ import annotations

import html
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from assess.errors import ConvergenceWarning, DataWarning, InvalidParameters, InvalidResponses
from assess.irt.calibration import Calibration, calibrate
from assess.irt.calibration.options import Prior as ParameterPrior
from assess.irt.parameters import IntArray, ItemParameters
from assess.irt.pilot_evidence import Estimate, Evidence, PilotRules
from assess.irt.scoring import Source, resolved
from assess.responses import NOT_ADMINISTERED, ResponseMatrix, as_matrix

Status = Literal["collecting", "passes", "fails"]
_WORDS: tuple[tuple[Status, str], ...] = (("passes", "pass"), ("fails", "fail"), ("collecting", "collecting"))


@dataclass(frozen=True, eq=False)
class PilotReview:
    """What the responses say about each pilot item.

    Parameters
    ----------
    table : DataFrame
        Index item; columns model, n (responses), look (responses used), b (the
        location), se_b, a, se_log_a, least_category, fit_p, dif (class, or why there
        is none), drift (logits, later minus earlier half), drift_z, q3_excess, status
        (collecting, passes, fails), why (a sentence for each thing that is wrong).
    parameters : ItemParameters or None
        Of the items that pass, on the scale of the operational items.
    errors : mapping
        Their standard errors, by item and parameter.
    correlations : mapping
        Of an item's estimates: lower triangle by rows, in the order of its errors.
    rules : PilotRules
    anchors : tuple of str
        Operational items whose parameters were held fixed.
    """

    table: pd.DataFrame = field(repr=False)
    parameters: ItemParameters | None = field(repr=False)
    errors: Mapping[str, Mapping[str, float]] = field(repr=False)
    correlations: Mapping[str, Sequence[float]] = field(repr=False)
    rules: PilotRules = field(repr=False)
    anchors: tuple[str, ...] = field(repr=False)

    def with_status(self, status: Status) -> tuple[str, ...]:
        """Items of one status."""
        return tuple(self.table.index[self.table["status"] == status].tolist())

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(self.with_status(status))} {word}" for status, word in _WORDS)
        return f"<PilotReview: {len(self.table)} pilot items, {counts}>"

    def summary(self) -> str:
        """The page: a row per item, and a sentence for each thing that is wrong."""
        shown = self.table.drop(columns="why").round(3).to_string()
        words = [f"{item}: {why}" for item, why in self.table["why"].items() if why]
        return "\n".join([repr(self)[1:-1], "", shown, "", *words])

    def _repr_html_(self) -> str:
        """For notebooks."""
        return f"<p><strong>{html.escape(repr(self)[1:-1])}</strong></p>{self.table.round(3).to_html()}"


def review_pilot(
    responses: pd.DataFrame | ResponseMatrix,
    operational: Source,
    *,
    pilot: Sequence[str],
    model: str | Mapping[str, str] = "2PL",
    group: ArrayLike | None = None,
    sets: Mapping[str, str] | None = None,
    priors: Mapping[str, ParameterPrior] | None = None,
    rules: PilotRules | None = None,
) -> PilotReview:
    """Look at every pilot item that has reached a look, and say whether it may count.

    Parameters
    ----------
    responses : DataFrame (persons x items) or ResponseMatrix
        Operational and pilot items, persons in the order in which they answered.
    operational : ItemParameters, ParameterSet or calibration
        Parameters on the scale; those of items among the responses are held fixed.
    pilot : sequence of str
        The pilot items; columns that are neither pilot nor operational are left aside.
    model : str or mapping
        Of the pilot items. A dichotomous model for an item of more points
        becomes GPCM.
    group : array (N,), optional
        Labels of two or more groups, such as languages: the largest is compared
        with each other one.
    sets : mapping, optional
        Item -> the set it was written for; pairs within a set are always looked at.
    priors : mapping, optional
        As in `calibrate`; 3PL items need one on c.
    rules : PilotRules, optional

    Raises
    ------
    InvalidResponses
        A pilot item is not among the responses, or no operational item is.
    InvalidParameters
        A pilot item has published parameters already.

    Examples
    --------
    >>> from assess.irt import ItemParameters, simulate
    >>> rng = np.random.default_rng(3)
    >>> names = [f"i{j}" for j in range(13)]
    >>> bank = ItemParameters(names, "2PL", np.full(13, 1.2), np.linspace(-1.5, 1.5, 13)[:, None])
    >>> data = pd.DataFrame(simulate(bank, rng.standard_normal(600), rng), columns=names)
    >>> review_pilot(data, bank.take([*names[:6], *names[7:]]), pilot=["i6"]).with_status("passes")
    ('i6',)
    """
    rules = rules or PilotRules()
    fixed, _ = resolved(operational, None)
    matrix = as_matrix(responses)
    _check(matrix, fixed, pilot)
    anchors = [item for item in matrix.item_ids if item in fixed.position]
    matrix = matrix.take_items([*anchors, *pilot])
    labels = None if group is None else np.asarray(group)
    if labels is not None and labels.shape != (matrix.n_persons,):
        raise InvalidResponses(f"group has shape {labels.shape}; give one label per person")
    given = {item: np.flatnonzero(_scored(matrix, item) >= 0) for item in pilot}
    counts = {item: len(rows) for item, rows in given.items()}
    models = {item: _model(matrix, item, model) for item in pilot}
    rows: dict[str, dict[str, Any]] = {
        item: {"model": models[item], "n": counts[item], "status": "collecting", "why": ""} for item in pilot
    }
    found: dict[str, Estimate] = {}
    for look in rules.looks:
        due = [
            item
            for item in pilot
            if item not in found and counts[item] >= look and look >= rules.least(models[item])
        ]
        due = [item for item in due if _varies(matrix, item, given[item][:look], rows[item], look)]
        if not due:
            continue
        part = _up_to(matrix.take_items([*anchors, *due]), given, due, look)
        calibration = _calibrated(part, fixed.take(anchors), models, due, priors)
        facts = Evidence(part, calibration, fixed.take(anchors), rules, labels, sets or {})
        for item in due:
            row = rows[item] | {"look": look} | facts.precision(item)
            short = facts.too_vague(row)
            rows[item] = row | {"why": "; ".join(short)}
            if not short:
                row |= facts.gate(item)
                wrong = row.pop("wrong")
                rows[item] = row | {"status": "fails" if wrong else "passes", "why": "; ".join(wrong)}
                found[item] = facts.estimate(item)
            elif look == rules.looks[-1]:
                rows[item] |= {"status": "fails"}
    passing = [item for item in pilot if rows[item]["status"] == "passes"]
    columns = [
        "model", "n", "look", "b", "se_b", "a", "se_log_a", "least_category", "fit_p", "dif", "drift",
        "drift_z", "q3_excess", "status", "why",
    ]  # fmt: skip
    table = pd.DataFrame([rows[item] for item in pilot], index=pd.Index(list(pilot), name="item"))
    records = [found[item].record for item in passing]
    return PilotReview(
        table.reindex(columns=columns),
        ItemParameters.from_records(records) if records else None,
        {item: found[item].errors for item in passing},
        {item: found[item].correlations for item in passing},
        rules,
        tuple(anchors),
    )


# --- inside -----------------------------------------------------------------


def _check(matrix: ResponseMatrix, fixed: ItemParameters, pilot: Sequence[str]) -> None:
    if not pilot or len(set(pilot)) != len(pilot):
        raise InvalidResponses(f"pilot items are {list(pilot)[:6]}; name at least one, each once")
    for item in pilot:
        if item not in matrix.item_ids:
            raise InvalidResponses(f"pilot item {item!r} is not among the responses; nobody was shown it")
        if item in fixed.position:
            raise InvalidParameters(f"pilot item {item!r} has published parameters; it counts already")
    if not any(item in fixed.position for item in matrix.item_ids):
        raise InvalidResponses(
            "no operational item with published parameters is among the responses, so there is no scale to "
            "calibrate the pilot items on"
        )


def _scored(matrix: ResponseMatrix, item: str) -> NDArray[np.int8]:
    return matrix.take_items([item]).recode()[:, 0]


def _model(matrix: ResponseMatrix, item: str, model: str | Mapping[str, str]) -> str:
    word = model if isinstance(model, str) else model[item]
    if word == "NRM":
        raise InvalidParameters(f"pilot item {item!r} is NRM, which has no location; say GPCM or GRM")
    several = int(matrix.n_categories[matrix.item_ids.index(item)]) > 2
    if several and word in ("Rasch", "1PL", "2PL", "3PL", "4PL"):
        return "PCM" if word == "Rasch" else "GPCM"
    return word


def _varies(matrix: ResponseMatrix, item: str, first: IntArray, row: dict[str, Any], look: int) -> bool:
    """Whether the first responses hold two categories or more; else nothing can be estimated."""
    seen = np.unique(_scored(matrix, item)[first])
    if len(seen) < 2:
        row |= {"look": look, "why": f"all of the first {look} responses are category {seen[0]}"}
    return len(seen) > 1


def _up_to(
    matrix: ResponseMatrix, given: Mapping[str, IntArray], due: Sequence[str], look: int
) -> ResponseMatrix:
    """The responses with those to the due items cut off after the look."""
    values = matrix.categories.copy()
    for item in due:
        values[given[item][look:], matrix.item_ids.index(item)] = NOT_ADMINISTERED
    return ResponseMatrix(values, matrix.person_ids, matrix.item_ids, matrix.n_categories)


def _calibrated(
    part: ResponseMatrix,
    anchors: ItemParameters,
    models: Mapping[str, str],
    due: Sequence[str],
    priors: Mapping[str, ParameterPrior] | None,
) -> Calibration:
    words = dict(zip(anchors.item_ids, anchors.models, strict=True)) | {item: models[item] for item in due}
    with warnings.catch_warnings():
        # A category nobody used is refused below by its count; non-convergence is said of each item.
        warnings.simplefilter("ignore", DataWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        return calibrate(
            part, words, anchors=anchors, priors=None if priors is None else dict.fromkeys(due, priors)
        )
