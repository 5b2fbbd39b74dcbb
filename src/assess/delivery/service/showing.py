"""What a learner sees of a session: the current item, progress, looking back."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from assess.delivery import schemas
from assess.delivery.rendering import ItemHtml, Renderer
from assess.session import SessionState


def n_items(state: SessionState) -> int | None:
    """How many items the session has; None where that depends on the answers."""
    if state.release.form.kind == "adaptive":
        return None
    return len(state.release.order) + len(state.start.pilot)


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
    return schemas.Current(
        position=position,
        n_items=n_items(state),
        revision=1 if latest is None else latest.revision + 1,
        seconds_left=state.seconds_left(now),
        item=shown_item(renderer, state, position),
        answer=None if latest is None else latest.answer,
    )


def current(renderer: Renderer, state: SessionState, now: datetime) -> schemas.Current | None:
    """The position that waits for an answer, if there is one."""
    awaiting = state.awaiting
    return None if awaiting is None else position_view(renderer, state, awaiting.position, now)


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
