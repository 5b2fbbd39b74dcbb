"""Claims: a learner goes to a platform to take a badge, and the platform redeems that."""

from __future__ import annotations

from datetime import datetime

from assess.delivery.schemas.badges import BadgeEligibility
from assess.delivery.schemas.base import Body, Reply


class RedeemClaim(Body, frozen=True):
    """`POST /v1/claims/redeem`: the token with which the learner came."""

    token: str


class Redeemed(Reply, frozen=True):
    """Who came for which badge, and the eligibility at this moment, signed."""

    claim: str
    learner: str
    badge: str
    redeemed_at: datetime
    eligibility: BadgeEligibility
