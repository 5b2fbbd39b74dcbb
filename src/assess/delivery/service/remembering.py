"""What was told about a learner's badges, remembered as long as nothing changes.

A badge platform asks for the same learners again and again, and what the rules
say about one rests on dozens of rows. So an answer is kept with the mark of
what it rests on, and is good while the mark, what is live and every clock in
it stand still. The mark is read anew for every request, by whichever process
answers: nothing is ever told that another process made untrue.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from assess.delivery import schemas
    from assess.delivery.service.catalogue import Shelf
    from assess.delivery.store.reading_marks import Mark
    from assess.standards.eligibility import Eligibility

_KEPT = 500
EVER = datetime.min.replace(tzinfo=UTC)
"""What stands for a time that nobody named, where answers of different times are compared."""


def _stamp(at: datetime) -> bytes:
    time = msgspec.json.encode(at)
    return b'"as_of":%b,"as_known_at":%b' % (time, time)


_UNSAID = _stamp(EVER)


@dataclass(frozen=True, eq=False)
class Told:
    """An answer, and the first instant at which it may be another though no row changed.

    An answer is encoded once, and says later times by their bytes alone.
    """

    body: schemas.BadgeEligibility
    until: datetime | None

    def at(self, now: datetime) -> schemas.BadgeEligibility:
        """The answer as of another time at which it stands."""
        return msgspec.structs.replace(self.body, as_of=now, as_known_at=now)

    @cached_property
    def _around(self) -> tuple[bytes, bytes]:
        """The JSON before and after its times; no text is cut, for a quote in one has a stroke before it."""
        head, _, tail = msgspec.json.encode(self.at(EVER)).partition(_UNSAID)
        return head, tail

    def text(self, stamp: bytes = _UNSAID) -> bytes:
        """The JSON, with some times."""
        return stamp.join(self._around)


@dataclass
class Answer:
    """What is told at a moment about one badge, or about all that a learner can have.

    Parameters
    ----------
    page : bool
        About all of them: the JSON is a page of answers.
    """

    told: list[Told]
    now: datetime
    page: bool
    tag: str = ""

    def bodies(self) -> list[schemas.BadgeEligibility]:
        """The answers, as of the moment."""
        return [told.at(self.now) for told in self.told]

    def text(self) -> bytes:
        """The answers as JSON, as of the moment."""
        stamp = _stamp(self.now)
        texts = b",".join([told.text(stamp) for told in self.told])
        return b'{"items":[%b],"next":null}' % texts if self.page else texts

    def tagged(self) -> str:
        """The ETag: over all but the times, which nobody named."""
        if not self.tag:
            texts = b",".join([told.text() for told in self.told])
            self.tag = etag(b"[%b]" % texts)
        return self.tag


def etag(content: bytes) -> str:
    """The ETag of a content."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


@dataclass
class _Entry:
    mark: Mark
    shelf: Shelf
    told: dict[str, Told] = field(default_factory=dict)
    # The last answer about one badge or about all, for the ETag.
    answers: dict[str | None, Answer] = field(default_factory=dict)


class Remembered:
    """Answers about the learners who were asked for last, and about whoever has nothing for a badge."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._of_nobody: dict[str, tuple[Shelf, dict[str, tuple[Eligibility, schemas.BadgeEligibility]]]] = {}
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()

    def knows(self, tenant: str, learner: str) -> bool:
        """Whether anything is remembered about a learner."""
        return (tenant, learner) in self._entries

    def find(
        self, tenant: str, learner: str, mark: Mark, shelf: Shelf, badges: Sequence[str], now: datetime
    ) -> list[Told] | None:
        """The answers about all of these badges; None if one of them is not known to stand."""
        entry = self._entries.get((tenant, learner))
        if entry is None or entry.mark != mark or entry.shelf is not shelf:
            return None
        found = []
        for badge in badges:
            told = entry.told.get(badge)
            # A clock that was set back may lie before what was told, too.
            if told is None or now < told.body.as_of or (told.until is not None and now >= told.until):
                return None
            found.append(told)
        self._entries.move_to_end((tenant, learner))
        return found

    def of_nobody(
        self,
        shelf: Shelf,
        badge: str,
        now: datetime,
        judge: Callable[[], tuple[Eligibility, schemas.BadgeEligibility]],
    ) -> tuple[Eligibility, schemas.BadgeEligibility]:
        """What the rule of a badge says where there is nothing that it looks at, and how that is told.

        Of everybody the rule says the same; whom it is about and what else is known of them is not.
        """
        tenant = shelf.tenant.id
        if tenant not in self._of_nobody or self._of_nobody[tenant][0] is not shelf:
            self._of_nobody[tenant] = (shelf, {})
        told = self._of_nobody[tenant][1]
        if badge in told:
            found, turn = told[badge], told[badge][0].next_turn
            if found[0].as_of <= now and (turn is None or now < turn):
                return found
        told[badge] = judge()
        return told[badge]

    def keep(self, tenant: str, learner: str, mark: Mark, shelf: Shelf, told: Mapping[str, Told]) -> None:
        """Remember answers; the learner who was not asked for longest is forgotten."""
        key = (tenant, learner)
        entry = self._entries.get(key)
        if entry is None or entry.mark != mark or entry.shelf is not shelf:
            entry = self._entries[key] = _Entry(mark, shelf)
        entry.told.update(told)
        self._entries.move_to_end(key)
        while len(self._entries) > self._kept:
            self._entries.popitem(last=False)

    def answer(self, tenant: str, learner: str, badge: str | None, told: list[Told], now: datetime) -> Answer:
        """The answer made of these, with the ETag if it was made of them before."""
        found = Answer(told, now, page=badge is None)
        entry = self._entries.get((tenant, learner))
        if entry is not None:
            last = entry.answers.get(badge)
            if last is not None and last.told == told:
                found.tag = last.tagged()
            entry.answers[badge] = found
        return found
