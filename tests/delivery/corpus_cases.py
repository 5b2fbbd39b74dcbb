"""Cases of the golden corpus: sessions whose decisions must come out the same, byte by byte, for good.

`python -m tests.delivery.corpus_cases` writes the cases that are missing. It
never writes one again: a case is a decision that was made, and an engine that
gives other bytes for it has changed what was promised.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import assess
from assess.delivery import schemas
from assess.delivery.replay import link_of
from assess.delivery.service.finishing import decision_row
from assess.delivery.store.rows import DecisionRow, OfferRow, ResponseRow, Session
from assess.irt.models import ItemParameters
from assess.items import Item
from assess.session import Ending, Release, SessionState, held, outcome, rescore, rescored, with_ending
from assess.standards.records import GENESIS
from tests import synthetic
from tests.delivery.world import every_interaction
from tests.session import driving

FOLDER = Path(__file__).parent / "corpus"
_ADOPTED = {"status": "adopted", "panel": "x-panel.v1"}


def by_turns(item: Item, position: int) -> object:
    """Right twice, then wrong."""
    return item.interaction.best() if position % 3 else driving.always_wrong(item, position)


def with_blanks(item: Item, position: int) -> object:
    """Right, then blank."""
    return item.interaction.best() if position % 2 else None


def half_right(item: Item, position: int) -> object:
    """Partly right where an item gives part of its points."""
    if item.interaction_type == "multiple_response":
        return ["a"]
    if item.interaction_type == "ordering":
        return ["c", "b", "a"]
    return item.interaction.best()


def several_models() -> dict[str, Any]:
    """A calibrated fixed form whose items follow six models."""
    document = synthetic.document(calibrated=True, n_items=7)
    graded = {"interaction": "multiple_response", "key": ["a", "c"], "scoring": "partial"}
    models: list[tuple[str, dict[str, Any]]] = [
        ("1PL", {"a": [1.0], "b": [[-0.8]]}),
        ("2PL", {"a": [1.3], "b": [[-0.3]]}),
        ("3PL", {"a": [1.1], "b": [[0.2]], "c": [0.2]}),
        ("GRM", {"a": [1.2], "b": [[-0.5, 0.7]]}),
        ("PCM", {"a": [1.0], "b": [[-0.4, 0.5]]}),
        ("GPCM", {"a": [0.9], "b": [[0.1, 0.9]]}),
        ("2PL", {"a": [0.7], "b": [[1.1]]}),
    ]
    records: list[Any] = []
    for number, (model, values) in enumerate(models, start=1):
        reference = f"x-{number:03d}.v1"
        if len(values["b"][0]) == 2:
            document["items"][reference].update(graded)
        more = {} if "c" not in values else {"lower": values["c"]}
        records += ItemParameters([reference], model, values["a"], values["b"], **more).to_records()
    document["parameter_set"]["items"] = records
    document["form"]["id"] = "x-models"
    return document


def rekeyed() -> dict[str, Any]:
    """The second version of the fixed form, in which item 1 has another key."""
    document = synthetic.document(with_case_set=True, form={"version": 2})
    document["items"]["x-001.v1"]["key"] = "c"
    return document


_Made = tuple[SessionState, list[tuple[Release, str]]]


def _plain(document: dict[str, Any], rule: Callable[[Item, int], object], **options: Any) -> _Made:
    release = Release.from_document(document)
    return driving.run(release, rule, **options), [(release, "session")]


def _timed_out() -> _Made:
    release = Release.from_document(synthetic.document(with_case_set=True))
    state = driving.begin(release)
    for _ in range(4):
        state = driving.respond(state, "b")
    return with_ending(state, Ending("timed_out", state.closes_at)), [(release, "session")]


def _then(document: dict[str, Any], onto: dict[str, Any], cause: str, rule: Any) -> _Made:
    state, decided = _plain(document, rule)
    return state, [*decided, (Release.from_document(onto), cause)]


# Cases of engines that offered otherwise: they are decided as they were, and are not driven anew.
# Items on trial stood anywhere then; three scored items follow each of them since.
EARLIER = frozenset({"fixed-raw-case-set-pilot"})
CASES: dict[str, Callable[[], _Made]] = {
    "fixed-raw-case-set-spaced-pilot": lambda: _plain(
        synthetic.document(with_case_set=True, n_pilot=2), by_turns
    ),
    "fixed-raw-every-interaction": lambda: _plain(every_interaction(), half_right),
    "fixed-2pl-probability": lambda: _plain(synthetic.document(calibrated=True), by_turns),
    "fixed-2pl-adopted-cut": lambda: _plain(
        synthetic.document(calibrated=True, cut=_ADOPTED), driving.always_right
    ),
    "fixed-2pl-warm-point": lambda: _plain(
        synthetic.document(calibrated=True, form={"scoring": "WL", "rule": {"kind": "point"}}), with_blanks
    ),
    "fixed-several-models": lambda: _plain(several_models(), half_right),
    "fixed-all-wrong": lambda: _plain(synthetic.document(calibrated=True), driving.always_wrong),
    "fixed-timed-out": _timed_out,
    "adaptive-2pl": lambda: _plain(
        synthetic.document(kind="adaptive", calibrated=True, n_items=24), by_turns
    ),
    "adaptive-2pl-undetermined": lambda: _plain(
        synthetic.document(kind="adaptive", calibrated=True, n_items=24),
        with_blanks,
        seed="a5" * 16,
    ),
    "adaptive-incomplete": lambda: _plain(
        synthetic.document(kind="adaptive", calibrated=True, n_items=15), by_turns, stop_after=3
    ),
    "adaptive-practice": lambda: _plain(synthetic.document(kind="adaptive", n_items=15), by_turns),
    "held-then-released": lambda: _then(
        synthetic.document(calibrated=True, form={"release": "after_standard"}),
        synthetic.document(calibrated=True, form={"version": 2}, cut=_ADOPTED | {"theta": 0.3}),
        "release",
        by_turns,
    ),
    "rescored-key": lambda: _then(synthetic.document(with_case_set=True), rekeyed(), "rescore", by_turns),
}


def build(name: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """A case as plain data, and its release documents by hash."""
    state, decided = CASES[name]()
    assert state.ending is not None
    delivered = state.release
    session = Session(
        "default", state.start.session, state.start.learner, delivered.course.id, delivered.form.id,
        delivered.form.reference, delivered.sha256, state.start.to_mapping(), "", 1, "ended",
        state.start.started_at, state.closes_at, state.ending.at, state.ending.how, None, None,
        delivered.practice, False, state.start.try_number,
    )  # fmt: skip
    rows: list[DecisionRow] = []
    previous = GENESIS
    for number, (release, cause) in enumerate(decided, start=1):
        at = state.ending.at + timedelta(days=number - 1)
        found: Any
        if cause == "session":
            found = held(state, decided_at=at) if release.holds_results else outcome(state, decided_at=at)
            row = decision_row(session, state, found, at)
        else:
            found = rescore(state, release, decided_at=at, engine=assess.__version__)
            row = decision_row(session, rescored(state, release), found, at)
            row = replace(row, supersedes=rows[-1].id, cause=cause, reason="for the corpus")
            rows[-1] = replace(rows[-1], superseded_at=at, superseded_by=f"dec_{number}")
        link = link_of(previous, row.record)
        rows.append(replace(row, id=f"dec_{number}", chain_seq=number, chain_sha256=link))
        previous = link
    documents = {release.sha256: dict(release.document) for release, _ in decided}
    return _case(session, state, rows), documents


def _case(session: Session, state: SessionState, rows: list[DecisionRow]) -> dict[str, Any]:
    tenant, name = session.tenant, session.id
    plain: dict[str, Any] = schemas.plain(
        {
            "session": session.values(),
            "offers": [OfferRow(tenant, name, o.position, o.item, o.at).values() for o in state.offers],
            "responses": [
                ResponseRow(
                    tenant, name, r.position, r.revision, r.item, r.answer, r.category, r.at, r.salt,
                    r.answer_sha256, "none", "none",
                ).values()
                for r in state.responses
            ],
            "events": [],
            "decisions": [row.values() for row in rows],
        }
    )  # fmt: skip
    return plain


def write() -> list[str]:
    """Write what is missing; the names of the cases that were written."""
    written = []
    for name in CASES:
        path = FOLDER / f"{name}.json"
        if path.exists():
            continue
        case, documents = build(name)
        for sha, document in documents.items():
            target = FOLDER / "releases" / f"{sha}.json"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(json.dumps(document, ensure_ascii=False, sort_keys=True) + "\n")
        path.write_text(json.dumps(case, ensure_ascii=False, indent=1, sort_keys=True) + "\n")
        written.append(name)
    return written


if __name__ == "__main__":
    print(f"wrote {', '.join(write()) or 'nothing: every case is there'}")
