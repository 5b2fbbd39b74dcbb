"""Shared links: what others see is what the learner chose, until it is revoked or no longer holds."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page

from assess.delivery.security import digest
from assess.delivery.service import shares
from assess.delivery.store import reading_badges
from assess.errors import InvalidRequest, NotEligible
from tests.delivery.api.test_claims import own
from tests.delivery.pages.conftest import Site
from tests.delivery.pages.test_in_a_browser import axe_faults, overflow
from tests.delivery.pages.test_sign_in import codes, cohort, entered, post
from tests.delivery.pages.test_sign_in_in_a_browser import _ask, _shot, code_for
from tests.delivery.world import World, refused


@pytest.fixture
def signed_in(world: World) -> World:
    """A world in which lrn_1 passed twt-3 and is signed in."""
    cohort(world, "lrn_1")
    world.sit("lrn_1")
    entered(world, codes(world)["lrn_1"])
    return world


def make(world: World, badges: tuple[str, ...] = ("ONE",), **fields: Any) -> str:
    """A new link, as the page shows it; the path of it."""
    page = world.client.get("/me/shares")
    assert page.status_code == 200, page.text
    answer = post(world, page.text, "/me/shares", badge=[*badges], **fields)
    assert answer.status_code == 200, answer.text
    (path,) = re.findall(r'value="http://testserver(/share/\w+)"', answer.text)
    return str(path)


def look(world: World, path: str) -> Any:
    """As somebody who has only the link."""
    kept = list(world.client.cookies.jar)
    world.client.cookies.clear()
    try:
        return world.client.get(path)
    finally:
        world.client.cookies.clear()
        for cookie in kept:
            world.client.cookies.jar.set_cookie(cookie)


def test_a_link_shows_the_badge_and_nothing_that_was_not_chosen(signed_in: World) -> None:
    world = signed_in
    assert '<a class="button plain" href="/me/shares">' in world.client.get("/me").text
    shown = look(world, make(world))
    assert shown.status_code == 200
    assert "/badges/ONE" in shown.text
    for hidden in ("lrn_1", "Scores", "Signed statement", "dec_", "on a scale", "/badges/BOTH"):
        assert hidden not in shown.text
    assert shown.headers["x-robots-tag"] == "noindex, nofollow, noarchive"
    assert '<meta name="robots" content="noindex, nofollow, noarchive">' in shown.text
    assert (shown.headers["cache-control"], shown.headers["referrer-policy"]) == ("no-store", "no-referrer")


def test_name_scores_and_statement_are_shown_when_they_were_chosen(signed_in: World) -> None:
    world = signed_in
    shown = look(world, make(world, name="Ada <b>L.</b>", scores="yes", statement="yes"))
    assert "Ada &lt;b&gt;L.&lt;/b&gt;" in shown.text
    score = world.call("GET", "/v1/learners/lrn_1/courses/twt-3/status").json()["decision"]["score"]
    assert f"{score['value']:g}, on a scale from {score['min']:g} to {score['max']:g}" in shown.text
    (statement,) = re.findall(r"<textarea[^>]*>([\w.-]+)</textarea>", shown.text)
    assert world.services.statements.read(statement, kind="JWT") is not None


def test_a_revoked_link_opens_nothing_and_revoking_twice_changes_nothing(signed_in: World) -> None:
    world = signed_in
    path = make(world)
    other = make(world)
    page = world.client.get("/me/shares").text
    revoke = re.findall(r'action="(/me/shares/shr_\w+/revoke)"', page)
    assert len(revoke) == 2
    row = world.ask(reading_badges.share, digest(path.rpartition("/")[2]))
    assert row is not None
    for _ in range(2):
        assert post(world, page, f"/me/shares/{row.id}/revoke").headers["location"] == "/me/shares"
    assert look(world, path).status_code == 404
    assert look(world, other).status_code == 200
    assert "Revoked on" in world.client.get("/me/shares").text


def test_a_badge_that_was_lost_since_is_shown_no_more(signed_in: World) -> None:
    world = signed_in
    body = {
        "id": "f1",
        "source": "us",
        "t": "attended",
        "subject": "lrn_1",
        "at": "2026-11-01",
        "event": "e1",
    }
    world.call("POST", "/v1/facts", body)
    path = make(world, ("SEEN",))
    assert "/badges/SEEN" in look(world, path).text
    world.call("POST", "/v1/facts/f1/void", {"at": "2026-11-01", "reason": "x"})
    shown = look(world, path)
    assert "/badges/SEEN" not in shown.text
    assert "Nothing that was shared holds at this moment." in shown.text


def test_the_token_is_stored_as_a_hash_and_an_erased_learner_is_shown_no_more(signed_in: World) -> None:
    world = signed_in
    path = make(world)
    token = path.rpartition("/")[2]
    row = world.ask(reading_badges.share, digest(token))
    assert token not in str(row.values() if row is not None else "")
    world.call("POST", "/v1/learners/lrn_1/erase", {"reason": "asked for it"})
    assert world.ask(reading_badges.share, digest(token)) is None
    assert look(world, path).status_code == 404


def test_what_cannot_be_shared_is_said_and_nothing_is_made(
    signed_in: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = signed_in
    page = world.client.get("/me/shares").text
    for fields, said in (
        ({}, "Choose at least one badge."),
        ({"badge": "BOTH"}, "This cannot be shared now."),
        ({"badge": "ONE", "name": 81 * "x"}, "This name is too long."),
    ):
        answer = post(world, page, "/me/shares", **fields)
        assert (answer.status_code, said in answer.text) == (422, True), said
    assert post(world, page, "/me/shares", badge="NONE").status_code == 404
    monkeypatch.setattr(shares, "MOST", 1)
    make(world)
    assert post(world, page, "/me/shares", badge="ONE").status_code == 422
    with pytest.raises(InvalidRequest, match="choose at least one"):
        world.client.portal.call(lambda: shares.create(world.services, own(), badges=[]))  # type: ignore[union-attr]
    with pytest.raises(NotEligible, match="BOTH"):
        world.client.portal.call(lambda: shares.create(world.services, own(), badges=["BOTH"]))  # type: ignore[union-attr]


def test_nobody_makes_or_revokes_anothers_link(signed_in: World) -> None:
    world = signed_in
    path = make(world)
    (revoke,) = re.findall(r'action="(/me/shares/shr_\w+/revoke)"', world.client.get("/me/shares").text)
    assert world.client.post(revoke, data={"csrf": "x"}).status_code == 403
    cohort(world, "lrn_2")
    page = entered(world, codes(world, learners=["lrn_2"])["lrn_2"])
    assert post(world, page, revoke).status_code == 404
    assert look(world, path).status_code == 200
    world.client.cookies.clear()
    assert world.client.get("/me/shares").status_code == 401
    page = world.client.get("/sign-in").text
    assert post(world, page, "/me/shares", badge="ONE").status_code == 401
    assert world.client.get("/share/none").status_code == 404
    refused(world.call("GET", "/v1/learners/lrn_1", key=path.rpartition("/")[2]), 401, "credentials_invalid")


@pytest.mark.parametrize("language", ["en", "fr", "ar"])
def test_the_pages_are_without_fault_on_a_narrow_screen(page: Page, closed_site: Site, language: str) -> None:
    learner = f"lrn_share_{language}"
    code = code_for(closed_site, learner)
    fact = {"source": "us", "t": "training_attended", "subject": learner, "at": "2026-01-01"}
    _ask(closed_site, "POST", "/v1/facts", {"id": f"f-{learner}", **fact})
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(f"{closed_site.url}/sign-in?lang={language}&code={code}")
    page.locator("form button.primary").click()
    page.wait_for_url("**/me")
    page.goto(f"{closed_site.url}/me/shares")
    assert (axe_faults(page), overflow(page)) == ([], 0)
    _shot(page, f"shares-{language}")
    page.locator("input[name=statement]").check()
    page.locator("input[name=name]").fill("Ada L.")
    page.locator("form.begin button").focus()
    page.keyboard.press("Enter")
    link = page.locator("#link").input_value()
    assert (axe_faults(page), overflow(page)) == ([], 0)
    _shot(page, f"shares-made-{language}")
    page.context.clear_cookies()
    page.goto(f"{link}?lang={language}")
    assert (axe_faults(page), overflow(page)) == ([], 0)
    assert page.locator("meta[name=robots]").get_attribute("content") == "noindex, nofollow, noarchive"
    _shot(page, f"share-{language}")
