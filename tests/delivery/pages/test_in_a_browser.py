"""The pages in a real browser: by keyboard, narrow, from right to left, without a script, in two tabs."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.delivery.pages.conftest import Site
from tests.delivery.pages.walking import answer_all, begin, fill_in, hand_in, kind_of, save

NewContext = Callable[..., BrowserContext]
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
OUTSIDE = [
    "/",
    "/courses/c-1",
    "/courses/c-2?form=c-2-adaptive",
    "/courses/c-3",
    "/badges",
    "/badges/TWT",
    "/me",
    "/standards",
    "/sign-in",
]


@pytest.fixture(autouse=True)
def complaints(page: Page) -> Iterator[list[str]]:
    """What the console says; a violation of the content policy would stand here."""
    found: list[str] = []
    page.on("console", lambda m: found.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda fault: found.append(str(fault)))
    yield found
    # A refusal's status is noted by the browser, and is what the test asked for.
    assert [words for words in found if "status of 4" not in words and "ERR_" not in words] == []


def axe_faults(page: Page) -> list[str]:
    results = Axe().run(page, options={"runOnly": {"type": "tag", "values": WCAG}})
    return [
        f"{urlsplit(page.url).path}: {fault['id']}: {fault['nodes'][0]['html'][:120]}"
        for fault in results.response["violations"]
    ]


_OUTLINED = """() => {
  const widths = [null, "::after"].map((part) => getComputedStyle(document.activeElement, part).outlineWidth);
  return widths.some((width) => parseFloat(width) > 0);
}"""


def overflow(page: Page) -> int:
    width: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return width


# --- the main job ------------------------------------------------------------


def _tab_to(page: Page, selector: str) -> None:
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"the keyboard does not reach {selector}")


def _answer_by_keyboard(page: Page) -> None:
    kind = kind_of(page)
    if kind == "single_choice":
        _tab_to(page, "#answer-a")
        page.keyboard.press("ArrowDown")
    elif kind == "multiple_response":
        for option in ("a", "c"):
            _tab_to(page, f"#answer-{option}")
            page.keyboard.press("Space")
    elif kind == "ordering":
        _tab_to(page, ".order-moves button[aria-label^='Move down']")
        page.keyboard.press("Enter")
        expect(page.locator("#spoken")).to_have_text("Talk about it. Now number 2 of 3.")
        page.keyboard.press("Enter")
    elif kind == "matching":
        for option, number in (("1", "1"), ("2", "2")):
            _tab_to(page, f"#match-{option}")
            page.keyboard.press(number)
    else:
        _tab_to(page, "#answer-text")
        page.keyboard.type("0.75" if kind == "numeric" else "projector")
    _tab_to(page, "button.primary")


def test_the_fixed_form_by_keyboard_alone(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/courses/c-1")
    _tab_to(page, "#consent")
    page.keyboard.press("Space")
    _tab_to(page, "#begin button")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/s/"))
    for n in range(1, 9):
        assert page.locator(".where-item").inner_text() == f"Item {n} of 8"
        _answer_by_keyboard(page)
        page.keyboard.press("Enter")
        if n < 8:
            expect(page.locator(".where-item")).to_have_text(f"Item {n + 1} of 8")
            expect(page.locator("#status")).to_contain_text(f"Your answer to item {n} is stored.")
            # The focus follows, so that the next Tab stands in the new item.
            assert page.evaluate("document.activeElement.id") == "stem"
    page.wait_for_url("**/review")
    expect(page.locator(".is-answered")).to_have_count(8)
    _tab_to(page, "a.button.primary")
    page.keyboard.press("Enter")
    page.wait_for_url("**/submit")
    _tab_to(page, "main button.primary")
    page.keyboard.press("Enter")
    page.wait_for_url("**/result")
    expect(page.locator("h1")).to_have_text("You met the standard")
    expect(page.locator(".callout")).to_contain_text("provisional")
    expect(page.locator("figcaption")).to_have_text(
        "You have 8 of 8 points, with a 90% range from 6 to 8. The standard is 5."
    )
    assert page.locator("svg.standing title").text_content() == page.locator("figcaption").inner_text()
    page.goto(f"{site.url}/me")
    expect(page.locator(".badge").first).to_contain_text("1 of 3 met")
    page.goto(f"{site.url}/courses/c-1")
    expect(page.locator(".begin")).to_have_text("You have passed this course. You need not take it again.")


def test_the_adaptive_form_to_a_sure_pass(page: Page, site: Site) -> None:
    begin(page, site, "c-2", form="c-2-adaptive")
    expect(page.locator(".where-item")).to_have_text("Item 1")
    expect(page.locator(".about-item")).to_contain_text("cannot be changed")
    n = answer_all(page)
    assert 4 <= n <= 6
    page.wait_for_url("**/result")
    expect(page.locator("h1")).to_have_text("You met the standard")
    expect(page.locator(".certainty")).to_have_text(re.compile(r"sure: the probability .* is \d\d%\."))
    expect(page.locator(".callout")).to_have_count(0)


def test_not_shown_yet_names_no_probability(page: Page, site: Site) -> None:
    begin(page, site, "c-2")
    answer_all(page, right=False)
    page.wait_for_url("**/result")
    expect(page.locator("h1")).to_have_text("Not shown yet")
    words = page.locator("main").inner_text()
    assert "probability" not in words
    assert re.findall(r"\d+ ?%", words) == ["90%"]  # the range's own
    assert "You can take the course assessment again from" in words
    page.goto(f"{site.url}/courses/c-2")
    expect(page.locator("#begin")).to_have_count(0)
    expect(page.locator(".begin")).to_contain_text("again from")


def test_too_close_to_say_is_not_a_fail(page: Page, site: Site) -> None:
    begin(page, site, "c-2")
    n = 0
    while page.locator("form.item").count():
        n += 1
        fill_in(page, right=n <= 7)
        save(page)
    expect(page.locator("h1")).to_have_text("Too close to say; this is not a fail")
    expect(page.locator(".certainty")).to_have_count(0)
    expect(page.locator("main")).to_contain_text("A new try gives us more to go by.")


def test_handing_in_early_decides_nothing(page: Page, site: Site) -> None:
    begin(page, site, "c-2", form="c-2-adaptive")
    fill_in(page)
    save(page)
    page.locator("text=Stop and hand in").click()
    expect(page.locator(".callout")).to_contain_text("there is not enough to decide")
    page.locator("main button", has_text="Hand in").click()
    page.wait_for_url("**/result")
    expect(page.locator("h1")).to_have_text("Not enough answered to decide")
    expect(page.locator("svg.standing")).to_have_count(0)


def test_looking_back_shows_the_answer_and_takes_another(page: Page, site: Site) -> None:
    begin(page, site, "c-1")
    fill_in(page, right=False)
    save(page)
    page.locator("text=Previous item").click()
    expect(page.locator("#answer-d")).to_be_checked()
    page.locator("#answer-b").check()
    save(page)
    page.wait_for_url("**/review")
    page.locator(".overview a").first.click()
    expect(page.locator("#answer-b")).to_be_checked()
    page.goto(page.url.split("?")[0])
    expect(page.locator(".where-item")).to_have_text("Item 2 of 8")


# --- bad input, a bad line, two tabs -----------------------------------------


def test_a_malformed_answer_comes_back_with_what_was_typed(page: Page, site: Site) -> None:
    begin(page, site, "c-1")
    page.locator("button.primary").click()
    expect(page.locator("#summary a")).to_have_text(
        "Nothing is chosen yet. Choose an answer, or leave the item blank."
    )
    assert page.evaluate("document.activeElement.id") == "summary"
    page.locator("#summary a").click()
    assert page.evaluate("document.activeElement.id") == "answer-a"
    while kind_of(page) != "numeric":
        fill_in(page)
        save(page)
    page.locator("#answer-text").fill("three quarters")
    page.locator("button.primary").click()
    expect(page.locator("#summary")).to_contain_text("This is not a number")
    expect(page.locator("#answer-text")).to_have_value("three quarters")
    expect(page.locator("#answer-text")).to_have_attribute("aria-invalid", "true")
    assert axe_faults(page) == []


def test_a_dropped_line_is_waited_out_and_the_answer_is_stored_once(page: Page, site: Site) -> None:
    begin(page, site, "c-1")
    address = page.url
    sent: list[dict[str, Any]] = []

    def unreliable(route: Route) -> None:
        request = route.request
        if request.method != "POST":
            route.continue_()
            return
        sent.append({"key": request.headers.get("idempotency-key"), "body": request.post_data})
        if len(sent) == 1:
            route.abort()
        elif len(sent) == 2:
            route.fetch()  # it arrives and is stored, but the reply is lost
            route.abort()
        else:
            route.continue_()

    page.route(f"{address}*", unreliable)
    fill_in(page)
    page.locator("button.primary").click()
    expect(page.locator("#status")).to_contain_text("Waiting to send: your answer to item 1")
    expect(page.locator("#status")).to_have_text(
        re.compile(r"^Your answer to item 1 is stored\. Stored at \d\d:\d\d"), timeout=15_000
    )
    expect(page.locator(".where-item")).to_have_text("Item 2 of 8")
    assert len(sent) == 3
    assert sent[0] == sent[1] == sent[2]
    assert sent[0]["key"]


def test_a_stale_tab_says_what_was_not_stored(page: Page, site: Site, context: BrowserContext) -> None:
    begin(page, site, "c-2")
    other = context.new_page()
    other.goto(page.url)
    fill_in(other)
    save(other)
    fill_in(page, right=False)
    page.locator("button.primary").click()
    expect(page.locator("h1")).to_have_text("Opened in another window")
    assert page.evaluate("document.activeElement.id") == "stem"
    expect(page.locator("main")).to_contain_text("Your answer to item 1 was not stored.")
    assert axe_faults(page) == []
    page.locator("a", has_text="Continue here").click()
    expect(page.locator(".where-item")).to_have_text("Item 2 of 12")
    # The other one is the stale one after that.
    fill_in(other)
    other.locator("button.primary").click()
    expect(other.locator("h1")).to_have_text("Opened in another window")


def test_the_same_answer_from_a_stale_tab_is_the_same_answer(
    page: Page, site: Site, context: BrowserContext
) -> None:
    begin(page, site, "c-2")
    other = context.new_page()
    other.goto(page.url)
    for tab in (other, page):
        fill_in(tab)
        tab.locator("button.primary").click()
        expect(tab.locator("#status")).to_contain_text("Your answer to item 1 is stored.")
    expect(other.locator(".where-item")).to_have_text("Item 2 of 12")
    expect(page.locator("h1")).to_have_text("Opened in another window")


def test_what_is_typed_outlives_a_reload(page: Page, site: Site) -> None:
    begin(page, site, "c-1")
    while kind_of(page) != "short_text":
        fill_in(page)
        save(page)
    page.locator("#answer-text").fill("half a thou")
    page.reload()
    expect(page.locator("#answer-text")).to_have_value("half a thou")


def test_time_that_ran_out_ends_at_the_result(page: Page, site: Site) -> None:
    begin(page, site, "c-1")
    fill_in(page)
    site.clock.ahead = timedelta(minutes=31)
    try:
        page.locator("button.primary").click()
        page.wait_for_url(re.compile(r"/result\?late=1$"))
        expect(page.locator("#notice")).to_contain_text("had ended before your last answer came")
        expect(page.locator("h1")).to_have_text("Not shown yet")
    finally:
        site.clock.ahead = timedelta()


def test_what_is_chosen_when_the_clock_stops_is_sent_within_the_grace(page: Page, site: Site) -> None:
    begin(page, site, "c-1")
    site.clock.ahead = timedelta(minutes=29, seconds=56)
    try:
        page.reload()
        expect(page.locator("[data-clock]")).to_have_text(re.compile("^00:0"))
        fill_in(page)
        expect(page.locator(".where-item")).to_have_text("Item 2 of 8", timeout=15_000)
        expect(page.locator("#status")).to_have_text(re.compile("time is over|is stored"))
        site.clock.ahead = timedelta(minutes=31)
        page.wait_for_url("**/result", timeout=15_000)
        expect(page.locator("figcaption")).to_contain_text("You have 1 of 8 points")
    finally:
        site.clock.ahead = timedelta()


# --- without a script ----------------------------------------------------------


def test_everything_works_without_a_script(new_context: NewContext, site: Site) -> None:
    page = new_context(java_script_enabled=False).new_page()
    begin(page, site, "c-1")
    page.locator("button.primary").click()
    expect(page.locator("#summary")).to_be_visible()
    seen = []
    while page.locator("form.item").count():
        kind = kind_of(page)
        seen.append(kind)
        if kind == "ordering":
            expect(page.locator(".order-moves")).to_have_count(0)
            for option in ("a", "b"):
                page.locator(f"#place-{option}").select_option("1")
            page.locator("button.primary").click()
            expect(page.locator("#summary")).to_contain_text("Number 1 is used twice")
            expect(page.locator("#place-b")).to_have_value("1")
        fill_in(page)
        page.locator("button.primary").click()
    assert len(seen) == 8
    hand_in(page)
    expect(page.locator("h1")).to_have_text("You met the standard")


def test_an_item_can_be_left_blank(new_context: NewContext, site: Site) -> None:
    page = new_context(java_script_enabled=False).new_page()
    begin(page, site, "c-1")
    page.locator("button", has_text="Leave blank").click()
    expect(page.locator(".where-item")).to_have_text("Item 2 of 8")
    page.locator("text=Overview of your answers").click()
    expect(page.locator(".overview li").first).to_contain_text("blank")
    expect(page.locator(".lead")).to_have_text("0 of 2 items answered.")


def test_the_practice_runs_through_every_format_and_stores_nothing(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/practice")
    page.locator("#answer-b").check()
    save(page)
    page.locator("#answer-a").check()
    save(page)
    save(page)  # an order stands as it is shown
    for option in "123":
        page.locator(f"#match-{option}").select_option("x")
    save(page)
    page.locator("#answer-text").fill("many")
    page.locator("button.primary").click()
    expect(page.locator("#summary")).to_contain_text("not a number")
    page.locator("#answer-text").fill("28")
    for words in ("a projector", "They take pictures of leaves."):
        save(page)
        page.locator("#answer-text").fill(words)
    save(page)
    expect(page.locator("h1")).to_have_text("Practice is done")


# --- everybody's eyes and hands ---------------------------------------------------


@pytest.mark.parametrize(("language", "scheme"), [("en", "light"), ("ar", "dark")])
def test_axe_finds_nothing_on_any_page(
    new_context: NewContext, site: Site, language: str, scheme: str
) -> None:
    page = new_context(color_scheme=scheme).new_page()
    faults = []
    for path in [*OUTSIDE, "/practice?item=7", "/practice?item=8", "/nowhere"]:
        page.goto(f"{site.url}{path}{'&' if '?' in path else '?'}lang={language}")
        faults += axe_faults(page)
    begin(page, site, "c-1", language=language)
    while page.locator("form.item").count():
        faults += axe_faults(page)
        fill_in(page)
        save(page)
    address = page.url.rsplit("/", 1)[0]
    faults += axe_faults(page)
    page.goto(f"{address}/submit")
    faults += axe_faults(page)
    page.locator("main button.primary").click()
    page.wait_for_url("**/result")
    faults += axe_faults(page)
    page.goto(f"{site.url}/me")
    faults += axe_faults(page)
    assert faults == []


@pytest.mark.parametrize("language", ["en", "fr", "ar"])
def test_nothing_scrolls_sideways_at_320_pixels(new_context: NewContext, site: Site, language: str) -> None:
    """Also what 400 % zoom makes of a window of 1280 by 1024."""
    page = new_context(viewport={"width": 320, "height": 256}).new_page()
    wide = {}
    for path in [*OUTSIDE, "/practice?item=7", "/practice?item=8", "/nowhere"]:
        page.goto(f"{site.url}{path}{'&' if '?' in path else '?'}lang={language}")
        wide[path] = overflow(page)
    begin(page, site, "c-1", language=language)
    n = 0
    while page.locator("form.item").count():
        n += 1
        wide[f"item {n}"] = overflow(page)
        fill_in(page)
        save(page)
    wide["review"] = overflow(page)
    page.goto(page.url.replace("review", "submit"))
    wide["submit"] = overflow(page)
    page.locator("main button.primary").click()
    page.wait_for_url("**/result")
    wide["result"] = overflow(page)
    assert {place: pixels for place, pixels in wide.items() if pixels > 0} == {}


def test_arabic_runs_from_right_to_left_and_says_when_an_item_does_not(page: Page, site: Site) -> None:
    begin(page, site, "c-1", language="ar")
    assert page.locator("html").get_attribute("dir") == "rtl"
    assert page.locator("html").get_attribute("lang") == "ar"
    expect(page.locator(".foreign")).to_have_count(0)
    left, right = (page.locator(s).first.bounding_box() for s in (".choice-text", ".choice input"))
    assert left is not None
    assert right is not None
    assert right["x"] > left["x"], "the button stands before its words, at the right"
    fill_in(page)
    save(page)
    expect(page.locator(".foreign")).to_have_text("يُعرض هذا البند باللغة الإنجليزية.")
    assert page.locator("#stem-text").get_attribute("dir") == "ltr"
    assert page.locator("#stem-text").get_attribute("lang") == "en"
    answer_all(page)
    page.goto(page.url.replace("review", "submit"))
    page.locator("main button.primary").click()
    page.wait_for_url("**/result")
    expect(page.locator("h1")).to_have_text("استوفيت المعيار")
    cut, dot = (page.locator(s).bounding_box() for s in (".f-cut", ".f-dot"))
    assert cut is not None
    assert dot is not None
    assert dot["x"] < cut["x"], "high scores stand at the left"
    expect(page.locator("footer")).to_contain_text("لم يراجع هذه الترجمة")


def test_the_language_stays_chosen(page: Page, site: Site) -> None:
    page.goto(site.url)
    page.locator(".languages a", has_text="Français").click()
    page.goto(f"{site.url}/badges")
    assert page.locator("html").get_attribute("lang") == "fr"
    expect(page.locator(".card").first).to_contain_text("Réussir les 3 cours.")


def test_the_focus_can_be_seen(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/courses/c-1")
    for _ in range(12):
        page.keyboard.press("Tab")
        seen = page.evaluate(_OUTLINED)
        assert seen


# --- weight -------------------------------------------------------------------


def test_the_first_page_weighs_little_and_the_next_item_less(page: Page, site: Site) -> None:
    weights: dict[str, int] = {}
    page.on("response", lambda reply: weights.update({reply.url: len(reply.body())}))
    page.goto(site.url)
    page.wait_for_load_state("networkidle")
    assert {urlsplit(url).netloc for url in weights} == {urlsplit(site.url).netloc}
    assert sum(weights.values()) <= 60_000
    begin(page, site, "c-1")
    fill_in(page)
    with page.expect_response(lambda reply: reply.request.method == "POST") as following:
        save(page)
    assert len(gzip.compress(following.value.body())) <= 6_000


# --- the frame ------------------------------------------------------------------


def test_the_demonstration_says_so_on_every_page(page: Page, site: Site, closed_site: Site) -> None:
    for path in [*OUTSIDE, "/practice", "/nowhere"]:
        page.goto(site.url + path)
        expect(page.locator(".demo")).to_contain_text("provisional")
    page.goto(f"{closed_site.url}/courses/c-1")
    expect(page.locator(".demo")).to_have_count(0)
    expect(page.locator(".begin")).to_contain_text("To begin, ask your organisation for your own link.")


def test_somebody_else_sees_nothing_of_a_session(page: Page, site: Site, new_context: NewContext) -> None:
    begin(page, site, "c-1")
    stranger = new_context().new_page()
    reply = stranger.goto(page.url)
    assert reply is not None
    assert reply.status == 401
    expect(stranger.locator("h1")).to_have_text("We do not know you here yet")
    begin(stranger, site, "c-1")
    mine = stranger.url
    for cookie in stranger.context.cookies():
        if cookie["name"] == "assess_session":
            there = {"name": cookie["name"], "value": cookie["value"], "url": page.url}
            stranger.context.add_cookies([there])  # type: ignore[list-item]
    reply = stranger.goto(page.url)
    assert reply is not None
    assert reply.status == 404
    expect(stranger.locator("h1")).to_have_text("This assessment is not open here")
    stranger.goto(mine)
    expect(stranger.locator(".where-item")).to_have_text("Item 1 of 8")


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(page: Page, site: Site) -> None:
    begin(page, site, "c-1")
    cookies = page.context.cookies()
    assert {c["name"] for c in cookies} >= {"assess_visit", "assess_session", "assess_learner"}
    assert all(c["httpOnly"] and c["sameSite"] == "Lax" for c in cookies)


def test_a_form_that_did_not_come_from_our_page_is_refused(page: Page, site: Site) -> None:
    begin(page, site, "c-1")
    for path in (urlsplit(page.url).path, f"{urlsplit(page.url).path}/submit", "/courses/c-2", "/practice"):
        reply = page.request.post(site.url + path, form={"answer": "b", "consent": "yes", "csrf": "made-up"})
        assert reply.status == 403
        assert "This form is too old" in reply.text()


def test_a_link_with_a_token_becomes_a_cookie_and_a_clean_address(
    page: Page, site: Site, browser: Browser
) -> None:
    begin(page, site, "c-1")
    token = next(c["value"] for c in page.context.cookies() if c["name"] == "assess_session")
    elsewhere = browser.new_context()
    try:
        tab = elsewhere.new_page()
        tab.goto(f"{page.url}?token={token}")
        assert tab.url == page.url
        expect(tab.locator(".where-item")).to_have_text("Item 1 of 8")
        reply = tab.goto(f"{page.url}?token=lrt_madeup")
        assert reply is not None
        assert reply.status == 401
    finally:
        elsewhere.close()
