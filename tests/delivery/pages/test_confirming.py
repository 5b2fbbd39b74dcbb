"""The pages of a confirmation say in kind words what it is, what came of it, and that nobody fails by it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page

from assess.delivery.service import activations, invigilation, keys, launching
from assess.simulation import form_accuracy
from tests import synthetic
from tests.delivery.conftest import open_world
from tests.delivery.pages.conftest import Site, serve
from tests.delivery.pages.test_in_a_browser import axe_faults, overflow
from tests.delivery.pages.test_sitting import post
from tests.delivery.service.test_confirming import FIRST, FORM, decided
from tests.delivery.world import Clock, World, programme
from tests.delivery.world import settings as world_settings

CONFIRMING = "/courses/twt-3?form=x-confirming"


@pytest.fixture(autouse=True, scope="module")
def short_studies() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launching, "_CONFIRMED", 60)
        patch.setattr(launching, "form_accuracy", partial(form_accuracy, n=100))
        yield


def _documents() -> list[dict[str, Any]]:
    return [
        programme(),
        synthetic.document(calibrated=True, n_items=12, form=FIRST),
        synthetic.document(kind="adaptive", calibrated=True, n_items=60, form=FORM),
    ]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[World]:
    for world in open_world(world_settings(tmp_path), Clock()):
        world.run(activations.set_tenant, world.admin, demo=True)
        for document in _documents():
            world.activate(document)
        world.learner(key="test")
        yield world


def _sit(world: World, begun: dict[str, Any], answer: str) -> str:
    session, current = str(begun["session"]), begun["current"]
    world.client.get(f"/s/{session}?token={begun['token']}")
    while current is not None:
        current = world.respond(session, current, answer, key="test").json()["current"]
    world.call("POST", f"/v1/sessions/{session}/submit", key="test")
    world.clock.advance(minutes=1)
    return session


def _code(world: World) -> str:
    now, scope = world.clock.now, keys.local(world.admin.tenant, "test", sandbox=True)
    made = world.run(invigilation.create, scope, course="twt-3", from_at=now, to_at=now + timedelta(hours=2))
    return str(made.code)


def _confirm(world: World, answer: str) -> str:
    asked = {"learner": "lrn_1", "form": "x-confirming", "code": _code(world)}
    return _sit(world, world.call("POST", "/v1/sessions", asked, key="test").json(), answer)


def _shown(world: World, path: str) -> str:
    return world.client.get(path).text


def test_a_pass_leads_to_the_page_of_the_check_which_says_what_it_is(demo: World) -> None:
    first = _sit(demo, demo.begin(key="test"), "b")
    result = _shown(demo, f"/s/{first}/result")
    assert f'href="{CONFIRMING}"' in result
    page = _shown(demo, CONFIRMING)
    assert "This short check under supervision shows that your earlier result is your own." in page
    assert "Number of items: 4 to 16." in page
    assert "nobody can fail it" in page
    assert "at most 5%" in page
    assert "It uses none" in page
    assert "If you do not pass" not in page
    assert "if you were given one" not in page
    # The course itself is still the form that decides.
    assert "You have passed this course." in _shown(demo, "/courses/twt-3")


def test_it_begins_with_the_code_alone(demo: World) -> None:
    _sit(demo, demo.begin(key="test"), "b")
    page = demo.client.get(CONFIRMING)
    agreed = {"consent": "yes", "consent_version": "1"}
    without = post(demo, CONFIRMING, page, **agreed)
    assert without.status_code == 422
    assert "Enter the code that the invigilator gives you." in without.text
    begun = post(demo, CONFIRMING, page, code=_code(demo), **agreed)
    assert begun.status_code == 200
    assert re.search(r"Item 1\b", begun.text)


def test_where_nothing_is_passed_there_is_nothing_to_confirm(demo: World) -> None:
    first = _sit(demo, demo.begin(key="test"), "a")
    assert "x-confirming" not in _shown(demo, f"/s/{first}/result")
    assert "You have no result here that could be confirmed now." in _shown(demo, CONFIRMING)


def test_a_consistent_check_is_told_on_both_pages(demo: World) -> None:
    first = _sit(demo, demo.begin(key="test"), "b")
    page = _shown(demo, f"/s/{_confirm(demo, 'b')}/result")
    assert "Your result is confirmed" in page
    assert "/appeal" not in page
    beside = _shown(demo, f"/s/{first}/result")
    assert "confirmed this result." in beside
    assert CONFIRMING not in beside
    assert "a confirmé ce résultat." in _shown(demo, f"/s/{first}/result?lang=fr")


def test_an_inconsistent_check_fails_nobody_and_says_who_looks_and_until_when(demo: World) -> None:
    first = _sit(demo, demo.begin(key="test"), "b")
    page = _shown(demo, f"/s/{_confirm(demo, 'a')}/result")
    assert "People will look at it" in page
    assert "nobody fails by it" in page
    assert "You get an answer by 22 December 2026" in page
    beside = _shown(demo, f"/s/{first}/result")
    assert "You met the standard" in beside
    assert "until they have, the result stands." in beside
    mine = _shown(demo, "/me")
    assert "What people look at" in mine
    assert "Second looks that you asked for" not in mine
    decided(demo, key="test", outcome="rejected")
    assert "People have looked at it, and the result stands." in _shown(demo, f"/s/{first}/result")
    assert "and your result stands." in _shown(demo, "/me")


def test_upheld_the_page_says_that_the_course_can_be_taken_again(demo: World) -> None:
    first = _sit(demo, demo.begin(key="test"), "b")
    _confirm(demo, "a")
    decided(demo, key="test", outcome="upheld", status="undetermined")
    page = _shown(demo, f"/s/{first}/result")
    assert "Too close to say; this is not a fail" in page
    assert "Nobody has failed; the course can be taken again." in page


def test_an_undecided_check_leaves_everything_as_it_is(demo: World) -> None:
    _sit(demo, demo.begin(key="test"), "b")
    asked = {"learner": "lrn_1", "form": "x-confirming", "code": _code(demo)}
    begun = demo.call("POST", "/v1/sessions", asked, key="test").json()
    demo.client.get(f"/s/{begun['session']}?token={begun['token']}")
    demo.call("POST", f"/v1/sessions/{begun['session']}/submit", key="test")
    assert "This check could not tell" in _shown(demo, f"/s/{begun['session']}/result")


# --- in a browser -------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    yield from serve(tmp_path_factory.mktemp("confirming"), _documents(), demo=True)


def _fine(page: Page, name: str) -> None:
    assert (axe_faults(page), overflow(page)) == ([], 0), name
    if shots := os.environ.get("ASSESS_SHOTS"):
        page.screenshot(path=Path(shots) / f"{name}.png", full_page=True)


@pytest.mark.parametrize("language", ["en", "ar"])
def test_the_check_reads_well_on_a_narrow_screen(page: Page, site: Site, language: str) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    with httpx.Client(base_url=site.url, headers={"Authorization": f"Bearer {site.key}"}) as client:
        learner = f"lrn_{language}"
        client.put(f"/v1/learners/{learner}", json={"external_ids": []})
        begun = client.post("/v1/sessions", json={"learner": learner, "form": "x-fixed"}).json()
        _answered(client, begun, "b")
        page.goto(f"{site.url}/s/{begun['session']}?token={begun['token']}&lang={language}")
        page.goto(f"{site.url}/s/{begun['session']}/result?lang={language}")
        _fine(page, f"confirm-offered-{language}")
        page.goto(f"{site.url}{CONFIRMING}&lang={language}")
        _fine(page, f"confirm-before-{language}")
        now = site.clock()
        window = {"from": now.isoformat(), "to": (now + timedelta(hours=1)).isoformat()}
        made = client.post("/v1/invigilator-codes", json={"course": "twt-3"} | window)
        assert made.status_code == 201, made.text
        page.locator("#consent").check()
        page.locator("form#begin button").click()
        _fine(page, f"confirm-fault-{language}")
        page.locator("#code").fill(made.json()["code"])
        page.locator("#consent").check()
        page.locator("form#begin button").click()
        page.wait_for_url(re.compile(r"/s/ses_[a-z0-9]+$"))
        session = re.search(r"ses_[a-z0-9]+", page.url)
        assert session is not None
        view = client.get(f"/v1/sessions/{session[0]}").json()
        _answered(client, view, "a")
        page.goto(f"{site.url}/s/{session[0]}/result?lang={language}")
        _fine(page, f"confirm-after-{language}")
        page.goto(f"{site.url}/s/{begun['session']}/result?lang={language}")
        _fine(page, f"confirm-beside-{language}")
        page.goto(f"{site.url}/me?lang={language}")
        _fine(page, f"confirm-mine-{language}")


def _answered(client: httpx.Client, begun: dict[str, Any], answer: str) -> None:
    session, current = begun["session"], begun["current"]
    while current is not None:
        body = {
            "position": current["position"],
            "item": current["item"]["id"],
            "revision": current["revision"],
            "answer": answer,
        }
        stored = client.post(f"/v1/sessions/{session}/responses", json=body)
        assert stored.status_code == 200, stored.text
        current = stored.json()["current"]
    client.post(f"/v1/sessions/{session}/submit")
