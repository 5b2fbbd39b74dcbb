"""A small world for tests of delivery: a programme with two courses, three forms, a clock, and helpers."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from fastapi import FastAPI
from starlette.testclient import TestClient

from assess.delivery.app import create_app
from assess.delivery.service import Scope, Services, activations, keys
from assess.delivery.settings import Settings
from assess.irt.models import ItemParameters
from tests import synthetic

T = TypeVar("T")
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MARK = "SECRET-RATIONALE"


class Clock:
    """A clock that a test moves."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **amount: float) -> None:
        """Move on by a timedelta's keywords."""
        self.now += timedelta(**amount)


def programme(**changes: Any) -> dict[str, Any]:
    """A programme: twt-3 is assessed here, twt-1 elsewhere; a badge for one, for both, and for a fact."""
    return {
        "schema": "assess.programme/1",
        "id": "teaching-with-technology",
        "title": {"en": "Teaching with Technology"},
        "time_zone": "UTC",
        "accept_provisional": True,
        "on_loss": "suspend",
        "courses": {
            "twt-1": {"title": {"en": "Why a framework?"}, "assessed": "external"},
            "twt-3": {
                "title": {"en": "How Do Technology and Pedagogy Mix?", "fr": "Pédagogie"},
                "assessed": "here",
                "default_form": "x-fixed",
            },
        },
        "badges": [
            {"id": "ONE", "rule": {"pass": {"course": "twt-3"}}},
            {
                "id": "BOTH",
                "version": "2",
                "title": {"en": "Both courses"},
                "rule": {"all_of": [{"pass": {"course": "twt-1"}}, {"pass": {"course": "twt-3"}}]},
                "criterion": "Both courses are passed.",
                "criterion_source": "made up",
                "reading": "The current decisions count.",
                "alignments": [{"framework": "unesco-ict-cft", "version": "2", "code": "TL.3"}],
            },
            {"id": "SEEN", "rule": {"fact": {"type": "attended", "where": {"event": "e1"}}}},
        ],
    } | changes


def every_interaction() -> dict[str, Any]:
    """A fixed form with one item of every interaction that is scored at once, and a picture in it."""
    changes: list[dict[str, Any]] = [
        {},
        {"interaction": "multiple_response", "key": ["a", "c"], "scoring": "partial"},
        {"interaction": "ordering", "key": ["c", "a", "b"], "scoring": "partial"},
        {"interaction": "matching", "targets": ["x", "y"], "key": {"a": "x", "b": "y", "c": "x"}},
        {"interaction": "numeric", "options": None, "key": "3.5", "tolerance": "0.1"},
        {"interaction": "short_text", "options": None, "key": ["Creative Commons", "CC"]},
    ]
    document = synthetic.document(n_items=len(changes))
    steps = {"multiple_response": 2, "ordering": 2}
    parameters: list[Any] = []
    for number, change in enumerate(changes, start=1):
        item = document["items"][f"x-{number:03d}.v1"]
        item.update(change)
        text = item["texts"]["en"]
        if item["options"] is None:
            del item["options"], text["options"]
            text["rationales"] = {"key": f"{MARK} key"}
        if "targets" in change:
            text["targets"] = {"x": "The target X", "y": "The target Y"}
        n_steps = steps.get(item["interaction"], 1)
        model = "2PL" if n_steps == 1 else "GPCM"
        difficulty = [0.1 * n for n in range(n_steps)]
        parameters += ItemParameters([f"x-{number:03d}.v1"], model, [1.0], [difficulty]).to_records()
    document["parameter_set"]["items"] = parameters
    document["form"]["id"] = "x-every"
    document["items"]["x-001.v1"]["texts"]["en"]["stem"] = (
        'A stem with <math><mi>x</mi></math> and ![a cat](/static/cat.png).<script>alert("x")</script>'
    )
    return document


DOCUMENTS: tuple[Callable[[], dict[str, Any]], ...] = (
    programme,
    partial(synthetic.document, with_case_set=True),
    partial(synthetic.document, kind="adaptive", n_items=15),
)


@cache
def _documented() -> list[tuple[str, re.Pattern[str], frozenset[str]]]:
    """Method, pattern and statuses of every operation of the OpenAPI document."""
    paths = create_app(Settings()).openapi()["paths"]
    return [
        (method.upper(), re.compile(re.sub(r"\{[^}]+\}", "([^/]+)", path)), frozenset(operation["responses"]))
        for path, operations in paths.items()
        for method, operation in operations.items()
    ]


