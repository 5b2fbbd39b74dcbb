"""Learners: pseudonymous ids, who they are elsewhere, and what they agreed to."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from datetime import datetime

from msgspec import UNSET, UnsetType

from assess.delivery import schemas
from assess.delivery.security import new_id
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.standing import Moment
from assess.delivery.store import Writes, reading, reading_bulk, reading_people
from assess.delivery.store.reading import LearnerRecords
from assess.delivery.store.rows import Consent, Delete, Learner, LearnerExternalId, Stored, Update
from assess.errors import Forbidden, InvalidRequest, LearnerErased, NotFound, StaleSession


async def records(services: Services, scope: Scope, learner: str) -> LearnerRecords:
    """All that a learner's standing rests on; NotFound also for a learner of another tenant or sandbox.

    Raises
    ------
    NotFound, LearnerErased
    """
    found = await services.store.read(reading.learner_records, scope.tenant, learner)
    return await with_members(services, within(scope, learner, found))


def within(scope: Scope, learner: str, found: LearnerRecords | None) -> LearnerRecords:
    """The records, if the scope reaches them; NotFound otherwise."""
    if found is None or found.learner.sandbox != scope.sandbox:
        raise NotFound("learner", learner)
    require_not_erased(found.learner)
    return found


async def with_members(
    services: Services, records: LearnerRecords, *, known_at: datetime | None = None
) -> LearnerRecords:
    """A school's records with those of its members; anybody else's as they are."""
    if records.learner.kind != "school":
        return records
    persons = [fact.person for fact in records.facts if fact.person is not None]
    members = await services.store.read(
        reading_bulk.records_of_many, records.learner.tenant, persons, known_at=known_at
    )
    return replace(records, members=tuple(members))


async def as_known(
    services: Services, scope: Scope, learner: str, records: LearnerRecords, moment: Moment
) -> LearnerRecords:
    """The records as somebody knew them who asks what was known: merges of later days join nothing yet."""
    everybody = (records, *records.members)
    if "as_known_at" not in moment.given or all(len(r.ids) == 1 and not r.undone for r in everybody):
        return records
    found = await services.store.read(
        reading.learner_records, scope.tenant, learner, known_at=moment.as_known_at
    )
    assert found is not None
    return await with_members(services, found, known_at=moment.as_known_at)


def require_reader(scope: Scope, learner: str) -> None:
    """Refuse unless the scope reads status, or is this learner's own page."""
    if scope.learner == learner and scope.session is None:
        return
    scope.require("read-status")


def require_visible(scope: Scope, learner: Learner) -> None:
    """Refuse to tell about somebody private, unless to themselves or to those who manage the data.

    Raises
    ------
    Forbidden
        With the code consent_missing: a student is private until somebody says otherwise.
    """
    if learner.private and scope.learner != learner.id and "manage" not in scope.rights:
        raise Forbidden(f"{learner.id!r} is private, and nobody agreed to be seen", code="consent_missing")


def require_known(scope: Scope, learner: Learner) -> None:
    """Refuse what says who somebody private is, or what they do; who delivers to learners must know them.

    Raises
    ------
    Forbidden
        With the code consent_missing.
    """
    if scope.learner is None and "deliver" not in scope.rights:
        require_visible(scope, learner)


async def upsert(
    services: Services,
    scope: Scope,
    *,
    id: str,
    external_ids: list[schemas.ExternalId] | UnsetType = UNSET,
    locale: str | UnsetType | None = UNSET,
    kind: str | None = None,
    private: bool | None = None,
    region: str | None = None,
) -> tuple[schemas.LearnerReply, bool]:
    """`PUT /v1/learners/{id}`: the learner, and whether it is new. What is not said stays as it is.

    Parameters
    ----------
    external_ids : list, optional
        All of them: they take the place of those known, and an empty list takes them away.
    locale : str, optional
        None takes it away.
    kind : str, optional
        person, student or school; it is said when the learner is made known and does not change.
    private : bool, optional
        A student is private unless this says no; anybody else only if it says yes.
    region : str, optional
        A coarse place for counts.

    Raises
    ------
    Forbidden
        The id belongs to the other of live data and sandbox.
    InvalidRequest
        An external id belongs to another learner, or is listed twice; or the learner is of another kind.
    """
    scope.require("deliver", "manage")
    about = _About(locale, kind, private, region)
    try:
        return await _upsert(services, scope, id, external_ids, about)
    except StaleSession:
        return await _upsert(services, scope, id, external_ids, about)


@dataclass(frozen=True, slots=True)
class _About:
    """What a request says about a learner besides names; None, or UNSET, is what it does not say."""

    locale: str | UnsetType | None
    kind: str | None
    private: bool | None
    region: str | None

    def changes(self, known: Learner) -> dict[str, object]:
        """What is said anew about a learner who is known.

        Raises
        ------
        InvalidRequest
            Another kind: decisions and facts were recorded for what the learner is.
        """
        if self.kind is not None and self.kind != known.kind:
            raise InvalidRequest(f"{known.id!r} is a {known.kind}, and stays one", path="kind")
        said = {"private": self.private, "region": self.region}
        found: dict[str, object] = {name: value for name, value in said.items() if value is not None}
        return found if self.locale is UNSET else {"locale": self.locale, **found}


