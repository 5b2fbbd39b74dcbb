"""Long studies write down what they found: `make verify` appends to docs/verification.md.

One line per study and run, with the commit, the seed and the day, so that a
claim in the documents can be traced to a run and made again. A run with
changes that are not committed says so. Lines are appended, never edited.
"""

from __future__ import annotations

import fcntl
import subprocess
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "verification.md"
_HEAD = """# Verification

What the long studies found. `make verify` runs them; `tests/verification.py` appends a line for each.
A commit with `+` had changes that were not committed.

| day | commit | study | seed | found |
|---|---|---|---|---|
"""


def commit() -> str:
    """The commit of the working tree, with `+` when it differs from it."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
        return done.stdout.strip()

    head = git("rev-parse", "--short", "HEAD")
    if not head:
        return "unknown"
    changed = git("status", "--porcelain", "--untracked-files=no", "--", "src", "item_banks", "tests")
    return f"{head}+" if changed else head


def record(study: str, found: str, *, seed: int | str, page: Path = PAGE) -> None:
    """Append one line; studies of several worker processes may write at the same time."""
    cells = [f"{datetime.now(UTC):%Y-%m-%d}", commit(), study, str(seed), found]
    line = "| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |\n"
    page.parent.mkdir(parents=True, exist_ok=True)
    with page.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if file.tell() == 0:
            file.write(_HEAD)
        file.write(line)
