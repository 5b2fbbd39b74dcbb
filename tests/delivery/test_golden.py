"""Every body of the HTTP contract against a golden file, and against the contract's own list of fields.

Regenerate after a deliberate change, and review the diff:

    ASSESS_WRITE_GOLDEN=1 .venv/bin/python -m pytest tests/delivery/test_golden.py
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assess.delivery.app import PROBLEMS
from assess.delivery.service import claims, learners, problem_notes
from tests import synthetic
from tests.delivery.conftest import open_world
from tests.delivery.world import Clock, World, programme, settings

GOLDEN = Path(__file__).parent / "golden"
WRITE = os.environ.get("ASSESS_WRITE_GOLDEN") == "1"

_RANDOM = (
    (re.compile(r"\b(ses|dec|key|sk|req|fct|mrg|inc|inv|rel|apl|ers|whk|msg|clm|crd)_[a-z2-7]{20}"), r"\1_…"),
    (re.compile(r"\b[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){3}\b"), "code…"),
    (re.compile(r"\blrt_[a-z2-7]{40}"), "lrt_…"),
    (re.compile(r"sha256\$[0-9a-f]{64}"), "sha256$…"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "sha256…"),
    (re.compile(r'"code": "[A-Z2-9]{5}-[A-Z2-9]{5}"'), '"code": "…"'),
    (re.compile(r'"whsec_[\w+/=]+"'), '"whsec_…"'),
    (re.compile(r"\beyJ[\w.-]+"), "jws…"),
    (re.compile(r'"signature": "[\w-]{86}"'), '"signature": "…"'),
)

# --- the fields of the contract --------------------------------------------------

_ITEM = {
    "id": 0,
    "version": 0,
    "type": 0,
    "stem_html": 0,
    "options": [{"id": 0, "html": 0}],
    "stimulus_html": 0,
}
_CURRENT = {"position": 0, "n_items": 0, "revision": 0, "seconds_left": 0, "item": _ITEM}
_NEXT = {"action": 0, "not_before": 0, "tries_used": 0, "tries_left": 0}
_STATUS = {
    "schema": 0, "learner": 0, "sandbox": 0, "course": {"id": 0, "title": 0}, "as_of": 0, "as_known_at": 0,
    "sequence": 0, "state": 0, "passed": 0,
    "decision": {
        "id": 0, "status": 0, "level": 0, "provisional": 0, "source": 0, "assurance": 0, "tested_at": 0,
        "decided_at": 0, "valid_until": 0, "try": 0,
        "score": {"value": 0, "se": 0, "interval_90": 0, "min": 0, "max": 0, "scale": 0},
        "cut": {"value": 0, "version": 0, "status": 0},
        "p_at_or_above_cut": 0, "probability_basis": 0, "rule": 0, "form": 0, "form_accuracy": 0,
        "parameter_set": 0, "engine": 0, "bank_security": 0,
        "alignments": [{"framework": 0, "version": 0, "code": 0}],
        "record_sha256": 0, "supersedes": 0, "change_reason": 0, "url": 0,
    },
    "pending": 0, "next": _NEXT,
}  # fmt: skip
_ELIGIBILITY = {
    "schema": 0, "subject": {"type": 0, "id": 0}, "sandbox": 0,
    "badge": {"id": 0, "rule_version": 0, "criteria_url": 0}, "as_of": 0, "as_known_at": 0, "sequence": 0,
    "status": 0, "since": 0, "valid_until": 0, "sentence": 0, "progress": {"met": 0, "of": 0},
    "reasons": [{"path": 0, "predicate": 0, "value": 0, "code": 0, "evidence": 0}],
    "missing": [{"path": 0, "predicate": 0, "who": 0, "action": 0, "not_before": 0}],
    "evidence": [{"type": 0, "id": 0, "course": 0, "record_sha256": 0}],
    "award": {"state": 0, "policy_on_loss": 0, "claim_url": 0}, "statement": 0,
}  # fmt: skip
_CHANGE = {
    "type": 0,
    "timestamp": 0,
    "data": {
        "sequence": 0, "subject": {"type": 0, "id": 0}, "course": 0, "badge": 0, "previous": 0, "current": 0,
        "cause": 0, "reason_id": 0, "resource": 0, "snapshot": 0,
    },
}  # fmt: skip
_ASSIGNED = {"course": 0, "opens_at": 0, "closes_at": 0, "time_zone": 0, "cohort": 0}
_MERGE = {
    "merge": 0, "learner": 0, "into": 0, "at": 0, "by": 0, "reason": 0, "undone_at": 0, "undone_by": 0,
    "undone_reason": 0,
}  # fmt: skip
_GIVEN = {"time_multiplier": 0, "untimed": 0, "breaks": 0, "break_minutes": 0, "no_pilot": 0}
_INCIDENT = {
    "id": 0, "kind": 0, "action": 0, "scope": 0, "from": 0, "to": 0, "seconds": 0, "reason": 0, "message": 0,
    "by": 0, "approved_by": 0, "created_at": 0, "done_at": 0, "dry_run": 0,
    "sessions": [{"session": 0, "learner": 0, "course": 0, "state": 0, "seconds": 0, "why": 0}],
}  # fmt: skip
_ELIGIBILITY_MET = {**_ELIGIBILITY, "missing": 0}
_WEBHOOK = {
    "id": 0, "url": 0, "description": 0, "types": 0, "payload": 0, "sandbox": 0, "by": 0, "created_at": 0,
    "disabled_at": 0, "disabled_why": 0, "old_secret_until": 0, "secret": 0,
}  # fmt: skip
_OWN_APPEAL = {
    "id": 0, "kind": 0, "about": 0, "course": 0, "state": 0, "filed_at": 0, "due_at": 0, "closed_at": 0,
    "answer": 0,
}  # fmt: skip
_APPEAL = {
    **_OWN_APPEAL, "learner": 0, "session": 0, "reason": 0, "filed_by": 0, "overdue": 0, "decision": 0,
    "entries": [{"what": 0, "by": 0, "who": 0, "approved_by": 0, "at": 0, "note": 0, "evidence": 0}],
}  # fmt: skip
_ERASURE = {
    "erasure": 0, "learner": 0, "ids": 0, "erased_at": 0, "by": 0, "approved_by": 0, "reason": 0,
    "removed": 0, "dry_run": 0,
}  # fmt: skip
CONTRACT: dict[str, Any] = {
    "session-begun": {
        "session": 0, "token": 0, "url": 0, "form": 0, "release": 0, "expires_at": 0, "current": _CURRENT,
    },
    "session-view": {"session": 0, "state": 0, "current": _CURRENT, "progress": 0, "accommodations": 0},
    "responded": {
        "receipt": {
            "session": 0, "position": 0, "revision": 0, "answer_sha256": 0, "stored_at": 0, "key_id": 0,
            "signature": 0,
        },
        "current": _CURRENT,
        "finished": 0,
    },
    "submitted": {"finished": 0},
    "result": {
        "session": 0, "decision": 0,
        "score": {"value": 0, "low": 0, "high": 0, "min": 0, "max": 0, "cut": 0},
        "objectives": [{"code": 0, "right": 0, "seen": 0}], "next": 0,
    },
    "receipt-verified": {"valid": 0},
    "status-decided": _STATUS,
    "status-calibrated": _STATUS,
    "status-not-started": dict.fromkeys(_STATUS, 0),
    "status-external": dict.fromkeys(_STATUS, 0),
    "status-pending": {**_STATUS, "pending": {"reason": 0, "since": 0}},
    "eligibility-not-eligible": _ELIGIBILITY,
    "eligibility-eligible": _ELIGIBILITY_MET,
    "learner-badges": {"items": [dict.fromkeys(_ELIGIBILITY, 0)], "next": 0},
    "badge": {"alignments": 0, "criterion": 0, "sentence": 0, "rule_version": 0},
    "badge-subjects": {"items": 0, "next": 0},
    "badge-query": {"items": 0, "next": 0},
    "changes": {"items": [_CHANGE], "next": 0},
    "fact": {"id": 0, "source": 0, "t": 0, "subject": 0, "at": 0},
    "fact-voided": {"id": 0, "void_at": 0},
    "learner": {"external_ids": [{"issuer": 0, "subject": 0}], "locale": 0},
    "learner-found": {"items": 0, "next": 0},
    "decision": {"record": 0, "record_sha256": 0},
    "activation": {"release": 0, "approved_by": 0, "reason": 0},
    "incident": _INCIDENT,
    "incident-dry-run": _INCIDENT,
    "incidents": {"items": [{**_INCIDENT, "sessions": 0}], "next": 0},
    "accommodations": {"learner": 0, "given": _GIVEN, "until": 0, "open_request": 0, "history": [{"by": 0}]},
    "session-accommodations": {"extra_seconds": 0, **_GIVEN},
    "session-on-break": {"current": 0, "on_break": {"since": 0, "ends_at": 0}, "breaks_left": 0},
    "invigilator-code": {"id": 0, "course": 0, "from": 0, "to": 0, "by": 0, "code": 0},
    "problem": {
        "type": 0, "title": 0, "status": 0, "detail": 0, "code": 0, "instance": 0, "request_id": 0,
        "errors": [{"path": 0, "code": 0, "message": 0}],
    },
    "problem-retake": {"code": 0, "not_before": 0},
    # Added since: learners, cohorts, rosters, codes.
    "cohort": {"id": 0, "title": 0, "courses": [_ASSIGNED], "n_learners": 0},
    "cohort-list": {"items": [{"id": 0}], "next": 0},
    "cohort-learners": {"items": [{"id": 0}], "next": 0},
    "assigned": {"items": [_ASSIGNED], "next": 0},
    "roster": {
        "lines": [{"row": 0, "learner": 0, "state": 0, "changes": 0}], "cohorts": 0, "left": 0, "faults": 0,
        "written": 0,
    },
    "roster-faulty": {"faults": [{"row": 0, "field": 0, "message": 0}], "written": 0},
    "codes": {"items": [{"learner": 0, "code": 0, "url": 0, "expires_at": 0}], "next": 0},
    "problem-window": {"code": 0, "not_before": 0},
    "merged": _MERGE,
    "learner-merged": {"id": 0, "external_ids": 0, "merged_ids": 0},
    "status-merged": dict.fromkeys(_STATUS, 0),
    "changes-merged": {"items": [_CHANGE], "next": 0},
    "unmerged": _MERGE,
    "webhook-made": _WEBHOOK,
    "webhooks": {"items": [_WEBHOOK], "next": 0},
    "webhook-deliveries": {
        "items": [{
            "id": 0, "sequence": 0, "type": 0, "subject": 0, "state": 0, "attempts": 0, "next_at": 0,
            "delivered_at": 0, "status": 0, "error": 0,
        }],
        "next": 0,
    },
    "webhook-replayed": {"replayed": 0},
    "claim-redeemed": {
        "claim": 0, "learner": 0, "badge": 0, "redeemed_at": 0, "eligibility": _ELIGIBILITY_MET,
    },
    "credential": {
        "id": 0, "learner": 0, "badge": 0, "sandbox": 0, "issued_at": 0, "valid_until": 0, "credential": 0,
        "status_list": 0, "assertion": {"recipient": 0, "badge": 0, "verification": 0},
    },
    # Added since: results that are held, appeals, erasure.
    "status-held": {**_STATUS, "decision": {"score": 0}, "pending": {"reason": 0, "sentence": 0}},
    "result-held": {"decision": {"status": 0}, "score": 0, "pending": {"reason": 0, "since": 0}},
    "results-dry-run": {"kind": 0, "affected": 0, "rescored": 0, "excluded": 0, "difference": 0, "moves": 0},
    "appeal-filed": _OWN_APPEAL,
    "own-appeals": {"items": [_OWN_APPEAL], "next": 0},
    "appeal": _APPEAL,
    "appeals": {"items": [_APPEAL], "next": 0},
    "status-appealed": {**_STATUS, "decision": {"source": 0, "supersedes": 0, "change_reason": 0}},
    "problem-notes": {"items": [{"session": 0, "at": 0, "position": 0, "note": 0}], "next": 0},
    "erased": _ERASURE,
    "erasures": {"items": [_ERASURE], "next": 0},
}  # fmt: skip

CODES: dict[int, set[str]] = {
    400: {"malformed_json", "invalid_cursor"},
    401: {"credentials_missing", "credentials_invalid", "credentials_expired"},
    403: {"scope_missing", "consent_missing", "source_not_authorised", "role_not_allowed", "sandbox_only"},
    404: {
        "learner_unknown", "course_unknown", "badge_unknown", "form_unknown", "session_unknown",
        "decision_unknown", "webhook_unknown", "cohort_unknown", "rescore_unknown", "appeal_unknown",
        "not_finished", "credential_unknown", "status_list_unknown",
    },
    409: {
        "idempotency_conflict", "answer_conflict", "position_conflict", "stale_session", "session_finished",
        "session_void", "retake_too_early", "tries_exhausted", "form_not_active", "fact_id_conflict",
        "window_closed", "break_refused", "rescore_refused", "appeal_refused",
        "not_eligible", "claim_used", "not_confirmable",
    },
    410: {"learner_erased", "session_expired", "cursor_expired", "claim_expired"},
    412: {"precondition_failed"},
    413: {"body_too_large"},
    415: {"media_type_unsupported"},
    422: {
        "field_invalid", "field_unknown", "item_not_offered", "answer_malformed", "time_in_future",
        "date_invalid", "rule_invalid", "rule_cycle", "url_refused", "claim_invalid",
    },
    429: {"rate_limited"},
    500: {"internal_error"},
    # Of the first three nothing was stored; of the last nobody can say yet.
    503: {"overloaded", "starting", "storage_unavailable", "outcome_unknown"},
}  # fmt: skip


def missing_fields(contract: Any, body: Any, path: str = "") -> list[str]:
    """Paths that the contract has and the body has not."""
    if isinstance(contract, dict):
        if not isinstance(body, dict):
            return [path or "(the body)"]
        return [
            gap
            for name, inner in contract.items()
            for gap in (
                [f"{path}.{name}"]
                if name not in body
                else missing_fields(inner, body[name], f"{path}.{name}")
            )
        ]
    if isinstance(contract, list):
        if not isinstance(body, list) or not body:
            return [f"{path}[0]"]
        return [
            gap for n, entry in enumerate(body) for gap in missing_fields(contract[0], entry, f"{path}[{n}]")
        ]
    return []


def steady(body: Any) -> str:
    """The body without what is different every time."""
    text = json.dumps(body, indent=1, ensure_ascii=False)
    for pattern, replacement in _RANDOM:
        text = pattern.sub(replacement, text)
    return text + "\n"


def scenario(world: World) -> dict[str, Any]:
    """One learner's way through every route; each body under its name."""
    bodies: dict[str, Any] = {}

    def take(name: str, method: str, path: str, body: Any = None, **options: Any) -> Any:
        answer = world.call(method, path, body, **options)
        bodies[name] = answer.json()
        return bodies[name]

    names = {"external_ids": [{"issuer": "moodle", "subject": "17"}], "locale": "en"}
    take("learner", "PUT", "/v1/learners/lrn_1", names)
    take("learner-found", "GET", "/v1/learners?issuer=moodle&subject=17")
    take("status-not-started", "GET", "/v1/learners/lrn_1/courses/twt-3/status")
    begun = take("session-begun", "POST", "/v1/sessions", {"learner": "lrn_1", "course": "twt-3"})
    session, current = begun["session"], begun["current"]
    world.clock.advance(seconds=20)
    bodies["responded"] = world.respond(session, current, "b").json()
    take(
        "receipt-verified",
        "POST",
        "/v1/receipts/verify",
        {"receipt": bodies["responded"]["receipt"]},
        key=None,
    )
    take("session-view", "GET", f"/v1/sessions/{session}")
    take("problem", "POST", f"/v1/sessions/{session}/responses", {"position": 2, "colour": 1})
    current = bodies["responded"]["current"]
    while current is not None:
        current = world.respond(session, current, "b").json()["current"]
    take("submitted", "POST", f"/v1/sessions/{session}/submit")
    take("result", "GET", f"/v1/sessions/{session}/result")
    decided = take("status-decided", "GET", "/v1/learners/lrn_1/courses/twt-3/status")
    take("decision", "GET", decided["decision"]["url"])
    take("eligibility-not-eligible", "GET", "/v1/learners/lrn_1/badges/BOTH")
    take("problem-retake", "POST", "/v1/sessions", {"learner": "lrn_1", "course": "twt-3"})
    fact = {"id": "d1", "source": "academy", "t": "decision", "subject": "lrn_1", "at": "2026-11-20"}
    take("fact", "POST", "/v1/facts", fact | {"course": "twt-1", "outcome": "pass"})
    take("status-external", "GET", "/v1/learners/lrn_1/courses/twt-1/status")
    take("eligibility-eligible", "GET", "/v1/learners/lrn_1/badges/BOTH")
    take("learner-badges", "GET", "/v1/learners/lrn_1/badges")
    take("badge", "GET", "/v1/badges/BOTH")
    take("badge-subjects", "GET", "/v1/badges/BOTH/subjects")
    take("badge-query", "POST", "/v1/badges/BOTH/query", {"subjects": ["lrn_1", "nobody"]})
    take("fact-voided", "POST", "/v1/facts/d1/void", {"at": "2026-11-21", "reason": "wrong person"})
    take("changes", "GET", "/v1/changes")
    take(
        "activation",
        "POST",
        "/v1/activations",
        {"release": begun["release"], "approved_by": "B", "reason": "again"},
    )
    cut = {"status": "adopted", "panel": "panel-1"}
    world.activate(synthetic.document(calibrated=True, n_items=20, form={"id": "x-cal"}, cut=cut))
    world.learner("lrn_2")
    world.sit("lrn_2", form="x-cal")
    take("status-calibrated", "GET", "/v1/learners/lrn_2/courses/twt-3/status")
    pending = {"state": "pending"}
    take("status-pending", "PUT", "/v1/sandbox/learners/lrn_3/courses/twt-3", pending, key="test")
    failed = world.begin(world.learner("lrn_4"))["session"]
    world.call("POST", f"/v1/sessions/{failed}/submit")
    take("problem-retake", "POST", "/v1/sessions", {"learner": "lrn_4", "course": "twt-3"})
    people(world, take)
    sitting(world, take)
    defending(world, take)
    platform(world, take)
    return bodies


