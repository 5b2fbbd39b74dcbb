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
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import assess
from assess.delivery.analysis import Database
from assess.delivery.service import appealing, confirming, sandbox, status
from assess.delivery.service.loading import as_decided, folded
from assess.delivery.store import reading, reading_appeals
from assess.delivery.store.reading import SessionRecords
from assess.delivery.store.rows import DecisionRow, ResponseRow
from assess.errors import AssessError
from assess.progress import Progress, silent
from assess.session import (
    PENDING,
    Confirmation,
    Held,
    Outcome,
    Release,
    answer_digest,
    confirmation,
    held,
    outcome,
    rescore,
    rescored,
)
from assess.session.outcome import CONFIRMATION_SCHEMA
from assess.session.outcome import SCHEMA as DECISION_SCHEMA
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
    n_confirmed: int = 0

    def summary(self) -> str:
        """The finding in one sentence."""
        told = (
            f"{self.n_same:,} decisions come out the same, byte by byte; {len(self.differences)} differences"
        )
        if self.n_erased:
            told += f"; {self.n_erased:,} erased, which cannot be computed again"
        if self.n_confirmed:
            told += f"; {self.n_confirmed:,} made by people on an appeal, each citing the one before it"
        if self.n_forced:
            told += f"; {self.n_forced:,} states forced in the sandbox, which were never computed"
        if self.chains is None:
            return told
        return f"{told}; {self.chains} {'chain' if self.chains == 1 else 'chains'} of hashes followed"


# Which kind of record a decision from each source has.
_SCHEMAS = {
    "course_form": DECISION_SCHEMA,
    "placement": DECISION_SCHEMA,
    confirming.SOURCE: CONFIRMATION_SCHEMA,
    "sandbox": sandbox.SCHEMA,
    appealing.SOURCE: appealing.SCHEMA,
}
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
    lineage = _Lineage()
    counts = {"same": 0, "erased": 0, "forced": 0, "confirmed": 0}
    heads: dict[str, tuple[int, str]] = {}
    for done, row in enumerate(database.all_decisions()):
        progress(done, None, row.id)
        fault = stored_fault(row)
        if fault is None and verify_chain:
            fault = _chain_fault(row, heads)
            lineage.add(row)
        word, what = ("differs", fault) if fault is not None else replayed(database, row)
        if word == "differs":
            differences.append(Difference(row.id, row.session, what))
        else:
            counts[word] += 1
    if verify_chain:
        differences += [*_lost_tails(database, heads), *lineage.broken()]
    return Replayed(
        counts["same"],
        counts["erased"],
        counts["forced"],
        tuple(differences),
        len(heads) if verify_chain else None,
        counts["confirmed"],
    )


def verify_chains(database: Database) -> tuple[int, tuple[Difference, ...]]:
    """Follow every chain of hashes without computing a decision again; how many links, and what broke."""
    heads: dict[str, tuple[int, str]] = {}
    lineage = _Lineage()
    broken, n_links = [], 0
    for row in database.all_decisions():
        n_links += 1
        lineage.add(row)
        # Both are asked: the second moves along the chain.
        faults = (stored_fault(row), _chain_fault(row, heads))
        broken += [Difference(row.id, row.session, fault) for fault in faults if fault is not None]
    return n_links, (*broken, *_lost_tails(database, heads), *lineage.broken())


@dataclass
class _Lineage:
    """Which decision stands in for which: no hash covers that, so both sides must say the same."""

    newer: dict[str, tuple[str, datetime, str]] = field(default_factory=dict)
    older: dict[str, tuple[str | None, datetime | None, str]] = field(default_factory=dict)

    def add(self, row: DecisionRow) -> None:
        if row.supersedes is not None:
            self.newer[row.supersedes] = (row.id, row.decided_at, row.session)
        if row.superseded_by is not None or row.superseded_at is not None:
            self.older[row.id] = (row.superseded_by, row.superseded_at, row.session)

    def broken(self) -> Iterator[Difference]:
        """Decisions whose place is told by one side only."""
        for decision in sorted({*self.newer, *self.older}):
            new, old = self.newer.get(decision), self.older.get(decision)
            if new != old:
                session = (new or old or ("", None, ""))[2]
                what = "what supersedes it does not say so, or not since then"
                yield Difference(decision, session, what)


