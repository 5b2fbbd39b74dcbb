"""`assess rescore`: a dry run of what is on disk, a real run of what is live, and a run that is killed."""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from math import ceil
from pathlib import Path
from typing import Any

import pytest
import yaml

from assess.cli.running import find_document, with_services
from assess.cli.simulating import build_cohort
from assess.delivery.service import Services, finishing
from assess.delivery.settings import Settings
from assess.delivery.store import Writes
from assess.delivery.store.rows import Learner, OfferRow, ResponseRow, Session, Stored
from assess.publishing import load_bank
from assess.session import Held, Outcome, Release, held, outcome
from assess.simulation import administer
from tests import verification
from tests.cli import killing

ROOT = Path(__file__).resolve().parents[2]


def _activate(assess: Callable[..., object], *names: str) -> None:
    for name in names:
        done = assess("activate", name, "--reason", "for a test")
        assert done.code == 0, done.err  # type: ignore[attr-defined]


def _harder(banks: Path, bank: str, form: str, *, shift: float) -> str:
    """A second version of a fixed form whose ratings, and so the raw cut, are raised; its reference."""
    folder = banks / bank
    cut = yaml.safe_load(next((folder / "cuts").glob("*.v1.yaml")).read_text())
    old = f"{cut['id']}.v1"
    # A rating stays within the categories of its item, of which some have more than two.
    ratings = {item: min(float(r) + shift, float(ceil(r))) for item, r in cut["ratings"].items()}
    cut |= {"version": 2, "ratings": ratings}
    (folder / "cuts" / f"{cut['id']}.v2.yaml").write_text(yaml.safe_dump(cut, sort_keys=False))
    written = yaml.safe_load((folder / "forms" / f"{form}.v1.yaml").read_text())
    assert written["cut"] == old
    written |= {"version": 2, "cut": f"{cut['id']}.v2"}
    (folder / "forms" / f"{form}.v2.yaml").write_text(yaml.safe_dump(written, sort_keys=False))
    return f"{form}.v2"


def test_a_dry_run_then_the_real_run(assess, banks, tmp_path):
    _activate(assess, "toys", "toy-fixed")
    assert assess("simulate", "toy", "--learners", 30, "--seed", 4, "--form", "toy-fixed").code == 0
    form = _harder(banks, "toys/toy", "toy-fixed", shift=0.25)

    said = assess("rescore", form, "--dry-run", "--sandbox")
    assert said.code == 0, said.err
    assert "30 sessions would be reached: 30 scored again, 0 excluded, 0 left over" in said.out
    moves = _moves(said.out)
    assert ("passed", "not_passed") in {(old, new) for old, new, _ in moves}
    assert not any((old, new) == ("not_passed", "passed") for old, new, _ in moves)

    done = assess("rescore", form, "--sandbox")
    assert (done.code, "needs --reason" in done.err) == (2, True)
    done = assess("rescore", form, "--sandbox", "--reason", "A panel raised the cut.")
    assert (done.code, "no release" in done.err or "release" in done.err) == (2, True)
    _activate(assess, form)
    csv = tmp_path / "flipped.csv"
    done = assess("rescore", form, "--sandbox", "--reason", "A panel raised the cut.", "--out", csv)
    assert done.code == 0, done.err
    assert "is done" in done.out
    assert _moves(done.out) == moves
    flips = sum(int(n) for old, new, n in moves if old != new)
    assert len(csv.read_text().splitlines()) == 1 + flips
    replayed = assess("replay", "--verify-chain")
    assert "60 decisions come out the same, byte by byte; 0 differences" in replayed.out

    with closing(sqlite3.connect(tmp_path / "assess.db")) as connection, connection:
        (decision,) = connection.execute("SELECT id FROM decisions WHERE supersedes IS NOT NULL").fetchone()
    told = assess("replay", decision)
    assert (told.code, "comes out the same, byte by byte" in told.out) == (0, True), told.err
    assert "A panel raised the cut." in told.out
    assert "what was answered" in told.out
    done = assess("replay", "dec_nothing")
    assert (done.code, "no decision 'dec_nothing'" in done.err) == (2, True)
    done = assess("replay", decision, "--verify-chain")
    assert (done.code, "leave the decision out" in done.err) == (2, True)


