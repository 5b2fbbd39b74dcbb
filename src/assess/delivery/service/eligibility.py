"""Badge eligibility as the HTTP contract tells it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from assess.delivery import schemas
from assess.delivery.service import learners, telling
from assess.delivery.service.catalogue import pick
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.judging import Books, badge_at, personal_badges, require_subject
from assess.delivery.service.standing import Moment
from assess.delivery.store import reading_bulk
from assess.delivery.store.reading import LearnerRecords
from assess.errors import AssessError, Forbidden, InvalidRequest, LearnerErased, NotFound
from assess.standards.eligibility import rule_sentence
from assess.standards.grammar import Pass, predicates

LARGEST_QUERY = 1000


# --- use cases -----------------------------------------------------------------


async def badge(
    services: Services,
    scope: Scope,
    *,
    learner: str,
    badge: str,
    as_of: str | None = None,
    as_known_at: str | None = None,
    statement: bool = False,
) -> tuple[schemas.BadgeEligibility, Moment]:
    """`GET /v1/learners/{learner}/badges/{badge}`, with the moment it answers for.

    With `statement`, the body is signed, for whoever must be able to verify it later.

    Raises
    ------
    NotFound
        The learner or the badge.
    InvalidRequest
        A date that cannot be read, or a knowledge of the future.
    """
    learners.require_reader(scope, learner)
    if as_of is None and as_known_at is None:
        answer = await telling.told(services, scope, learner, badge)
        (body,), now = answer.bodies(), answer.now
        moment = Moment.at(now)
    else:
        records = await learners.records(services, scope, learner)
        learners.require_visible(scope, records.learner)
        shelf = await services.catalogue.shelf(scope.tenant)
        require_subject(shelf, badge, records.learner.kind)
        zone = shelf.programme_of_badge(badge).rules.time_zone
        now = services.clock()
        moment = Moment.asked(as_of, as_known_at, now, zone)
        records = await learners.as_known(services, scope, learner, records, moment)
        body = badge_at(records, shelf, badge, moment)
    if statement:
        body = with_statement(services, body, now)
    return body, moment


def with_statement(
    services: Services, body: schemas.BadgeEligibility, now: datetime
) -> schemas.BadgeEligibility:
    """The body with itself as a signed statement, for whoever must be able to verify it later."""
    issuer = services.settings.public_url or "assess"
    signed = services.statements.sign(schemas.plain(body), issuer=issuer, at=now)
    return msgspec.structs.replace(body, statement=signed)


async def badges(
    services: Services,
    scope: Scope,
    *,
    learner: str,
    as_of: str | None = None,
    as_known_at: str | None = None,
) -> tuple[schemas.Page[schemas.BadgeEligibility], Moment]:
    """`GET /v1/learners/{learner}/badges`: every badge that a subject of this kind can have."""
    learners.require_reader(scope, learner)
    if as_of is None and as_known_at is None:
        answer = await telling.told(services, scope, learner, None)
        return schemas.Page(items=answer.bodies(), next=None), Moment.at(answer.now)
    records = await learners.records(services, scope, learner)
    learners.require_visible(scope, records.learner)
    shelf = await services.catalogue.shelf(scope.tenant)
    now = services.clock()
    moment = Moment.asked(as_of, as_known_at, now)
    items = []
    # The records as known, once for each time zone in which the moment was named.
    known: dict[Moment, tuple[LearnerRecords, Books]] = {}
    for programme, badge in personal_badges(shelf, records.learner.kind):
        own = Moment.asked(as_of, as_known_at, now, programme.rules.time_zone)
        if own not in known:
            known[own] = (await learners.as_known(services, scope, learner, records, own), Books())
        items.append(badge_at(known[own][0], shelf, badge, own, known[own][1]))
    return schemas.Page(items=items, next=None), moment


async def query(
    services: Services, scope: Scope, *, badge: str, subjects: list[str]
) -> schemas.Page[schemas.QueryAnswer]:
    """`POST /v1/badges/{badge}/query`: an answer or an error for each id, in the order asked."""
    scope.require("read-status")
    if len(subjects) > LARGEST_QUERY:
        raise InvalidRequest(f"{len(subjects)} subjects; ask for {LARGEST_QUERY} at most", path="subjects")
    shelf = await services.catalogue.shelf(scope.tenant)
    shelf.programme_of_badge(badge)
    moment = Moment.at(services.clock())
    answers = []
    for learner in subjects:
        try:
            records = await learners.records(services, scope, learner)
            learners.require_visible(scope, records.learner)
            require_subject(shelf, badge, records.learner.kind)
            answer = schemas.QueryAnswer(
                id=learner, eligibility=badge_at(records, shelf, badge, moment), error=None
            )
        except NotFound as fault:
            error = {"status": 404, "code": f"{fault.kind}_unknown", "detail": str(fault)}
            answer = schemas.QueryAnswer(id=learner, eligibility=None, error=error)
        except Forbidden as fault:
            error = {"status": 403, "code": fault.code, "detail": str(fault)}
            answer = schemas.QueryAnswer(id=learner, eligibility=None, error=error)
        except LearnerErased as fault:
            error = {"status": 410, "code": "learner_erased", "detail": str(fault)}
            answer = schemas.QueryAnswer(id=learner, eligibility=None, error=error)
        except AssessError as fault:
            error = {"status": 500, "code": "internal_error", "detail": str(fault)}
            answer = schemas.QueryAnswer(id=learner, eligibility=None, error=error)
        answers.append(answer)
    return schemas.Page(items=answers, next=None)


async def subjects(
    services: Services, scope: Scope, *, badge: str, status: str, after: str = "", limit: int = 100
) -> schemas.Page[schemas.BadgeSubject]:
    """`GET /v1/badges/{badge}/subjects`: learners by status, as of their last change."""
    scope.require("read-status")
    shelf = await services.catalogue.shelf(scope.tenant)
    shelf.programme_of_badge(badge)
    rows = await services.store.read(
        reading_bulk.badge_subjects,
        scope.tenant,
        badge,
        status,
        after=after,
        limit=limit + 1,
        sandbox=scope.sandbox,
        private="manage" in scope.rights,
    )
    kind = shelf.programme_of_badge(badge).rules.badges[badge].subject
    items = [
        schemas.BadgeSubject(
            subject=schemas.Subject(type=kind, id=row.learner),
            status=row.status,
            since=row.since,
            sequence=row.sequence,
        )
        for row in rows[:limit]
    ]
    return schemas.Page(items=items, next=items[-1].subject.id if len(rows) > limit else None)


async def badge_info(
    services: Services, scope: Scope, *, badge: str, language: str | None = None
) -> schemas.BadgeInfo:
    """`GET /v1/badges/{badge}`: the rule as a sentence beside the criterion as published."""
    shelf = await services.catalogue.shelf(scope.tenant)
    programme = shelf.programme_of_badge(badge)
    rule, document = programme.rules.badges[badge], programme.badge_document(badge)
    title = document.get("title", badge)
    courses = {p.course: None for _, p in predicates(rule.rule) if isinstance(p, Pass)}
    return schemas.BadgeInfo(
        id=badge,
        title=pick(title, language) if isinstance(title, dict) else str(title),
        subject=rule.subject,
        rule_version=rule.version,
        sentence=rule_sentence(programme.rules, badge),
        criterion=schemas.Criterion(text=rule.criterion, source=rule.source, reading=rule.reading),
        alignments=[
            schemas.AlignedTo(framework=a["framework"], version=str(a["version"]), code=a["code"])
            for a in document.get("alignments", ())
        ],
        courses=[schemas.CourseName(id=c, title=pick(shelf.course(c).title, language)) for c in courses],
        criteria_url=f"/badges/{badge}",
        starts_on=_day(rule.starts_on),
        retired_on=_day(rule.retired_on),
        valid_until=_day(rule.valid_until),
        image=rule.image or None,
        extends=None if rule.extends is None else schemas.PinnedRule(*rule.extends),
        earlier_versions=[version.version for version in rule.earlier],
        accuracy=shelf.badge_accuracy(badge),
    )


async def catalogue(
    services: Services, scope: Scope, *, language: str | None = None
) -> schemas.Page[schemas.BadgeInfo]:
    """Every badge of the tenant's programmes."""
    shelf = await services.catalogue.shelf(scope.tenant)
    ids = [badge for programme in shelf.programmes.values() for badge in programme.rules.badges]
    return schemas.Page(
        items=[await badge_info(services, scope, badge=badge, language=language) for badge in ids], next=None
    )


def _day(value: Any) -> str | None:
    return None if value is None else value.isoformat()
