"""Signing in: a one-time code from a printed sheet becomes a learner's cookie.

A code has 80 random bits and is stored as a hash. It is good once, until its
last day or until a newer one is made for the learner. A code that is unknown,
used, replaced or too old gets the same answer, by the same way through here.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from assess.delivery import schemas
from assess.delivery.security import SIGN_IN_PREFIX, digest, new_id, new_sign_in_token
from assess.delivery.service import cohorts, learners
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.loading import again
from assess.delivery.store import Writes, reading, reading_people
from assess.delivery.store.rows import Update
from assess.delivery.store.rows_people import SignIn, SignInCode
from assess.errors import InvalidRequest, StaleSession, Unauthenticated

# Digits, and letters that no digit looks like (Crockford's base 32): 5 bits a sign.
_SIGNS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS = str.maketrans({"O": "0", "I": "1", "L": "1"})
_LENGTH, _GROUP = 16, 4
LONGEST_DAYS = 366
LARGEST = 1000


def new_code() -> str:
    """A code of 80 random bits, in groups that can be read aloud.

    Examples
    --------
    >>> len(new_code())
    19
    """
    signs = "".join(secrets.choice(_SIGNS) for _ in range(_LENGTH))
    return "-".join(signs[n : n + _GROUP] for n in range(0, _LENGTH, _GROUP))


def code_digest(tenant: str, code: str) -> str:
    """The stored form of a code, however it was typed. Its 80 random bits make a slow hash needless.

    Examples
    --------
    >>> code_digest("t", "0123-ABCD-1111-0000") == code_digest("t", " ol23abcd iIlL oO00")
    True
    >>> code_digest("t", "0123-ABCD-1111-0000") == code_digest("u", "0123-ABCD-1111-0000")
    False
    """
    typed = "".join(sign for sign in code.upper() if sign.isalnum()).translate(_READ_AS)
    return hashlib.sha256(f"assess sign-in code\n{tenant}\n{typed}".encode()).hexdigest()


# --- codes -----------------------------------------------------------------------


async def make_codes(
    services: Services, scope: Scope, cohort: str, body: schemas.MakeCodes
) -> schemas.Page[schemas.CodeReply]:
    """`POST /v1/cohorts/{id}/codes`: a fresh code for each learner; the codes they had for the cohort end.

    Raises
    ------
    NotFound
        The cohort.
    InvalidRequest
        Too long a time, too many at once, or a learner who is not in the cohort.
    """
    scope.require("manage")
    if not 1 <= body.days <= LONGEST_DAYS:
        raise InvalidRequest(f"a code is good for 1 to {LONGEST_DAYS} days", path="days")
    if not 1 <= body.limit <= LARGEST or len(body.learners or ()) > LARGEST:
        raise InvalidRequest(f"ask for 1 to {LARGEST} codes at once", path="limit")
    return await again(lambda: _make_codes(services, scope, cohort, body))


async def _make_codes(
    services: Services, scope: Scope, cohort: str, body: schemas.MakeCodes
) -> schemas.Page[schemas.CodeReply]:
    await cohorts.require(services, scope, cohort)
    next_page = None
    if body.learners is None:
        found = await cohorts.members(services, scope, cohort, after=body.after, limit=body.limit)
        wanted, next_page = [learner.id for learner in found.items], found.next
    else:
        wanted = sorted(set(body.learners))
        known = await services.store.read(
            reading_people.known, scope.tenant, learners=wanted, external={}, cohorts=[cohort]
        )
        strangers = [learner for learner in wanted if (cohort, learner) not in known.members]
        if strangers:
            raise InvalidRequest(f"{', '.join(strangers[:5])}: not in cohort {cohort!r}", path="learners")
    now = services.clock()
    live = await services.store.read(reading_people.live_codes, scope.tenant, wanted)
    rows = await services.store.read(reading_people.learners_by_id, scope.tenant, wanted)
    until = now + timedelta(days=body.days)
    codes = {row.id: new_code() for row in rows if row.erased_at is None}
    replaced = tuple(
        _ended(code, now, by=scope.actor) for code in live if code.cohort == cohort and code.learner in codes
    )
    fresh = tuple(
        SignInCode(scope.tenant, code_digest(scope.tenant, code), learner, cohort, now, scope.actor, until)
        for learner, code in codes.items()
    )
    await services.store.commit(Writes(scope.tenant, replaced, inserts=fresh))
    items = [
        schemas.CodeReply(
            learner=learner,
            code=code,
            url=f"{services.settings.public_url}/sign-in?code={code}",
            expires_at=until,
        )
        for learner, code in codes.items()
    ]
    return schemas.Page(items=items, next=next_page)


def _ended(code: SignInCode, now: object, *, by: str) -> Update:
    key = {"tenant": code.tenant, "code_sha256": code.code_sha256}
    return Update(SignInCode, key, {"ended_at": now, "ended_by": by}, {"ended_at": None})


# --- in and out ------------------------------------------------------------------


async def sign_in(services: Services, tenant: str, code: str, *, address: str) -> tuple[str, str]:
    """The token of a new sign-in, and its learner; the code is used up.

    Parameters
    ----------
    address : str
        Where the request comes from, for the limit on wrong codes.

    Raises
    ------
    RateLimited
        Too many wrong codes; said before the code is looked at.
    Unauthenticated
        The code opens nothing: in the same words whatever the reason.
    """
    now = services.clock()
    services.guesses.require(address, now)
    found = await services.store.read(reading_people.sign_in_code, tenant, code_digest(tenant, code))
    if found is not None and found.ended_at is None and now <= found.expires_at:
        learner = await services.store.read(reading.learner, tenant, found.learner)
        if learner is not None and learner.erased_at is None:
            token = new_sign_in_token()
            until = now + timedelta(days=services.settings.token_days)
            row = SignIn(tenant, new_id("sgn"), learner.id, found.cohort, digest(token), now, until)
            used = _ended(found, now, by=f"learner:{learner.id}")
            try:
                await services.store.commit(Writes(tenant, (used,), inserts=(row,)))
            except StaleSession:
                pass  # used a moment before, by whoever was faster
            else:
                return token, learner.id
    services.guesses.wrong(address, now)
    raise Unauthenticated("this code opens nothing: it is mistyped, was used, or is too old")


async def signed_in(services: Services, tenant: str, token: str) -> Scope | None:
    """The scope of a learner who signed in; None for a token that opens nothing any more."""
    if not token.startswith(SIGN_IN_PREFIX):
        return None
    found = await services.store.read(reading_people.sign_in, tenant, digest(token))
    if found is None or found.ended_at is not None or services.clock() > found.expires_at:
        return None
    learner = await services.store.read(reading.learner, tenant, found.learner)
    if learner is None or learner.erased_at is not None:
        return None
    return learners.own_scope(tenant, found.learner, sandbox=learner.sandbox)


async def sign_out(services: Services, tenant: str, token: str) -> None:
    """End a sign-in; a second time changes nothing."""
    found = await services.store.read(reading_people.sign_in, tenant, digest(token))
    if found is not None and found.ended_at is None:
        end = Update(SignIn, {"tenant": tenant, "id": found.id}, {"ended_at": services.clock()})
        await services.store.commit(Writes(tenant, (end,)))
