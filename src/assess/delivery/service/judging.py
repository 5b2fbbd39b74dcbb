"""What a badge rule says about a learner's records, as the HTTP contract tells it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

import msgspec

from assess.delivery import schemas
from assess.delivery.receipts import rfc3339
from assess.delivery.service.catalogue import Programme, Shelf
from assess.delivery.service.standing import Moment, ended, evaluation_facts, next_step, sequence, voided
from assess.delivery.store.reading import LearnerRecords
from assess.delivery.store.rows import Fact
from assess.errors import NotFound
from assess.standards.eligibility import Eligibility, FactBook, evaluate, status_of
from assess.standards.facts import instant

SCHEMA = "assess.eligibility/1"


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
        self._awards: dict[str, list[Fact]] | None = None

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

    def awards(self, records: LearnerRecords, badge: str) -> Sequence[Fact]:
        """What an issuer attested about a badge, known and valid or not."""
        if self._awards is None:
            self._awards = {}
            for fact in records.facts:
                about = fact.data.get("badge")
                if fact.t == "award" and isinstance(about, str):
                    self._awards.setdefault(about, []).append(fact)
        return self._awards.get(badge, ())


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
    records: LearnerRecords,
    shelf: Shelf,
    badge: str,
    moment: Moment,
    books: Books | None = None,
    begun: Mapping[str, datetime] | None = None,
) -> Eligibility:
    """What the rule says about the learner at a moment; `begun` is what the feed knows, see `told_since`."""
    programme = shelf.programme_of_badge(badge)
    return evaluate(
        programme.rules,
        (books or Books()).of(records, programme, moment),
        badge=badge,
        subject=records.learner.id,
        as_of=moment.as_of,
        as_known_at=moment.as_known_at,
        accept_provisional=shelf.accepts_provisional(programme.id),
        begun=begun,
    )


def badge_at(
    records: LearnerRecords, shelf: Shelf, badge: str, moment: Moment, books: Books | None = None
) -> schemas.BadgeEligibility:
    """The eligibility of a learner for a badge, from the learner's records."""
    books = books or Books()
    begun = told_since(records, badge, moment)
    found = evaluated(records, shelf, badge, moment, books, begun)
    return body_of(records, shelf, badge, moment, found, books, begun)


def body_of(
    records: LearnerRecords,
    shelf: Shelf,
    badge: str,
    moment: Moment,
    found: Eligibility,
    books: Books,
    begun: Mapping[str, datetime],
) -> schemas.BadgeEligibility:
    """What a rule says as the contract tells it, with what the feed and the issuer said."""
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
        since=_since(records, found, moment, begun),
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
        award=_award(books.awards(records, badge), programme, badge, found.status, moment),
        statement=None,
    )


def about(
    records: LearnerRecords,
    shelf: Shelf,
    badge: str,
    moment: Moment,
    found: Eligibility,
    books: Books,
    begun: Mapping[str, datetime],
    of_somebody: schemas.BadgeEligibility,
) -> schemas.BadgeEligibility:
    """What was told of somebody for whom the rule says the same, about another learner."""
    if any("pass" in gap.predicate for gap in found.missing):
        return body_of(records, shelf, badge, moment, found, books, begun)  # the learner's tries tell more
    programme = shelf.programme_of_badge(badge)
    return msgspec.structs.replace(
        of_somebody,
        subject=schemas.Subject(type=records.learner.kind, id=records.learner.id),
        sandbox=records.learner.sandbox,
        as_of=moment.as_of,
        as_known_at=moment.as_known_at,
        sequence=sequence(records, moment.as_known_at),
        since=_since(records, found, moment, begun),
        award=_award(books.awards(records, badge), programme, badge, found.status, moment),
    )


def told_since(records: LearnerRecords, badge: str, moment: Moment) -> dict[str, datetime]:
    """The status that the feed told last, and since when it holds; empty if it told nothing."""
    for change in reversed(records.changes):
        if (
            change.badge == badge
            and change.at <= moment.effective
            and change.learner == records.learner.id
            and change.reason_id not in records.undone
            and change.previous != change.current  # else only the award changed, or until when it lasts
        ):
            return {} if change.current is None else {change.current: change.at}
    return {}


def _since(
    records: LearnerRecords, found: Eligibility, moment: Moment, begun: Mapping[str, datetime]
) -> datetime | None:
    """Since when the status holds: from the feed, which saw each change, else from the facts themselves."""
    if found.status in begun:
        return begun[found.status]
    known = records.learner.created_at
    return found.since or (known if known <= moment.effective else None)


def _not_before(records: LearnerRecords, shelf: Shelf, predicate: Any, moment: Moment) -> datetime | None:
    """When the learner may take the missing course again."""
    course = str((predicate.get("pass") or {}).get("course", ""))
    forms = shelf.course_forms(course) if course else []
    if not forms:
        return None
    return next_step(records, course, forms[0].form.retake, moment.effective).not_before


def _award(
    attested: Sequence[Fact], programme: Programme, badge: str, status: str, moment: Moment
) -> schemas.Award:
    """What the issuer attested about the badge, beside what the rule says now."""
    zone = programme.rules.time_zone
    awards = [
        fact
        for fact in attested
        if fact.recorded_at <= moment.as_known_at and instant(fact.at, zone) <= moment.as_of
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
