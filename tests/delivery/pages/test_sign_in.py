"""Signing in with a code from a sheet, my page, and signing out; without a script."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, timedelta
from typing import Any

import pytest

from assess.delivery.pages.code_sheet import Card, code_sheet
from assess.delivery.pages.language import CODES
from assess.delivery.service import activations, keys, signing_in
from assess.delivery.store import Writes, reading_people
from assess.delivery.store.rows import Learner, Update
from assess.errors import Unauthenticated
from tests import synthetic
from tests.delivery.test_attacks import form_token
from tests.delivery.world import NOON, World, refused


def cohort(world: World, *learners: str, key: str = "live", **window: str) -> None:
    """A cohort with these learners and one course."""
    course = {"course": "twt-3"} | {name.rstrip("_"): value for name, value in window.items()}
    world.call("PUT", "/v1/cohorts/c1", {"title": "c1", "courses": [course]}, key=key)
    for learner in learners:
        world.learner(learner, key=key)
        world.call("PUT", f"/v1/cohorts/c1/learners/{learner}", key=key)


def codes(world: World, *, key: str = "live", **body: Any) -> dict[str, str]:
    """Fresh codes by learner."""
    answer = world.call("POST", "/v1/cohorts/c1/codes", body, key=key)
    assert answer.status_code == 201, answer.text
    return {entry["learner"]: entry["code"] for entry in answer.json()["items"]}


def sign_in(world: World, code: str) -> Any:
    """Type a code into the page."""
    page = world.client.get("/sign-in")
    fields = {"csrf": form_token(page.text), "code": code}
    return world.client.post("/sign-in", data=fields, follow_redirects=False)


def entered(world: World, code: str) -> str:
    """Sign in; the page of the learner's own."""
    answer = sign_in(world, code)
    assert (answer.status_code, answer.headers.get("location")) == (303, "/me"), answer.text
    return str(world.client.get("/me").text)


def post(world: World, page: str, address: str, **fields: Any) -> Any:
    return world.client.post(address, data={"csrf": form_token(page), **fields}, follow_redirects=False)


# --- codes -----------------------------------------------------------------------------


def test_a_code_is_good_once_and_stored_as_a_hash(both_worlds: World) -> None:
    world = both_worlds
    cohort(world, "lrn_1", "lrn_2")
    made = codes(world)
    assert set(made) == {"lrn_1", "lrn_2"}
    assert all(
        re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){3}", code) for code in made.values()
    )
    rows = world.ask(reading_people.live_codes, "default", ["lrn_1", "lrn_2"])
    assert len(rows) == 2
    assert not any(code in repr(rows) or code.replace("-", "") in repr(rows) for code in made.values())
    typed = f" {made['lrn_1'].lower().replace('-', ' ')} "
    assert "You are signed in." in entered(world, typed)
    world.client.cookies.clear()
    assert sign_in(world, made["lrn_1"]).status_code == 401
    assert sign_in(world, made["lrn_2"]).status_code == 303


def test_a_newer_code_ends_the_older_one(world: World) -> None:
    cohort(world, "lrn_1", "lrn_2")
    old = codes(world)
    new = codes(world, learners=["lrn_1"])
    assert set(new) == {"lrn_1"}
    assert sign_in(world, old["lrn_1"]).status_code == 401
    assert sign_in(world, old["lrn_2"]).status_code == 303
    assert sign_in(world, new["lrn_1"]).status_code == 303


