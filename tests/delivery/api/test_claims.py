"""A learner goes to the platform with a token, and the platform redeems it: once and in time."""

from __future__ import annotations

import base64
import json
import re
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from assess.delivery.service import claims, learners
from assess.delivery.service.context import Scope
from assess.errors import InvalidRule, NotEligible
from assess.standards.eligibility import load_rules
from tests.delivery.pages.test_sign_in import codes, cohort, entered, post
from tests.delivery.world import World, programme, refused

PLATFORM = "https://badges.example/claim"


def claimable(world: World, **changes: Any) -> World:
    world.activate(programme(claim_url=PLATFORM, **changes))
    return world


def own(learner: str = "lrn_1", *, sandbox: bool = False) -> Scope:
    return learners.own_scope("default", learner, sandbox=sandbox)


def begin(world: World, badge: str = "ONE", who: Scope | None = None) -> str:
    """The token of a claim that was just begun."""
    assert world.client.portal is not None
    begun = world.client.portal.call(lambda: claims.begin(world.services, who or own(), badge=badge))
    assert begun.address.startswith(PLATFORM)
    (token,) = parse_qs(urlsplit(begun.address).query)["token"]
    return token


def redeem(world: World, token: str, *, key: str | None = "live") -> Any:
    return world.call("POST", "/v1/claims/redeem", {"token": token}, key=key)


def test_a_token_says_once_who_came_for_which_badge(both_worlds: World) -> None:
    world = claimable(both_worlds)
    world.sit(world.learner())
    status = world.call("GET", "/v1/learners/lrn_1/badges/ONE").json()
    assert status["award"] == {"state": "claimable", "policy_on_loss": "suspend", "claim_url": PLATFORM}
    token = begin(world)
    found = redeem(world, token)
    assert found.status_code == 200, found.text
    told = found.json()
    assert (told["learner"], told["badge"], told["eligibility"]["status"]) == ("lrn_1", "ONE", "eligible")
    _, payload, _ = told["eligibility"]["statement"].split(".")
    signed = json.loads(base64.urlsafe_b64decode(payload + "=="))
    assert signed["eligibility"]["badge"]["id"] == "ONE"
    refused(redeem(world, token), 409, "claim_used")


def test_the_badge_is_claimed_when_the_platform_attests_it_and_then_no_more_to_be_claimed(
    world: World,
) -> None:
    claimable(world)
    world.sit(world.learner())
    redeem(world, begin(world))
    fact = {
        "id": "a1",
        "source": "platform",
        "t": "award",
        "subject": "lrn_1",
        "at": "2026-11-22",
        "badge": "ONE",
    }
    assert world.call("POST", "/v1/facts", fact).status_code == 201
    award = world.call("GET", "/v1/learners/lrn_1/badges/ONE").json()["award"]
    assert (award["state"], award["claim_url"]) == ("claimed", None)
    with pytest.raises(NotEligible, match="claimed"):
        begin(world)


def test_a_token_of_ten_minutes_is_late_after_ten_minutes(world: World) -> None:
    claimable(world)
    world.sit(world.learner())
    token = begin(world)
    world.clock.advance(minutes=9, seconds=59)
    late = begin(world)
    world.clock.advance(seconds=1)
    refused(redeem(world, token), 410, "claim_expired")
    assert redeem(world, late).status_code == 200


def test_two_who_redeem_at_once_are_told_once(both_worlds: World) -> None:
    import asyncio

    from assess.delivery.service import Services, keys
    from assess.errors import ClaimUsed

    world = claimable(both_worlds)
    world.sit(world.learner())
    token = begin(world)
    me = keys.local("default", "platform")

    async def together(services: Services) -> list[Any]:
        tries = (claims.redeem(services, me, token=token) for _ in range(10))
        return await asyncio.gather(*tries, return_exceptions=True)

    found = world.run(together)
    assert sum(isinstance(one, ClaimUsed) for one in found) == 9
    assert sum(getattr(one, "learner", None) == "lrn_1" for one in found) == 1


def test_what_was_lost_since_is_not_redeemed_and_the_token_stays(world: World) -> None:
    claimable(world)
    fact = {
        "id": "f1",
        "source": "office",
        "t": "attended",
        "subject": world.learner(),
        "at": "2026-11-01",
        "event": "e1",
    }
    world.call("POST", "/v1/facts", fact)
    token = begin(world, "SEEN")
    world.call("POST", "/v1/facts/f1/void", {"at": "2026-11-01", "reason": "a mistake"})
    refused(redeem(world, token), 409, "not_eligible")
    world.call("POST", "/v1/facts", {**fact, "id": "f2"})
    assert redeem(world, token).status_code == 200


def _altered(token: str, **changes: Any) -> str:
    header, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    new = base64.urlsafe_b64encode(json.dumps(claims | changes).encode()).decode().rstrip("=")
    return f"{header}.{new}.{signature}"


