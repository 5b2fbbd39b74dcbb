"""The begin of a session: which form, whether the learner may, and what is settled before the first offer."""

from __future__ import annotations

import json
import secrets
from datetime import datetime

import msgspec

from assess.delivery import schemas
from assess.delivery.security import derived_token, digest, new_timed_id, new_token
from assess.delivery.service import (
    accommodations,
    confirming,
    fencing,
    finishing,
    idempotency,
    invigilation,
    keys,
    learners,
    showing,
    standing,
    status,
    waiting,
    windows,
)
from assess.delivery.service.catalogue import Shelf
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.finishing import touched
from assess.delivery.service.idempotency import Key
from assess.delivery.service.loading import Loaded, after, again, begun_with, offer_row
from assess.delivery.store import Writes, reading, reading_begin
from assess.delivery.store.reading import LearnerRecords
from assess.delivery.store.rows import Session, Stored
from assess.errors import (
    AlreadyPassed,
    Forbidden,
    FormNotActive,
    InvalidRequest,
    NotFound,
    RetakeTooEarly,
    SessionFinished,
    TriesExhausted,
)
from assess.irt.scoring import Prior
from assess.session import (
    ASSURANCES,
    Accommodation,
    FirstDecision,
    Release,
    SessionState,
    left_out,
    start,
    step,
    with_offer,
)


async def begin(
    services: Services,
    scope: Scope,
    *,
    learner: str,
    course: str | None = None,
    form: str | None = None,
    locale: str | None = None,
    code: str | None = None,
    assurance: str | None = None,
    key: Key | None = None,
    arrived: float | None = None,
    ticket: str = "",
) -> schemas.SessionBegun:
    """`POST /v1/sessions`: a new session, or the open one of this learner and form.

    Parameters
    ----------
    course, form : str
        One of them: a form id, or a course, for which the default form is taken.
    code : str, optional
        The invigilator's code; the session is then supervised, and goes on elsewhere with a code only.
    assurance : str, optional
        What the caller states; see `invigilation.assurance`.
    key : Key, optional
        The request's idempotency key: its repetition gives the same session and token.
    arrived : float, optional
        When the request came, on the services' monotonic clock; of a wait that is felt, what the clocks
        of the session ran meanwhile is given back.
    ticket : str, optional
        With which somebody was let in from the line; its place is taken.

    Raises
    ------
    NotFound, Forbidden, InvalidRequest, LearnerErased, RateLimited, SessionRefusal
        Forbidden as LessSupervised where the open session began under more supervision than this.
        Of the refusals: FormNotActive, WindowClosed, AlreadyPassed, RetakeTooEarly, TriesExhausted.
    Overloaded
        Too many begin at this moment.
    """
    scope.require("deliver")
    if scope.learner is not None and scope.learner != learner:
        raise NotFound("learner", learner)
    if (course is None) == (form is None):
        raise InvalidRequest("name either a course or a form", path="course")
    at = services.monotonic() if arrived is None else arrived
    async with services.admission.begins(ticket):
        begun = await again(
            lambda: _begin(services, scope, learner, course, form, locale, code, assurance, key)
        )
    reach = Scope(scope.tenant, scope.actor, scope.rights, learner=scope.learner, sandbox=scope.sandbox)
    current = await waiting.given_back(services, reach, begun.session, begun.current, at)
    return msgspec.structs.replace(begun, current=current)


