"""From what a panel judged to a cut on the scale of theta, and to a study that can be adopted.

Four methods ask what the just-proficient learner can do, and give a cut:
modified Angoff, Bookmark, contrasting groups, borderline group. Two ask how
many may fail, Hofstee and Beuk; they give advice, which no function here turns
into a cut. A `Study` keeps the panel, its judgements and the result together.
"""

from assess.standard_setting.adoption import adopt, adopted_cut, estimates_by_round, with_result
from assess.standard_setting.advice import Advice, advise, beuk, hofstee
from assess.standard_setting.angoff import (
    AngoffResult,
    VarianceComponents,
    angoff,
    cut_from_ratings,
    variance_components,
)
from assess.standard_setting.bookmark import bookmark, ordered_booklet
from assess.standard_setting.estimates import CutEstimate, StandardError
from assess.standard_setting.groups import borderline_group, contrasting_groups
from assess.standard_setting.impact import impact
from assess.standard_setting.reading import judgements_from_frame, read_study, scores_from_frame
from assess.standard_setting.study import (
    ADVICE,
    Adoption,
    Judgement,
    LearnerScores,
    Panelist,
    Study,
    StudyOptions,
    StudyResult,
)

__all__ = [
    "ADVICE",
    "Adoption",
    "Advice",
    "AngoffResult",
    "CutEstimate",
    "Judgement",
    "LearnerScores",
    "Panelist",
    "StandardError",
    "Study",
    "StudyOptions",
    "StudyResult",
    "VarianceComponents",
    "adopt",
    "adopted_cut",
    "advise",
    "angoff",
    "beuk",
    "bookmark",
    "borderline_group",
    "contrasting_groups",
    "cut_from_ratings",
    "estimates_by_round",
    "hofstee",
    "impact",
    "judgements_from_frame",
    "ordered_booklet",
    "read_study",
    "scores_from_frame",
    "variance_components",
    "with_result",
]
