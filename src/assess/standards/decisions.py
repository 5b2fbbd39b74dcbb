"""From a score and a cut to a decision, and from sessions to one decision per course.

A decision says what it rests on: the rule and its terms, the cut, the score,
and where its probability comes from. Every number is rounded to nine
significant digits *before* it is compared, so that the stored record, which
holds these digits, always leads to the same decision again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from assess.errors import InvalidContent, InvalidFact, InvalidParameters
from assess.items import DecisionRule
from assess.scale import CutScore, Score, require_same_scale
from assess.standards.records import decimal9, rounded9

Status = Literal["passed", "not_passed", "undetermined", "incomplete"]
ProbabilityBasis = Literal["posterior", "normal_approximation", "not_calibrated"]


# --- rules -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ProbabilityRule:
    r"""Pass when the learner is probably at or above the cut.

    .. math:: P(\theta \ge c \mid x) \ge p_{pass} \to passed, \qquad \le p_{fail} \to not\ passed,

    and undetermined between the two: more items are the answer there, not a
    looser rule.

    Examples
    --------
    >>> ProbabilityRule().id
    'probability/1'
    """

    p_pass: float = 0.75
    p_fail: float = 0.25

    def __post_init__(self) -> None:
        if not 0.0 < self.p_fail < self.p_pass < 1.0:
            raise InvalidContent(
                f"probability rule: p_fail {self.p_fail} and p_pass {self.p_pass} "
                "must satisfy 0 < p_fail < p_pass < 1"
            )

    @property
    def id(self) -> str:
        return "probability/1"

    @property
    def terms(self) -> tuple[tuple[str, str], ...]:
        return (("p_fail", decimal9(self.p_fail)), ("p_pass", decimal9(self.p_pass)))


@dataclass(frozen=True, slots=True)
class PointRule:
    """Pass when the estimate itself is at or above the cut; never undetermined.

    WL (Warm's weighted likelihood) and EAP are finite for every response
    pattern; ML is not, so it cannot carry a decision.

    Examples
    --------
    >>> PointRule("EAP").terms
    (('method', 'EAP'),)
    """

    method: str = "WL"

    def __post_init__(self) -> None:
        if self.method not in ("WL", "EAP"):
            raise InvalidContent(f"point rule: method {self.method!r} is not WL or EAP")

    @property
    def id(self) -> str:
        return "point/1"

    @property
    def terms(self) -> tuple[tuple[str, str], ...]:
        return (("method", self.method),)


@dataclass(frozen=True, slots=True)
class RawRule:
    """Pass when the raw score is at or above the judged raw cut.

    The rule while item parameters are judged, not calibrated: it claims no
    probability, and what it decides is provisional.
    """

    @property
    def id(self) -> str:
        return "raw/1"

    @property
    def terms(self) -> tuple[tuple[str, str], ...]:
        return ()


@dataclass(frozen=True, slots=True)
class PlacementRule:
    """Pass when it is nearly certain that the learner is at or above the cut; else decide nothing.

    A placement has no fails: who does not get a course granted takes it like
    everybody else, and judged parameters grant nothing.

    Examples
    --------
    >>> PlacementRule().terms
    (('p_pass', '0.95'),)
    """

    p_pass: float = 0.95

    def __post_init__(self) -> None:
        if not 0.5 < self.p_pass < 1.0:
            raise InvalidContent(f"placement rule: p_pass {self.p_pass} must be above 0.5 and below 1")

    @property
    def id(self) -> str:
        return "placement/1"

    @property
    def terms(self) -> tuple[tuple[str, str], ...]:
        return (("p_pass", decimal9(self.p_pass)),)


Rule = ProbabilityRule | PointRule | RawRule | PlacementRule


def rule_for(stated: DecisionRule, *, scoring: str = "WL") -> Rule:
    """The rule that a form states, ready to decide.

    Parameters
    ----------
    stated : DecisionRule
        As the form file has it.
    scoring : str
        The form's scoring method, which a point rule decides on.

    Raises
    ------
    InvalidContent
        An unknown kind, or a point rule on a method that may be infinite.

    Examples
    --------
    >>> rule_for(DecisionRule(p_pass=0.8, p_fail=0.2))
    ProbabilityRule(p_pass=0.8, p_fail=0.2)
    >>> rule_for(DecisionRule("point"), scoring="EAP").terms
    (('method', 'EAP'),)
    """
    match stated.kind:
        case "probability":
            return ProbabilityRule(stated.p_pass, stated.p_fail)
        case "point":
            return PointRule(scoring)
        case "raw":
            return RawRule()
        case "placement":
            return PlacementRule(stated.p_pass)
        case kind:
            raise InvalidContent(
                f"decision rule: kind {kind!r} is not one of probability, point, raw, placement"
            )


# --- one session -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided about one session, and all it rests on.

    Numbers are already rounded to nine significant digits.

    Attributes
    ----------
    status : str
        passed, not_passed, undetermined or incomplete; `incomplete` is what a
        session gets that ended before it could be decided on, and it is never
        a pass.
    level, cut_id : str
        The level that was at stake and the cut that guards it.
    rule, terms : str, tuple of pairs
        For example ``"probability/1"`` and its limits as decimal strings.
    provisional : bool
        The parameters are judged, or no panel adopted the cut.
    p_at_or_above_cut : float or None
        None when the parameters are not calibrated, or nothing was answered and
        the method has no value then.
    probability_basis : str
        posterior, normal_approximation or not_calibrated.
    theta, se, raw, cut_theta, cut_raw : float or None
        The compared numbers, as far as there are any.
    scale_id, parameter_set, method : str
        Where theta lives and how it was estimated.
    """

    status: Status
    level: str
    cut_id: str
    rule: str
    terms: tuple[tuple[str, str], ...]
    provisional: bool
    p_at_or_above_cut: float | None
    probability_basis: ProbabilityBasis
    theta: float | None
    se: float | None
    raw: float | None
    cut_theta: float | None
    cut_raw: float | None
    scale_id: str
    parameter_set: str
    method: str

    @property
    def passed(self) -> bool:
        return self.status == "passed"

    def record(self) -> dict[str, Any]:
        """The decision for `canonical_json`: numbers as decimal strings.

        Examples
        --------
        >>> cut = CutScore("c.v1", "KA", 0.0, 0.1, "s/1", "Angoff", raw=14.2)
        >>> decide_raw(15, cut).record()["raw"], decide_raw(15, cut).record()["p_at_or_above_cut"]
        ('15', None)
        """
        record: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("status", "level", "cut_id", "rule", "provisional", "probability_basis")
        }
        record["terms"] = dict(self.terms)
        for name in ("p_at_or_above_cut", "theta", "se", "raw", "cut_theta", "cut_raw"):
            value = getattr(self, name)
            record[name] = None if value is None else decimal9(value)
        record |= {"scale_id": self.scale_id, "parameter_set": self.parameter_set, "method": self.method}
        return record

    def summary(self) -> str:
        """The decision in one sentence."""
        how = f"by {self.rule} against {self.cut_id}"
        if self.p_at_or_above_cut is not None:
            how += f", probability {self.p_at_or_above_cut:.2f} ({self.probability_basis.replace('_', ' ')})"
        elif self.raw is not None and self.cut_raw is not None:
            how += f", raw score {self.raw:g} of the needed {self.cut_raw:g}"
        how += "; provisional" if self.provisional else ""
        return f"{self.level}: {self.status.replace('_', ' ')} {how}"


