"""From an ended session to a decision and the record that lets it replay."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

from assess.errors import NotFinished
from assess.irt.scoring import Prior, score_one
from assess.scale import Score
from assess.session.confirming import confirmed_as
from assess.session.engine import is_complete
from assess.session.multistage import assigned
from assess.session.selection import evidence
from assess.session.state import SessionState
from assess.standards.decisions import (
    Decision,
    PlacementRule,
    PointRule,
    RawRule,
    decide,
    decide_raw,
    rule_for,
)
from assess.standards.records import canonical_json, decimal9, sha256

SCHEMA = "assess.decision/1"
CONFIRMATION_SCHEMA = "assess.confirmation/1"
CONFIRMATION_RULE = "confirmation/1"
PENDING, AWAITING_STANDARD = "pending", "awaiting_standard"
_Z90 = 1.6448536269514722


@dataclass(frozen=True, slots=True)
class Objective:
    """Items right of items seen for one coded objective; never a sub-score with a cut."""

    code: str
    right: int
    seen: int


@dataclass(frozen=True, slots=True)
class ReportedScore:
    """The score as people see it, on the reporting scale or as a raw score; never theta.

    `low` and `high` bound the 90 % range; `cut` is the cut on the same scale.
    """

    value: float
    se: float | None
    low: float
    high: float
    minimum: float
    maximum: float
    cut: float
    scale: str


@dataclass(frozen=True, eq=False)
class Recorded:
    """What an ended session leaves: a record whose bytes are the same whenever it is made again."""

    record: Mapping[str, Any]

    @cached_property
    def record_bytes(self) -> bytes:
        """The record as canonical JSON."""
        return canonical_json(self.record)

    @cached_property
    def record_sha256(self) -> str:
        """Hash of the record."""
        return sha256(self.record_bytes)


@dataclass(frozen=True, eq=False)
class Outcome(Recorded):
    """A decision with its score and its record.

    `levels` are the decisions at the form's further cuts, from the same score.
    """

    decision: Decision
    score: Score | None
    reported: ReportedScore
    objectives: tuple[Objective, ...]
    levels: tuple[Decision, ...] = ()


@dataclass(frozen=True, eq=False)
class Held(Recorded):
    """An ended session whose result waits: its record tells what was answered, not what that is worth."""


@dataclass(frozen=True, eq=False)
class Confirmation(Recorded):
    """What a confirming session says of a first score; it decides nothing.

    `outcome` is "consistent", "inconsistent" or "undecided".
    """

    outcome: str


def concluded(state: SessionState, *, decided_at: datetime) -> Outcome | Held | Confirmation:
    """What an ended session leaves, whichever its form makes of it.

    Examples
    --------
    >>> state = with_ending(fold(release, record, (), ()), Ending("timed_out", noon))
    >>> concluded(state, decided_at=noon).decision.status
    'not_passed'
    """
    if state.start.confirms is not None:
        return confirmation(state, decided_at=decided_at)
    return (held if state.release.holds_results else outcome)(state, decided_at=decided_at)


def confirmation(state: SessionState, *, decided_at: datetime, engine: str | None = None) -> Confirmation:
    """Whether a first score is credible, as an ended confirming session says.

    The record holds the ratio that decided, the rates and the loss that were
    stated, and names the decision under confirmation by its hash.

    Parameters
    ----------
    decided_at : datetime
        When it ended; part of the record, so a replay passes the stored one.
    engine : str, optional
        Engine version to put into the record; by default the one of the start record.

    Raises
    ------
    NotFinished
        The session has not ended.

    Examples
    --------
    >>> from tests import synthetic
    >>> confirming = synthetic.confirming()
    >>> first = FirstDecision.of("dec_1", "0f" * 32, "ses_1", Score(0.9, 0.3, "WL", ()))
    >>> begun = start(confirming, session="s", learner="l", seed="0f" * 16, now=noon, confirms=first)
    >>> ended = with_ending(fold(confirming, begun, (), ()), Ending("submitted", noon))
    >>> found = confirmation(ended, decided_at=noon)
    >>> found.outcome, found.record["log_ratio"], found.record["decision"]["terms"]["loss"]
    ('undecided', '0', '1')
    """
    _require_ended(state)
    first, policy = state.start.confirms, state.release.form.confirms
    assert first is not None
    assert policy is not None
    word, log_ratio = confirmed_as(state)
    counted = dict(state.complete)
    # A case set that was begun and not ended does not count; its answers stand here all the same.
    units = [
        _unit_record(state, unit, counted.get(unit, 0)) | {"counts": unit in counted}
        for unit in _begun(state)
    ]
    record = _head(state, decided_at, engine) | {
        "schema": CONFIRMATION_SCHEMA,
        "units": units,
        "first": first.record(),
        "log_ratio": decimal9(round(log_ratio, 9)),
        "evidence": evidence(state),
        "decision": {
            "status": word,
            "rule": CONFIRMATION_RULE,
            "terms": {name: decimal9(getattr(policy, name)) for name in ("alpha", "beta", "loss")},
            "provisional": False,
        },
    }
    return Confirmation(record, word)


def held(state: SessionState, *, decided_at: datetime, engine: str | None = None) -> Held:
    """What an ended session leaves while its result is held.

    The record names every answer by its hash, so that nothing can be changed
    until the results are released, and holds neither a category nor a score:
    nobody who reads it learns more than the learner does.

    Parameters
    ----------
    decided_at : datetime
        When the session ended with its result held; part of the record.
    engine : str, optional
        Engine version to put into the record; by default the one of the start record.

    Raises
    ------
    NotFinished
        The session has not ended.

    Examples
    --------
    >>> state = with_ending(fold(release, record, (), ()), Ending("timed_out", noon))
    >>> held(state, decided_at=noon).record["decision"]
    {'status': 'pending', 'reason': 'awaiting_standard'}
    """
    _require_ended(state)
    categories = _scored_categories(state)
    units = [_unit_record(state, unit, category) for unit, category in categories.items()]
    record = _head(state, decided_at, engine) | {
        "units": [_untold(unit) for unit in units],
        "decision": {"status": PENDING, "reason": AWAITING_STANDARD},
    }
    return Held(record)


def _untold(unit: dict[str, Any]) -> dict[str, Any]:
    items = [{key: value for key, value in item.items() if key != "category"} for item in unit["items"]]
    return {"unit": unit["unit"], "maximum": unit["maximum"], "items": items}


def outcome(
    state: SessionState, *, decided_at: datetime, engine: str | None = None, complete: bool | None = None
) -> Outcome:
    """Score and decide an ended session.

    Parameters
    ----------
    decided_at : datetime
        When the decision is made; part of the record, so a replay passes the stored one.
    engine : str, optional
        Engine version to put into the record; by default the one of the start record.
    complete : bool, optional
        Whether enough was administered, where that was settled before; `is_complete` unless given.

    Raises
    ------
    NotFinished
        The session has not ended.

    Examples
    --------
    >>> state = with_ending(fold(release, record, (), ()), Ending("timed_out", noon))
    >>> decided = outcome(state, decided_at=noon)
    >>> decided.decision.status, decided.reported.value, decided.reported.cut
    ('not_passed', 0, 7.2)
    """
    _require_ended(state)
    release = state.release
    categories = _scored_categories(state)
    raw = sum(categories.values())
    enough = is_complete(state) if complete is None else complete
    score: Score | None = None
    if release.form.rule.kind != "raw":
        score = _score(state, categories)
    decision, *levels = _decide(state, raw, score, complete=enough)
    if any(found.passed for found in (decision, *levels)) and not _answered(state):
        # A cut below all that can be scored, or a prior far above it, would pass whoever answers nothing.
        decision, *levels = _decide(state, raw, score, complete=False)
    reported = _report_raw(raw, state) if score is None else _report_theta(score, state)
    objectives = _objectives(state)
    record = _record(state, categories, raw, decision, objectives, decided_at, engine)
    if levels:
        record["levels"] = [level.record() for level in levels]
    if state.extensions:
        record["extensions"] = [
            {"number": e.number, "at": e.at.isoformat(), "after_position": e.after_position}
            for e in state.extensions
        ]
    # A rescoring settles `complete` beforehand and brings the evidence of the form that was delivered.
    if state.start.evidence and complete is None:
        record["evidence"] = evidence(state)
    return Outcome(record, decision, score, reported, objectives, tuple(levels))


def _require_ended(state: SessionState) -> None:
    if state.ending is None:
        raise NotFinished(f"session {state.start.session} has not ended")


def _decide(state: SessionState, raw: int, score: Score | None, *, complete: bool) -> list[Decision]:
    """The decision at the form's cut, then those at its further cuts, from one score by one rule."""
    release = state.release
    cuts = ((release.cut, release.ratings), *release.further_cuts)
    if score is None:
        parameter_set = release.parameter_set.id
        return [
            decide_raw(
                raw,
                replace(cut, raw=release.raw_cut_of(ratings)),
                complete=complete,
                parameter_set=parameter_set,
            )
            for cut, ratings in cuts
        ]
    form, provisional = release.form, not release.calibrated
    rule = rule_for(form.rule_at(state.start.try_number), scoring=form.scoring)
    if provisional and not isinstance(rule, PlacementRule):
        rule = PointRule(form.scoring)
    assert not isinstance(rule, RawRule)
    return [
        decide(score, cut, rule=rule, complete=complete, parameters_provisional=provisional)
        for cut, _ in cuts
    ]