def test_codes_come_in_pages(world: World) -> None:
    cohort(world, *(f"lrn_{n}" for n in range(5)))
    first = world.call("POST", "/v1/cohorts/c1/codes", {"limit": 3}).json()
    rest = world.call("POST", "/v1/cohorts/c1/codes", {"limit": 3, "after": first["next"]}).json()
    assert [len(first["items"]), len(rest["items"]), rest["next"]] == [3, 2, None]
    assert first["items"][0]["url"] == f"/sign-in?code={first['items'][0]['code']}"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"days": 0}, "days"),
        ({"days": 400}, "days"),
        ({"limit": 0}, "limit"),
        ({"learners": ["lrn_x"]}, "learners"),
    ],
)
def test_codes_that_cannot_be_made_are_refused(world: World, body: dict[str, Any], path: str) -> None:
    cohort(world, "lrn_1")
    world.learner("lrn_x")
    problem = refused(world.call("POST", "/v1/cohorts/c1/codes", body), 422, "field_invalid")
    assert problem["errors"][0]["path"] == path


def test_a_code_that_opens_nothing_gets_one_answer_whatever_the_reason(world: World) -> None:
    """Unknown, used, replaced, too old, of a learner who was erased: the same page, by the same way."""
    cohort(world, "lrn_1", "lrn_2", "lrn_3", "lrn_4")
    made = codes(world, days=1)
    entered(world, made["lrn_1"])
    codes(world, learners=["lrn_2"])
    erased = Update(Learner, {"tenant": "default", "id": "lrn_3"}, {"erased_at": world.clock()})
    assert world.client.portal is not None
    world.client.portal.call(world.services.store.commit, Writes("default", (erased,)))
    world.client.cookies.clear()
    world.client.get("/sign-in")

    def answer(code: str) -> tuple[int, str]:
        found = sign_in(world, code)
        steady = re.sub(r'name="(csrf|request)" value="[^"]+"|req_[a-z2-7]+', "", found.text)
        return found.status_code, steady

    wrong = answer("AAAA-AAAA-AAAA-AAAA")
    assert wrong[0] == 401
    assert [answer(made[learner]) for learner in ("lrn_1", "lrn_2", "lrn_3")] == [wrong] * 3
    world.clock.advance(days=1, seconds=1)
    assert answer(made["lrn_4"]) == wrong
    for strange in ("", "x" * 5000, "é✓\u202e", "' OR 1=1 --"):
        assert answer(strange)[0] == 401
    assert "AAAA" not in wrong[1]


def test_a_code_used_twice_at_once_opens_once(both_worlds: World) -> None:
    world = both_worlds
    cohort(world, "lrn_1")
    code = codes(world)["lrn_1"]

    def use(n: int) -> str:
        try:
            world.run(signing_in.sign_in, "default", code, address=f"192.0.2.{n}")
        except Unauthenticated:
            return "refused"
        return "in"

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(use, range(8))) == ["in"] + ["refused"] * 7


def test_guessing_is_slowed_down_and_says_how_long(world: World) -> None:
    cohort(world, "lrn_1")
    code = codes(world)["lrn_1"]
    for _ in range(20):
        assert sign_in(world, "AAAA-AAAA-AAAA-AAAA").status_code == 401
    answer = sign_in(world, code)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "15")
    assert "Wait 15 seconds" in answer.text
    world.clock.advance(seconds=15)
    assert sign_in(world, code).status_code == 303


def test_another_tenants_code_opens_nothing_here(world: World) -> None:
    other = keys.local("other", "test")
    world.run(activations.set_tenant, other, title="Other")
    world.run(activations.activate, other, document=synthetic.document(), reason="x")
    _, world.keys["other"] = world.run(keys.create, other, name="k", scopes=["manage", "deliver"])
    cohort(world, "lrn_1", key="other")
    assert sign_in(world, codes(world, key="other")["lrn_1"]).status_code == 401


# --- the page ----------------------------------------------------------------------------


def test_a_link_brings_the_code_and_only_the_button_uses_it(world: World) -> None:
    cohort(world, "lrn_1")
    code = codes(world)["lrn_1"]
    for _ in range(3):  # a mail program looks at links before the learner does
        page = world.client.get(f"/sign-in?code={code}")
        assert f'value="{code}"' in page.text
    assert post(world, page.text, "/sign-in", code=code).status_code == 303
    bad = world.client.get('/sign-in?code="><script>alert(1)</script>')
    assert "<script>alert" not in bad.text


