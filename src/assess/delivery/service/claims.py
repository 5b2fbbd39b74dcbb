"""Claims: a learner who meets a rule goes to the platform with a token, and the platform redeems it.

The token is signed, good for ten minutes and for one use. It says nothing
about the learner but who it is; whether the rule is met is answered when it is
redeemed. `claimed` is what the platform then attests by a fact `award`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode, urlsplit

from assess.delivery import schemas
from assess.delivery.security import new_id
from assess.delivery.service import learners
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.eligibility import with_statement
from assess.delivery.service.judging import badge_at
from assess.delivery.service.standing import Moment
from assess.delivery.statements import PURPOSE
from assess.delivery.store import Writes, reading, reading_badges
from assess.delivery.store.rows import Update
from assess.delivery.store.rows_badges import ClaimRow
from assess.errors import ClaimExpired, ClaimInvalid, ClaimUsed, NotEligible, NotFound, StaleSession

LASTS = timedelta(minutes=10)
KIND = "assess-claim+jwt"


@dataclass(frozen=True, slots=True)
class Begun:
    """Where the learner goes on, with the token; the host by its name; until when."""

    address: str
    host: str
    expires_at: datetime


async def begin(services: Services, scope: Scope, *, badge: str) -> Begun:
    """A token with which the scope's own learner claims a badge.

    Raises
    ------
    NotFound
        The badge.
    NotEligible
        The rule is not met, the badge is claimed already, or there is nowhere to claim it.
    """
    if scope.learner is None:
        raise NotFound("learner", "")
    records = await learners.records(services, scope, scope.learner)
    shelf = await services.catalogue.shelf(scope.tenant)
    now = services.clock()
    award = badge_at(records, shelf, badge, Moment.at(now)).award
    if award.claim_url is None:
        raise NotEligible(f"badge {badge} is {award.state} for this learner and cannot be claimed now")
    row = ClaimRow(
        tenant=scope.tenant,
        id=new_id("clm"),
        learner=records.learner.id,
        badge=badge,
        audience=award.claim_url,
        issued_at=now,
        expires_at=now + LASTS,
        sandbox=records.learner.sandbox,
    )
    await services.store.commit(Writes(scope.tenant, inserts=(row,)))
    claims = {
        "iss": services.settings.public_url or "assess",
        "aud": award.claim_url,
        "sub": row.learner,
        "badge": badge,
        "jti": row.id,
        "iat": int(now.timestamp()),
        "exp": int(row.expires_at.timestamp()),
        "sandbox": row.sandbox,
    }
    token = services.statements.jws(claims, kind=KIND)
    joined = "&" if urlsplit(award.claim_url).query else "?"
    address = f"{award.claim_url}{joined}{urlencode({'token': token})}"
    return Begun(address, urlsplit(award.claim_url).netloc, row.expires_at)


async def redeem(services: Services, scope: Scope, *, token: str) -> schemas.Redeemed:
    """`POST /v1/claims/redeem`: who came, for which badge, and the eligibility at this moment.

    Raises
    ------
    ClaimInvalid
        Not signed here, altered, of another tenant, or of the other of live data and sandbox.
    ClaimExpired
        Later than ten minutes after the learner pressed the button.
    ClaimUsed
        Redeemed before, by whomever.
    NotEligible
        The rule is not met any more; the token stays unused.
    """
    scope.require("read-status")
    claims = await _read(services, token)
    row = None
    if claims is not None:
        row = await services.store.read(reading_badges.claim, scope.tenant, str(claims.get("jti")))
    if row is None or row.sandbox != scope.sandbox:
        raise ClaimInvalid("this token was not made here, or not for this key")
    if row.redeemed_at is not None:
        raise ClaimUsed("this token was redeemed before; the learner presses the button again")
    now = services.clock()
    if now >= row.expires_at:
        raise ClaimExpired("this token is older than ten minutes; the learner presses the button again")
    records = await learners.records(services, scope, row.learner)
    shelf = await services.catalogue.shelf(scope.tenant)
    body = badge_at(records, shelf, row.badge, Moment.at(now))
    if body.status != "eligible":
        raise NotEligible(f"the rule of {row.badge} is not met any more: {body.sentence}")
    update = Update(
        ClaimRow,
        {"tenant": row.tenant, "id": row.id},
        {"redeemed_at": now, "redeemed_by": scope.actor},
        {"redeemed_at": None},
    )
    try:
        await services.store.commit(Writes(scope.tenant, (update,)))
    except StaleSession:
        raise ClaimUsed("this token was redeemed at this very moment") from None
    return schemas.Redeemed(
        claim=row.id,
        learner=records.learner.id,
        badge=row.badge,
        redeemed_at=now,
        eligibility=with_statement(services, body, now),
    )


async def _read(services: Services, token: str) -> dict[str, object] | None:
    found = services.statements.read(token, kind=KIND)
    if found is None:
        # Another process may have made a key since this one began.
        services.statements.learn(await services.store.read(reading.signing_keys, PURPOSE))
        found = services.statements.read(token, kind=KIND)
    return found