@dataclass
class World:
    """A running application, its services, its clock, and how to ask it."""

    app: FastAPI
    client: TestClient
    clock: Clock
    admin: Scope
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def services(self) -> Services:
        found: Services = self.app.state.services
        return found

    def run(self, use_case: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:
        """Run a use case in the application's own loop; services and, unless given, scope come first."""
        assert self.client.portal is not None
        return self.client.portal.call(partial(use_case, self.services, *args, **kwargs))

    def ask(self, query: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run one of the store's reading functions."""
        assert self.client.portal is not None
        return self.client.portal.call(partial(self.services.store.read, query, *args, **kwargs))

    def activate(self, document: dict[str, Any]) -> str:
        """Make a document live; its hash."""
        return self.run(activations.activate, self.admin, document=document, reason="for a test").release

    def key(self, *scopes: str, sandbox: bool = False, sources: list[str] | None = None) -> str:
        """A new API key."""
        wanted = scopes or ("deliver", "read-status", "attest", "manage")
        _, secret = self.run(
            keys.create, self.admin, name="test", scopes=wanted, sandbox=sandbox, sources=sources
        )
        return secret

    def call(
        self, method: str, path: str, json: Any = None, *, key: str | None = "live", **headers: str
    ) -> httpx2.Response:
        """One request; `key` is live, test, None, or a token of its own."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            sent["Authorization"] = f"Bearer {self.keys.get(key, key)}"
        answer = self.client.request(method, path, json=json, headers=sent)
        self._require_documented(method, path.partition("?")[0], answer)
        return answer

    def _require_documented(self, method: str, path: str, answer: httpx2.Response) -> None:
        """Every status that a test meets stands in the OpenAPI document."""
        named = [each for each in _documented() if each[0] == method and each[1].fullmatch(path)]
        if not named or answer.status_code == 405:
            return
        # Of two patterns that fit, the one with fewer names of its own is the route.
        _, pattern, statuses = min(named, key=lambda each: each[1].groups)
        assert str(answer.status_code) in statuses, (method, pattern.pattern, answer.status_code, answer.text)

    # --- a learner ---------------------------------------------------------------

    def learner(self, id: str = "lrn_1", *, key: str = "live") -> str:
        """A learner who is known."""
        answer = self.call("PUT", f"/v1/learners/{id}", {"external_ids": []}, key=key)
        assert answer.status_code in (200, 201), answer.text
        return id

    def begin(self, learner: str = "lrn_1", *, form: str = "x-fixed", key: str = "live") -> dict[str, Any]:
        """A new session's reply."""
        answer = self.call("POST", "/v1/sessions", {"learner": learner, "form": form}, key=key)
        assert answer.status_code == 201, answer.text
        begun: dict[str, Any] = answer.json()
        return begun

    def respond(self, session: str, current: dict[str, Any], answer: Any, **options: Any) -> httpx2.Response:
        """Answer what is current."""
        body = {
            "position": current["position"],
            "item": current["item"]["id"],
            "revision": current["revision"],
            "answer": answer,
        }
        return self.call("POST", f"/v1/sessions/{session}/responses", body, **options)

    def sit(
        self,
        learner: str = "lrn_1",
        answer: Any = "b",
        *,
        form: str = "x-fixed",
        key: str = "live",
        stop_after: int | None = None,
    ) -> str:
        """A whole session with the same answer throughout, handed in; its id."""
        begun = self.begin(learner, form=form, key=key)
        session, current, n = begun["session"], begun["current"], 0
        while current is not None and (stop_after is None or n < stop_after):
            stored = self.respond(session, current, answer, key=key)
            assert stored.status_code == 200, stored.text
            current, n = stored.json()["current"], n + 1
        self.call("POST", f"/v1/sessions/{session}/submit", key=key)
        return str(session)


def settings(folder: Path, **changes: Any) -> Settings:
    """Settings of a test: SQLite in a folder, activations seen at once, no work, no heartbeat."""
    given = {
        "database_url": f"sqlite:///{folder / 'assess.db'}",
        "refresh_seconds": 0.0,
        "sweep_seconds": 0.0,
        # A test that moves its clock between two starts would else be given the time back.
        "heartbeat_seconds": 0.0,
        "work_seconds": 0.0,
    }
    return Settings(**{**given, **changes})


def application(found: Settings, clock: Clock) -> FastAPI:
    """The application of a test."""
    return create_app(found, clock=clock)


def refused(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The problem document, checked."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), (
        answer.text
    )
    problem: dict[str, Any] = answer.json()
    assert problem["code"] == code, problem
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["x-request-id"]
    return problem
