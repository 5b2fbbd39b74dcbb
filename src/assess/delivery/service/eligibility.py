"""Badge eligibility as the HTTP contract tells it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, tzinfo
from typing import Any

import msgspec

from assess.delivery import schemas
from assess.delivery.receipts import rfc3339
from assess.delivery.service import learners, remembering
from assess.delivery.service.catalogue import Programme, Shelf, pick
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.standing import Moment, ended, evaluation_facts, next_step, sequence, voided
from assess.delivery.store import reading_bulk, reading_marks
from assess.delivery.store.reading import LearnerRecords
from assess.errors import AssessError, Forbidden, InvalidRequest, LearnerErased, NotFound
from assess.standards.eligibility import Eligibility, FactBook, evaluate, rule_sentence, status_of
from assess.standards.facts import instant
from assess.standards.grammar import Pass, predicates
from assess.standards.turning import interest_of

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
    if as_of is None and as_known_at is None:
        (body,), now = await _now(services, scope, learner, badge)
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
        items, now = await _now(services, scope, learner, None)
        return schemas.Page(items=items, next=None), Moment.at(now)
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


async def _now(
    services: Services, scope: Scope, learner: str, badge: str | None
) -> tuple[list[schemas.BadgeEligibility], datetime]:
    """What the rules say now about one badge, or about all that the learner can have; and when that is."""
    mark = await services.store.read(reading_marks.mark, scope.tenant, learner)
    if mark is None or mark.sandbox != scope.sandbox:
        raise NotFound("learner", learner)
    shelf = await services.catalogue.shelf(scope.tenant)
    now = services.clock()
    alone = not (mark.joined or mark.erased) and mark.kind != "school"
    if alone and not (mark.private and "manage" not in scope.rights):
        if badge is not None:
            require_subject(shelf, badge, mark.kind)
        wanted = [b for _, b in personal_badges(shelf, mark.kind)] if badge is None else [badge]
        told = services.remembered.find(scope.tenant, learner, mark, shelf, wanted, now)
        if told is not None:
            return [msgspec.structs.replace(body, as_of=now, as_known_at=now) for body in told], now
    lean = None
    if alone:
        looked_at = None if badge is None else _looked_at(shelf, badge)
        lean = await services.store.read(reading_marks.lean_records, scope.tenant, learner, looked_at)
    records = lean or await learners.records(services, scope, learner)
    learners.require_visible(scope, records.learner)
    if badge is not None:
        require_subject(shelf, badge, records.learner.kind)
    moment, books = Moment.at(now), Books()
    wanted = [b for _, b in personal_badges(shelf, records.learner.kind)] if badge is None else [badge]
    found = {b: _told(services, records, shelf, b, moment, books) for b in wanted}
    if alone:
        services.remembered.keep(scope.tenant, learner, mark, shelf, found)
    return [told.body for told in found.values()], now


def _looked_at(shelf: Shelf, badge: str) -> reading_marks.LookedAt:
    """What an answer about one badge rests on: what its rule looks at, and its awards."""
    rules = shelf.programme_of_badge(badge).rules
    interest = interest_of(rules.badges[badge], rules)
    return reading_marks.LookedAt(interest.courses, interest.fact_types | {"award"})


def _told(
    services: Services, records: LearnerRecords, shelf: Shelf, badge: str, moment: Moment, books: Books
) -> remembering.Told:
    """An answer with the first instant at which a clock in it moves on."""
    programme = shelf.programme_of_badge(badge)
    interest = interest_of(programme.rules.badges[badge], programme.rules)
    if interest.is_touched(books.of(records, programme, moment)):
        found = evaluated(records, shelf, badge, moment, books)
    else:
        found = services.remembered.of_nobody(
            shelf, badge, moment.as_of, lambda: evaluated(records, shelf, badge, moment, books)
        )
    body = _body(records, shelf, badge, moment, found)
    turns = [found.next_turn, *(gap.not_before for gap in body.missing)]
    zone = programme.rules.time_zone
    turns += [
        instant(str(fact.data["until"]), zone, end=True)
        for fact in records.facts
        if fact.t == "award" and fact.data.get("until") is not None and fact.data.get("badge") == badge
    ]
    if any("pass" in gap.predicate for gap in body.missing):
        # Tries that leave the period in which they count make room for another.
        turns += [
            session.started_at + timedelta(days=release.form.retake.period_days)
            for session in records.sessions
            for release in shelf.course_forms(session.course)[:1]
        ]
    return remembering.Told(body, min((t for t in turns if t is not None and t > moment.as_of), default=None))


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


# --- from records to the body -----------------------------------------------------


def require_subject(shelf: Shelf, badge: str, kind: str) -> None:
    """Refuse to ask about a badge that a subject of this kind cannot have.

    Raises
    ------
    NotFound
        The badge is unknown, or about another kind of subject.
    """
    if shelf.programme_of_badge(badge).rules.badges[badge].subject != kind:
        raise NotFound("badge", badge)


def personal_badges(shelf: Shelf, kind: str = "person") -> list[tuple[Programme, str]]:
    """Badges that are about a person, a student or a school, with their programmes."""
    return [
        (programme, rule.id)
        for programme in shelf.programmes.values()
        for rule in programme.rules.badges.values()
        if rule.subject == kind
    ]


class Books:
    """The facts of one learner's records at one moment, checked once for all badges that ask.

    Programmes may name days of different time zones, so there is one book for each.
    """

    def __init__(self) -> None:
        self._books: dict[tzinfo, FactBook] = {}
        self._facts: list[dict[str, Any]] | None = None

    def of(self, records: LearnerRecords, programme: Programme, moment: Moment) -> FactBook:
        """The book that a programme's rules are asked over."""
        zone = programme.rules.time_zone
        if zone not in self._books:
            if self._facts is None:
                self._facts = evaluation_facts(records, moment.effective)
            self._books[zone] = FactBook(
                self._facts, subject=records.learner.id, time_zone=zone, as_known_at=moment.as_known_at
            )
        return self._books[zone]