def people(world: World, take: Callable[..., Any]) -> None:
    """Cohorts, rosters, codes, and two records of one person."""
    window = {
        "course": "twt-3",
        "from": "2026-11-23T09:00",
        "to": "2026-11-24",
        "time_zone": "Africa/Nairobi",
    }
    take("cohort", "PUT", "/v1/cohorts/c1", {"title": "Class of spring", "courses": [window]})
    line = {"row": 2, "learner": "lrn_5", "cohort": "c1", "locale": "fr"}
    take("roster", "POST", "/v1/roster", {"rows": [line]})
    bad = {"row": 3, "learner": "lrn_6", "courses": ["twt-9"]}
    take("roster-faulty", "POST", "/v1/roster", {"rows": [bad], "dry_run": True})
    take("cohort-list", "GET", "/v1/cohorts")
    take("cohort-learners", "GET", "/v1/cohorts/c1/learners")
    take("assigned", "GET", "/v1/learners/lrn_5/courses")
    take("codes", "POST", "/v1/cohorts/c1/codes", {"days": 30})
    take("problem-window", "POST", "/v1/sessions", {"learner": "lrn_5", "course": "twt-3"})
    before = world.call("GET", "/v1/changes?limit=1000").json()["items"][-1]["data"]["sequence"]
    take("merged", "POST", "/v1/learners/lrn_1/merge", {"into": "lrn_5", "reason": "registered twice"})
    take("learner-merged", "GET", "/v1/learners/lrn_1")
    take("status-merged", "GET", "/v1/learners/lrn_1/courses/twt-3/status")
    take("changes-merged", "GET", f"/v1/changes?after={before}")
    take("unmerged", "POST", "/v1/learners/lrn_1/unmerge", {"reason": "two people"})


