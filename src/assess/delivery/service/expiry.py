"""What runs out: a decision or an award past its last day, a badge past its date, told though no row changes.

A job looks at those who are due since it looked last. What it tells is judged
against what was told before, so that looking twice tells nothing twice, and a
run that was cut off is simply run again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from assess.delivery.service import changes, learners
from assess.delivery.service.catalogue import Shelf
from assess.delivery.service.context import Services
from assess.delivery.service.facts import shelf_zone
from assess.delivery.service.finishing import moved
from assess.delivery.service.judging import evaluated, personal_badges
from assess.delivery.service.loading import again
from assess.delivery.service.standing import Moment, attested, ended
from assess.delivery.store import Writes, reading, reading_bulk, reading_expiry
from assess.delivery.store.reading import LearnerRecords
from assess.delivery.store.rows import ChangeRow, EligibilityState, Fact, Job, Update

JOB = "expiry"
PERIOD = timedelta(minutes=5)
CAUSE = "expiry"


async def work(services: Services, payload: Mapping[str, Any]) -> None:
    """The job: tell what ran out since the last time, of every tenant, and note how far it came."""
    now = services.clock()
    since = None if "until" not in payload else datetime.fromisoformat(payload["until"])
    for tenant in await services.store.read(reading.tenants):
        await announce(services, tenant, since=since, now=now)
    job = await services.store.read(reading_expiry.job, JOB)
    if job is not None:
        update = Update(Job, {"id": JOB}, {"payload": {"until": now.isoformat()}}, {"lease": job.lease})
        await services.store.commit(Writes(services.settings.tenant, (update,)))


async def announce(services: Services, tenant: str, *, since: datetime | None, now: datetime) -> int:
    """Tell what ran out between two moments; how many changes that were.

    Parameters
    ----------
    since : datetime or None
        Until when it was looked at before; None looks at all that ever ran out.
    """
    shelf = await services.catalogue.shelf(tenant)
    zone = shelf_zone(shelf)
    due: dict[str, list[Fact]] = defaultdict(list)
    for fact in await services.store.read(reading_expiry.ending_facts, tenant):
        if ended(fact, now, zone) and (since is None or not ended(fact, since, zone)):
            due[fact.subject].append(fact)
    # A school stands on its members: what ran out for one of them may have ended something for it.
    for school in await services.store.read(reading_bulk.schools_of, tenant, list(due)):
        due[school] += []
    for learner in await services.store.read(reading_expiry.ended_eligibilities, tenant, now):
        due[learner] += []
    declared = [(p, rule) for p in shelf.programmes.values() for rule in p.rules.badges.values()]
    for programme, rule in declared:
        turns = rule.bounds(programme.rules.time_zone)
        if any(turn < now and (since is None or turn >= since) for turn in turns):
            for learner in await services.store.read(reading_expiry.told_of, tenant, rule.id):
                due[learner] += []
    n_told = 0
    for learner, facts in due.items():
        n_told += await again(lambda: _look(services, tenant, shelf, learner, facts, since, now))  # noqa: B023
    return n_told


async def _look(
    services: Services,
    tenant: str,
    shelf: Shelf,
    learner: str,
    facts: Sequence[Fact],
    since: datetime | None,
    now: datetime,
) -> int:
    records = await services.store.read(reading.learner_records, tenant, learner)
    if records is None or records.learner.erased_at is not None:
        return 0
    records = await learners.with_members(services, records)
    states = await services.store.read(reading_expiry.states, tenant, records.learner.id)
    rows = [*_decisions(records, shelf, facts, now), *_badges(records, shelf, states, facts, since, now)]
    told = changes.told(rows, records, shelf, Moment.at(now))
    fresh = {row.badge for row in rows}
    updates = [moved(records.learner)] if rows else []
    updates += [
        _lasts(state, records, shelf, now)
        for badge, state in states.items()
        if badge not in fresh and _ran_out(state, now)
    ]
    if updates:
        await services.store.commit(Writes(tenant, tuple(updates), changes=told))
    return len(rows)


def _decisions(
    records: LearnerRecords, shelf: Shelf, facts: Sequence[Fact], now: datetime
) -> list[ChangeRow]:
    """Decisions from elsewhere that were a pass until their last day."""
    rows = []
    for fact in facts:
        if fact.t != "decision" or fact.data.get("outcome") != "passed" or _told(records, fact):
            continue
        course = str(fact.data["course"])
        speaks = attested(records, course, Moment.at(now), shelf_zone(shelf))
        if speaks is not None and speaks.id == fact.id:
            rows.append(
                changes.course_row(
                    records, course, "passed", "expired", now=now, cause=CAUSE, reason_id=fact.id
                )
            )
    return rows


def _badges(
    records: LearnerRecords,
    shelf: Shelf,
    states: Mapping[str, EligibilityState],
    facts: Sequence[Fact],
    since: datetime | None,
    now: datetime,
) -> list[ChangeRow]:
    rows = []
    awards = {str(fact.data.get("badge")): fact for fact in facts if fact.t == "award"}
    for _, badge in personal_badges(shelf, records.learner.kind):
        is_now = evaluated(records, shelf, badge, Moment.at(now)).status
        before = is_now if since is None else evaluated(records, shelf, badge, Moment(since, now)).status
        if badge not in states:
            # Nothing was ever told of it, as when a rule was met on the day it went live.
            was = before
        elif since is None or before != is_now or _ran_out(states[badge], now):
            was = states[badge].status
        else:
            # What else makes it differ, such as another rule, is told by those who did that.
            was = is_now
        award = awards.get(badge)
        if was == is_now and (award is None or _told(records, award)):
            continue
        reason = award if award is not None else next(iter(facts), None)
        rows.append(
            changes.badge_row(
                records, badge, was, is_now,
                now=now, cause=CAUSE, reason_id=badge if reason is None else reason.id,
            )
        )  # fmt: skip
    return rows


def _told(records: LearnerRecords, fact: Fact) -> bool:
    """Whether it was told already that this fact ran out."""
    return any(change.cause == CAUSE and change.reason_id == fact.id for change in records.changes)


def _ran_out(state: EligibilityState, now: datetime) -> bool:
    return state.ends_at is not None and state.ends_at < now


def _lasts(state: EligibilityState, records: LearnerRecords, shelf: Shelf, now: datetime) -> Update:
    """It was renewed since it was told: until when it lasts instead."""
    until = evaluated(records, shelf, state.badge, Moment.at(now)).valid_until
    key = {"tenant": state.tenant, "learner": state.learner, "badge": state.badge}
    return Update(EligibilityState, key, {"ends_at": until}, {"sequence": state.sequence})
