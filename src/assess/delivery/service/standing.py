"""A learner's standing at a moment: which decision speaks for each course, and what can come next.

Everything here is computed from records that were already read, so the same
functions answer for now, for a day in the past, and for the state that a
commit is about to make.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import msgspec

from assess.delivery import schemas
from assess.delivery.service import notices
from assess.delivery.store.reading import LearnerRecords
from assess.delivery.store.rows import DecisionRow, Fact, Session
from assess.errors import InvalidFact, InvalidRequest
from assess.items import RetakePolicy
from assess.standards.decisions import SessionOutcome, course_decision
from assess.standards.facts import instant


@dataclass(frozen=True, slots=True)
class Moment:
    """As of when is asked, with what was known when; `given` tells which of the two the client named."""

    as_of: datetime
    as_known_at: datetime
    given: frozenset[str] = frozenset()

    @classmethod
    def at(cls, now: datetime) -> Moment:
        """Now, with all that is known now."""
        return cls(now, now)

    @classmethod
    def asked(cls, as_of: str | None, as_known_at: str | None, now: datetime, zone: tzinfo = UTC) -> Moment:
        """What a request asks for; a day means its last instant, but never later than now if it is today.

        Raises
        ------
        InvalidRequest
            With the code date_invalid or time_in_future.
        """
        known = now if as_known_at is None else _moment("as_known_at", as_known_at, zone, now)
        if known > now:
            raise InvalidRequest(
                "nobody knows yet what will be known then", path="as_known_at", code="time_in_future"
            )
        of = now if as_of is None else _moment("as_of", as_of, zone, now)
        given = {
            name for name, value in (("as_of", as_of), ("as_known_at", as_known_at)) if value is not None
        }
        return cls(of, known, frozenset(given))

    @property
    def effective(self) -> datetime:
        """The moment by which a decision must have been made to count: it is known as it is made."""
        return min(self.as_of, self.as_known_at)


def _moment(name: str, value: str, zone: tzinfo, now: datetime) -> datetime:
    # In a query string, the plus sign of an offset arrives as a space.
    try:
        found = instant(value.replace(" ", "+"), zone, end=True)
    except InvalidFact as fault:
        raise InvalidRequest(str(fault), path=name, code="date_invalid") from None
    today = len(value) == 10 and now.astimezone(zone).date().isoformat() == value
    return now if today else found


@dataclass(frozen=True, slots=True)
class Spoken:
    """The decision that speaks for a course at a moment, and whether its session was void by then."""

    decision: DecisionRow
    session: Session
    void: bool

    @property
    def word(self) -> str:
        """passed, not_passed, undetermined, incomplete or void."""
        return "void" if self.void else self.decision.status


def spoken(records: LearnerRecords, course: str, at: datetime) -> Spoken | None:
    """The decision that speaks for a course assessed here, from what had been decided by then."""
    sessions = {s.id: s for s in records.sessions if s.course == course and s.state != "reset"}
    outcomes: dict[str, DecisionRow] = {}
    for row in records.decisions:
        replaced = row.superseded_at is not None and row.superseded_at <= at
        if row.session in sessions and row.decided_at <= at and not replaced:
            outcomes[row.session] = row
    speaking = course_decision(
        SessionOutcome(
            session_id=row.session,
            finished_at=sessions[row.session].ended_at or row.decided_at,
            status=row.status,
            void=_void(sessions[row.session], at),
            provisional=row.provisional,
            practice=row.practice,
            decision_id=row.id,
        )
        for row in outcomes.values()
    )
    if speaking is None:
        return None
    return Spoken(outcomes[speaking.session_id], sessions[speaking.session_id], speaking.void)


def _void(session: Session, at: datetime) -> bool:
    return session.void_at is not None and session.void_at <= at


def attested(records: LearnerRecords, course: str, moment: Moment, zone: tzinfo) -> Fact | None:
    """The last decision on an external course, from the facts known and valid at the moment."""
    found = []
    for fact in records.facts:
        if fact.t != "decision" or fact.data.get("course") != course or fact.recorded_at > moment.as_known_at:
            continue
        at = instant(fact.at, zone)
        if at <= moment.as_of and not voided(fact, moment, zone):
            found.append((at, fact.recorded_at, fact.id, fact))
    return max(found)[-1] if found else None


def voided(fact: Fact, moment: Moment, zone: tzinfo) -> bool:
    """Whether a fact was void at the moment, as far as that was known."""
    if fact.void_at is None or fact.void_recorded_at is None or fact.void_recorded_at > moment.as_known_at:
        return False
    return instant(fact.void_at, zone) <= moment.as_of


def evaluation_facts(records: LearnerRecords, at: datetime) -> list[dict[str, Any]]:
    """All facts as the badge rules read them: the decisions that speak, and what was attested."""
    facts: list[dict[str, Any]] = []
    for course in {session.course: None for session in records.sessions}:
        speaking = spoken(records, course, at)
        if speaking is not None:
            facts.append(
                {
                    "t": "decision",
                    "id": speaking.decision.id,
                    "at": speaking.decision.decided_at,
                    "course": course,
                    "outcome": speaking.word,
                    "provisional": speaking.decision.provisional,
                    "record_sha256": speaking.decision.record_sha256,
                    "assurance": speaking.decision.report.get("assurance"),
                }
            )
    here = {fact["course"] for fact in facts}
    for row in records.facts:
        if row.t == "decision" and row.data.get("course") in here:
            continue
        fact = {**row.data, "t": row.t, "id": row.id, "at": row.at, "recorded_at": row.recorded_at}
        if row.void_at is not None:
            fact |= {"void_at": row.void_at, "void_recorded_at": row.void_recorded_at}
        facts.append(fact)
    return facts


def sequence(records: LearnerRecords, known_at: datetime) -> int:
    """The number of the last change about this learner that was known then; 0 before the first."""
    return max((change.sequence for change in records.changes if change.at <= known_at), default=0)


# --- retakes -------------------------------------------------------------------


def next_step(
    records: LearnerRecords,
    course: str,
    policy: RetakePolicy | None,
    at: datetime,
    *,
    passed_is_enough: bool = True,
) -> schemas.NextStep:
    """What the learner can do about a course at a moment.

    Parameters
    ----------
    policy : RetakePolicy or None
        Of the form that would be taken; None when no form is active.
    passed_is_enough : bool
        False where a pass is sought again under a higher assurance; the policy then holds for that too.
    """
    counted = counting_sessions(records, course, at)
    speaking = spoken(records, course, at)
    if policy is None:
        return schemas.NextStep(action="none", not_before=None, tries_used=len(counted), tries_left=None)
    period = timedelta(days=policy.period_days)
    tries = [session for session in counted if session.started_at > at - period]
    used, left = len(tries), max(policy.max_tries - len(tries), 0)
    notice = notices.of_course(records, course, at)

    def step(action: Any, not_before: datetime | None = None) -> schemas.NextStep:
        return schemas.NextStep(
            action=action, not_before=not_before, tries_used=used, tries_left=left, notice=notice
        )

    if passed_is_enough and speaking is not None and speaking.word == "passed":
        return step("none")
    if any(not _ended(session, at) for session in counted):
        return step("resume")
    if not counted:
        return step("start")
    until = extendable_until(records, course, at)
    if until is not None:
        # It costs no try, so that it is there where none is left.
        assert speaking is not None
        return msgspec.structs.replace(step("extend"), until=until, session=speaking.session.id)
    if left == 0:
        return step("contact", tries[0].started_at + period)
    wait = timedelta(hours=policy.first_wait_hours) if used <= 1 else timedelta(days=policy.wait_days)
    ended = max(session.ended_at for session in counted if session.ended_at is not None)
    not_before = ended + wait
    if at < not_before:
        return step("wait", not_before)
    return step("retake")


def extendable_until(records: LearnerRecords, course: str, at: datetime) -> datetime | None:
    """By when the newest session of a course may go on; None where it may not (any more)."""
    counted, speaking = counting_sessions(records, course, at), spoken(records, course, at)
    if speaking is None or speaking.word != "undetermined" or not counted:
        return None
    if speaking.session.id != max(counted, key=lambda session: session.started_at).id:
        return None
    stated = speaking.decision.report.get("extension")
    if stated is None or not _ended(speaking.session, at):
        return None
    until = datetime.fromisoformat(stated["until"])
    return until if at <= until else None


def counting_sessions(records: LearnerRecords, course: str, at: datetime) -> Sequence[Session]:
    """Sessions that count as tries: begun by then, not void, no practice."""
    return [
        session
        for session in records.sessions
        if session.course == course
        and session.state != "reset"
        and not session.practice
        and session.started_at <= at
        and not _void(session, at)
    ]


def _ended(session: Session, at: datetime) -> bool:
    return session.ended_at is not None and session.ended_at <= at


def with_session(records: LearnerRecords, session: Session) -> LearnerRecords:
    """The records after a session was added or changed."""
    others = tuple(known for known in records.sessions if known.id != session.id)
    return replace(records, sessions=(*others, session))


def with_decision(records: LearnerRecords, decision: DecisionRow) -> LearnerRecords:
    """The records after a decision was added or changed."""
    others = tuple(known for known in records.decisions if known.id != decision.id)
    return replace(records, decisions=(*others, decision))


def with_fact(records: LearnerRecords, fact: Fact) -> LearnerRecords:
    """The records after a fact was added or voided."""
    others = tuple(known for known in records.facts if known.id != fact.id)
    return replace(records, facts=(*others, fact))