def sitting(world: World, take: Any) -> None:
    """What happens around a sitting: accommodations, a break, an incident, a code."""
    world.learner("lrn_7")
    given = {"time_multiplier": 1.25, "breaks": 2, "break_minutes": 10}
    take("accommodations", "PUT", "/v1/learners/lrn_7/accommodations", given)
    session = world.begin("lrn_7")["session"]
    world.clock.advance(minutes=20)
    more = given | {"time_multiplier": 1.5}
    take("session-accommodations", "POST", f"/v1/sessions/{session}/accommodations", more)
    take("session-on-break", "POST", f"/v1/sessions/{session}/break")
    declared = {
        "action": "add_time",
        "scope": {"sessions": [session]},
        "from": "2026-11-22T12:00:00Z",
        "to": "2026-11-22T12:10:00Z",
        "reason": "a fire drill",
        "message": "The alarm was a drill.",
        "seconds": 600,
    }
    take("incident-dry-run", "POST", "/v1/incidents", declared | {"dry_run": True})
    take("incident", "POST", "/v1/incidents", declared)
    take("incidents", "GET", "/v1/incidents")
    window = {"course": "twt-3", "from": "2026-11-22T12:00:00Z", "to": "2026-11-22T18:00:00Z"}
    take("invigilator-code", "POST", "/v1/invigilator-codes", window)


