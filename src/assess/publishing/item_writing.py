"""The rules of careful item writing that a program can check.

Findings are warnings: a rule of style may be broken for a reason, and only its
author knows the reason. What a rule counts over a bank (positions of the key,
the longest option) is said from `ENOUGH` items on; below that, chance decides.

References
----------
Haladyna, T. M., Downing, S. M., & Rodriguez, M. C. (2002). A review of
multiple-choice item-writing guidelines for classroom assessment. Applied
Measurement in Education, 15(3), 309-333. https://doi.org/10.1207/S15324818AME1503_5
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from assess.items import Item, ItemText, MultipleResponse, Ordering, SingleChoice
from assess.publishing.banks import ItemBank
from assess.session.release import count_items

ENOUGH = 20  # single-choice items from which shares of a bank are judged
LARGEST_SHARE = 0.35  # of keys in one position, and of keys that are the longest option
LENGTH_RATIO = 1.5  # of the longest option over the shortest, in characters
LONGEST_SENTENCE = 30  # words; second-language readers lose longer ones
HARDEST_LIX = 60.0  # Björnsson's border of "very hard"; official prose lies about there
FEWEST_WORDS = 12  # below that, one long word decides what an index says
SHARED_RUNS = 0.25  # of the runs of five words of the shorter item
_RUN = 5

_ABSOLUTE = {
    "en": r"always|never|every time|without exception|under no circumstances|only ever",
    "fr": r"toujours|jamais|sans exception|en aucun cas|en toutes circonstances",
    "ar": r"دائمًا|دائما|أبدًا|أبدا|دون استثناء|مهما كانت الظروف",
}
_NEGATIVE = {
    "en": r"not|except|least|never|cannot|isn['’]t|doesn['’]t|don['’]t",
    "fr": r"sauf|excepté|jamais|ne \w+ pas|n['’]\w+ pas",
    "ar": r"باستثناء|ما عدا|ليس|ليست|لا",
}
_OTHERS = {
    "en": r"(all|none|both|any) of the (above|other|others)|options? [a-e]\b",
    "fr": r"(toutes|aucune) (les|des) (réponses|autres)|(réponses?|options?) [a-e]\b",
    "ar": r"(جميع|كل) ما سبق|لا شيء مما سبق",
}
_SENTENCE_END = re.compile(r"(?<=[.!?؟…])[\s\"”»]+|\n+|(?<=[:;؛])\s+")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_EMPTY_ALTERNATIVE = re.compile(r"!\[\s*\]\(|<img(?![^>]*\balt\s*=\s*[\"'][^\"']+[\"'])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Remark:
    """One rule that an item, or a bank as a whole, does not keep; `place` is below the bank's folder."""

    place: str
    message: str


def review_bank(bank: ItemBank) -> Iterator[Remark]:
    """Everything that one bank's items do against the rules, and its inventory against its blueprint.

    Only the newest version of an item that is not retired is read: an old one cannot be mended.
    """
    items = newest(bank)
    for item in items:
        yield from review_item(item)
    yield from _review_positions(items)
    for requirement in bank.blueprint:
        held = count_items(items, requirement)
        if held < requirement.minimum:
            wanted = f"at least {requirement.minimum}"
        elif requirement.maximum is not None and held > requirement.maximum:
            wanted = f"at most {requirement.maximum}"
        else:
            continue
        yield Remark("bank.yaml: blueprint", f"{requirement.label}: the bank holds {held}, wanted {wanted}")


def newest(bank: ItemBank) -> list[Item]:
    """The newest version of each item that is in use or on its way there."""
    latest: dict[str, Item] = {}
    for item in bank.items.values():
        if item.id not in latest or latest[item.id].version < item.version:
            latest[item.id] = item
    return [item for item in latest.values() if item.state != "retired"]


def review_item(item: Item) -> Iterator[Remark]:
    """What one item does against the rules, in each of its languages.

    Examples
    --------
    >>> from assess.items import Item
    >>> item = Item.from_mapping({
    ...     "id": "x-1", "version": 1, "state": "draft", "interaction": "single_choice",
    ...     "options": ["a", "b"], "key": "a", "process": "apply",
    ...     "alignments": [{"framework": "unesco-ict-cft", "version": "2", "code": "TL.3.a"}],
    ...     "texts": {"en": {"stem": "Which is not a plan?", "rationales": {"a": "Yes.", "b": "No."},
    ...                      "options": {"a": "A never-ending list", "b": "Always this one"}}}},
    ...     "items/x-1.v1.yaml")
    >>> for remark in review_item(item):
    ...     print(remark.message)
    option b says 'Always': a test-wise reader crosses it out unread
    the question turns on 'not' without emphasis; write **not**, or ask the other way round
    """
    for language, text in item.texts.items():
        place = f"items/{item.reference}.yaml: texts.{language}"
        for message in _review_text(item, text, language.split("-")[0]):
            yield Remark(place, message)
    if isinstance(item.interaction, Ordering):
        shown = list(item.text("")[1].options)
        if list(item.interaction.best()) in (shown, shown[::-1]):
            yield Remark(
                f"items/{item.reference}.yaml: options", "the order shown is the one wanted, or its reverse"
            )


