"""Signing in and my page in a real browser: by keyboard, narrow, from right to left, without a script."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.delivery.pages.conftest import Site
from tests.delivery.pages.test_in_a_browser import axe_faults, overflow

_SHOTS = os.environ.get("ASSESS_SHOTS")


def _ask(site: Site, method: str, path: str, body: Any) -> Any:
    headers = {"Authorization": f"Bearer {site.key}"}
    answer = httpx.request(method, f"{site.url}{path}", json=body, headers=headers, timeout=60, verify=False)
    assert answer.is_success, answer.text
    return answer.json()


def code_for(site: Site, learner: str) -> str:
    """A code of a learner with three courses: one open, one to come, one that was begun."""
    courses = [
        {"course": "c-1", "to": "2099-12-31", "time_zone": "Africa/Nairobi"},
        {"course": "c-2", "from": "2099-11-30T09:00", "to": "2099-12-01", "time_zone": "Asia/Kolkata"},
    ]
    _ask(site, "PUT", "/v1/cohorts/g1", {"title": "g1", "courses": courses})
    _ask(site, "PUT", f"/v1/learners/{learner}", {})
    _ask(site, "PUT", f"/v1/cohorts/g1/learners/{learner}", {})
    _ask(site, "POST", "/v1/sessions", {"learner": learner, "form": "c-1-fixed"})
    made = _ask(site, "POST", "/v1/cohorts/g1/codes", {"learners": [learner]})
    code: str = made["items"][0]["code"]
    return code


def _shot(page: Page, name: str) -> None:
    if _SHOTS:
        page.screenshot(path=Path(_SHOTS) / f"{name}.png", full_page=True)


@pytest.mark.parametrize("language", ["en", "ar"])
def test_a_learner_signs_in_by_keyboard_on_a_narrow_screen(
    page: Page, closed_site: Site, language: str
) -> None:
    code = code_for(closed_site, f"lrn_{language}")
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(f"{closed_site.url}/sign-in?lang={language}")
    assert (axe_faults(page), overflow(page)) == ([], 0)
    _shot(page, f"sign-in-{language}")
    page.locator("#code").focus()
    page.keyboard.type("AAAA-AAAA-AAAA-AAAA")
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_be_visible()
    assert (axe_faults(page), overflow(page)) == ([], 0)
    _shot(page, f"sign-in-wrong-{language}")
    page.locator("#code").focus()
    page.keyboard.type(code.lower().replace("-", ""))
    page.keyboard.press("Enter")
    page.wait_for_url("**/me")
    assert (axe_faults(page), overflow(page)) == ([], 0)
    _shot(page, f"me-{language}")
    page.locator("form[action^='/me/sessions/'] button").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/s/ses_*")
    expect(page.locator("form.item")).to_be_visible()
    page.goto(f"{closed_site.url}/courses/c-2")
    assert (axe_faults(page), overflow(page)) == ([], 0)
    _shot(page, f"course-closed-{language}")


def test_without_a_script_a_learner_signs_in_goes_on_and_signs_out(
    closed_site: Site, new_context: Callable[..., BrowserContext]
) -> None:
    code = code_for(closed_site, "lrn_plain")
    page = new_context(java_script_enabled=False).new_page()
    page.goto(f"{closed_site.url}/sign-in?code={code}")
    assert page.locator("#code").input_value() == code
    page.locator("form#sign-in button").click()
    page.wait_for_url("**/me")
    page.locator("form[action^='/me/sessions/'] button").click()
    page.wait_for_url("**/s/ses_*")
    session = page.url
    page.goto(f"{closed_site.url}/me")
    page.locator("form[action='/sign-out'] button").click()
    page.wait_for_url("**/sign-in")
    answer = page.goto(session)
    assert answer is not None
    assert answer.status == 401