def _moves(text: str) -> list[tuple[str, str, str]]:
    word = "(passed|not_passed|incomplete|pending)"
    return re.findall(rf"{word}\W+{word}\W+([\d,]+)", text)


async def _fill(services: Services, release: Release, n_learners: int, seed: int) -> int:
    """Sessions as the service stores them, made in memory and written many at a time; how many responses."""
    bank = load_bank(ROOT / "item_banks" / "teaching-with-technology" / "twt-3")
    cohort = build_cohort(bank, seed=seed)
    # They ended before the rescoring begins: it reaches no session that is still running then.
    now, n_responses = services.clock() - timedelta(hours=2), 0
    for first in range(0, n_learners, 100):
        people: list[Stored] = []
        rows: list[Stored] = []
        decisions = []
        for number in range(first, min(first + 100, n_learners)):
            name, session = f"simulated-{number}", f"ses_{number:06d}"
            digest = hashlib.sha256(name.encode()).hexdigest()
            state = administer(release, cohort, number, session=session, seed=digest[:32], now=now)
            assert state.ending is not None
            people.append(Learner("default", name, None, True, 1, now))
            row = Session(
                "default", session, name, release.course.id, release.form.id, release.form.reference,
                release.sha256, state.start.to_mapping(), digest, 1, "ended", now, state.closes_at,
                state.ending.at, state.ending.how, None, None, False, True, 1,
            )  # fmt: skip
            rows.append(row)
            rows += [OfferRow("default", session, o.position, o.item, o.at) for o in state.offers]
            rows += [
                ResponseRow(
                    "default", session, r.position, r.revision, r.item, r.answer, r.category, r.at, r.salt,
                    r.answer_sha256, "none", "none",
                )
                for r in state.responses
            ]  # fmt: skip
            n_responses += len(state.responses)
            at = state.ending.at
            found: Held | Outcome
            found = held(state, decided_at=at) if release.holds_results else outcome(state, decided_at=at)
            decisions.append(finishing.decision_row(row, state, found, at))
        ordered = [*people, *sorted(rows, key=lambda r: r.table.name != "sessions")]
        await services.store.commit(Writes("default", inserts=tuple(ordered), decisions=tuple(decisions)))
    return n_responses


