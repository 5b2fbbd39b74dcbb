"""Freeze: a unit is not offered as operational any more; every score that rests on it stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from assess.errors import AssessError, PublishRefused
from assess.items import Form
from assess.publishing.banks import Freeze, ItemBank, release_document
from assess.publishing.publication import Planned, form_documents
from assess.session.release import Release


def plan_freeze(
    bank: ItemBank,
    units: Sequence[str],
    *,
    reason: str,
    by: str,
    now: datetime,
    evidence: Mapping[str, Any] | None = None,
) -> Planned:
    """Put together the record of a freeze, and a new version of each form that goes on without the units.

    The release that is live offers a frozen unit until the new version is
    activated. A form that would miss its blueprint without it gets no new
    version and is named: it needs another item.

    Parameters
    ----------
    bank : ItemBank
    units : sequence of str
        Versioned references.
    reason, by : str
    now : datetime
    evidence : mapping, optional
        What speaks for it, such as `AnchorDrift.to_mapping()`.

    Raises
    ------
    PublishRefused
        A unit is unknown or frozen already, or no reason is given.
    """
    if not reason.strip() or not by.strip():
        raise PublishRefused("say who freezes and why: both are stored with the freeze")
    if not units:
        raise PublishRefused("name at least one unit to freeze")
    known = set(bank.items) | set(bank.case_sets)
    for unit in units:
        if unit not in known:
            raise PublishRefused(f"{unit} is neither an item nor a case set of {bank.course}")
        if unit in bank.frozen:
            raise PublishRefused(f"{unit} is frozen already")
    name = f"{bank.course}-freeze"
    freeze = Freeze(
        f"{name}.v{len(bank.freezes) + 1}",
        tuple(units),
        reason,
        by,
        now.isoformat(timespec="seconds"),
        dict(evidence or {}),
    )
    document = {
        "id": name,
        "version": len(bank.freezes) + 1,
        "units": list(units),
        "reason": reason,
        "by": by,
        "at": freeze.at,
        "evidence": freeze.evidence,
    }
    extended = replace(bank, freezes={**bank.freezes, freeze.id: freeze})
    forms: list[Form] = []
    set_aside: dict[str, str] = {}
    for form in bank.latest_forms().values():
        if not set(form.units) & extended.frozen:
            continue
        try:
            shorter = _without(form, extended.frozen)
            tried = replace(extended, forms={**extended.forms, shorter.reference: shorter})
            Release.from_document(release_document(tried, shorter.reference))
        except AssessError as fault:
            why = f"cannot go on without it, and needs another item: {fault}"
            set_aside[form.reference] = why
            continue
        forms.append(shorter)
    extended = replace(extended, forms={**bank.forms, **{form.reference: form for form in forms}})
    return Planned(
        bank=bank,
        extended=extended,
        documents={f"freezes/{freeze.id}.yaml": document, **form_documents(forms)},
        forms=tuple(forms),
        set_aside=set_aside,
        written_by="assess drift freeze",
    )


def _without(form: Form, units: frozenset[str]) -> Form:
    """The next version of a form, without some units; read again, so that every rule of forms is asked."""
    if form.multistage is not None:
        raise PublishRefused("its modules and their thresholds were made together; assemble it again")
    mapping = form.to_mapping()
    mapping["version"] = form.version + 1
    mapping["units"] = [unit for unit in form.units if unit not in units]
    if form.sections:
        parts = [
            section | {"units": [u for u in section["units"] if u not in units]}
            for section in mapping["sections"]
        ]
        mapping["sections"] = [section for section in parts if section["units"]]
    return Form.from_mapping(mapping, form.id)
