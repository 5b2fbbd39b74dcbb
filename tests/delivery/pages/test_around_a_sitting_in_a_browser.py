"""Pages that few learners see, seen as they see them: asking for time, a break, a line, help, receipts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.delivery.pages.conftest import Site
from tests.delivery.pages.test_in_a_browser import axe_faults, overflow
from tests.delivery.pages.walking import begin, fill_in, save

NewContext = Callable[..., BrowserContext]


def grant_breaks(page: Page, site: Site) -> None:
    session = page.url.rsplit("/", 1)[1]
    reply = page.request.post(
        f"{site.url}/v1/sessions/{session}/accommodations",
        data={"breaks": 2, "break_minutes": 10, "time_multiplier": 1.5},
        headers={"Authorization": f"Bearer {site.key}"},
    )
    assert reply.ok, reply.text()


@pytest.fixture
def long_line(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Twelve others wait to begin."""
    admission = site.app.state.services.admission
    monkeypatch.setattr(admission, "place", lambda ticket: 12)
    return admission


def walk(page: Page, site: Site, language: str) -> Iterator[str]:
    """Each of the pages in turn, by a name for the report."""
    lang = f"lang={language}"
    page.goto(f"{site.url}/problem?{lang}")
    yield "problem"
    begin(page, site, "c-1", language=language)
    session = page.url
    fill_in(page)
    save(page)
    page.goto(f"{session}/problem")
    yield "problem in a session"
    page.goto(f"{session}/receipts")
    yield "receipts"
    page.goto(session)
    grant_breaks(page, site)
    page.goto(session)
    yield "item with breaks"
    page.locator("form[action$='/break'] button").click()
    expect(page.locator("form[action$='/break/end'] button")).to_be_visible()
    yield "break"
    page.locator("form[action$='/break/end'] button").click()
    expect(page.locator("form.item")).to_be_visible()
    page.goto(f"{site.url}/accommodations?{lang}")
    yield "accommodations"
    page.locator("input[value='1.5']").check()
    page.locator("main button.primary").click()
    page.wait_for_url("**/accommodations?*stored*")
    yield "accommodations stored"
    page.goto(f"{site.url}/waiting?for=/courses/c-1&by_itself=no&{lang}")
    yield "waiting"


@pytest.mark.usefixtures("long_line")
@pytest.mark.parametrize(("language", "scheme"), [("en", "light"), ("ar", "dark")])
def test_axe_finds_nothing_around_a_sitting(
    new_context: NewContext, site: Site, language: str, scheme: str
) -> None:
    page = new_context(color_scheme=scheme).new_page()
    faults = {name: axe_faults(page) for name in walk(page, site, language)}
    assert {name: found for name, found in faults.items() if found} == {}


@pytest.mark.usefixtures("long_line")
@pytest.mark.parametrize("language", ["fr", "ar"])
def test_nothing_around_a_sitting_scrolls_sideways(
    new_context: NewContext, site: Site, language: str
) -> None:
    page = new_context(viewport={"width": 320, "height": 256}).new_page()
    wide = {name: overflow(page) for name in walk(page, site, language)}
    assert {name: pixels for name, pixels in wide.items() if pixels > 0} == {}


@pytest.mark.usefixtures("long_line")
def test_who_waits_is_told_how_long_the_line_is_and_may_stop_the_reloading(page: Page, site: Site) -> None:
    reply = page.goto(f"{site.url}/waiting?for=/courses/c-1")
    assert reply is not None
    assert reply.status == 503
    assert reply.headers["refresh"].startswith("10;")
    expect(page.locator("main")).to_contain_text("12")
    page.locator("main a", has_text="self").first.click()
    reply = page.reload()
    assert reply is not None
    assert "refresh" not in reply.headers
