"""Every form of every page, by the templates and the table of routes: none works without its token."""

from __future__ import annotations

import pkgutil
import re
from importlib import import_module
from pathlib import Path

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute

import assess.delivery
from assess.delivery import pages
from tests.delivery.pages.test_sign_in import codes, cohort, entered
from tests.delivery.test_attacks import form_token
from tests.delivery.world import World

TEMPLATES = sorted((Path(assess.delivery.__file__).parent / "templates").glob("*.html"))
_FORM = re.compile(r"<form\b[^>]*>.*?</form>", re.DOTALL)


def addresses() -> list[str]:
    """The addresses of pages that take what is posted, by every module of pages that has some."""
    routers = [
        getattr(import_module(f"{pages.__name__}.{found.name}"), "router", None)
        for found in pkgutil.iter_modules(pages.__path__)
    ]
    return sorted(
        route.path
        for router in routers
        if isinstance(router, APIRouter)
        for route in router.routes
        if isinstance(route, APIRoute) and set(route.methods or ()) - {"GET", "HEAD"}
    )


def test_every_form_of_a_template_that_posts_holds_its_token() -> None:
    n_posting = 0
    for path in TEMPLATES:
        for form in _FORM.findall(path.read_text(encoding="utf-8")):
            head = form[: form.index(">")]
            # Without a method a form asks for a page, and changes nothing.
            posts = 'method="post"' in head
            assert posts or "method" not in head, (path.name, head)
            assert form.count('<input type="hidden" name="csrf" value="{{ csrf }}">') == posts, path.name
            n_posting += posts
    assert n_posting >= 15


@pytest.fixture
def visitor(world: World) -> World:
    """A world whose client is signed in and has an open session."""
    cohort(world, "lrn_1")
    entered(world, codes(world)["lrn_1"])
    begun = world.begin("lrn_1")
    assert world.client.get(f"/s/{begun['session']}?token={begun['token']}").status_code == 200
    world.keys["session"] = begun["session"]
    return world


def test_every_page_that_takes_a_form_refuses_it_without_a_token_of_this_visit(visitor: World) -> None:
    known = {"badge": "ONE", "course": "twt-3", "programme": "teaching-with-technology", "id": "plc_x"}
    known |= {"session": visitor.keys["session"], "share": "shr_x"}
    asked = [path.format(**known) for path in addresses()]
    assert len(asked) >= 18

    # A token that is good in another visit: the secret of each is its own cookie.
    kept = list(visitor.client.cookies.jar)
    visitor.client.cookies.clear()
    elsewhere = form_token(visitor.client.get("/sign-in").text)
    visitor.client.cookies.clear()
    for cookie in kept:
        visitor.client.cookies.jar.set_cookie(cookie)

    inside = form_token(visitor.client.get(f"/s/{known['session']}").text)
    outside = form_token(visitor.client.get("/me").text)
    foreign = {"Sec-Fetch-Site": "cross-site"}
    for address in asked:
        right = {"csrf": inside if address.startswith("/s/") else outside}
        for data, headers in (({}, {}), ({"csrf": elsewhere}, {}), (right, foreign)):
            refused = visitor.client.post(address, data=data, headers=headers, follow_redirects=False)
            assert (refused.status_code, "This form is too old" in refused.text) == (403, True), address
    view = visitor.call("GET", f"/v1/sessions/{known['session']}").json()
    assert (view["state"], view["progress"]["answered"]) == ("in_progress", 0)
    # With the token the form is read: nothing else was missing. Last come those that end what it is bound to.
    ending = [f"/me/sessions/{known['session']}", "/sign-out"]
    for address in [*(address for address in asked if address not in ending), *ending]:
        right = {"csrf": inside if address.startswith("/s/") else outside}
        taken = visitor.client.post(address, data=right, follow_redirects=False)
        assert "This form is too old" not in taken.text, address