async def _begin(
    services: Services,
    scope: Scope,
    learner: str,
    course: str | None,
    form: str | None,
    locale: str | None,
    code: str | None,
    assurance: str | None,
    key: Key | None,
) -> schemas.SessionBegun:
    shelf = await services.catalogue.shelf(scope.tenant)
    found = await services.store.read(
        reading_begin.beginning,
        scope.tenant,
        learner,
        actor=scope.actor,
        route="" if key is None else key.route,
        key="" if key is None else key.key,
    )
    known = None if key is None else idempotency.made(found.earlier, key)
    if known is not None:
        assert key is not None
        # The fence that this very request took, though others may have opened the session since.
        known, _, fence = known.partition("#")
        loaded = await touched(services, scope, known)
        token = _derived(scope, known, key)
        return _begun(services, loaded.row, loaded.state, token, int(fence or fencing.FIRST))
    records = learners.within(scope, learner, found.records)
    form_id = await _form_id(services, records, shelf, course, form)
    open_row = next((s for s in records.sessions if s.form_id == form_id and s.state == "open"), None)
    if open_row is not None:
        loaded = await touched(services, scope, open_row.id)
        if loaded.state.ending is None:
            await _require_as_before(services, scope, loaded, code, assurance)
            return await _resume(services, scope, loaded, key)
        records = await learners.records(services, scope, learner)
    learners.require_not_erased(records.learner)
    if records.learner.kind == "school":
        raise InvalidRequest("a school takes no course; name one of its members", path="learner")
    release = shelf.form(form_id)
    if release.form.placement:
        raise FormNotActive(f"{form_id} is a part of a placement; begin the placement of its programme")
    await _require_consent(services, scope, release)
    now = services.clock()
    first: FirstDecision | None = None
    met: tuple[str, ...] = ()
    if not release.form.confirms:
        # A confirmation is sat when the invigilator's code says, which may be long after the course.
        windows.require_open(shelf, found.assignments, release.course.id, learner, now)
    assured = await invigilation.assurance(
        services, scope, learner=learner, course=release.course.id, code=code, stated=assurance
    )
    if release.form.confirms:
        first, met = await confirming.prepared(services, scope, records, release, now, assured)
    else:
        _require_try(records, shelf, release, now, assured)
    return await _start(
        services,
        scope,
        records,
        release,
        locale=locale,
        assured=assured,
        accommodation=accommodations.granted(found.accommodations, now),
        key=key,
        confirms=first,
        met=met,
    )


async def begin_part(
    services: Services,
    scope: Scope,
    records: LearnerRecords,
    release: Release,
    placement: str,
    locale: str | None,
    assurance: str | None,
    *,
    also: tuple[Stored, ...] = (),
) -> schemas.SessionBegun:
    """Begin a part of a placement; whether it may be taken is settled by the placement.

    Parameters
    ----------
    also : tuple of Stored
        Rows to be written with it: the placement, at its first part.
    """
    await _require_consent(services, scope, release)
    assured = await invigilation.assurance(
        services, scope, learner=records.learner.id, course=release.course.id, code=None, stated=assurance
    )
    return await _start(
        services,
        scope,
        records,
        release,
        locale=locale,
        assured=assured,
        accommodation=await accommodations.in_force(services, scope.tenant, records.learner.id),
        placement=placement,
        also=also,
    )


async def _start(
    services: Services,
    scope: Scope,
    records: LearnerRecords,
    release: Release,
    *,
    locale: str | None,
    assured: str,
    accommodation: Accommodation,
    key: Key | None = None,
    placement: str = "",
    confirms: FirstDecision | None = None,
    met: tuple[str, ...] = (),
    also: tuple[Stored, ...] = (),
) -> schemas.SessionBegun:
    """Store a new session with its first offer; a confirmation leaves out every unit that was met."""
    now, learner = services.clock(), records.learner.id
    session_id, seed = new_timed_id("ses", now), secrets.token_hex(16)
    if confirms is None:
        before = await _met_before(services, records, release)
        met = left_out(release, before, seed) if any(before) else ()
    record = start(
        release,
        session=session_id,
        learner=learner,
        seed=seed,
        now=now,
        language=locale or records.learner.locale,
        try_number=1 + len(standing.counting_sessions(records, release.course.id, now)),
        excluded=met,
        assurance=assured,
        accommodation=accommodation,
        choosing=_choosing(records, release, now),
        placement=placement,
        confirms=confirms,
    )
    state = SessionState(release, record)
    first = step(state, now)
    assert first.offer is not None
    state = with_offer(state, first.offer, now)
    token = _token(scope, session_id, key)
    row = Session(
        tenant=scope.tenant,
        id=session_id,
        learner=learner,
        course=release.course.id,
        form_id=release.form.id,
        form=release.form.reference,
        release=release.sha256,
        start_record=record.to_mapping(),
        token_sha256=digest(token),
        version=1,
        state="open",
        started_at=now,
        closes_at=state.closes_at,
        ended_at=None,
        ended_by=None,
        void_at=None,
        void_reason=None,
        practice=release.practice,
        sandbox=scope.sandbox,
        try_number=record.try_number,
    )
    rows: tuple[Stored, ...] = (row, offer_row(row, state.offers[-1]))
    rows += idempotency.rows(services, scope, key, session_id)
    # The learner's version keeps two starts of one course apart: each would be counted as the same try.
    moved = finishing.moved(records.learner)
    await services.store.commit(Writes(scope.tenant, (moved,), inserts=(*also, *rows)))
    services.recent.keep(begun_with(row, state, rows))
    keys.given(services, row, row.token_sha256)
    return _begun(services, row, state, token, fencing.FIRST)


