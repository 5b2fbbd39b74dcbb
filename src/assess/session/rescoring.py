"""An ended session scored again: under a corrected key, new parameters, or another cut.

What was offered, answered and timed stays as it was. The raw answers are
graded again by the items of another release of the same course, and the
outcome is computed as if that release had been delivered. The old outcome is
not touched; who stores the new one lets it supersede the old.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from assess.errors import AnswerMalformed, NotFinished, RescoreRefused
from assess.items import Item
from assess.session.engine import is_complete
from assess.session.outcome import Outcome, outcome
from assess.session.release import Release
from assess.session.selection import evidence
from assess.session.state import Response, SessionState


def require_rescorable(delivered: Release, onto: Release) -> None:
    """Refuse a release that cannot stand in for the one that was delivered.

    Items may have new versions, and items may be dropped. A fixed form counts
    all its items, so it must not count one that nobody was offered.

    Raises
    ------
    RescoreRefused
        Another course, another kind of form, or items that were not delivered; named.

    Examples
    --------
    >>> require_rescorable(release, release)
    """
    if delivered.course.id != onto.course.id:
        raise RescoreRefused(
            f"{onto.form.reference} is a form of {onto.course.id}, {delivered.form.reference} one of "
            f"{delivered.course.id}; a session is scored again within its course"
        )
    if delivered.form.kind != onto.form.kind:
        raise RescoreRefused(
            f"{onto.form.reference} is {onto.form.kind} and {delivered.form.reference} "
            f"{delivered.form.kind}; they do not count the same items"
        )
    if delivered.form.placement != onto.form.placement:
        raise RescoreRefused(
            f"one of {delivered.form.reference} and {onto.form.reference} is a part of a placement, which "
            "decides by another rule"
        )
    if delivered.form.multistage is not None:
        _require_same_modules(delivered, onto)
    if delivered.form.confirms or onto.form.confirms:
        raise RescoreRefused(
            f"one of {delivered.form.reference} and {onto.form.reference} confirms another session: it "
            "decides nothing that could be scored again"
        )
    offered = {item.id for unit in delivered.units for item in unit.items}
    strange = [item.id for unit in onto.units for item in unit.items if item.id not in offered]
    if strange and onto.form.kind == "fixed":
        raise RescoreRefused(
            f"{onto.form.reference} counts {strange[0]}, which {delivered.form.reference} did not; "
            "score again by a form of the same items, or of some of them"
        )


def _require_same_modules(delivered: Release, onto: Release) -> None:
    """A session met a path of modules; what counts of them must stand in the same ones."""
    before, after = _modules(delivered), _modules(onto)
    for place, items in before.items():
        strange = sorted(after.get(place, {""}) - items)
        if strange:
            panel, module = place
            wrong = f"holds {strange[0]}, which was not in it" if strange[0] else "is missing"
            raise RescoreRefused(
                f"module {module} of panel {panel} of {onto.form.reference} {wrong}; score again by the "
                "modules that were delivered, or by some of their items"
            )


def _modules(release: Release) -> dict[tuple[str, str], set[str]]:
    """Ids of the items of each module, by panel and module."""
    rules = release.form.multistage
    assert rules is not None
    items = {unit.reference: [str(item.id) for item in unit.items] for unit in release.units}
    return {
        (panel.id, module): {item for unit in rules.modules[module] for item in items[unit]}
        for panel in rules.panels
        for module in panel.modules
    }


def require_standard(onto: Release) -> None:
    """Refuse to release results by a cut that no panel adopted: they were held for that.

    Raises
    ------
    RescoreRefused
        The cut is provisional.

    Examples
    --------
    >>> require_standard(release)
    Traceback (most recent call last):
        ...
    assess.errors.RescoreRefused: x-fixed.v1 pins x-cut.v1, which is provisional; ...
    """
    if onto.cut.status != "adopted":
        raise RescoreRefused(
            f"{onto.form.reference} pins {onto.cut.id}, which is {onto.cut.status}; "
            "results are released by a cut that a panel adopted"
        )


def rescored(state: SessionState, onto: Release) -> SessionState:
    """The state of an ended session as if `onto` had been delivered.

    Items that were unscored when they were offered, or that `onto` does not
    count, are left out. A blank stays blank.

    Raises
    ------
    NotFinished
        The session has not ended.
    RescoreRefused
        The release cannot stand in, or an answer does not fit the new version of its item.

    Examples
    --------
    >>> state = with_ending(fold(release, record, (), ()), Ending("timed_out", noon))
    >>> rescored(state, release).ending.how
    'timed_out'
    """
    if state.ending is None:
        raise NotFinished(f"session {state.start.session} has not ended")
    require_rescorable(state.release, onto)
    counted = {item.id: item for unit in onto.units for item in unit.items}
    references = {
        reference: counted[state.release.items[reference].id].reference
        for reference in state.release.unit_of
        if state.release.items[reference].id in counted
    }
    return replace(
        state,
        release=onto,
        start=replace(state.start, release=onto.sha256, prior_mean=onto.prior.mean, prior_sd=onto.prior.sd),
        offers=tuple(replace(o, item=references[o.item]) for o in state.offers if o.item in references),
        responses=tuple(
            _graded(response, onto.items[references[response.item]])
            for response in state.responses
            if response.item in references
        ),
    )


def rescore(
    state: SessionState,
    onto: Release,
    *,
    decided_at: datetime,
    engine: str,
    again: SessionState | None = None,
) -> Outcome:
    """The outcome of an ended session under another release; its record names the one delivered too.

    Whether enough was administered is what the delivered form said: an item
    that was dropped later does not make a session incomplete.

    Parameters
    ----------
    decided_at : datetime
        When the new decision is made.
    engine : str
        The version that computes it.
    again : SessionState, optional
        What `rescored` says, where the caller has asked it.

    Examples
    --------
    >>> state = with_ending(fold(release, record, (), ()), Ending("timed_out", noon))
    >>> rescore(state, release, decided_at=noon, engine="1.0.0").record["delivered"]["form"]
    'x-fixed.v1'
    """
    again = rescored(state, onto) if again is None else again
    found = outcome(again, decided_at=decided_at, engine=engine, complete=is_complete(state))
    delivered = {"release": state.release.sha256, "form": state.release.form.reference}
    proof = {"evidence": evidence(state)} if state.start.evidence else {}
    return replace(found, record={**found.record, "delivered": delivered, **proof})


def _graded(response: Response, item: Item) -> Response:
    if response.answer is None:
        return replace(response, item=item.reference, category=0)
    try:
        category = item.grade(item.check(response.answer))
    except AnswerMalformed as fault:
        raise RescoreRefused(
            f"the answer to {response.item} does not fit {item.reference}: {fault}"
        ) from None
    return replace(response, item=item.reference, category=category)
