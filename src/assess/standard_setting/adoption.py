"""From a study to its cut, to its adoption, and to the cut score that guards a level."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from assess.errors import CutNotFound, InvalidContent, InvalidParameters, PublishRefused
from assess.irt.parameters import ParameterSet
from assess.scale import CutScore, Score, require_same_scale
from assess.standard_setting.angoff import angoff
from assess.standard_setting.bookmark import bookmark
from assess.standard_setting.estimates import CutEstimate, StandardError
from assess.standard_setting.groups import borderline_group, contrasting_groups
from assess.standard_setting.study import ADVICE, Adoption, Study, StudyResult

# A result is kept to so many decimals; recomputing it elsewhere may differ in the last bits only.
_DIGITS, _TOLERANCE = 6, 2e-6


def estimates_by_round(
    study: Study, parameter_set: ParameterSet, scores: Mapping[str, Score] | None = None
) -> tuple[CutEstimate, ...]:
    """The cut after each round, the last one being the study's.

    Parameters
    ----------
    parameter_set : ParameterSet
        Whose scale the cut is for.
    scores : mapping of learner to Score, optional
        On that scale; contrasting and borderline groups need them, those of the study unless given.

    Raises
    ------
    InvalidContent
        Hofstee or Beuk, a judged learner without a score, or a judgement that
        the method refuses, with the study.
    ScaleMismatch
        A score on another scale.
    CutNotFound
        As the method says.

    Examples
    --------
    >>> from assess.irt.models import ItemParameters
    >>> from assess.scale import Scale
    >>> from assess.standard_setting import Judgement, Panelist
    >>> items = ItemParameters(["i1", "i2"], "2PL", [1.0, 1.0], [[0.0], [1.0]])
    >>> published = ParameterSet("x.v1", "x", Scale("x/1", "all"), items, "calibrated")
    >>> panel = (Panelist("j1", "teaches"), Panelist("j2", "trains"))
    >>> ratings = tuple(Judgement(1, judge, item, 0.5) for judge in ("j1", "j2") for item in ("i1", "i2"))
    >>> study = Study("p", 1, "x", "KA", "modified Angoff", "Plans a lesson.", panel, ratings)
    >>> round(estimates_by_round(study, published)[-1].theta, 3)
    0.5
    """
    if study.method in ADVICE:
        raise InvalidContent(f"{study.method} gives advice, not a cut", place=f"{study.reference}: method")
    numbers, parameters = range(1, study.n_rounds + 1), parameter_set.parameters
    try:
        if study.method == "modified Angoff":
            return angoff([study.table(number) for number in numbers], parameters).rounds
        if study.method == "bookmark":
            booklet = parameters.take(study.options.units or parameters.item_ids)
            return tuple(
                bookmark(
                    {str(judge): int(page) for judge, page in study.table(number)[""].items()},
                    booklet,
                    response_probability=study.options.response_probability,
                    rule=study.options.rule,
                    combine=study.options.combine,
                )
                for number in numbers
            )
        known = _own_scores(study) if scores is None else scores
        return tuple(_of_learners(study, number, parameter_set, known) for number in numbers)
    except CutNotFound as fault:
        raise CutNotFound(f"{study.reference}: {fault}") from None
    except InvalidParameters as fault:
        raise InvalidContent(str(fault), place=f"{study.reference}: judgements") from None


def with_result(
    study: Study, parameter_set: ParameterSet, scores: Mapping[str, Score] | None = None
) -> Study:
    """The study with the cut of its last round as its result.

    Raises
    ------
    PublishRefused
        The study is adopted; its result stands.
    InvalidContent, ScaleMismatch, CutNotFound
        As `estimates_by_round`.

    Examples
    --------
    >>> from assess.irt.models import ItemParameters
    >>> from assess.scale import Scale
    >>> items = ItemParameters(["i1", "i2"], "2PL", [1.0, 1.0], [[0.0], [1.0]])
    >>> published = ParameterSet("x.v1", "x", Scale("x/1", "all"), items, "calibrated")
    >>> from assess.standard_setting import Judgement, Panelist
    >>> panel = (Panelist("j1", "teaches"), Panelist("j2", "trains"))
    >>> pages = (Judgement(1, "j1", "", 2), Judgement(1, "j2", "", 2))
    >>> study = Study("p", 1, "x", "KA", "bookmark", "Plans a lesson.", panel, pages)
    >>> result = with_result(study, published).result
    >>> result.theta, result.scale, result.design
    (1.208185, 'x/1', 'judges random')
    """
    if study.adoption is not None:
        raise PublishRefused(f"{study.reference} is adopted; make a new version to change its result")
    estimate = estimates_by_round(study, parameter_set, scores)[-1]
    error = _error(study, estimate)
    return replace(
        study,
        result=StudyResult(
            parameter_set=parameter_set.id,
            scale=parameter_set.scale_id,
            theta=round(estimate.theta, _DIGITS),
            se=round(error.theta, _DIGITS),
            raw=round(estimate.raw, _DIGITS),
            design=error.design,
        ),
    )


def adopt(study: Study, *, by: str, at: datetime) -> Study:
    """The study, adopted: from now on it cannot be edited without being found out.

    Parameters
    ----------
    by : str
        Who takes responsibility for the cut.
    at : datetime
        When, with a time zone.

    Raises
    ------
    PublishRefused
        The study is made up, adopted already, without a result, not
        criterion-referenced, or nobody or no moment is named.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from assess.standard_setting import Judgement, Panelist
    >>> panel = (Panelist("j1", "teaches"), Panelist("j2", "trains"))
    >>> pages = (Judgement(1, "j1", "", 2), Judgement(1, "j2", "", 2))
    >>> study = Study("p", 1, "x", "KA", "bookmark", "Plans a lesson.", panel, pages,
    ...               result=StudyResult("x.v1", "x/1", 1.208185, 0.0, 1.2, "judges random"))
    >>> adopted = adopt(study, by="examinations board", at=datetime(2026, 11, 22, tzinfo=UTC))
    >>> adopted.adoption.sha256 == study.sha256
    True
    >>> replace(adopted, definition="Something easier.")
    Traceback (most recent call last):
        ...
    assess.errors.InvalidContent: p.v1: adopted.sha256: the study was edited after its adoption ...
    """
    study.require_adoptable()
    if study.adoption is not None:
        raise PublishRefused(f"{study.reference} was adopted by {study.adoption.by} already")
    if not by.strip() or at.tzinfo is None:
        raise PublishRefused(f"{study.reference}: an adoption names who, and when with a time zone")
    return replace(study, adoption=Adoption(by.strip(), at, study.sha256))


def adopted_cut(
    study: Study, parameter_set: ParameterSet, *, id: str, scores: Mapping[str, Score] | None = None
) -> CutScore:
    """The cut score of an adopted study on a parameter set's scale.

    The cut is always derived anew from the judgements: on the parameter set of
    the result it must come out as it was adopted, on another one (a first
    calibration, a new scale) it is the same judgement in other units.

    Parameters
    ----------
    id : str
        Versioned id of the cut, for example ``"twt-3-ka.v2"``.
    scores : mapping of learner to Score, optional
        On that scale; contrasting and borderline groups need them, those of the study unless given.

    Raises
    ------
    PublishRefused
        The study is not adopted, its judgements do not lead to the adopted
        result, or its bookmarks stand in a booklet of other parameters.
    ScaleMismatch
        The parameter set of the result is on another scale now, or a score is.

    Examples
    --------
    >>> from assess.irt.models import ItemParameters
    >>> from assess.scale import Scale
    >>> items = ItemParameters(["i1", "i2"], "2PL", [1.0, 1.0], [[0.0], [1.0]])
    >>> published = ParameterSet("x.v1", "x", Scale("x/1", "all"), items, "calibrated")
    >>> from datetime import UTC, datetime
    >>> from assess.standard_setting import Judgement, Panelist
    >>> panel = (Panelist("j1", "teaches"), Panelist("j2", "trains"))
    >>> pages = (Judgement(1, "j1", "", 2), Judgement(1, "j2", "", 2))
    >>> study = Study("p", 1, "x", "KA", "bookmark", "Plans a lesson.", panel, pages)
    >>> adopted = adopt(with_result(study, published), by="the board", at=datetime(2026, 11, 22, tzinfo=UTC))
    >>> cut = adopted_cut(adopted, published, id="x-ka.v2")
    >>> cut.theta, cut.status, cut.panel, cut.scale_id
    (1.208185, 'adopted', 'p.v1', 'x/1')
    """
    if study.adoption is None or study.result is None:
        raise PublishRefused(f"{study.reference} is not adopted; a cut in force names who adopted it")
    same_set = study.result.parameter_set == parameter_set.id
    if study.method == "bookmark" and not same_set:
        raise PublishRefused(
            f"{study.reference}: its bookmarks stand in the booklet of {study.result.parameter_set}; "
            f"the panel has to look at the order under {parameter_set.id}"
        )
    if same_set:
        require_same_scale(study.result.scale, parameter_set.scale_id, doing=f"the cut of {study.reference}")
    estimate = estimates_by_round(study, parameter_set, scores)[-1]
    if same_set and not abs(estimate.theta - study.result.theta) <= _TOLERANCE:
        raise PublishRefused(
            f"{study.reference}: on {parameter_set.id} the judgements lead to theta {estimate.theta:.6f}, "
            f"adopted was {study.result.theta:.6f}; parameters or scores are not those of the study"
        )
    return CutScore(
        id=id,
        level=study.level,
        theta=round(estimate.theta, _DIGITS),
        se=round(_error(study, estimate).theta, _DIGITS),
        scale_id=parameter_set.scale_id,
        method=study.method,
        panel=study.reference,
        status="adopted",
    )


# --- inside -------------------------------------------------------------------


def _error(study: Study, estimate: CutEstimate) -> StandardError:
    design = study.options.design
    return estimate.error(design) if design else next(iter(estimate.errors), StandardError("", math.nan))


def _own_scores(study: Study) -> dict[str, Score]:
    kept = study.scores
    if kept is None:
        return {}
    return {
        learner: Score(theta, math.nan, kept.method, (), scale_id=kept.scale) for learner, theta in kept.theta
    }


def _of_learners(
    study: Study, number: int, parameter_set: ParameterSet, scores: Mapping[str, Score]
) -> CutEstimate:
    chosen = [one for one in study.judgements if one.round == number]
    for one in chosen:
        if one.about not in scores:
            raise InvalidContent(
                f"learner {one.about!r} was judged but has no score", place=f"{study.reference}: judgements"
            )
        require_same_scale(scores[one.about].scale_id, parameter_set.scale_id, doing="setting a cut")
    if study.method == "borderline group":
        chosen = [one for one in chosen if one.value == 1.0]
    theta, judges = [scores[one.about].theta for one in chosen], [one.judge for one in chosen]
    if study.method == "borderline group":
        return borderline_group(theta, judges=judges, combine=study.options.combine)
    said = [one.value for one in chosen]
    return contrasting_groups(theta, said, judges=judges, base_rates=study.options.base_rates)
