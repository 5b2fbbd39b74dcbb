"""API keys: made once, shown once, stored as a hash; and who a bearer token is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from assess.delivery.security import (
    LIVE_PREFIX,
    TEST_PREFIX,
    TOKEN_PREFIX,
    digest,
    new_api_key,
    new_id,
    token_key,
)
from assess.delivery.service.context import SCOPES, Scope, Services
from assess.delivery.service.loading import OPENS_NOTHING
from assess.delivery.store import Writes, reading
from assess.delivery.store.rows import ApiKey, Session, Update
from assess.errors import InvalidRequest, NotFound, Unauthenticated


async def create(
    services: Services,
    scope: Scope,
    *,
    name: str,
    scopes: Sequence[str],
    sandbox: bool = False,
    sources: Sequence[str] | None = None,
    may_proctor: bool = False,
) -> tuple[ApiKey, str]:
    """A new API key of the scope's tenant: its row, and the secret that is never shown again.

    Parameters
    ----------
    scopes : sequence of str
        Of deliver, read-status, attest, manage.
    sandbox : bool
        A test key: it sees sandbox data and nothing else.
    sources : sequence of str, optional
        The sources of facts that it may speak for, as ``lms``, or as ``lms=attended,points`` for
        these types only; any when left out.
    may_proctor : bool
        It may state that a session is proctored; that takes the scope deliver too.
    """
    scope.require("manage")
    unknown = [right for right in scopes if right not in SCOPES]
    if unknown or not scopes:
        raise InvalidRequest(
            f"{unknown or 'nothing'} is no scope; take some of {', '.join(SCOPES)}", path="scopes"
        )
    if may_proctor and "deliver" not in scopes:
        raise InvalidRequest("a key that may proctor begins sessions: add the scope deliver", path="scopes")
    for source in sources or ():
        name, sign, types = source.partition("=")
        if not name or (sign and not all(types.split(","))):
            raise InvalidRequest(
                f"{source!r} is no source; write lms, or lms=attended,points for some types of facts only",
                path="sources",
            )
    secret = new_api_key(sandbox=sandbox)
    row = ApiKey(
        tenant=scope.tenant,
        id=new_id("key"),
        name=name,
        secret_sha256=digest(secret),
        scopes=sorted(set(scopes)),
        sources=None if sources is None else sorted(set(sources)),
        sandbox=sandbox,
        created_at=services.clock(),
        may_proctor=may_proctor,
    )
    await services.store.commit(Writes(scope.tenant, inserts=(row,)))
    return row, secret


async def revoke(services: Services, scope: Scope, id: str) -> None:
    """End a key; what it did stays."""
    scope.require("manage")
    known = await services.store.read(reading.api_key_by_id, scope.tenant, id)
    if known is None:
        raise NotFound("key", id)
    if known.revoked_at is None:
        update = Update(ApiKey, {"tenant": scope.tenant, "id": id}, {"revoked_at": services.clock()})
        await services.store.commit(Writes(scope.tenant, (update,)))


async def listing(services: Services, scope: Scope) -> list[ApiKey]:
    """The keys of the scope's tenant, without their secrets."""
    scope.require("manage")
    return await services.store.read(reading.api_keys, scope.tenant)


async def authenticate(services: Services, bearer: str | None) -> Scope:
    """Who presents a bearer token: an API key, or a learner with the token of a session.

    Raises
    ------
    Unauthenticated
        Missing, unknown, revoked, or of a session that closed long ago.
    """
    if not bearer:
        raise Unauthenticated("send `Authorization: Bearer <key or token>`", code="credentials_missing")
    presented, read_at = digest(bearer), time.monotonic()
    scope = services.recent.scope(presented)
    if scope is None:
        scope, ends_at = await _read_scope(services, bearer, presented)
        services.recent.keep_scope(presented, scope, read_at, ends_at)
    return scope


def at_once(services: Services, bearer: str | None) -> Scope | None:
    """The learner who presents the token of a session, as this process remembers it.

    For an answer, whose write expects the version of that session; if it fails, the session is read
    again, and says itself whether this is still its token.
    """
    return services.recent.scope_of_session(digest(bearer)) if bearer else None


async def _read_scope(services: Services, bearer: str, presented: str) -> tuple[Scope, datetime | None]:
    """Whom a token stands for, and until when it may at the most."""
    if bearer.startswith((LIVE_PREFIX, TEST_PREFIX)):
        key = await services.store.read(reading.api_key, presented)
        if key is None:
            raise Unauthenticated("no such API key")
        if key.revoked_at is not None:
            raise Unauthenticated("this API key was revoked", code="credentials_expired")
        scope = Scope(
            tenant=key.tenant,
            actor=key.id,
            rights=frozenset(key.scopes),
            sandbox=key.sandbox,
            sources=None if key.sources is None else frozenset(key.sources),
            may_proctor=key.may_proctor,
            token_key=token_key(bearer),
        )
        return scope, None
    session = None
    if bearer.startswith(TOKEN_PREFIX):
        session = await services.store.read(reading.session_by_token, presented)
    if session is None:
        raise Unauthenticated(OPENS_NOTHING)
    scope, ends_at = _of_learner(services, session, presented)
    if services.clock() > ends_at:
        raise Unauthenticated(
            "this session closed long ago, and its token with it", code="credentials_expired"
        )
    return scope, ends_at


def _of_learner(services: Services, session: Session, token_sha256: str) -> tuple[Scope, datetime]:
    scope = Scope(
        tenant=session.tenant,
        actor=f"learner:{session.learner}",
        learner=session.learner,
        session=session.id,
        sandbox=session.sandbox,
        token_sha256=token_sha256,
    )
    return scope, session.closes_at + timedelta(days=services.settings.token_days)


def given(services: Services, session: Session, token_sha256: str) -> None:
    """Remember the token that a learner was just given, so that the first answer under it reads nothing."""
    scope, ends_at = _of_learner(services, session, token_sha256)
    services.recent.keep_scope(token_sha256, scope, time.monotonic(), ends_at)


def local(tenant: str, actor: str, *, sandbox: bool = False) -> Scope:
    """The scope of somebody at this machine's command line: every right."""
    return Scope(tenant, actor, frozenset(SCOPES), sandbox=sandbox)