async def take_over(
    services: Services, scope: Scope, session: str, *, code: str | None = None, assurance: str | None = None
) -> schemas.SessionBegun:
    """Go on with an open session on another device, whether its form is still live or not.

    Parameters
    ----------
    code, assurance : str, optional
        As at the begin of a session: who was supervised then is supervised again.

    Raises
    ------
    NotFound, SessionFinished
    LessSupervised
        It began under more supervision than this.
    InvalidRequest, RateLimited
        Of the code.
    """

    async def once() -> schemas.SessionBegun:
        loaded = await touched(services, scope, session)
        if loaded.state.ending is not None or loaded.state.void:
            raise SessionFinished("this session has ended")
        await _require_as_before(services, scope, loaded, code, assurance)
        return await _resume(services, scope, loaded, None)

    return await again(once)


async def _require_as_before(
    services: Services, scope: Scope, loaded: Loaded, code: str | None, assurance: str | None
) -> None:
    """Who left the room does not go on outside of it: the record says of the whole session who watched."""
    began = loaded.state.start.assurance
    if began == "unsupervised":
        return
    row = loaded.row
    assured = await invigilation.assurance(
        services, scope, learner=row.learner, course=row.course, code=code, stated=assurance
    )
    if loaded.state.start.confirms is not None:
        confirming.require_supervised(assured)
    invigilation.require_as_before(began, assured)


async def _resume(services: Services, scope: Scope, loaded: Loaded, key: Key | None) -> schemas.SessionBegun:
    """The open session with a fresh token; the old token ends, and with it the other device's way in."""
    token = _token(scope, loaded.row.id, key)
    update, event = fencing.opening(services, loaded, "api", token_sha256=digest(token))
    fence = int(event.data["fence"])
    remembered = idempotency.rows(services, scope, key, f"{loaded.row.id}#{fence}")
    await services.store.commit(Writes(scope.tenant, (update,), inserts=(event, *remembered)))
    services.recent.keep(after(loaded, loaded.state, (event,), token_sha256=digest(token)))
    keys.given(services, loaded.row, digest(token))
    return _begun(services, loaded.row, loaded.state, token, fence)


async def _form_id(
    services: Services, records: LearnerRecords, shelf: Shelf, course: str | None, form: str | None
) -> str:
    if form is not None:
        return shelf.form(form).form.id
    assert course is not None
    shelf.course(course)
    if not shelf.course_forms(course):
        raise FormNotActive(f"course {course} has no active form here")
    return (await fresh_form(services, records, shelf, course)).form.id


async def fresh_form(services: Services, records: LearnerRecords, shelf: Shelf, course: str) -> Release:
    """The form for a learner who names only the course: of forms like the default, the one least met.

    Who tries again takes a form without the items of the last session, as far
    as the course has one; a form whose items depend on the answers leaves them out by itself.
    """
    forms = shelf.course_forms(course)
    default = forms[0]
    if default.form.kind != "fixed":
        return default
    met = await _met(services, records, course)
    alike = [r for r in forms if r.form.kind == default.form.kind and r.practice == default.practice]
    return min(alike, key=lambda release: sum(item in release.unit_of for item in met))


async def _require_consent(services: Services, scope: Scope, release: Release) -> None:
    """A learner who starts alone must have agreed; behind an API key the organisation answers for that."""
    form = release.form
    if scope.learner is not None and not await learners.has_consented(
        services, scope, form=form.id, version=form.consent_version
    ):
        raise Forbidden(
            f"consent to version {form.consent_version} of the conditions comes first", code="consent_missing"
        )


