"""Out of the line and on: the place is held, what was chosen comes back, and the box is ticked as it was."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from tests.delivery.api.test_placements import placed_seed, placing  # noqa: F401 - fixtures
from tests.delivery.pages.test_sign_in import codes, cohort, entered, post
from tests.delivery.world import World, refused

_TICKED = re.compile(r'<input type="checkbox" name="consent"[^>]* checked')
_TURN = "It is your turn. Your place is kept for a short while: begin now."


def shut(world: World) -> None:
    """Let nobody begin, and nobody wait for it."""
    line = world.services.admission
    line._at_once, line._line = asyncio.Semaphore(0), 0


def ease(world: World) -> None:
    """One place in the line."""
    line = world.services.admission
    line._at_once, line._line = asyncio.Semaphore(1), 1


def let_in(world: World, sent_away: Any) -> Any:
    """From the reply that sends to wait, through the line, to the page before the clock."""
    assert sent_away.status_code == 303
    assert sent_away.headers["location"].startswith("/waiting?")
    waiting = world.client.get(sent_away.headers["location"])
    assert waiting.status_code == 503
    ease(world)
    on = world.client.get(waiting.headers["refresh"].partition("url=")[2], follow_redirects=False)
    assert on.status_code == 303
    return world.client.get(on.headers["location"])


def test_who_was_sent_to_wait_finds_the_form_as_it_was_left_and_begins(world: World) -> None:
    cohort(world, "lrn_1")
    entered(world, codes(world)["lrn_1"])
    before = world.client.get("/courses/twt-3?form=x-fixed").text
    assert _TICKED.search(before) is None
    shut(world)
    form = {"consent": "yes", "consent_version": "1", "locale": "en"}
    page = let_in(world, post(world, before, "/courses/twt-3?form=x-fixed", **form))
    assert str(page.url).endswith("/courses/twt-3?form=x-fixed&locale=en")
    assert _TICKED.search(page.text)
    assert _TURN in page.text
    line = world.services.admission
    assert line.room == 0
    begun = post(world, page.text, "/courses/twt-3?form=x-fixed", **form)
    assert re.match(r"/s/ses_", begun.headers["location"])
    assert line.room == 1


def test_no_box_is_ticked_for_who_has_not_agreed_or_was_not_let_in(world: World) -> None:
    cohort(world, "lrn_1")
    entered(world, codes(world)["lrn_1"])
    # A cookie that another made up is no ticket, and a ticket is no consent.
    world.client.cookies.set("assess_place", "plc_made_up")
    page = world.client.get("/courses/twt-3").text
    assert _TURN not in page
    shut(world)
    world.services.admission.place("plc_made_up")
    ease(world)
    assert world.services.admission.place("plc_made_up") == 0
    page = world.client.get("/courses/twt-3").text
    assert _TURN in page
    assert _TICKED.search(page) is None


@pytest.mark.parametrize(("language", "words"), [("fr", "C’est votre tour."), ("ar", "حان دورك.")])
def test_the_turn_is_told_in_every_language(world: World, language: str, words: str) -> None:
    shut(world)
    waiting = world.client.get(f"/waiting?for=/courses/twt-3&lang={language}", follow_redirects=False)
    assert "%(" not in waiting.text
    ease(world)
    again = waiting.headers["refresh"].partition("url=")[2]
    assert words in world.client.get(again).text


def test_a_placement_stands_in_the_line_at_its_begin_and_not_at_a_next_part(placing: World) -> None:  # noqa: F811
    body = {"learner": "lrn_1", "programme": "teaching-with-technology"}
    begun = placing.call("POST", "/v1/placements", body).json()
    placing.learner("lrn_2")
    shut(placing)
    refused(placing.call("POST", "/v1/placements", body | {"learner": "lrn_2"}), 503, "overloaded")
    placing.call("POST", f"/v1/sessions/{begun['session']['session']}/submit")
    following = placing.call("POST", f"/v1/placements/{begun['placement']['placement']}/next")
    assert following.status_code == 200
    assert following.json()["session"] is not None


def test_a_placement_goes_on_after_the_line_with_the_box_ticked(placing: World) -> None:  # noqa: F811
    cohort(placing, "lrn_1")
    entered(placing, codes(placing)["lrn_1"])
    address = "/placement/teaching-with-technology"
    before = placing.client.get(address).text
    assert _TICKED.search(before) is None
    shut(placing)
    page = let_in(placing, post(placing, before, address, consent="yes", locale="en"))
    assert _TICKED.search(page.text)
    assert _TURN in page.text
    begun = post(placing, page.text, address, consent="yes", locale="en")
    assert re.match(r"/s/ses_", begun.headers["location"])
    assert placing.services.admission.room == 1