def decide(
    score: Score,
    cut: CutScore,
    *,
    rule: ProbabilityRule | PointRule | PlacementRule | None = None,
    complete: bool = True,
    parameters_provisional: bool = False,
) -> Decision:
    """Decide whether a score reaches a cut.

    Parameters
    ----------
    score : Score
        With its posterior, or a bare estimate and standard error: then the
        probability is a normal approximation, and the decision says so.
    cut : CutScore
        On the same scale.
    rule : ProbabilityRule, PointRule or PlacementRule, optional
        `ProbabilityRule()` unless given.
    complete : bool
        False when the session ended before its minimum; the decision is then
        `incomplete` whatever the score. So is a score without responses.
    parameters_provisional : bool
        The item parameters are judged: the decision is provisional and has no
        probability, so only a point rule can be used, or a placement rule, which then grants nothing.

    Raises
    ------
    ScaleMismatch
        Score and cut live on different scales.
    InvalidParameters
        The score of given responses is not finite, its standard error is not
        positive, it was not estimated by the rule's method, or judged parameters were brought
        to a probability rule.

    Examples
    --------
    >>> cut = CutScore("twt-3-ka.v2", "KA", 0.0, 0.08, "twt-3/1", "modified Angoff", "panel-1", "adopted")
    >>> decision = decide(Score(0.62, 0.4, "EAP", ("i1",), "twt-3/1"), cut)
    >>> decision.status, decision.p_at_or_above_cut, decision.probability_basis
    ('passed', 0.939429242, 'normal_approximation')
    >>> decide(Score(0.1, 0.4, "EAP", ("i1",), "twt-3/1"), cut).status
    'undetermined'

    References
    ----------
    Spray & Reckase (1996), Comparison of SPRT and sequential Bayes procedures
    for classifying examinees into two categories using a computerized test,
    *Journal of Educational and Behavioral Statistics* 21(4), 405-414,
    doi:10.3102/10769986021004405.
    """
    rule = ProbabilityRule() if rule is None else rule
    require_same_scale(score.scale_id, cut.scale_id, doing="deciding")
    answered = score.status != "no responses"
    valued = math.isfinite(score.theta)
    if answered and not valued:
        raise InvalidParameters(
            f"theta is {score.theta} by {score.method}; "
            "decide on EAP, MAP or WL, which are finite for every pattern"
        )
    if valued and not (math.isfinite(score.se) and score.se > 0.0):
        raise InvalidParameters(f"the standard error is {score.se}; it must be positive and finite")
    if isinstance(rule, PointRule) and score.method != rule.method:
        raise InvalidParameters(
            f"{rule.id} decides on {rule.method}, the score is {score.method}; score it by {rule.method}"
        )
    if parameters_provisional and not isinstance(rule, PointRule | PlacementRule):
        raise InvalidParameters(
            "judged parameters give no probability; use PointRule (practice) or decide_raw"
        )

    cut_theta = rounded9(cut.theta)
    theta, se = (rounded9(score.theta), rounded9(score.se)) if valued else (None, None)
    probability: float | None = None
    basis: ProbabilityBasis = "not_calibrated"
    if not parameters_provisional:
        basis = "posterior" if score.posterior is not None else "normal_approximation"
        if theta is not None and se is not None:
            probability = rounded9(replace(score, theta=theta, se=se).probability_at_or_above(cut_theta))

    status: Status
    if theta is None or not (complete and answered):
        status = "incomplete"
    elif isinstance(rule, PointRule):
        status = "passed" if theta >= cut_theta else "not_passed"
    elif isinstance(rule, PlacementRule):
        granted = probability is not None and probability >= rounded9(rule.p_pass)
        status = "passed" if granted else "undetermined"
    else:
        assert probability is not None
        if probability >= rounded9(rule.p_pass):
            status = "passed"
        else:
            status = "not_passed" if probability <= rounded9(rule.p_fail) else "undetermined"
    return Decision(
        status=status, level=cut.level, cut_id=cut.id, rule=rule.id, terms=rule.terms,
        provisional=parameters_provisional or cut.status != "adopted",
        p_at_or_above_cut=probability, probability_basis=basis,
        theta=theta, se=se, raw=None, cut_theta=cut_theta, cut_raw=None,
        scale_id=cut.scale_id, parameter_set=score.parameter_set, method=score.method,
    )  # fmt: skip