def test_a_form_of_another_site_signs_nobody_in_or_out(world: World) -> None:
    cohort(world, "lrn_1")
    code = codes(world)["lrn_1"]
    assert world.client.post("/sign-in", data={"code": code, "csrf": "x"}).status_code == 403
    entered(world, code)
    for address in ("/sign-out", "/me/sessions/ses_x"):
        assert world.client.post(address, data={"csrf": "x"}).status_code == 403
    assert "You are signed in." in world.client.get("/me").text


def test_the_cookie_is_kept_from_scripts_and_other_sites_and_ends_in_time(world: World) -> None:
    cohort(world, "lrn_1")
    answer = sign_in(world, codes(world)["lrn_1"])
    cookie = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("assess_sign_in="))
    assert {"HttpOnly", "SameSite=lax", "Path=/", "Max-Age=604800"} <= set(cookie.split("; "))
    assert "You are signed in." in world.client.get("/me").text
    world.clock.advance(days=7, seconds=1)
    assert "We do not know you here yet." in world.client.get("/me").text


def test_signing_out_ends_the_sign_in_and_every_session_cookie(world: World) -> None:
    cohort(world, "lrn_1")
    page = entered(world, codes(world)["lrn_1"])
    kept = dict(world.client.cookies)
    session = world.begin("lrn_1")
    world.client.get(f"/s/{session['session']}?token={session['token']}")
    assert world.client.get(f"/s/{session['session']}").status_code == 200
    assert post(world, page, "/sign-out").headers["location"] == "/sign-in"
    assert world.client.get(f"/s/{session['session']}").status_code == 401
    assert "We do not know you here yet." in world.client.get("/me").text
    # Nor does a copy of the cookie open anything any more.
    world.client.cookies.update(kept)
    assert "We do not know you here yet." in world.client.get("/me").text


def test_another_learners_link_on_the_same_device_ends_the_sign_in(world: World) -> None:
    cohort(world, "lrn_1")
    entered(world, codes(world)["lrn_1"])
    own = world.begin("lrn_1")
    world.client.get(f"/s/{own['session']}?token={own['token']}")
    assert "You are signed in." in world.client.get("/me").text
    world.learner("lrn_2")
    other = world.begin("lrn_2")
    world.client.get(f"/s/{other['session']}?token={other['token']}")
    assert "You are signed in." not in world.client.get("/me").text


def test_a_token_of_a_sign_in_is_no_key_of_the_api(world: World) -> None:
    cohort(world, "lrn_1")
    sign_in(world, codes(world)["lrn_1"])
    token = world.client.cookies["assess_sign_in"]
    for path in ("/v1/learners/lrn_1/badges", "/v1/learners/lrn_1/courses", "/v1/cohorts"):
        refused(
            world.client.get(path, headers={"Authorization": f"Bearer {token}"}), 401, "credentials_invalid"
        )
        refused(world.client.get(path), 401, "credentials_missing")


# --- my page -------------------------------------------------------------------------------


def begin(world: World) -> Any:
    page = world.client.get("/courses/twt-3").text
    return post(world, page, "/courses/twt-3", consent="yes", consent_version="1", locale="en")


