"""What a process remembers of sessions and of who presents a token, so that an answer reads no row.

Everything here can be dropped at any time: the next request reads the database
again. A session is kept with its version, which rises with every write about
it, and each write carries the version that it rests on. So a memory that is
behind can cost a second reading, never an answer:

* where this process alone writes the database (SQLite), every write passes
  `written` before anybody hears of it, and what is kept afterwards is current;
* where others write too (PostgreSQL), what is remembered serves only to answer
  at once. Whatever would be refused or shown from memory is read again first.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from assess.delivery.store.rows import ApiKey, Session, SessionEvent, Writes

if TYPE_CHECKING:
    from assess.delivery.service.context import Scope
    from assess.delivery.service.loading import Loaded

_KEPT_SESSIONS = 4096
_KEPT_SCOPES = 8192


class Recent:
    """Sessions that were just worked on, and the scopes of tokens that were just presented.

    Parameters
    ----------
    seconds : float
        How long a scope may be taken from memory: what a revocation elsewhere may take to arrive.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        # The lowest version that may be kept, and the session if it is known at that version.
        self._sessions: OrderedDict[tuple[str, str], tuple[int, Loaded | None]] = OrderedDict()
        self._scopes: OrderedDict[str, tuple[Scope, float]] = OrderedDict()

    def drop(self) -> None:
        """Forget everything."""
        self._sessions.clear()
        self._scopes.clear()

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
        """Whom a token stands for, if that was read a moment ago."""
        entry = self._scopes.get(digest)
        if entry is None or time.monotonic() - entry[1] >= self._seconds:
            return None
        return entry[0]

    def keep_scope(self, digest: str, scope: Scope, read_at: float) -> None:
        """Remember whom a token stood for at a time of the monotonic clock."""
        self._scopes[digest] = (scope, read_at)
        self._scopes.move_to_end(digest)
        if len(self._scopes) > _KEPT_SCOPES:
            self._scopes.popitem(last=False)

    # --- what was written ------------------------------------------------------------

    def written(self, writes: Writes) -> None:
        """Drop what these writes are about, whether they were stored or refused."""
        for change in writes.updates:
            if change.row is Session:
                key = (change.key["tenant"], change.key["id"])
                floor = self._sessions.get(key, (0, None))[0]
                self._sessions[key] = (max(floor, int(change.values.get("version", 0))), None)
                if "token_sha256" in change.values:
                    self._drop_scopes()
            elif change.row is ApiKey:
                self._drop_scopes()
        for row in writes.inserts:
            if isinstance(row, SessionEvent):
                self.forget(row.tenant, row.session)

    def _drop_scopes(self) -> None:
        # A new token or a revoked key is rare, and reading a scope again is cheap.
        self._scopes.clear()
