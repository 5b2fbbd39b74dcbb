"""From the fields of an item's form to a raw answer, and from an answer back to the fields.

An answer that cannot be sent is described by `Fault`s, each naming the control
where it can be put right; what was typed is kept in `Filled` either way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from starlette.datastructures import FormData

from assess.delivery.pages.language import Language
from assess.delivery.pages.shell import form_text

RawAnswer = str | list[str] | dict[str, str]
_WRITTEN = ("numeric", "short_text", "extended_text")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the form needs to know of an item: its type and the ids that may be chosen."""

    type: str
    options: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Filled:
    """What stands in the controls: chosen options, places or targets by option, and text."""

    chosen: tuple[str, ...] = ()
    by_option: Mapping[str, str] = field(default_factory=dict)
    text: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """A sentence about one control, and the id of that control."""

    control: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Reading:
    """An answer ready to be sent, or the faults that keep it from being one."""

    filled: Filled
    answer: RawAnswer | None = None
    faults: tuple[Fault, ...] = ()


def read_fields(asked: Asked, form: FormData, language: Language) -> Reading:
    """The answer that a posted form means.

    Examples
    --------
    >>> from assess.delivery.pages.language import language
    >>> english = language("en")
    >>> asked = Asked("ordering", ("a", "b"))
    >>> read_fields(asked, FormData([("place.a", "2"), ("place.b", "1")]), english).answer
    ['b', 'a']
    >>> read_fields(asked, FormData([("place.a", "2"), ("place.b", "2")]), english).faults[0].sentence
    'Number 2 is used twice. Give each line its own number.'
    """
    if asked.type in _WRITTEN:
        text = form_text(form, "answer").replace("\r\n", "\n")
        filled = Filled(text=text)
        return Reading(filled, text) if text.strip() else Reading(filled, faults=(nothing(asked, language),))
    if asked.type in ("ordering", "matching"):
        name = "place" if asked.type == "ordering" else "match"
        given = {option: form_text(form, f"{name}.{option}") for option in asked.options}
        filled = Filled(by_option=given)
        if not any(given.values()):
            return Reading(filled, faults=(nothing(asked, language),))
        return (
            _read_order(asked, filled, language) if name == "place" else _read_match(asked, filled, language)
        )
    chosen = tuple(str(value) for value in form.getlist("answer"))
    filled = Filled(chosen=tuple(option for option in asked.options if option in chosen))
    if not filled.chosen:
        return Reading(filled, faults=(nothing(asked, language),))
    if asked.type == "single_choice":
        return Reading(filled, filled.chosen[0])
    return Reading(filled, list(filled.chosen))


def _read_order(asked: Asked, filled: Filled, language: Language) -> Reading:
    _ = language.gettext
    places = [str(n) for n in range(1, len(asked.options) + 1)]
    faults: list[Fault] = []
    seen: set[str] = set()
    for option in asked.options:
        place = filled.by_option[option]
        if place not in places:
            faults.append(Fault(f"place-{option}", _("A line has no number yet. Give every line a number.")))
        elif place in seen:
            sentence = _("Number %(n)s is used twice. Give each line its own number.") % {"n": place}
            faults.append(Fault(f"place-{option}", sentence))
        seen.add(place)
    if faults:
        return Reading(filled, faults=tuple(faults))
    return Reading(filled, sorted(asked.options, key=lambda option: int(filled.by_option[option])))


def _read_match(asked: Asked, filled: Filled, language: Language) -> Reading:
    _ = language.gettext
    open_ones = [option for option in asked.options if filled.by_option[option] not in asked.targets]
    if open_ones:
        sentence = _("A line has no match yet. Choose one for every line.")
        return Reading(filled, faults=tuple(Fault(f"match-{option}", sentence) for option in open_ones))
    return Reading(filled, dict(filled.by_option))


def nothing(asked: Asked, language: Language) -> Fault:
    """The fault of an answer that is not there."""
    _ = language.gettext
    if asked.type in _WRITTEN:
        return Fault("answer-text", _("There is no answer yet. Write one, or leave the item blank."))
    if asked.type == "ordering":
        return Fault(
            f"place-{asked.options[0]}",
            _("There is no order yet. Number the lines, or leave the item blank."),
        )
    if asked.type == "matching":
        return Fault(
            f"match-{asked.options[0]}", _("Nothing is matched yet. Choose a match, or leave the item blank.")
        )
    return Fault(
        f"answer-{asked.options[0]}", _("Nothing is chosen yet. Choose an answer, or leave the item blank.")
    )


def refused(asked: Asked, language: Language) -> Fault:
    """The fault of an answer that the engine calls malformed, in the learner's words."""
    _ = language.gettext
    if asked.type == "numeric":
        return Fault(
            "answer-text", _("This is not a number that can be read. Write digits only, such as 3.5 or 3,5.")
        )
    if asked.type in _WRITTEN:
        return Fault("answer-text", _("This text is too long. Shorten it and save again."))
    return nothing(asked, language)


def fill(asked: Asked, answer: RawAnswer | None) -> Filled:
    """The controls as they stood when an answer was given.

    Examples
    --------
    >>> fill(Asked("ordering", ("a", "b")), ["b", "a"]).by_option
    {'b': '1', 'a': '2'}
    """
    if answer is None:
        return Filled()
    if isinstance(answer, dict):
        return Filled(by_option=answer)
    if isinstance(answer, str):
        return Filled(text=answer) if asked.type in _WRITTEN else Filled(chosen=(answer,))
    if asked.type == "ordering":
        return Filled(by_option={option: str(n) for n, option in enumerate(answer, start=1)})
    return Filled(chosen=tuple(answer))


def shown_order(options: Sequence[str], filled: Filled) -> list[str]:
    """Options in the order in which an ordering's lines stand: by place once every line has one.

    Examples
    --------
    >>> shown_order(("a", "b"), Filled(by_option={"a": "2", "b": "1"})), shown_order(("a", "b"), Filled())
    (['b', 'a'], ['a', 'b'])
    """
    places = [filled.by_option.get(option, "") for option in options]
    if sorted(places) != [str(n) for n in range(1, len(options) + 1)]:
        return list(options)
    return sorted(options, key=lambda option: int(filled.by_option[option]))
