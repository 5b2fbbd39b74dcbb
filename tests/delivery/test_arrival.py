"""When a request arrives: with the last byte of its body, however long client or server take."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlencode

import pytest

from assess.delivery import around
from assess.delivery.service import sessions
from assess.delivery.store import reading
from tests import synthetic
from tests.delivery.world import World, refused

Piece = bytes | Callable[[], None]


class Reply:
    """What came back over bare ASGI."""

    def __init__(self) -> None:
        self.status, self.headers, self.content = 0, dict[str, str](), b""

    @property
    def status_code(self) -> int:
        return self.status

    @property
    def text(self) -> str:
        return self.content.decode()

    def json(self) -> Any:
        return json.loads(self.content)


def ask(
    world: World, path: str, pieces: Iterable[Piece], *, headers: dict[str, str], leave: bool = False
) -> Reply:
    """POST over bare ASGI, piece by piece; a callable is what happens before the next piece."""
    reply, left = Reply(), list(pieces)

    async def receive() -> dict[str, Any]:
        while left:
            piece = left.pop(0)
            if isinstance(piece, bytes):
                more = leave or any(isinstance(later, bytes) for later in left)
                return {"type": "http.request", "body": piece, "more_body": more}
            piece()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            reply.status = message["status"]
            reply.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            reply.content += message.get("body", b"")

    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 80),
    }

    async def go() -> None:
        await world.app(scope, receive, send)

    assert world.client.portal is not None
    world.client.portal.call(go)
    return reply


def answer(begun: dict[str, Any], current: dict[str, Any]) -> tuple[str, bytes]:
    body = {"position": current["position"], "item": current["item"]["id"], "revision": 1, "answer": "b"}
    return f"/v1/sessions/{begun['session']}/responses", json.dumps(body).encode()


def as_learner(begun: dict[str, Any]) -> dict[str, str]:
    return {"authorization": f"Bearer {begun['token']}", "content_type": "application/json"}


@pytest.fixture(params=["short", "long"])
def way(request: pytest.FixtureRequest, world: World) -> World:
    """The world with the shortcut, and without."""
    if request.param == "long":
        world.app._shortcut = None  # type: ignore[attr-defined]
    return world


def test_a_body_that_is_held_back_stops_no_clock(way: World) -> None:
    form = {"id": "x-item", "review": "none", "item_time_limit_seconds": 30}
    way.activate(synthetic.document(form=form))
    begun = way.begin(way.learner(), form="x-item")
    path, body = answer(begun, begun["current"])
    late = ask(
        way, path, [body[:5], lambda: way.clock.advance(minutes=10), body[5:]], headers=as_learner(begun)
    )
    refused(late, 409, "position_conflict")


def test_time_that_a_client_holds_back_is_not_given_back(way: World) -> None:
    way.activate(synthetic.document(form={"id": "x-plain", "review": "none"}))
    begun = way.begin(way.learner(), form="x-plain")
    current = begun["current"]
    for _ in range(3):
        path, body = answer(begun, current)
        reply = ask(way, path, [lambda: way.clock.advance(seconds=30), body], headers=as_learner(begun))
        assert reply.status == 200, reply.content
        current = reply.json()["current"]
    assert current["seconds_left"] == 1800 - 90


@pytest.mark.parametrize("short", [True, False])
def test_who_sends_slowly_takes_nobodys_place(world: World, short: bool) -> None:
    frame: around.Frame = world.app._shortcut._frame  # type: ignore[attr-defined]
    if not short:
        world.app._shortcut = None  # type: ignore[attr-defined]
    begun = world.begin(world.learner())
    path, body = answer(begun, begun["current"])
    inside: list[int] = []
    pieces: list[Piece] = [body[:5], lambda: inside.append(frame.inside), body[5:]]
    assert ask(world, path, pieces, headers=as_learner(begun)).status == 200
    assert (inside, frame.inside) == ([0], 0)


def test_a_body_without_a_length_is_refused_at_the_limit_not_at_its_end(way: World) -> None:
    begun = way.begin(way.learner())
    path, _ = answer(begun, begun["current"])
    taken: list[int] = []
    pieces: list[Piece] = []
    for _ in range(40):
        pieces += [b" " * 65_536, lambda: taken.append(1)]
    refused(ask(way, path, [*pieces, b"{}"], headers=as_learner(begun)), 413, "body_too_large")
    assert len(taken) <= 17


def test_bodies_that_are_half_there_have_a_bound_together(
    way: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(around, "_MOST_HELD", 100)
    monkeypatch.setattr(around, "_SMALL", 60)
    begun = way.begin(way.learner())
    path, body = answer(begun, begun["current"])
    full = ask(way, path, [b" " * 101, body], headers=as_learner(begun))
    refused(full, 503, "overloaded")
    assert full.headers["retry-after"]


def test_what_others_hold_back_refuses_no_answer_that_comes_in_pieces(
    way: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(around, "_MOST_HELD", 0)
    begun = way.begin(way.learner())
    path, body = answer(begun, begun["current"])
    assert ask(way, path, [body[:9], body[9:]], headers=as_learner(begun)).status == 200


def test_who_leaves_in_the_middle_of_a_body_stores_nothing(way: World) -> None:
    begun = way.begin(way.learner())
    path, body = answer(begun, begun["current"])
    assert ask(way, path, [body], leave=True, headers=as_learner(begun)).status == 0
    assert way.call("GET", f"/v1/sessions/{begun['session']}").json()["current"]["revision"] == 1


def stored(world: World, begun: dict[str, Any]) -> Any:
    """The rows of a session."""
    return world.ask(reading.session_records, "default", begun["session"])


# --- pages ---------------------------------------------------------------------


def stalled(world: World, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let the server be busy for so long after the next request has come."""
    read, once = type(world.services.store).read, [seconds]

    async def slow(*args: Any, **kwargs: Any) -> Any:
        if once:
            world.clock.advance(seconds=once.pop())
        return await read(*args, **kwargs)

    world.services.recent.drop()
    monkeypatch.setattr(type(world.services.store), "read", slow)