def test_a_learner_signs_in_begins_goes_on_elsewhere_and_sees_the_result(world: World) -> None:
    cohort(world, "lrn_1", to="2026-11-25")
    made = codes(world)
    page = entered(world, made["lrn_1"])
    assert "How Do Technology and Pedagogy Mix?" in page
    assert "You can begin until 25 November 2026, 23:59 UTC." in page
    assert "Not taken yet" in page
    address = begin(world).headers["location"]
    assert world.client.get(address).status_code == 200
    # Another device.
    world.client.cookies.clear()
    page = entered(world, codes(world)["lrn_1"])
    assert "Begun on 22 November 2026, 12:00 UTC." in page
    assert world.client.get(address).status_code == 401
    session = address.removeprefix("/s/")
    assert f'action="/me/sessions/{session}"' in page
    assert f'action="/me/sessions/{session}"' in world.client.get("/courses/twt-3").text
    assert post(world, page, f"/me/sessions/{session}").headers["location"] == address
    assert world.client.get(address).status_code == 200
    world.call("POST", f"/v1/sessions/{session}/submit")
    world.client.cookies.clear()
    page = entered(world, codes(world)["lrn_1"])
    assert f'href="/s/{session}/result"' in page
    assert world.client.get(f"/s/{session}/result").status_code == 200
    assert post(world, page, f"/me/sessions/{session}").headers["location"] == f"/s/{session}/result"


def supervised(world: World) -> tuple[str, str, str]:
    """A session that began with an invigilator's code, the code, and the own page of who signed in."""
    cohort(world, "lrn_1")
    window = {"course": "twt-3", "from": "2026-11-22T11:00:00Z", "to": "2026-11-22T15:00:00Z"}
    code = world.call("POST", "/v1/invigilator-codes", window).json()["code"]
    asked = {"learner": "lrn_1", "form": "x-fixed", "code": code}
    session = world.call("POST", "/v1/sessions", asked).json()["session"]
    page = entered(world, codes(world)["lrn_1"])
    return session, code, page


def test_a_supervised_session_goes_on_elsewhere_with_the_code(world: World) -> None:
    session, code, page = supervised(world)
    for shown in (page, world.client.get("/courses/twt-3?form=x-fixed").text):
        form = re.search(rf'<form method="post" action="/me/sessions/{session}".*?</form>', shown, re.DOTALL)
        assert form is not None
        assert 'name="code"' in form[0]
    for wrong in ("", "AAAAA-AAAAA"):
        answer = post(world, page, f"/me/sessions/{session}", code=wrong)
        assert answer.status_code == 422
        assert "This session began under supervision" in answer.text
        assert f'action="/me/sessions/{session}"' in answer.text
    agreed = {"consent": "yes", "consent_version": "1", "locale": "en"}
    answer = post(world, page, "/courses/twt-3?form=x-fixed", **agreed)
    assert answer.status_code == 422
    assert "This session began under supervision" in answer.text
    assert world.call("GET", f"/v1/sessions/{session}").json()["fence"] == 1
    answer = post(world, page, f"/me/sessions/{session}", code=code)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/s/{session}")
    # The same browser loads its page again without one.
    for _ in range(2):
        assert "where-item" in world.client.get(f"/s/{session}").text


def test_too_many_wrong_codes_are_said_where_a_session_goes_on(world: World) -> None:
    session, code, page = supervised(world)
    for _ in range(5):
        assert post(world, page, f"/me/sessions/{session}", code="AAAAA-AAAAA").status_code == 422
    answer = post(world, page, f"/me/sessions/{session}", code=code)
    assert answer.status_code == 429
    assert "Too many wrong codes came from here." in answer.text


def test_a_course_outside_its_window_cannot_be_begun_and_the_page_says_when(world: World) -> None:
    cohort(world, "lrn_1", from_="2026-11-23T09:00", to="2026-11-24", time_zone="Africa/Nairobi")
    page = entered(world, codes(world)["lrn_1"])
    words = "You can begin from 23 November 2026, 09:00 UTC+03:00 until 24 November 2026, 23:59 UTC+03:00."
    assert words in page
    course = world.client.get("/courses/twt-3").text
    assert words in course
    assert 'id="begin"' not in course
    fields = {"csrf": form_token(page), "consent": "yes", "consent_version": "1"}
    answer = world.client.post("/courses/twt-3", data=fields)
    assert answer.status_code == 409
    assert words in answer.text
    world.clock.advance(hours=19)
    assert begin(world).status_code == 303
    world.clock.advance(days=2)
    ended = "The time for this course ended on 24 November 2026, 23:59 UTC+03:00."
    assert ended in world.client.get("/me").text