def decide_raw(raw: float, cut: CutScore, *, complete: bool = True, parameter_set: str = "") -> Decision:
    """Decide by raw score against the judged raw cut; always provisional.

    Parameters
    ----------
    raw : float
        The raw score, 0 or more; omitted and not-reached items count 0.
    cut : CutScore
        With a judged raw cut `cut.raw`.
    complete : bool
        False when the session ended before its minimum.

    Raises
    ------
    InvalidParameters
        The raw score is negative or not finite, or the cut has no raw cut.

    Examples
    --------
    >>> cut = CutScore("twt-3-ka.v1", "KA", 0.0, 0.2, "twt-3/judged", "judged", raw=14.2)
    >>> decide_raw(15, cut).status, decide_raw(14, cut).status, decide_raw(24, cut, complete=False).status
    ('passed', 'not_passed', 'incomplete')
    """
    if not (math.isfinite(raw) and raw >= 0.0):
        raise InvalidParameters(f"the raw score is {raw}; it must be 0 or more")
    if cut.raw is None or not math.isfinite(cut.raw):
        raise InvalidParameters(f"cut {cut.id!r} has no judged raw cut; state `raw` in the cut file")
    raw9, cut9 = rounded9(raw), rounded9(cut.raw)
    status: Status = "incomplete"
    if complete:
        status = "passed" if raw9 >= cut9 else "not_passed"
    return Decision(
        status=status, level=cut.level, cut_id=cut.id, rule=RawRule().id, terms=(), provisional=True,
        p_at_or_above_cut=None, probability_basis="not_calibrated",
        theta=None, se=None, raw=raw9, cut_theta=None, cut_raw=cut9,
        scale_id=cut.scale_id, parameter_set=parameter_set, method="raw",
    )  # fmt: skip


