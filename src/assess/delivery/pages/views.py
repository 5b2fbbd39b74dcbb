"""What the templates show, made from the wire types: one place where the two meet."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from assess.delivery.pages.answers import Asked, Filled, shown_order
from assess.delivery.schemas import Choice, Current, Timer

_ONE_PARAGRAPH = re.compile(r"\s*<p>((?:(?!</?p>).)*)</p>\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class OptionView:
    """An option or target: as markup, and as plain words where markup cannot stand."""

    id: str
    html: Markup
    plain: str


@dataclass(frozen=True, slots=True)
class ItemView:
    """An item as the template shows it."""

    id: str
    type: str
    language: str
    stem: Markup
    stimulus: Markup | None
    options: tuple[OptionView, ...]
    targets: tuple[OptionView, ...]
    position: int
    n_items: int | None
    revision: int
    seconds_left: int | None
    timers: tuple[Timer, ...] = ()

    @property
    def asked(self) -> Asked:
        """What the reading of the form needs."""
        return Asked(self.type, tuple(o.id for o in self.options), tuple(t.id for t in self.targets))

    def in_order(self, filled: Filled) -> list[OptionView]:
        """Options as the lines of an ordering stand now."""
        by_id = {option.id: option for option in self.options}
        return [by_id[option] for option in shown_order(tuple(by_id), filled)]


def option_view(id: str, html: str) -> OptionView:
    """An option; a single paragraph loses its frame, for it stands inside a label.

    Examples
    --------
    >>> view = option_view("a", "<p>Ask <em>first</em></p>")
    >>> view.html, view.plain
    (Markup('Ask <em>first</em>'), 'Ask first')
    """
    match = _ONE_PARAGRAPH.fullmatch(html)
    markup = Markup(match[1] if match else html)  # noqa: S704 - sanitised by the renderer
    return OptionView(id, markup, markup.striptags())


def item_view(current: Current) -> ItemView:
    """An offered position, ready for the template."""

    def choices(found: Sequence[Choice] | None) -> tuple[OptionView, ...]:
        return tuple(option_view(choice.id, choice.html) for choice in found or ())

    item = current.item
    return ItemView(
        id=item.id,
        type=item.type,
        language=item.language,
        stem=Markup(item.stem_html),  # noqa: S704 - sanitised by the renderer
        stimulus=Markup(item.stimulus_html) if item.stimulus_html else None,  # noqa: S704 - likewise
        options=choices(item.options),
        targets=choices(item.targets),
        position=current.position,
        n_items=current.n_items,
        revision=current.revision,
        seconds_left=current.seconds_left,
        timers=tuple(current.timers),
    )
