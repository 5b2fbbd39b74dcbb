"""From a study to a cut in force: who may adopt what, and what the cut becomes on another scale."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from assess.errors import CutNotFound, InvalidContent, InvalidParameters, PublishRefused, ScaleMismatch
from assess.irt import ItemParameters
from assess.scale import Score
from assess.standard_setting import (
    ADVICE,
    Judgement,
    LearnerScores,
    StudyOptions,
    adopt,
    adopted_cut,
    bookmark,
    estimates_by_round,
    with_result,
)
from tests.standard_setting.panels import PANEL, angoff_study, mixed_form, published

FORM = mixed_form()
PUBLISHED = published(FORM)
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def adopted(study=None, scores=None):
    return adopt(with_result(study or angoff_study(FORM), PUBLISHED, scores), by="board", at=NOON)


def learners(theta_cut=0.3, n=80, method="contrasting groups", scale="x/1"):
    """A study of known learners, and their scores."""
    rng = np.random.default_rng(6)
    theta = rng.normal(size=n)
    if method == "contrasting groups":
        said = rng.random(n) < 1.0 / (1.0 + np.exp(-4.0 * (theta - theta_cut)))
    else:
        said = np.abs(theta - theta_cut) < 0.5
    judgements = tuple(
        Judgement(1, PANEL[i % 4].id, f"lrn_{i}", float(said[i])) for i in rng.permutation(n).tolist()
    )
    scores = {f"lrn_{i}": Score(float(theta[i]), 0.3, "EAP", ("i1",), scale) for i in range(n)}
    return angoff_study(FORM, method=method, judgements=judgements), scores


def test_judges_who_rate_the_true_probabilities_recover_theta_round_by_round():
    rounds = estimates_by_round(angoff_study(FORM, theta=0.4), PUBLISHED)
    assert [found.theta for found in rounds] == pytest.approx([0.4, 0.4], abs=1e-9)


def test_an_adopted_cut_says_where_it_comes_from():
    cut = adopted_cut(adopted(), PUBLISHED, id="x-ka.v2")
    assert cut.theta == pytest.approx(0.2, abs=1e-6)
    assert (cut.status, cut.panel, cut.scale_id, cut.level) == ("adopted", "x-ka-panel.v1", "x/1", "KA")
    assert cut.se > 0.0


def test_the_standard_error_is_that_of_the_design_in_the_study():
    wider = "judges random, items random"
    usual = with_result(angoff_study(FORM), PUBLISHED).result
    other = with_result(angoff_study(FORM, options=StudyOptions(design=wider)), PUBLISHED).result
    assert usual is not None
    assert other is not None
    assert (usual.design, other.design) == ("judges random, items fixed", wider)
    assert other.se > 2.0 * usual.se
    with pytest.raises(InvalidParameters, match="no standard error with 'guessed'"):
        with_result(angoff_study(FORM, options=StudyOptions(design="guessed")), PUBLISHED)


def test_on_another_scale_the_cut_is_the_same_judgement_in_other_units():
    """theta' = (theta - 0.5) / 1.2: the ratings are carried over, not the number."""
    moved = ItemParameters(
        FORM.item_ids, FORM.models, 1.2 * FORM.slopes, (FORM.steps - 0.5) / 1.2, FORM.lower, FORM.upper
    )
    cut = adopted_cut(adopted(), published(moved, "x-2027.v1", "x/2"), id="x-ka.v3")
    assert cut.theta == pytest.approx((0.2 - 0.5) / 1.2, abs=1e-5)
    assert cut.se == pytest.approx(adopted_cut(adopted(), PUBLISHED, id="x-ka.v2").se / 1.2, abs=1e-5)
    assert cut.scale_id == "x/2"


@pytest.mark.parametrize("method", ["contrasting groups", "borderline group"])
def test_a_study_of_learners_needs_their_scores_on_the_scale_of_the_cut(method):
    study, scores = learners(method=method)
    cut = adopted_cut(adopted(study, scores), PUBLISHED, id="x-ka.v2", scores=scores)
    assert cut.theta == pytest.approx(0.3, abs=0.2)
    assert cut.method == method
    with pytest.raises(InvalidContent, match="was judged but has no score"):
        with_result(study, PUBLISHED)
    with pytest.raises(ScaleMismatch, match="'x/9' and 'x/1'"):
        with_result(study, PUBLISHED, learners(method=method, scale="x/9")[1])


@pytest.mark.parametrize("method", ["contrasting groups", "borderline group"])
def test_scores_that_stand_in_the_study_are_part_of_what_is_adopted(method):
    study, scores = learners(method=method)
    theta = tuple((learner, score.theta) for learner, score in scores.items())
    whole = replace(study, scores=LearnerScores("x/1", "EAP", theta))
    cut = adopted_cut(adopted(whole), PUBLISHED, id="x-ka.v2")
    assert cut == adopted_cut(adopted(study, scores), PUBLISHED, id="x-ka.v2", scores=scores)
    moved = ((theta[0][0], theta[0][1] + 0.001), *theta[1:])
    with pytest.raises(InvalidContent, match="edited after its adoption"):
        replace(adopted(whole), scores=LearnerScores("x/1", "EAP", moved))
    with pytest.raises(ScaleMismatch, match="'x/1' and 'x/2'"):
        adopted_cut(adopted(whole), published(FORM, "x-2027.v1", "x/2"), id="x-ka.v3")


