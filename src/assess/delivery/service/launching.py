"""The launch gate: what is known of a form's errors before it is live, and whether that is good enough.

A form that states a target goes live on a study that meets it, or on an
exception that two persons sign. What was found, and who excepted from what and
why, is evidence of the activation for as long as it is kept.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from assess.delivery.service.context import Scope, Services
from assess.delivery.store import reading
from assess.delivery.store.rows import StoredRelease
from assess.errors import ActivationRefused, Forbidden, InvalidRequest
from assess.session import Release, require_unseen
from assess.simulation import DesignOptions, confirmation_study, design, form_accuracy

# Enough for a curve with standard errors of 0.03; the accuracy itself is studied with more.
_DESIGN = DesignOptions(n=1_000, n_at=200)
# A rate of 0.05 then has a standard error of 0.007.
_CONFIRMED = 1_000
# Computed here alone: what a caller brings under these names would be its own opinion of its form.
_OURS = ("confirmation", "design", "target")


async def evidence_for(
    services: Services,
    scope: Scope,
    stored: StoredRelease,
    evidence: Mapping[str, Any] | None,
    *,
    exception: str | None,
    approved_by: str | None,
) -> dict[str, Any] | None:
    """The evidence of an activation: what was brought, and the study of a calibrated form.

    Parameters
    ----------
    exception : str, optional
        Why the form goes live although its target is not met.
    approved_by : str, optional
        Who signs the exception beside the actor.

    Raises
    ------
    ActivationRefused
        The form does not meet its target, and nobody excepts it; or a confirming form cannot count on
        unseen items.
    Forbidden
        An exception without a second person.
    InvalidRequest
        An exception where there is nothing to except from.
    """
    given = {name: value for name, value in (evidence or {}).items() if name not in _OURS}
    if stored.kind != "form":
        _refuse_exception(exception, f"{stored.name} is no form")
        return given or None
    release = await asyncio.to_thread(Release.from_document, json.loads(stored.document), stored.sha256)
    if release.form.confirms is not None:
        _refuse_exception(exception, f"{release.form.reference} states no target")
        live = (await services.catalogue.shelf(scope.tenant)).forms
        firsts = [live[form] for form in release.form.confirms.forms if form in live]
        await asyncio.to_thread(require_unseen, release, firsts)
        # Accuracy is that of a decision, and a confirmation decides nothing.
        given.pop("accuracy", None)
        return given | {"confirmation": await asyncio.to_thread(_confirmations, release, firsts)}
    if release.form.target is None:
        _refuse_exception(exception, f"{release.form.reference} states no target")
        if "accuracy" not in given:
            known = (await services.store.read(reading.accuracies, scope.tenant)).get(stored.sha256)
            if known is None and release.calibrated:
                known = await asyncio.to_thread(_accuracy, release)
            if known is not None:
                given["accuracy"] = known
        return given or None
    given.pop("accuracy", None)
    given |= await asyncio.to_thread(_studied, release)
    missed = given["target"]["missed"]
    if not missed:
        _refuse_exception(exception, f"{release.form.reference} meets its target")
    elif exception is None or not exception.strip():
        raise ActivationRefused(
            f"{release.form.reference} does not meet its target: {'; '.join(missed)}. "
            "Change the form, or say why it goes live all the same (exception) and who agrees (approved_by)"
        )
    elif not scope.is_another(approved_by):
        raise Forbidden(
            f"{release.form.reference}: an exception from the target needs another person than {scope.actor}",
            code="role_not_allowed",
        )
    else:
        given["target"] |= {"exception": exception.strip(), "by": scope.actor, "approved_by": approved_by}
    return given


def _refuse_exception(exception: str | None, why: str) -> None:
    if exception is not None:
        raise InvalidRequest(f"there is nothing to except from: {why}", path="exception")


def _rng(release: Release) -> np.random.Generator:
    """The same release gets the same study on every machine."""
    return np.random.default_rng(int(release.sha256, 16))


def _accuracy(release: Release) -> dict[str, Any]:
    return form_accuracy(release, _rng(release)).to_mapping()


def _confirmations(release: Release, firsts: list[Release]) -> list[dict[str, Any]]:
    """The error rates of a confirming form, for each of the forms that it confirms."""
    rng = _rng(release)
    return [confirmation_study(release, first, rng, n=_CONFIRMED).to_mapping() for first in firsts]


def _studied(release: Release) -> dict[str, Any]:
    """Accuracy, design and what the target misses; judged parameters have no accuracy and miss it all."""
    target = release.form.target
    assert target is not None
    asked = target.to_mapping()
    if not release.calibrated:
        missed = ["its judged parameters have no accuracy that could be defended"]
        return {"target": {"asked": asked, "missed": missed}}
    accuracy = _accuracy(release)
    found = design(release, _rng(release), options=_DESIGN)
    kept = {name: value for name, value in found.to_mapping().items() if name != "missed"}
    return {
        "accuracy": accuracy,
        "design": kept,
        "target": {"asked": asked, "missed": target.missed(accuracy)},
    }
