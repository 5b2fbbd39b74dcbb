"""The hot route in front of the application answers as the long way does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.delivery.world import World


@pytest.fixture(params=["short", "long"])
def way(request: pytest.FixtureRequest, world: World) -> Any:
    """The world with the shortcut, and without."""
    if request.param == "long":
        world.app._shortcut = None  # type: ignore[attr-defined]
    return world


HEADERS = (
    "content-type",
    "content-security-policy",
    "x-content-type-options",
    "cache-control",
    "referrer-policy",
)


def test_a_stored_answer_has_the_headers_of_every_reply(way: World) -> None:
    way.learner()
    begun = way.begin()
    reply = way.respond(begun["session"], begun["current"], "b")
    assert reply.status_code == 200
    assert all(reply.headers[name] for name in HEADERS)
    assert reply.headers["x-request-id"].startswith("req_")
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("headers", "content", "status", "code"),
    [
        ({}, b"{", 400, "malformed_json"),
        ({"Content-Type": "text/plain"}, b"{}", 415, "media_type_unsupported"),
        ({}, b"{}", 422, "field_invalid"),
        ({"Authorization": "Bearer wrong"}, b"{}", 401, "credentials_invalid"),
        ({"Authorization": "Basic x"}, b"{}", 401, "credentials_missing"),
        ({}, b"x" * 2_000_000, 413, "body_too_large"),
        ({"Idempotency-Key": "a b"}, None, 422, "field_invalid"),
    ],
)
def test_a_refusal_is_a_problem_with_the_same_headers(
    way: World, headers: dict[str, str], content: bytes | None, status: int, code: str
) -> None:
    way.learner()
    begun = way.begin()
    if content is None:
        content = b'{"position":1,"item":"x-001","revision":1,"answer":"b"}'
    sent = {"Authorization": f"Bearer {way.keys['live']}", "Content-Type": "application/json", **headers}
    reply = way.client.post(f"/v1/sessions/{begun['session']}/responses", content=content, headers=sent)
    assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["request_id"] == reply.headers["x-request-id"]
    assert all(reply.headers[name] for name in HEADERS)


def test_a_body_in_several_pieces_is_one_body(way: World) -> None:
    way.learner()
    begun = way.begin()
    pieces = (piece for piece in (b'{"position":1,"item":"x-001",', b'"revision":1,', b'"answer":"b"}'))
    sent = {"Authorization": f"Bearer {way.keys['live']}", "Content-Type": "application/json"}
    reply = way.client.post(f"/v1/sessions/{begun['session']}/responses", content=pieces, headers=sent)
    assert reply.status_code == 200


def test_answers_are_counted_under_their_route(way: World) -> None:
    way.learner()
    begun = way.begin()
    way.respond(begun["session"], begun["current"], "b")
    figures = way.call("GET", "/metrics", key=None).text
    route = 'route="POST /v1/sessions/{session}/responses"'
    assert f'assess_requests_total{{{route},status="200"}} 1.0' in figures
    assert f'assess_request_seconds_bucket{{le="+Inf",{route}}} 1.0' in figures
    assert f"assess_request_seconds_count{{{route}}} 1.0" in figures