def _answered(state: SessionState) -> bool:
    """Whether anything that counts was answered."""
    counted = {offer.position for offer in state.offers if offer.item in state.release.unit_of}
    return any(r.answer is not None for position, r in state.latest.items() if position in counted)


def _scored_categories(state: SessionState) -> dict[int, int]:
    """Category of each unit that counts. Omitted and not reached score 0.

    A fixed form counts all its units, a multistage session those of the
    modules that were begun. An adaptive session counts the units that were
    begun: an item that was seen and left unanswered when time ran out scores
    0, or waiting would be a way to skip.
    """
    release = state.release
    units: Iterable[int] = range(len(release.units))
    if release.form.kind != "fixed":
        units = _begun(state) if release.form.multistage is None else assigned(state)
    categories = dict.fromkeys(units, 0)
    for offer in state.offers:
        unit = release.unit_of.get(offer.item)
        response = state.latest.get(offer.position)
        if unit is not None and response is not None:
            categories[unit] += response.category or 0
    return categories


def _begun(state: SessionState) -> list[int]:
    found = (state.release.unit_of.get(offer.item) for offer in state.offers)
    return list(dict.fromkeys(unit for unit in found if unit is not None))


def _score(state: SessionState, categories: Mapping[int, int]) -> Score:
    release = state.release
    prior = Prior(state.start.prior_mean, state.start.prior_sd)
    responses = {release.units[unit].reference: category for unit, category in categories.items()}
    method: Literal["EAP", "WL"] = "WL" if release.form.scoring == "WL" else "EAP"
    score = score_one(responses, release.parameters, method=method, prior=prior)
    return replace(score, scale_id=release.scale.id, parameter_set=release.parameter_set.id)