def test_bookmarks_belong_to_the_booklet_in_which_they_stand():
    pages = tuple(Judgement(1, one.id, "", 20 + n) for n, one in enumerate(PANEL))
    study = adopted(angoff_study(FORM, method="bookmark", judgements=pages))
    assert adopted_cut(study, PUBLISHED, id="x-ka.v2").status == "adopted"
    units = FORM.item_ids[6:22]
    some = with_result(replace(study, adoption=None, options=StudyOptions(units=units)), PUBLISHED)
    pages_of_all = {one.id: 20 + n for n, one in enumerate(PANEL)}
    assert some.result is not None
    assert some.result.theta == pytest.approx(bookmark(pages_of_all, FORM.take(units)).theta, abs=1e-6)
    with pytest.raises(InvalidContent, match="no parameters for item 'i99'"):
        with_result(replace(some, options=StudyOptions(units=("i99",))), PUBLISHED)
    with pytest.raises(PublishRefused, match=r"stand in the booklet of x-2026\.v1"):
        adopted_cut(study, published(FORM, "x-2027.v1"), id="x-ka.v2")


# --- refusals ----------------------------------------------------------------------


def test_what_is_made_up_cannot_be_adopted():
    study = with_result(angoff_study(FORM, synthetic=True), PUBLISHED)
    with pytest.raises(PublishRefused, match="made up"):
        adopt(study, by="board", at=NOON)


@pytest.mark.parametrize("method", ["Hofstee", "Beuk"])
def test_a_quota_is_never_adopted_and_never_a_cut(method):
    judgements = tuple(Judgement(1, one.id, what, 12.0) for one in PANEL for what in ADVICE[method])
    study = angoff_study(FORM, method=method, judgements=judgements)
    with pytest.raises(PublishRefused, match="a cut comes from a criterion-referenced study"):
        adopt(study, by="board", at=NOON)
    with pytest.raises(InvalidContent, match=f"method: {method} gives advice, not a cut"):
        with_result(study, PUBLISHED)


def test_a_study_without_a_result_or_a_name_is_not_adopted():
    with pytest.raises(PublishRefused, match="no result"):
        adopt(angoff_study(FORM), by="board", at=NOON)
    study = with_result(angoff_study(FORM), PUBLISHED)
    for by, at in ((" ", NOON), ("board", NOON.replace(tzinfo=None))):
        with pytest.raises(PublishRefused, match="names who, and when with a time zone"):
            adopt(study, by=by, at=at)


def test_an_adopted_study_stands():
    study = adopted()
    with pytest.raises(PublishRefused, match="was adopted by board already"):
        adopt(study, by="somebody", at=NOON)
    with pytest.raises(PublishRefused, match="make a new version"):
        with_result(study, PUBLISHED)
    with pytest.raises(InvalidContent, match="edited after its adoption"):
        replace(study, judgements=study.judgements[:96])


def test_only_an_adopted_study_gives_a_cut_in_force():
    with pytest.raises(PublishRefused, match="is not adopted"):
        adopted_cut(with_result(angoff_study(FORM), PUBLISHED), PUBLISHED, id="x-ka.v2")


def test_a_cut_that_no_longer_follows_from_its_study_is_refused():
    easier = ItemParameters(FORM.item_ids, FORM.models, FORM.slopes, FORM.steps - 0.1, FORM.lower, FORM.upper)
    with pytest.raises(PublishRefused, match=r"lead to theta 0\.10.*, adopted was 0\.2"):
        adopted_cut(adopted(), published(easier), id="x-ka.v2")
    with pytest.raises(ScaleMismatch, match="'x/1' and 'x/2'"):
        adopted_cut(adopted(), published(FORM, "x-2026.v1", "x/2"), id="x-ka.v2")


def test_ratings_out_of_range_are_refused_with_the_place():
    judgements = tuple(Judgement(1, one.id, unit, 1.5) for one in PANEL for unit in ("i0.v1", "i23.v1"))
    with pytest.raises(InvalidContent, match=r"x-ka-panel\.v1: judgements: .*unit 'i0\.v1': rating 1\.5 by"):
        with_result(angoff_study(FORM, judgements=judgements), PUBLISHED)


def test_a_judgement_without_a_cut_names_the_study():
    judgements = tuple(Judgement(1, one.id, "i0.v1", 1.0) for one in PANEL)
    with pytest.raises(CutNotFound, match=r"x-ka-panel\.v1: round 1: the judged sum"):
        with_result(angoff_study(FORM, judgements=judgements), PUBLISHED)