def platform(world: World, take: Any) -> None:
    """What a badge platform is told, and what a learner takes to one."""
    made = take("webhook-made", "POST", "/v1/webhooks", {"url": "https://93.184.215.14/hook"})
    take("webhooks", "GET", "/v1/webhooks")
    fact = {"source": "us", "t": "attended", "subject": "lrn_4", "at": "2026-11-01", "event": "e1"}
    world.call("POST", "/v1/facts", {"id": "a1", **fact})
    take("webhook-deliveries", "GET", f"/v1/webhooks/{made['id']}/deliveries")
    take("webhook-replayed", "POST", f"/v1/webhooks/{made['id']}/replay?after=0")
    world.activate(programme(claim_url="https://badges.example/claim"))
    own = learners.own_scope("default", "lrn_4", sandbox=False)
    assert world.client.portal is not None
    begun = world.client.portal.call(lambda: claims.begin(world.services, own, badge="SEEN"))
    token = begun.address.partition("token=")[2]
    take("claim-redeemed", "POST", "/v1/claims/redeem", {"token": token})
    named = replace(world.services.settings, public_url="https://assess.example")
    world.app.state.services = replace(world.services, settings=named)
    take("credential", "GET", "/v1/learners/lrn_4/badges/SEEN/credential")


def defending(world: World, take: Any) -> None:
    """Held results, an appeal that is upheld, a note, an erasure."""
    world.learner("lrn_8")
    session = world.sit("lrn_8", "a")
    filed = take(
        "appeal-filed", "POST", "/v1/learners/lrn_8/appeals", {"session": session, "reason": "Item 3."}
    )
    appeal = f"/v1/appeals/{filed['id']}"
    seen = {"note": "Item 3 has two right answers.", "who": "Dr. A.", "evidence": ["a review of item 3"]}
    world.call("POST", f"{appeal}/looks", seen)
    answer = {"outcome": "upheld", "answer": "You were right.", "evidence": ["minutes"], "status": "passed"}
    take("appeal", "POST", f"{appeal}/decide", answer)
    take("appeals", "GET", "/v1/appeals")
    take("own-appeals", "GET", "/v1/learners/lrn_8/appeals")
    take("status-appealed", "GET", "/v1/learners/lrn_8/courses/twt-3/status")
    world.run(problem_notes.report, world.admin, session, note="The page was white.")
    take("problem-notes", "GET", "/v1/problem-notes")
    held = {"version": 9, "release": "after_standard"}
    world.activate(synthetic.document(with_case_set=True, form=held))
    world.learner("lrn_9")
    session = world.sit("lrn_9")
    take("status-held", "GET", "/v1/learners/lrn_9/courses/twt-3/status")
    take("result-held", "GET", f"/v1/sessions/{session}/result")
    adopted = {"status": "adopted", "panel": "x-panel.v1"}
    world.activate(synthetic.document(with_case_set=True, form={"version": 10}, cut=adopted))
    take("results-dry-run", "POST", "/v1/forms/x-fixed/results", {"dry_run": True})
    take("erased", "POST", "/v1/learners/lrn_8/erase", {"reason": "asked for it"})
    take("erasures", "GET", "/v1/erasures")