def _report_theta(score: Score, state: SessionState) -> ReportedScore:
    scale = state.release.scale
    return ReportedScore(
        value=scale.report(score.theta),
        se=scale.report_se(score.se) if math.isfinite(score.se) else None,
        low=scale.report(score.theta - _Z90 * score.se) if math.isfinite(score.se) else scale.minimum,
        high=scale.report(score.theta + _Z90 * score.se) if math.isfinite(score.se) else scale.maximum,
        minimum=scale.minimum,
        maximum=scale.maximum,
        cut=scale.report(state.release.cut.theta),
        scale=scale.id,
    )


def _report_raw(raw: int, state: SessionState) -> ReportedScore:
    """The raw score with Wilson's 90 % interval and the standard error that its width stands for.

    Judged parameters give no standard error that could be defended, so the
    range comes from the binomial error model alone. Wilson's interval keeps a
    width at 0 and at the maximum, where Lord's (1957,
    doi:10.1177/001316445701700407) standard error would claim certainty
    (Wilson 1927, doi:10.1080/01621459.1927.10502953).
    """
    n = state.release.raw_maximum
    share = raw / n
    centre = (share + _Z90**2 / (2 * n)) / (1 + _Z90**2 / n)
    half = _Z90 / (1 + _Z90**2 / n) * math.sqrt(share * (1 - share) / n + _Z90**2 / (4 * n**2))
    return ReportedScore(
        value=raw,
        se=round(n * half / _Z90, 1),
        low=round(n * max(centre - half, 0.0), 1),
        high=round(n * min(centre + half, 1.0), 1),
        minimum=0,
        maximum=n,
        cut=round(state.release.raw_cut, 1),
        scale=f"raw/{state.release.form.reference}",
    )


