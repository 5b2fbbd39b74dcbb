"""Publish a calibration: new files of a bank, and nothing changed for any learner.

The first calibration founds the course's scale: its reference group has mean 0
and standard deviation 1 from then on, and the cut is derived anew from what
was judged. Every later one lives on that scale, where the cut stays as it is:
the standard does not move because the items are estimated again. Everything is
put together and resolved in memory first; only what would pass activation is
written.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from assess.errors import InvalidContent, PublishRefused
from assess.irt.models import ItemParameters, ParameterSet
from assess.irt.scoring import Prior
from assess.items import DecisionRule, Form, PriorSpec, split_reference
from assess.items.reading import Fields
from assess.publishing.banks import ItemBank, StoredCut
from assess.publishing.publication import (
    Planned,
    Publication,
    cut_documents,
    form_documents,
    parameter_document,
)
from assess.scale import Scale
from assess.session.release import read_cut
from assess.standard_setting import cut_from_ratings
from assess.standards import frameworks

if TYPE_CHECKING:
    from assess.irt.calibration import Calibration

_DIGITS = 6


def current_scale(bank: ItemBank) -> Scale | None:
    """The scale that a calibration founded; None while all parameters are judged."""
    scales = [found.scale for found in bank.parameter_sets.values() if found.status == "calibrated"]
    return scales[-1] if scales else None


def newest_parameters(bank: ItemBank) -> ParameterSet:
    """The parameter set published last on the scale of the course.

    Raises
    ------
    PublishRefused
        All parameters are judged, so that there is no scale.
    """
    scale = current_scale(bank)
    if scale is None:
        raise PublishRefused(
            f"{bank.course} has no calibrated parameters yet; the first calibration founds its scale"
        )
    present = [found for found in bank.parameter_sets.values() if found.scale.id == scale.id]
    return max(present, key=lambda found: str(found.provenance.get("published_at", "")))


def plan_calibration(
    bank: ItemBank,
    calibration: Calibration,
    *,
    set_id: str,
    reference_group: str,
    reason: str,
    by: str,
    now: datetime,
    scale_id: str = "",
) -> Planned:
    """Put together parameter set, cuts and forms that rest on a calibration; nothing is written.

    Parameters
    ----------
    bank : ItemBank
    calibration : Calibration
        Its items are units of the bank.
    set_id : str
        Of the new parameter set, for example ``"twt-3-2026-11"``; version 1.
    reference_group : str
        Who has mean 0 and standard deviation 1, in words; used when a scale is founded.
    reason, by : str
        Why it is published, and who read it.
    now : datetime
        When.
    scale_id : str
        The scale that the calibration lives on, when it was linked to one or
        fixed anchors; empty when it stands on its own sample.

    Raises
    ------
    PublishRefused
        Not converged, parameters that the data do not hold, an unaligned or
        unknown item, another scale, anchors that drift or were not checked, an
        id that is taken, no form that could use it, or no reason.
    CutNotFound
        The judged ratings lead to no cut on these parameters.
    """
    _require_sound(bank, calibration, set_id, reason, by)
    scale = _scale(bank, reference_group, scale_id)
    if scale_id:
        _require_anchors(calibration)
    set_aside = _set_aside(bank, calibration)
    kept = [unit for unit in calibration.parameters.item_ids if unit not in set_aside]
    if not kept:
        raise PublishRefused(f"no unit can be published; the first: {next(iter(set_aside.items()))}")
    mean, sd = (0.0, 1.0) if scale_id else (calibration.population.mean, calibration.population.sd)
    parameter_set = ParameterSet(
        id=f"{set_id}.v1",
        course=bank.course,
        scale=scale,
        parameters=_rounded(standardised(calibration.parameters.take(kept), mean, sd)),
        status="calibrated",
        provenance=_provenance(calibration, reference_group, reason, by, now)
        | {
            "standard_errors": _standard_errors(calibration, kept, mean, sd),
            "correlations": _correlations(calibration, kept),
        },
    )
    frozen = bank.frozen
    old_forms = [
        form
        for form in bank.latest_forms().values()
        if set(form.units) <= set(kept) and not set(form.units) & frozen
    ]
    cuts = {form.cut: _cut_on_scale(bank, form.cut, parameter_set) for form in old_forms}
    derived = {stored.cut.id: stored for stored in cuts.values() if stored.cut.id not in bank.cuts}
    forms = [_next_version(bank, form, parameter_set, cuts[form.cut].cut.id) for form in old_forms]
    for form in bank.latest_forms().values():
        missing = [unit for unit in form.units if unit not in kept]
        held = [unit for unit in form.units if unit in frozen]
        if held:
            set_aside[form.reference] = f"no new version: it offers {held[0]}, which is frozen"
        elif missing:
            set_aside[form.reference] = f"no new version: {missing[0]} is not calibrated"
    if not forms:
        raise PublishRefused(f"no form of {bank.course} has all its units calibrated: {_first(set_aside)}")
    extended = replace(
        bank,
        parameter_sets={**bank.parameter_sets, parameter_set.id: parameter_set},
        cuts={**bank.cuts, **derived},
        forms={**bank.forms, **{form.reference: form for form in forms}},
    )
    return Planned(
        bank=bank,
        extended=extended,
        documents={
            **parameter_document(bank, parameter_set),
            **cut_documents(derived.values()),
            **form_documents(forms),
        },
        forms=tuple(forms),
        parameter_set=parameter_set,
        cuts=tuple(derived.values()),
        set_aside=set_aside,
        population=Prior((calibration.population.mean - mean) / sd, calibration.population.sd / sd),
        written_by="assess publish",
    )


def publish_calibration(
    bank: ItemBank,
    calibration: Calibration,
    *,
    set_id: str,
    reference_group: str,
    reason: str,
    by: str,
    now: datetime,
    scale_id: str = "",
) -> Publication:
    """Plan a publication and write it; the arguments are those of `plan_calibration`."""
    return plan_calibration(
        bank,
        calibration,
        set_id=set_id,
        reference_group=reference_group,
        reason=reason,
        by=by,
        now=now,
        scale_id=scale_id,
    ).write()


def standardised(parameters: ItemParameters, mean: float, sd: float) -> ItemParameters:
    r"""Parameters on the scale on which a population of this mean and SD has mean 0 and SD 1.

    .. math:: a' = a\,s,\qquad b' = (b - m)/s,\qquad c'_k = c_k + a_k m

    A model whose slope is fixed to one (Rasch, PCM, RSM) becomes the same
    curve with its slope written down (1PL, GPCM).

    Examples
    --------
    >>> items = ItemParameters(["i1"], "Rasch", [1.0], [[1.5]])
    >>> standardised(items, 0.5, 2.0).to_records()
    [{'item': 'i1', 'model': '1PL', 'n_categories': 2, 'a': 2.0, 'b': 0.5}]
    """
    if mean == 0.0 and sd == 1.0:
        return parameters
    free = {"Rasch": "1PL", "PCM": "GPCM", "RSM": "GPCM"}
    return ItemParameters(
        parameters.item_ids,
        [free.get(model, model) for model in parameters.models],
        parameters.slopes * sd,
        (parameters.steps - mean) / sd,
        parameters.lower,
        parameters.upper,
        parameters.category_slopes * sd,
        parameters.category_intercepts + parameters.category_slopes * mean,
    )


# --- refusals --------------------------------------------------------------


def _require_sound(bank: ItemBank, calibration: Calibration, set_id: str, reason: str, by: str) -> None:
    if not reason.strip() or not by.strip():
        raise PublishRefused("say who publishes and why: both are stored with the parameters")
    if not calibration.converged:
        raise PublishRefused(
            f"the calibration did not converge in {calibration.n_iterations} iterations; "
            "its numbers are no estimates"
        )
    if calibration.unbounded:
        raise PublishRefused(
            f"the data do not hold the parameters of {', '.join(calibration.unbounded[:3])}; "
            "calibrate without these items, or with more responses"
        )
    vague = _vague_slopes(calibration)
    if vague:
        raise PublishRefused(
            f"the slope of {vague[0]} is smaller than its own standard error; calibrate with a prior on the "
            "slopes (--slope-prior 0.5), with more responses, or without the item"
        )
    try:
        split_reference(f"{set_id}.v1")
    except InvalidContent:
        raise PublishRefused(
            f"{set_id!r} is not an id; use lower-case letters, digits and single hyphens"
        ) from None
    taken = [name for name in bank.parameter_sets if split_reference(name)[0] == set_id]
    if taken:
        raise PublishRefused(f"the id {set_id!r} is taken by {taken[0]}; choose another with --id")
    for unit in calibration.parameters.item_ids:
        try:
            items = bank.unit_items(unit)
            for item in items:
                for alignment in item.alignments:
                    frameworks.resolve(alignment)
        except InvalidContent as fault:
            raise PublishRefused(f"{unit}: {fault}") from None


def _vague_slopes(calibration: Calibration) -> list[str]:
    """Units whose slope the data hardly tell from zero or from any other."""
    frame = calibration.to_frame()
    if not {"a", "se_a"} <= set(frame.columns):
        return []
    return [str(unit) for unit in frame.index[(frame["se_a"] >= frame["a"].abs()).to_numpy()]]


def _scale(bank: ItemBank, reference_group: str, scale_id: str) -> Scale:
    present = current_scale(bank)
    if present is None:
        if scale_id:
            raise PublishRefused(f"{bank.course} has no scale yet, so nothing can live on {scale_id!r}")
        if not reference_group.strip():
            raise PublishRefused("the first calibration founds the scale: name its reference group")
        return Scale(f"{bank.course}/1", reference_group)
    if scale_id != present.id:
        said = repr(scale_id) if scale_id else "a scale of its own"
        raise PublishRefused(
            f"{bank.course} is reported on {present.id!r}, and the calibration lives on {said}; "
            "calibrate again with the published parameters as anchors"
        )
    return present


def _require_anchors(calibration: Calibration) -> None:
    """The scale is held by anchors, so they must have been looked at, and enough of them must stand."""
    drift = calibration.provenance.get("drift")
    if not drift:
        raise PublishRefused(
            "the calibration does not say whether its anchors drifted; calibrate again with "
            "`assess calibrate --anchors`, which checks them"
        )
    if drift.get("refusal"):
        raise PublishRefused(f"the scale is not held: {drift['refusal']}")


def _set_aside(bank: ItemBank, calibration: Calibration) -> dict[str, str]:
    """Units whose parameters do not cover all their categories, with the reason."""
    found: dict[str, str] = {}
    for j, unit in enumerate(calibration.parameters.item_ids):
        wanted = 1 + sum(item.n_categories - 1 for item in bank.unit_items(unit))
        estimated = int(calibration.parameters.n_categories[j])
        if wanted != estimated:
            found[unit] = f"has {wanted} categories, of which {estimated} were observed"
    return found


def _first(reasons: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {why}" for name, why in list(reasons.items())[:2]) or "there is none"


# --- the parts ---------------------------------------------------------------


def _rounded(parameters: ItemParameters) -> ItemParameters:
    """Six digits: a file that people review, far below any standard error."""
    records = [
        {key: round(value, _DIGITS) if isinstance(value, float) else value for key, value in record.items()}
        for record in parameters.to_records()
    ]
    return ItemParameters.from_records(records)


def _provenance(
    calibration: Calibration, reference_group: str, reason: str, by: str, now: datetime
) -> dict[str, Any]:
    fit = {
        "model": calibration.model,
        "n_persons": calibration.n_persons,
        "log_likelihood": round(calibration.log_likelihood, 3),
        "n_parameters": calibration.n_parameters,
        "converged": calibration.converged,
    }
    return {
        "reference_group": reference_group,
        "published_by": by,
        "published_at": now.isoformat(timespec="seconds"),
        "reason": reason,
        **fit,
        **_plain(calibration.provenance),
    }


def _standard_errors(
    calibration: Calibration, units: Sequence[str], mean: float, sd: float
) -> dict[str, dict[str, float]]:
    """Standard errors of the published parameters, where a change of scale carries them.

    Mean and SD of the reference group are taken as known: they define the
    scale. What the change mixes (the steps of an RSM, the intercepts of an
    NRM) would need covariances, and is left out.
    """
    factor = {"a": sd, "b": 1.0 / sd, "c": 1.0, "d": 1.0}
    moved = (mean, sd) != (0.0, 1.0)
    models = dict(zip(calibration.parameters.item_ids, calibration.parameters.models, strict=True))
    return {
        unit: {
            name: round(value * factor.get(name[0], 1.0), 4)
            for name, value in calibration.errors.get(unit, {}).items()
            if math.isfinite(value)
        }
        for unit in units
        if not (moved and models[unit] in ("RSM", "NRM"))
    }


def _correlations(calibration: Calibration, units: Sequence[str]) -> dict[str, list[float]]:
    """Correlations of each unit's estimates, lower triangle by rows, in the order of its standard errors.

    A change of scale by a known mean and SD moves each parameter by itself and leaves them.
    """
    if calibration.vcov_matrix is None:
        return {}
    place = {name: i for i, name in enumerate(calibration.vcov_names)}
    found = {}
    for unit in units:
        names = [name for name, value in calibration.errors.get(unit, {}).items() if math.isfinite(value)]
        rows = [place[f"{unit}.{name}"] for name in names if f"{unit}.{name}" in place]
        if len(rows) < max(2, len(names)):
            continue
        block = calibration.vcov_matrix[np.ix_(rows, rows)]
        sd = np.sqrt(np.diag(block))
        below = np.tril_indices(len(rows), -1)
        found[unit] = [round(float(r), 3) for r in (block / np.outer(sd, sd))[below]]
    return found


def _plain(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """JSON values only, without empty ones: what a content file and a release may hold."""
    plain: dict[str, Any] = {}
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            plain[str(key)] = _plain(value)
        elif isinstance(value, list | tuple):
            plain[str(key)] = [str(x) if not isinstance(x, int | float | str) else x for x in value]
        elif isinstance(value, float) and not math.isfinite(value):
            continue
        elif value is not None:
            plain[str(key)] = value if isinstance(value, bool | int | float | str) else str(value)
    return plain


def _cut_on_scale(bank: ItemBank, cut_id: str, parameter_set: ParameterSet) -> StoredCut:
    """The cut as it stands on the scale; its next version, from the same ratings, if it is not there yet."""
    stored = bank.cuts[cut_id]
    if stored.cut.scale_id == parameter_set.scale.id:
        return stored
    name = split_reference(cut_id)[0]
    versions = [other for known, other in bank.cuts.items() if split_reference(known)[0] == name]
    present = [other for other in versions if other.cut.scale_id == parameter_set.scale.id]
    if present:
        return max(present, key=lambda other: split_reference(other.cut.id)[1])
    by_unit: dict[str, float] = {}
    for unit in parameter_set.parameters.item_ids:
        items = [item.reference for item in bank.unit_items(unit)]
        if all(reference in stored.ratings for reference in items):
            by_unit[unit] = math.fsum(stored.ratings[reference] for reference in items)
    if not by_unit:
        raise PublishRefused(
            f"cut {cut_id} has no ratings of the calibrated units; a panel has to judge them"
        )
    estimate = cut_from_ratings(by_unit, parameter_set.parameters)
    newest = max(split_reference(other.cut.id)[1] for other in versions)
    document = {
        **{key: value for key, value in stored.document.items() if key not in ("se", "notes")},
        "version": newest + 1,
        "theta": round(estimate.theta, _DIGITS),
        "scale": parameter_set.scale.id,
        "notes": (
            f"Derived from the ratings of {cut_id} on {parameter_set.id}: "
            f"expected score {estimate.raw:.3f} on {estimate.n_units} units."
        ),
    }
    cut, ratings = read_cut(Fields(document, f"{name}.v{newest + 1}"))
    return StoredCut(cut, ratings, document)


def _next_version(bank: ItemBank, form: Form, parameter_set: ParameterSet, cut: str) -> Form:
    """The form on the new parameters; what it stated on another scale has no meaning here."""
    newest = max(known.version for known in bank.forms.values() if known.id == form.id)
    judged = form.rule.kind == "raw"
    same_scale = bank.parameter_sets[form.parameter_set].scale.id == parameter_set.scale.id
    return replace(
        form,
        version=newest + 1,
        parameter_set=parameter_set.id,
        cut=cut,
        rule=DecisionRule(p_pass=form.rule.p_pass, p_fail=form.rule.p_fail) if judged else form.rule,
        prior=form.prior if same_scale else PriorSpec(),
    )
