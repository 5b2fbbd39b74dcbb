"""No HTML that a learner's browser gets holds a key, a parameter, a later item, or a rationale."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest

from tests import synthetic
from tests.delivery.test_leaks import SECRET_TEXT, poisoned, secret_numbers, secrets_in
from tests.delivery.world import MARK, World

LANGUAGES = ("en", "fr", "ar")


class Browser:
    """A learner's browser without a script: every page it gets is searched, redirects on the way included."""

    def __init__(self, world: World, document: dict[str, Any]) -> None:
        self.client = world.client
        self.references = list(document["items"])
        self.allowed_marks: set[str] = set()
        self.numbers = secret_numbers(document)
        self.offered: list[str] = []
        self.pages = 0

    def get(self, address: str, **headers: str) -> Any:
        return self._searched(self.client.get(address, headers=headers))

    def post(self, address: str, fields: dict[str, Any], **headers: str) -> Any:
        return self._searched(self.client.post(address, data=fields, headers=headers))

    def _searched(self, answer: Any) -> Any:
        for reply in (*answer.history, answer):
            self.pages += 1
            said = html.unescape(reply.text) + str(dict(reply.headers))
            found = secrets_in(said, self.numbers) - self.allowed_marks
            assert not found, f"{found} in {reply.request.method} {reply.url}"
            shown = [r for r in self.references if f"STEM-OF-{r}-END" in said and r not in self.offered]
            # Only the item that an answer leads to, or the first, is new; and never two at a time.
            assert len(shown) <= self.allowed, f"{shown} in {reply.request.method} {reply.url}"
            self.offered += shown
            self.allowed -= len(shown)
        return answer

    allowed = 0

    def next_item(self) -> None:
        """One item more may be met from here on."""
        self.allowed = 1


def fields_of(page: str) -> dict[str, str]:
    """The hidden fields of the form of an item."""
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))


@pytest.mark.parametrize(
    ("options", "form"),
    [
        ({"n_items": 6, "with_case_set": True}, {"review": "allowed"}),
        ({"n_items": 6, "calibrated": True}, {"review": "allowed", "feedback": "rationales"}),
        ({"n_items": 6, "n_pilot": 2}, {"review": "none", "pilot_slots": 2}),
        ({"kind": "adaptive", "n_items": 15}, {}),
        ({"kind": "adaptive", "n_items": 15, "calibrated": True}, {}),
    ],
)
def test_no_page_on_the_way_through_a_session_holds_a_secret(
    world: World, options: dict[str, Any], form: dict[str, Any]
) -> None:
    document = poisoned(**{"kind": "fixed", **options})
    document["form"] |= form
    world.activate(document)
    name = document["form"]["id"]
    world.learner()
    begun = world.begin(form=name)
    session = f"/s/{begun['session']}"
    browser = Browser(world, document)
    outside = [
        "/",
        f"/courses/twt-3?form={name}",
        "/badges",
        "/badges/ONE",
        "/me",
        "/sign-in",
        "/practice",
        "/nothing",
    ]
    for address in [*outside, session, f"{session}/result", f"{session}?token=lrt_wrong"]:
        browser.get(address)  # a stranger first
    browser.next_item()
    page = browser.get(f"{session}?token={begun['token']}")
    assert page.status_code == 200
    n = 0
    while 'name="position"' in page.text:
        n += 1
        fields = fields_of(page.text)
        position = int(fields["position"])
        inside = [
            session,
            f"{session}?item={position}",
            f"{session}?item={position + 1}",
            f"{session}?item=1&lang={LANGUAGES[n % 3]}",
            f"{session}/review",
            f"{session}/review?moved={position}",
            f"{session}/submit",
            f"{session}/result",
            f"{session}/nothing",
        ]
        for address in (inside + outside, inside)[n - 1] if n < 3 else inside[:2]:
            browser.get(address)
            browser.get(address, **{"X-Fragment": "1"})
        # Each of these pages was an opening; the newest one writes.
        fields = fields_of(browser.get(session).text)
        for bad in (
            {"csrf": "x", "answer": "b"},
            {"answer": "zzz"},
            {"answer": ""},
            {"answer": "b", "item": "x-999"},
            {"answer": "b", "position": str(position + 1)},
            {"answer": "b", "revision": "7"},
        ):
            assert browser.post(session, fields | bad).status_code >= 400
        browser.next_item()
        answer = {"blank": "1"} if n % 4 == 0 else {"answer": "b" if n % 2 else "a"}
        fragment = {"X-Fragment": "1"} if n % 2 else {}
        page = browser.post(session, fields | answer, **fragment)
        assert page.status_code == 200
        browser.post(session, fields | answer)  # a second click
        browser.post(session, fields | {"answer": "c"})  # an old tab
        page = browser.get(session)
    browser.allowed = 0
    browser.get(f"{session}/review")
    confirm = browser.get(f"{session}/submit")
    if 'method="post"' in confirm.text:
        if form.get("feedback") == "rationales":
            browser.allowed_marks = {MARK, SECRET_TEXT}
        browser.post(f"{session}/submit", fields_of(confirm.text))
    for language in LANGUAGES:
        ended = browser.get(f"{session}/result?late=1&lang={language}")
        assert 'class="result' in ended.text
    for address in (session, f"{session}?item=1", f"{session}/review", f"{session}/submit", *outside):
        browser.get(address)
    browser.post(session, fields | answer)  # after the end
    assert len(browser.offered) == n
    assert browser.pages > 80


def test_a_page_is_the_same_whatever_the_key_and_the_parameters_are(world: World) -> None:
    """Forms that differ in every secret give the same pages, answer for answer, until the end."""
    told = []
    for number, key in enumerate("abc"):
        document = synthetic.document(n_items=6, calibrated=number == 1)
        for item in document["items"].values():
            item["key"] = key
        for record in document["parameter_set"]["items"]:
            record |= {name: value + number / 8 for name, value in record.items() if isinstance(value, float)}
        document["form"] |= {"id": "x-same", "version": number + 1}
        world.activate(document)
        learner = world.learner(f"lrn_{number}")
        begun = world.begin(learner, form="x-same")
        page = world.client.get(f"/s/{begun['session']}?token={begun['token']}")
        pages = []
        while 'name="position"' in page.text:
            pages.append(re.sub(r'(ses|req)_\w+|name="csrf" value="[^"]+"|data-csrf="[^"]+"', "", page.text))
            page = world.client.post(f"/s/{begun['session']}", data=fields_of(page.text) | {"answer": "b"})
            pages.append(re.sub(r"ses_\w+", "", str(page.history[0].headers["location"])))
        told.append(pages)
        world.client.cookies.clear()
    assert len(told[0]) == 12
    assert told[0] == told[1] == told[2]