def test_a_course_that_is_not_assigned_says_so_where_only_assigned_ones_are_begun(world: World) -> None:
    world.run(activations.set_tenant, world.admin, assigned_only=True)
    cohort(world, "lrn_1")
    page = entered(world, codes(world)["lrn_1"])
    world.call("PUT", "/v1/cohorts/c1", {"title": "c1", "courses": []})
    assert "This course is not assigned to you." in world.client.get("/courses/twt-3").text
    assert "No course is assigned to you yet." in world.client.get("/me").text
    assert post(world, page, "/courses/twt-3", consent="yes", consent_version="1").status_code == 403


def test_nobody_goes_on_with_anothers_session(world: World) -> None:
    cohort(world, "lrn_1", "lrn_2")
    session = world.begin("lrn_2")["session"]
    done = world.sit("lrn_2", form="x-adaptive")
    page = entered(world, codes(world)["lrn_1"])
    assert post(world, page, f"/me/sessions/{session}").status_code == 404
    assert post(world, page, "/me/sessions/ses_nothing").status_code == 404
    assert world.client.get(f"/s/{done}/result").status_code == 404
    # Looking at a result is all that signing in opens without the session's own cookie.
    own = world.begin("lrn_1")["session"]
    for path in ("", "/review", "/submit"):
        assert world.client.get(f"/s/{own}{path}").status_code == 401
    world.client.cookies.clear()
    stranger = world.client.get("/sign-in").text
    assert post(world, stranger, f"/me/sessions/{session}").status_code == 401


def test_records_that_were_merged_are_one_learners_page(world: World) -> None:
    cohort(world, "lrn_1")
    world.learner("lrn_old")
    done = world.sit("lrn_old")
    page = entered(world, codes(world)["lrn_1"])
    assert f"/s/{done}/result" not in page
    world.call("POST", "/v1/learners/lrn_old/merge", {"into": "lrn_1", "reason": "registered twice"})
    assert f"/s/{done}/result" in world.client.get("/me").text
    assert world.client.get(f"/s/{done}/result").status_code == 200
    world.call("POST", "/v1/learners/lrn_old/unmerge", {"reason": "two people"})
    assert world.client.get(f"/s/{done}/result").status_code == 404


def test_a_learner_token_ends_a_week_after_its_session_closed(world: World) -> None:
    world.learner()
    begun = world.begin()
    path = f"/v1/sessions/{begun['session']}"
    world.client.get(f"/s/{begun['session']}?token={begun['token']}")
    world.clock.advance(days=7)
    assert world.call("GET", path, key=begun["token"]).status_code == 200
    world.clock.advance(days=1)
    refused(world.call("GET", path, key=begun["token"]), 401, "credentials_expired")
    assert world.client.get(f"/s/{begun['session']}").status_code == 401
    assert "We do not know you here yet." in world.client.get("/me").text


# --- the sheet -----------------------------------------------------------------------------


@pytest.mark.parametrize("language", CODES)
def test_a_sheet_has_a_card_for_each_learner_in_every_language(language: str) -> None:
    cards = [
        Card(
            f"lrn_{n}<b>",
            f"ABCD-EFGH-JKMN-000{n}",
            f"https://a.example/sign-in?code={n}",
            NOON + timedelta(n),
        )
        for n in range(3)
    ]
    text = code_sheet(cards, title="Group <1>", address="https://a.example/sign-in", code=language, zone=UTC)
    assert text.count('class="card"') == 3
    assert "ABCD-EFGH-JKMN-0002" in text
    assert "lrn_1&lt;b&gt;" in text
    assert "<b>" not in text
    assert f'<html lang="{language}"' in text