def _review_text(item: Item, text: ItemText, language: str) -> Iterator[str]:
    choice = isinstance(item.interaction, SingleChoice | MultipleResponse)
    words = {**text.options, **text.targets}
    if choice:
        lengths = {option: len(shown) for option, shown in text.options.items()}
        shortest, longest = min(lengths, key=lengths.__getitem__), max(lengths, key=lengths.__getitem__)
        # A difference of a word or two in very short options says nothing.
        if lengths[longest] > LENGTH_RATIO * lengths[shortest] and lengths[longest] - lengths[shortest] > 12:
            yield (
                f"option {longest} has {lengths[longest]} characters, option {shortest} "
                f"{lengths[shortest]}: options of like length give nothing away"
            )
        for option, shown in text.options.items():
            if found := _find(_ABSOLUTE, language, shown):
                yield f"option {option} says {found!r}: a test-wise reader crosses it out unread"
            if found := _find(_OTHERS, language, shown):
                yield f"option {option} speaks of other options ({found!r}); each stands for itself"
        asked = text.stem.strip().rsplit("\n", 1)[-1]
        question = re.split(r"(?<=[.])\s+", asked)[-1] if asked.endswith(("?", "؟")) else asked
        if (found := _find(_NEGATIVE, language, question)) and "**" not in question:
            yield (
                f"the question turns on {found!r} without emphasis; write **{found}**, or ask the other way "
                "round"
            )
    repeated = [shown for shown, times in Counter(map(str.strip, text.options.values())).items() if times > 1]
    if repeated:
        yield f"two options say the same: {repeated[0]!r}"
    if not text.options and not text.rationales:
        yield "has no rationale; say under `answer` what is right and why"
    for part in (text.stem, *words.values(), *text.rationales.values()):
        if _EMPTY_ALTERNATIVE.search(part):
            yield "an image has no alternative text; say in words what it carries"
    for sentence in _SENTENCE_END.split(text.stem):
        if (n_words := len(sentence.split())) > LONGEST_SENTENCE:
            start = " ".join(sentence.split()[:6])
            yield f"a sentence of {n_words} words ({start} ...); up to {LONGEST_SENTENCE} are read easily"
    # LIX was made for languages that write words apart and build them from letters of one alphabet.
    long_enough = len(_WORD.findall(text.stem)) >= FEWEST_WORDS
    if long_enough and language != "ar" and (score := lix(text.stem)) > HARDEST_LIX:
        yield f"the stem is very hard to read (LIX {score:.0f}; at most {HARDEST_LIX:.0f}, better below 45)"


def _review_positions(items: Sequence[Item]) -> Iterator[Remark]:
    choices = [
        (item.interaction, item.text("")[1].options)
        for item in items
        if isinstance(item.interaction, SingleChoice)
    ]
    if len(choices) < ENOUGH:
        return
    positions = Counter(asked.options.index(asked.best()) for asked, _ in choices)
    position, times = positions.most_common(1)[0]
    if times > LARGEST_SHARE * len(choices):
        yield Remark(
            "items",
            f"the key stands in position {position + 1} in {times} of {len(choices)} single-choice items; "
            f"at most {LARGEST_SHARE:.0%} should share one position",
        )
    longest = 0
    for asked, shown in choices:
        longest += len(shown[str(asked.best())]) == max(map(len, shown.values()))
    if longest > LARGEST_SHARE * len(choices):
        yield Remark(
            "items",
            f"the key is the longest option in {longest} of {len(choices)} single-choice items; "
            f"at most {LARGEST_SHARE:.0%} should be",
        )


def near_duplicates(items: Iterable[Item]) -> Iterator[tuple[Item, Item, float]]:
    """Pairs of items that share more than `SHARED_RUNS` of the shorter one's runs of five words.

    Read are stem and options in the source language. A run that many items
    have, such as a usual closing question, counts like any other: it is short
    against a whole item.
    """
    texts = list(items)
    told = [_runs(item.text("")[1]) for item in texts]
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, runs in enumerate(told):
        for run in runs:
            holders[run].append(index)
    shared: Counter[tuple[int, int]] = Counter()
    for having in holders.values():
        shared.update(combinations(having, 2))
    for (first, second), n_shared in sorted(shared.items()):
        share = n_shared / min(len(told[first]), len(told[second]))
        if share > SHARED_RUNS and texts[first].id != texts[second].id:
            yield texts[first], texts[second], share


def lix(text: str) -> float:
    r"""Björnsson's readability index: words per sentence plus the percentage of words over six letters.

    .. math:: \mathrm{LIX} = \frac{W}{S} + 100\,\frac{L}{W}

    Below 30 very easy, 40 easy, 50 ordinary, 60 hard, above that very hard; it
    needs no list of syllables, so it serves every language in an alphabet.

    Parameters
    ----------
    text : str
        Markdown; emphasis and marks are not words.

    Returns
    -------
    float
        0 for a text without a word.

    References
    ----------
    Björnsson, C. H. (1983). Readability of newspapers in 11 languages. Reading
    Research Quarterly, 18(4), 480-497. https://doi.org/10.2307/747382

    Examples
    --------
    >>> lix("The class has one computer. Everybody wants it.")
    29.0
    """
    words = _WORD.findall(text)
    if not words:
        return 0.0
    n_sentences = sum(bool(_WORD.search(sentence)) for sentence in _SENTENCE_END.split(text))
    return len(words) / n_sentences + 100 * sum(len(word) > 6 for word in words) / len(words)


def _runs(text: ItemText) -> set[tuple[str, ...]]:
    found: set[tuple[str, ...]] = set()
    for line in (*text.stem.split("\n"), *text.options.values()):
        words = re.findall(r"\w+", line.lower())
        found.update(tuple(words[k : k + _RUN]) for k in range(len(words) - _RUN + 1))
    return found


def _find(patterns: dict[str, str], language: str, text: str) -> str:
    if language not in patterns:
        return ""
    # A hyphen joins: "never-ending" says nothing about all cases, and "nearly always" admits some.
    hedge = r"(?<!nearly )(?<!almost )(?<!presque )"
    found = re.search(rf"(?<![\w-]){hedge}(?:{patterns[language]})(?![\w-])", text, re.IGNORECASE)
    return found[0] if found else ""
