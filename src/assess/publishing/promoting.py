"""Promotion: a pilot item that passed its gate counts from then on, when a second person says so."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from assess.errors import InvalidContent, InvalidParameters, PublishRefused
from assess.irt.models import ItemParameters, ParameterSet
from assess.irt.pilots import PilotReview
from assess.items import Form, Item, split_reference
from assess.publishing.banks import ItemBank
from assess.publishing.calibrated import current_scale, newest_parameters
from assess.publishing.publication import Planned, form_documents, parameter_document
from assess.standards import frameworks

SCHEMA = "assess.pilot/1"
_DIGITS = 6


def pilot_record(
    review: PilotReview,
    *,
    course: str,
    parameter_set: ParameterSet,
    sample: Mapping[str, Any],
    data_sha256: str,
    by: str,
    now: datetime,
) -> dict[str, Any]:
    """A review as the document that a second person reads, and that `plan_promotion` takes.

    Parameters
    ----------
    sample : mapping
        Where the responses come from.
    data_sha256 : str
        Of the responses.
    by : str
        Who reviewed.
    """
    items = [] if review.parameters is None else review.parameters.to_records()
    return {
        "schema": SCHEMA,
        "course": course,
        "parameter_set": parameter_set.id,
        "scale": parameter_set.scale.id,
        "reviewed_by": by,
        "reviewed_at": now.isoformat(timespec="seconds"),
        "sample": dict(sample),
        "data_sha256": data_sha256,
        "rules": {name: getattr(review.rules, name) for name in review.rules.__slots__},
        "anchors": list(review.anchors),
        "table": {
            str(item): {name: _plain(value) for name, value in row.items()}
            for item, row in review.table.to_dict("index").items()
        },
        "items": items,
        "standard_errors": {item: dict(errors) for item, errors in review.errors.items()},
        "correlations": {item: list(values) for item, values in review.correlations.items()},
    }


def plan_promotion(
    bank: ItemBank,
    record: Mapping[str, Any],
    items: Sequence[str] = (),
    *,
    by: str,
    reason: str,
    now: datetime,
) -> Planned:
    """Put together what makes pilot items operational; nothing is written.

    An item in state `pilot` gets a new version that is `active` and otherwise
    the same. The newest parameter set gets a new version with their parameters
    beside all others, which stay as they are. Adaptive forms that tried the
    items out take them in; a fixed form only stops trying them out, because
    what it holds is for its author to say.

    Parameters
    ----------
    bank : ItemBank
    record : mapping
        What `pilot_record` made.
    items : sequence of str
        Some of those that pass; all unless given.
    by : str
        The second person: not the one who reviewed.
    reason : str
    now : datetime

    Raises
    ------
    PublishRefused
        The same person, no reason, an item that does not pass, another scale,
        or a review of an item that is no pilot item any more.
    """
    if record.get("schema") != SCHEMA:
        raise PublishRefused(f"this is no pilot review: schema is {record.get('schema')!r}, not {SCHEMA!r}")
    if not reason.strip() or not by.strip():
        raise PublishRefused("say who promotes and why: both are stored with the parameters")
    if by.strip().casefold() == str(record["reviewed_by"]).strip().casefold():
        raise PublishRefused(f"{by} made the review; another person must promote (--by)")
    scale = current_scale(bank)
    if scale is None or scale.id != record["scale"]:
        held = "no scale yet" if scale is None else repr(scale.id)
        raise PublishRefused(f"the review is on {record['scale']!r}, and {bank.course} has {held}")
    try:
        passing = ItemParameters.from_records(record["items"]) if record["items"] else None
    except InvalidParameters as fault:
        raise PublishRefused(f"the review cannot be read: {fault}") from None
    names = () if passing is None else passing.item_ids
    wanted = tuple(items) or names
    for item in wanted:
        if item not in names:
            row = record["table"].get(item)
            why = "is not in the review" if row is None else _why_not(row)
            raise PublishRefused(f"{item} cannot be promoted; it {why}")
    if passing is None or not wanted:
        raise PublishRefused("no pilot item passes, so there is nothing to promote")
    promoted, documents = _items(bank, wanted, record, by)
    base = newest_parameters(bank)
    parameter_set = _parameters(bank, base, passing, promoted, record, by, reason, now)
    forms = [
        _form(form, promoted, parameter_set, bank)
        for form in bank.latest_forms().values()
        if set(form.pilot) & set(promoted)
    ]
    extended = replace(
        bank,
        items={**bank.items, **{item.reference: item for item in documents.values()}},
        parameter_sets={**bank.parameter_sets, parameter_set.id: parameter_set},
        forms={**bank.forms, **{form.reference: form for form in forms}},
    )
    return Planned(
        bank=bank,
        extended=extended,
        documents={
            **{path: item.to_mapping() for path, item in documents.items()},
            **parameter_document(bank, parameter_set),
            **form_documents(forms),
        },
        forms=tuple(forms),
        parameter_set=parameter_set,
        written_by="assess pilot promote",
    )


# --- inside -----------------------------------------------------------------


def _items(
    bank: ItemBank, wanted: Sequence[str], record: Mapping[str, Any], by: str
) -> tuple[dict[str, str], dict[str, Item]]:
    """New reference of each item, and the files of those that must be written anew."""
    promoted: dict[str, str] = {}
    documents: dict[str, Item] = {}
    for reference in wanted:
        try:
            item = bank.unit_items(reference)[0]
            for alignment in item.alignments:
                frameworks.resolve(alignment)
        except InvalidContent as fault:
            raise PublishRefused(f"{reference}: {fault}") from None
        newest = max(known.version for known in bank.items.values() if known.id == item.id)
        if newest != item.version:
            raise PublishRefused(
                f"{reference} has a newer version, {item.id}.v{newest}; what was tried out is not what "
                "would count"
            )
        if item.state == "active":
            promoted[reference] = reference
            continue
        if item.state != "pilot":
            raise PublishRefused(f"{reference} is {item.state}; only a pilot item is promoted")
        notes = {"promoted_from": reference, "promoted_by": by, "reviewed_by": record["reviewed_by"]}
        active = replace(item, version=newest + 1, state="active", notes={**item.notes, **notes})
        promoted[reference] = active.reference
        documents[f"items/{active.reference}.yaml"] = active
    return promoted, documents


def _parameters(
    bank: ItemBank,
    base: ParameterSet,
    passing: ItemParameters,
    promoted: Mapping[str, str],
    record: Mapping[str, Any],
    by: str,
    reason: str,
    now: datetime,
) -> ParameterSet:
    """The newest set with the promoted items beside all that it had."""
    set_id = split_reference(base.id)[0]
    versions = [
        split_reference(name)[1] for name in bank.parameter_sets if split_reference(name)[0] == set_id
    ]
    added = [
        {name: round(v, _DIGITS) if isinstance(v, float) else v for name, v in row.items()}
        | {"item": promoted[str(row["item"])]}
        for row in passing.take(promoted).to_records()
    ]
    held = [row for row in base.parameters.to_records() if row["item"] not in set(promoted.values())]
    stated = dict(base.provenance)
    errors, correlations = dict(stated.get("standard_errors", {})), dict(stated.get("correlations", {}))
    for old, new in promoted.items():
        errors[new] = {name: round(value, 4) for name, value in record["standard_errors"][old].items()}
        if record["correlations"].get(old):
            correlations[new] = [round(r, 3) for r in record["correlations"][old]]
    return ParameterSet(
        id=f"{set_id}.v{max(versions) + 1}",
        course=bank.course,
        scale=base.scale,
        parameters=ItemParameters.from_records([*held, *added]),
        status="calibrated",
        provenance=stated
        | {
            "published_by": by,
            "published_at": now.isoformat(timespec="seconds"),
            "reason": reason,
            "extends": base.id,
            "promoted": {new: old for old, new in promoted.items()},
            "pilot_review": {
                "by": record["reviewed_by"],
                "at": record["reviewed_at"],
                "data_sha256": record["data_sha256"],
                "parameter_set": record["parameter_set"],
                "table": {item: record["table"][item] for item in promoted},
            },
            "standard_errors": errors,
            "correlations": correlations,
        },
    )


def _form(form: Form, promoted: Mapping[str, str], parameter_set: ParameterSet, bank: ItemBank) -> Form:
    """The next version of a form that tried the items out."""
    newest = max(known.version for known in bank.forms.values() if known.id == form.id)
    pilot = tuple(item for item in form.pilot if item not in promoted)
    taken = [promoted[item] for item in form.pilot if item in promoted]
    adaptive = (
        form.kind == "adaptive" and bank.parameter_sets[form.parameter_set].scale == parameter_set.scale
    )
    return replace(
        form,
        version=newest + 1,
        pilot=pilot,
        pilot_slots=min(form.pilot_slots, len(pilot)),
        units=(*form.units, *(u for u in taken if u not in form.units)) if adaptive else form.units,
        parameter_set=parameter_set.id if adaptive else form.parameter_set,
    )


def _why_not(row: Mapping[str, Any]) -> str:
    if row["status"] == "collecting":
        return f"still collects responses ({row['n']} so far)" + (f": {row['why']}" if row["why"] else "")
    return f"fails: {row['why']}"


def _plain(value: Any) -> Any:
    """JSON has no word for nan."""
    if isinstance(value, float):
        return round(value, _DIGITS) if math.isfinite(value) else None
    return value.item() if hasattr(value, "item") else value
