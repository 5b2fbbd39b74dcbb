"""The rules of an adaptive form, resolved: its kernel, whether it can be kept, what is not to be met."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from assess.errors import ActivationRefused
from assess.irt.adaptive import AdaptiveTest, Constraint, Selection, StopRule
from assess.irt.confirmation import Confirming
from assess.irt.design import BoolArray
from assess.irt.scoring import Prior
from assess.items import AdaptiveRules, DecisionRule, Item, SequentialRule
from assess.session import multistage
from assess.session.confirming import chosen_in_confirmation
from assess.session.extending import chosen_in_extension, extended_test
from assess.session.release import Release, count_items
from assess.session.state import SessionState, chance
from assess.standards.blueprint import covered

if TYPE_CHECKING:
    from assess.irt.composition import Conflict
    from assess.irt.stopping import Sequential


def adaptive_test(release: Release, decision: DecisionRule) -> AdaptiveTest:
    """The kernel of an adaptive form, for the rule by which a try is decided.

    Examples
    --------
    >>> from tests import synthetic
    >>> release = synthetic.release(kind="adaptive", n_items=12)
    >>> adaptive_test(release, release.form.rule).stop.max_units
    8
    """
    rules = _rules(release)
    certainty = (decision.p_pass, decision.p_fail) if rules.certainty else None
    parameters, prior, cut = release.parameters, release.prior, release.cut.theta
    constraints, enemies = _constraints(release), _enemies(release)
    if _is_plain(rules):
        return AdaptiveTest(
            parameters,
            prior,
            cut,
            constraints,
            enemies,
            StopRule(rules.min_units, rules.max_units, rules.se, certainty),
            rules.randomesque,
        )
    from assess.irt.designed import DesignedTest
    from assess.irt.stopping import DesignedStop

    stop = DesignedStop(
        rules.min_units,
        rules.max_units,
        rules.se,
        certainty,
        interval=rules.interval,
        information=rules.information,
        sprt=_sequential(rules.sprt),
        glr=_sequential(rules.glr),
    )
    return DesignedTest(
        parameters,
        prior,
        cut,
        constraints,
        enemies,
        stop,
        rules.randomesque,
        selection=rules.selection,  # type: ignore[arg-type]
        updating=rules.updating,  # type: ignore[arg-type]
        start=rules.start.theta,
        first_among=rules.start.among,
        shadow=rules.content == "shadow",
    )


def require_feasible(release: Release) -> None:
    """Refuse an adaptive form whose demands no test of its units can meet.

    Raises
    ------
    ActivationRefused
        Naming the demands that exclude each other, in the words of the form.

    Examples
    --------
    >>> from tests import synthetic
    >>> require_feasible(synthetic.release(kind="adaptive", n_items=12))
    >>> greedy = {"blueprint": [{"label": "applied", "minimum": 9, "process": "apply"}]}
    >>> require_feasible(synthetic.release(kind="adaptive", n_items=12, form=greedy))
    Traceback (most recent call last):
        ...
    assess.errors.ActivationRefused: x-adaptive.v1: these cannot be met together:
    applied: at least 9, with the others 8 or less; length: at most 8, with the others 9 or more
    """
    if release.form.adaptive is None:
        return
    rules, form = release.form.adaptive, release.form.reference
    if rules.time is not None and _room(release) <= 0:
        raise ActivationRefused(
            f"{form}: the time for pilot items leaves none of {rules.time.maximum_seconds} s"
        )
    conflict = _conflict(release)
    if conflict is not None:
        raise ActivationRefused(f"{form}: these {conflict}")
    n_units = len(release.units)
    if rules.exposure is not None and rules.exposure.target * n_units < rules.min_units:
        most = rules.exposure.target * n_units
        raise ActivationRefused(
            f"{form}: an exposure of {rules.exposure.target:g} over {n_units} units lets a session meet "
            f"{most:.1f} of them; the form needs {rules.min_units}. Add units, or allow more exposure"
        )
    if rules.overlap is not None:
        needed = rules.max_units * (rules.overlap.sessions + 1) - rules.overlap.maximum
        if n_units < needed:
            raise ActivationRefused(
                f"{form}: an overlap of {rules.overlap.maximum} with the last {rules.overlap.sessions} "
                f"sessions needs {needed} units; the form has {n_units}"
            )


def kept_closed(release: Release, seed: str, excluded: Collection[str]) -> tuple[str, ...]:
    """Units that exposure control keeps from a session, drawn before its first offer.

    A unit is open with its probability, whatever is answered: the experiment of
    Sympson & Hetter made once per session and unit, which is the same as making
    it when the unit is first chosen. Where what is left open could not satisfy
    the form, the units that were closed most narrowly are opened again.

    References
    ----------
    Sympson & Hetter (1985), Proceedings of the 27th meeting of the Military Testing Association, 973-977.
    van der Linden & Veldkamp (2004), *Journal of Educational and Behavioral Statistics* 29, 273-291,
    doi:10.3102/10769986029003273 (eligibility for shadow tests).

    Examples
    --------
    >>> from tests import synthetic
    >>> kept_closed(synthetic.release(kind="adaptive", n_items=12), "0f" * 16, ())
    ()
    """
    rules = release.form.adaptive
    if rules is None or rules.exposure is None:
        return ()
    narrow: list[tuple[float, str]] = []
    for reference, probability in rules.exposure.probabilities.items():
        missed = chance(seed, "exposure", reference) - probability
        if missed >= 0.0:
            narrow.append((missed, reference))
    closed = [reference for _, reference in sorted(narrow)]
    opened = 1
    while closed and not _feasible_under_control(release, {*closed, *excluded}):
        closed, opened = closed[opened:], 2 * opened
    return tuple(sorted(closed))


def left_out(release: Release, earlier: Sequence[Collection[str]], seed: str) -> tuple[str, ...]:
    """Units that a learner met in earlier sessions and must not meet again.

    Parameters
    ----------
    earlier : sequence of collections of str
        Units of the earlier sessions of the course, the last one first.
    seed : str
        Of the new session; it settles which units may come again where some may.

    Returns
    -------
    tuple of str
        All of them but the allowed overlap, as long as the form can be satisfied without them; else
        those met longest ago may come again first.

    Examples
    --------
    >>> from tests import synthetic
    >>> release = synthetic.release(kind="adaptive", n_items=24)
    >>> left_out(release, [["x-001.v1", "x-002.v1"]], "0f" * 16)
    ('x-001.v1', 'x-002.v1')
    """
    if release.form.multistage is not None:
        # It can only choose the panel that holds least of them.
        return tuple(sorted({unit for met in earlier[:1] for unit in met} & set(release.form.units)))
    rules = _rules(release)
    sessions, maximum = (1, 0) if rules.overlap is None else (rules.overlap.sessions, rules.overlap.maximum)
    known = {unit.reference for unit in release.units}
    last_met: dict[str, int] = {}
    for age, met in enumerate(earlier[:sessions]):
        for reference in met:
            if reference in known:
                last_met.setdefault(reference, age)
    by_age = sorted(last_met, key=lambda unit: (-last_met[unit], chance(seed, "overlap", unit)))
    out = by_age[min(maximum, len(by_age)) :]
    opened = 1
    while out and not _feasible(release, out, whole=True):
        out, opened = out[opened:], 2 * opened
    return tuple(sorted(out))


def can_confirm(release: Release, met: Collection[str]) -> bool:
    """Whether a confirming form can be satisfied without the units that a learner has met.

    Examples
    --------
    >>> from tests import synthetic
    >>> release = synthetic.release(kind="adaptive", n_items=12)
    >>> can_confirm(release, ()), can_confirm(release, [f"x-{n:03}.v1" for n in range(1, 11)])
    (True, False)
    """
    return _feasible(release, met)


def chosen(state: SessionState) -> Selection | Confirming:
    """The next unit of an adaptive session, or why it ends, from its records alone."""
    if state.start.confirms is not None:
        return chosen_in_confirmation(state)
    if state.extensions:
        return chosen_in_extension(state)
    start = state.start
    test = state.release.adaptive_test_at(start.try_number)
    done = state.complete
    excluded, closed = state.excluded_rows, state.closed_rows
    u = chance(start.seed, "select", len(done))
    options: dict[str, Any] = {}
    if start.choosing is not None:
        options["choosing"] = Prior(*start.choosing)
    found = test.next_unit(done, u=u, excluded=excluded + closed, **options)
    if found.reason == "exhausted" and closed:
        # Exposure is a matter of the bank's health: no learner's session is cut short for it.
        found = test.next_unit(done, u=u, excluded=excluded, **options)
    return found


def coming(state: SessionState) -> int | None:
    """The unit of `chosen` alone, by the short way where there is one; None at the end."""
    start = state.start
    if start.choosing is not None or start.confirms is not None or state.extensions:
        return chosen(state).unit
    done = state.complete
    u = chance(start.seed, "select", len(done))
    test = state.release.adaptive_test_at(start.try_number)
    unit = test.choose(done, u=u, excluded=state.excluded_rows + state.closed_rows)
    # It says no reason, and one that ran out of units is given those that are closed.
    return chosen(state).unit if unit is None and start.closed else unit


def evidence(state: SessionState) -> dict[str, Any]:
    """What a session covered of its blueprint, and how it came to its end; plain data for the record."""
    release = state.release
    if release.form.multistage is not None:
        return multistage.evidence(state)
    rules = _rules(release)
    done = [release.units[unit] for unit, _ in state.complete]
    items = [item for unit in done for item in unit.items]
    maxima = [requirement.maximum for requirement in release.form.blueprint]
    if state.extensions:
        # They grow in proportion to the longer test.
        grown = extended_test(state).test.constraints
        maxima = [None if most is None else int(grown[k].maximum) for k, most in enumerate(maxima)]
    out: dict[str, Any] = {
        "units": {"minimum": rules.min_units, "maximum": rules.max_units, "found": len(done)},
        "blueprint": covered(release.form.blueprint, items, maxima),
        "closed": len(state.start.closed),
    }
    if state.ending is not None and state.ending.how == "completed" and state.start.release == release.sha256:
        out["stopped_by"] = chosen(state).reason
    return out


# --- inside -------------------------------------------------------------------


def _rules(release: Release) -> AdaptiveRules:
    rules = release.form.adaptive
    assert rules is not None
    return rules


def _is_plain(rules: AdaptiveRules) -> bool:
    """Whether the rules say nothing that the plain kernel does not do."""
    plain = AdaptiveRules()
    aside = {name: getattr(plain, name) for name in ("enemies", "anchors", "time", "exposure", "overlap")}
    kept = {n: getattr(rules, n) for n in ("randomesque", "min_units", "max_units", "se", "certainty")}
    return replace(rules, **aside) == replace(plain, **kept)


def _sequential(rule: SequentialRule | None) -> Sequential | None:
    from assess.irt.stopping import Sequential

    return None if rule is None else Sequential(rule.delta, rule.alpha, rule.beta)


def _constraints(release: Release) -> tuple[Constraint, ...]:
    """Blueprint, anchors and time, in terms of units."""
    rules = _rules(release)
    found = []
    for requirement in release.form.blueprint:
        counts = [float(count_items(unit.items, requirement)) for unit in release.units]
        maximum = math.inf if requirement.maximum is None else float(requirement.maximum)
        found.append(Constraint(requirement.label, np.array(counts), float(requirement.minimum), maximum))
    if rules.anchors:
        marks = np.array([float(unit.reference in rules.anchors) for unit in release.units])
        found.append(Constraint("anchors", marks, float(len(rules.anchors)), float(len(rules.anchors))))
    if rules.time is not None:
        seconds = np.array([sum(_seconds(rules, item) for item in unit.items) for unit in release.units])
        found.append(Constraint("time in seconds", seconds, 0.0, max(_room(release), 0.0)))
    return tuple(found)


def _enemies(release: Release) -> tuple[tuple[int, ...], ...]:
    row_of = release.row_of
    return tuple(tuple(row_of[reference] for reference in group) for group in _rules(release).enemies)


def _seconds(rules: AdaptiveRules, item: Item) -> float:
    assert rules.time is not None
    return float(rules.time.by_interaction.get(item.interaction_type, rules.time.seconds_per_item))


def _room(release: Release) -> float:
    """Seconds that pilot items leave for the units that count."""
    rules = _rules(release)
    assert rules.time is not None
    longest = sorted((_seconds(rules, item) for item in release.pilot), reverse=True)
    return rules.time.maximum_seconds - sum(longest[: release.form.pilot_slots])


def _conflict(release: Release) -> Conflict | None:
    """Why no test of the units satisfies the form."""
    from assess.irt.designed import DesignedTest

    test, rules = release.adaptive_test, _rules(release)
    if isinstance(test, DesignedTest) and test.shadow:
        return test.conflict()
    return release.composition.conflict(rules.min_units, min(rules.max_units, len(release.units)))


def least_closed_tests(release: Release) -> tuple[BoolArray, ...]:
    """Tests of each length that the form asks for, of the units that exposure control closes least.

    Where nothing of them is closed the form can be satisfied, and no program has to be solved to know it.
    Empty where there are none.

    Examples
    --------
    >>> from tests import synthetic
    >>> release = synthetic.release(kind="adaptive", n_items=12)
    >>> [int(test.sum()) for test in least_closed_tests(release)]
    [5]
    """
    from assess.irt.designed import DesignedTest

    test, rules = release.adaptive_test, _rules(release)
    known = {} if rules.exposure is None else rules.exposure.probabilities
    open_with = np.array([known.get(unit.reference, 1.0) for unit in release.units])
    if isinstance(test, DesignedTest) and test.shadow:
        composition, lengths = test.composition, test.lengths
    else:
        composition, lengths = release.composition, (rules.min_units,)
    found = [composition.best(open_with, length, length, gap=0.01) for length in lengths]
    tests = tuple(marks for marks in found if marks is not None)
    return tests if len(tests) == len(found) else ()


def _feasible_under_control(release: Release, left: Collection[str]) -> bool:
    tests = release.least_closed_tests
    if tests:
        rows = [u for u, unit in enumerate(release.units) if unit.reference in left]
        if not any(marks[rows].any() for marks in tests):
            return True
    return _feasible(release, left)


def _feasible(release: Release, left: Collection[str], *, whole: bool = False) -> bool:
    """Whether a test without these units satisfies the form; `whole` asks for one of the maximum length."""
    from assess.irt.designed import DesignedTest

    test, rules = release.adaptive_test, _rules(release)
    closed = [u for u, unit in enumerate(release.units) if unit.reference in left]
    if isinstance(test, DesignedTest) and test.shadow:
        return test.feasible(closed)
    marks = np.zeros(len(release.units), dtype=bool)
    marks[closed] = True
    longest = min(rules.max_units, len(release.units))
    return release.composition.feasible(longest if whole else rules.min_units, longest, closed=marks)
