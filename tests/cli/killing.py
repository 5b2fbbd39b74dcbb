"""A command that is killed in the midst of its work, again and again: what is on the disk says when."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

# What starts anew must be at work within so long, on however busy a machine.
_PATIENCE = 600.0


def rows(database: Path, table: str) -> int:
    """How many rows of a table are committed; read beside the process that writes."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)
    try:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    finally:
        connection.close()


def targets(n: int, kills: int, chance: random.Random) -> list[int]:
    """After how many of n pieces of work to kill: one in each of as many stretches, never the last."""
    stretch = n / (kills + 1)
    return [int(stretch * (k + chance.uniform(0.2, 1.0))) for k in range(kills)]


def killed_at(
    words: Sequence[str], database: Path, table: str, places: Sequence[int], chance: random.Random
) -> list[int]:
    """Run `assess ...` once for each place and kill -9 it when so many rows are there; the rows it left.

    Each run has written some of them itself, and has a moment more, by lot, so that it dies while it
    reads, computes or commits.
    """
    left: list[int] = []
    for place in places:
        due = max(place, left[-1] + 1 if left else 1)
        running = subprocess.Popen(
            [sys.executable, "-m", "assess.cli", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + _PATIENCE
        while rows(database, table) < due:
            assert running.poll() is None, f"it ended before {due} rows were there"
            assert time.monotonic() < until, f"{due} rows are not there after {_PATIENCE:.0f} s"
            time.sleep(0.02)
        time.sleep(chance.uniform(0.0, 0.05))
        assert running.poll() is None, f"it had ended when it was to be killed at {due} rows"
        running.send_signal(signal.SIGKILL)
        assert running.wait() == -signal.SIGKILL
        left.append(rows(database, table))
    return left
