"""How badges are used: awards and eligibility by badge, cohort, region and month; small counts are hidden.

A count of fewer than ten people could tell who they are, so it is not told.
Neither can it be had by subtraction: where the cells of a badge that are hidden
add up to fewer than ten, or are only one, the next smallest is hidden too, and
then a total gives nothing away. What began in a month that is not over is left
out of every count, or two questions on two days would tell of one person.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, tzinfo
from typing import Literal

from assess.delivery import schemas
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.facts import shelf_zone
from assess.delivery.store import persons, reading_usage
from assess.delivery.store.reading_usage import Held
from assess.errors import InvalidRequest
from assess.standards.facts import first_instant, instant

By = Literal["badge", "cohort", "region", "month"]
SMALLEST = 10
_BYS: tuple[By, ...] = ("badge", "cohort", "region", "month")
NOWHERE = "(none)"


def by_of(word: str) -> By:
    """What tells cells apart, from a word of the command line.

    Raises
    ------
    InvalidRequest
        No such word.
    """
    found = next((by for by in _BYS if by == word), None)
    if found is None:
        raise InvalidRequest(f"{word!r} is not one of {', '.join(_BYS)}", path="by")
    return found


async def report(
    services: Services, scope: Scope, *, by: By = "badge", badge: str | None = None
) -> schemas.Usage:
    """`GET /v1/usage`: how many are eligible and how many were awarded, in cells of ten people or more.

    Parameters
    ----------
    by : str
        What tells the cells of a badge apart: nothing but the badge, the cohort, the region, or the month
        in which it was gained.
    badge : str, optional
        Only this badge.

    Raises
    ------
    NotFound
        The badge.
    """
    scope.require("manage")
    shelf = await services.catalogue.shelf(scope.tenant)
    if badge is not None:
        shelf.programme_of_badge(badge)
    eligible, awarded, cohorts = await services.store.read(
        reading_usage.usage_rows, scope.tenant, sandbox=scope.sandbox
    )
    survivors = await services.store.read(persons.survivors, scope.tenant)
    zone = shelf_zone(shelf)
    until = first_instant(services.clock().astimezone(zone).date().replace(day=1), zone)
    # A million rows are counted for a second or two, and nobody else waits for that.
    items = await asyncio.to_thread(_counted, eligible, awarded, cohorts, survivors, by, badge, zone, until)
    return schemas.Usage(by=by, smallest=SMALLEST, as_of=until, items=items)


def _counted(
    eligible: Iterable[Held],
    awarded: Iterable[Held],
    cohorts: Mapping[str, list[str]],
    survivors: Mapping[str, str],
    by: By,
    badge: str | None,
    zone: tzinfo,
    until: datetime,
) -> list[schemas.UsageCell]:
    cells: dict[str, dict[str, _Cell]] = defaultdict(lambda: defaultdict(_Cell))
    for what, rows in (("eligible", eligible), ("awarded", awarded)):
        for held in rows:
            if badge is None or held.badge == badge:
                who = survivors.get(held.learner, held.learner)
                for group in _groups(held, by, cohorts, zone, until):
                    getattr(cells[held.badge][group], what).add(who)
    return [row for id_ in sorted(cells) for row in _told(id_, cells[id_], by)]


class _Cell:
    """The people of one cell; each counts once."""

    def __init__(self) -> None:
        self.eligible: set[str] = set()
        self.awarded: set[str] = set()


def _groups(
    held: Held, by: By, cohorts: Mapping[str, list[str]], zone: tzinfo, until: datetime
) -> Iterable[str]:
    since = held.since if isinstance(held.since, datetime) else instant(held.since, zone)
    if since >= until:
        return ()
    if by == "badge":
        return ("",)
    if by == "cohort":
        return cohorts.get(held.learner, (NOWHERE,))
    if by == "region":
        return (held.region or NOWHERE,)
    return (f"{since.astimezone(zone).date():%Y-%m}",)


def _told(badge: str, cells: Mapping[str, _Cell], by: By) -> list[schemas.UsageCell]:
    groups = sorted(cells)
    eligible = shown({group: len(cells[group].eligible) for group in groups})
    awarded = shown({group: len(cells[group].awarded) for group in groups})
    return [
        schemas.UsageCell(
            badge=badge,
            group=group if by != "badge" else None,
            eligible=eligible[group],
            awarded=awarded[group],
        )
        for group in groups
    ]


def shown(counts: Mapping[str, int]) -> dict[str, int | None]:
    """The counts of cells that make a whole, with None for those that are not told.

    Hidden cells together stand for `SMALLEST` people or more, and there are two
    of them at least wherever there is another cell to hide, so that a total
    that somebody has from elsewhere gives none of them away. A count of nobody
    is as telling as a count of one.

    Examples
    --------
    >>> shown({"a": 40, "b": 25, "c": 3})
    {'a': 40, 'b': None, 'c': None}
    >>> shown({"a": 40, "b": 6, "c": 7})
    {'a': 40, 'b': None, 'c': None}
    >>> shown({"a": 12}), shown({"a": 9})
    ({'a': 12}, {'a': None})
    """
    order = sorted(counts, key=lambda group: (counts[group], group))
    hidden = [group for group in order if counts[group] < SMALLEST]
    for group in order[len(hidden) :]:
        if not hidden or (len(hidden) > 1 and sum(counts[h] for h in hidden) >= SMALLEST):
            break
        hidden.append(group)
    return {group: None if group in hidden else n for group, n in counts.items()}
