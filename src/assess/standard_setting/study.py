"""A standard-setting study: who judged what, what came of it, and who adopted it.

A study is data: a mapping that stands in a file. Its hash is taken over all of
it but the adoption; an adopted study whose content no longer has the hash that
was adopted cannot even be read.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from assess.errors import InvalidContent, PublishRefused
from assess.standard_setting.bookmark import RULES
from assess.standards.records import canonical_json, sha256

if TYPE_CHECKING:
    import pandas as pd

OF_LEARNERS = ("contrasting groups", "borderline group")
METHODS = ("modified Angoff", "bookmark", *OF_LEARNERS)
ADVICE = {
    "Hofstee": ("lowest_cut", "highest_cut", "lowest_fail_rate", "highest_fail_rate"),
    "Beuk": ("cut", "pass_rate"),
}
"""By method what each judge says, which is what the judgements are about."""


@dataclass(frozen=True, slots=True)
class Panelist:
    """One judge, by an id that names nobody, and what makes him or her one."""

    id: str
    qualifications: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """One judgement.

    Parameters
    ----------
    round : int
        From 1.
    judge : str
        Id of a panelist.
    about : str
        The rated unit (Angoff), the judged learner (contrasting and borderline
        group), empty for a bookmark.
    value : float
        Expected score; page; or 1 and 0 for proficient (borderline) and not.
    """

    round: int
    judge: str
    about: str
    value: float


@dataclass(frozen=True, slots=True)
class StudyOptions:
    """Choices within a method; those of other methods are not looked at.

    Parameters
    ----------
    response_probability, rule : float, str
        Of `bookmark`.
    units : tuple of str
        In the booklet, in any order; all units of the parameter set where it is empty.
    combine : str
        Over judges (bookmark) or learners (borderline group): median or mean.
    base_rates : str
        Of `contrasting_groups`.
    design : str
        Whose standard error is the cut's; the first that the method has, which
        under Angoff is "judges random, items fixed", unless named.
    """

    response_probability: float = 0.67
    rule: str = "midpoint"
    units: tuple[str, ...] = ()
    combine: str = "median"
    base_rates: str = "as sampled"
    design: str = ""


@dataclass(frozen=True, slots=True)
class LearnerScores:
    """Where judged learners stand: what contrasting and borderline groups rest on beside the judgements.

    Parameters
    ----------
    scale : str
        Of all of them.
    method : str
        How they were estimated: EAP, WL, ...; which one is right, the method of the study says.
    theta : tuple of (learner, theta)
    """

    scale: str
    method: str
    theta: tuple[tuple[str, float], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class StudyResult:
    """The cut of the last round, and the parameter set and scale on which it was computed."""

    parameter_set: str
    scale: str
    theta: float
    se: float
    raw: float
    design: str


@dataclass(frozen=True, slots=True)
class Adoption:
    """Who took responsibility for the cut, when, and for which content."""

    by: str
    at: datetime
    sha256: str


@dataclass(frozen=True)
class Study:
    """A standard-setting study.

    Parameters
    ----------
    id, version : str, int
        Together the reference, for example ``"twt-3-ka-panel.v1"``.
    course, level : str
        What the cut will guard.
    method : str
        One of modified Angoff, bookmark, contrasting groups, borderline group;
        Hofstee and Beuk can be kept, but neither computed into a cut nor adopted.
    definition : str
        What the just-proficient teacher can do, as the panel agreed.
    panel : tuple of Panelist
        Two or more.
    judgements : tuple of Judgement
    options : StudyOptions
    synthetic : bool
        Made up, as an example; cannot be adopted.
    scores : LearnerScores, optional
        Of the judged learners, under contrasting groups and borderline group.
    result : StudyResult, optional
    adoption : Adoption, optional

    Raises
    ------
    InvalidContent
        With the place of what is missing, unknown, out of range, or was edited after adoption.
    """

    id: str
    version: int
    course: str
    level: str
    method: str
    definition: str
    panel: tuple[Panelist, ...]
    judgements: tuple[Judgement, ...] = field(repr=False)
    options: StudyOptions = StudyOptions()
    synthetic: bool = False
    scores: LearnerScores | None = None
    result: StudyResult | None = None
    adoption: Adoption | None = None

    def __post_init__(self) -> None:
        known = (*METHODS, *ADVICE)
        if self.method not in known:
            raise self._fault("method", f"{self.method!r} is not one of {', '.join(known)}")
        if not self.definition.strip():
            raise self._fault("definition", "say what the just-proficient teacher can do")
        if self.options.rule not in RULES:
            raise self._fault("options.rule", f"{self.options.rule!r} is not one of {', '.join(RULES)}")
        if not 0.0 < self.options.response_probability < 1.0:
            raise self._fault(
                "options.response_probability", f"{self.options.response_probability} is not between 0 and 1"
            )
        self._check_panel()
        self._check_judgements()
        if self.scores is not None:
            self._check_scores(self.scores)
        if self.result is not None and self.method in ADVICE:
            raise self._fault("result", f"{self.method} gives advice; it has no cut as its result")
        if self.adoption is not None:
            if self.adoption.sha256 != self.sha256:
                raise self._fault(
                    "adopted.sha256",
                    f"the study was edited after its adoption (its hash is {self.sha256[:12]}..., adopted "
                    f"was {self.adoption.sha256[:12]}...); restore it, or make and adopt a new version",
                )
            self.require_adoptable()

    # --- what it says -------------------------------------------------------

    @property
    def reference(self) -> str:
        """Id and version."""
        return f"{self.id}.v{self.version}"

    @property
    def n_rounds(self) -> int:
        return max(judgement.round for judgement in self.judgements)

    @property
    def sha256(self) -> str:
        """The hash of everything but the adoption."""
        document = self.document()
        document.pop("adopted", None)
        return sha256(canonical_json(document, floats=True))

    def summary(self) -> str:
        """The study in one sentence."""
        kind = "made-up " if self.synthetic else ""
        found = "no result yet"
        if self.result is not None:
            found = f"theta {self.result.theta:.3f} on {self.result.scale}"
        by = (
            f"adopted by {self.adoption.by} on {self.adoption.at:%Y-%m-%d}"
            if self.adoption
            else "not adopted"
        )
        return f"{self.reference}, {kind}{self.method} with {len(self.panel)} judges: {found}; {by}"

    def document(self) -> dict[str, Any]:
        """The study as the plain mapping that stands in a file; the inverse of `read_study`."""
        document: dict[str, Any] = {
            name: getattr(self, name) for name in ("id", "version", "course", "level", "method", "definition")
        }
        document["synthetic"] = self.synthetic
        document["panel"] = [{"id": one.id, "qualifications": one.qualifications} for one in self.panel]
        document["options"] = {
            name: getattr(self.options, name) for name in StudyOptions.__slots__ if name != "units"
        } | {"units": list(self.options.units)}
        # A page of 3 and one of 3.0 are one judgement, and must have one hash.
        document["judgements"] = [
            {"round": one.round, "judge": one.judge, "about": one.about, "value": float(one.value)}
            for one in self.judgements
        ]
        if self.scores is not None:
            document["scores"] = {
                "scale": self.scores.scale,
                "method": self.scores.method,
                "theta": {learner: float(theta) for learner, theta in self.scores.theta},
            }
        if self.result is not None:
            numbers = {name: getattr(self.result, name) for name in StudyResult.__slots__}
            document["result"] = {
                name: None if isinstance(value, float) and math.isnan(value) else value
                for name, value in numbers.items()
            }
        if self.adoption is not None:
            document["adopted"] = {
                "by": self.adoption.by,
                "at": self.adoption.at.isoformat(),
                "sha256": self.adoption.sha256,
            }
        return document

    def table(self, number: int | None = None) -> pd.DataFrame:
        """The judgements of one round (the last unless said), judges by what was judged."""
        import pandas as pd

        number = self.n_rounds if number is None else number
        rows: dict[str, dict[str, float]] = {}
        for judgement in self.judgements:
            if judgement.round == number:
                rows.setdefault(judgement.judge, {})[judgement.about] = judgement.value
        return pd.DataFrame.from_dict(rows, orient="index", dtype=float).rename_axis("judge")

    # --- checks ------------------------------------------------------------

    def _fault(self, place: str, message: str) -> InvalidContent:
        return InvalidContent(message, place=f"{self.reference}: {place}")

    def _check_panel(self) -> None:
        if len(self.panel) < 2:
            raise self._fault("panel", f"{len(self.panel)} judges are no panel; a cut rests on two or more")
        for place, one in enumerate(self.panel):
            if not one.id or not one.qualifications.strip():
                raise self._fault(f"panel[{place}]", f"judge {one.id!r} needs an id and qualifications")
        ids = Counter(one.id for one in self.panel)
        if twice := [judge for judge, count in ids.items() if count > 1]:
            raise self._fault("panel", f"judge {twice[0]!r} occurs twice")

    def _check_judgements(self) -> None:
        panel = {one.id for one in self.panel}
        seen: set[tuple[int, str, str]] = set()
        for place, judgement in enumerate(self.judgements):
            at, value = f"judgements[{place}]", judgement.value
            if judgement.judge not in panel:
                raise self._fault(f"{at}.judge", f"{judgement.judge!r} is not on the panel")
            key = (judgement.round, judgement.judge, judgement.about)
            if key in seen:
                raise self._fault(
                    at,
                    f"judge {judgement.judge!r} judged {judgement.about!r} twice in round {judgement.round}",
                )
            seen.add(key)
            if not self._is_possible(value):
                raise self._fault(f"{at}.value", f"{value:g} is no judgement of {self.method}")
            if (judgement.about == "") != (self.method == "bookmark"):
                raise self._fault(
                    f"{at}.about",
                    "say what was judged; a bookmark is about the whole booklet: leave it empty",
                )
            if judgement.about not in ADVICE.get(self.method, (judgement.about,)):
                raise self._fault(
                    f"{at}.about",
                    f"{judgement.about!r} is not what {self.method} asks for: "
                    f"{', '.join(ADVICE[self.method])}",
                )
        rounds = sorted({judgement.round for judgement in self.judgements})
        if rounds != list(range(1, len(rounds) + 1)) or not rounds:
            raise self._fault("judgements", f"rounds are {rounds}; they count from 1 without gaps")
        for number in rounds:
            table = self.table(number)
            if len(table) < 2:
                raise self._fault(
                    "judgements", f"only judge {table.index[0]!r} judged in round {number}; that is no panel"
                )
            if self.method != "modified Angoff" and self.method not in ADVICE:
                continue
            for judge, unit in zip(*table.isna().to_numpy().nonzero(), strict=True):
                raise self._fault(
                    "judgements",
                    f"judge {table.index[judge]!r} did not rate unit {table.columns[unit]!r} "
                    f"in round {number}; each rates all",
                )

    def _check_scores(self, scores: LearnerScores) -> None:
        if self.method not in OF_LEARNERS:
            raise self._fault("scores", f"{self.method} judges no learners; it needs no scores of them")
        seen: set[str] = set()
        for learner, theta in scores.theta:
            if learner in seen:
                raise self._fault("scores", f"learner {learner!r} has two scores; give one")
            if not math.isfinite(theta):
                raise self._fault("scores", f"learner {learner!r}: theta is {theta}; give a finite estimate")
            seen.add(learner)

    def _is_possible(self, value: float) -> bool:
        if not math.isfinite(value):
            return False
        if self.method == "modified Angoff":
            return value >= 0.0
        if self.method == "bookmark":
            return value >= 1.0 and value == int(value)
        return self.method in ADVICE or value in (0.0, 1.0)

    def require_adoptable(self) -> None:
        """Refuse what is made up, looks at pass rates, or has no result."""
        why = ""
        if self.synthetic:
            why = "it is made up (synthetic: true)"
        elif self.method in ADVICE:
            why = f"{self.method} looks at how many pass; a cut comes from a criterion-referenced study"
        elif self.result is None:
            why = "it has no result; compute it with `with_result`"
        if why:
            raise PublishRefused(f"{self.reference} cannot be adopted: {why}")
