"""What was told about a learner's badges, remembered as long as nothing changes.

A badge platform asks for the same learners again and again, and what the rules
say about one rests on dozens of rows. So an answer is kept with the mark of
what it rests on, and is good while the mark, what is live and every clock in
it stand still. The mark is read anew for every request, by whichever process
answers: nothing is ever told that another process made untrue.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assess.delivery import schemas
    from assess.delivery.service.catalogue import Shelf
    from assess.delivery.store.reading_marks import Mark
    from assess.standards.eligibility import Eligibility

_KEPT = 500


@dataclass(frozen=True, slots=True)
class Told:
    """An answer, and the first instant at which it may be another though no row changed."""

    body: schemas.BadgeEligibility
    until: datetime | None


@dataclass
class _Entry:
    mark: Mark
    shelf: Shelf
    told: dict[str, Told] = field(default_factory=dict)


class Remembered:
    """Answers about the learners who were asked for last, and about whoever has nothing for a badge."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._of_nobody: dict[str, tuple[Shelf, dict[str, Eligibility]]] = {}
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()

    def find(
        self, tenant: str, learner: str, mark: Mark, shelf: Shelf, badges: Sequence[str], now: datetime
    ) -> list[schemas.BadgeEligibility] | None:
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
            found.append(told.body)
        self._entries.move_to_end((tenant, learner))
        return found

    def of_nobody(
        self, shelf: Shelf, badge: str, now: datetime, judge: Callable[[], Eligibility]
    ) -> Eligibility:
        """What the rule of a badge says where there is nothing that it looks at: of everybody the same."""
        tenant = shelf.tenant.id
        if tenant not in self._of_nobody or self._of_nobody[tenant][0] is not shelf:
            self._of_nobody[tenant] = (shelf, {})
        told = self._of_nobody[tenant][1]
        found = told.get(badge)
        if found is None or now < found.as_of or (found.next_turn is not None and now >= found.next_turn):
            found = told[badge] = judge()
        return found

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
