"""Who asks, and what a use case works with."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from assess.delivery.service.guessing import Guesses
from assess.delivery.service.remembering import Remembered
from assess.delivery.service.settling import Settling
from assess.delivery.service.turns import Turns
from assess.delivery.settings import Settings
from assess.delivery.store import Store
from assess.errors import Forbidden, NotFound

if TYPE_CHECKING:
    from assess.delivery.receipts import ReceiptSigner
    from assess.delivery.rendering import Renderer
    from assess.delivery.service.admission import Admission
    from assess.delivery.service.catalogue import Catalogue
    from assess.delivery.service.recent import Recent
    from assess.delivery.statements import StatementSigner

SCOPES = ("deliver", "read-status", "attest", "manage")


@dataclass(frozen=True, slots=True)
class Scope:
    """On whose behalf something is done: the first thing every use case and store function asks.

    Parameters
    ----------
    actor : str
        The API key's id, ``learner:<id>`` for a learner token, or a name from the command line.
    rights : frozenset of str
        Of deliver, read-status, attest, manage.
    learner, session : str or None
        With a learner token: the only learner and session that it reaches.
    sandbox : bool
        Sees sandbox data, and nothing else.
    sources : frozenset of str or None
        The sources of facts that the key may speak for; None is any.
    may_proctor : bool
        An API key that may state that a session is proctored.
    token_key : bytes
        From the API key presented; learner tokens of a repeated request are derived from it.
    token_sha256 : str
        Of the learner token presented: it opens its session for as long as that session names it.
    """

    tenant: str
    actor: str
    rights: frozenset[str] = frozenset()
    learner: str | None = None
    session: str | None = None
    sandbox: bool = False
    sources: frozenset[str] | None = None
    may_proctor: bool = False
    token_key: bytes = field(default=b"", repr=False)
    token_sha256: str = field(default="", repr=False)

    def require(self, *rights: str) -> None:
        """Refuse unless the scope has one of the rights.

        Raises
        ------
        Forbidden
            With the rights that would do.
        """
        if not self.rights & set(rights):
            has = ", ".join(sorted(self.rights)) or "none"
            raise Forbidden(f"this needs the scope {' or '.join(rights)}; the key has {has}")

    def is_another(self, person: str | None) -> bool:
        """Whether a name is another person's than the actor's; blanks and capitals make nobody another."""
        named = (person or "").strip().casefold()
        return named not in ("", self.actor.strip().casefold())

    def require_session(self, session: str) -> None:
        """Refuse unless the scope reaches a session: its own learner's, or any with the right to deliver.

        A learner token that names another session learns nothing, not even that the session exists.
        """
        if self.session is not None:
            if self.session != session:
                raise NotFound("session", session)
        else:
            self.require("deliver")


@dataclass(frozen=True, slots=True)
class Services:
    """What every use case works with; built once by `create_app` or `open_services`.

    Parameters
    ----------
    clock : callable
        Gives the time in UTC, for what is stored and compared with what is stored.
    monotonic : callable
        Seconds that only ever rise, for durations inside this process.
    """

    store: Store
    catalogue: Catalogue
    recent: Recent
    admission: Admission
    receipts: ReceiptSigner
    statements: StatementSigner
    renderer: Renderer
    settings: Settings
    clock: Callable[[], datetime]
    monotonic: Callable[[], float] = time.monotonic
    guesses: Guesses = field(default_factory=Guesses)
    # An invigilator's code is short: 5 wrong ones for a learner, 200 for a tenant, all back in ten minutes.
    invigilators: Guesses = field(default_factory=lambda: Guesses(5, 120.0, 200, 3.0))
    turns: Turns = field(default_factory=Turns)
    remembered: Remembered = field(default_factory=Remembered)
    settling: Settling = field(default_factory=Settling)

    def instant(self, arrived: float | None) -> datetime:
        """The time in UTC at which a request came, by the monotonic clock; now where that is not known."""
        now = self.clock()
        return now if arrived is None else now - timedelta(seconds=self.monotonic() - arrived)
