"""The interactions: what a learner may answer, and the category it earns.

A raw answer is what the HTTP contract carries: ``"b"``, ``["a", "c"]``,
``["c", "a", "b"]``, ``{"1": "x"}``, ``"3.5"`` or text. `check` refuses a
malformed one and returns it in canonical form, so that two spellings of one
answer are the same answer; `grade` maps a canonical answer to a category
0..n_categories-1, or to None when only a person can.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar

from assess.errors import AnswerMalformed, InvalidContent
from assess.items.reading import Fields

RawAnswer = str | list[str] | dict[str, str]

ALL_OR_NOTHING = "all_or_nothing"
PARTIAL = "partial"
_MAX_TEXT = 20_000


def _is_strings(raw: object) -> bool:
    return isinstance(raw, Sequence) and not isinstance(raw, str) and all(isinstance(x, str) for x in raw)


def _duplicates(ids: Sequence[str]) -> list[str]:
    return sorted({x for x in ids if ids.count(x) > 1})


@dataclass(frozen=True, slots=True)
class SingleChoice:
    """One option of several; each option earns a category.

    Examples
    --------
    >>> item = SingleChoice(options=("a", "b", "c"), credit={"b": 1})
    >>> item.grade(item.check("b")), item.grade(item.check("a"))
    (1, 0)
    """

    type: ClassVar[str] = "single_choice"
    options: tuple[str, ...]
    credit: Mapping[str, int]

    @property
    def n_categories(self) -> int:
        return max(self.credit.values()) + 1

    def check(self, raw: object) -> RawAnswer:
        if not isinstance(raw, str) or raw not in self.options:
            raise AnswerMalformed(f"answer one option id of {', '.join(self.options)}; got {raw!r}")
        return raw

    def grade(self, answer: RawAnswer) -> int | None:
        assert isinstance(answer, str)
        return self.credit.get(answer, 0)

    def best(self) -> RawAnswer:
        return max(self.options, key=lambda option: self.credit.get(option, 0))


@dataclass(frozen=True, slots=True)
class MultipleResponse:
    """Any number of options. Partial credit is hits minus false alarms, at least 0.

    Examples
    --------
    >>> item = MultipleResponse(("a", "b", "c", "d"), key=frozenset("ac"), scoring="partial")
    >>> [item.grade(item.check(raw)) for raw in (["c", "a"], ["a"], ["a", "b", "c"], ["b"])]
    [2, 1, 1, 0]
    """

    type: ClassVar[str] = "multiple_response"
    options: tuple[str, ...]
    key: frozenset[str]
    scoring: str = ALL_OR_NOTHING

    @property
    def n_categories(self) -> int:
        return len(self.key) + 1 if self.scoring == PARTIAL else 2

    def check(self, raw: object) -> RawAnswer:
        if not _is_strings(raw):
            raise AnswerMalformed(f"answer a list of option ids; got {raw!r}")
        chosen: list[str] = list(raw)  # type: ignore[call-overload]
        unknown = [x for x in chosen if x not in self.options]
        if unknown or _duplicates(chosen) or not chosen:
            fault = (
                unknown[0]
                if unknown
                else "nothing chosen"
                if not chosen
                else f"{_duplicates(chosen)[0]} twice"
            )
            raise AnswerMalformed(
                f"answer one or more of {', '.join(self.options)}, each once; got {fault!r}"
            )
        return sorted(chosen)

    def grade(self, answer: RawAnswer) -> int | None:
        chosen = set(answer)
        if self.scoring == PARTIAL:
            return max(0, len(chosen & self.key) - len(chosen - self.key))
        return int(chosen == self.key)

    def best(self) -> RawAnswer:
        return sorted(self.key)


@dataclass(frozen=True, slots=True)
class Ordering:
    """All options in an order. Partial credit counts adjacent pairs of the key that stand in its order.

    Examples
    --------
    >>> item = Ordering(("a", "b", "c"), key=("c", "a", "b"), scoring="partial")
    >>> [item.grade(item.check(raw)) for raw in (["c", "a", "b"], ["a", "b", "c"], ["b", "a", "c"])]
    [2, 1, 0]
    """

    type: ClassVar[str] = "ordering"
    options: tuple[str, ...]
    key: tuple[str, ...]
    scoring: str = ALL_OR_NOTHING

    @property
    def n_categories(self) -> int:
        return len(self.key) if self.scoring == PARTIAL else 2

    def check(self, raw: object) -> RawAnswer:
        if not _is_strings(raw) or sorted(raw) != sorted(self.options):  # type: ignore[call-overload]
            raise AnswerMalformed(
                f"answer all of {', '.join(self.options)}, each once, in order; got {raw!r}"
            )
        return list(raw)  # type: ignore[call-overload,no-any-return]

    def grade(self, answer: RawAnswer) -> int | None:
        order = list(answer)
        if self.scoring == PARTIAL:
            pairs = zip(self.key[:-1], self.key[1:], strict=True)
            return sum(order.index(first) < order.index(second) for first, second in pairs)
        return int(tuple(order) == self.key)

    def best(self) -> RawAnswer:
        return list(self.key)


@dataclass(frozen=True, slots=True)
class Matching:
    """One target for each option. Partial credit counts the right ones.

    Examples
    --------
    >>> item = Matching(("1", "2"), ("x", "y", "z"), key={"1": "x", "2": "z"}, scoring="partial")
    >>> item.grade(item.check({"1": "x", "2": "y"}))
    1
    """

    type: ClassVar[str] = "matching"
    options: tuple[str, ...]
    targets: tuple[str, ...]
    key: Mapping[str, str]
    scoring: str = ALL_OR_NOTHING

    @property
    def n_categories(self) -> int:
        return len(self.options) + 1 if self.scoring == PARTIAL else 2

    def check(self, raw: object) -> RawAnswer:
        if (
            not isinstance(raw, Mapping)
            or set(raw) != set(self.options)
            or any(not isinstance(target, str) or target not in self.targets for target in raw.values())
        ):
            raise AnswerMalformed(
                f"answer a target of {', '.join(self.targets)} for each of "
                f"{', '.join(self.options)}; got {raw!r}"
            )
        return {option: raw[option] for option in self.options}

    def grade(self, answer: RawAnswer) -> int | None:
        assert isinstance(answer, dict)
        right = sum(answer[option] == target for option, target in self.key.items())
        return right if self.scoring == PARTIAL else int(right == len(self.key))

    def best(self) -> RawAnswer:
        return {option: self.key[option] for option in self.options}


@dataclass(frozen=True, slots=True)
class Numeric:
    """A number within a tolerance; any decimal mark and any script's digits.

    Examples
    --------
    >>> item = Numeric(key="3.5", tolerance="0.1")
    >>> [item.grade(item.check(raw)) for raw in ("3.5", " 3,55 ", "−3.5", "٣٫٥")]
    [1, 1, 0, 1]
    """

    type: ClassVar[str] = "numeric"
    key: str
    tolerance: str = "0"
    n_categories: ClassVar[int] = 2

    def check(self, raw: object) -> RawAnswer:
        if not isinstance(raw, str) or not raw.strip() or len(raw) > 40:
            raise AnswerMalformed(f"answer a number as text, such as '3.5'; got {raw!r}")
        return str(self._number(raw))

    @staticmethod
    def _number(raw: str) -> Decimal:
        text = "".join(
            str(unicodedata.digit(c)) if c.isdigit() else c for c in unicodedata.normalize("NFKC", raw)
        )
        text = text.strip().replace("−", "-").replace("٫", ".").replace(",", ".")
        try:
            value = Decimal(text)
        except InvalidOperation:
            raise AnswerMalformed(
                f"{raw!r} is not a number; write digits with at most one decimal mark and no thousands mark"
            ) from None
        if not value.is_finite():
            raise AnswerMalformed(f"{raw!r} is not a finite number")
        return value

    def grade(self, answer: RawAnswer) -> int | None:
        assert isinstance(answer, str)
        return int(abs(Decimal(answer) - Decimal(self.key)) <= Decimal(self.tolerance))

    def best(self) -> RawAnswer:
        return self.key


def normalise_text(text: str) -> str:
    """Text without differences that no reader would count: width, case, spaces, outer punctuation.

    Examples
    --------
    >>> normalise_text("  Creative   Commons. ")
    'creative commons'
    """
    text = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return text.strip(" .,;:!?\"'«»“”‘’()[]")


@dataclass(frozen=True, slots=True)
class ShortText:
    """A word or phrase, compared after `normalise_text`.

    Examples
    --------
    >>> item = ShortText(accepted=("Creative Commons", "CC"))
    >>> item.grade(item.check("creative  commons.")), item.grade(item.check("copyright"))
    (1, 0)
    """

    type: ClassVar[str] = "short_text"
    accepted: tuple[str, ...]
    n_categories: ClassVar[int] = 2

    def check(self, raw: object) -> RawAnswer:
        if not isinstance(raw, str) or not raw.strip() or len(raw) > 500:
            raise AnswerMalformed("answer a short text of 1 to 500 characters")
        return unicodedata.normalize("NFC", raw.strip())

    def grade(self, answer: RawAnswer) -> int | None:
        assert isinstance(answer, str)
        return int(normalise_text(answer) in {normalise_text(text) for text in self.accepted})

    def best(self) -> RawAnswer:
        return self.accepted[0]


@dataclass(frozen=True, slots=True)
class ExtendedText:
    """A longer text that a person scores later; `grade` answers None.

    Examples
    --------
    >>> item = ExtendedText(n_categories=4)
    >>> item.grade(item.check("My plan for the lesson ...")) is None
    True
    """

    type: ClassVar[str] = "extended_text"
    n_categories: int

    def check(self, raw: object) -> RawAnswer:
        if not isinstance(raw, str) or not raw.strip() or len(raw) > _MAX_TEXT:
            raise AnswerMalformed(f"answer a text of 1 to {_MAX_TEXT} characters")
        return unicodedata.normalize("NFC", raw.strip())

    def grade(self, answer: RawAnswer) -> int | None:
        return None

    def best(self) -> RawAnswer:
        return ""


Interaction = SingleChoice | MultipleResponse | Ordering | Matching | Numeric | ShortText | ExtendedText
INTERACTION_TYPES: tuple[str, ...] = (
    "single_choice",
    "multiple_response",
    "ordering",
    "matching",
    "numeric",
    "short_text",
    "extended_text",
)


def read_interaction(fields: Fields) -> Interaction:
    """The interaction of an item's mapping, with its key checked against its options."""
    kind = fields.choice("interaction", INTERACTION_TYPES)
    if kind == "numeric":
        return _read_numeric(fields)
    if kind == "short_text":
        accepted = fields.strings("key")
        if not accepted:
            raise fields.fault("key", "list at least one accepted text")
        return ShortText(accepted)
    if kind == "extended_text":
        return ExtendedText(fields.integer("n_categories", minimum=2))
    options = fields.strings("options")
    if len(options) < 2 or _duplicates(options):
        raise fields.fault("options", f"expected two or more different option ids, got {list(options)}")
    if kind == "single_choice":
        return _read_single_choice(fields, options)
    scoring = fields.choice("scoring", (ALL_OR_NOTHING, PARTIAL), ALL_OR_NOTHING)
    if kind == "matching":
        targets = fields.strings("targets")
        pairs = fields.texts("key")
        wrong = [o for o in pairs if o not in options] + [t for t in pairs.values() if t not in targets]
        if wrong or set(pairs) != set(options) or _duplicates(targets):
            raise fields.fault(
                "key", f"give each option one of the targets; {wrong or sorted(pairs)} does not fit"
            )
        return Matching(options, targets, pairs, scoring)
    key = fields.strings("key")
    wrong = [option for option in key if option not in options]
    if wrong or _duplicates(key) or not key:
        raise fields.fault("key", f"{wrong or list(key)} does not name different options of {list(options)}")
    if kind == "multiple_response":
        return MultipleResponse(options, frozenset(key), scoring)
    if len(key) != len(options):
        raise fields.fault("key", f"an ordering key lists all {len(options)} options, got {len(key)}")
    return Ordering(options, key, scoring)