class _Study:
    """A cohort of our own programme on disk, and a command over it that is killed again and again."""

    bank = "teaching-with-technology/twt-3"

    def __init__(self, assess: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.assess, self.folder, self.banks = assess, folder, folder / "item_banks"
        shutil.copytree(ROOT / "item_banks", self.banks)
        monkeypatch.setenv("ASSESS_ITEM_BANKS", str(self.banks))
        self.n_responses = 0

    def fill(self, form: str, n_learners: int) -> None:
        _activate(self.assess, form)
        release = Release.from_document(find_document(self.banks, form))
        self.n_responses = with_services(
            Settings.from_environment(), "verify", lambda services, _: _fill(services, release, n_learners, 1)
        )

    def form(self, version: int, **changes: Any) -> str:
        """A version of the fixed form with changes; its reference."""
        folder = self.banks / self.bank / "forms"
        written = (
            yaml.safe_load((folder / "twt-3-fixed.v1.yaml").read_text()) | {"version": version} | changes
        )
        (folder / f"twt-3-fixed.v{version}.yaml").write_text(yaml.safe_dump(written, sort_keys=False))
        return f"twt-3-fixed.v{version}"

    def adopted_cut(self) -> str:
        """The cut of the form, as if a panel had adopted it."""
        folder = self.banks / self.bank / "cuts"
        cut = yaml.safe_load((folder / "twt-3-ka.v1.yaml").read_text())
        cut |= {"version": 9, "status": "adopted", "panel": "made-up-panel.v1"}
        (folder / "twt-3-ka.v9.yaml").write_text(yaml.safe_dump(cut, sort_keys=False))
        return "twt-3-ka.v9"

    def killed(self, words: list[str], said: Any, n: int, kills: int, did: str) -> str:
        """Kill the command in the midst of its work, let it end, and hold it to the dry run; in words."""
        reached = f"{n} sessions %s reached: {n} {did}, 0 excluded, 0 left over"
        assert said.code == 0, said.err
        assert reached % "would be" in said.out
        chance = random.Random(1)
        places = killing.targets(n, kills, chance)
        left = killing.killed_at(words, self.folder / "assess.db", "rescored_sessions", places, chance)
        assert len(set(left)) == kills
        assert max(left) < n
        began = time.process_time()
        done = self.assess(*words)
        lasted = time.process_time() - began
        assert done.code == 0, done.err
        assert "which was interrupted" in done.out
        assert reached % "were" in done.out
        assert _moves(done.out) == _moves(said.out)
        replayed = self.assess("replay", "--verify-chain")
        assert f"{2 * n:,} decisions come out the same, byte by byte; 0 differences" in replayed.out
        told = "; ".join(f"{old} to {new} {count}" for old, new, count in _moves(done.out))
        return (
            f"{n:,} sessions, {self.n_responses:,} responses, killed {kills} times in the midst of work, "
            f"after {left[0]:,} to {left[-1]:,} sessions: 0 left over, the dry run equals the real run "
            f"({told}), {2 * n:,} decisions replay byte by byte; the last run took "
            f"{1000 * lasted / (n - left[-1]):.1f} ms of processor time a session, loading included"
        )


@pytest.mark.verify
@pytest.mark.timeout(14_400)
def test_half_a_million_responses_and_twenty_kills(assess, tmp_path, monkeypatch):
    n, kills = int(os.environ.get("ASSESS_RESCORE_LEARNERS", "18100")), 20
    study = _Study(assess, tmp_path, monkeypatch)
    _activate(assess, "teaching-with-technology")
    study.fill("twt-3-fixed.v1", n)
    form = _harder(study.banks, study.bank, "twt-3-fixed", shift=0.05)
    said = assess("rescore", form, "--dry-run", "--sandbox")
    assert {("passed", "not_passed"), ("not_passed", "not_passed")} <= {m[:2] for m in _moves(said.out)}
    _activate(assess, form)
    words = ["rescore", form, "--sandbox", "--reason", "The cut was raised."]
    found = study.killed(words, said, n, kills, "scored again")
    verification.record("rescoring under kill -9", found, seed=1)


@pytest.mark.verify
@pytest.mark.timeout(14_400)
def test_a_held_cohort_is_released_whole_whenever_it_is_killed(assess, tmp_path, monkeypatch):
    """What is interrupted in the API's own tests is killed here from outside, as a process."""
    n, kills = int(os.environ.get("ASSESS_RELEASE_LEARNERS", "2000")), 20
    study = _Study(assess, tmp_path, monkeypatch)
    _activate(assess, "teaching-with-technology")
    study.fill(study.form(2, release="after_standard"), n)
    _activate(assess, study.form(3, cut=study.adopted_cut()))
    said = assess("release", "twt-3-fixed", "--dry-run", "--sandbox")
    assert {m[0] for m in _moves(said.out)} == {"pending"}
    words = ["release", "twt-3-fixed", "--sandbox", "--reason", "the standard was set"]
    found = study.killed(words, said, n, kills, "decided")
    verification.record("release of results under kill -9", found, seed=1)


def test_what_another_cut_would_change_is_printed_and_nothing_written(assess, banks):
    for name in ("toys", "toy-fixed"):
        assert assess("activate", name, "--reason", "first release").code == 0
    assert assess("simulate", "toy", "--learners", 12, "--form", "toy-fixed").code == 0
    strict = assess("what-if", "toy-fixed", "--raw-cut", 12, "--sandbox")
    assert strict.code == 0, strict.err
    assert "12 learners:" in strict.out
    assert "nothing was written" in strict.out
    assert assess("replay", "--verify-chain").code == 0
    done = assess("what-if", "toy-fixed", "--raw-cut", 99, "--sandbox")
    assert (done.code, "at most 12" in done.err or "at most" in done.err) == (2, True)
    done = assess("what-if", "--cut", 0.5)
    assert (done.code, "name the form" in done.err) == (2, True)
    done = assess("what-if")
    assert (done.code, "say what would be different" in done.err) == (2, True)
    done = assess("what-if", "toys")
    assert (done.code, "toys is a programme" in done.err) == (2, True)
    rules = assess("what-if", "--programme", banks / "toys", "--sandbox")
    assert (rules.code, "0 would stand differently" in rules.out) == (0, True)
    tries = assess("what-if", "toy-fixed", "--max-tries", 1, "--sandbox")
    assert (tries.code, "0 sessions would not have begun" in tries.out) == (0, True)
