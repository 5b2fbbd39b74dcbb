"""Two workers on one PostgreSQL never fork the chain, however many sessions end at once."""

from __future__ import annotations

import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

import assess
from assess.delivery.replay import verify_chains
from assess.delivery.settings import Settings
from assess.delivery.store import reading
from tests import synthetic, verification
from tests.delivery.conftest import open_world
from tests.delivery.world import Clock
from tests.delivery.world import settings as world_settings

WORKERS = ("one", "two")


def race(tmp_path: Path, url: str, n: int, at_once: int) -> tuple[int, int, int, float]:
    """Two workers commit n decisions together: links, faults, turns from one worker to the other, seconds."""
    for world in open_world(world_settings(tmp_path, database_url=url), Clock()):
        world.activate(synthetic.document(with_case_set=True))
    command = [sys.executable, "-m", "tests.delivery.chaining", url]
    running = [
        subprocess.Popen(
            [*command, name, str(n // len(WORKERS)), str(at_once)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for name in WORKERS
    ]  # fmt: skip
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()[1]
    began = time.monotonic()
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in running:
        _, said = process.communicate(timeout=3600)
        assert process.returncode == 0, said
    lasted = time.monotonic() - began
    with assess.connect(Settings(database_url=url)) as database:
        n_links, faults = verify_chains(database)
        rows = list(database.all_decisions())
        ((head, _),) = database.read(reading.chain_heads, "default").values()
    assert [row.chain_seq for row in rows] == list(range(1, n + 1))
    assert head == n
    makers = [row.learner.split("_")[1] for row in rows]
    turns = sum(a != b for a, b in pairwise(makers))
    return n_links, len(faults), turns, lasted


def test_decisions_of_two_workers_make_one_chain(tmp_path: Path, pg_url: str) -> None:
    n_links, n_faults, turns, _ = race(tmp_path, pg_url, 300, 3)
    assert (n_links, n_faults) == (300, 0)
    # They did work side by side, or the test proves nothing.
    assert turns >= 2


@pytest.mark.verify
@pytest.mark.timeout(3600)
def test_ten_thousand_decisions_of_two_workers_make_one_chain(tmp_path: Path, pg_url: str) -> None:
    n_links, n_faults, turns, lasted = race(tmp_path, pg_url, 10_000, 50)
    verification.record(
        "one chain under two PostgreSQL workers",
        f"{n_links:,} decisions committed by two processes, 50 at once each, {turns:,} turns between them, "
        f"{lasted:.0f} s: {n_faults} faults, numbers 1 to {n_links:,} without a gap",
        seed=0,
    )
    assert (n_links, n_faults) == (10_000, 0)
    assert turns >= 100
