"""A stored decision in words: what it says, what it rests on, and whether it comes out again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from assess.delivery.analysis import Database
from assess.delivery.replay import replayed, stored_fault
from assess.delivery.service import appealing
from assess.delivery.service.loading import as_decided, folded
from assess.delivery.store import reading
from assess.delivery.store.rows import DecisionRow
from assess.errors import AssessError, NotFound
from assess.session import rescored

WORDS = {
    "passed": "passed",
    "not_passed": "not passed",
    "undetermined": "too close to say",
    "incomplete": "too little answered to decide",
    "pending": "held until the standard was set",
}
REPLAYED = {
    "same": "computed again from the stored answers, it comes out the same, byte by byte",
    "confirmed": "made by people, it cites the decision before it, whose hash holds",
    "erased": "its answers were erased, so that it cannot be computed again",
    "differs": "it does NOT come out the same",
    "forced": "forced in a sandbox, it was never computed",
}


@dataclass(frozen=True, slots=True)
class Earned:
    """What one item brought: the category that counts, None for a blank, and the most there is."""

    position: int
    item: str
    category: int | None
    most: int


@dataclass(frozen=True, slots=True)
class Explained:
    """A decision, sentence by sentence, and what each item brought."""

    word: str
    lines: tuple[str, ...]
    items: tuple[Earned, ...]


def explain(database: Database, id: str) -> Explained:
    """What a decision rests on, computed again.

    Raises
    ------
    NotFound
        The tenant has no such decision.
    """
    row = database.read(reading.decision, database.tenant, id)
    if row is None:
        raise NotFound("decision", id)
    fault = stored_fault(row)
    word, what = ("differs", fault) if fault is not None else replayed(database, row)
    lines = [
        f"{row.id}: {WORDS.get(row.status, row.status)}, on {row.decided_at.isoformat()}",
        f"- {row.form} of {row.course}, session {row.session}, learner {row.learner}.",
        *rests_on(row),
    ]
    if row.supersedes is not None:
        why = "" if row.reason is None else f": {row.reason}"
        lines.append(f"- It supersedes {row.supersedes} ({row.cause}){why}.")
    if row.superseded_by is not None:
        lines.append(f"- It does not stand any more: {row.superseded_by} superseded it.")
    lines.append(f"- Replay: {REPLAYED[word]}{': ' + what if what else ''}.")
    return Explained(word, tuple(lines), _earned(database, row))


def _earned(database: Database, row: DecisionRow) -> tuple[Earned, ...]:
    """By item the category that counted, as the release of the decision grades it."""
    records = database.read(reading.session_records, database.tenant, row.session)
    if records is None or row.source not in ("course_form", "placement"):
        return ()
    record = json.loads(row.record)
    try:
        state = folded(as_decided(records, row.decided_at), database.release(records.session.release))
        if "delivered" in record:
            state = rescored(state, database.release(record["release"]))
    except (AssessError, KeyError, TypeError):
        # What was altered cannot be shown; the replay says what is wrong with it.
        return ()
    newest = {response.position: response for response in state.responses}
    return tuple(
        Earned(
            position,
            given.item,
            None if given.answer is None else given.category,
            state.release.items[given.item].n_categories - 1,
        )
        for position, given in sorted(newest.items())
    )


def rests_on(row: DecisionRow) -> Iterator[str]:
    """The numbers of a decision, each in a sentence."""
    report = row.report
    score, cut = report.get("score"), report.get("cut")
    if row.source == appealing.SOURCE:
        yield f"- People decided it on the appeal, in place of {row.supersedes}; no computation did."
    if score and cut:
        low, high = score["interval_90"]
        yield (
            f"- Score {score['value']} of {score['min']} to {score['max']}, in 9 of 10 cases between {low} "
            f"and {high}; the standard is {cut['value']} ({cut['version']}, {cut['status']})."
        )
    probability = report.get("p_at_or_above_cut")
    if probability is not None:
        yield f"- Probability of standing at or above the standard: {100 * probability:.0f} %."
    if row.provisional:
        yield "- It is provisional: its parameters are judged, or no panel adopted the standard."
    right = [f"{o['code']}: {o['right']} of {o['seen']}" for o in report.get("objectives", ())]
    if right:
        yield f"- Items right by objective: {', '.join(right)}."
    rests = [f"{name.replace('_', ' ')} {report.get(name)}" for name in ("rule", "parameter_set", "engine")]
    yield f"- By {', '.join(rests)}."
    yield f"- Record {row.record_sha256}; number {row.chain_seq} of {row.programme}, link {row.chain_sha256}."
