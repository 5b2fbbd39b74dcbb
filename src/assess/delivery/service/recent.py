"""What a process remembers of sessions and of who presents a token, so that an answer reads no row.

Everything here can be dropped at any time: the next request reads the database
again. A session is kept with its version, which rises with every write about
it, and each write carries the version that it rests on. So a memory that is
behind can cost a second reading, never an answer:

* where this process alone writes the database (SQLite), every write passes
  `written` before anybody hears of it, and what is kept afterwards is current;
* where others write too (PostgreSQL), what is remembered serves only to answer
  at once. Whatever would be refused or shown from memory is read again first.

Whom a token stands for is remembered likewise: until a write changes it where
this process alone writes, else for a moment. A learner's token is a column of
the session, so the version proves it too.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from assess.delivery.store.rows import ApiKey, Session, SessionEvent, Writes

if TYPE_CHECKING:
    from assess.delivery.service.context import Scope
    from assess.delivery.service.loading import Loaded

_KEPT_SESSIONS = 4096
_KEPT_SCOPES = 8192


@dataclass(slots=True)
class _Presenter:
    """Whom a token stands for, since when that is known, and when the token of a closed session ends."""

    scope: Scope
    read_at: float
    ends_at: datetime | None


class Recent:
    """Sessions that were just worked on, and the scopes of tokens that were just presented.

    Parameters
    ----------
    seconds : float
        How long a scope may be taken from memory: what a revocation elsewhere may take to arrive.
        Infinite where nobody else writes.
    clock : callable
        Gives the time in UTC.
    """

    def __init__(self, seconds: float, clock: Callable[[], datetime]) -> None:
        self._seconds = seconds
        self._clock = clock
        # The lowest version that may be kept, and the session if it is known at that version.
        self._sessions: OrderedDict[tuple[str, str], tuple[int, Loaded | None]] = OrderedDict()
        self._scopes: OrderedDict[str, _Presenter] = OrderedDict()
        self._tokens: dict[tuple[str, str], str] = {}
        self._scopes_changed = 0.0

    def drop(self) -> None:
        """Forget everything."""
        self._sessions.clear()
        self._drop_scopes()

    # --- sessions ----------------------------------------------------------------

    def session(self, tenant: str, id: str) -> Loaded | None:
        """A session as it was written or read last; None if that is not known."""
        entry = self._sessions.get((tenant, id))
        return None if entry is None else entry[1]

    def keep(self, loaded: Loaded) -> None:
        """Remember an open session, unless something newer was written since it was read."""
        row = loaded.row
        key = (row.tenant, row.id)
        floor = self._sessions.get(key, (0, None))[0]
        if row.version < floor or row.state != "open":
            return
        self._sessions[key] = (row.version, loaded)
        self._sessions.move_to_end(key)
        if len(self._sessions) > _KEPT_SESSIONS:
            self._sessions.popitem(last=False)

    def forget(self, tenant: str, id: str) -> None:
        """Read this session again before it is used."""
        entry = self._sessions.get((tenant, id))
        if entry is not None:
            self._sessions[tenant, id] = (entry[0], None)

    # --- who presents a token ------------------------------------------------------

    def scope(self, digest: str) -> Scope | None:
        """Whom a token stands for, if that may be taken from memory."""
        known = self._scopes.get(digest)
        if known is None or time.monotonic() - known.read_at >= self._seconds or self._ended(known):
            return None
        return known.scope

    def scope_of_session(self, digest: str) -> Scope | None:
        """Whom a learner's token stands for by a session as it is remembered, however long ago that was.

        Only for a write that expects the session's version: whoever takes the token away raises it.
        """
        known = self._scopes.get(digest)
        if known is None or known.scope.session is None or self._ended(known):
            return None
        loaded = self.session(known.scope.tenant, known.scope.session)
        return None if loaded is None or loaded.row.token_sha256 != digest else known.scope

    def _ended(self, known: _Presenter) -> bool:
        return known.ends_at is not None and self._clock() > known.ends_at

    def keep_scope(self, digest: str, scope: Scope, read_at: float, ends_at: datetime | None = None) -> None:
        """Remember whom a token stood for at a time of the monotonic clock, unless that changed since."""
        if read_at <= self._scopes_changed:
            return
        self._scopes[digest] = _Presenter(scope, read_at, ends_at)
        self._scopes.move_to_end(digest)
        if scope.session is not None:
            self._tokens[scope.tenant, scope.session] = digest
        if len(self._scopes) > _KEPT_SCOPES:
            _, gone = self._scopes.popitem(last=False)
            if gone.scope.session is not None:
                self._tokens.pop((gone.scope.tenant, gone.scope.session), None)

    # --- what was written ------------------------------------------------------------

    def written(self, writes: Writes) -> None:
        """Drop what these writes are about, whether they were stored or refused."""
        for change in writes.updates:
            if change.row is Session:
                key = (change.key["tenant"], change.key["id"])
                known = self._sessions.get(key)
                version = int(change.values.get("version", 0))
                self._sessions[key] = (version if known is None else max(known[0], version), None)
                if "token_sha256" in change.values:
                    self._scopes_changed = time.monotonic()
                    self._scopes.pop(self._tokens.pop(key, ""), None)
            elif change.row is ApiKey:
                self._drop_scopes()
        for row in writes.inserts:
            if isinstance(row, SessionEvent):
                self.forget(row.tenant, row.session)
        if writes.deletes and any(removal.row is Session for removal in writes.deletes):
            self.drop()

    def _drop_scopes(self) -> None:
        # A revoked key is rare, and reading a scope again is cheap.
        self._scopes_changed = time.monotonic()
        self._scopes.clear()
        self._tokens.clear()
