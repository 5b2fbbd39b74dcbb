"""A learner in a browser: begins, answers, hands in."""

from __future__ import annotations

import re

from playwright.sync_api import Page

from tests.delivery.pages import small_bank
from tests.delivery.pages.conftest import Site


def begin(page: Page, site: Site, course: str, *, form: str = "", language: str = "en") -> None:
    """Agree, and stand at the first item."""
    page.goto(f"{site.url}/courses/{course}?lang={language}" + (f"&form={form}" if form else ""))
    page.locator("#consent").check()
    page.locator("form#begin button").click()
    page.wait_for_url(re.compile(r"/s/ses_[a-z0-9]+$"))


def kind_of(page: Page) -> str:
    """The format of the item that is shown."""
    kind = page.locator("form.item input[name=type]").get_attribute("value")
    assert kind
    return kind


def fill_in(page: Page, *, right: bool = True) -> None:
    """Put an answer into the controls, whatever they are; with a script or without."""
    kind = kind_of(page)
    if kind == "single_choice":
        page.locator("#answer-b" if right else "#answer-d").check()
    elif kind == "multiple_response":
        for option in small_bank.BEST["multiple"] if right else ["b"]:
            page.locator(f"#answer-{option}").check()
    elif kind == "ordering":
        _order(page, small_bank.BEST["ordering"] if right else ["a", "c", "b"])
    elif kind == "matching":
        for option, target in small_bank.BEST["matching"].items():
            page.locator(f"#match-{option}").select_option(target if right else "z")
    else:
        answers = {"numeric": "0,75", "short_text": "Projector"}
        page.locator("#answer-text").fill(answers[kind] if right else "12")


def _order(page: Page, wanted: list[str]) -> None:
    if page.locator(".order.is-sorted").count() == 0:
        for place, option in enumerate(wanted, start=1):
            page.locator(f"#place-{option}").select_option(str(place))
        return
    for place, option in enumerate(wanted):
        line = page.locator("[data-line]", has=page.locator(f"#line-{option}"))
        while page.locator("[data-line] .order-text").nth(place).get_attribute("id") != f"line-{option}":
            line.locator(".order-moves button").first.click()


def save(page: Page) -> None:
    """Press the button, and wait until what follows is there."""
    before = page.title()
    page.locator("form.item button.primary").click()
    page.wait_for_function("before => document.title !== before", arg=before)
    page.wait_for_load_state()


def answer_all(page: Page, *, right: bool = True) -> int:
    """Answer to the end of the items; how many there were."""
    n = 0
    while page.locator("form.item").count():
        fill_in(page, right=right)
        save(page)
        n += 1
        assert n < 50, "the session does not end"
    return n


def hand_in(page: Page) -> None:
    """From the overview to the result."""
    page.locator("a.button", has_text="Hand in").click()
    page.locator("main button", has_text="Hand in").click()
    page.wait_for_url("**/result")
