"""Every route against every kind of key: what a scope opens, and that strangers learn and change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from assess.delivery.service import activations, keys
from assess.delivery.service.context import SCOPES
from assess.delivery.store import reading
from tests.delivery.conftest import open_world
from tests.delivery.world import Clock, World, refused
from tests.delivery.world import settings as world_settings

D, R, A, M = SCOPES
ANY = frozenset(SCOPES)
PUBLIC: frozenset[str] = frozenset()
"""What is answered to whoever asks."""
OURS = "OUR-"
"""Stands in all that was written for the tenant, and in nothing that somebody else is told."""

_HOURS = {"from": "2026-11-22T09:00:00Z", "to": "2026-11-22T09:10:00Z"}
_FACT = {"source": "lms", "t": "attended", "subject": "lrn_1", "event": "e2", "at": "2026-11-20"}
_WORDS = {"reason": "x"}
# What one scope alone does not open.
BOTH = {"POST /v1/webhooks": frozenset({M, R})}

TABLE: dict[str, tuple[frozenset[str], Any]] = {
    "POST /v1/sessions": (frozenset({D}), {"learner": "lrn_1", "form": "x-fixed"}),
    "GET /v1/sessions/{session}": (frozenset({D}), None),
    "GET /v1/sessions/{session}/items/{position}": (frozenset({D}), None),
    "POST /v1/sessions/{session}/responses": (
        frozenset({D}),
        {"position": 1, "item": "x-001", "revision": 1, "answer": "a"},
    ),
    "POST /v1/sessions/{session}/submit": (frozenset({D}), None),
    "POST /v1/sessions/{session}/extend": (frozenset({D}), {}),
    "POST /v1/sessions/{session}/break": (frozenset({D}), None),
    "POST /v1/sessions/{session}/break/end": (frozenset({D}), None),
    "GET /v1/sessions/{session}/result": (frozenset({D}), None),
    "POST /v1/receipts/verify": (
        PUBLIC,
        {
            "receipt": dict.fromkeys(("session", "answer_sha256", "stored_at", "key_id", "signature"), "x")
            | {"position": 1, "revision": 1}
        },
    ),
    "PUT /v1/learners/{learner}": (frozenset({D, M}), {"external_ids": []}),
    "GET /v1/learners/{learner}": (frozenset({D, R, M}), None),
    "GET /v1/learners?issuer=i&subject=OUR-SUBJECT": (frozenset({D, R, M}), None),
    "POST /v1/learners/{learner}/merge": (frozenset({M}), {"into": "lrn_2"} | _WORDS),
    "POST /v1/learners/{learner}/unmerge": (frozenset({M}), _WORDS),
    "GET /v1/learners/{learner}/courses/{course}/status": (frozenset({R}), None),
    "GET /v1/learners/{learner}/badges": (frozenset({R}), None),
    "GET /v1/learners/{learner}/badges/{badge}": (frozenset({R}), None),
    "GET /v1/learners/{learner}/badges/{badge}/credential": (frozenset({R}), None),
    "GET /v1/decisions/{decision}": (frozenset({R}), None),
    "POST /v1/learners/{learner}/erase": (frozenset({M}), {"dry_run": True} | _WORDS),
    "GET /v1/erasures": (frozenset({M}), None),
    "POST /v1/facts": (frozenset({A}), {"id": "f2"} | _FACT),
    "POST /v1/facts/import": (frozenset({A}), {"rows": [{"row": 1, "fact": {"id": "f3"} | _FACT}]}),
    "POST /v1/facts/{fact}/void": (frozenset({A}), {"at": "2026-11-21"} | _WORDS),
    "PUT /v1/sandbox/learners/{learner}/courses/{course}": (ANY, {"state": "passed"}),
    "PUT /v1/cohorts/{cohort}": (frozenset({M}), {"title": "OUR-COHORT"}),
    "GET /v1/cohorts/{cohort}": (frozenset({M}), None),
    "GET /v1/cohorts": (frozenset({M}), None),
    "GET /v1/cohorts/{cohort}/learners": (frozenset({M}), None),
    "PUT /v1/cohorts/{cohort}/learners/{learner}": (frozenset({M}), None),
    "DELETE /v1/cohorts/{cohort}/learners/{learner}": (frozenset({M}), None),
    "POST /v1/cohorts/{cohort}/codes": (frozenset({M}), {}),
    "POST /v1/roster": (frozenset({M}), {"rows": [{"row": 1, "learner": "lrn_1"}], "dry_run": True}),
    "PUT /v1/learners/{learner}/courses": (frozenset({M}), {"courses": []}),
    "GET /v1/learners/{learner}/courses": (frozenset({D, R, M}), None),
    "GET /v1/badges": (ANY, None),
    "GET /v1/badges/{badge}": (ANY, None),
    "GET /v1/badges/{badge}/subjects": (frozenset({R}), None),
    "POST /v1/badges/{badge}/query": (frozenset({R}), {"subjects": ["lrn_1"]}),
    "POST /v1/claims/redeem": (frozenset({R}), {"token": "a.b.c"}),
    "POST /v1/badges/{badge}/try": (frozenset({M}), {"document": {}}),
    "GET /v1/usage": (frozenset({M}), None),
    "GET /v1/changes": (frozenset({R}), None),
    "POST /v1/activations": (frozenset({M}), {"release": "{release}"} | _WORDS),
    "GET /v1/rescores": (frozenset({M}), None),
    "POST /v1/rescores": (frozenset({M}), {"onto": "{release}", "dry_run": True} | _WORDS),
    "POST /v1/what-if": (frozenset({M}), {"programme": {}}),
    "POST /v1/forms/{form}/results": (frozenset({M}), {"dry_run": True} | _WORDS),
    "GET /v1/rescores/{rescore}": (frozenset({M}), None),
    "POST /v1/placements": (frozenset({D}), {"learner": "lrn_1", "programme": "teaching-with-technology"}),
    "GET /v1/placements/{placement}": (frozenset({D, R}), None),
    "POST /v1/placements/{placement}/next": (frozenset({D}), None),
    "GET /v1/incidents": (frozenset({M}), None),
    "POST /v1/incidents": (
        frozenset({M}),
        {"action": "add_time", "scope": {"tenant": True}, "dry_run": True} | _WORDS | _HOURS,
    ),
    "GET /v1/incidents/{incident}": (frozenset({M}), None),
    "PUT /v1/learners/{learner}/accommodations": (frozenset({M}), {"time_multiplier": 1.5}),
    "GET /v1/learners/{learner}/accommodations": (frozenset({D, M}), None),
    "POST /v1/sessions/{session}/accommodations": (frozenset({M}), {"time_multiplier": 1.5}),
    "GET /v1/invigilator-codes": (frozenset({M}), None),
    "POST /v1/invigilator-codes": (
        frozenset({M}),
        {"course": "twt-3"} | _HOURS | {"to": "2026-11-22T15:00:00Z"},
    ),
    "POST /v1/invigilator-codes/{code}/revoke": (frozenset({M}), None),
    "GET /v1/webhooks": (frozenset({M}), None),
    "POST /v1/webhooks": (frozenset({M, R}), {"url": "https://127.0.0.1/"}),
    "GET /v1/webhooks/{webhook}": (frozenset({M}), None),
    "PATCH /v1/webhooks/{webhook}": (frozenset({M}), {"disabled": True}),
    "POST /v1/webhooks/{webhook}/rotate": (frozenset({M}), None),
    "POST /v1/webhooks/{webhook}/test": (frozenset({M}), None),
    "GET /v1/webhooks/{webhook}/deliveries": (frozenset({M}), None),
    "POST /v1/webhooks/{webhook}/replay?after=0": (frozenset({M}), None),
    "DELETE /v1/webhooks/{webhook}": (frozenset({M}), None),
    "POST /v1/learners/{learner}/appeals": (frozenset({D, M}), {"badge": "BOTH"} | _WORDS),
    "GET /v1/learners/{learner}/appeals": (frozenset({D, R, M}), None),
    "GET /v1/appeals": (frozenset({M}), None),
    "GET /v1/appeals/{appeal}": (frozenset({M}), None),
    "POST /v1/appeals/{appeal}/looks": (frozenset({M}), {"note": "x"}),
    "POST /v1/appeals/{appeal}/decide": (frozenset({M}), {"outcome": "rejected", "answer": "x"}),
    "GET /v1/appeals/{appeal}/packet": (frozenset({M}), None),
    "GET /v1/problem-notes": (frozenset({M}), None),
}
"""Each route with the scopes of which one is enough, and a body that it takes."""


@dataclass
class Site:
    """A world in which something of everything exists, and what it is called."""

    world: World
    known: dict[str, str]

    def ask(self, label: str, key: str | None) -> Any:
        """One request of the table."""
        method, _, path = label.partition(" ")
        body = TABLE[label][1]
        if isinstance(body, dict):
            body = {
                name: self.known["release"] if value == "{release}" else value for name, value in body.items()
            }
        return self.world.call(method, path.format(**self.known), body, key=key)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    found = world_settings(tmp_path_factory.mktemp("scopes"), public_url="https://a.example")
    for world in open_world(found, Clock()):
        person = {"external_ids": [{"issuer": "i", "subject": "OUR-SUBJECT"}], "region": "OUR-REGION"}
        assert world.call("PUT", "/v1/learners/lrn_1", person).status_code == 201
        done = world.sit()
        world.learner("lrn_2")
        status = world.call("GET", "/v1/learners/lrn_1/courses/twt-3/status").json()
        appeal = {"session": done, "reason": "OUR-DOUBT"}
        incident = {"action": "add_time", "scope": {"tenant": True}, "reason": "OUR-STORM"} | _HOURS
        code = {"course": "twt-3", "cohort": "OUR-COHORT"} | _HOURS | {"to": "2026-11-22T15:00:00Z"}
        made = {
            "appeal": world.call("POST", "/v1/learners/lrn_1/appeals", appeal),
            "incident": world.call("POST", "/v1/incidents", incident),
            "code": world.call("POST", "/v1/invigilator-codes", code),
            "webhook": world.call(
                "POST", "/v1/webhooks", {"url": "https://93.184.215.14/", "description": "OUR-HOOK"}
            ),
            "cohort": world.call("PUT", "/v1/cohorts/c1", {"title": "OUR-COHORT"}),
        }
        assert {name: reply.status_code for name, reply in made.items()} == dict.fromkeys(made, 201)
        world.call("PUT", "/v1/cohorts/c1/learners/lrn_1")
        world.call("POST", "/v1/facts", {"id": "f1"} | _FACT | {"event": "OUR-EVENT"})
        release = world.ask(reading.activations, "default")[1].release
        rescore = world.call("POST", "/v1/rescores", {"onto": release, "reason": "OUR-ERROR"})
        assert rescore.status_code == 202
        open_ = world.begin("lrn_1", form="x-adaptive")
        known = {name: reply.json()["id"] for name, reply in made.items()} | {
            "learner": "lrn_1",
            "session": open_["session"],
            "position": "1",
            "course": "twt-3",
            "badge": "ONE",
            "form": "x-fixed",
            "fact": "f1",
            "decision": status["decision"]["id"],
            "release": release,
            "rescore": rescore.json()["rescore"],
            "placement": "plc_x",
        }
        for scope in SCOPES:
            world.keys[scope] = world.key(scope)
        world.keys["both"] = world.key(M, R)
        other = keys.local("other", "test")
        world.run(activations.set_tenant, other, title="Other")
        _, world.keys["other"] = world.run(keys.create, other, name="k", scopes=SCOPES)
        yield Site(world, known)


def test_the_table_has_every_route_of_the_document(site: Site) -> None:
    document = site.world.client.get("/v1/openapi.json").json()
    routes = {f"{method.upper()} {path}" for path, found in document["paths"].items() for method in found}
    assert {label.partition("?")[0] for label in TABLE} == routes


def test_a_key_without_the_scope_is_refused_before_anything_is_looked_up(site: Site) -> None:
    """Whatever else is wrong with the request, or whether what it names exists, is not said either."""
    for label, (enough, _) in TABLE.items():
        wanted = [scope for scope in SCOPES if scope not in enough or label in BOTH] if enough else []
        for scope in wanted:
            answer = site.ask(label, scope)
            assert (label, scope, answer.status_code) == (label, scope, 403), answer.text
            refused(answer, 403, "scope_missing")


def test_nobody_is_answered_without_a_key_but_where_whoever_asks_is(site: Site) -> None:
    for label, (enough, _) in TABLE.items():
        for key, code in ((None, "credentials_missing"), ("ask_live_none", "credentials_invalid")):
            answer = site.ask(label, key)
            if enough:
                assert (label, answer.status_code, answer.json()["code"]) == (label, 401, code)
            else:
                assert (label, answer.status_code) == (label, 200)


@pytest.mark.parametrize("key", ["other", "test"])
def test_another_tenants_key_and_a_test_key_learn_and_change_nothing(site: Site, key: str) -> None:
    before = _everything(site)
    own = {"PUT /v1/learners/{learner}", "PUT /v1/cohorts/{cohort}"}
    # What makes something comes last: a tenant may have a learner and a cohort of the same names.
    for label in sorted(TABLE, key=own.__contains__):
        answer = site.ask(label, key)
        assert answer.status_code < 500, (label, answer.text)
        named = {part for part in site.known if f"{{{part}}}" in label}
        if answer.status_code < 300:
            # What exists for nobody but its tenant, or its side of the sandbox, is not there.
            assert label in own or not named - {"course", "badge", "form", "learner"}, (label, answer.text)
            theirs = answer.text.replace("OUR-COHORT", "") if label in own else answer.text
            assert OURS not in theirs, (label, answer.text)
        else:
            assert OURS not in answer.text.replace(answer.json()["instance"], ""), (label, answer.text)
    assert _everything(site) == before


def test_another_learners_token_opens_its_own_session_and_nothing_else(site: Site) -> None:
    before = _everything(site)
    begun = site.world.begin("lrn_2", form="x-fixed")
    for label, (enough, _) in TABLE.items():
        answer = site.ask(label, begun["token"])
        if enough in (ANY, PUBLIC) and "sandbox" not in label:
            assert answer.status_code == 200
            continue
        assert (label, answer.status_code) in {(label, 403), (label, 404)}, (label, answer.text)
        assert OURS not in answer.text
    own = f"/v1/sessions/{begun['session']}"
    assert site.world.call("GET", own, key=begun["token"]).status_code == 200
    assert _everything(site) == before


def test_a_sandbox_learners_token_forces_no_state(site: Site) -> None:
    site.world.learner("lrn_s", key="test")
    token = site.world.begin("lrn_s", key="test")["token"]
    path = "/v1/sandbox/learners/lrn_s/courses/twt-3"
    refused(site.world.call("PUT", path, {"state": "passed"}, key=token), 403, "scope_missing")


def test_a_key_with_a_scope_gets_past_the_door(site: Site) -> None:
    """The last test of the file: what it asks for is done."""
    for label, (enough, _) in TABLE.items():
        for scope in ("both",) if label in BOTH else sorted(enough):
            answer = site.ask(label, scope)
            assert answer.status_code < 500, (label, answer.text)
            code = answer.json()["code"] if answer.status_code >= 400 else ""
            assert (label, answer.status_code == 401, code == "scope_missing") == (label, False, False)


def _everything(site: Site) -> list[Any]:
    """What the tenant's own keys are told of all that exists."""
    paths = (
        "learners/lrn_1",
        "learners/lrn_1/accommodations",
        "learners/lrn_1/courses",
        "learners/lrn_1/appeals",
        "cohorts",
        "cohorts/c1/learners",
        "webhooks",
        "incidents",
        "invigilator-codes",
        "appeals",
        "rescores",
        "erasures",
        "changes",
        f"sessions/{site.known['session']}",
    )
    found = [site.world.call("GET", f"/v1/{path}") for path in paths]
    assert [answer.status_code for answer in found] == [200] * len(found)
    return [answer.json() for answer in found]