def test_foreign_altered_and_other_tokens_open_nothing(world: World) -> None:
    claimable(world)
    world.sit(world.learner())
    token = begin(world)
    header, payload, signature = token.split(".")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none","typ":"assess-claim+jwt"}').decode().rstrip("=")
    statement = world.call("GET", "/v1/learners/lrn_1/badges/ONE?statement=true").json()["statement"]
    for bad in (
        "", "x", "a.b.c", "....", "é.é.é", token[:-4] + "AAAA", f"{unsigned}.{payload}.",
        f"{header}.{payload}", _altered(token, badge="BOTH"), _altered(token, exp=2**40), statement,
        f"{header}.{payload}.{signature}==.x",
    ):  # fmt: skip
        refused(redeem(world, bad), 422, "claim_invalid")
    refused(redeem(world, token, key="test"), 422, "claim_invalid")
    refused(redeem(world, token, key=world.key("deliver")), 403, "scope_missing")
    refused(redeem(world, token, key=None), 401, "credentials_missing")
    assert redeem(world, token).status_code == 200


def test_a_token_that_another_process_signed_is_read(world: World) -> None:
    from dataclasses import replace

    from assess.delivery.receipts import new_signing_key
    from assess.delivery.statements import PURPOSE, StatementSigner
    from assess.delivery.store import Writes

    claimable(world)
    world.sit(world.learner())
    key = new_signing_key("sk_other", world.clock.now, PURPOSE)
    assert world.client.portal is not None
    world.client.portal.call(world.services.store.commit, Writes("default", inserts=(key,)))
    other = replace(world.services, statements=StatementSigner([key]))
    begun = world.client.portal.call(lambda: claims.begin(other, own(), badge="ONE"))
    (token,) = parse_qs(urlsplit(begun.address).query)["token"]
    assert redeem(world, token).status_code == 200


@pytest.mark.parametrize("badge", ["ONE", "BOTH"])
def test_who_is_not_eligible_gets_no_token(world: World, badge: str) -> None:
    claimable(world)
    world.learner()
    with pytest.raises(NotEligible, match="cannot be claimed now"):
        begin(world, badge)


def test_without_a_place_to_claim_it_there_is_no_token(world: World) -> None:
    world.sit(world.learner())
    assert world.call("GET", "/v1/learners/lrn_1/badges/ONE").json()["award"]["claim_url"] is None
    with pytest.raises(NotEligible):
        begin(world)


@pytest.mark.parametrize(
    "address",
    ["http://badges.example/", "javascript:alert(1)", "https://a.example/<b>", "https://u:p@a.example/",
     "//a.example", "https://a.example/#x", 7],
)  # fmt: skip
def test_an_address_that_no_learner_is_sent_to_is_refused_with_its_path(address: Any) -> None:
    rule = {"id": "B", "rule": {"pass": {"course": "c"}}}
    with pytest.raises(InvalidRule, match=r"^claim_url: .*https://badges.example/claim"):
        load_rules({"claim_url": address, "badges": [rule]})
    with pytest.raises(InvalidRule, match=r"^badges.B.claim_url: "):
        load_rules({"badges": [{**rule, "claim_url": address}]})
    load_rules({"badges": [{**rule, "claim_url": "http://127.0.0.1:8001/claim?x=1"}]})


# --- the page ----------------------------------------------------------------------------


def test_the_button_leads_to_the_platform_after_saying_what_it_learns(world: World) -> None:
    claimable(world)
    cohort(world, "lrn_1")
    world.sit("lrn_1")
    page = entered(world, codes(world)["lrn_1"])
    assert page.count("Claim this badge") == 1
    assert "Claim this badge" in world.client.get("/badges/ONE").text
    assert "Claim this badge" not in world.client.get("/badges/BOTH").text
    shown = post(world, page, "/me/badges/ONE/claim")
    assert shown.status_code == 200
    assert "badges.example" in shown.text
    assert "It learns your learner number here" in shown.text
    (address,) = re.findall(r'href="(https://badges[^"]+)"', shown.text)
    (token,) = parse_qs(urlsplit(unescape(address)).query)["token"]
    assert redeem(world, token).json()["learner"] == "lrn_1"
    # A badge that cannot be claimed: back to where that is said.
    again = post(world, page, "/me/badges/BOTH/claim")
    assert (again.status_code, again.headers["location"]) == (303, "/me")
    assert post(world, page, "/me/badges/NONE/claim").status_code == 404


def test_a_form_of_another_site_and_a_stranger_get_no_token(world: World) -> None:
    claimable(world)
    cohort(world, "lrn_1")
    world.sit("lrn_1")
    page = entered(world, codes(world)["lrn_1"])
    assert world.client.post("/me/badges/ONE/claim", data={"csrf": "x"}).status_code == 403
    post(world, page, "/sign-out")
    stranger = world.client.get("/badges/ONE").text
    assert "Claim this badge" not in stranger
    page = world.client.get("/sign-in").text
    assert post(world, page, "/me/badges/ONE/claim").status_code == 401
