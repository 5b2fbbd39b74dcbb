"""A placement on pages, without a script: what it is, one part after the other, what came of it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assess.delivery.service import activations
from tests.delivery.api.test_placements import (  # noqa: F401 - a fixture
    HERE,
    activate,
    document,
    placed_seed,
)
from tests.delivery.conftest import open_world
from tests.delivery.world import Clock, World
from tests.delivery.world import settings as settings_of

ADDRESS = "/placement/teaching-with-technology"


@pytest.fixture
def demo(placed_seed: tuple[Path, dict[str, str]], tmp_path: Path) -> Iterator[World]:  # noqa: F811
    """A demonstration, in which a visitor is a guest."""
    path, known = placed_seed
    shutil.copyfile(path, tmp_path / "assess.db")
    for world in open_world(settings_of(tmp_path), Clock(), known):
        world.run(activations.set_tenant, world.admin, demo=True)
        yield world


def hidden(page: Any, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page.text)
    assert found is not None, page.text
    return found[1]


def post(world: World, address: str, page: Any, **fields: str) -> Any:
    return world.client.post(address, data={"csrf": hidden(page, "csrf"), **fields})


def take(world: World, page: Any, answer: str) -> Any:
    """Answer every item of a part; the page after the last one."""
    while 'class="item' in page.text:
        fields = {name: hidden(page, name) for name in ("position", "revision", "item", "fence", "type")}
        page = post(world, str(page.url).split("?")[0], page, answer=answer, **fields)
        assert page.status_code == 200, page.text
    return page


def test_a_visitor_is_led_from_the_courses_through_every_part_to_the_advice(demo: World) -> None:
    index = demo.client.get("/")
    assert f'href="{ADDRESS}"' in index.text
    before = demo.client.get(ADDRESS)
    assert "at least 95% probable" in before.text
    assert "Nobody fails here" in before.text
    page = post(demo, ADDRESS, before, consent="yes")
    assert re.search(r"/s/ses_[a-z0-9]+$", str(page.url))
    between = take(demo, page, "b")
    assert "1 part of 2 is done" in between.text
    address = str(between.url)
    assert "/placements/plc_" in address
    page = post(demo, address, between)
    after = take(demo, page, "a")
    assert "1 course is granted to you" in after.text
    assert "Granted: it counts as passed" in after.text
    assert "Work through this course, then take its assessment." in after.text
    assert "Start with this course:" in after.text
    assert 'href="/courses/twt-5"' in after.text
    for word in ("fail", "score", "theta", "probability"):
        assert word not in after.text.lower(), "a part has no result of its own"
    course = demo.client.get("/courses/twt-3")
    assert "You have passed this course." in course.text


def test_nothing_begins_without_consent_and_a_second_time_says_from_when(demo: World) -> None:
    before = demo.client.get(ADDRESS)
    refused = post(demo, ADDRESS, before)
    assert refused.status_code == 422
    assert "Tick the box if you agree" in refused.text
    page = post(demo, ADDRESS, before, consent="yes")
    page = take(demo, post(demo, str(take(demo, page, "a").url), take(demo, page, "a")), "a")
    assert "This is no fail" in page.text
    again = post(demo, ADDRESS, demo.client.get(ADDRESS), consent="yes")
    assert again.status_code == 409
    assert "You can do it again from 22 December 2026" in again.text


def test_parts_on_unproven_items_say_that_they_only_advise(demo: World) -> None:
    for course in HERE:
        activate(demo, document(course, calibrated=False, version=2))
    page = demo.client.get(ADDRESS)
    assert "Until then no course is granted here" in page.text


@pytest.mark.parametrize("code", ["fr", "ar"])
def test_the_pages_speak_every_language(demo: World, code: str) -> None:
    before = demo.client.get(f"{ADDRESS}?lang={code}")
    assert "%(" not in before.text
    between = take(demo, post(demo, f"{ADDRESS}?lang={code}", before, consent="yes"), "b")
    assert "%(" not in between.text
    assert "Your answers are stored" not in between.text


def test_a_stranger_finds_no_placement(demo: World) -> None:
    page = post(demo, ADDRESS, demo.client.get(ADDRESS), consent="yes")
    address = str(take(demo, page, "b").url)
    demo.client.cookies.clear()
    assert demo.client.get(address).status_code == 401
    guest = post(demo, ADDRESS, demo.client.get(ADDRESS), consent="yes")
    assert guest.status_code == 200
    assert demo.client.get(address).status_code == 404
    assert demo.client.get("/placement/nowhere").status_code == 404
