"""Pages of a session as plain requests: windows, the end of time, receipts, and where help is found."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from assess.delivery.store import reading
from tests.delivery.world import World, refused

FIELDS = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')


class Window:
    """One window of a learner's browser; all windows of a `World` share its cookies."""

    def __init__(self, world: World, session: str) -> None:
        self.world, self.path = world, f"/s/{session}"
        self.page = self.open()

    def open(self, address: str = "") -> Any:
        self.page = self.world.client.get(address or self.path)
        return self.page

    def fields(self, **changes: str) -> dict[str, str]:
        return {**dict(FIELDS.findall(self.page.text)), **changes}

    def answer(self, answer: str = "b", *, script: bool = False, **changes: str) -> Any:
        headers = {"X-Fragment": "1"} if script else {}
        self.page = self.world.client.post(
            self.path, data=self.fields(answer=answer, **changes), headers=headers
        )
        return self.page

    @property
    def item(self) -> str:
        found = re.search(r'where-item">([^<]+)<', self.page.text)
        return found[1] if found else ""

    @property
    def heading(self) -> str:
        found = re.search(r"<h1[^>]*>([^<]+)<", self.page.text)
        return found[1] if found else ""


STALE = "Opened in another window"


@pytest.fixture
def begun(world: World) -> dict[str, Any]:
    world.learner()
    begun = world.begin()
    reply = world.client.get(f"/s/{begun['session']}?token={begun['token']}", follow_redirects=False)
    assert reply.status_code == 303
    return begun


@pytest.fixture
def window(world: World, begun: dict[str, Any]) -> Window:
    return Window(world, begun["session"])


def _records(world: World, session: str) -> reading.SessionRecords:
    found = world.ask(reading.session_records, "default", session)
    assert found is not None
    return found


# --- windows, without a script -------------------------------------------------


def test_a_window_keeps_its_fence_from_page_to_page(window: Window, begun: dict[str, Any]) -> None:
    assert window.fields()["fence"] == "2"
    for n in range(2, 5):
        page = window.answer()
        assert (window.item, page.url.query) == (f"Item {n} of 12", b"fence=2")
    window.open(re.findall(r'href="([^"]+)">Previous item', window.page.text)[0].replace("&amp;", "&"))
    assert (window.item, window.fields()["fence"]) == ("Item 3 of 12", "2")
    window.open(re.findall(r'href="([^"]+/review[^"]*)"', window.page.text)[0])
    assert "fence=2" in window.page.text
    window.open(re.findall(r'href="([^"]+/submit[^"]*)"', window.page.text)[0])
    assert window.fields()["fence"] == "2"
    # One opening, however many pages.
    assert [event.data["fence"] for event in _records(window.world, begun["session"]).events] == [2]


def test_a_window_left_behind_is_told_and_stores_nothing(window: Window, begun: dict[str, Any]) -> None:
    world, session = window.world, begun["session"]
    other = Window(world, session)
    page = window.answer("a")
    assert (page.status_code, window.heading) == (409, STALE)
    # The script tells by it that the window was refused, and not the answer.
    assert page.headers["x-left-behind"] == "1"
    assert "this one is no longer in use" in page.text
    assert "Your answer to item 1 was not stored." in page.text
    assert len(_records(world, session).responses) == 0
    other.answer("b")
    assert other.item == "Item 2 of 12"
    # Continue here: a new opening, at the item where the session is, and the other window is the stale one.
    window.open(re.findall(r'href="([^"]+)">Continue here', page.text)[0])
    assert window.item == "Item 2 of 12"
    assert other.answer("b").status_code == 409
    assert window.answer("b").status_code == 200
    assert [row.answer for row in _records(world, session).responses] == ["b", "b"]


def test_the_same_answer_from_a_window_left_behind_is_stored_and_goes_no_further(
    window: Window, begun: dict[str, Any]
) -> None:
    other = Window(window.world, begun["session"])
    other.answer("b")
    for script in (False, True):
        stale = Window(window.world, begun["session"])
        stale.page = window.page
        page = stale.answer("b", script=script, fence="2", revision="1", position="1", item="x-001")
        assert (page.status_code, stale.heading) == (200, STALE)
        assert "Your answer to item 1 is stored." in page.text
        assert ("x-receipt" in page.headers) is script


