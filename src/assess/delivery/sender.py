"""Telling webhooks what changed: at least once, in order for each learner, until it is taken or given up.

Each webhook is served by itself, so that a slow one holds up no other; for one
webhook a handful of messages about different learners are under way at a time,
so that one that is stuck holds up no other learner's. What is not taken is
tried again on the schedule that Standard Webhooks publishes, and then given up
in plain sight.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from dataclasses import dataclass, field
from datetime import timedelta

from assess.delivery.jobs import turns
from assess.delivery.posting import SECONDS, Answer, Poster
from assess.delivery.security import new_id
from assess.delivery.service import Services, webhooks
from assess.delivery.store import Writes, reading, reading_webhooks
from assess.delivery.store.rows import Claim, Outgoing, Update
from assess.delivery.store.rows_webhooks import Webhook
from assess.errors import StaleSession

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=2 * SECONDS)
SCHEDULE = tuple(
    timedelta(seconds=seconds)
    for seconds in (0, 5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
)
"""How long after the one before an attempt is made."""
_AT_ONCE = 8
_FREE: dict[str, object] = {"leased_until": None, "lease": None}


def wait_after(attempts: int, entry: str) -> timedelta | None:
    """How long what failed so often is put off; None when it is given up.

    Up to a tenth more, different for every entry, so that a receiver that comes back is not overrun.

    Examples
    --------
    >>> wait_after(2, "msg") // timedelta(minutes=1), wait_after(10, "msg")
    (5, None)
    """
    if attempts >= len(SCHEDULE):
        return None
    spread = hashlib.sha256(f"{entry} {attempts}".encode()).digest()[0] / 2560
    return SCHEDULE[attempts] * (1 + spread)


@dataclass
class Sender:
    """Sends what the outbox holds.

    Parameters
    ----------
    poster : Poster, optional
        How a message is sent; by default to addresses that the settings allow.
    """

    services: Services
    poster: Poster | None = None
    _serving: dict[tuple[str, str], asyncio.Task[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.poster is None:
            self.poster = Poster(self.services.settings.webhook_networks)

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Send until `stop` is set, or for ever; a fault is logged and does not end it."""
        try:
            await turns(stop, self.services.settings.work_seconds, self.prepare, self._begin, "sending")
        finally:
            for task in self._serving.values():
                task.cancel()
            await asyncio.gather(*self._serving.values(), return_exceptions=True)

    async def prepare(self) -> None:
        """Free what a sender of before held when it was killed, where nobody else can be sending."""
        if not self.services.store.exclusive:
            return
        for entry in await self.services.store.read(reading_webhooks.leased):
            await self._end(entry, _FREE)

    async def work(self) -> int:
        """Make every attempt that is due; how many there were."""
        n_done = 0
        while listening := await self.services.store.read(reading_webhooks.listening, self.services.clock()):
            n_done += sum(await asyncio.gather(*(self._serve(*key) for key in listening)))
        return n_done

    async def _begin(self) -> None:
        """Serve every webhook that something is due for and that is not served already."""
        for key, task in list(self._serving.items()):
            if task.done():
                del self._serving[key]
                if task.exception() is not None:
                    log.error("webhook %s: sending was interrupted", key[1], exc_info=task.exception())
        for key in await self.services.store.read(reading_webhooks.listening, self.services.clock()):
            if key not in self._serving:
                self._serving[key] = asyncio.create_task(self._serve(*key))

    async def _serve(self, tenant: str, webhook: str) -> int:
        """Send to one webhook until nothing is due; how many attempts were made."""
        under_way: set[asyncio.Task[None]] = set()
        n_done = 0
        try:
            while True:
                claimed = await self._claim(tenant, webhook, _AT_ONCE - len(under_way))
                under_way |= {asyncio.create_task(self._deliver(entry)) for entry in claimed}
                if not under_way:
                    return n_done
                # What becomes due while one is stuck is not to wait for it.
                done, under_way = await asyncio.wait(
                    under_way, timeout=0.5, return_when=asyncio.FIRST_COMPLETED
                )
                n_done += len(done)
                for task in done:
                    task.result()
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _claim(self, tenant: str, webhook: str, limit: int) -> tuple[Outgoing, ...]:
        if limit <= 0:
            return ()
        now = self.services.clock()
        wanted = Claim(Outgoing, new_id("lease"), now, now + LEASE, limit, webhook=webhook)
        committed = await self.services.store.commit(Writes(tenant, claim=wanted))
        return tuple(entry for entry in committed.claimed if isinstance(entry, Outgoing))

    # --- one attempt -----------------------------------------------------------

    async def _deliver(self, entry: Outgoing) -> None:
        store = self.services.store
        webhook = await store.read(reading_webhooks.webhook, entry.tenant, entry.webhook)
        if webhook is None or webhook.disabled_at is not None:
            await self._end(entry, {**_FREE, "attempts": entry.attempts - 1})
            return
        if entry.attempts > len(SCHEDULE):
            answer = Answer(error="every sender that claimed it ended before it was answered")
        else:
            change = await store.read(reading.change, entry.tenant, entry.sequence)
            assert change is not None
            now = self.services.clock()
            message = webhooks.message(webhook, change)
            assert self.poster is not None
            answer = await self.poster.post(webhook.url, message, webhooks.secrets_of(webhook, now), now)
        await self._note(entry, webhook, answer)

    async def _note(self, entry: Outgoing, webhook: Webhook, answer: Answer) -> None:
        now = self.services.clock()
        values = {**_FREE, "status": answer.status, "error": answer.error}
        if answer.accepted:
            await self._end(entry, values | {"delivered_at": now})
            return
        if answer.gone:
            # It is kept for whoever enables the webhook again; its try is given back.
            log.warning("webhook %s answered 410 and is disabled", webhook.id)
            await webhooks.disable(self.services, webhook, "the receiver answered 410")
            await self._end(entry, values | {"attempts": 0, "run_at": now})
            return
        wait = wait_after(entry.attempts, f"{entry.webhook} {entry.sequence}")
        if wait is None:
            log.warning("webhook %s: change %d is given up", entry.webhook, entry.sequence)
            values["dead_at"] = now
        else:
            values["run_at"] = now + max(wait, timedelta(seconds=answer.retry_after))
        await self._end(entry, values)

    async def _end(self, entry: Outgoing, values: dict[str, object]) -> None:
        """Write how it ended, unless the lease went to another sender, who does that then."""
        key = {"tenant": entry.tenant, "webhook": entry.webhook, "sequence": entry.sequence}
        update = Update(Outgoing, key, values, {"lease": entry.lease})
        try:
            await self.services.store.commit(Writes(entry.tenant, (update,)))
        except StaleSession:
            log.warning("an attempt took longer than its lease of %s, or was asked for again", LEASE)
