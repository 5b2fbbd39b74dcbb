"""Statuses judged anew where no request did it: a school after its member, everybody after a new rule.

What was told last about a learner and a badge is compared with what the rules
say; where they differ, that is told, with the reason. So it may be done twice,
and an interrupted run goes on: whoever was seen to already differs no more.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from assess.delivery import schemas
from assess.delivery.security import new_id
from assess.delivery.service import changes, learners
from assess.delivery.service.catalogue import PROGRAMME_SCHEMA, Programme, Shelf
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.finishing import moved
from assess.delivery.service.judging import personal_badges, statuses, statuses_of_nobody
from assess.delivery.service.loading import again
from assess.delivery.service.standing import Moment
from assess.delivery.store import Writes, reading, reading_bulk, reading_everybody
from assess.delivery.store.reading import LearnerRecords
from assess.delivery.store.rows import ChangeRow, EligibilityState, Job, Update
from assess.errors import InvalidContent, InvalidRule, NotFound, StaleSession
from assess.standards.reaching import Trace, within_reach
from assess.standards.rules import SUBJECTS, BadgeRule
from assess.standards.turning import interest_of

log = logging.getLogger(__name__)

JOB_EVERYBODY = "reassess-everybody"
UNTOLD = "not_eligible"
"""What a learner of whom nothing was ever told counts as."""
_PAGE = 2000
_TOLD = 250
LARGEST_TRIAL = 1000
# Seconds of judging after which others have a turn.
_BREATH = 0.002
# Well below the lease of a job: a page is begun before it is over, and ended in time.
_SLICE = 20.0


# --- a school after its members -----------------------------------------------------


async def work_subject(services: Services, payload: Mapping[str, Any]) -> None:
    """Judge one subject anew and tell what differs: what a worker does."""

    async def once() -> None:
        found = await services.store.read(reading.learner_records, payload["tenant"], payload["subject"])
        if found is None or found.learner.erased_at is not None:
            return
        records = await learners.with_members(services, found)
        shelf = await services.catalogue.shelf(payload["tenant"])
        reason = _Reason(payload["cause"], payload["reason_id"])
        await _tell(services, shelf, [records], None, reason)

    await again(once)


# --- everybody after a new rule --------------------------------------------------------


def changed_badges(old: Programme | None, new: Programme) -> list[str]:
    """Badges whose answer may differ under a new version of a programme."""
    if old is None or _frame(old) != _frame(new):
        return list(new.rules.badges)
    return [id_ for id_, rule in new.rules.badges.items() if old.rules.badges.get(id_) != rule]


def _frame(programme: Programme) -> tuple[object, ...]:
    """What every rule of a programme rests on."""
    rules = programme.rules
    return (rules.courses, rules.time_zone, programme.accept_provisional, rules.on_loss)


def back_fill(tenant: str, badges: Iterable[str], reason_id: str, due: datetime) -> tuple[Job, ...]:
    """The jobs that judge everybody by new rules, live and sandbox; to be written with the activation."""
    wanted = list(badges)
    if not wanted:
        return ()
    payloads = (
        {"tenant": tenant, "sandbox": sandbox, "badges": wanted, "reason_id": reason_id, "after": ""}
        for sandbox in (False, True)
    )
    return tuple(Job(new_id("job"), JOB_EVERYBODY, payload, due) for payload in payloads)


async def work_everybody(
    services: Services, payload: Mapping[str, Any], *, seconds: float | None = _SLICE
) -> int:
    """Judge learners anew for a slice of time, and enter the job of the next slice; how many were seen.

    Of a page of learners only that is read which the rules look at; whoever may differ from what was told
    is then judged by all that is known.
    """
    tenant, now = payload["tenant"], services.clock()
    begun, before = payload.get("begun", now.isoformat()), payload.get("seen", 0)
    until = None if seconds is None else time.monotonic() + seconds
    # What this process read last may be from before the rules went live.
    services.catalogue.forget(tenant)
    reason, after, n_seen = _Reason("rule_change", payload["reason_id"]), payload["after"], 0
    while True:
        shelf = await services.catalogue.shelf(tenant)
        looked_at = _LookedAt.by(shelf, payload["badges"])
        page = await services.store.read(
            reading_everybody.page, tenant,
            after=after, limit=_PAGE, sandbox=payload["sandbox"], kinds=looked_at.kinds,
            badges=looked_at.badges, courses=looked_at.courses, types=looked_at.types,
        )  # fmt: skip
        ids = [*sorted(page.apart), *await _may_differ(services, shelf, page, looked_at)]
        for start in range(0, len(ids), _TOLD):
            some = ids[start : start + _TOLD]
            await _tell_some(services, shelf, tenant, some, looked_at.badges, reason)
        n_seen += len(page.ids)
        if len(page.ids) < _PAGE:
            lasted = services.clock() - datetime.fromisoformat(begun)
            log.info(
                "new rules of %s: %d learners judged in %.0f s",
                ", ".join(payload["badges"]), before + n_seen, lasted.total_seconds(),
            )  # fmt: skip
            return n_seen
        after = page.ids[-1]
        if until is not None and time.monotonic() > until:
            rest = {**payload, "after": after, "begun": begun, "seen": before + n_seen}
            following = Job(new_id("job"), JOB_EVERYBODY, rest, services.clock())
            await services.store.commit(Writes(tenant, inserts=(following,)))
            return n_seen


@dataclass(frozen=True, slots=True)
class _LookedAt:
    """Those badges that are live, whom they are for, and what their rules look at."""

    rules: Mapping[str, BadgeRule]
    courses: Sequence[str]
    types: Sequence[str]
    named: Set[Trace]

    @classmethod
    def by(cls, shelf: Shelf, badges: Collection[str]) -> _LookedAt:
        live = [
            (programme.rules.badges[badge], programme.rules)
            for kind in SUBJECTS
            for programme, badge in personal_badges(shelf, kind)
            if badge in badges
        ]
        interests = [interest_of(*rule) for rule in live]
        return cls(
            {rule.id: rule for rule, _ in live},
            sorted({course for interest in interests for course in interest.courses}),
            sorted({type_ for interest in interests for type_ in interest.fact_types}),
            {trace for interest in interests for trace in interest.named},
        )

    @property
    def badges(self) -> list[str]:
        return list(self.rules)

    @property
    def kinds(self) -> list[str]:
        return sorted({rule.subject for rule in self.rules.values()})

    def within_reach(self, courses: Collection[str], types: Collection[str]) -> bool:
        """Whether somebody with decisions on these courses and facts of these types must be looked at."""
        traces = {("decision", course) for course in courses} | {(type_, "") for type_ in types}
        # A fact may be about any of what the rules ask for by name.
        traces |= {trace for trace in self.named if trace[0] in types}
        return any(within_reach(rule, traces) for rule in self.rules.values())


async def _may_differ(
    services: Services, shelf: Shelf, page: reading_everybody.Page, looked_at: _LookedAt
) -> list[str]:
    """Learners of a page of whom something else is to be told than was.

    Most have too little for any of the rules, and one answer is that of all of them.
    """
    moment = Moment.at(services.clock())
    nothing = statuses_of_nobody(shelf, looked_at.badges, moment)
    some = {*page.courses, *page.types}.intersection(page.ids) - page.apart
    reaching = sorted(
        id_ for id_ in some if looked_at.within_reach(page.courses.get(id_, ()), page.types.get(id_, ()))
    )
    found, breath = [], time.monotonic()
    for start in range(0, len(reaching), _TOLD):
        known = await services.store.read(
            reading_everybody.what_matters, shelf.tenant.id, reaching[start : start + _TOLD],
            courses=looked_at.courses, types=looked_at.types,
        )  # fmt: skip
        for records in known:
            learner = records.learner
            mine = [rule.id for rule in looked_at.rules.values() if rule.subject == learner.kind]
            if _differ(learner.id, statuses(records, shelf, mine, moment), page.states):
                found.append(learner.id)
            if time.monotonic() - breath > _BREATH:
                # Who answers an item meanwhile waits for a few learners to be judged, and not for all.
                await asyncio.sleep(0)
                breath = time.monotonic()
    rest = set(page.ids) - page.apart - set(reaching)
    return [*found, *sorted(id_ for id_ in rest if _differ(id_, nothing, page.states))]


def _differ(
    learner: str, are: Mapping[str, str], known: Mapping[tuple[str, str], EligibilityState]
) -> dict[str, tuple[str, str]]:
    """Of each badge whose status is not what was told: what was, and what is.

    Where nothing was told, only that somebody is eligible is to be told.
    """
    found = {}
    for badge, is_now in are.items():
        state = known.get((learner, badge))
        was = UNTOLD if state is None else state.status
        if was != is_now and not (state is None and is_now != "eligible"):
            found[badge] = (was, is_now)
    return found


async def _tell_some(
    services: Services, shelf: Shelf, tenant: str, some: Sequence[str], badges: Sequence[str], reason: _Reason
) -> None:
    try:
        await _tell(services, shelf, await _records(services, tenant, some), badges, reason)
    except StaleSession:
        # Somebody among them moved meanwhile; one by one only that one is read again.
        for learner in some:

            async def one(learner: str = learner) -> None:
                found = await _records(services, tenant, [learner])
                await _tell(services, shelf, found, badges, reason)

            await again(one)


async def _records(services: Services, tenant: str, ids: Sequence[str]) -> list[LearnerRecords]:
    found = await services.store.read(reading_bulk.records_of_many, tenant, ids)
    return [await learners.with_members(services, records) for records in found]


@dataclass(frozen=True, slots=True)
class _Reason:
    cause: str
    id: str | None


async def _tell(
    services: Services,
    shelf: Shelf,
    everybody: Sequence[LearnerRecords],
    badges: Sequence[str] | None,
    reason: _Reason,
) -> None:
    """Write what differs from what was told, for all of them in one commit."""
    if not everybody:
        return
    moment, tenant = Moment.at(services.clock()), everybody[0].learner.tenant
    ids = [records.learner.id for records in everybody]
    known = await services.store.read(reading_bulk.states, tenant, ids)
    updates: list[Update] = []
    rows: list[ChangeRow] = []
    for records in everybody:
        told = _differing(records, shelf, known, badges, moment, reason)
        if told:
            updates.append(moved(records.learner))
            rows += told
        # Who answers an item meanwhile waits for one learner to be judged, and not for a page of them.
        await asyncio.sleep(0)
    if rows:
        await services.store.commit(Writes(tenant, tuple(updates), changes=tuple(rows)))


def _differing(
    records: LearnerRecords,
    shelf: Shelf,
    known: Mapping[tuple[str, str], EligibilityState],
    badges: Sequence[str] | None,
    moment: Moment,
    reason: _Reason,
) -> tuple[ChangeRow, ...]:
    learner = records.learner
    mine = [b for _, b in personal_badges(shelf, learner.kind) if badges is None or b in badges]
    differ = _differ(learner.id, statuses(records, shelf, mine, moment), known)
    rows = [
        changes.badge_row(
            records, badge, was, is_now, now=moment.as_of, cause=reason.cause, reason_id=reason.id
        )
        for badge, (was, is_now) in differ.items()
    ]
    return changes.told(rows, records, shelf, moment)


# --- a rule that is only tried --------------------------------------------------------------


async def attempt(
    services: Services,
    scope: Scope,
    *,
    document: Mapping[str, Any],
    badge: str,
    after: str = "",
    limit: int = _TOLD,
) -> schemas.RuleTrial:
    """`POST /v1/badges/{badge}/try`: who would gain or lose a badge by another rule; nothing is written.

    Parameters
    ----------
    document : mapping
        A programme document, or the badge's entry alone, which then stands in the live programme.
    after : str
        The last learner of the page before.

    Raises
    ------
    NotFound
        The badge is neither live nor in the document.
    InvalidRule, InvalidContent
        The rule cannot be; with the path.
    """
    scope.require("manage")
    shelf = await services.catalogue.shelf(scope.tenant)
    tried = _with_rule(shelf, document, badge)
    kind = tried.programme_of_badge(badge).rules.badges[badge].subject
    page = await services.store.read(
        reading_bulk.learner_ids, scope.tenant, after=after, limit=limit, sandbox=scope.sandbox, kinds=[kind]
    )
    moment = Moment.at(services.clock())
    is_live = any(badge in programme.rules.badges for programme in shelf.programmes.values())
    moves: list[schemas.TrialMove] = []
    for records in await _records(services, scope.tenant, page):
        was = statuses(records, shelf, [badge], moment)[badge] if is_live else UNTOLD
        would = statuses(records, tried, [badge], moment)[badge]
        if was != would:
            moves.append(schemas.TrialMove(learner=records.learner.id, was=was, would_be=would))
        await asyncio.sleep(0)
    return schemas.RuleTrial(
        badge=badge,
        seen=len(page),
        gains=[move for move in moves if move.would_be == "eligible"],
        losses=[move for move in moves if move.was == "eligible"],
        others=[move for move in moves if "eligible" not in (move.was, move.would_be)],
        unchanged=len(page) - len(moves),
        next=page[-1] if len(page) == limit else None,
    )


def _with_rule(shelf: Shelf, document: Mapping[str, Any], badge: str) -> Shelf:
    """The shelf as it would be with a programme, or with one badge of a live one, changed."""
    try:
        if "badges" in document:
            programme = Programme.from_document({"schema": PROGRAMME_SCHEMA, **document})
        else:
            live = shelf.programme_of_badge(badge)
            entries = [dict(entry) for entry in live.badge_entries() if entry["id"] != badge]
            changed = {**live.document, "badges": [*entries, {**document, "id": badge}]}
            programme = Programme.from_document(changed)
    except InvalidRule:
        raise
    except (KeyError, TypeError, AttributeError) as fault:
        said = f"{type(fault).__name__}: {fault}"
        raise InvalidContent(f"something is missing or of another kind ({said})", place="document") from fault
    if badge not in programme.rules.badges:
        raise NotFound("badge", badge)
    others = {id_: known for id_, known in shelf.programmes.items() if id_ != programme.id}
    return Shelf(shelf.tenant, {programme.id: programme, **others}, shelf.forms)
