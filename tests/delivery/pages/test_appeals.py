"""Asking for a second look, and a result that is still to come, in a browser and without a script."""

from __future__ import annotations

import os
import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.delivery.pages.conftest import Site, serve_form
from tests.delivery.pages.test_in_a_browser import axe_faults, overflow
from tests.delivery.pages.walking import answer_all, begin, hand_in

_SHOTS = os.environ.get("ASSESS_SHOTS")
WORDS = "Item 2 has two right answers."


def _shot(page: Page, name: str) -> None:
    if _SHOTS:
        page.screenshot(path=Path(_SHOTS) / f"{name}.png", full_page=True)


def _fine(page: Page, name: str) -> None:
    assert (axe_faults(page), overflow(page)) == ([], 0)
    _shot(page, name)


@pytest.mark.parametrize("language", ["en", "ar"])
def test_a_learner_asks_for_a_second_look_on_a_narrow_screen(page: Page, site: Site, language: str) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    begin(page, site, "c-1", language=language)
    answer_all(page, right=False)
    session = re.search(r"ses_[a-z0-9]+", page.url)
    assert session is not None
    page.goto(f"{site.url}/s/{session[0]}/submit")
    page.locator("main form button.primary").click()
    page.wait_for_url("**/result")
    _fine(page, f"result-{language}")
    page.locator(f'a[href="/s/{session[0]}/appeal"]').click()
    _fine(page, f"appeal-{language}")
    page.locator("main form button.primary").click()
    expect(page.locator("#summary")).to_be_visible()
    assert page.locator("#reason").get_attribute("aria-invalid") == "true"
    _fine(page, f"appeal-fault-{language}")
    page.locator("#reason").fill(WORDS)
    page.locator("#reason").press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#reason")).to_have_count(0)
    _fine(page, f"appeal-filed-{language}")
    page.goto(f"{site.url}/me?lang={language}")
    expect(page.locator(".card h3").first).to_be_visible()
    _fine(page, f"appeal-mine-{language}")


def test_without_a_script_a_badge_is_asked_for_too(browser: Browser, site: Site) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    try:
        page.goto(f"{site.url}/courses/c-1?lang=en")
        page.locator("#consent").check()
        page.locator("form#begin button").click()
        page.goto(f"{site.url}/me")
        link = page.locator('a[href$="/appeal"]').first
        link.click()
        page.locator("#reason").fill("I passed this course last year.")
        page.locator("main form button.primary").click()
        expect(page.locator("h1")).to_have_text("Ask for a second look")
        expect(page.locator(".lead")).to_contain_text("Thank you.")
        page.go_back()
        page.locator("#reason").fill("And once more.")
        page.locator("main form button.primary").click()
        expect(page.locator("#notice")).to_contain_text("Somebody is looking at it already")
    finally:
        context.close()


def test_a_stranger_files_nothing(site: Site) -> None:
    with httpx.Client(base_url=site.url) as client:
        assert client.get("/me/badges/ONE/appeal").status_code == 401
        assert client.get("/s/ses_x/appeal").status_code == 401
        assert client.post("/s/ses_x/appeal", data={"reason": "x"}).status_code == 401


def test_a_held_result_is_still_to_come(page: Page, tmp_path: Path) -> None:
    for site in serve_form(tmp_path, {"release": "after_standard"}):
        begin(page, site, "c-1")
        answer_all(page)
        hand_in(page)
        expect(page.locator("h1")).to_have_text("Your result is still to come")
        assert page.locator("figure").count() == 0
        assert page.locator('a[href$="/appeal"]').count() == 0
        _fine(page, "pending")
        page.goto(f"{site.url}/courses/c-1")
        _fine(page, "pending-course")
