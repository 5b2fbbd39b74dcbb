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
from assess.items.reading import Fields
from assess.standard_setting.bookmark import RULES
from assess.standards.records import canonical_json, sha256

if TYPE_CHECKING:
    import pandas as pd

METHODS = ("modified Angoff", "bookmark", "contrasting groups", "borderline group")
ADVICE = ("Hofstee", "Beuk")
_COLUMNS = ("round", "judge", "about", "value")


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
        rounds = sorted({judgement.round for judgement in self.judgements})
        if rounds != list(range(1, len(rounds) + 1)) or not rounds:
            raise self._fault("judgements", f"rounds are {rounds}; they count from 1 without gaps")
        for number in rounds:
            table = self.table(number)
            if len(table) < 2:
                raise self._fault(
                    "judgements", f"only judge {table.index[0]!r} judged in round {number}; that is no panel"
                )
            if self.method != "modified Angoff":
                continue
            for judge, unit in zip(*table.isna().to_numpy().nonzero(), strict=True):
                raise self._fault(
                    "judgements",
                    f"judge {table.index[judge]!r} did not rate unit {table.columns[unit]!r} "
                    f"in round {number}; each rates all",
                )

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


# --- reading ---------------------------------------------------------------------


def read_study(document: object, place: str = "study") -> Study:
    """A study from the mapping that stood in a file.

    Judgements may be left out of the document and come from a table: see
    `judgements_from_frame` and `dataclasses.replace`.

    Parameters
    ----------
    document : mapping
        As `Study.document` writes it.
    place : str
        The file, for messages.

    Raises
    ------
    InvalidContent
        With the place.

    Examples
    --------
    >>> document = {
    ...     "id": "x-panel", "version": 1, "course": "x", "level": "KA", "method": "bookmark",
    ...     "definition": "Plans one lesson in which pupils use a computer.", "synthetic": True,
    ...     "panel": [{"id": "j1", "qualifications": "taught 12 years"},
    ...               {"id": "j2", "qualifications": "trains teachers"}],
    ...     "judgements": [{"round": 1, "judge": "j1", "value": 7}, {"round": 1, "judge": "j2", "value": 8}]}
    >>> study = read_study(document, "studies/x-panel.v1.yaml")
    >>> study.summary()
    'x-panel.v1, made-up bookmark with 2 judges: no result yet; not adopted'
    >>> read_study(study.document()) == study
    True
    """
    fields = Fields(document, place)
    adoption = None
    if "adopted" in fields:
        below = fields.below("adopted")
        adoption = Adoption(below.text("by"), _moment(below, "at"), below.text("sha256"))
        below.finish()
    else:
        fields.raw("adopted", None)
    study: dict[str, Any] = {
        "id": fields.text("id"),
        "version": fields.integer("version", minimum=1),
        "course": fields.text("course"),
        "level": fields.text("level"),
        "method": fields.choice("method", (*METHODS, *ADVICE)),
        "definition": fields.text("definition"),
        "synthetic": fields.flag("synthetic", False),
        "panel": tuple(_read_panelist(each) for each in fields.each("panel")),
        "judgements": tuple(_read_judgement(each) for each in fields.each("judgements")),
        "options": _read_options(fields),
        "result": _read_result(fields),
        "adoption": adoption,
    }
    fields.finish()
    try:
        return Study(**study)
    except InvalidContent as fault:
        raise InvalidContent(str(fault), place=place) from None


def judgements_from_frame(frame: pd.DataFrame) -> tuple[Judgement, ...]:
    """Judgements from a table with columns round, judge, about, value: a panel's CSV file.

    Raises
    ------
    InvalidContent
        A missing column, or a value that is no number, with its row.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"round": [1], "judge": ["j1"], "about": ["i1.v1"], "value": [0.7]})
    >>> judgements_from_frame(frame)
    (Judgement(round=1, judge='j1', about='i1.v1', value=0.7),)
    """
    import pandas as pd

    missing = [name for name in _COLUMNS if name not in frame.columns]
    if missing:
        raise InvalidContent(f"no column {missing[0]!r}; give {', '.join(_COLUMNS)}", place="judgements")
    found = []
    for row, (number, judge, about, value) in enumerate(
        frame[list(_COLUMNS)].itertuples(index=False, name=None)
    ):
        about = "" if pd.isna(about) else str(about)
        plain = {"round": number, "judge": str(judge), "about": about, "value": value}
        try:
            plain |= {"round": int(number), "value": float(value)}
        except (TypeError, ValueError):
            raise InvalidContent(
                f"round {number!r}, value {value!r}: both are numbers", place=f"judgements[{row}]"
            ) from None
        found.append(_read_judgement(Fields(plain, f"judgements[{row}]")))
    return tuple(found)


def _read_panelist(fields: Fields) -> Panelist:
    one = Panelist(fields.text("id"), fields.text("qualifications"))
    fields.finish()
    return one


def _read_judgement(fields: Fields) -> Judgement:
    about = fields.raw("about", "")
    judgement = Judgement(
        round=fields.integer("round", minimum=1),
        judge=fields.text("judge"),
        about=fields.text("about") if about else "",
        value=fields.number("value"),
    )
    fields.finish()
    return judgement


def _read_options(fields: Fields) -> StudyOptions:
    if "options" not in fields:
        fields.raw("options", None)
        return StudyOptions()
    below, usual = fields.below("options"), StudyOptions()
    options = StudyOptions(
        response_probability=below.number("response_probability", usual.response_probability),
        rule=below.choice("rule", RULES, usual.rule),
        units=below.strings("units", ()),
        combine=below.choice("combine", ("median", "mean"), usual.combine),
        base_rates=below.choice("base_rates", ("as sampled", "equal"), usual.base_rates),
        design=below.raw("design", "") and below.text("design"),
    )
    below.finish()
    return options


def _read_result(fields: Fields) -> StudyResult | None:
    if "result" not in fields:
        fields.raw("result", None)
        return None
    below = fields.below("result")
    result = StudyResult(
        parameter_set=below.text("parameter_set"),
        scale=below.text("scale"),
        theta=below.number("theta"),
        se=below.number("se", math.nan),
        raw=below.number("raw", math.nan),
        design=below.text("design"),
    )
    below.finish()
    return result


def _moment(fields: Fields, key: str) -> datetime:
    value = fields.raw(key)
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        raise fields.fault(key, f"{value!r} is no date and time") from None
    if moment.tzinfo is None:
        raise fields.fault(key, f"{value} has no time zone")
    return moment
