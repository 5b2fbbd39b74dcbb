"""The engine: start a session, take an answer, say what comes next. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from assess import __version__
from assess.errors import (
    AnswerConflict,
    AnswerMalformed,
    ItemNotOffered,
    PositionConflict,
    SessionExpired,
    SessionFinished,
    SessionVoid,
)
from assess.items import RawAnswer
from assess.session.release import Release, count_items
from assess.session.state import Ending, Offer, Response, SessionState, StartRecord, answer_digest, chance

# A pilot item near the end meets tired or hurried learners, and its statistics would say so.
_PILOT_FREE_TAIL = 3


@dataclass(frozen=True, slots=True)
class Step:
    """What happens next: an item to offer, a wait for the learner, or the end.

    Exactly one of `offer` (an item reference), `ending` and `waiting` says so;
    `waiting` is true while an offer has no response, or when a form that
    allows review waits for the learner to submit.
    """

    offer: str | None = None
    ending: Ending | None = None
    waiting: bool = False


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
) -> StartRecord:
    """Write the start record of a session: everything by chance or by policy, settled before the first offer.

    Parameters
    ----------
    session, learner : str
        Ids from the caller.
    seed : str
        128 secret bits as 32 hexadecimal digits.
    excluded : collection of str
        Unit references that this learner must not meet (adaptive forms; a fixed form has no choice).
    with_pilot : bool
        False for a learner whose accommodation leaves unscored items out.

    Examples
    --------
    >>> record = start(release, session="ses_1", learner="lrn_1", seed="0f" * 16, now=noon)
    >>> record.language, record.time_limit_seconds, record.try_number
    ('en', 1800, 1)
    """
    form = release.form
    chosen = language if language in form.languages else form.languages[0]
    limit = form.time_limit_minutes
    return StartRecord(
        session=session,
        learner=learner,
        release=release.sha256,
        seed=seed,
        started_at=now,
        language=chosen,
        prior_mean=release.prior.mean,
        prior_sd=release.prior.sd,
        engine=__version__,
        try_number=try_number,
        time_limit_seconds=None if limit is None else 60 * limit,
        excluded=tuple(sorted(excluded)) if form.kind == "adaptive" else (),
        pilot=_place_pilot(release, seed) if with_pilot else (),
        assurance=assurance,
    )


def _place_pilot(release: Release, seed: str) -> tuple[tuple[int, str], ...]:
    """Positions and items of the unscored slots, never among the last three of the shortest session."""
    form = release.form
    if form.pilot_slots == 0:
        return ()
    by_chance = sorted(release.pilot, key=lambda item: chance(seed, "pilot", item.reference))
    chosen = [item.reference for item in by_chance[: form.pilot_slots]]
    shortest = form.adaptive.min_units if form.adaptive else sum(len(unit.items) for unit in release.units)
    last = shortest + len(chosen) - _PILOT_FREE_TAIL
    positions = sorted(range(1, max(last, 0) + 1), key=lambda p: chance(seed, "pilot position", p))[
        : len(chosen)
    ]
    return tuple(zip(sorted(positions), chosen, strict=False))


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
    earlier = [r for r in state.responses if r.position == position]
    same = next((r for r in earlier if r.revision == revision), None)
    if same is not None:
        if same.answer == canonical:
            return same
        raise AnswerConflict(f"another answer to position {position} is stored as revision {revision}")
    if state.ending is not None:
        raise SessionFinished("this session has ended")
    if now > state.closes_at:
        raise SessionExpired("the time for this session is over; this answer came too late")
    newest = max((r.revision for r in earlier), default=0)
    if revision != newest + 1:
        raise AnswerConflict(
            f"position {position} is at revision {newest}; the next one is {newest + 1}, not {revision}"
        )
    if newest and state.release.form.review != "allowed":
        raise AnswerConflict(f"position {position} is answered, and this form does not allow changes")
    return Response(
        position=position,
        revision=revision,
        item=target.reference,
        answer=canonical,
        category=0 if canonical is None else target.grade(canonical),
        at=now,
        salt=salt,
        answer_sha256=answer_digest(salt, canonical),
    )


def with_response(state: SessionState, response: Response) -> SessionState:
    """The state after a response that `answer` returned; the same one twice changes nothing.

    Examples
    --------
    >>> state = with_offer(fold(release, record, (), ()), "x-001.v1", noon)
    >>> given = answer(state, position=1, item="x-001", revision=1, raw="b", now=noon, salt="00" * 16)
    >>> len(with_response(with_response(state, given), given).responses)
    1
    """
    if any(known.position == response.position and known == response for known in state.responses):
        return state
    return state.grown(responses=(*state.responses, response))


def with_offer(state: SessionState, item: str, now: datetime) -> SessionState:
    """The state after the next item was offered.

    Examples
    --------
    >>> with_offer(fold(release, record, (), ()), "x-001.v1", noon).position
    1
    """
    return state.grown(offers=(*state.offers, Offer(state.position + 1, item, now)))


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
    kernel between units. Time that ran out ends the session at its deadline,
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
        return Step(waiting=True)
    pilot = dict(state.start.pilot)
    inside = _unit_in_progress(state)
    if inside is not None:
        return Step(offer=inside)
    if state.release.form.kind == "fixed":
        return _fixed_step(state, pilot, now)
    return _adaptive_step(state, pilot, now)


def _unit_in_progress(state: SessionState) -> str | None:
    """The next item of a case set that was begun."""
    if not state.offers or state.offers[-1].item not in state.release.unit_of:
        return None
    unit = state.release.units[state.release.unit_of[state.offers[-1].item]]
    offered = {offer.item for offer in state.offers}
    return next((item.reference for item in unit.items if item.reference not in offered), None)


def _pilot_due(state: SessionState, pilot: dict[int, str]) -> str | None:
    """The pilot item whose position has come; a case set in progress may have delayed it."""
    offered = {offer.item for offer in state.offers}
    due = (reference for position, reference in sorted(pilot.items()) if position <= state.position + 1)
    return next((reference for reference in due if reference not in offered), None)


def _fixed_step(state: SessionState, pilot: dict[int, str], now: datetime) -> Step:
    due = _pilot_due(state, pilot)
    if due is not None:
        return Step(offer=due)
    offered = {offer.item for offer in state.offers}
    for reference in state.release.order:
        if reference not in offered:
            return Step(offer=reference)
    if state.release.form.review == "allowed":
        return Step(waiting=True)
    return Step(ending=Ending("completed", now))


def _adaptive_step(state: SessionState, pilot: dict[int, str], now: datetime) -> Step:
    test = state.release.adaptive_test
    done = state.unit_categories()
    excluded = frozenset(
        u for u, unit in enumerate(state.release.units) if unit.reference in state.start.excluded
    )
    selection = test.next_unit(done, u=chance(state.start.seed, "select", len(done)), excluded=excluded)
    if selection.unit is None:
        return Step(ending=Ending("completed", now))
    due = _pilot_due(state, pilot)
    if due is not None:
        return Step(offer=due)
    return Step(offer=state.release.units[selection.unit].items[0].reference)


def is_complete(state: SessionState) -> bool:
    """Whether enough was administered for a decision.

    A session that was handed in before every item of a fixed form was answered
    or left blank on purpose, or that ended before the minimum length and
    blueprint of an adaptive one, is incomplete and never passed. A fixed form
    whose time ran out is complete: what was not reached scores 0.

    Examples
    --------
    >>> state = fold(release, record, (), ())
    >>> [is_complete(with_ending(state, Ending(how, noon))) for how in ("submitted", "timed_out")]
    [False, True]
    """
    release = state.release
    if release.form.kind == "fixed":
        if state.ending is not None and state.ending.how == "timed_out":
            return True
        return len(state.unit_categories()) == len(release.units)
    rules = release.form.adaptive
    assert rules is not None
    done = [release.units[unit] for unit, _ in state.unit_categories()]
    items = [item for unit in done for item in unit.items]
    met = all(
        count_items(items, requirement) >= requirement.minimum for requirement in release.form.blueprint
    )
    return len(done) >= rules.min_units and met