def statuses(records: LearnerRecords, shelf: Shelf, badges: Iterable[str], moment: Moment) -> dict[str, str]:
    """The status of a learner for each badge, without the reasons."""
    books = Books()
    found = {}
    for badge in badges:
        programme = shelf.programme_of_badge(badge)
        found[badge] = status_of(
            programme.rules,
            books.of(records, programme, moment),
            badge=badge,
            subject=records.learner.id,
            as_of=moment.as_of,
            accept_provisional=shelf.accepts_provisional(programme.id),
        )
    return found


def statuses_of_nobody(shelf: Shelf, badges: Iterable[str], moment: Moment) -> dict[str, str]:
    """The status for each badge of whoever has done nothing that its rule looks at."""
    found = {}
    for badge in badges:
        rules = shelf.programme_of_badge(badge).rules
        found[badge] = status_of(rules, (), badge=badge, subject="", as_of=moment.as_of)
    return found


def evaluated(
    records: LearnerRecords, shelf: Shelf, badge: str, moment: Moment, books: Books | None = None
) -> Eligibility:
    """What the rule says about the learner at a moment."""
    programme = shelf.programme_of_badge(badge)
    return evaluate(
        programme.rules,
        (books or Books()).of(records, programme, moment),
        badge=badge,
        subject=records.learner.id,
        as_of=moment.as_of,
        as_known_at=moment.as_known_at,
        accept_provisional=shelf.accepts_provisional(programme.id),
    )


def badge_at(
    records: LearnerRecords, shelf: Shelf, badge: str, moment: Moment, books: Books | None = None
) -> schemas.BadgeEligibility:
    """The eligibility of a learner for a badge, from the learner's records."""
    return _body(records, shelf, badge, moment, evaluated(records, shelf, badge, moment, books))


def _body(
    records: LearnerRecords, shelf: Shelf, badge: str, moment: Moment, found: Eligibility
) -> schemas.BadgeEligibility:
    programme = shelf.programme_of_badge(badge)
    return schemas.BadgeEligibility(
        schema=SCHEMA,
        subject=schemas.Subject(type=records.learner.kind, id=records.learner.id),
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
        and c.previous != c.current  # else only the award changed, or until when it lasts
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
    valid = [fact for fact in awards if not voided(fact, moment, zone)]
    standing = [fact for fact in valid if not ended(fact, moment.as_of, zone)]
    kept = status == "eligible" or programme.on_loss == "keep"
    state: Any
    if standing:
        state = "claimed" if kept else {"suspend": "suspended", "withdraw": "withdrawn"}[programme.on_loss]
    elif awards and not valid:
        state = "withdrawn"
    else:
        # Never awarded, or the award ran out: where the rule is met it may be claimed, again.
        state = "claimable" if status == "eligible" else "none"
    claim_url = programme.claim_url(badge) if state == "claimable" else None
    return schemas.Award(state=state, policy_on_loss=programme.on_loss, claim_url=claim_url)
