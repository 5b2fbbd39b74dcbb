"""Studies and judgements as they stand in files: read once, checked, named by place."""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, Any

from assess.errors import InvalidContent
from assess.items.reading import Fields
from assess.standard_setting.bookmark import RULES
from assess.standard_setting.study import (
    ADVICE,
    METHODS,
    Adoption,
    Judgement,
    LearnerScores,
    Panelist,
    Study,
    StudyOptions,
    StudyResult,
)

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ("round", "judge", "about", "value")


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
        "scores": _read_scores(fields),
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


def scores_from_frame(frame: pd.DataFrame) -> LearnerScores:
    """Learners' scores from a table with columns learner, theta, scale and, where it is known, method.

    Raises
    ------
    InvalidContent
        A missing column, a theta that is no number, with its row, or more than one scale or method.

    Examples
    --------
    >>> import pandas as pd
    >>> scores_from_frame(pd.DataFrame({"learner": ["lrn_1"], "theta": [0.4], "scale": ["x/1"]})).scale
    'x/1'
    """
    for name in ("learner", "theta", "scale"):
        if name not in frame.columns:
            raise InvalidContent(f"no column {name!r}; give learner, theta, scale, method", place="scores")
    if not len(frame):
        raise InvalidContent("no learner has a score; give a row for each", place="scores")
    stated = {}
    for name in ("scale", "method"):
        said = sorted({str(value) for value in frame[name]}) if name in frame.columns else ["not said"]
        if len(said) > 1:
            raise InvalidContent(
                f"{name} is {said[0]!r} and {said[1]!r}; all learners are scored alike", place="scores"
            )
        stated[name] = said[0]
    theta = []
    for row, (learner, value) in enumerate(zip(frame["learner"], frame["theta"], strict=True)):
        try:
            theta.append((str(learner), float(value)))
        except (TypeError, ValueError):
            raise InvalidContent(f"theta is {value!r}; give a number", place=f"scores[{row}]") from None
    return LearnerScores(stated["scale"], stated["method"], tuple(theta))


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


def _read_scores(fields: Fields) -> LearnerScores | None:
    if "scores" not in fields:
        fields.raw("scores", None)
        return None
    below = fields.below("scores")
    stated, of = below.raw("theta"), below.below("theta")
    theta = tuple((str(learner), of.number(learner)) for learner in stated)
    scores = LearnerScores(below.text("scale"), below.text("method"), theta)
    below.finish()
    return scores


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
