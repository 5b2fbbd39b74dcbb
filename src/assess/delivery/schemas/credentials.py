"""An eligibility as a badge that others can verify."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from assess.delivery.schemas.base import Reply


class OpenBadge(Reply, frozen=True):
    """`GET /v1/learners/{learner}/badges/{badge}/credential`.

    `credential` is an Open Badges 3.0 credential as a compact VC-JWT, `assertion` the same for version 2.0.
    """

    id: str
    learner: str
    badge: str
    sandbox: bool
    issued_at: datetime
    valid_until: datetime | None
    credential: str
    status_list: str
    assertion: dict[str, Any]
