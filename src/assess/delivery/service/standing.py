"""A learner's standing at a moment: which decision speaks for each course, and what can come next.

Everything here is computed from records that were already read, so the same
functions answer for now, for a day in the past, and for the state that a
commit is about to make.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from assess.session import PENDING
from assess.standards.decisions import SessionOutcome, course_decision
from assess.standards.eligibility import Course
from assess.standards.facts import first_instant, instant, period_end


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
    """The decision that speaks for a course at a moment, and whether its session was void by then.

    `level` is what a report says about one of the course's further levels; None is about the course itself.
    """

    decision: DecisionRow
    session: Session
    void: bool
    level: Mapping[str, Any] | None = None

    @property
    def word(self) -> str:
        """passed, not_passed, undetermined, incomplete or void."""
        if self.void:
            return "void"
        return self.decision.status if self.level is None else str(self.level["status"])

    @property
    def tested_at(self) -> datetime:
        """From when the decision ages; a rescoring tests nobody anew."""
        return self.session.ended_at or self.decision.decided_at


def further_levels(records: LearnerRecords, course: str) -> list[str]:
    """Levels beside the first that a session of the course was ever decided on."""
    rows = (row for row in records.decisions if row.course == course)
    return list(dict.fromkeys(found["level"] for row in rows for found in row.report.get("levels", ())))


def _on_level(row: DecisionRow, level: str | None) -> Mapping[str, Any] | None:
    """What a decision says about a level; None where it says nothing."""
    if level is None:
        return {"status": row.status, "provisional": row.provisional}
    return next((found for found in row.report.get("levels", ()) if found["level"] == level), None)


def spoken(records: LearnerRecords, course: str, at: datetime, level: str | None = None) -> Spoken | None:
    """The decision that speaks for a course assessed here, from what had been decided by then.

    Each level is settled by itself: a session that fails the higher one does not take an earlier pass of
    it away.
    """
    sessions = {s.id: s for s in records.sessions if s.course == course and s.state != "reset"}
    outcomes: dict[str, DecisionRow] = {}
    for row in records.decisions:
        replaced = row.superseded_at is not None and row.superseded_at <= at
        if row.source == "placement" and row.status != "passed":
            continue  # it advised, and decided nothing
        if row.source == "confirmation":
            continue  # it says something of another decision
        told = row.session in sessions and _on_level(row, level) is not None
        if told and row.decided_at <= at and not replaced:
            outcomes[row.session] = row
    said = {session: _on_level(row, level) or {} for session, row in outcomes.items()}
    speaking = course_decision(
        SessionOutcome(
            session_id=row.session,
            finished_at=sessions[row.session].ended_at or row.decided_at,
            status=said[row.session]["status"],
            void=_void(sessions[row.session], at),
            provisional=said[row.session]["provisional"],
            practice=row.practice,
            decision_id=row.id,
        )
        for row in outcomes.values()
    )
    if speaking is None:
        return None
    row, session = outcomes[speaking.session_id], sessions[speaking.session_id]
    return Spoken(row, session, speaking.void, None if level is None else said[row.session])


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


def ended(fact: Fact, at: datetime, zone: tzinfo) -> bool:
    """Whether the last day or instant of a fact has passed."""
    until = fact.data.get("until")
    return until is not None and instant(str(until), zone, end=True) < at


def evaluation_facts(records: LearnerRecords, at: datetime) -> list[dict[str, Any]]:
    """All facts as the badge rules read them: the decisions that speak, and what was attested."""
    facts: list[dict[str, Any]] = []
    for course in {session.course: None for session in records.sessions}:
        for level in (None, *further_levels(records, course)):
            speaking = spoken(records, course, at, level)
            if speaking is not None:
                facts.append(_decision_fact(speaking, course))
    here = {fact["course"] for fact in facts}
    stands_for = {one: member.learner.id for member in records.members for one in member.ids}
    for row in records.facts:
        if row.t == "decision" and row.data.get("course") in here:
            continue
        fact = {**row.data, "t": row.t, "id": row.id, "at": row.at, "recorded_at": row.recorded_at}
        if row.void_at is not None:
            fact |= {"void_at": row.void_at, "void_recorded_at": row.void_recorded_at}
        if row.person is not None:
            fact["person"] = stands_for.get(row.person, row.person)
        facts.append(fact)
    for member in records.members:
        facts += [fact | {"s": member.learner.id} for fact in evaluation_facts(member, at)]
    return facts


def _decision_fact(speaking: Spoken, course: str) -> dict[str, Any]:
    row, told = speaking.decision, speaking.level
    return {
        "t": "decision",
        # Each level of a session is a fact of its own, and all of them lead to the one record.
        "id": row.id if told is None else f"{row.id}#{told['level']}",
        "at": row.decided_at,
        "tested_at": speaking.tested_at,
        "course": course,
        "level": row.report.get("level") if told is None else told["level"],
        "further": told is not None,
        "outcome": speaking.word,
        "provisional": row.provisional if told is None else told["provisional"],
        "record_sha256": row.record_sha256,
        "assurance": row.report.get("assurance"),
    }


def valid_until(speaking: Spoken, course: Course | None, zone: tzinfo) -> datetime | None:
    """The last second on which a pass of a course is good; None where it has no end."""
    if course is None or course.valid_for is None or speaking.word != "passed":
        return None
    return period_end(speaking.tested_at, course.valid_for, zone).replace(microsecond=0)


def renewal(speaking: Spoken | None, course: Course | None, zone: tzinfo) -> datetime | None:
    """From when a pass may be renewed: with its end, or so long before it as the course says."""
    end = None if speaking is None else valid_until(speaking, course, zone)
    if end is None or course is None:
        return None
    if course.renew_from is None:
        return end + timedelta(seconds=1)
    return first_instant(course.renew_from.before(end.astimezone(zone).date()), zone)


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
    renewable_from: datetime | None = None,
    anew: bool = False,
) -> schemas.NextStep:
    """What the learner can do about a course at a moment.

    Parameters
    ----------
    policy : RetakePolicy or None
        Of the form that would be taken; None when no form is active.
    renewable_from : datetime, optional
        From when a pass may be taken again, because it ends.
    anew : bool
        Asks whether a new session may begin. A pass is then no end of it, for it may be sought again under
        a higher assurance; nor is a session that can go on a way around waiting time and tries.
    """
    counted = counting_sessions(records, course, at)
    speaking = spoken(records, course, at)
    if policy is None:
        return schemas.NextStep(action="none", not_before=None, tries_used=len(counted), tries_left=None)
    period = timedelta(days=policy.period_days)
    tries = [session for session in counted if session.started_at > at - period]
    used, left = len(tries), max(policy.max_tries - len(tries), 0)
    notice = notices.of_course(records, course, at)
    asked = policy.p_pass_at(1 + len(counted))

    def step(action: Any, not_before: datetime | None = None) -> schemas.NextStep:
        return schemas.NextStep(
            action=action,
            not_before=not_before,
            tries_used=used,
            tries_left=left,
            notice=notice,
            next_try=None if asked is None else 1 + len(counted),
            p_pass=asked,
        )

    renewing = renewable_from is not None and at >= renewable_from
    if not anew and not renewing and speaking is not None and speaking.word == "passed":
        return step("none", renewable_from)
    if any(not _ended(session, at) for session in counted):
        return step("resume")
    if not counted:
        return step("start")
    until = None if anew else extendable_until(records, course, at)
    if until is not None:
        # It costs no try, so that it is there where none is left.
        assert speaking is not None
        return msgspec.structs.replace(step("extend"), until=until, session=speaking.session.id)
    if speaking is not None and speaking.word == PENDING:
        return step("wait")
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
    """Sessions that count as tries: begun by then, not void, no practice, placement or confirmation."""
    return [
        session
        for session in records.sessions
        if session.course == course
        and session.state != "reset"
        and not session.practice
        and session.try_number > 0
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
