"""Replay: every stored decision computed again from stored records alone.

A decision can be defended when the records lead to it again: the release it
pinned, the start record, offers, responses. The record's bytes are compared,
not its numbers. A decision whose answers were erased cannot be computed again
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
from assess.delivery.service.sessions import folded
from assess.delivery.store import reading
from assess.delivery.store.rows import DecisionRow
from assess.errors import AssessError
from assess.progress import Progress, silent
from assess.session import answer_digest, outcome
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


def _stored_fault(row: DecisionRow) -> str | None:
    if sha256(row.record.encode()) != row.record_sha256:
        return "the stored record does not have its hash: it was altered"
    stated = json.loads(row.record).get("decision", {}).get("status")
    if stated != row.status:
        return f"the row says {row.status}, its record {stated}"
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
    if row.source != "course_form":
        return "forced", ""
    records = database.read(reading.session_records, database.tenant, row.session)
    if records is None:
        return "differs", "its session is not stored"
    if any(response.salt is None for response in records.responses):
        return "erased", ""
    try:
        release = database.release(records.session.release)
        altered = [
            response.position
            for response in records.responses
            if answer_digest(response.salt or "", response.answer) != response.answer_sha256
        ]
        if altered:
            return "differs", f"the answer at position {altered[0]} does not have its hash"
        state = folded(records, release)
        stored: dict[str, Any] = json.loads(row.record)
        found = outcome(state, decided_at=row.decided_at, engine=stored.get("engine"))
    except AssessError as fault:
        return "differs", str(fault)
    if found.record_bytes == row.record.encode():
        return "same", ""
    made_by = stored.get("engine")
    because = (
        ""
        if made_by == assess.__version__
        else f", computed by engine {made_by}, replayed by {assess.__version__}"
    )
    fields = [key for key in found.record if found.record[key] != stored.get(key)]
    return "differs", f"{', '.join(fields)} differ{because}"
