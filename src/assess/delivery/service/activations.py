"""Activation: the act that makes a release live."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from assess.delivery import schemas
from assess.delivery.service import launching, reassessing
from assess.delivery.service.catalogue import PROGRAMME_SCHEMA, Programme, Shelf
from assess.delivery.service.context import Scope, Services
from assess.delivery.store import Writes, reading
from assess.delivery.store.rows import Activation, Job, StoredRelease, Tenant, Update
from assess.errors import ActivationRefused, Forbidden, InvalidContent, InvalidRequest, NotFound, StaleSession
from assess.session import Release, require_feasible
from assess.simulation import badge_accuracy
from assess.standards.records import canonical_json, sha256

# A share has a standard error of at most 0.7 in a hundred; six courses at three correlations take seconds.
_BADGE_SIMULEES = 5_000


async def activate(
    services: Services,
    scope: Scope,
    *,
    document: Mapping[str, Any],
    reason: str,
    approved_by: str | None = None,
    evidence: Mapping[str, Any] | None = None,
    exception: str | None = None,
    frozen: Collection[str] = (),
) -> schemas.Activated:
    """Store a release or programme document and make it live.

    Parameters
    ----------
    document : mapping
        ``assess.release/1`` (a form resolved with all it pins) or ``assess.programme/1``.
    approved_by : str, optional
        Another person, where the tenant demands two.
    evidence : mapping, optional
        What speaks for it. A form that rests on calibrated parameters gets its
        `accuracy` added: how often its rule errs, by simulation, and so do the `badges` that rest on it;
        one that states a target its whole `design`, and whether the target is met.
    exception : str, optional
        Why a form goes live that does not meet its target; another person must approve.
    frozen : collection of str
        Units that the bank has frozen. They are kept as evidence, and no later activation of the course
        may offer them, by a document or by a hash.

    Raises
    ------
    InvalidContent, ScaleMismatch, InvalidRule
        The document cannot be what it says; with the place.
    ActivationRefused
        It must not go live.
    Forbidden
        A test key where the tenant is no demonstration, or no second person where the tenant demands one.
    InvalidRequest
        No reason is given.
    """
    scope.require("manage")
    try:
        text = canonical_json(document, floats=True)
        digest = sha256(text)
        kind, name, _ = _read(document, digest)
    except (KeyError, TypeError, AttributeError, RecursionError) as fault:
        said = f"{type(fault).__name__}: {fault}"
        raise InvalidContent(f"something is missing or of another kind ({said})", place="document") from fault
    stored = StoredRelease(digest, kind, name, text.decode(), services.clock())
    return await _activate(services, scope, stored, reason, approved_by, evidence, exception, frozen)


async def activate_stored(
    services: Services,
    scope: Scope,
    *,
    release: str,
    reason: str,
    approved_by: str | None = None,
    exception: str | None = None,
    frozen: Collection[str] = (),
) -> schemas.Activated:
    """`POST /v1/activations`: make a release live again that the tenant had before.

    Releases are stored once for all tenants, and learners are told the hash of
    theirs; only who has had a release may name it by its hash.
    """
    scope.require("manage")
    known = await services.store.read(reading.was_activated, scope.tenant, release)
    stored = await services.store.read(reading.release, release) if known else None
    if stored is None:
        raise NotFound("form", release)
    return await _activate(services, scope, stored, reason, approved_by, None, exception, frozen)


async def _activate(
    services: Services,
    scope: Scope,
    stored: StoredRelease,
    reason: str,
    approved_by: str | None,
    evidence: Mapping[str, Any] | None,
    exception: str | None,
    frozen: Collection[str],
) -> schemas.Activated:
    tenant = await services.store.read(reading.tenant, scope.tenant)
    if tenant is None:
        raise NotFound("tenant", scope.tenant)
    require_second_person(tenant, scope, approved_by, stored.name)
    if scope.sandbox and not tenant.demo:
        raise Forbidden(
            "a test key changes sandbox data only; this tenant is no demonstration", code="sandbox_only"
        )
    if not reason.strip():
        raise InvalidRequest("an activation needs a reason", path="reason")
    document = json.loads(stored.document)
    _, _, course = _read(document, stored.sha256)
    held = (
        set()
        if course is None
        else set(frozen) | await services.store.read(reading.frozen_units, scope.tenant, course)
    )
    if held:
        _require_offerable(stored.name, document, held)
        evidence = {**(evidence or {}), "frozen": sorted(held)}
    now = services.clock()
    activation = Activation(
        tenant=scope.tenant,
        seq=0,
        kind=stored.kind,
        name=stored.name,
        course=course,
        release=stored.sha256,
        by=scope.actor,
        approved_by=approved_by,
        reason=reason,
        evidence=await _with_badges(
            services,
            scope,
            stored,
            await launching.evidence_for(
                services, scope, stored, evidence, exception=exception, approved_by=approved_by
            ),
        ),
        at=now,
    )
    jobs: tuple[Job, ...] = ()
    if stored.kind == "programme":
        new = Programme.from_document(json.loads(stored.document))
        live = (await services.catalogue.shelf(scope.tenant)).programmes.get(new.id)
        # Not before every process judges by the new rules: whoever moves meanwhile is then told by them.
        due = now + timedelta(seconds=services.settings.refresh_seconds)
        jobs = reassessing.back_fill(scope.tenant, reassessing.changed_badges(live, new), stored.sha256, due)
    writes = Writes(scope.tenant, inserts=jobs, keep=(stored,), activations=(activation,))
    try:
        committed = await services.store.commit(writes)
    except StaleSession:
        committed = await services.store.commit(writes)
    services.catalogue.forget(scope.tenant)
    assert committed.activation is not None
    return _reply(activation, committed.activation, now)


def require_second_person(tenant: Tenant, scope: Scope, approved_by: str | None, what: str) -> None:
    """Refuse what nobody else approved, where the tenant demands two persons.

    Raises
    ------
    Forbidden
        With the code role_not_allowed.
    """
    if tenant.two_person and not scope.is_another(approved_by):
        raise Forbidden(f"{what}: another person than {scope.actor} must approve it", code="role_not_allowed")


async def _with_badges(
    services: Services, scope: Scope, stored: StoredRelease, evidence: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """The evidence, with the accuracy of the badges that rest on the form or programme.

    The same releases get the same studies again.
    """
    given = dict(evidence or {})
    shelf = await services.catalogue.shelf(scope.tenant)
    if stored.kind == "programme":
        programme = Programme.from_document(json.loads(stored.document))
        shelf = replace(shelf, programmes={**shelf.programmes, programme.id: programme})
    else:
        release = await asyncio.to_thread(Release.from_document, json.loads(stored.document), stored.sha256)
        others = {name: other for name, other in shelf.forms.items() if name != stored.name}
        shelf = replace(shelf, forms={**others, stored.name: release})
    studies = {} if "badges" in given else await asyncio.to_thread(_badge_studies, shelf)
    if studies:
        given["badges"] = studies
    return given or None


def _badge_studies(shelf: Shelf) -> dict[str, Any]:
    """The accuracy of every badge all of whose courses are calibrated, where it is not known yet."""
    found: dict[str, Any] = {}
    for programme in shelf.programmes.values():
        for badge in programme.rules.badges:
            releases = shelf.badge_releases(badge)
            if releases is None or shelf.badge_accuracy(badge) is not None:
                continue
            pinned = {course: release.sha256 for course, release in releases.items()}
            seed = sha256(canonical_json({"badge": badge, "releases": pinned}))
            rng = np.random.default_rng(int(seed, 16))
            study = badge_accuracy(programme.rules, badge, releases, rng, n=_BADGE_SIMULEES)
            found[badge] = study.to_mapping() | {"releases": pinned}
    return found


def _read(document: Mapping[str, Any], digest: str) -> tuple[str, str, str | None]:
    """Kind, name and course of a document that passes every check."""
    if document.get("schema") == PROGRAMME_SCHEMA:
        return "programme", Programme.from_document(document).id, None
    release = Release.from_document(document, digest)
    require_feasible(release)
    return "form", release.form.id, release.course.id


def _require_offerable(name: str, document: Mapping[str, Any], frozen: Collection[str]) -> None:
    offered = [unit for unit in document["form"]["units"] if unit in frozen]
    if offered:
        raise ActivationRefused(
            f"{name} offers {offered[0]}, which is frozen; activate a form that goes without it"
        )


def _reply(activation: Activation, seq: int, at: datetime) -> schemas.Activated:
    return schemas.Activated(
        sequence=seq,
        name=activation.name,
        kind=activation.kind,
        course=activation.course,
        release=activation.release,
        by=activation.by,
        approved_by=activation.approved_by,
        reason=activation.reason,
        at=at,
    )


async def set_tenant(
    services: Services,
    scope: Scope,
    *,
    title: str | None = None,
    accept_provisional: bool | None = None,
    demo: bool | None = None,
    two_person: bool | None = None,
    assigned_only: bool | None = None,
) -> None:
    """Make or change the scope's tenant; what is left out stays."""
    scope.require("manage")
    given = {
        name: value
        for name, value in (
            ("title", title),
            ("accept_provisional", accept_provisional),
            ("demo", demo),
            ("two_person", two_person),
            ("assigned_only", assigned_only),
        )
        if value is not None
    }
    known = await services.store.read(reading.tenant, scope.tenant)
    if known is None:
        row = Tenant(
            id=scope.tenant,
            title=title or "",
            accept_provisional=bool(accept_provisional),
            demo=bool(demo),
            two_person=bool(two_person),
            change_sequence=0,
            created_at=services.clock(),
            assigned_only=bool(assigned_only),
        )
        await services.store.commit(Writes(scope.tenant, inserts=(row,)))
    elif given:
        await services.store.commit(Writes(scope.tenant, (Update(Tenant, {"id": scope.tenant}, given),)))
    services.catalogue.forget(scope.tenant)