# --- one course ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SessionOutcome:
    """The current outcome of one finished session (rescoring supersedes it).

    Parameters
    ----------
    session_id : str
    finished_at : datetime
        With a time zone.
    status : str
        passed, not_passed, undetermined, incomplete or pending (it waits for
        a calibration, a standard or a rater).
    void : bool
        The session was declared void.
    provisional, practice : bool
        `practice` is an adaptive session on judged parameters.
    decision_id : str
        The stored decision behind it.
    """

    session_id: str
    finished_at: datetime
    status: str
    void: bool = False
    provisional: bool = False
    practice: bool = False
    decision_id: str = ""

    def __post_init__(self) -> None:
        if self.status not in ("passed", "not_passed", "undetermined", "incomplete", "pending"):
            raise InvalidFact(
                f"session {self.session_id!r}: status {self.status!r} is not one of passed, not_passed, "
                "undetermined, incomplete, pending",
                path="status",
            )
        if self.finished_at.tzinfo is None:
            raise InvalidFact(
                f"session {self.session_id!r}: finished_at has no time zone", path="finished_at"
            )


def course_decision(outcomes: Iterable[SessionOutcome]) -> SessionOutcome | None:
    """The one outcome that speaks for a course.

    It is the outcome of the latest passing session that is not void, else of
    the latest session. So a failed retake never takes a pass away, while a
    rescore, a void or an appeal does, because it changes an outcome. Practice
    sessions never speak for the course.

    Parameters
    ----------
    outcomes : iterable of SessionOutcome
        One per finished session of the course, in any order; a repeated
        outcome counts once. Equal finishing times are ordered by session id.

    Returns
    -------
    SessionOutcome or None
        None when nothing but practice was finished.

    Raises
    ------
    InvalidFact
        One session with two different outcomes: only the current one counts.

    Examples
    --------
    >>> from datetime import UTC
    >>> def outcome(day, status, **more):
    ...     return SessionOutcome(f"s{day}", datetime(2026, 11, day, tzinfo=UTC), status, **more)
    >>> course_decision([outcome(1, "passed"), outcome(2, "not_passed")]).session_id
    's1'
    >>> course_decision([outcome(1, "passed", void=True), outcome(2, "not_passed")]).session_id
    's2'
    """
    by_session: dict[str, SessionOutcome] = {}
    for outcome in outcomes:
        known = by_session.setdefault(outcome.session_id, outcome)
        if known != outcome:
            raise InvalidFact(
                f"session {outcome.session_id!r} has two outcomes; hand over the current one only"
            )
    counting = sorted(
        (outcome for outcome in by_session.values() if not outcome.practice),
        key=lambda outcome: (outcome.finished_at, outcome.session_id),
    )
    passing = [outcome for outcome in counting if outcome.status == "passed" and not outcome.void]
    speaking = passing or counting
    return speaking[-1] if speaking else None
