"""What a learner sees of a session: the current item, progress, looking back."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from assess.delivery import schemas
from assess.delivery.rendering import ItemHtml, Renderer
from assess.delivery.service.catalogue import pick
from assess.session import SessionState, path_lengths


def n_items(state: SessionState) -> int | None:
    """How many items the session has; None where that depends on the answers."""
    if state.release.form.kind == "adaptive":
        return None
    scored = len(state.release.order)
    if state.release.form.kind == "multistage":
        lengths = path_lengths(state.release)
        if min(lengths) < max(lengths):
            return None
        scored = lengths[0]
    if not state.accommodation.no_pilot:
        return scored + len(state.start.pilot)
    # Left out from some moment of the session on: those that were shown until then were shown.
    return scored + sum(offer.item not in state.release.unit_of for offer in state.offers)


def shown_item(renderer: Renderer, state: SessionState, position: int) -> schemas.ShownItem:
    """The item of a position, as a learner may see it."""
    item = state.item_at(position)
    html = renderer.item(state.release, item, state.start.language)
    return _shown(html, item.id, item.version, item.interaction_type)


@lru_cache(maxsize=4096)
def _shown(html: ItemHtml, id: str, version: int, interaction: str) -> schemas.ShownItem:
    return schemas.ShownItem(
        id=id,
        version=version,
        type=interaction,
        stem_html=html.stem,
        options=_choices(html.options),
        stimulus_html=html.stimulus,
        targets=_choices(html.targets),
        language=html.language,
    )


def _choices(pairs: tuple[tuple[str, str], ...] | None) -> list[schemas.Choice] | None:
    return None if pairs is None else [schemas.Choice(id=choice, html=html) for choice, html in pairs]


def position_view(renderer: Renderer, state: SessionState, position: int, now: datetime) -> schemas.Current:
    """One offered position, with the revision to send next and what stands there now."""
    latest = state.latest.get(position)
    running = timers(state, now)
    return schemas.Current(
        position=position,
        n_items=n_items(state),
        revision=1 if latest is None else latest.revision + 1,
        seconds_left=running[0].seconds_left if running else None,
        timers=running,
        item=shown_item(renderer, state, position),
        answer=None if latest is None else latest.answer,
    )


def current(renderer: Renderer, state: SessionState, now: datetime) -> schemas.Current | None:
    """The position that waits for an answer, if there is one; during a break it is hidden."""
    awaiting = state.awaiting
    if awaiting is None or state.on_break(now) is not None:
        return None
    return position_view(renderer, state, awaiting.position, now)


def timers(state: SessionState, now: datetime) -> list[schemas.Timer]:
    """The clocks that run, the most urgent first; none after the end."""
    if state.ending is not None:
        return []
    section = state.section if state.release.form.sections else None
    title = "" if section is None else pick(state.release.form.sections[section].title, state.start.language)
    return [
        schemas.Timer(
            of=clock.name,
            seconds_left=state.left(clock, now),
            seconds=clock.seconds,
            title=title if clock.name == "section" else None,
        )
        for clock in state.clocks
    ]


def accommodations(state: SessionState) -> schemas.Accommodations:
    """What the learner has beyond the form."""
    return schemas.Accommodations(
        extra_seconds=sum(grant.seconds for grant in state.grants), **state.accommodation.to_mapping()
    )


def on_break(state: SessionState, now: datetime) -> schemas.OnBreak | None:
    """The break that stops the clocks now."""
    pause = state.on_break(now)
    return None if pause is None or state.ending is not None else schemas.OnBreak(pause.at, pause.ends_at)


def progress(state: SessionState) -> schemas.Progress:
    """How far the session is."""
    return schemas.Progress(answered=len(state.latest), offered=state.position, n_items=n_items(state))


def overview(state: SessionState) -> list[schemas.PositionView]:
    """All offered positions, answered, left blank or open."""
    views = []
    for offer in state.offers:
        latest = state.latest.get(offer.position)
        word = "open" if latest is None else "blank" if latest.answer is None else "answered"
        item = state.release.items[offer.item].id
        views.append(schemas.PositionView(position=offer.position, item=item, state=word))  # type: ignore[arg-type]
    return views


def rationales(renderer: Renderer, state: SessionState) -> list[schemas.Rationale] | None:
    """Every item with its rationales, after the end and where the form's policy gives them; else None."""
    if state.ending is None or state.release.form.feedback != "rationales":
        return None
    found = []
    for offer in state.offers:
        item = state.release.items[offer.item]
        latest = state.latest.get(offer.position)
        _, text = item.text(state.start.language)
        found.append(
            schemas.Rationale(
                position=offer.position,
                item=shown_item(renderer, state, offer.position),
                answer=None if latest is None else latest.answer,
                right=latest is not None and latest.category == item.n_categories - 1,
                rationales=[
                    schemas.Choice(id=option, html=renderer.inline(words))
                    for option, words in text.rationales.items()
                ],
            )
        )
    return found
