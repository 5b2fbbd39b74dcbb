"""Open Badges from eligibilities: given out once on the same ground, and answered for as long as it stands.

A credential is a statement that a learner meets the rule of a badge. Its bit in
a status list is computed when the list is asked for, from what was last told of
the learner, so a lost ground needs no second act.
"""

from __future__ import annotations

import base64
import json
import secrets
from datetime import datetime, timedelta
from typing import Any

from assess.delivery import schemas
from assess.delivery.security import new_id
from assess.delivery.service import learners
from assess.delivery.service.catalogue import Programme, Shelf, pick
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.judging import badge_at
from assess.delivery.service.loading import again
from assess.delivery.service.standing import Moment
from assess.delivery.store import Writes, reading_badges
from assess.delivery.store.reading import LearnerRecords
from assess.delivery.store.reading_badges import Standing
from assess.delivery.store.rows_badges import Credential
from assess.errors import InvalidRequest, LearnerErased, NotEligible, NotFound
from assess.exchange import open_badges
from assess.standards import frameworks
from assess.standards.records import canonical_json, sha256

LIST_LASTS = timedelta(days=1)
_PURPOSES = {"suspend": "suspension", "withdraw": "revocation", "keep": "revocation"}
# What is not settled suspends too; a badge that ran out says so itself.
_SUSPENDED = ("not_eligible", "undetermined")


async def credential(services: Services, scope: Scope, *, learner: str, badge: str) -> schemas.OpenBadge:
    """`GET /v1/learners/{learner}/badges/{badge}/credential`: the same one again on the same ground.

    Raises
    ------
    NotFound
        The learner or the badge.
    Forbidden
        The learner is private.
    NotEligible
        The rule is not met now.
    InvalidRequest
        The installation has no public address under which the credential could be verified.
    """
    learners.require_reader(scope, learner)
    return await again(lambda: _credential(services, scope, learner, badge), retries=20)


async def _credential(services: Services, scope: Scope, learner: str, badge: str) -> schemas.OpenBadge:
    base = _base(services)
    records = await learners.records(services, scope, learner)
    learners.require_visible(scope, records.learner)
    shelf = await services.catalogue.shelf(scope.tenant)
    programme = shelf.programme_of_badge(badge)
    now = services.clock().replace(microsecond=0)
    body = badge_at(records, shelf, badge, Moment.at(services.clock()))
    if body.status != "eligible":
        raise NotEligible(f"badge {badge}: {body.status}; {body.sentence}")
    purpose = _PURPOSES[programme.on_loss]
    losses = [c.sequence for c in records.changes if c.badge == badge and c.current == "not_eligible"]
    ground = {
        # What was revoked is not given out again.
        "after": max(losses, default=0) if purpose == "revocation" else 0,
        "issuer": base,
        "rule_version": body.badge.rule_version,
        "valid_until": body.valid_until,
        "evidence": sorted(f"{e.type} {e.id} {e.record_sha256}" for e in body.evidence),
    }
    basis = sha256(canonical_json(ground))
    known = await services.store.read(
        reading_badges.credential_on, scope.tenant, records.learner.id, badge, basis
    )
    if known is not None:
        return _reply(services, known)
    number = await services.store.read(reading_badges.count_credentials, scope.tenant)
    # Half of a list at most is given out, so that a free place is found by lot.
    which, place = number // (open_badges.PLACES // 2), secrets.randbelow(open_badges.PLACES)
    made = new_id("crd")
    document = open_badges.achievement_credential(
        id=f"{base}/v1/open-badges/credentials/{made}",
        issuer=open_badges.Issuer(base, shelf.tenant.title),
        subject=f"{base}/v1/learners/{records.learner.id}",
        badge=_described(base, programme, badge, sandbox=records.learner.sandbox),
        results=_results(records, shelf, body),
        issued_at=now,
        valid_until=None if body.valid_until is None else datetime.fromisoformat(body.valid_until),
        status=open_badges.place_in_list(_list_url(base, purpose, which), purpose, place),
    )
    row = Credential(
        tenant=scope.tenant,
        id=made,
        learner=records.learner.id,
        badge=badge,
        basis_sha256=basis,
        purpose=purpose,
        list=which,
        place=place,
        token=services.statements.jws(open_badges.registered_claims(document), kind="JWT"),
        issued_at=now,
        sequence=body.sequence,
        sandbox=records.learner.sandbox,
    )
    await services.store.commit(Writes(scope.tenant, inserts=(row,)))
    return _reply(services, row)


