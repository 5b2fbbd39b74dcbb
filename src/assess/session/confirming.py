"""A confirming session: what it may be sat on, what comes next in it, and how it ends."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from assess.errors import ActivationRefused
from assess.irt.confirmation import UNDECIDED, Confirming
from assess.scale import require_same_scale
from assess.session.release import Release, Unit, count_items
from assess.session.state import SessionState, chance


def chosen_in_confirmation(state: SessionState) -> Confirming:
    """The next unit of a confirming session, or why it ends, from its records alone."""
    start = state.start
    assert start.confirms is not None
    done = state.complete
    return state.release.confirmation_test.next_unit(
        start.confirms.score,
        done,
        u=chance(start.seed, "select", len(done)),
        excluded=state.excluded_rows,
    )


def confirmed_as(state: SessionState) -> tuple[str, float]:
    """What an ended confirming session says of the first score, and the log-ratio behind it.

    One that was handed in, or whose time ran out, before its test decided is
    undecided, whatever the ratio: it stopped looking, and so does whoever reads it.
    """
    found = chosen_in_confirmation(state)
    decided = found.reason if found.reason in ("consistent", "inconsistent") else UNDECIDED
    completed = state.ending is not None and state.ending.how == "completed"
    return (decided if completed else UNDECIDED), found.log_ratio


def met_units(release: Release, items: Collection[str]) -> tuple[str, ...]:
    """The units of a form that hold one of these items, in whatever version it was met.

    Parameters
    ----------
    items : collection of str
        References of items that a learner has met.

    Examples
    --------
    >>> met_units(release, ["x-002.v7", "y-001.v1"])
    ('x-002.v1',)
    """
    ids = {reference.rpartition(".v")[0] for reference in items}
    return tuple(unit.reference for unit in release.units if _holds(unit, ids))


def require_unseen(release: Release, firsts: Sequence[Release]) -> None:
    """Refuse a confirming form that cannot count on unseen items, or whose error rates nobody could defend.

    Parameters
    ----------
    firsts : sequence of Release
        The forms whose passes it confirms; what one session of each can show is taken to be seen.

    Raises
    ------
    ActivationRefused
        Judged parameters, another course, a form without a theta, or too few unseen items; named.
    ScaleMismatch
        The forms live on different scales.

    Examples
    --------
    >>> require_unseen(release, [release])
    Traceback (most recent call last):
        ...
    assess.errors.ActivationRefused: x-fixed.v1 confirms nothing; state what it confirms
    """
    policy, rules, name = release.form.confirms, release.form.adaptive, release.form.reference
    if policy is None or rules is None:
        raise ActivationRefused(f"{name} confirms nothing; state what it confirms")
    _require_calibrated(release, name)
    missing = [form for form in policy.forms if form not in {first.form.id for first in firsts}]
    if missing:
        raise ActivationRefused(f"{name} confirms {missing[0]}, which is not live; activate that first")
    for first in firsts:
        other = first.form.reference
        if first.course.id != release.course.id or first.form.confirms or first.form.placement:
            raise ActivationRefused(f"{name}: {other} is no form that decides on {release.course.id}")
        _require_calibrated(first, name)
        if first.form.rule.kind == "raw":
            raise ActivationRefused(f"{name}: {other} decides by a raw score, which has no theta to confirm")
        require_same_scale(release.scale.id, first.scale.id, doing=f"confirming {other} by {name}")
        known = {item.id for item in first.items.values()}
        shared = [unit for unit in release.units if _holds(unit, known)]
        shown = _most_shown(first)
        left = len(release.units) - min(len(shared), shown)
        if left < rules.max_units:
            raise ActivationRefused(
                f"{name}: after a session of {other} a learner may have {left} unseen units left of "
                f"{len(release.units)}; the form needs {rules.max_units}. Add items that {other} does not use"
            )
        for requirement in release.form.blueprint if first.form.kind == "fixed" else ():
            # What an adaptive session leaves of one code nobody knows beforehand; its begin finds out.
            unseen = [item for unit in release.units if unit not in shared for item in unit.items]
            left = count_items(unseen, requirement)
            if left < requirement.minimum:
                raise ActivationRefused(
                    f"{name}: after a session of {other} a learner may have {left} unseen items left for "
                    f"{requirement.label}, which wants {requirement.minimum}"
                )


def _require_calibrated(release: Release, name: str) -> None:
    if not release.calibrated:
        raise ActivationRefused(
            f"{name}: {release.form.reference} rests on judged parameters, so that no error rates of a "
            "confirmation could be defended; calibrate first"
        )


def _most_shown(first: Release) -> int:
    """How many items one session of a form shows at most, its extensions and unscored items included."""
    form, n_units = first.form, len(first.units)
    if form.adaptive is not None:
        further = 0 if form.extension is None else form.extension.most * form.extension.max_units
        n_units = form.adaptive.max_units + further
    lengths = sorted((len(unit.items) for unit in first.units), reverse=True)
    return sum(lengths[:n_units]) + form.pilot_slots


def _holds(unit: Unit, ids: Collection[str]) -> bool:
    return any(item.id in ids for item in unit.items)
