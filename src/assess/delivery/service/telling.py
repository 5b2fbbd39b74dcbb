"""What the rules say now about a learner's badges: as remembered, or judged from as few rows as will do."""

from __future__ import annotations

from datetime import timedelta

from assess.delivery import schemas
from assess.delivery.service import learners
from assess.delivery.service.catalogue import Shelf
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.judging import (
    Books,
    about,
    body_of,
    evaluated,
    personal_badges,
    require_subject,
    told_since,
)
from assess.delivery.service.remembering import Answer, Told
from assess.delivery.service.standing import Moment
from assess.delivery.store import reading_marks
from assess.delivery.store.reading import LearnerRecords
from assess.errors import NotFound
from assess.standards.eligibility import Eligibility
from assess.standards.facts import instant
from assess.standards.turning import interest_of


async def told(services: Services, scope: Scope, learner: str, badge: str | None) -> Answer:
    """What is told now about one badge, or about all that the learner can have.

    Raises
    ------
    NotFound, LearnerErased, Forbidden
        The learner or the badge is not there for this scope.
    """
    learners.require_reader(scope, learner)
    shelf = await services.catalogue.shelf(scope.tenant)
    lean: LearnerRecords | None = None
    looked_at = None if badge is None else _looked_at(shelf, badge)
    asked_before = services.remembered.knows(scope.tenant, learner)
    if asked_before or (badge is not None and looked_at is None):
        mark = await services.store.read_at_once(reading_marks.mark, scope.tenant, learner)
    else:
        mark, lean = await services.store.read_at_once(
            reading_marks.marked_records, scope.tenant, learner, looked_at
        )
    if mark is None or mark.sandbox != scope.sandbox:
        raise NotFound("learner", learner)
    now = services.clock()
    if mark.is_alone and not (mark.private and "manage" not in scope.rights):
        if badge is not None:
            require_subject(shelf, badge, mark.kind)
        wanted = [b for _, b in personal_badges(shelf, mark.kind)] if badge is None else [badge]
        known = services.remembered.find(scope.tenant, learner, mark, shelf, wanted, now)
        if known is not None:
            return services.remembered.answer(scope.tenant, learner, badge, known, now)
    if mark.is_alone and lean is None:
        lean = await services.store.read_at_once(reading_marks.lean_records, scope.tenant, learner, looked_at)
    records = lean or await learners.records(services, scope, learner)
    learners.require_visible(scope, records.learner)
    if badge is not None:
        require_subject(shelf, badge, records.learner.kind)
    moment, books = Moment.at(now), Books()
    wanted = [b for _, b in personal_badges(shelf, records.learner.kind)] if badge is None else [badge]
    found = {b: _judged(services, records, shelf, b, moment, books) for b in wanted}
    if mark.is_alone:
        services.remembered.keep(scope.tenant, learner, mark, shelf, found)
    return services.remembered.answer(scope.tenant, learner, badge, [*found.values()], now)


def _looked_at(shelf: Shelf, badge: str) -> reading_marks.LookedAt | None:
    """What an answer about one badge rests on: what its rule looks at, and its awards; None if unknown."""
    try:
        rules = shelf.programme_of_badge(badge).rules
    except NotFound:
        return None
    interest = interest_of(rules.badges[badge], rules)
    return reading_marks.LookedAt(interest.courses, interest.fact_types | {"award"})


def _judged(
    services: Services, records: LearnerRecords, shelf: Shelf, badge: str, moment: Moment, books: Books
) -> Told:
    """An answer with the first instant at which a clock in it moves on."""
    programme = shelf.programme_of_badge(badge)
    interest = interest_of(programme.rules.badges[badge], programme.rules)
    begun = told_since(records, badge, moment)
    touched = interest.is_touched(books.of(records, programme, moment))

    def judged() -> tuple[Eligibility, schemas.BadgeEligibility]:
        found = evaluated(records, shelf, badge, moment, books, begun if touched else None)
        return found, body_of(records, shelf, badge, moment, found, books, begun)

    if touched:
        found, body = judged()
    else:
        found, of_somebody = services.remembered.of_nobody(shelf, badge, moment.as_of, judged)
        body = about(records, shelf, badge, moment, found, books, begun, of_somebody)
    turns = [found.next_turn, *(gap.not_before for gap in body.missing)]
    zone = programme.rules.time_zone
    turns += [
        instant(str(fact.data["until"]), zone, end=True)
        for fact in books.awards(records, badge)
        if fact.data.get("until") is not None
    ]
    if any("pass" in gap.predicate for gap in body.missing):
        # Tries that leave the period in which they count make room for another.
        turns += [
            session.started_at + timedelta(days=release.form.retake.period_days)
            for session in records.sessions
            for release in shelf.course_forms(session.course)[:1]
        ]
    return Told(body, min((t for t in turns if t is not None and t > moment.as_of), default=None))