def _read_single_choice(fields: Fields, options: tuple[str, ...]) -> SingleChoice:
    if "credit" in fields:
        credit = fields.raw("credit")
        if not isinstance(credit, Mapping) or any(
            isinstance(c, bool) or not isinstance(c, int) for c in credit.values()
        ):
            raise fields.fault("credit", f"expected option: category, got {credit!r}")
    else:
        credit = {fields.text("key"): 1}
    wrong = [option for option in credit if option not in options]
    if wrong:
        raise fields.fault("key", f"{wrong[0]!r} is not one of the options {list(options)}")
    if (
        not credit
        or sorted(set(credit.values()) | {0}) != list(range(max(credit.values()) + 1))
        or max(credit.values()) < 1
    ):
        raise fields.fault(
            "credit", "categories must run 0, 1, ... without a gap, and one option must earn more than 0"
        )
    return SingleChoice(options, dict(credit))


def _read_numeric(fields: Fields) -> Numeric:
    key, tolerance = fields.text("key"), fields.text("tolerance", "0")
    for name, value in (("key", key), ("tolerance", tolerance)):
        try:
            good = Decimal(value).is_finite() and (name == "key" or Decimal(value) >= 0)
        except InvalidOperation:
            good = False
        if not good:
            raise fields.fault(name, f"{value!r} is not a decimal number in quotes")
    return Numeric(key, tolerance)


def write_interaction(interaction: Interaction) -> dict[str, Any]:
    """The mapping that `read_interaction` reads back as the same interaction."""
    out: dict[str, Any] = {"interaction": interaction.type}
    match interaction:
        case SingleChoice(options, credit):
            out |= {"options": list(options), "credit": dict(sorted(credit.items()))}
        case MultipleResponse(options, key, scoring):
            out |= {"options": list(options), "key": sorted(key), "scoring": scoring}
        case Ordering(options, order, scoring):
            out |= {"options": list(options), "key": list(order), "scoring": scoring}
        case Matching(options, targets, pairs, scoring):
            out |= {
                "options": list(options),
                "targets": list(targets),
                "key": dict(pairs),
                "scoring": scoring,
            }
        case Numeric(number, tolerance):
            out |= {"key": number, "tolerance": tolerance}
        case ShortText(accepted):
            out |= {"key": list(accepted)}
        case ExtendedText(n_categories):
            out |= {"n_categories": n_categories}
        case _:
            raise InvalidContent(f"unknown interaction {interaction!r}")
    return out
