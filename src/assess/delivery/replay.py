"""Replay: every stored decision computed again from stored records alone.

A decision can be defended when the records lead to it again: the release it
pinned, the start record, offers, raw answers, which are graded again. The
record's bytes are compared, not its numbers, and so are the columns and the
report that status answers are made of. A decision whose answers were erased cannot be computed again
and says so; one that another engine version made is told apart from one that
was altered.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import assess
from assess.delivery.analysis import Database
from assess.delivery.service import status
from assess.delivery.service.loading import as_decided, folded
from assess.delivery.store import reading
from assess.delivery.store.rows import DecisionRow, ResponseRow
from assess.errors import AssessError
from assess.progress import Progress, silent
from assess.session import Release, answer_digest, outcome, rescore, rescored
from assess.standards.records import GENESIS, sha256


@dataclass(frozen=True, slots=True)
class Difference:
    """One decision that does not come out as it is stored."""

    decision: str
    session: str
    what: str


@dataclass(frozen=True)
class Replayed:
    """What a replay found."""

    n_same: int
    n_erased: int
    n_forced: int
    differences: tuple[Difference, ...]
    chains: int | None

    def summary(self) -> str:
        """The finding in one sentence."""
        told = (
            f"{self.n_same:,} decisions come out the same, byte by byte; {len(self.differences)} differences"
        )
        if self.n_erased:
            told += f"; {self.n_erased:,} erased, which cannot be computed again"
        if self.n_forced:
            told += f"; {self.n_forced:,} states forced in the sandbox, which were never computed"
        if self.chains is None:
            return told
        return f"{told}; {self.chains} {'chain' if self.chains == 1 else 'chains'} of hashes followed"


# What a decision's row repeats of its record, for queries; a forced one records less.
_REPEATED = ("session", "learner", "course", "form", "status", "passed", "provisional", "practice")


def replay_all(database: Database, *, verify_chain: bool = False, progress: Progress = silent) -> Replayed:
    """Compute every stored decision of a tenant again.

    Parameters
    ----------
    verify_chain : bool
        Also check that each chain of hashes holds without a gap.
    """
    differences: list[Difference] = []
    counts = {"same": 0, "erased": 0, "forced": 0}
    heads: dict[str, tuple[int, str]] = {}
    for done, row in enumerate(database.all_decisions()):
        progress(done, None, row.id)
        fault = _stored_fault(row)
        if fault is None and verify_chain:
            fault = _chain_fault(row, heads)
        word, what = ("differs", fault) if fault is not None else _replayed(database, row)
        if word == "differs":
            differences.append(Difference(row.id, row.session, what))
        else:
            counts[word] += 1
    if verify_chain:
        differences += _lost_tails(database, heads)
    return Replayed(
        counts["same"],
        counts["erased"],
        counts["forced"],
        tuple(differences),
        len(heads) if verify_chain else None,
    )


def verify_chains(database: Database) -> tuple[int, tuple[Difference, ...]]:
    """Follow every chain of hashes without computing a decision again; how many links, and what broke."""
    heads: dict[str, tuple[int, str]] = {}
    broken, n_links = [], 0
    for row in database.all_decisions():
        n_links += 1
        # Both are asked: the second moves along the chain.
        faults = (_stored_fault(row), _chain_fault(row, heads))
        broken += [Difference(row.id, row.session, fault) for fault in faults if fault is not None]
    return n_links, (*broken, *_lost_tails(database, heads))


def _stored_fault(row: DecisionRow) -> str | None:
    if sha256(row.record.encode()) != row.record_sha256:
        return "the stored record does not have its hash: it was altered"
    record: dict[str, Any] = json.loads(row.record)
    decision = record.get("decision", {})
    record |= decision | {"passed": decision.get("status") == "passed"}
    for name in _REPEATED:
        if name in record and record[name] != getattr(row, name):
            return f"the row says {name} {getattr(row, name)}, its record {record[name]}"
    return None


def _chain_fault(row: DecisionRow, heads: dict[str, tuple[int, str]]) -> str | None:
    seq, previous = heads.get(row.programme, (0, GENESIS))
    heads[row.programme] = (row.chain_seq, row.chain_sha256)
    if row.chain_seq != seq + 1:
        return f"number {row.chain_seq} of the chain follows number {seq}: a decision is missing"
    link = hashlib.sha256(f"{previous}\n{row.record}".encode()).hexdigest()
    return None if link == row.chain_sha256 else "the chain of hashes is broken here"


def _lost_tails(database: Database, heads: dict[str, tuple[int, str]]) -> list[Difference]:
    """Chains whose stored head lies beyond the last decision: the newest ones are missing."""
    lost = []
    for programme, (seq, sha) in database.read(reading.chain_heads, database.tenant).items():
        last, link = heads.get(programme, (0, GENESIS))
        if (last, link) != (seq, sha):
            lost.append(Difference("", "", f"the chain of {programme} ends at {last}, its head says {seq}"))
    return lost


def _replayed(database: Database, row: DecisionRow) -> tuple[str, str]:
    """same, erased, forced or differs, and what differs."""
    if row.source not in ("course_form", "placement"):
        return "forced", ""
    records = database.read(reading.session_records, database.tenant, row.session)
    if records is None:
        return "differs", "its session is not stored"
    if any(response.salt is None for response in records.responses):
        return "erased", ""
    stored: dict[str, Any] = json.loads(row.record)
    made_by = stored.get("engine")
    because = (
        ""
        if made_by == assess.__version__
        else f", computed by engine {made_by}, replayed by {assess.__version__}"
    )
    try:
        release = database.release(records.session.release)
        records = as_decided(records, row.decided_at)
        for response in records.responses:
            fault = _answer_fault(response, release)
            if fault:
                return "differs", f"the answer at position {response.position} {fault}{because}"
        state = folded(records, release)
        if stored.get("release") == release.sha256:
            found = outcome(state, decided_at=row.decided_at, engine=made_by)
        else:
            onto = database.release(stored["release"])
            found = rescore(state, onto, decided_at=row.decided_at, engine=str(made_by))
            state = rescored(state, onto)
    except AssessError as refused:
        return "differs", f"{refused}{because}"
    fields = [key for key in found.record if found.record[key] != stored.get(key)]
    if status.report(state, found) != row.report:
        fields.append("report")
    if found.record_bytes == row.record.encode() and not fields:
        return "same", ""
    return "differs", f"{', '.join(fields)} differ{because}"


def _answer_fault(response: ResponseRow, release: Release) -> str:
    """What is wrong with a stored answer: its hash, or the category that it earns; empty if nothing is."""
    if answer_digest(response.salt or "", response.answer) != response.answer_sha256:
        return "does not have its hash"
    item = release.items.get(response.item)
    if item is None:
        return f"is to {response.item}, which the release does not hold"
    earned = 0 if response.answer is None else item.grade(response.answer)
    return "" if earned == response.category else f"earns category {earned}, stored is {response.category}"