def stored_fault(row: DecisionRow) -> str | None:
    """What is wrong with a stored decision by itself: its record's hash, or a column beside it."""
    if sha256(row.record.encode()) != row.record_sha256:
        return "the stored record does not have its hash: it was altered"
    record: dict[str, Any] = json.loads(row.record)
    if record.get("schema") != _SCHEMAS.get(row.source):
        return f"the row says source {row.source}, its record is {record.get('schema')}"
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
    return None if link_of(previous, row.record) == row.chain_sha256 else "the chain of hashes is broken here"


def link_of(previous: str, record: str) -> str:
    """The hash of a link, from the one before it and the record's own bytes.

    Examples
    --------
    >>> link_of("0" * 64, "{}")[:8]
    '5649d09e'
    """
    return hashlib.sha256(f"{previous}\n{record}".encode()).hexdigest()


def _lost_tails(database: Database, heads: dict[str, tuple[int, str]]) -> list[Difference]:
    """Chains whose stored head lies beyond the last decision: the newest ones are missing."""
    lost = []
    for programme, (seq, sha) in database.read(reading.chain_heads, database.tenant).items():
        last, link = heads.get(programme, (0, GENESIS))
        if (last, link) != (seq, sha):
            lost.append(Difference("", "", f"the chain of {programme} ends at {last}, its head says {seq}"))
    return lost


def replayed(database: Database, row: DecisionRow) -> tuple[str, str]:
    """What `recomputed` says, from the database; a decision made by people must cite one that is stored."""
    records = database.read(reading.session_records, database.tenant, row.session)
    if records is None:
        return "differs", "its session is not stored"
    word, what = recomputed(row, records, database.release)
    if word == "same" and row.source == confirming.SOURCE:
        cited = json.loads(row.record)["first"]
        first = database.read(reading.decision, database.tenant, cited["decision"])
        if first is None or first.record_sha256 != cited["record_sha256"]:
            return "differs", f"it confirms {cited['decision']}, which does not stand there with that hash"
    return _confirmed(database, row) if word == "confirmed" else (word, what)


def _confirmed(database: Database, row: DecisionRow) -> tuple[str, str]:
    """Whether the old decision has the hash that is cited, and the grounds that were kept have theirs."""
    record: dict[str, Any] = json.loads(row.record)
    cited, appeal = record["supersedes"], record["appeal"]
    old = database.read(reading.decision, database.tenant, cited["decision"])
    if old is None or old.record_sha256 != cited["record_sha256"] or old.superseded_by != row.id:
        return "differs", f"it cites {cited['decision']}, which does not stand there with that hash"
    entries = database.read(reading_appeals.entries, database.tenant, appeal["id"])
    grounds = [entry.data for entry in entries if entry.what == "decided"]
    if grounds == [{}]:
        return "erased", ""
    if [appealing.grounds_digest(data) for data in grounds] != [appeal["grounds_sha256"]]:
        return "differs", f"the grounds of appeal {appeal['id']} do not have their hash: they were altered"
    return "confirmed", ""


def recomputed(
    row: DecisionRow, records: SessionRecords, release_of: Callable[[str], Release]
) -> tuple[str, str]:
    """A decision computed again from the records of its session.

    Parameters
    ----------
    release_of : callable
        The release under a hash.

    Returns
    -------
    tuple of str
        same, erased, forced, confirmed (made by people) or differs; and what differs.
    """
    if row.source == appealing.SOURCE:
        return "confirmed", ""
    if row.source not in ("course_form", "placement", confirming.SOURCE):
        return "forced", ""
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
        release = release_of(records.session.release)
        records = as_decided(records, row.decided_at)
        for response in records.responses:
            fault = _answer_fault(response, release)
            if fault:
                return "differs", f"the answer at position {response.position} {fault}{because}"
        state = folded(records, release)
        found: Outcome | Held | Confirmation
        if row.source == confirming.SOURCE:
            found = confirmation(state, decided_at=row.decided_at, engine=made_by)
        elif row.status == PENDING:
            found = held(state, decided_at=row.decided_at, engine=made_by)
        elif "delivered" not in stored:
            found = outcome(state, decided_at=row.decided_at, engine=made_by)
        else:
            onto = release_of(stored["release"])
            again = rescored(state, onto)
            found = rescore(state, onto, decided_at=row.decided_at, engine=str(made_by), again=again)
            state = again
    except AssessError as refused:
        return "differs", f"{refused}{because}"
    fields = [key for key in {**found.record, **stored} if found.record.get(key) != stored.get(key)]
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
