"""The engine: a session is the fold of its start record, offers and responses over a release."""

from assess.session.engine import (
    Step,
    answer,
    is_complete,
    start,
    step,
    with_ending,
    with_offer,
    with_response,
)
from assess.session.outcome import Objective, Outcome, ReportedScore, outcome
from assess.session.release import Course, Release, Unit, count_items
from assess.session.rescoring import require_rescorable, rescore, rescored
from assess.session.state import (
    Ending,
    Offer,
    Response,
    SessionState,
    StartRecord,
    TimeGrant,
    answer_digest,
    chance,
    fold,
)

__all__ = [
    "Course",
    "Ending",
    "Objective",
    "Offer",
    "Outcome",
    "Release",
    "ReportedScore",
    "Response",
    "SessionState",
    "StartRecord",
    "Step",
    "TimeGrant",
    "Unit",
    "answer",
    "answer_digest",
    "chance",
    "count_items",
    "fold",
    "is_complete",
    "outcome",
    "require_rescorable",
    "rescore",
    "rescored",
    "start",
    "step",
    "with_ending",
    "with_offer",
    "with_response",
]
