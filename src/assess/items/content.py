"""Items and case sets: what is asked, in which languages, and what it measures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NewType

from assess.errors import InvalidContent
from assess.items.interactions import (
    ExtendedText,
    Interaction,
    Matching,
    MultipleResponse,
    Ordering,
    RawAnswer,
    SingleChoice,
    read_interaction,
    write_interaction,
)
from assess.items.reading import Fields

ItemId = NewType("ItemId", str)

STATES = ("draft", "reviewed", "pilot", "active", "retired")
PROCESSES = ("recall", "apply", "analyse")
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_VERSIONED = re.compile(r"(?P<id>[a-z0-9]+(?:-[a-z0-9]+)*)\.v(?P<version>[1-9][0-9]*)")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")


def read_id(fields: Fields, key: str = "id") -> str:
    """A lower-case id of words, digits and single hyphens."""
    value = fields.text(key)
    if not _ID.fullmatch(value):
        raise fields.fault(key, f"{value!r} is not an id; use lower-case letters, digits and single hyphens")
    return value


def split_reference(reference: str) -> tuple[str, int]:
    """The id and version of a versioned reference.

    Examples
    --------
    >>> split_reference("twt-3-001.v2")
    ('twt-3-001', 2)
    """
    match = _VERSIONED.fullmatch(reference)
    if match is None:
        raise InvalidContent(f"{reference!r} is not a versioned reference such as 'twt-3-001.v2'")
    return match["id"], int(match["version"])


@dataclass(frozen=True, slots=True)
class Alignment:
    """The claim that an item measures a coded part of a framework.

    Blueprints count primary alignments only; an item has at most one per framework and version.
    """

    framework: str
    version: str
    code: str
    primary: bool = True


@dataclass(frozen=True, slots=True)
class ItemText:
    """The words of an item in one language; Markdown, under language-free option ids.

    `review` says who read a translation, for example "not reviewed by a native speaker".
    """

    stem: str
    options: Mapping[str, str] = field(default_factory=dict)
    targets: Mapping[str, str] = field(default_factory=dict)
    rationales: Mapping[str, str] = field(default_factory=dict)
    review: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What experts expect before data exist.

    Parameters
    ----------
    just_proficient : float
        Expected score of the just-proficient teacher, between 0 and the highest category.
    reason : str
        Why the item is as hard as that.
    """

    just_proficient: float
    reason: str


@dataclass(frozen=True, slots=True)
class Item:
    """One scored task, in one version; a published version is never edited.

    Examples
    --------
    >>> item = Item.from_mapping({
    ...     "id": "x-1", "version": 1, "state": "active", "interaction": "single_choice",
    ...     "options": ["a", "b"], "key": "a", "process": "apply",
    ...     "alignments": [{"framework": "unesco-ict-cft", "version": "2", "code": "TL.3.a"}],
    ...     "texts": {"en": {"stem": "Which?", "options": {"a": "This", "b": "That"},
    ...                      "rationales": {"a": "Yes.", "b": "No."}}}}, "items/x-1.v1.yaml")
    >>> item.reference, item.grade(item.check("a")), item.text("fr")[0]
    ('x-1.v1', 1, 'en')
    """

    id: ItemId
    version: int
    state: str
    interaction: Interaction
    alignments: tuple[Alignment, ...]
    process: str
    texts: Mapping[str, ItemText]
    judged: Judgement | None = None
    case_set: str = ""
    time_limit_seconds: int | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        """Id and version as forms and files name it."""
        return f"{self.id}.v{self.version}"

    @property
    def interaction_type(self) -> str:
        """The word of the HTTP contract for the interaction."""
        return self.interaction.type

    @property
    def n_categories(self) -> int:
        """Number of score categories, 0 included."""
        return self.interaction.n_categories

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages with a text, the source language first."""
        return tuple(self.texts)

    def text(self, language: str) -> tuple[str, ItemText]:
        """The text in a language, its base language or the source language, with the one found."""
        for candidate in (language, language.split("-")[0]):
            if candidate in self.texts:
                return candidate, self.texts[candidate]
        source = next(iter(self.texts))
        return source, self.texts[source]

    def check(self, raw: object) -> RawAnswer:
        """The answer in canonical form, or AnswerMalformed with the item's id."""
        return self.interaction.check(raw)

    def grade(self, answer: RawAnswer) -> int | None:
        """The category of a checked answer; None when only a person can tell."""
        return self.interaction.grade(answer)

    @classmethod
    def from_mapping(cls, mapping: object, place: str) -> Item:
        """Parse one item file or stored item; every fault is named with its place."""
        fields = Fields(mapping, place)
        interaction = read_interaction(fields)
        alignments = tuple(_read_alignments(fields))
        texts = {language: _read_text(below, interaction) for language, below in fields.named("texts")}
        if not texts:
            raise fields.fault("texts", "an item needs a text in at least one language")
        for language in texts:
            if not _LANGUAGE.fullmatch(language):
                raise fields.fault(f"texts.{language}", "use a language tag such as en, fr or pt-BR")
        judged = None
        if "judged" in fields:
            below = fields.below("judged")
            judged = Judgement(below.number("just_proficient"), below.text("reason"))
            below.finish()
            if not 0.0 <= judged.just_proficient <= interaction.n_categories - 1:
                raise below.fault("just_proficient", f"must lie between 0 and {interaction.n_categories - 1}")
        else:
            fields.raw("judged", None)
        notes = fields.raw("notes", {})
        if not isinstance(notes, Mapping):
            raise fields.fault("notes", "expected a mapping")
        item = cls(
            id=ItemId(read_id(fields)),
            version=fields.integer("version", minimum=1),
            state=fields.choice("state", STATES),
            interaction=interaction,
            alignments=alignments,
            process=fields.choice("process", PROCESSES),
            texts=texts,
            judged=judged,
            case_set=fields.text("case_set", ""),
            time_limit_seconds=fields.integer("time_limit_seconds", None, minimum=5),
            notes=dict(notes),
        )
        fields.raw("kind", None)
        fields.finish()
        return item

    def to_mapping(self) -> dict[str, Any]:
        """The mapping that `from_mapping` reads back as an equal item."""
        out: dict[str, Any] = {
            "id": self.id,
            "version": self.version,
            "state": self.state,
            **write_interaction(self.interaction),
            "process": self.process,
            "alignments": [
                {"framework": a.framework, "version": a.version, "code": a.code, "primary": a.primary}
                for a in self.alignments
            ],
            "texts": {language: _write_text(text) for language, text in self.texts.items()},
        }
        if self.judged is not None:
            out["judged"] = {"just_proficient": self.judged.just_proficient, "reason": self.judged.reason}
        if self.case_set:
            out["case_set"] = self.case_set
        if self.time_limit_seconds is not None:
            out["time_limit_seconds"] = self.time_limit_seconds
        if self.notes:
            out["notes"] = dict(self.notes)
        return out