async def status_list(services: Services, *, purpose: str, which: int) -> str:
    """`GET /v1/open-badges/status/{purpose}/{which}`: the signed list, for everybody.

    Raises
    ------
    NotFound
        No credential was given out in it.
    """
    base, tenant, now = _base(services), services.settings.tenant, services.clock()
    found = await services.store.read(reading_badges.standing, tenant, which=which)
    if purpose not in _PURPOSES.values() or not found:
        raise NotFound("status_list", f"{purpose}/{which}")
    kept = await _kept(services)
    shelf = await services.catalogue.shelf(tenant)
    document = open_badges.status_list(
        url=_list_url(base, purpose, which),
        issuer=open_badges.Issuer(base, shelf.tenant.title),
        purpose=purpose,
        places=[one.place for one in found if one.purpose == purpose and _lost(one, kept)],
        now=now,
        valid_until=now + LIST_LASTS,
    )
    return services.statements.jws(open_badges.registered_claims(document), kind="JWT")


async def _kept(services: Services) -> frozenset[str]:
    """Badges that stay with whoever was given them, whatever happens."""
    shelf = await services.catalogue.shelf(services.settings.tenant)
    keeping = [programme for programme in shelf.programmes.values() if programme.on_loss == "keep"]
    return frozenset(badge for programme in keeping for badge in programme.rules.badges)


def _lost(found: Standing, kept: frozenset[str]) -> bool:
    """Whether a credential was taken back."""
    if found.status == "erased":
        return True
    if found.badge in kept:
        return False
    # A revocation is for good, whatever is met again later; a suspension is lifted.
    return found.was_lost if found.purpose == "revocation" else found.status in _SUSPENDED


async def token(services: Services, id: str) -> str:
    """`GET /v1/open-badges/credentials/{credential}`: the credential at its own address."""
    tenant = services.settings.tenant
    row = await services.store.read(reading_badges.credential, tenant, id)
    if row is None:
        raise NotFound("credential", id)
    (found,) = await services.store.read(reading_badges.standing, tenant, id=id)
    if found.status == "erased":
        raise LearnerErased("the learner was erased")
    return row.token


# --- Open Badges 2.0, hosted ---------------------------------------------------------------


async def assertion(services: Services, id: str) -> tuple[dict[str, Any], bool]:
    """`GET /v1/open-badges/2/assertions/{credential}`: the assertion, and whether it still stands."""
    tenant = services.settings.tenant
    row = await services.store.read(reading_badges.credential, tenant, id)
    if row is None:
        raise NotFound("credential", id)
    (found,) = await services.store.read(reading_badges.standing, tenant, id=id)
    if _lost(found, await _kept(services)):
        return {
            "@context": open_badges.OPEN_BADGES_2,
            "id": _assertion_url(services, id),
            "revoked": True,
        }, False
    return _assertion(services, row), True


async def badge_class(services: Services, badge: str) -> dict[str, Any]:
    """`GET /v1/open-badges/2/badges/{badge}`."""
    base = _base(services)
    shelf = await services.catalogue.shelf(services.settings.tenant)
    programme = shelf.programme_of_badge(badge)
    return open_badges.badge_class(
        _described(base, programme, badge, sandbox=False),
        url=f"{base}/v1/open-badges/2/badges/{badge}",
        issuer_url=f"{base}/v1/open-badges/2/issuer",
    )


async def issuer(services: Services) -> dict[str, Any]:
    """`GET /v1/open-badges/2/issuer`."""
    base = _base(services)
    shelf = await services.catalogue.shelf(services.settings.tenant)
    named = open_badges.Issuer(base, shelf.tenant.title)
    return open_badges.issuer_profile(named, url=f"{base}/v1/open-badges/2/issuer")


