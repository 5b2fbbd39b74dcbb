"""What a browser is told whose session was resumed elsewhere under another token."""

from __future__ import annotations

from typing import Any

import pytest

from assess.delivery.pages.language import CODES
from assess.delivery.store import reading
from tests.delivery.pages.test_openings import STALE, Window
from tests.delivery.pages.test_sign_in import codes, cohort, entered, post, sign_in
from tests.delivery.world import World

LINK = "ask your organisation for a new link"


@pytest.fixture
def begun(world: World) -> dict[str, Any]:
    cohort(world, "lrn_1")
    begun = world.begin()
    world.client.get(f"/s/{begun['session']}?token={begun['token']}")
    return begun


@pytest.fixture
def window(world: World, begun: dict[str, Any]) -> Window:
    return Window(world, begun["session"])


def _answers(world: World, session: str) -> list[Any]:
    records = world.ask(reading.session_records, "default", session)
    assert records is not None
    return [row.answer for row in records.responses]


@pytest.mark.parametrize("script", [False, True])
def test_an_answer_is_refused_and_said_to_be_so(window: Window, script: bool) -> None:
    world = window.world
    resumed = world.begin()
    page = window.answer("a", script=script)
    assert (page.status_code, window.heading) == (409, STALE)
    assert "What you just sent was not stored." in page.text
    assert LINK in page.text
    assert 'href="/sign-in"' in page.text
    # No way on that leads nowhere, and nothing of the session.
    assert "Continue here" not in page.text
    assert "where-item" not in page.text
    assert page.headers.get("X-Fragment") == ("1" if script else None)
    assert "X-Receipt" not in page.headers
    assert _answers(world, resumed["session"]) == []
    assert world.call("GET", f"/v1/sessions/{resumed['session']}").json()["fence"] == resumed["fence"]


def test_what_was_typed_is_shown_again(window: Window) -> None:
    window.world.begin()
    page = window.answer("Half a page of <b>words</b>", type="extended_text")
    assert page.status_code == 409
    assert "Half a page of &lt;b&gt;words&lt;/b&gt;" in page.text


def test_a_form_that_is_not_ours_shows_nothing_again(window: Window) -> None:
    window.world.begin()
    page = window.answer("words of somebody else", type="extended_text", csrf="0.0")
    assert page.status_code == 403
    assert "words of somebody else" not in page.text


@pytest.mark.parametrize("path", ["", "/review", "/submit", "/result", "/receipts"])
def test_every_page_of_the_session_says_so(window: Window, path: str) -> None:
    window.world.begin()
    page = window.open(window.path + path)
    assert (page.status_code, window.heading) == (409, STALE)
    assert LINK in page.text


def test_so_does_a_hand_in_and_the_old_link(window: Window, begun: dict[str, Any]) -> None:
    world = window.world
    fields = window.fields()
    resumed = world.begin()
    page = world.client.post(f"{window.path}/submit", data=fields)
    assert (page.status_code, LINK in page.text) == (409, True)
    world.client.cookies.clear()
    link = f"{window.path}?token="
    assert LINK in world.client.get(link + begun["token"]).text
    assert "where-item" in world.client.get(link + resumed["token"]).text


def test_a_stranger_is_still_a_stranger(window: Window, begun: dict[str, Any]) -> None:
    world = window.world
    world.begin()
    world.client.cookies.clear()
    for address in (window.path, f"{window.path}?token=ast_guessed"):
        page = window.open(address)
        assert (page.status_code, window.heading) == (401, "We do not know you here yet")
    other = world.begin(world.learner("lrn_2"))["session"]
    page = window.open(f"/s/{other}?token={begun['token']}")
    assert (page.status_code, window.heading) == (401, "We do not know you here yet")


def test_who_signed_in_on_both_devices_is_led_to_their_own_page_and_goes_on(window: Window) -> None:
    world = window.world
    sign_in(world, codes(world)["lrn_1"])
    here = dict(world.client.cookies)
    # The other device.
    world.client.cookies.clear()
    page = entered(world, codes(world)["lrn_1"])
    assert post(world, page, f"/me{window.path.replace('/s/', '/sessions/')}").status_code == 303
    world.client.cookies.clear()
    for name, value in here.items():
        world.client.cookies.set(name, value)
    page = window.answer("a")
    assert (page.status_code, window.heading) == (409, STALE)
    assert 'href="/me">My progress' in page.text
    own = world.client.get("/me").text
    assert post(world, own, f"/me{window.path.replace('/s/', '/sessions/')}").status_code == 303


def test_the_result_is_seen_by_who_signed_in_though_the_old_cookie_is_still_there(window: Window) -> None:
    world = window.world
    resumed = world.begin()
    world.call("POST", f"/v1/sessions/{resumed['session']}/submit")
    assert window.open(f"{window.path}/result").status_code == 409
    sign_in(world, codes(world)["lrn_1"])
    assert window.open(f"{window.path}/result").status_code == 200


@pytest.mark.parametrize("code", CODES)
def test_it_is_said_in_every_language(window: Window, code: str) -> None:
    window.world.begin()
    page = window.world.client.post(f"{window.path}?lang={code}", data=window.fields(answer="a"))
    assert page.status_code == 409
    assert ("This assessment was opened" in page.text) == (code == "en")
    assert ("What you just sent" in page.text) == (code == "en")
