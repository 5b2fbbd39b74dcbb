"""The server against its own OpenAPI document: no fault of ours, no undocumented status, no other body."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx2
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from assess.delivery.app import create_app
from assess.delivery.store import reading
from tests.delivery.conftest import open_world
from tests.delivery.world import Clock
from tests.delivery.world import settings as world_settings

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


FACT = {"source": "academy", "t": "attended", "subject": "lrn_1", "event": "e", "at": "2026-11-20"}
CODE_HOURS = {"from": "2026-11-22T09:00:00Z", "to": "2026-11-22T15:00:00Z"}
WHOLE = {"/v1/facts": {"id": "f9", **FACT}}
"""Bodies of which the document says less than the server asks for."""


@dataclass
class Site:
    """A running server in which things happened, and the ids of those."""

    url: str
    keys: list[str]
    known: dict[str, list[Any]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, seeded: tuple[Path, dict[str, str]]) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("openapi")
    shutil.copyfile(seeded[0], folder / "assess.db")
    found = world_settings(folder, webhook_networks=(ip_network("127.0.0.0/8"),))
    known: dict[str, list[Any]] = {}
    for world in open_world(found, Clock(), seeded[1]):
        done = world.sit(world.learner("lrn_1"))
        begun = world.begin("lrn_1", form="x-adaptive")
        other = world.begin(world.learner("lrn_2"))
        assert world.call("POST", "/v1/facts", {"id": "f1", **FACT}).status_code == 201
        decision = world.call("GET", "/v1/learners/lrn_1/courses/twt-3/status").json()["decision"]["id"]
        appealed = {"decision": decision, "reason": "I think that I passed"}
        appeal = world.call("POST", "/v1/learners/lrn_1/appeals", appealed)
        hours = {"from": "2026-11-22T09:00:00Z", "to": "2026-11-22T09:10:00Z"}
        incident = world.call(
            "POST",
            "/v1/incidents",
            {"action": "add_time", "scope": {"course": "twt-3"}, "reason": "a power cut", **hours},
        )
        code = world.call("POST", "/v1/invigilator-codes", {"course": "twt-3", **CODE_HOURS})
        hook = world.call("POST", "/v1/webhooks", {"url": "https://127.0.0.1:9/hook"})
        cohort = world.call("PUT", "/v1/cohorts/c1", {"title": "Class"})
        known = {
            "learner": ["lrn_1", "lrn_2"],
            "subject": ["lrn_1"],
            "subjects": [["lrn_1", "nobody"]],
            "session": [done, begun["session"], other["session"]],
            "course": ["twt-3", "twt-1"],
            "form": ["x-fixed", "x-adaptive"],
            "badge": ["ONE", "BOTH"],
            "fact": ["f1"],
            "decision": [decision],
            "position": [1, 2],
            "revision": [1],
            "item": ["x-001", begun["current"]["item"]["id"]],
            "answer": ["a"],
            "at": ["2026-11-21", "2026-11-21T10:00:00Z"],
            "as_of": ["2026-11-21"],
            "as_known_at": ["2026-11-22T12:00:00Z"],
            "t": ["attended", "points", "decision"],
            "source": ["academy"],
        }
        made = {"appeal": appeal, "incident": incident, "code": code, "webhook": hook, "cohort": cohort}
        assert {name: reply.status_code for name, reply in made.items()} == dict.fromkeys(made, 201)
        known |= {name: [reply.json()["id"]] for name, reply in made.items()}
        known["release"] = [world.ask(reading.activations, "default")[1].release]
        keys = [*[world.keys["live"]] * 5, world.keys["test"], begun["token"], ""]
    # Its clock is the tests', or sessions would have ended long ago.
    config = uvicorn.Config(create_app(found, clock=Clock()), port=0, log_level="critical", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Site(f"http://127.0.0.1:{port}", keys, known)
    server.should_exit = True
    thread.join()


def _told(case: Any, known: dict[str, list[Any]], data: st.DataObject) -> None:
    """Put ids that exist in the place of made-up ones, now and then: else every answer is "unknown"."""
    if case.operation.path in WHOLE and isinstance(case.body, dict) and data.draw(st.booleans()):
        case.body = WHOLE[case.operation.path] | case.body
    bodies = [case.body] if isinstance(case.body, dict) else []
    for values in (case.path_parameters, case.query, *bodies):
        for name in list(values or {}):
            if name in known and data.draw(st.integers(0, 6)) > 0:
                values[name] = data.draw(st.sampled_from(known[name]))


def _ask(site: Site, operation: Any, mode: Any, n_examples: int) -> set[int]:
    """One operation with made-up requests; the statuses that it answered."""
    seen: set[int] = set()

    @settings(
        max_examples=n_examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def ask(data: st.DataObject) -> None:
        case = data.draw(operation.as_strategy(generation_mode=mode))
        _told(case, site.known, data)
        key = data.draw(st.sampled_from(site.keys))
        response = case.call(base_url=site.url, headers={"Authorization": f"Bearer {key}"} if key else {})
        seen.add(response.status_code)
        case.validate_response(response, checks=CHECKS)

    ask()
    return seen


def _run(site: Site, n_examples: int) -> set[tuple[str, int]]:
    """Every operation with requests that are right, and with some that are not; what was answered."""
    document = httpx2.get(f"{site.url}/v1/openapi.json").json()
    found: Any = schemathesis.openapi.from_dict(document)
    operations = [each.ok() for each in found.get_all_operations()]
    return {
        (operation.label, status)
        for operation in operations
        for mode in schemathesis.GenerationMode
        # Nothing is wrong about a request whose only part is a text in its address.
        if mode is schemathesis.GenerationMode.POSITIVE or operation.body or len(operation.query)
        for status in _ask(site, operation, mode, n_examples)
    }


def _well_covered(seen: set[tuple[str, int]]) -> None:
    """The requests got somewhere: most operations did what was asked at least once."""
    operations = {label for label, _ in seen}
    done = {label for label, status in seen if status < 300}
    assert len(done) >= 0.6 * len(operations), sorted(operations - done)
    assert {status for _, status in seen} >= {200, 401, 404, 422}


def test_the_server_keeps_to_its_own_openapi_document(site: Site) -> None:
    _well_covered(_run(site, 8))


@pytest.mark.verify
@pytest.mark.timeout(3600)
def test_the_server_keeps_to_its_own_openapi_document_at_length(site: Site) -> None:
    from tests.verification import record

    seen = _run(site, 300)
    _well_covered(seen)
    n_operations = len({label for label, _ in seen})
    record(
        "requests made up from the OpenAPI document",
        f"{n_operations} operations, 300 requests that are right and 300 that are not of each; no 5xx, no "
        f"undocumented status, no body unlike its schema; met: {sorted({status for _, status in seen})}",
        seed="derandomized",
    )