# --- from rows to documents -------------------------------------------------------------------


def _base(services: Services) -> str:
    base = services.settings.public_url
    if not base:
        raise InvalidRequest(
            "this installation does not know its own address, under which a badge is verified: "
            "set ASSESS_PUBLIC_URL",
            path="ASSESS_PUBLIC_URL",
        )
    return base


def _list_url(base: str, purpose: str, which: int) -> str:
    return f"{base}/v1/open-badges/status/{purpose}/{which}"


def _assertion_url(services: Services, id: str) -> str:
    return f"{_base(services)}/v1/open-badges/2/assertions/{id}"


def _described(base: str, programme: Programme, badge: str, *, sandbox: bool) -> open_badges.Badge:
    rule, document = programme.rules.badges[badge], programme.badge_document(badge)
    title = document.get("title", badge)
    name = pick(title, "en") if isinstance(title, dict) else str(title)
    image = str(document.get("image") or "")
    return open_badges.Badge(
        id=f"{base}/badges/{badge}",
        name=f"Sandbox: {name}" if sandbox else name,
        language="en",
        version=rule.version,
        description=rule.criterion or f"{name}, {pick(programme.title, 'en')}",
        criteria=rule.criterion or rule.reading or name,
        criteria_url=f"{base}/badges/{badge}",
        image=image if image.startswith("https://") else f"{base}/static/mark.svg",
        alignments=[_aligned(base, badge, entry) for entry in document.get("alignments", ())],
    )


def _aligned(base: str, badge: str, entry: dict[str, Any]) -> open_badges.Aligned:
    name, version, code = entry["framework"], str(entry["version"]), str(entry["code"])
    text, title = code, f"{name} {version}"
    if (name, version) in frameworks.available():
        framework = frameworks.load(name, version)
        title = framework.title
        competency = next((c for c in framework.competencies if c.code == code), None)
        text = code if competency is None else f"{code} {competency.title or competency.text}"
    # The frameworks have no address for each of their codes; ours names all codes of the badge.
    return open_badges.Aligned(framework=title, code=code, name=text, url=f"{base}/badges/{badge}")


def _results(
    records: LearnerRecords, shelf: Shelf, body: schemas.BadgeEligibility
) -> list[open_badges.CourseResult]:
    """What the decisions say on which the eligibility rests."""
    decisions = {row.id: row for row in records.decisions}
    found = []
    for evidence in body.evidence:
        if evidence.type != "decision" or evidence.course is None:
            continue
        title = pick(shelf.course(evidence.course).title, "en")
        row = decisions.get(evidence.id)
        score = {} if row is None else row.report.get("score") or {}
        cut = {} if row is None else row.report.get("cut") or {}
        found.append(
            open_badges.CourseResult(
                course=evidence.course,
                title=title,
                provisional=row is not None and row.provisional,
                value=score.get("value"),
                minimum=score.get("min"),
                maximum=score.get("max"),
                cut=cut.get("value"),
                record_sha256=evidence.record_sha256,
            )
        )
    return found


def _document(row: Credential) -> dict[str, Any]:
    """The credential as it was signed."""
    payload = row.token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found


def _assertion(services: Services, row: Credential) -> dict[str, Any]:
    document, base = _document(row), _base(services)
    until = document.get("validUntil")
    return open_badges.assertion(
        id=_assertion_url(services, row.id),
        badge_url=f"{base}/v1/open-badges/2/badges/{row.badge}",
        recipient=document["credentialSubject"]["id"],
        salt=row.id,
        issued_at=row.issued_at,
        valid_until=None if until is None else datetime.fromisoformat(until),
        evidence=document.get("evidence", ()),
    )


def _reply(services: Services, row: Credential) -> schemas.OpenBadge:
    document = _document(row)
    until = document.get("validUntil")
    return schemas.OpenBadge(
        id=row.id,
        learner=row.learner,
        badge=row.badge,
        sandbox=row.sandbox,
        issued_at=row.issued_at,
        valid_until=None if until is None else datetime.fromisoformat(until),
        credential=row.token,
        status_list=document["credentialStatus"]["statusListCredential"],
        assertion=_assertion(services, row),
    )