async def _upsert(
    services: Services,
    scope: Scope,
    id: str,
    external_ids: list[schemas.ExternalId] | UnsetType,
    about: _About,
) -> tuple[schemas.LearnerReply, bool]:
    now = services.clock()
    known = await services.store.read(reading.learner, scope.tenant, id)
    if known is not None and known.sandbox != scope.sandbox:
        kind = "the sandbox" if known.sandbox else "live data"
        raise Forbidden(f"learner {id!r} belongs to {kind}; this key does not reach it", code="sandbox_only")
    if known is not None:
        require_not_erased(known)
    pairs = [] if external_ids is UNSET else [(e.issuer, e.subject) for e in external_ids]
    person = await services.store.read(reading_people.who, scope.tenant, id)
    merged: set[tuple[str, str]] = set()
    for index, (issuer, subject) in enumerate(pairs):
        other = await services.store.read(reading.external_id, scope.tenant, issuer, subject)
        if pairs.index((issuer, subject)) != index:
            raise InvalidRequest(f"{issuer} {subject!r} is listed twice", path=f"external_ids[{index}]")
        if other is not None and other.learner not in (id, *person.ids):
            raise InvalidRequest(
                f"{issuer} {subject!r} belongs to another learner", path=f"external_ids[{index}]"
            )
        if other is not None and other.learner != id:
            # It came with a record that was merged, and stays with that one: the merge may be undone.
            merged.add((issuer, subject))
    rows: list[Stored] = []
    updates: tuple[Update, ...] = ()
    deletes: tuple[Delete, ...] = ()
    if known is None:
        kind = about.kind or "person"
        private = kind == "student" if about.private is None else about.private
        locale = None if about.locale is UNSET else about.locale
        rows.append(
            Learner(
                scope.tenant, id, locale, scope.sandbox, version=1, created_at=now,
                kind=kind, private=private, region=about.region,
            )
        )  # fmt: skip
    else:
        said = about.changes(known)
        if said:
            updates = (Update(Learner, {"tenant": scope.tenant, "id": id}, said),)
        if external_ids is not UNSET:
            # An office's roster wrote them, and an application that says nothing of them must not lose them.
            deletes = (Delete(LearnerExternalId, {"tenant": scope.tenant, "learner": id}),)
    rows += [
        LearnerExternalId(scope.tenant, issuer, subject, id)
        for issuer, subject in pairs
        if (issuer, subject) not in merged
    ]
    await services.store.commit(Writes(scope.tenant, updates, deletes, tuple(rows)))
    return await get(services, scope, id), known is None


def require_not_erased(learner: Learner) -> None:
    """Refuse for a learner who was erased."""
    if learner.erased_at is not None:
        raise LearnerErased(f"learner {learner.id!r} was erased")


async def get(services: Services, scope: Scope, id: str) -> schemas.LearnerReply:
    """A learner by id: the person whose record it is, where records were merged."""
    person = await services.store.read(reading_people.who, scope.tenant, id)
    found = await services.store.read(reading.learner, scope.tenant, person.id)
    if found is None or found.sandbox != scope.sandbox:
        raise NotFound("learner", id)
    require_not_erased(found)
    require_known(scope, found)
    ids = await services.store.read(reading_people.external_ids_of, scope.tenant, person.ids)
    return schemas.LearnerReply(
        id=found.id,
        external_ids=[schemas.ExternalId(issuer=e.issuer, subject=e.subject) for e in ids],
        locale=found.locale,
        sandbox=found.sandbox,
        created_at=found.created_at,
        merged_ids=list(person.ids[1:]),
        kind=found.kind,
        private=found.private,
        region=found.region,
    )


async def find(
    services: Services, scope: Scope, *, issuer: str, subject: str
) -> schemas.Page[schemas.LearnerReply]:
    """`GET /v1/learners?issuer=&subject=`: a list of one or none."""
    scope.require("deliver", "read-status", "manage")
    known = await services.store.read(reading.external_id, scope.tenant, issuer, subject)
    items: list[schemas.LearnerReply] = []
    if known is not None:
        with contextlib.suppress(NotFound):  # of the other of live data and sandbox
            items.append(await get(services, scope, known.learner))
    return schemas.Page(items=items, next=None)


async def enrol_guest(services: Services, tenant: str, locale: str | None = None) -> Scope:
    """A new sandbox learner for a visitor of a demonstration; the scope in which the visitor acts.

    Raises
    ------
    Forbidden
        The tenant is no demonstration: somebody must say who the learner is.
    """
    shelf = await services.catalogue.shelf(tenant)
    if not shelf.tenant.demo:
        raise Forbidden("learners are sent here by their organisation", code="role_not_allowed")
    learner = Learner(tenant, new_id("lrn"), locale, sandbox=True, version=1, created_at=services.clock())
    await services.store.commit(Writes(tenant, inserts=(learner,)))
    return own_scope(tenant, learner.id, sandbox=True)


async def same_person(services: Services, scope: Scope, other: str) -> bool:
    """Whether another id is the scope's learner, or a record of the same person."""
    assert scope.learner is not None
    person = await services.store.read(reading_people.who, scope.tenant, scope.learner)
    return other in (scope.learner, *person.ids)


def own_scope(tenant: str, learner: str, *, sandbox: bool) -> Scope:
    """The scope of a learner who acts for himself on the pages, before a session."""
    return Scope(tenant, f"learner:{learner}", frozenset({"deliver"}), learner=learner, sandbox=sandbox)


async def consent(services: Services, scope: Scope, *, form: str, version: str, language: str) -> None:
    """Record what the scope's learner agreed to, once per version and language."""
    if scope.learner is None:
        raise Forbidden("only a learner can consent", code="role_not_allowed")
    row = Consent(scope.tenant, scope.learner, form, version, language, services.clock())
    await services.store.commit(Writes(scope.tenant, keep=(row,)))


async def has_consented(services: Services, scope: Scope, *, form: str, version: str) -> bool:
    """Whether the scope's learner agreed to this version of the form's conditions."""
    if scope.learner is None:
        return False
    found = await services.store.read(reading.consent, scope.tenant, scope.learner, form, version)
    return found is not None
