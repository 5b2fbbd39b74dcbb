"""Pages around a sitting, without a script: clocks in text, breaks, notices, codes, asking for more time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from assess.delivery.pages import start_page
from assess.delivery.pages.language import CODES, language
from assess.delivery.pages.wording import notice_words
from assess.delivery.schemas import Notice
from assess.delivery.service import activations
from assess.session import Accommodation
from tests import synthetic
from tests.delivery.conftest import open_world
from tests.delivery.pages.conftest import Site, serve_form
from tests.delivery.world import NOON, Clock, World, programme
from tests.delivery.world import settings as world_settings

EN = language("en")
_SECTIONS = [
    {"title": {"en": "Reading"}, "units": synthetic.document()["form"]["units"], "time_limit_seconds": 600}
]
_CLOCKS = {"review": "none", "item_time_limit_seconds": 60, "sections": _SECTIONS}


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[World]:
    """A demonstration with a form that has every clock."""
    for world in open_world(world_settings(tmp_path), Clock()):
        world.run(activations.set_tenant, world.admin, demo=True)
        world.activate(programme())
        world.activate(synthetic.document(form=_CLOCKS))
        yield world


def csrf(page: Any) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found is not None
    return found[1]


def post(world: World, address: str, page: Any, **fields: str) -> Any:
    return world.client.post(address, data={"csrf": csrf(page), **fields})


def opened(world: World, **accommodation: Any) -> tuple[str, Any]:
    """A session of a sandbox learner, entered by its link; its id and first page."""
    world.learner(key="test")
    world.call("PUT", "/v1/learners/lrn_1/accommodations", accommodation, key="test")
    begun = world.begin(key="test")
    return begun["session"], world.client.get(f"/s/{begun['session']}?token={begun['token']}")


def test_the_item_page_says_every_clock_in_text_the_most_urgent_first(demo: World) -> None:
    _, page = opened(demo)
    assert page.status_code == 200
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.text))
    assert re.search(
        r"Time left for this item 01:00 Time left in the section Reading 10:00 Time left 30:00", words
    )
    assert 'data-seconds="60"' in page.text


def test_an_answer_after_the_items_time_is_told_so_and_the_next_item_comes(demo: World) -> None:
    session, page = opened(demo)
    demo.clock.advance(seconds=80)
    fields = {"position": "1", "item": "x-001", "revision": "1", "type": "single_choice", "answer": "b"}
    answer = post(demo, f"/s/{session}", page, **fields)
    assert answer.status_code == 409
    assert "The time for item 1 was over before your answer came" in answer.text
    assert "Stem of item 2." in answer.text


def test_a_break_is_taken_and_ended_by_forms_alone(demo: World) -> None:
    session, page = opened(demo, breaks=1, break_minutes=10)
    assert "Take a break (1 left)" in page.text
    during = post(demo, f"/s/{session}/break", page)
    assert "You are on a break" in during.text
    assert "22 November 2026, 12:10 UTC" in during.text
    assert "Stem of item" not in during.text
    for address in (f"/s/{session}/review", f"/s/{session}/submit", f"/s/{session}/break"):
        assert "You are on a break" in demo.client.get(address).text
    fields = {"position": "1", "item": "x-001", "revision": "1", "type": "single_choice", "answer": "b"}
    assert "You are on a break" in post(demo, f"/s/{session}", during, **fields).text
    demo.clock.advance(minutes=5)
    after = post(demo, f"/s/{session}/break/end", during)
    assert "Stem of item 1." in after.text
    assert 'data-seconds="60"' in after.text
    assert "Take a break" not in after.text
    # The form of an old page starts no further break.
    assert "Stem of item 1." in post(demo, f"/s/{session}/break", after).text


def test_a_break_form_from_elsewhere_stops_no_clock(demo: World) -> None:
    session, _ = opened(demo, breaks=1, break_minutes=10)
    assert demo.client.post(f"/s/{session}/break", data={"csrf": "x.y"}).status_code == 403
    assert demo.call("GET", f"/v1/sessions/{session}", key="test").json()["on_break"] is None


def test_an_incident_is_told_on_the_item_and_on_the_course(demo: World) -> None:
    session, _ = opened(demo)
    demo.clock.advance(seconds=50)
    body = {
        "action": "add_time",
        "scope": {"sessions": [session]},
        "from": "2026-11-22T12:00:00Z",
        "to": "2026-11-22T12:00:40Z",
        "reason": "secret of the staff",
        "message": "The alarm was a drill.",
    }
    assert demo.call("POST", "/v1/incidents", body, key="test").status_code == 201
    told = "Because of a disturbance your time was extended by 40 seconds. The alarm was a drill."
    for address in (f"/s/{session}", "/courses/twt-3"):
        page = demo.client.get(address)
        assert told in page.text, address
        assert "secret of the staff" not in page.text
    demo.call("POST", "/v1/incidents", body | {"action": "void_without_try"}, key="test")
    page = demo.client.get(f"/s/{session}")
    assert "your try was given back" in page.text
    assert "your try was given back" in demo.client.get("/courses/twt-3").text


def test_who_asks_for_more_time_says_what_and_never_why(demo: World) -> None:
    assert "We do not know you here yet" in demo.client.get("/accommodations").text
    opened(demo)
    page = demo.client.get("/accommodations")
    assert "Nothing was arranged" in page.text
    assert "textarea" not in page.text
    stored = post(demo, "/accommodations", page, time="1.5", breaks="2x10", no_pilot="yes")
    assert "Your wish is stored" in stored.text
    found = demo.call("GET", "/v1/learners/lrn_1/accommodations", key="test").json()
    assert (found["open_request"], found["given"]["time_multiplier"]) == (True, 1.0)
    assert found["history"][-1]["given"] == {
        "time_multiplier": 1.5, "untimed": False, "breaks": 2, "break_minutes": 10, "no_pilot": True,
    }  # fmt: skip
    demo.call("PUT", "/v1/learners/lrn_1/accommodations", {"untimed": True}, key="test")
    assert "No time limit." in demo.client.get("/accommodations").text
    wrong = post(demo, "/accommodations", page, time="9", breaks="0")
    assert wrong.status_code == 422
    assert "Choose one line" in wrong.text
    assert demo.client.post("/accommodations", data={"time": "1"}).status_code == 403


def test_a_code_is_entered_on_the_start_page(demo: World) -> None:
    window = {"course": "twt-3", "from": "2026-11-22T11:00:00Z", "to": "2026-11-22T15:00:00Z"}
    code = demo.call("POST", "/v1/invigilator-codes", window, key="test").json()["code"]
    page = demo.client.get("/courses/twt-3?form=x-fixed")
    begin = {"consent": "yes", "consent_version": "1", "locale": "en"}
    wrong = post(demo, "/courses/twt-3?form=x-fixed", page, code="AAAAA-AAAAA", **begin)
    assert wrong.status_code == 422
    assert 'aria-describedby="fault-code"' in wrong.text
    right = post(demo, "/courses/twt-3?form=x-fixed", wrong, code=code, **begin)
    session = right.url.path.rsplit("/", 1)[-1]
    assert demo.call("GET", f"/v1/sessions/{session}", key="test").json()["assurance"] == "supervised"


@pytest.mark.parametrize("code", CODES)
def test_the_start_page_says_every_clock_as_this_learner_has_it(code: str) -> None:
    release, words = synthetic.release(form=_CLOCKS), language(code)
    given = Accommodation(1.5, breaks=2, break_minutes=10)
    sentences = start_page.good_to_know(release, words, given)
    assert all("%(" not in sentence for sentence in sentences)
    if code == "en":
        told = " ".join(sentences)
        assert "The section Reading has its own clock of 15 minutes." in told
        assert "Each item has its own clock of 90 seconds." in told
        assert "2 breaks of up to 10 minutes each" in told
        assert dict(start_page.facts(release, words, given))["Time"] == "45 minutes"
        untimed = Accommodation(untimed=True)
        assert dict(start_page.facts(release, words, untimed))["Time"] == "No limit"
        assert "No clock runs for you" in " ".join(start_page.good_to_know(release, words, untimed))


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("action", ["add_time", "reopen", "void_without_try"])
def test_every_notice_has_words_in_every_language(action: Any, code: str) -> None:
    words = notice_words(Notice("inc_1", action, 300, "Note.", NOON), language(code))
    assert words.endswith("Note.")
    assert "%(" not in words


def test_a_script_goes_on_when_the_items_clock_is_over(page: Page, tmp_path: Path) -> None:
    form = {"review": "none", "item_time_limit_seconds": 5}
    for site in serve_form(tmp_path, form):
        _walk(page, site)


def _walk(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/courses/c-1?lang=en")
    page.locator("#consent").check()
    page.locator("form#begin button").click()
    page.wait_for_url(re.compile(r"/s/ses_[a-z0-9]+$"))
    assert "Item 1 of" in page.title()
    page.locator("#answer-b").check()
    # What is on the page is sent; then an item with nothing on it makes room as well.
    page.wait_for_function("() => document.title.startsWith('Item 2 of')", timeout=15_000)
    page.wait_for_function("() => document.title.startsWith('Item 3 of')", timeout=15_000)


def test_other_ways_to_take_a_course_stand_in_the_order_of_their_names(demo: World) -> None:
    for name in ("x-zero", "x-alpha", "x-mid"):
        demo.activate(synthetic.document(form={"id": name}))
    page = demo.client.get("/courses/twt-3?form=x-fixed").text
    found = re.findall(r'<li><a href="/courses/twt-3\?form=([a-z-]+)"', page)
    assert {"x-zero", "x-alpha", "x-mid"} <= set(found)
    assert found == sorted(found)
