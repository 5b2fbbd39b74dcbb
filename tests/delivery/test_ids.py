"""Ids that begin with the time: in order, of the same form as others, and never the same twice."""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from assess.delivery.security import new_id, new_salt, new_timed_id

MILLISECONDS = st.integers(1_600_000_000_000, 29_000_000_000_000)
MOMENTS = MILLISECONDS.map(lambda ms: datetime.fromtimestamp(ms / 1000, UTC))
STEP = timedelta(milliseconds=32)  # a little over a 32nd of a second


@given(MOMENTS, st.timedeltas(STEP, timedelta(days=36500)))
def test_who_began_later_comes_later(at: datetime, later: timedelta) -> None:
    assert new_timed_id("ses", at) < new_timed_id("ses", at + later)


@given(MOMENTS)
def test_it_looks_like_every_other_id(at: datetime) -> None:
    for made in (new_timed_id("ses", at), new_id("ses")):
        assert re.fullmatch(r"ses_[a-z2-7]{20}", made)


def test_those_who_begin_together_lie_together_and_differ() -> None:
    at = datetime(2026, 11, 29, 9, tzinfo=UTC)
    made = {new_timed_id("ses", at) for _ in range(10_000)}
    assert len(made) == 10_000
    assert len({one[:12] for one in made}) == 1
    # Every letter of the rest is of chance.
    assert all(len({one[n] for one in made}) == 32 for n in range(12, 24))


_FORKS = """
import os
from assess.delivery.security import new_id, new_salt
new_id("ses"), new_salt()  # some are ready
if child := os.fork():
    os.waitpid(child, 0)  # two lines of this length would mingle
print(os.getpid(), *(f for _ in range(300) for f in (new_id("ses"), new_salt())), flush=True)
"""


def test_a_forked_process_gives_out_nothing_that_its_parent_gives() -> None:
    told = subprocess.run([sys.executable, "-c", _FORKS], capture_output=True, text=True, check=True).stdout
    (one, *first), (other, *second) = map(str.split, told.splitlines())
    assert one != other
    assert len(set(first)) == len(set(second)) == 600
    assert not set(first) & set(second)


def test_threads_are_given_nothing_twice() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = [pool.submit(lambda: [new_salt() for _ in range(2_000)]) for _ in range(8)]
    assert len({salt for some in made for salt in some.result()}) == 16_000
