"""A worker that commits decisions as fast as it can, beside another one on the same PostgreSQL.

`python -m tests.delivery.chaining URL NAME N AT_ONCE` waits for a line on its
standard input, so that two of them begin together.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace

from assess.delivery.service.finishing import decision_row
from assess.delivery.settings import Settings
from assess.delivery.store import Writes, open_store
from assess.delivery.store.rows import Learner, Session
from assess.session import outcome
from tests import synthetic
from tests.session import driving


async def commit_all(url: str, name: str, n: int, at_once: int) -> None:
    """N sessions, each ended and decided in one commit, so many at once."""
    store = open_store(Settings(database_url=url))
    release = synthetic.release(with_case_set=True)
    state = driving.run(release, driving.always_right)
    now = driving.NOON
    gate = asyncio.Semaphore(at_once)

    async def one(number: int) -> None:
        learner, session = f"lrn_{name}_{number}", f"ses_{name}_{number}"
        own = replace(state, start=replace(state.start, session=session, learner=learner))
        row = Session(
            "default", session, learner, release.course.id, release.form.id, release.form.reference,
            release.sha256, own.start.to_mapping(), session, 1, "ended", now, now, now, "submitted", None,
            None, False, False, 1,
        )  # fmt: skip
        people = Learner("default", learner, None, False, 1, now)
        decision = decision_row(row, own, outcome(own, decided_at=now), now)
        async with gate:
            await store.commit(Writes("default", inserts=(people, row), decisions=(decision,)))

    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.gather(*(one(number) for number in range(n)))
    store.close()


if __name__ == "__main__":
    asyncio.run(commit_all(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