def test_pages_of_a_window_left_behind_hand_nothing_in(window: Window, begun: dict[str, Any]) -> None:
    world, session = window.world, begun["session"]
    window.open(f"/s/{session}/submit?fence=2")
    left = window.fields()
    Window(world, session)
    for page in ("", "/review", "/submit"):
        reply = window.open(f"/s/{session}{page}?fence=2")
        assert (reply.status_code, window.heading) == (409, STALE)
    reply = world.client.post(f"/s/{session}/submit", data=left)
    assert (reply.status_code, STALE in reply.text) == (409, True)
    assert _records(world, session).session.state == "open"
    window.open(f"/s/{session}/submit")
    reply = world.client.post(f"/s/{session}/submit", data=window.fields())
    assert str(reply.url).endswith("/result")


def test_a_browser_that_guesses_the_next_page_opens_nothing(window: Window, begun: dict[str, Any]) -> None:
    window.world.client.get(window.path, headers={"Sec-Purpose": "prefetch;prerender"})
    assert window.answer().status_code == 200
    assert len(_records(window.world, begun["session"]).events) == 1


def test_a_form_from_before_there_were_windows_still_stores(window: Window, begun: dict[str, Any]) -> None:
    """A page that was open while the server was replaced has no such field."""
    fields = window.fields(answer="b")
    del fields["fence"]
    assert window.world.client.post(window.path, data=fields).status_code == 200
    assert len(_records(window.world, begun["session"]).responses) == 1


# --- what the script is told ------------------------------------------------------


def test_the_script_gets_the_receipt_with_what_follows_and_nothing_else_does(
    window: Window, begun: dict[str, Any]
) -> None:
    world = window.world
    reply = window.answer("b", script=True)
    assert (reply.headers["x-fragment"], window.item) == ("1", "Item 2 of 12")
    receipt = json.loads(reply.headers["x-receipt"])
    assert (receipt["session"], receipt["position"], receipt["revision"]) == (begun["session"], 1, 1)
    assert world.call("POST", "/v1/receipts/verify", {"receipt": receipt}, key=None).json() == {"valid": True}
    malformed = world.client.post(window.path, data=window.fields(), headers={"X-Fragment": "1"})
    assert (malformed.status_code, "x-receipt" in malformed.headers) == (422, False)
    conflict = window.answer("c", script=True, position="1", item="x-001", revision="1")
    assert (conflict.status_code, "x-receipt" in conflict.headers) == (409, False)


def test_the_script_gets_the_receipt_of_the_last_answer_too(window: Window) -> None:
    """A redirect would be followed by the browser, and the receipt would be lost on the way."""
    for _ in range(11):
        window.answer("b", script=True)
    reply = window.world.client.post(
        window.path, data=window.fields(answer="b"), headers={"X-Fragment": "1"}, follow_redirects=False
    )
    assert (reply.status_code, reply.text) == (200, "")
    assert re.fullmatch(r"/s/\w+/review\?fence=2", reply.headers["x-go"])
    assert json.loads(reply.headers["x-receipt"])["position"] == 12


# --- the end of time -----------------------------------------------------------------


@pytest.mark.parametrize("way", ["json", "page", "script"])
def test_the_servers_clock_at_arrival_decides_whether_an_answer_is_late(
    window: Window, begun: dict[str, Any], way: str
) -> None:
    """30 minutes and 15 seconds of grace: the last microsecond counts, the next one does not."""
    world, session = window.world, begun["session"]
    body = {"position": 1, "item": "x-001", "revision": 1, "answer": "b"}

    def send(fields: dict[str, str]) -> Any:
        if way == "json":
            return world.call("POST", f"/v1/sessions/{session}/responses", body)
        headers = {"X-Fragment": "1"} if way == "script" else {}
        return world.client.post(window.path, data=fields, headers=headers)

    world.clock.advance(minutes=30, seconds=15)
    fields = window.fields(answer="b")
    assert world.call("GET", f"/v1/sessions/{session}").json()["seconds_left"] == 0
    assert send(fields).status_code == 200
    assert len(_records(world, session).responses) == 1
    body |= {"position": 2, "item": "x-002"}
    fields |= {"position": "2", "item": "x-002"}
    world.clock.advance(microseconds=1)
    late = send(fields)
    if way == "json":
        refused(late, 410, "session_expired")
    elif way == "script":
        assert late.headers["x-go"].endswith("/result?late=1")
        assert "x-receipt" not in late.headers
    else:
        assert "had ended before your last answer came" in late.text
    records = _records(world, session)
    assert (len(records.responses), records.session.ended_by) == (1, "timed_out")
    assert records.session.ended_at == records.session.closes_at


