"""A short practice in every format, with items of its own; nothing of it is stored or scored."""

from __future__ import annotations

from assess.delivery.pages.language import Language
from assess.delivery.pages.views import ItemView, OptionView, option_view
from assess.items import (
    ExtendedText,
    Interaction,
    Matching,
    MultipleResponse,
    Numeric,
    Ordering,
    ShortText,
    SingleChoice,
)

INTERACTIONS: tuple[Interaction, ...] = (
    SingleChoice(("a", "b", "c"), {"b": 1}),
    MultipleResponse(("a", "b", "c", "d"), frozenset("ac")),
    Ordering(("a", "b", "c"), ("b", "c", "a")),
    Matching(("1", "2", "3"), ("x", "y", "z"), {"1": "y", "2": "z", "3": "x"}),
    Numeric("28"),
    ShortText(("projector",)),
    ExtendedText(2),
)
N_ITEMS = len(INTERACTIONS)


def practice_item(position: int, language: Language) -> ItemView:
    """The practice item at a position from 1."""
    stem, options, targets = _words(language)[position - 1]
    return ItemView(
        id=f"practice-{position}",
        type=INTERACTIONS[position - 1].type,
        language=language.code,
        stem=option_view("stem", stem).html,
        stimulus=None,
        options=_views(options),
        targets=_views(targets),
        position=position,
        n_items=N_ITEMS,
        revision=1,
        seconds_left=None,
    )


def _views(words: dict[str, str]) -> tuple[OptionView, ...]:
    return tuple(option_view(key, text) for key, text in words.items())


def _words(language: Language) -> list[tuple[str, dict[str, str], dict[str, str]]]:
    _ = language.gettext
    return [
        (
            _("Choosing one answer: which of these would you use to show one picture to the whole class?"),
            {"a": _("A printer"), "b": _("A projector"), "c": _("A pair of headphones")},
            {},
        ),
        (
            _("Choosing several answers: which of these can record a voice?"),
            {"a": _("A mobile phone"), "b": _("A sheet of paper"), "c": _("A tablet"), "d": _("A wall map")},
            {},
        ),
        (
            _("Putting lines in order: how do you write a message and send it?"),
            {"a": _("Send the message"), "b": _("Open a new message"), "c": _("Write the text")},
            {},
        ),
        (
            _("Matching: what does each of these do?"),
            {"1": _("A camera"), "2": _("A loudspeaker"), "3": _("A keyboard")},
            {"x": _("It puts in text"), "y": _("It takes pictures"), "z": _("It plays sound")},
        ),
        (_("Writing a number: a class has 14 desks for two. How many learners can sit down?"), {}, {}),
        (_("Writing a word or two: what is the device called that throws a picture on the wall?"), {}, {}),
        (_("Writing a longer answer: what would you like your class to do with a camera?"), {}, {}),
    ]