def page(world: World, begun: dict[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """The hidden fields of the item's page, and the headers of a browser."""
    text = world.client.get(f"/s/{begun['session']}?token={begun['token']}").text
    fields = dict(re.findall(r'name="(csrf|fence)" value="([^"]+)"', text))
    cookies = "; ".join(f"{name}={value}" for name, value in world.client.cookies.items())
    headers = {"cookie": cookies, "content_type": "application/x-www-form-urlencoded"}
    return {**fields, "position": "1", "item": "x-001", "revision": "1", "answer": "b"}, headers


def test_a_page_s_answer_is_judged_by_when_it_arrived(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = world.begin(world.learner())
    fields, headers = page(world, begun)
    # 5 of 15 seconds of grace are left.
    world.clock.advance(minutes=30, seconds=10)
    stalled(world, monkeypatch, 20)
    reply = ask(world, f"/s/{begun['session']}", [urlencode(fields).encode()], headers=headers)
    assert (reply.status, "late" in reply.headers["location"]) == (303, False)
    assert [response.answer for response in stored(world, begun).responses] == ["b"]


def test_a_hand_in_is_judged_by_when_it_arrived(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = world.begin(world.learner())
    fields, headers = page(world, begun)
    world.clock.advance(minutes=30, seconds=10)
    stalled(world, monkeypatch, 20)
    reply = ask(world, f"/s/{begun['session']}/submit", [urlencode(fields).encode()], headers=headers)
    assert reply.status == 303
    assert stored(world, begun).session.ended_by == "submitted"


def test_an_answer_that_waits_for_its_turn_is_not_overtaken_by_the_end(world: World) -> None:
    begun = world.begin(world.learner())
    path, body = answer(begun, begun["current"])
    frame: around.Frame = world.app._shortcut._frame  # type: ignore[attr-defined]
    at = frame.monotonic

    def busy() -> float:
        # The request has come; the server sees to it 20 s later, and looks for who is overdue before.
        came = at()
        frame.monotonic = at
        world.clock.advance(seconds=20)
        return came

    world.clock.advance(minutes=30, seconds=10)
    frame.monotonic = busy
    ended: list[int] = []
    world.services.recent.drop()
    load = world.services.store.read

    async def swept(*args: Any, **kwargs: Any) -> Any:
        if not ended:
            ended.append(0)
            ended[0] = await sessions.sweep(world.services)
        return await load(*args, **kwargs)

    world.services.store.read = swept  # type: ignore[method-assign]
    assert ask(world, path, [body], headers=as_learner(begun)).status == 200
    assert ended == [0]
    world.clock.advance(minutes=1)
    assert world.run(sessions.sweep) == 1
