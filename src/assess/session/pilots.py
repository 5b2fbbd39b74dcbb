"""Where unscored items stand in a session, and which: by the seed alone, settled before the first offer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from assess.items import Form, Item
from assess.session.release import Release
from assess.session.state import chance

# A pilot item near the end meets tired or hurried learners, and its statistics would say so.
_PILOT_FREE_TAIL = 3


def place_pilot(release: Release, seed: str) -> tuple[tuple[int, str], ...]:
    """Positions and items of the unscored slots, by the seed alone and never by theta.

    Every position that is drawn leaves three scored items or more behind it.

    Examples
    --------
    >>> place_pilot(release, "0f" * 16)
    ()
    """
    form = release.form
    if form.pilot_slots == 0:
        return ()
    chosen = _by_strata(release.pilot, seed)[: form.pilot_slots]
    if form.kind == "fixed":
        gaps = _gaps(release)
        drawn = sorted(gaps, key=lambda g: chance(seed, "pilot position", g))[: len(chosen)]
        positions = [gap + before + 1 for before, gap in enumerate(sorted(drawn))]
    else:
        # A case set may delay a pilot item, and then as many units fewer are behind it as began before it:
        # counted in units, the shortest session leaves three of them all the same.
        last = _shortest(form) + len(chosen) - _PILOT_FREE_TAIL
        drawn = sorted(range(1, max(last, 0) + 1), key=lambda p: chance(seed, "pilot position", p))
        positions = sorted(drawn[: len(chosen)])
    return tuple(zip(positions, chosen, strict=False))


def _shortest(form: Form) -> int:
    """Units of the shortest session of a form whose units depend on the answers."""
    if form.multistage is not None:
        return min(form.multistage.lengths)
    assert form.adaptive is not None
    return form.adaptive.min_units


def _by_strata(pilot: Sequence[Item], seed: str) -> list[str]:
    """Pilot items in a random order that takes each objective in turn, so that all gather responses alike."""
    strata: dict[str, list[Item]] = {}
    for item in pilot:
        strata.setdefault(item.alignments[0].code, []).append(item)
    ranked = [
        (rank, chance(seed, "pilot stratum", code), item.reference)
        for code, members in strata.items()
        for rank, item in enumerate(sorted(members, key=lambda i: chance(seed, "pilot", i.reference)))
    ]
    return [reference for _, _, reference in sorted(ranked)]


def _gaps(release: Release) -> list[int]:
    """Scored items before each place of a fixed form where an unscored one may stand.

    Not inside a case set, not where a section begins, and not among the last three.
    """
    starts = [0, *accumulate(len(unit.items) for unit in release.units)]
    opening = {
        u
        for u, section in enumerate(release.section_of_unit)
        if u == 0 or section != release.section_of_unit[u - 1]
    }
    return [
        start
        for u, start in enumerate(starts[:-1])
        if u not in opening and starts[-1] - start >= _PILOT_FREE_TAIL
    ]
