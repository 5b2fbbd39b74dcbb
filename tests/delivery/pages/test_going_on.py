"""The result page of an undetermined session says how to go on, and a form without a script does it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from assess.delivery.service import activations
from assess.delivery.settings import Settings
from tests import synthetic
from tests.delivery.conftest import Saved, copy_of, saved_after
from tests.delivery.pages.test_sitting import csrf, opened, post
from tests.delivery.world import Clock, World, programme

FORM = {
    "adaptive": {"min_units": 5, "max_units": 6, "randomesque": 1},
    "extension": {"min_units": 6, "max_units": 8},
    "time_limit_minutes": 30,
}


def _live(world: World) -> None:
    world.run(activations.set_tenant, world.admin, demo=True)
    made = programme()
    world.activate(synthetic.document(kind="adaptive", calibrated=True, n_items=30, form=FORM))
    made["courses"]["twt-3"]["default_form"] = "x-adaptive"
    world.activate(made)


@pytest.fixture(scope="module")
def live(seeded: Saved, tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """The course is live: its activation studies how often the badges err."""
    return saved_after(seeded, tmp_path_factory.mktemp("going-on"), _live)


@pytest.fixture
def demo(settings: Settings, clock: Clock, live: Saved) -> Iterator[World]:
    yield from copy_of(live, settings, clock)


def _undetermined(world: World) -> str:
    world.learner(key="test")
    begun = world.begin(key="test", form="x-adaptive")
    session, current, n = begun["session"], begun["current"], 0
    world.client.get(f"/s/{session}?token={begun['token']}")
    while current is not None:
        current = world.respond(session, current, "ba"[n % 2], key="test").json()["current"]
        n += 1
    world.clock.advance(minutes=1)
    return str(session)


def test_the_page_says_how_many_items_how_long_and_until_when(demo: World) -> None:
    session = _undetermined(demo)
    page = demo.client.get(f"/s/{session}/result")
    assert "Too close to say; this is not a fail" in page.text
    assert "There are 6 to 8 more items. Going on costs no try." in page.text
    assert "You have 40 minutes for them, from when you go on." in page.text
    assert "You can go on until 29 November 2026, 12:00 UTC." in page.text
    assert "Invigilator" not in page.text
    french = demo.client.get(f"/s/{session}/result?lang=fr").text
    assert "Continuer avec d’autres items" in french
    assert "Il reste de 6 à 8 items." in french


def test_a_form_goes_on_and_twice_is_once(demo: World) -> None:
    session = _undetermined(demo)
    page = demo.client.get(f"/s/{session}/result")
    after = post(demo, f"/s/{session}/extend", page)
    assert after.status_code == 200
    assert re.search(r"Item 7\b", after.text)
    again = post(demo, f"/s/{session}/extend", page)
    assert re.search(r"Item 7\b", again.text)
    # The result is not there while the session goes on.
    assert "Too close to say" not in demo.client.get(f"/s/{session}/result").text


def test_a_form_from_elsewhere_opens_nothing(demo: World) -> None:
    session = _undetermined(demo)
    refused = demo.client.post(f"/s/{session}/extend", data={"csrf": "made up"})
    assert refused.status_code == 403
    assert "Too close to say" in demo.client.get(f"/s/{session}/result").text


def test_where_nothing_was_open_there_is_no_button(demo: World) -> None:
    session, page = opened(demo)
    assert csrf(page)
    demo.call("POST", f"/v1/sessions/{session}/submit", key="test")
    assert "/extend" not in demo.client.get(f"/s/{session}/result").text


def test_the_page_of_the_course_leads_back_to_it_and_says_when_a_new_try_may_begin(demo: World) -> None:
    session = _undetermined(demo)
    page = demo.client.get("/courses/twt-3").text
    assert "You can answer more items." in page
    assert "You can go on until 29 November 2026, 12:00 UTC." in page
    assert f'href="/s/{session}/result"' in page
    assert "You can take the course assessment again from 23 November 2026, 12:00 UTC." in page
    assert 'id="begin"' not in page
    demo.clock.advance(days=2)
    later = demo.client.get("/courses/twt-3").text
    assert f'href="/s/{session}/result"' in later
    assert 'id="begin"' in later