def _objectives(state: SessionState) -> tuple[Objective, ...]:
    """Counts over the primary alignments that the course declares as objectives."""
    seen: dict[str, int] = {}
    right: dict[str, int] = {}
    for offer in state.offers:
        if offer.item not in state.release.unit_of:
            continue
        item = state.release.items[offer.item]
        response = state.latest.get(offer.position)
        full = response is not None and response.category == item.n_categories - 1
        for alignment in item.alignments:
            if alignment.primary and alignment.code in state.release.course.objectives:
                seen[alignment.code] = seen.get(alignment.code, 0) + 1
                right[alignment.code] = right.get(alignment.code, 0) + full
    return tuple(Objective(code, right[code], seen[code]) for code in sorted(seen))


def _record(
    state: SessionState,
    categories: Mapping[int, int],
    raw: int,
    decision: Decision,
    objectives: tuple[Objective, ...],
    decided_at: datetime,
    engine: str | None,
) -> dict[str, Any]:
    """All that the decision rests on, as plain data with numbers as decimal strings."""
    release, start = state.release, state.start
    return _head(state, decided_at, engine) | {
        "units": [_unit_record(state, unit, category) for unit, category in categories.items()],
        "objectives": [{"code": o.code, "right": o.right, "seen": o.seen} for o in objectives],
        "raw": {"value": raw, "maximum": release.raw_maximum if release.form.kind == "fixed" else None},
        "cut_status": release.cut.status,
        "prior": {"mean": decimal9(start.prior_mean), "sd": decimal9(start.prior_sd)},
        "decision": decision.record(),
    }


def _head(state: SessionState, decided_at: datetime, engine: str | None) -> dict[str, Any]:
    """Whose session it was, of what, when, and how it ended."""
    release, start = state.release, state.start
    assert state.ending is not None
    return {
        "schema": SCHEMA,
        "engine": engine or start.engine,
        "programme": release.course.programme,
        "course": release.course.id,
        "release": release.sha256,
        "form": release.form.reference,
        "bank_security": release.security,
        "session": start.session,
        "learner": start.learner,
        "try": start.try_number,
        "assurance": start.assurance,
        "started_at": start.started_at.isoformat(),
        "ended_at": state.ending.at.isoformat(),
        "ended_by": state.ending.how,
        "decided_at": decided_at.isoformat(),
        "practice": release.practice,
        **({"placement": start.placement} if start.placement else {}),
    }


def _unit_record(state: SessionState, unit: int, category: int) -> dict[str, Any]:
    found = state.release.units[unit]
    position_of = {offer.item: offer.position for offer in state.offers}
    items = []
    for item in found.items:
        position = position_of.get(item.reference)
        response = None if position is None else state.latest.get(position)
        if response is not None:
            blank = "timed_out" if response.timed_out else "omitted"
            how = blank if response.answer is None else "answered"
        else:
            how = "not_reached"
        items.append(
            {
                "item": item.reference,
                "position": position,
                "revision": None if response is None else response.revision,
                "how": how,
                "category": 0 if response is None else response.category,
                "answer_sha256": None if response is None else response.answer_sha256,
            }
        )
    return {"unit": found.reference, "category": category, "maximum": found.n_categories - 1, "items": items}
