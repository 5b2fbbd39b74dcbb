"""The hot routes in front of the application answer as the long way does."""

from __future__ import annotations

from typing import Any

import pytest

from assess.delivery.receipts import rfc3339
from tests.delivery.world import Clock, World, programme


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
    "cross-origin-resource-policy",
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


# --- badges --------------------------------------------------------------------

BADGES: list[dict[str, Any]] = [
    {"id": "ONE", "rule": {"pass": {"course": "twt-3"}}},
    # What the JSON is cut at, as a text of a rule.
    {"id": "ODD", "rule": {"fact": {"type": "seen", "where": {"x": '"as_of":"0001-01-01T00:00:00Z"'}}}},
    {"id": "HELD", "rule": {"held": {"badge": "ONE"}}, "claim_url": "https://example.org/claim"},
]


def both_ways(world: World, path: str, *, key: str | None = "live", **headers: str) -> Any:
    """The reply of the shortcut, after it was found to be that of the long way but for the request's id."""
    shortcut, replies = world.app._shortcut, []  # type: ignore[attr-defined]
    for way in (shortcut, None, shortcut):
        world.app._shortcut = way  # type: ignore[attr-defined]
        if way is None:
            world.services.remembered._entries.clear()
        replies.append(world.call("GET", path, key=key, **headers))
    first, long, again = replies
    for reply in (first, again):
        assert reply.status_code == long.status_code
        assert {**reply.headers, "x-request-id": ""} == {**long.headers, "x-request-id": ""}
        if long.status_code < 400:
            assert reply.content == long.content
        else:
            assert {**reply.json(), "request_id": ""} == {**long.json(), "request_id": ""}
    return first


@pytest.fixture
def badged(world: World) -> World:
    world.activate(programme(badges=BADGES))
    world.learner("p1")
    world.sit("p1")
    return world


def test_badges_are_told_the_same_way(badged: World) -> None:
    for path in ("/badges", "/badges/ONE", "/badges/ODD", "/badges/HELD"):
        reply = both_ways(badged, f"/v1/learners/p1{path}")
        assert reply.status_code == 200
        tag = reply.headers["etag"]
        assert reply.headers["cache-control"] == "private, no-cache"
        assert all(reply.headers[name] for name in HEADERS)
        for known in (tag, f'"x", W/{tag}', "*"):
            kept = both_ways(badged, f"/v1/learners/p1{path}", If_None_Match=known)
            assert (kept.status_code, kept.content) == (304, b"")
            assert kept.headers["etag"] == tag
        assert both_ways(badged, f"/v1/learners/p1{path}", If_None_Match='"x"').status_code == 200


def test_an_answer_told_later_says_when(badged: World, clock: Clock) -> None:
    first = badged.call("GET", "/v1/learners/p1/badges/ODD")
    clock.advance(seconds=90)
    later = both_ways(badged, "/v1/learners/p1/badges/ODD")
    assert later.headers["etag"] == first.headers["etag"]
    assert later.json()["as_of"] == later.json()["as_known_at"] == rfc3339(clock.now)
    assert later.json()["reasons"] == first.json()["reasons"]


@pytest.mark.parametrize(
    ("path", "key", "status", "code"),
    [
        ("p1/badges", None, 401, "credentials_missing"),
        ("p1/badges/ONE", "wrong", 401, "credentials_invalid"),
        ("nobody/badges", "live", 404, "learner_unknown"),
        ("nobody/badges/NONE", "live", 404, "learner_unknown"),
        ("p1/badges/NONE", "live", 404, "badge_unknown"),
        ("p1/badges/ONE", "test", 404, "learner_unknown"),
        ("p1/badges/ONE", "attests", 403, "scope_missing"),
        ("/badges", "live", 404, "route_unknown"),
        ("p1/badges?x=1", "live", 422, "field_unknown"),
        ("p1/badges?as_of=never", "live", 422, "date_invalid"),
    ],
)
def test_badges_are_refused_the_same_way(
    badged: World, path: str, key: str | None, status: int, code: str
) -> None:
    if key == "attests":
        key = badged.key("attest")
    reply = both_ways(badged, f"/v1/learners/{path}", key=key)
    assert (reply.status_code, reply.json()["code"]) == (status, code)


def test_who_is_private_is_private_on_the_short_way(world: World) -> None:
    world.activate(programme(badges=[{"id": "S", "subject": "student", "rule": {"fact": {"type": "t"}}}]))
    world.call("PUT", "/v1/learners/kid", {"kind": "student"})
    assert both_ways(world, "/v1/learners/kid/badges/S").status_code == 200
    reader = world.key("read-status")
    for path in ("/badges", "/badges/S"):
        reply = both_ways(world, f"/v1/learners/kid{path}", key=reader)
        assert (reply.status_code, reply.json()["code"]) == (403, "consent_missing")


def test_questions_about_badges_are_counted_under_their_routes(badged: World) -> None:
    for path in ("/badges", "/badges/ONE", "/badges/ONE"):
        badged.call("GET", f"/v1/learners/p1{path}")
    figures = badged.call("GET", "/metrics", key=None).text
    for route, n in (("/v1/learners/{learner}/badges", 1), ("/v1/learners/{learner}/badges/{badge}", 2)):
        assert f'assess_requests_total{{route="GET {route}",status="200"}} {n}.0' in figures