def _require_try(
    records: LearnerRecords, shelf: Shelf, release: Release, now: datetime, assured: str
) -> None:
    """The retake policy; practice may be repeated at will, because it decides nothing.

    A passed course may be passed again under a higher assurance, which a badge may ask for, for a level that
    is not passed yet, and when the pass is about to end; whoever fails that keeps the pass.
    """
    if release.practice:
        return
    course = release.course.id
    speaking = standing.spoken(records, course, now)
    passed = speaking is not None and speaking.word == "passed"
    higher = speaking is not None and ASSURANCES.index(assured) > ASSURANCES.index(
        speaking.decision.report["assurance"]
    )
    declared = shelf.course(course)
    renewable = standing.renewal(speaking, status.course_rule(shelf, declared), status.zone(shelf, declared))
    renewing = renewable is not None and now >= renewable
    if passed and not (higher or renewing or _level_left(records, release, now)):
        until = "" if renewable is None else f", from {renewable.isoformat(timespec='seconds')} on"
        raise AlreadyPassed(f"course {course} is passed; it is not taken again except for renewal{until}")
    found = standing.next_step(records, course, release.form.retake, now, anew=True)
    if found.action == "contact":
        used = f"{found.tries_used} tries in {release.form.retake.period_days} days are used"
        raise TriesExhausted(used, not_before=found.not_before)
    if found.action == "wait":
        why = "the waiting time after the last try has not passed"
        if found.not_before is None:
            why = "the result of the last try is still to come"
        raise RetakeTooEarly(why, not_before=found.not_before)


def _level_left(records: LearnerRecords, release: Release, now: datetime) -> bool:
    """Whether the form decides on a further level that is not passed."""
    found = (standing.spoken(records, release.course.id, now, cut.level) for cut, _ in release.further_cuts)
    return any(speaking is None or speaking.word != "passed" for speaking in found)


async def _met_before(services: Services, records: LearnerRecords, release: Release) -> list[list[str]]:
    """Units of the last tries of the course, the last one first; as many tries as the form looks back to."""
    if release.form.kind == "fixed":
        return []
    rules = release.form.adaptive
    ended = [s for s in records.sessions if s.course == release.course.id and s.state == "ended"]
    tries = [s for s in ended if s.try_number]
    n_tries = 1 if rules is None or rules.overlap is None else rules.overlap.sessions
    # What a placement showed counts with the last try, so that it is met again last of all.
    together = [[session] for session in reversed(tries[-n_tries:])] or [[]]
    together[0] += [s for s in ended if not s.try_number][-1:]
    met = []
    for sessions in together:
        seen: set[str] = set()
        for session in sessions:
            seen.update(await services.store.read(reading.offered_items, records.learner.tenant, session.id))
        units = {release.unit_of[item] for item in seen if item in release.unit_of}
        met.append([release.units[unit].reference for unit in sorted(units)])
    return met


def _choosing(records: LearnerRecords, release: Release, now: datetime) -> Prior | None:
    """What the newest score of an earlier course says, where the form chooses units by it."""
    rules = release.form.adaptive
    for earlier in () if rules is None else rules.start.earlier:
        speaking = standing.spoken(records, earlier.course, now)
        if speaking is None or speaking.void:
            continue
        decided = json.loads(speaking.decision.record).get("decision", {})
        # A score on another scale than the regression was made for says nothing here.
        if decided.get("theta") is not None and decided.get("scale_id") == earlier.scale:
            return Prior(earlier.intercept + earlier.slope * float(decided["theta"]), earlier.sd)
    return None


async def _met(services: Services, records: LearnerRecords, course: str) -> set[str]:
    """Items that a learner met in the last session of a course, and in its part of a placement."""
    ended = [s for s in records.sessions if s.course == course and s.state == "ended"]
    last = {(session.try_number == 0): session.id for session in ended}
    met: set[str] = set()
    for session in last.values():
        met.update(await services.store.read(reading.offered_items, records.learner.tenant, session))
    return met


def _token(scope: Scope, session: str, key: Key | None) -> str:
    return new_token() if key is None or not scope.token_key else _derived(scope, session, key)


def _derived(scope: Scope, session: str, key: Key) -> str:
    return derived_token(scope.token_key, session, key.key)


def _begun(
    services: Services, row: Session, state: SessionState, token: str, fence: int
) -> schemas.SessionBegun:
    return schemas.SessionBegun(
        session=row.id,
        token=token,
        url=f"{services.settings.public_url}/s/{row.id}?token={token}",
        form=row.form,
        release=row.release,
        expires_at=state.closes_at,
        current=showing.current(services.renderer, state, services.clock()),
        fence=fence,
    )
