"""What a supervised confirmation says of an earlier score, and the review that an inconsistent one opens."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from assess.delivery.schemas.base import Reply

Consistency = Literal["consistent", "inconsistent", "undecided"]


class Review(Reply, frozen=True):
    """That people look at a decision because a confirmation does not fit it; `id` is that of the appeal."""

    id: str
    state: Literal["open", "upheld", "rejected", "withdrawn"]
    due_at: datetime
    closed_at: datetime | None


class Confirmation(Reply, frozen=True):
    """What a supervised confirmation says of a decision. It changes none: it stands beside it.

    `of` is the decision that was confirmed, `decision` and `record_sha256` the record of the
    confirmation. At most `alpha` of scores that hold are found inconsistent, at most `beta` of those
    that are too high by `loss` (in theta) are found consistent.
    """

    outcome: Consistency
    of: str
    session: str
    decision: str
    record_sha256: str
    form: str
    assurance: str
    confirmed_at: datetime
    loss: float
    alpha: float
    beta: float
    review: Review | None
