r"""How often a badge rule decides rightly, over courses whose abilities go together.

The decisions of several courses err together or apart as the abilities do.
Their correlation is estimated from learners who took two courses, with the
measurement error taken out of it:

.. math:: \hat\rho_{xy} = \frac{r(\hat\theta_x, \hat\theta_y)}{\sqrt{R_x R_y}},\qquad
          R^{EAP} = \frac{s^2}{s^2 + \overline{SE^2}},\qquad
          R^{WL} = 1 - \frac{\overline{SE^2}}{s^2} .

References
----------
Douglas & Mislevy (2010), *Journal of Educational and Behavioral Statistics* 35, 280-306,
doi:10.3102/1076998609346969 (decisions by several tests).
Spearman (1904), *American Journal of Psychology* 15, 72-101, doi:10.2307/1412159 (attenuation).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from assess.errors import InvalidParameters, InvalidResponses, NotFound
from assess.irt.decision_accuracy import RuleAccuracy, accuracy_of_outcomes
from assess.session import Release
from assess.simulation.accuracy import decide, plain
from assess.standards.eligibility import BadgeRules, evaluate
from assess.standards.grammar import Pass, predicates

if TYPE_CHECKING:
    import pandas as pd

_PASSED, _UNDETERMINED, _NOT_PASSED = 1, 0, -1
SENSITIVITY = (0.5, 0.7, 0.9)
"""Correlations to look at while no data say which one it is, and beside the one that they say."""
# Of a correlation of 0.7 the standard error over so many pairs is about 0.05.
_FEWEST_PAIRS = 100


@dataclass(frozen=True, slots=True)
class AbilityCorrelation:
    """How the abilities of two courses go together, on average over the pairs of courses.

    Attributes
    ----------
    correlation : float
        Mean of the pairs, weighted by their learners, at most 1.
    se : float
        Of that mean, as if the pairs were independent: a lower bound.
    pairs : tuple of (course, course, correlation, number of learners)
    """

    correlation: float
    se: float
    pairs: tuple[tuple[str, str, float, int], ...] = field(repr=False)

    def summary(self) -> str:
        """The estimate in one sentence."""
        people = sum(n for *_, n in self.pairs)
        return (
            f"correlation {self.correlation:.2f} (SE at least {self.se:.2f}) between abilities, from "
            f"{people:,} learners in {len(self.pairs)} pairs of courses"
        )


def ability_correlation(scores: pd.DataFrame, *, fewest: int = _FEWEST_PAIRS) -> AbilityCorrelation:
    """The correlation of abilities between courses, corrected for measurement error.

    Parameters
    ----------
    scores : DataFrame
        Columns learner, course, theta, se, method (EAP or WL): one row per
        learner and course, such as each learner's first decision. A course
        stands on one scale.
    fewest : int
        Pairs of courses that fewer learners took both are left out.

    Raises
    ------
    InvalidResponses
        A learner occurs twice in a course, a number is missing or a method
        unknown, or no pair of courses has enough learners.

    Examples
    --------
    >>> import pandas as pd
    >>> rng = np.random.default_rng(1)
    >>> true = rng.multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]], 4000)
    >>> scores = pd.DataFrame({"learner": [*range(4000), *range(4000)], "course": ["x"] * 4000 + ["y"] * 4000,
    ...                        "theta": (true + 0.5 * rng.normal(size=true.shape)).T.ravel(),
    ...                        "se": 0.5, "method": "WL"})
    >>> ability_correlation(scores).summary()
    'correlation 0.69 (SE at least 0.01) between abilities, from 4,000 learners in 1 pairs of courses'
    """
    if scores.duplicated(["learner", "course"]).any():
        twice = scores[scores.duplicated(["learner", "course"])].iloc[0]
        raise InvalidResponses(
            f"learner {twice['learner']} occurs twice in course {twice['course']}; give one score of each"
        )
    if not np.isfinite(scores[["theta", "se"]].to_numpy(dtype=float)).all():
        raise InvalidResponses("every score has a finite theta and standard error; leave out the others")
    strange = set(scores["method"]) - {"EAP", "WL"}
    if strange:
        raise InvalidResponses(f"method {min(map(str, strange))!r} is neither EAP nor WL")
    by_course = {str(course): rows.set_index("learner") for course, rows in scores.groupby("course")}
    pairs = []
    for x, y in itertools.combinations(sorted(by_course), 2):
        both = by_course[x].add_suffix("_x").join(by_course[y].add_suffix("_y"), how="inner")
        if len(both) < fewest:
            continue
        observed = float(np.corrcoef(both["theta_x"], both["theta_y"])[0, 1])
        reliabilities = [_reliability(both, side) for side in ("x", "y")]
        if min(reliabilities) <= 0.0:
            raise InvalidResponses(
                f"the scores of {x} and {y} vary no more than their errors do; no correlation can be said"
            )
        pairs.append(
            (x, y, observed / math.sqrt(reliabilities[0] * reliabilities[1]), len(both), reliabilities)
        )
    if not pairs:
        raise InvalidResponses(
            f"no pair of courses has {fewest} learners with a score in both; look at several correlations"
        )
    people = np.array([n for *_, n, _ in pairs], dtype=float)
    found = np.array([r for _, _, r, _, _ in pairs])
    # Of an observed r the error is (1 - r^2) / sqrt(n - 1); what corrects r stretches its error too.
    errors = np.array(
        [(1.0 - r**2 * rel[0] * rel[1]) / math.sqrt((n - 1) * rel[0] * rel[1]) for _, _, r, n, rel in pairs]
    )
    weight = people / people.sum()
    return AbilityCorrelation(
        correlation=min(float(weight @ found), 1.0),
        se=float(np.sqrt((weight**2) @ (errors**2))),
        pairs=tuple((x, y, r, n) for x, y, r, n, _ in pairs),
    )


def _reliability(both: pd.DataFrame, side: str) -> float:
    variance = float(both[f"theta_{side}"].var(ddof=1))
    error = float((both[f"se_{side}"] ** 2).mean())
    if set(both[f"method_{side}"]) == {"WL"}:
        return 1.0 - error / variance if variance > 0.0 else 0.0
    return variance / (variance + error)


@dataclass(frozen=True, eq=False)
class BadgeAccuracy:
    """What a whole badge rule does, by the correlation of the abilities it rests on.

    Attributes
    ----------
    badge : str
    tries : int
    by_correlation : mapping
        Correlation between the courses' abilities -> accuracy of the badge:
        "passed" is eligible, and who truly masters what the rule asks is
        "at or above".
    """

    badge: str
    tries: int
    by_correlation: Mapping[float, RuleAccuracy] = field(repr=False)

    @property
    def basis(self) -> str:
        """Population and procedure in a sentence."""
        n = next(iter(self.by_correlation.values())).n_simulees
        tries = "one try in each course" if self.tries == 1 else f"up to {self.tries} tries in each course"
        return (
            f"{n:,} simulated learners with normal abilities, mean 0 and SD 1 on every course's scale and "
            f"equally correlated, who take every course ({tries}), by the production rules"
        )

    def to_mapping(self) -> dict[str, Any]:
        """Plain data, six digits: what an activation keeps and a badge system is told."""
        rows = []
        for r, accuracy in self.by_correlation.items():
            shares: dict[str, float | None] = {name: plain(value) for name, value in accuracy.shares.items()}
            rows.append({"correlation": r, **shares})
        return {"tries": self.tries, "by_correlation": rows, "basis": self.basis}

    def to_frame(self) -> pd.DataFrame:
        """One row per correlation."""
        import pandas as pd

        rows = [accuracy.shares for accuracy in self.by_correlation.values()]
        return pd.DataFrame(rows, index=pd.Index(list(self.by_correlation), name="correlation"))


def badge_accuracy(
    rules: BadgeRules,
    badge: str,
    releases: Mapping[str, Release],
    rng: np.random.Generator,
    *,
    correlations: Sequence[float] = SENSITIVITY,
    tries: int = 1,
    n: int = 10_000,
) -> BadgeAccuracy:
    """Accuracy of a badge rule over courses whose abilities go together.

    Abilities are normal with equal correlations, each N(0, 1) on its course's
    scale. Every learner takes every course, up to `tries` times until passed;
    the production evaluator then says who is eligible, and says it again with
    true mastery in place of the decisions.

    Parameters
    ----------
    rules : BadgeRules
    badge : str
        A badge whose rule asks for courses alone.
    releases : mapping
        Course id -> the release of its form, for every course that the rule names.
    correlations : sequence of float in [0, 1)
        Between any two courses: the one that `ability_correlation` finds, and others, which show what
        depends on it.
    tries : int
        In each course.
    n : int
        Simulated learners.

    Raises
    ------
    NotFound
        No such badge.
    InvalidParameters
        The rule asks for something else than courses, a course has no release or one on judged
        parameters, no try, or a correlation is no such.

    Examples
    --------
    >>> from assess.standards.eligibility import load_rules
    >>> rules = load_rules({"badges": {"B": {"rule": {"pass": {"course": "c1"}}}}})
    >>> badge_accuracy(rules, "B", {}, np.random.default_rng(1))
    Traceback (most recent call last):
        ...
    assess.errors.InvalidParameters: badge B asks for course c1; give the release of its form
    """
    if badge not in rules.badges:
        raise NotFound("badge", badge)
    courses = _courses(rules, badge)
    for course in courses:
        if course not in releases:
            raise InvalidParameters(f"badge {badge} asks for course {course}; give the release of its form")
        if not releases[course].calibrated:
            form = releases[course].form.reference
            raise InvalidParameters(f"{form} rests on judged parameters; accuracy needs calibrated ones")
    if tries < 1:
        raise InvalidParameters(f"tries is {tries}; at least one")
    bad = [r for r in correlations if not 0.0 <= r < 1.0]
    if bad or not correlations:
        raise InvalidParameters(f"correlations {list(correlations)}: each is at least 0 and below 1")
    verdicts: dict[tuple[int, ...], int] = {}

    def standing(outcomes: NDArray[np.int8]) -> NDArray[np.int8]:
        for pattern in np.unique(outcomes, axis=0):
            key = tuple(pattern.tolist())
            if key not in verdicts:
                verdicts[key] = _eligible(rules, badge, dict(zip(courses, key, strict=True)))
        return np.array([verdicts[tuple(row)] for row in outcomes.tolist()], dtype=np.int8)

    found = {}
    for r in correlations:
        common = rng.standard_normal((n, 1))
        theta = math.sqrt(r) * common + math.sqrt(1.0 - r) * rng.standard_normal((n, len(courses)))
        truth, decided = np.empty(theta.shape, dtype=np.int8), np.empty(theta.shape, dtype=np.int8)
        for k, course in enumerate(courses):
            release = releases[course]
            truth[:, k] = np.where(theta[:, k] >= release.cut.theta, _PASSED, _NOT_PASSED)
            decided[:, k] = _NOT_PASSED
            for number in range(1, tries + 1):
                again = np.flatnonzero(decided[:, k] != _PASSED)
                decided[again, k] = decide(
                    release, theta[again, k], release.parameters, rng, try_number=number
                )
        found[r] = accuracy_of_outcomes(standing(truth), standing(decided), 1.0, method=f"badge {badge}")
    return BadgeAccuracy(badge, tries, found)


# --- inside -------------------------------------------------------------------


def _courses(rules: BadgeRules, badge: str) -> list[str]:
    asked = [predicate for _, predicate in predicates(rules.badges[badge].rule)]
    other = next((predicate for predicate in asked if not isinstance(predicate, Pass)), None)
    if other is not None:
        raise InvalidParameters(
            f"badge {badge} asks for {next(iter(other.declared))}, which no simulation of courses answers"
        )
    return list(dict.fromkeys(predicate.course for predicate in asked if isinstance(predicate, Pass)))


def _eligible(rules: BadgeRules, badge: str, outcomes: Mapping[str, int]) -> int:
    words = {_PASSED: "pass", _NOT_PASSED: "fail", _UNDETERMINED: "undetermined"}
    facts = [
        {"t": "decision", "at": "2001-01-01", "course": course, "outcome": words[outcome]}
        for course, outcome in outcomes.items()
    ]
    status = evaluate(rules, facts, badge=badge, subject="simulated", as_of="2001-01-02").status
    return {"eligible": _PASSED, "undetermined": _UNDETERMINED}.get(status, _NOT_PASSED)