@pytest.mark.parametrize("way", ["json", "page"])
def test_the_servers_clock_at_arrival_decides_how_a_session_was_handed_in(
    window: Window, begun: dict[str, Any], way: str
) -> None:
    world, session = window.world, begun["session"]
    world.learner("lrn_2")
    second = world.begin("lrn_2")["session"]
    window.open(f"/s/{session}/submit")
    fields = window.fields()
    world.clock.advance(minutes=30, seconds=15)
    if way == "json":
        world.call("POST", f"/v1/sessions/{session}/submit")
    else:
        world.client.post(f"/s/{session}/submit", data=fields)
    assert _records(world, session).session.ended_by == "submitted"
    world.clock.advance(microseconds=1)
    world.call("POST", f"/v1/sessions/{second}/submit")
    assert _records(world, second).session.ended_by == "timed_out"


# --- receipts and help -----------------------------------------------------------------


def test_a_learner_can_keep_the_receipts_and_have_each_one_checked(
    window: Window, begun: dict[str, Any]
) -> None:
    world, session = window.world, begun["session"]
    assert "No answer is stored yet." in window.open(f"/s/{session}/receipts").text
    window.open()
    for answer in "bab":
        window.answer(answer)
    page = window.open(f"/s/{session}/receipts")
    assert page.text.count("22 November 2026, 12:00 UTC") == 3
    file = world.client.get(f"/s/{session}/receipts.json")
    assert file.headers["content-disposition"] == f'attachment; filename="receipts-{session}.json"'
    kept = file.json()["receipts"]
    assert [receipt["position"] for receipt in kept] == [1, 2, 3]
    for receipt in kept:
        verified = world.call("POST", "/v1/receipts/verify", {"receipt": receipt}, key=None)
        assert verified.json() == {"valid": True}
    # Also after the end, and for nobody else.
    world.call("POST", f"/v1/sessions/{session}/submit")
    assert "/receipts" in window.open(f"/s/{session}/result").text
    assert world.client.get(f"/s/{session}/receipts.json").json() == file.json()
    world.client.cookies.clear()
    assert world.client.get(f"/s/{session}/receipts.json").status_code == 401


@pytest.mark.parametrize("path", ["/", "/badges", "/me", "/nowhere", "/practice", "/courses/twt-3"])
def test_help_is_one_link_away_on_every_page(world: World, path: str) -> None:
    reply = world.client.get(path)
    address = re.findall(r'href="(/problem[^"]*)">Something went wrong\?', reply.text)[0]
    assert address == f"/problem?request={reply.headers['x-request-id']}"
    found = world.client.get(address)
    assert found.status_code == 200
    assert reply.headers["x-request-id"] in found.text
    assert "<textarea" not in found.text


def test_only_an_id_of_a_request_is_shown_again(world: World) -> None:
    shown = re.findall(r"<code[^>]*>([^<]+)</code>", world.client.get("/problem?request=evil").text)
    assert [re.fullmatch(r"req_[a-z2-7]{20}", words) is not None for words in shown] == [True]


def test_a_note_is_kept_with_the_session(window: Window, begun: dict[str, Any]) -> None:
    world, session = window.world, begun["session"]
    address = re.findall(r'href="([^"]*)">Something went wrong\?', window.page.text)[0]
    assert address == f"/s/{session}/problem?request={window.page.headers['x-request-id']}"
    named = window.page.headers["x-request-id"]
    window.open(address)
    assert session in window.page.text
    fields = window.fields(note="The picture does not load.")
    reply = world.client.post(f"/s/{session}/problem", data=fields)
    assert "Your note is kept" in reply.text
    event = _records(world, session).events[-1]
    assert (event.type, event.data) == (
        "problem_reported",
        {"note": "The picture does not load.", "position": 1, "request": named},
    )
    empty = world.client.post(f"/s/{session}/problem", data={**fields, "note": " "})
    assert (empty.status_code, "Say in a few words" in empty.text) == (422, True)
    codes = [world.client.post(f"/s/{session}/problem", data=fields).status_code for _ in range(6)]
    assert codes == [200] * 4 + [429] * 2
    last = world.client.post(f"/s/{session}/problem", data=fields)
    assert last.headers["retry-after"] == "3600"
    assert "The picture does not load." in last.text
    assert world.client.post(f"/s/{session}/problem", data={"note": "x", "csrf": "y"}).status_code == 403


def test_help_for_a_session_that_does_not_open_here_is_the_general_one(
    window: Window, begun: dict[str, Any]
) -> None:
    world = window.world
    world.client.cookies.clear()
    reply = world.client.get(f"/s/{begun['session']}/problem?request=req_{'a' * 20}")
    assert (reply.url.path, reply.url.query) == ("/problem", f"request=req_{'a' * 20}".encode())
    assert world.client.post(f"/s/{begun['session']}/problem", data={"note": "x"}).status_code == 401
