"""Invigilators' codes: who enters one at the start sits under supervision, and the decision says so.

A code is made for a course and a window of time, given out in the room, and
stored as a slow hash only. It is short, because people type it, so the number
of wrong ones is limited.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any

from assess.delivery import schemas
from assess.delivery.security import new_id
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.windows import in_utc
from assess.delivery.store import Writes, sitting
from assess.delivery.store.rows import Update
from assess.delivery.store.rows_sitting import InvigilatorCode
from assess.errors import Forbidden, InvalidRequest, LessSupervised, NotFound
from assess.session import ASSURANCES

# No letter or digit that is read for another one; 10 of 30 are 49 bits.
_LETTERS = "ABCDEFGHJKMNPQRSTVWXYZ23456789"
_LENGTH = 10
LONGEST_WINDOW = timedelta(days=7)


def _plain(code: str) -> str:
    return "".join(letter for letter in code.upper() if letter.isalnum())


def _hash(tenant: str, code: str) -> str:
    salt = f"assess invigilator {tenant}".encode()
    return hashlib.scrypt(_plain(code).encode(), salt=salt, n=2**13, r=8, p=1, dklen=32).hex()


async def create(
    services: Services,
    scope: Scope,
    *,
    course: str,
    from_at: datetime,
    to_at: datetime,
    cohort: str | None = None,
) -> schemas.NewInvigilatorCode:
    """`POST /v1/invigilator-codes`: a code for a course and a window; it is told once.

    Raises
    ------
    InvalidRequest
        A window without a zone, that ends before it begins, is over, or is longer than a week.
    NotFound, Forbidden
    """
    scope.require("manage")
    (await services.catalogue.shelf(scope.tenant)).course(course)
    for name, instant in (("from", from_at), ("to", to_at)):
        in_utc(instant, path=name)
    now = services.clock()
    if to_at <= from_at or to_at <= now:
        raise InvalidRequest("the window must end after it begins, and after now", path="to")
    if to_at - from_at > LONGEST_WINDOW:
        raise InvalidRequest("a code is good for a week at most; make one for each sitting", path="to")
    code = "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
    row = InvigilatorCode(
        tenant=scope.tenant,
        id=new_id("inv"),
        code_hash=await asyncio.to_thread(_hash, scope.tenant, code),
        course=course,
        cohort=cohort,
        from_at=from_at,
        to_at=to_at,
        by=scope.actor,
        created_at=now,
        revoked_at=None,
        sandbox=scope.sandbox,
    )
    await services.store.commit(Writes(scope.tenant, inserts=(row,)))
    return schemas.NewInvigilatorCode(code=f"{code[:5]}-{code[5:]}", **_fields(row))


async def listing(services: Services, scope: Scope) -> schemas.Page[schemas.InvigilatorCode]:
    """`GET /v1/invigilator-codes`: the codes of the tenant, without the codes themselves."""
    scope.require("manage")
    rows = await services.store.read(sitting.invigilator_codes, scope.tenant, sandbox=scope.sandbox)
    return schemas.Page(items=[schemas.InvigilatorCode(**_fields(row)) for row in rows])


async def revoke(services: Services, scope: Scope, id: str) -> schemas.InvigilatorCode:
    """`POST /v1/invigilator-codes/{id}/revoke`: end a code; who began with it stays supervised."""
    scope.require("manage")
    rows = await services.store.read(sitting.invigilator_codes, scope.tenant, sandbox=scope.sandbox)
    row = next((row for row in rows if row.id == id), None)
    if row is None:
        raise NotFound("invigilator_code", id)
    fields = _fields(row)
    if row.revoked_at is None:
        fields["revoked_at"] = services.clock()
        key = {"tenant": scope.tenant, "id": id}
        update = Update(InvigilatorCode, key, {"revoked_at": fields["revoked_at"]})
        await services.store.commit(Writes(scope.tenant, (update,)))
    return schemas.InvigilatorCode(**fields)


def _fields(row: InvigilatorCode) -> dict[str, Any]:
    return {
        "id": row.id,
        "course": row.course,
        "cohort": row.cohort,
        "from_": row.from_at,
        "to": row.to_at,
        "by": row.by,
        "created_at": row.created_at,
        "revoked_at": row.revoked_at,
    }


async def assurance(
    services: Services,
    scope: Scope,
    *,
    learner: str,
    course: str,
    code: str | None,
    stated: str | None,
) -> str:
    """Under which supervision a session begins.

    Parameters
    ----------
    code : str, optional
        The invigilator's code that the learner entered.
    stated : str, optional
        What the caller states; only a key that may proctor states more than the code shows.

    Raises
    ------
    InvalidRequest
        The code is wrong, over, revoked, or for another course; or supervised is stated without one.
    Forbidden
        The key may not state that a session is proctored.
    RateLimited
        Too many wrong codes.
    """
    if stated == "proctored":
        if not scope.may_proctor:
            raise Forbidden(
                "only a key that was made with --may-proctor may state this", code="role_not_allowed"
            )
        return "proctored"
    if code is None:
        if stated == "supervised":
            raise InvalidRequest("a supervised session begins with the invigilator's code", path="code")
        return "unsupervised"
    at = services.clock()
    services.invigilators.require(learner, at, scope.tenant)
    hashed = await asyncio.to_thread(_hash, scope.tenant, code)
    row = await services.store.read(sitting.invigilator_code, scope.tenant, hashed)
    if (
        row is None
        or row.sandbox != scope.sandbox
        or row.revoked_at is not None
        or row.course != course
        or not row.from_at <= at < row.to_at
    ):
        # One sentence for all: whoever guesses learns nothing of how near the guess was.
        services.invigilators.wrong(learner, at, scope.tenant)
        raise InvalidRequest("this code opens nothing here and now; ask the invigilator", path="code")
    return "supervised"


def require_as_before(began: str, assured: str) -> None:
    """Refuse to go on with a session under less supervision than its record claims for all of it.

    Raises
    ------
    LessSupervised

    Examples
    --------
    >>> require_as_before("supervised", "proctored")
    """
    if ASSURANCES.index(assured) < ASSURANCES.index(began):
        way = "enter the invigilator's code" if began == "supervised" else "a key that may proctor states it"
        raise LessSupervised(f"this session began {began}; it goes on only under as much supervision: {way}")
