"""Badge eligibility as the HTTP contract tells it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from assess.delivery import schemas
from assess.delivery.receipts import rfc3339
from assess.delivery.service import learners
from assess.delivery.service.catalogue import Programme, Shelf, pick
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.standing import Moment, evaluation_facts, next_step, sequence, voided
from assess.delivery.store import reading
from assess.delivery.store.reading import LearnerRecords
from assess.errors import AssessError, InvalidRequest, NotFound
from assess.standards.eligibility import Eligibility, evaluate, rule_sentence
from assess.standards.facts import instant
from assess.standards.grammar import Pass, predicates

SCHEMA = "assess.eligibility/1"
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
    records = await learners.records(services, scope, learner)
    shelf = await services.catalogue.shelf(scope.tenant)
    zone = shelf.programme_of_badge(badge).rules.time_zone
    now = services.clock()
    moment = Moment.asked(as_of, as_known_at, now, zone)
    records = await learners.as_known(services, scope, learner, records, moment)
    body = badge_at(records, shelf, badge, moment)
    if statement:
        signed = services.statements.sign(
            schemas.plain(body), issuer=services.settings.public_url or "assess", at=now
        )
        body = msgspec.structs.replace(body, statement=signed)
    return body, moment


async def badges(
    services: Services,
    scope: Scope,
    *,
    learner: str,
    as_of: str | None = None,
    as_known_at: str | None = None,
) -> tuple[schemas.Page[schemas.BadgeEligibility], Moment]:
    """`GET /v1/learners/{learner}/badges`: every badge that a person can have."""
    learners.require_reader(scope, learner)
    records = await learners.records(services, scope, learner)
    shelf = await services.catalogue.shelf(scope.tenant)
    now = services.clock()
    moment = Moment.asked(as_of, as_known_at, now)
    items = []
    for programme, badge in personal_badges(shelf):
        own = Moment.asked(as_of, as_known_at, now, programme.rules.time_zone)
        known = await learners.as_known(services, scope, learner, records, own)
        items.append(badge_at(known, shelf, badge, own))
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
            answer = schemas.QueryAnswer(
                id=learner, eligibility=badge_at(records, shelf, badge, moment), error=None
            )
        except NotFound as fault:
            error = {"status": 404, "code": "learner_unknown", "detail": str(fault)}
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
        reading.badge_subjects,
        scope.tenant,
        badge,
        status,
        after=after,
        limit=limit + 1,
        sandbox=scope.sandbox,
    )
    items = [
        schemas.BadgeSubject(
            subject=schemas.Subject(type="person", id=row.learner),
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


# --- from records to the body -----------------------------------------------------


def personal_badges(shelf: Shelf) -> list[tuple[Programme, str]]:
    """Badges that are about a person, with their programmes."""
    return [
        (programme, rule.id)
        for programme in shelf.programmes.values()
        for rule in programme.rules.badges.values()
        if rule.subject == "person"
    ]


def evaluated(records: LearnerRecords, shelf: Shelf, badge: str, moment: Moment) -> Eligibility:
    """What the rule says about the learner at a moment."""
    programme = shelf.programme_of_badge(badge)
    return evaluate(
        programme.rules,
        evaluation_facts(records, moment.effective),
        badge=badge,
        subject=records.learner.id,
        as_of=moment.as_of,
        as_known_at=moment.as_known_at,
        accept_provisional=shelf.accepts_provisional(programme.id),
    )


def badge_at(records: LearnerRecords, shelf: Shelf, badge: str, moment: Moment) -> schemas.BadgeEligibility:
    """The eligibility of a learner for a badge, from the learner's records."""
    programme = shelf.programme_of_badge(badge)
    found = evaluated(records, shelf, badge, moment)
    return schemas.BadgeEligibility(
        schema=SCHEMA,
        subject=schemas.Subject(type="person", id=records.learner.id),
        sandbox=records.learner.sandbox,
        badge=schemas.BadgeName(id=badge, rule_version=found.rule_version, criteria_url=f"/badges/{badge}"),
        as_of=moment.as_of,
        as_known_at=moment.as_known_at,
        sequence=sequence(records, moment.as_known_at),
        status=found.status,
        since=_since(records, badge, found, moment),
        valid_until=None if found.valid_until is None else rfc3339(found.valid_until),
        sentence=found.sentence,
        progress=schemas.BadgeProgress(met=found.progress.met, of=found.progress.of),
        reasons=[
            schemas.Reason(
                path=reason.path,
                predicate=dict(reason.predicate),
                value=reason.value,  # type: ignore[arg-type]
                code=reason.code,
                evidence=list(reason.evidence),
            )
            for reason in found.reasons
        ],
        missing=[
            schemas.Missing(
                path=gap.path,
                predicate=dict(gap.predicate),
                who=gap.who,
                action=gap.action,
                not_before=_not_before(records, shelf, gap.predicate, moment),
            )
            for gap in found.missing
        ],
        evidence=[
            schemas.Evidence(
                type=e.type, id=e.id, course=e.course, badge=e.badge, record_sha256=e.record_sha256
            )
            for e in found.evidence
        ],
        award=_award(records, programme, badge, found.status, moment),
        statement=None,
    )


def _since(records: LearnerRecords, badge: str, found: Eligibility, moment: Moment) -> datetime | None:
    """Since when the status holds: from the feed, which saw each change, else from the facts themselves."""
    seen = [
        c
        for c in records.changes
        if c.badge == badge
        and c.at <= moment.effective
        and c.learner == records.learner.id
        and c.reason_id not in records.undone
    ]
    if seen and seen[-1].current == found.status:
        return seen[-1].at
    begun = records.learner.created_at
    return found.since or (begun if begun <= moment.effective else None)


def _not_before(records: LearnerRecords, shelf: Shelf, predicate: Any, moment: Moment) -> datetime | None:
    """When the learner may take the missing course again."""
    course = str((predicate.get("pass") or {}).get("course", ""))
    forms = shelf.course_forms(course) if course else []
    if not forms:
        return None
    return next_step(records, course, forms[0].form.retake, moment.effective).not_before


def _award(
    records: LearnerRecords, programme: Programme, badge: str, status: str, moment: Moment
) -> schemas.Award:
    """What the issuer attested about the badge, beside what the rule says now."""
    zone = programme.rules.time_zone
    awards = [
        fact
        for fact in records.facts
        if fact.t == "award"
        and fact.data.get("badge") == badge
        and fact.recorded_at <= moment.as_known_at
        and instant(fact.at, zone) <= moment.as_of
    ]
    standing = [fact for fact in awards if not voided(fact, moment, zone)]
    kept = status == "eligible" or programme.on_loss == "keep"
    state: Any
    if standing:
        state = "claimed" if kept else {"suspend": "suspended", "withdraw": "withdrawn"}[programme.on_loss]
    elif awards:
        state = "withdrawn"
    else:
        state = "claimable" if status == "eligible" else "none"
    return schemas.Award(state=state, policy_on_loss=programme.on_loss, claim_url=None)