@pytest.fixture(scope="module")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    (found,) = map(scenario, open_world(settings(tmp_path_factory.mktemp("golden")), Clock()))
    return found


@pytest.mark.parametrize("name", CONTRACT)
def test_a_body_has_every_field_of_the_contract(bodies: dict[str, Any], name: str) -> None:
    assert missing_fields(CONTRACT[name], bodies[name]) == []


@pytest.mark.parametrize("name", CONTRACT)
def test_a_body_equals_its_golden_file(bodies: dict[str, Any], name: str) -> None:
    path, found = GOLDEN / f"{name}.json", steady(bodies[name])
    if WRITE:
        path.write_text(found, encoding="utf-8")
    assert found == path.read_text(encoding="utf-8")


def test_postgresql_gives_the_same_bodies(pg_url: str, tmp_path: Path) -> None:
    (found,) = map(scenario, open_world(settings(tmp_path, database_url=pg_url), Clock()))
    for name, body in found.items():
        assert steady(body) == (GOLDEN / f"{name}.json").read_text(encoding="utf-8"), name


def test_every_golden_file_has_a_body(bodies: dict[str, Any]) -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(bodies) == set(CONTRACT)


def test_every_error_has_a_status_and_a_code_of_the_contract() -> None:
    for kind, (status, code, _) in PROBLEMS.items():
        assert code is None or code in CODES[status], kind


def test_every_error_of_the_package_that_a_request_can_meet_is_in_the_table() -> None:
    from assess import errors

    inside = {errors.AssessError, errors.SessionRefusal}
    shell = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.SessionRefusal)
    ]
    assert [kind for kind in shell if kind not in PROBLEMS and kind not in inside] == []
