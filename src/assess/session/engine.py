"""The engine: start a session, take an answer, say what comes next. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from assess import __version__
from assess.errors import (
    AnswerConflict,
    AnswerMalformed,
    InvalidParameters,
    ItemNotOffered,
    ItemTimeOver,
    PositionConflict,
    SessionExpired,
    SessionFinished,
    SessionVoid,
)
from assess.irt.scoring import Prior
from assess.items import RawAnswer
from assess.session import multistage
from assess.session.first import FirstDecision
from assess.session.pilots import place_pilot
from assess.session.records import record
from assess.session.release import Release, count_items
from assess.session.selection import coming, kept_closed
from assess.session.state import Ending, Offer, Response, SessionState, StartRecord, answer_digest
from assess.session.timing import NO_ACCOMMODATION, Accommodation, Break, Closing, SectionEnd, TimeGrant


@record
class Step:
    """What happens next: an item to offer, what a clock has closed, a wait for the learner, or the end.

    Exactly one of `offer` (an item reference), `closing`, `ending` and
    `waiting` says so; `waiting` is true while an offer has no response, or when
    a form that allows review waits for the learner to submit.
    """

    offer: str | None = None
    ending: Ending | None = None
    waiting: bool = False
    closing: Closing | None = None


def start(
    release: Release,
    *,
    session: str,
    learner: str,
    seed: str,
    now: datetime,
    language: str | None = None,
    try_number: int = 1,
    excluded: Collection[str] = (),
    assurance: str = "unsupervised",
    with_pilot: bool = True,
    accommodation: Accommodation = NO_ACCOMMODATION,
    choosing: Prior | None = None,
    placement: str = "",
    confirms: FirstDecision | None = None,
) -> StartRecord:
    """Write the start record of a session: everything by chance or by policy, settled before the first offer.

    Parameters
    ----------
    session, learner : str
        Ids from the caller.
    seed : str
        128 secret bits as 32 hexadecimal digits.
    excluded : collection of str
        Unit references that this learner must not meet; a fixed form has no choice, and a multistage one
        only that of the panel.
    with_pilot : bool
        False leaves unscored items out, as an accommodation may.
    accommodation : Accommodation
        What the learner was given before; it changes clocks and unscored items, never what is
        chosen or scored.
    choosing : Prior, optional
        What earlier courses say about the learner: units are chosen by it, nothing is scored by it.
    placement : str
        The placement of which the session is a part; it has the try number 0 then.
    confirms : FirstDecision, optional
        What a confirming form confirms; it has the try number 0 too.

    Raises
    ------
    InvalidParameters
        The form does not choose by earlier courses; or a confirming form without what it confirms.

    Examples
    --------
    >>> record = start(release, session="ses_1", learner="lrn_1", seed="0f" * 16, now=noon)
    >>> record.language, record.time_limit_seconds, record.try_number
    ('en', 1800, 1)
    """
    form = release.form
    spoken = language if language in form.languages else form.languages[0]
    if choosing is not None and not (form.adaptive and form.adaptive.start.earlier):
        raise InvalidParameters(f"{form.reference} does not choose by earlier courses; it states none")
    if (form.confirms is None) != (confirms is None):
        raise InvalidParameters(
            f"{form.reference}: a confirming form, and no other, is given what it confirms"
        )
    limit = form.time_limit_minutes
    return StartRecord(
        session=session,
        learner=learner,
        release=release.sha256,
        seed=seed,
        started_at=now,
        language=spoken,
        prior_mean=release.prior.mean,
        prior_sd=release.prior.sd,
        engine=__version__,
        try_number=0 if placement or confirms else try_number,
        time_limit_seconds=None if limit is None else 60 * limit,
        excluded=tuple(sorted(excluded)) if form.kind != "fixed" else (),
        pilot=place_pilot(release, seed) if with_pilot and not accommodation.no_pilot else (),
        assurance=assurance,
        accommodation=accommodation,
        closed=kept_closed(release, seed, excluded),
        choosing=None if choosing is None else (choosing.mean, choosing.sd),
        evidence=form.kind != "fixed",
        placement=placement,
        panel="" if form.multistage is None else multistage.drawn_panel(release, seed, excluded),
        confirms=confirms,
    )


def answer(
    state: SessionState,
    *,
    position: int,
    item: str,
    revision: int,
    raw: object,
    now: datetime,
    salt: str,
) -> Response:
    """Check and grade one answer; the stored response if the same answer came before.

    Parameters
    ----------
    item : str
        Item id as the client names it (without version).
    raw : object
        The raw answer of the HTTP contract; None leaves the item blank on purpose.
    salt : str
        Fresh secret of this response.

    Returns
    -------
    Response
        A new response, or the identical object that already stands under this revision.

    Raises
    ------
    SessionRefusal
        Which of its kinds says why; nothing is to be stored.

    Examples
    --------
    >>> state = with_offer(fold(release, record, (), ()), "x-001.v1", noon)
    >>> given = answer(state, position=1, item="x-001", revision=1, raw="b", now=noon, salt="00" * 16)
    >>> given.category, given.revision
    (1, 1)
    """
    if state.void:
        raise SessionVoid("this session was declared void")
    if not 1 <= position <= state.position:
        raise PositionConflict(f"position {position} has not been offered; the last one is {state.position}")
    target = state.item_at(position)
    if target.id != item:
        raise ItemNotOffered(f"position {position} offered item {target.id!r}, not {item!r}")
    canonical: RawAnswer | None = None
    if raw is not None:
        try:
            canonical = target.check(raw)
        except AnswerMalformed as fault:
            raise AnswerMalformed(f"item {target.id!r}: {fault}") from None
    latest = state.latest.get(position)
    earlier = [] if latest is None else [r for r in state.responses if r.position == position]
    same = next((r for r in earlier if r.revision == revision), None)
    if same is not None:
        if same.answer == canonical:
            return same
        if same.timed_out:
            raise ItemTimeOver(f"the time for position {position} was over; it counts as left blank")
        raise AnswerConflict(f"another answer to position {position} is stored as revision {revision}")
    if state.ending is not None:
        raise SessionFinished("this session has ended")
    _require_time(state, position, now)
    newest = 0 if latest is None else latest.revision
    if revision != newest + 1:
        raise AnswerConflict(
            f"position {position} is at revision {newest}; the next one is {newest + 1}, not {revision}"
        )
    if newest and state.release.form.review != "allowed":
        raise AnswerConflict(f"position {position} is answered, and this form does not allow changes")
    over = any(clock.name != "session" and now > clock.deadline for clock in state.clocks)
    return Response(
        position=position,
        revision=revision,
        item=target.reference,
        answer=canonical,
        category=0 if canonical is None else target.grade(canonical),
        at=now,
        salt=salt,
        answer_sha256=answer_digest(salt, canonical),
        # Within the grace an answer counts. A page that had none to send says so: the clock left the blank.
        timed_out=canonical is None and over,
    )


def _require_time(state: SessionState, position: int, now: datetime) -> None:
    """Refuse an answer that no clock takes any more, or none takes now."""
    if now > state.closes_at:
        raise SessionExpired("the time for this session is over; this answer came too late")
    if state.on_break(now) is not None:
        raise PositionConflict("the session is on a break; end the break first")
    closing = state.closing
    if closing is not None and closing.position == position and now > closing.at:
        raise ItemTimeOver(f"the time of this {closing.name} is over; the answer came too late")
    if state.section_ends and any(end.section == state.section_of(position) for end in state.section_ends):
        raise ItemTimeOver(f"the section of position {position} is closed; the answer came too late")


def with_response(state: SessionState, response: Response) -> SessionState:
    """The state after a response that `answer` returned; the same one twice changes nothing.

    Examples
    --------
    >>> state = with_offer(fold(release, record, (), ()), "x-001.v1", noon)
    >>> given = answer(state, position=1, item="x-001", revision=1, raw="b", now=noon, salt="00" * 16)
    >>> len(with_response(with_response(state, given), given).responses)
    1
    """
    known = state.latest.get(response.position)
    if known is not None and any(response == earlier for earlier in state.responses):
        return state
    return state.answered(response)


def with_offer(state: SessionState, item: str, now: datetime) -> SessionState:
    """The state after the next item was offered.

    Examples
    --------
    >>> with_offer(fold(release, record, (), ()), "x-001.v1", noon).position
    1
    """
    return state.offering(Offer(len(state.offers) + 1, item, now))


def with_closing(state: SessionState, closing: Closing, *, salt: str) -> SessionState:
    """The state after a clock closed an item (a blank) or a section (whose rest is not reached).

    Parameters
    ----------
    salt : str
        Fresh secret of the blank.

    Examples
    --------
    >>> state = with_offer(fold(release, record, (), ()), "x-001.v1", noon)
    >>> closed = with_closing(state, Closing("item", 1, noon), salt="00" * 16)
    >>> closed.latest[1].answer, closed.latest[1].category, closed.latest[1].timed_out
    (None, 0, True)
    """
    if closing.name == "section":
        section = state.section_of(closing.position)
        assert section is not None
        return replace(
            state, section_ends=(*state.section_ends, SectionEnd(section, closing.position, closing.at))
        )
    blank = Response(
        position=closing.position,
        revision=1,
        item=state.offers[closing.position - 1].item,
        answer=None,
        category=0,
        at=closing.at,
        salt=salt,
        answer_sha256=answer_digest(salt, None),
        timed_out=True,
    )
    return with_response(state, blank)


def with_grant(state: SessionState, grant: TimeGrant) -> SessionState:
    """The state after time was granted.

    Examples
    --------
    >>> state = with_grant(fold(release, record, (), ()), TimeGrant(60, noon))
    >>> state.seconds_left(noon)
    1860
    """
    return replace(state, grants=(*state.grants, grant))


def with_break(state: SessionState, now: datetime) -> SessionState:
    """The state after a break began; the clocks stand until it ends.

    Examples
    --------
    >>> pausing = start(release, session="s", learner="l", seed="0f" * 16, now=noon,
    ...                 accommodation=Accommodation(breaks=1, break_minutes=5))
    >>> state = with_break(fold(release, pausing, (), ()), noon)
    >>> state.seconds_left(noon), state.breaks_left
    (1800, 0)
    """
    position = None if state.awaiting is None else state.awaiting.position
    begun = Break(now, 60 * state.accommodation.break_minutes, position)
    return replace(state, breaks=(*state.breaks, begun))


def with_break_ended(state: SessionState, now: datetime) -> SessionState:
    """The state after the last break ended.

    Examples
    --------
    >>> state = fold(release, record, (), (), breaks=[Break(noon, 300)])
    >>> with_break_ended(state, noon).on_break(noon) is None
    True
    """
    return replace(state, breaks=(*state.breaks[:-1], replace(state.breaks[-1], ended_at=now)))


def with_accommodation(state: SessionState, accommodation: Accommodation) -> SessionState:
    """The state after an accommodation was granted during the session; it replaces the one before.

    Examples
    --------
    >>> state = with_accommodation(fold(release, record, (), ()), Accommodation(1.5))
    >>> state.seconds_left(noon)
    2700
    """
    return replace(state, accommodated=(*state.accommodated, accommodation))


def with_ending(state: SessionState, ending: Ending) -> SessionState:
    """The state after the session ended.

    Examples
    --------
    >>> state = with_ending(fold(release, record, (), ()), Ending("submitted", noon))
    >>> step(state, noon).ending.how
    'submitted'
    """
    return replace(state, ending=ending)


def step(state: SessionState, now: datetime) -> Step:
    """What comes next, from the records alone.

    A fixed form runs through its items; an adaptive one asks the selection
    kernel between units, a multistage one the routes between modules. Time that
    ran out ends the session, or closes an item or a section, at its deadline,
    whenever that is noticed.

    Examples
    --------
    >>> step(fold(release, record, (), ()), noon).offer
    'x-001.v1'
    """
    if state.ending is not None:
        return Step(ending=state.ending)
    if now > state.closes_at:
        return Step(ending=Ending("timed_out", state.closes_at))
    if state.awaiting is not None:
        closing = state.closing
        if closing is not None and now > closing.at:
            return Step(closing=closing)
        return Step(waiting=True)
    pilot = {} if not state.start.pilot or state.accommodation.no_pilot else dict(state.start.pilot)
    inside = _unit_in_progress(state, now)
    if inside is not None:
        return Step(offer=inside)
    if state.release.form.kind == "fixed":
        return _fixed_step(state, pilot, now)
    return _routed_step(state, pilot, now)


def _unit_in_progress(state: SessionState, now: datetime) -> str | None:
    """The next item of a case set that was begun."""
    if not state.offers or state.offers[-1].item not in state.release.unit_of:
        return None
    if state.section is not None and state.section_is_over(state.section, now):
        return None
    unit = state.release.units[state.release.unit_of[state.offers[-1].item]]
    if len(unit.items) == 1:
        return None
    return next((item.reference for item in unit.items if item.reference not in state.offered), None)


def _pilot_due(state: SessionState, pilot: dict[int, str]) -> str | None:
    """The pilot item whose position has come; a case set in progress may have delayed it."""
    if not pilot:
        return None
    offered = state.offered
    due = (reference for position, reference in sorted(pilot.items()) if position <= state.position + 1)
    return next((reference for reference in due if reference not in offered), None)


def _fixed_step(state: SessionState, pilot: dict[int, str], now: datetime) -> Step:
    release = state.release
    offered = state.offered
    following, section = None, state.section
    if not release.form.sections:
        following = next((reference for reference in release.order if reference not in offered), None)
    else:
        for u, unit in enumerate(release.units):
            section = release.section_of_unit[u]
            if state.section_is_over(section, now):
                continue
            following = next((item.reference for item in unit.items if item.reference not in offered), None)
            if following is not None:
                break
    due = _pilot_due(state, pilot)
    # An unscored item stands in the section that was begun; it never opens the next one and its clock.
    if due is not None and (section == state.section and (following is not None or section is None)):
        return Step(offer=due)
    if following is not None:
        return Step(offer=following)
    if release.form.review == "allowed":
        return Step(waiting=True)
    return Step(ending=Ending("completed", now))


def _routed_step(state: SessionState, pilot: dict[int, str], now: datetime) -> Step:
    routed = state.release.form.multistage is not None
    unit = multistage.coming(state) if routed else coming(state)
    if unit is None:
        return Step(ending=Ending("completed", now))
    due = _pilot_due(state, pilot)
    if due is not None:
        return Step(offer=due)
    return Step(offer=state.release.units[unit].items[0].reference)


def is_complete(state: SessionState) -> bool:
    """Whether enough was administered for a decision.

    A session that was handed in before every item of a fixed form was answered
    or left blank, or that ended before the minimum length and blueprint of an
    adaptive one, or before the last module of a multistage one, is incomplete
    and never passed. A fixed form whose time ran out is complete, and so is one
    that went to its end past a section whose time ran out: what was not reached
    scores 0.

    Examples
    --------
    >>> state = fold(release, record, (), ())
    >>> [is_complete(with_ending(state, Ending(how, noon))) for how in ("submitted", "timed_out")]
    [False, True]
    """
    release = state.release
    if release.form.kind == "fixed":
        if state.ending is not None and state.ending.how in ("timed_out", "completed"):
            return True
        return len(state.complete) == len(release.units)
    if release.form.multistage is not None:
        return multistage.is_complete(state)
    rules = release.form.adaptive
    assert rules is not None
    done = [release.units[unit] for unit, _ in state.complete]
    items = [item for unit in done for item in unit.items]
    met = all(
        count_items(items, requirement) >= requirement.minimum for requirement in release.form.blueprint
    )
    return len(done) >= rules.min_units and met