@dataclass(frozen=True, slots=True)
class CaseSet:
    """Items with a common stimulus, offered together and scored as one polytomous unit."""

    id: str
    version: int
    items: tuple[str, ...]
    texts: Mapping[str, str]

    @property
    def reference(self) -> str:
        """Id and version as forms and files name it."""
        return f"{self.id}.v{self.version}"

    def text(self, language: str) -> tuple[str, str]:
        """The stimulus in a language or in the source language, with the language found."""
        for candidate in (language, language.split("-")[0]):
            if candidate in self.texts:
                return candidate, self.texts[candidate]
        source = next(iter(self.texts))
        return source, self.texts[source]

    @classmethod
    def from_mapping(cls, mapping: object, place: str) -> CaseSet:
        """Parse one case set file or stored case set (`kind: case_set`)."""
        fields = Fields(mapping, place)
        fields.choice("kind", ("case_set",))
        case_set = cls(
            id=read_id(fields),
            version=fields.integer("version", minimum=1),
            items=fields.strings("items"),
            texts=fields.texts("texts"),
        )
        if len(case_set.items) < 2:
            raise fields.fault("items", "a case set has two or more items; list them as 'id.vN'")
        for reference in case_set.items:
            split_reference(reference)
        fields.finish()
        return case_set

    def to_mapping(self) -> dict[str, Any]:
        """The mapping that `from_mapping` reads back as an equal case set."""
        return {
            "kind": "case_set",
            "id": self.id,
            "version": self.version,
            "items": list(self.items),
            "texts": dict(self.texts),
        }


def _read_alignments(fields: Fields) -> list[Alignment]:
    alignments: list[Alignment] = []
    for below in fields.each("alignments"):
        alignment = Alignment(
            framework=below.text("framework"),
            version=below.text("version"),
            code=below.text("code"),
            primary=below.flag("primary", True),
        )
        below.finish()
        same = [a for a in alignments if (a.framework, a.version) == (alignment.framework, alignment.version)]
        if alignment.primary and any(a.primary for a in same):
            raise below.fault(
                "primary", f"{alignment.framework} {alignment.version} already has a primary alignment"
            )
        if any(a.code == alignment.code for a in same):
            raise below.fault("code", f"{alignment.code} is listed twice")
        alignments.append(alignment)
    if not alignments:
        raise fields.fault("alignments", "an item is aligned to at least one framework")
    return alignments


def _read_text(fields: Fields, interaction: Interaction) -> ItemText:
    match interaction:
        case SingleChoice() | MultipleResponse() | Ordering() | Matching():
            option_ids: tuple[str, ...] = interaction.options
        case _:
            option_ids = ()
    target_ids = interaction.targets if isinstance(interaction, Matching) else ()
    text = ItemText(
        stem=fields.text("stem"),
        options=fields.texts("options", {}),
        targets=fields.texts("targets", {}),
        rationales=fields.texts("rationales", {}),
        review=fields.text("review", ""),
    )
    for name, found, wanted in (("options", text.options, option_ids), ("targets", text.targets, target_ids)):
        missing = [x for x in wanted if x not in found] + [x for x in found if x not in wanted]
        if missing:
            raise fields.fault(name, f"texts and ids differ at {missing[0]!r}; the item has {list(wanted)}")
    fields.finish()
    return text


def _write_text(text: ItemText) -> dict[str, Any]:
    out: dict[str, Any] = {"stem": text.stem}
    for name in ("options", "targets", "rationales"):
        if getattr(text, name):
            out[name] = dict(getattr(text, name))
    if text.review:
        out["review"] = text.review
    return out


def needs_rater(item: Item) -> bool:
    """Whether only a person can score the item.

    Examples
    --------
    >>> item = Item.from_mapping({
    ...     "id": "x-2", "version": 1, "state": "draft", "interaction": "extended_text", "n_categories": 4,
    ...     "process": "analyse", "texts": {"en": {"stem": "Describe a lesson."}},
    ...     "alignments": [{"framework": "unesco-ict-cft", "version": "2", "code": "TL.3.a"}]}, "here")
    >>> needs_rater(item)
    True
    """
    return isinstance(item.interaction, ExtendedText)
