"""Long studies write down what they found: `make verify` appends to docs/verification.md.

One line per study and run, with the commit, the seed and the day, so that a
claim in the documents can be traced to a run and made again. A run with
changes that are not committed says so. Lines are appended, never edited.

A study of many replications keeps each of them under var/verification as it is
finished, so that a run that was killed goes on where it stopped. They are kept
per content of the working tree and per seed: other code never finds them.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from assess.progress import bar

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "verification.md"
KEPT = ROOT / "var" / "verification"
WATCHED = ("src", "item_banks", "tests")
_HEAD = """# Verification

What the long studies found. `make verify` runs them; `tests/verification.py` appends a line for each.
A commit with `+` had changes that were not committed.

| day | commit | study | seed | found |
|---|---|---|---|---|
"""


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True).stdout


def commit() -> str:
    """The commit of the working tree, with `+` when it differs from it."""
    head = _git("rev-parse", "--short", "HEAD").decode().strip()
    if not head:
        return "unknown"
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", *WATCHED)
    return f"{head}+" if changed else head


def tree() -> str:
    """A name for what the working tree holds: the commit, and a hash of what differs from it."""
    digest = hashlib.sha256(_git("diff", "HEAD", "--", *WATCHED))
    for name in _git("ls-files", "-z", "--others", "--exclude-standard", "--", *WATCHED).split(b"\0"):
        if name:
            digest.update(name + (ROOT / os.fsdecode(name)).read_bytes())
    differs = digest.digest() != hashlib.sha256().digest()
    return commit().rstrip("+") + (f"-{digest.hexdigest()[:12]}" if differs else "")


def planned(n: int) -> int:
    """How many of `n` replications to run: VERIFY_REPLICATIONS may cut them; the line must say the number."""
    return min(n, int(os.environ.get("VERIFY_REPLICATIONS", n)))


def judged(n: int, wanted: int) -> None:
    """Skip what a study would assert where it was cut short: it is recorded, and is no verdict."""
    if n < wanted:
        pytest.skip(f"{n} of {wanted} replications were run and recorded; the bands are for {wanted}")


def replications(
    study: str, n: int, one: Callable[[int], Any], *, seed: int | str, folder: Path | None = None
) -> list[Any]:
    """What `one(0)` to `one(n - 1)` return, in order; those kept from an earlier run are not run again.

    Parameters
    ----------
    one : callable
        From the number of the replication, and nothing else, to what JSON can hold.
    folder : Path, optional
        Where to keep them; var/verification/<tree> unless given.
    """
    folder = KEPT / tree() if folder is None else folder
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (re.sub(r"[^A-Za-z0-9]+", "-", f"{study} seed {seed}").strip("-") + ".jsonl")
    found = _kept(path)
    with path.open("a", encoding="utf-8") as file, bar(study) as progress:
        for i in range(n):
            if i not in found:
                # through JSON at once: a run that goes on and one that does not then agree to the last bit
                line = json.dumps([i, one(i)])
                file.write(line + "\n")
                file.flush()
                os.fsync(file.fileno())
                found[i] = json.loads(line)[1]
            progress(i + 1, n, "")
    return [found[i] for i in range(n)]


def _kept(path: Path) -> dict[int, Any]:
    """Replications in a file; what a killed run left of its last line is cut off."""
    if not path.exists():
        return {}
    whole = path.read_bytes()
    whole = whole[: whole.rfind(b"\n") + 1]
    os.truncate(path, len(whole))
    return dict(json.loads(line) for line in whole.splitlines())


def record(study: str, found: str, *, seed: int | str, page: Path = PAGE) -> None:
    """Append one line, unless the page has it; several worker processes may write at the same time."""
    cells = [f"{datetime.now(UTC):%Y-%m-%d}", commit(), study, str(seed), found]
    line = "| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |\n"
    page.parent.mkdir(parents=True, exist_ok=True)
    with page.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if file.tell() == 0:
            file.write(_HEAD)
        file.seek(0)
        # a study that was finished and is asked again finds the same, on whatever day
        if not any(row.split(" | ")[1:] == line.split(" | ")[1:] for row in file):
            file.write(line)
