"""Credentials: valid by the official schema, verified by a library that is not ours, and taken back."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from openbadgeslib.ob3 import OB3VerificationError, OB3Verifier, check_credential_status

from assess.delivery.store import reading_badges
from tests.delivery.conftest import open_world
from tests.delivery.world import Clock, World, programme, refused
from tests.delivery.world import settings as world_settings
from tests.shared import needs_shared, shared

BASE = "https://assess.example"


@pytest.fixture
def world(tmp_path: Path, seeded: tuple[Path, dict[str, str]], clock: Clock) -> Iterator[World]:
    shutil.copyfile(seeded[0], tmp_path / "assess.db")
    # The verifier asks the real clock.
    clock.now = datetime.now(UTC)
    yield from open_world(world_settings(tmp_path, public_url=BASE), clock, seeded[1])


def attest(world: World, id: str, t: str, learner: str = "lrn_1", *, key: str = "live", **data: Any) -> None:
    at = (world.clock.now - timedelta(days=1)).date().isoformat()
    body = {"id": id, "source": "office", "t": t, "subject": learner, "at": at, **data}
    answer = world.call("POST", "/v1/facts", body, key=key)
    assert answer.status_code == 201, answer.text


def get(world: World, badge: str = "ONE", learner: str = "lrn_1", *, key: str = "live") -> dict[str, Any]:
    answer = world.call("GET", f"/v1/learners/{learner}/badges/{badge}/credential", key=key)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def payload(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def verifier(world: World) -> OB3Verifier:
    """From the key that the installation publishes, and nothing else of it."""
    (key,) = world.client.get("/.well-known/jwks.json").json()["keys"]
    raw = base64.urlsafe_b64decode(key["x"] + "=")
    public = Ed25519PublicKey.from_public_bytes(raw)
    return OB3Verifier(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def fetch(world: World) -> Any:
    """Any address of the installation, for everybody, as the verifier would fetch it."""

    def download(url: str) -> bytes:
        assert url.startswith(BASE)
        answer = world.client.get(urlsplit(url).path)
        assert answer.status_code == 200, answer.text
        return bytes(answer.content)

    return download


def verify(world: World, token: str) -> Any:
    found = verifier(world)
    credential = found.verify(token)
    check_credential_status(credential, fetch(world), verify_list=True, list_pubkey_pem=found.pubkey_pem)
    return credential


# --- Open Badges 3.0 ---------------------------------------------------------------------


@needs_shared
@pytest.mark.parametrize("badge", ["ONE", "BOTH", "SEEN"])
def test_a_credential_is_valid_by_the_official_schema(world: World, badge: str) -> None:
    world.sit(world.learner())
    attest(world, "f1", "decision", course="twt-1", outcome="passed", until="2099-01-01")
    attest(world, "f2", "attended", event="e1")
    # It compiles forty grammars of addresses when it is loaded, which takes seconds.
    import jsonschema

    path = shared("specs", "openbadges", "schema-3.0", "ob_v3p0_achievementcredential_schema.json")
    schema = json.loads(path.read_text())
    checks = jsonschema.Draft201909Validator(schema, format_checker=jsonschema.FormatChecker())
    document = payload(get(world, badge)["credential"])
    assert [fault.message for fault in checks.iter_errors(document)] == []
    # The check can fail.
    del document["credentialSubject"]["achievement"]["criteria"]
    assert not checks.is_valid(document)


def test_a_library_that_is_not_ours_verifies_it_with_the_published_key_and_the_status_list(
    both_worlds: World, both_settings: Any
) -> None:
    from dataclasses import replace

    world = both_worlds
    world.clock.now = datetime.now(UTC)
    settings = replace(world.services.settings, public_url=BASE)
    world.app.state.services = replace(world.services, settings=settings)
    world.sit(world.learner())
    made = get(world)
    credential = verify(world, made["credential"])
    assert credential.issuer.id == BASE
    assert credential.recipient_id == f"{BASE}/v1/learners/lrn_1"


def test_it_says_what_was_reached_and_what_it_is_aligned_to(world: World) -> None:
    world.sit(world.learner())
    attest(world, "f1", "decision", course="twt-1", outcome="passed", until="2099-01-01")
    document = payload(get(world, "BOTH")["credential"])
    status = world.call("GET", "/v1/learners/lrn_1/courses/twt-3/status").json()["decision"]
    subject = document["credentialSubject"]
    described = {d["id"]: d for d in subject["achievement"]["resultDescription"]}
    results = [(described[r["resultDescription"]], r) for r in subject["result"]]
    scores = [(d, r) for d, r in results if d["resultType"] == "ScaledScore"]
    ((description, score),) = scores
    told = [status["score"][name] for name in ("value", "min", "max")] + [status["cut"]["value"]]
    found = [score["value"], *(description[name] for name in ("valueMin", "valueMax", "requiredValue"))]
    assert found == [f"{number:g}" for number in told]
    assert [r["status"] for d, r in results if d["resultType"] == "Status"] == ["Completed", "Provisional"]
    (aligned,) = subject["achievement"]["alignment"]
    assert aligned["targetCode"] == "TL.3"
    assert document["validUntil"].startswith("2099-01-01")
    assert any(status["record_sha256"] in entry["narrative"] for entry in document["evidence"])
    # Whom it is about stands in it as an address of ours only.
    assert "office" not in json.dumps(document)


def test_the_same_ground_gives_the_same_credential_and_another_ground_another(world: World) -> None:
    world.learner()
    attest(world, "f1", "attended", event="e1")
    first = get(world, "SEEN")
    world.clock.advance(hours=1)
    assert get(world, "SEEN") == first
    world.call("POST", "/v1/facts/f1/void", {"at": "2000-01-01", "reason": "x"})
    attest(world, "f2", "attended", event="e1")
    assert get(world, "SEEN")["id"] != first["id"]


def test_a_hundred_who_ask_at_once_get_one_credential(both_worlds: World) -> None:
    import asyncio
    from dataclasses import replace

    from assess.delivery.service import Services, credentials, keys

    world = both_worlds
    world.sit(world.learner())
    me = keys.local("default", "me")

    async def together(services: Services) -> list[Any]:
        known = replace(services, settings=replace(services.settings, public_url=BASE))
        tries = (credentials.credential(known, me, learner="lrn_1", badge="ONE") for _ in range(100))
        return await asyncio.gather(*tries)

    assert len({found.credential for found in world.run(together)}) == 1


# --- what does not verify --------------------------------------------------------------------


def test_what_was_tampered_with_is_refused(world: World) -> None:
    world.sit(world.learner())
    header, body, signature = get(world)["credential"].split(".")
    document = payload(f".{body}.")
    document["credentialSubject"]["id"] = document["sub"] = f"{BASE}/v1/learners/lrn_2"
    forged = base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")
    for token in (f"{header}.{forged}.{signature}", f"{header}.{body}.{signature[:-6]}AAAAAA"):
        with pytest.raises(OB3VerificationError, match="Invalid signature"):
            verify(world, token)
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    with pytest.raises(OB3VerificationError):
        verify(world, f"{unsigned}.{body}.")


def test_what_has_expired_is_refused(world: World) -> None:
    world.clock.now = datetime.now(UTC) - timedelta(days=10)
    world.sit(world.learner())
    until = (world.clock.now + timedelta(days=5)).date().isoformat()
    attest(world, "f1", "decision", course="twt-1", outcome="passed", until=until)
    token = get(world, "BOTH")["credential"]
    with pytest.raises(OB3VerificationError, match="expired"):
        verify(world, token)


@pytest.mark.parametrize(("on_loss", "purpose"), [("suspend", "suspension"), ("withdraw", "revocation")])
def test_what_was_lost_is_taken_back_and_what_was_not_is_not(
    world: World, on_loss: str, purpose: str
) -> None:
    world.activate(programme(on_loss=on_loss))
    for who in ("lrn_1", "lrn_2"):
        world.learner(who)
        attest(world, f"f-{who}", "attended", who, event="e1")
    lost, kept = get(world, "SEEN"), get(world, "SEEN", "lrn_2")
    assert purpose in lost["status_list"]
    verify(world, lost["credential"])
    world.call("POST", "/v1/facts/f-lrn_1/void", {"at": "2000-01-01", "reason": "x"})
    with pytest.raises(OB3VerificationError, match=f"status '{purpose}' is set"):
        verify(world, lost["credential"])
    verify(world, kept["credential"])
    gone = world.client.get(urlsplit(lost["assertion"]["id"]).path)
    assert (gone.status_code, gone.json()["revoked"]) == (410, True)
    attest(world, "again", "attended", event="e1")
    if on_loss == "suspend":
        verify(world, lost["credential"])
    else:
        # For good; what was met again is a credential of its own.
        with pytest.raises(OB3VerificationError, match="is set"):
            verify(world, lost["credential"])
        verify(world, get(world, "SEEN")["credential"])


def test_what_an_erased_learner_was_given_is_taken_back_and_says_nothing_any_more(world: World) -> None:
    world.sit(world.learner())
    made = get(world)
    verify(world, made["credential"])
    erased = world.call("POST", "/v1/learners/lrn_1/erase", {"reason": "asked for it"}).json()
    assert erased["removed"]["credentials"] == 1
    with pytest.raises(OB3VerificationError, match="is set"):
        verify(world, made["credential"])
    own = urlsplit(payload(made["credential"])["id"]).path
    refused(world.client.get(own), 410, "learner_erased")
    assert world.client.get(urlsplit(made["assertion"]["id"]).path).status_code == 410
    (row,) = [world.ask(reading_badges.credential, "default", made["id"])]
    assert row is not None
    assert row.token == "[erased]"


def test_what_a_programme_lets_people_keep_is_never_taken_back(world: World) -> None:
    world.activate(programme(on_loss="keep"))
    world.learner()
    attest(world, "f1", "attended", event="e1")
    made = get(world, "SEEN")
    world.call("POST", "/v1/facts/f1/void", {"at": "2000-01-01", "reason": "x"})
    verify(world, made["credential"])


def test_the_status_list_has_one_bit_for_who_was_lost_and_names_nobody(world: World) -> None:
    world.learner()
    attest(world, "f1", "attended", event="e1")
    made = get(world, "SEEN")
    world.call("POST", "/v1/facts/f1/void", {"at": "2000-01-01", "reason": "x"})
    answer = world.client.get(urlsplit(made["status_list"]).path)
    assert answer.headers["content-type"] == "application/vc+jwt"
    assert answer.headers["cache-control"] == "public, max-age=300"
    listed = payload(answer.text)
    bits = gzip.decompress(base64.urlsafe_b64decode(listed["credentialSubject"]["encodedList"][1:] + "=="))
    place = int(payload(made["credential"])["credentialStatus"]["statusListIndex"])
    assert len(bits) == 16384
    assert [n for n in range(131072) if bits[n // 8] & (0x80 >> n % 8)] == [place]
    assert "lrn_1" not in json.dumps(listed)
    there = urlsplit(made["status_list"]).path.rpartition("/")[0]
    for which in (9**30, -1):  # no number that a database could not hold
        refused(world.client.get(f"{there}/{which}"), 422, "field_invalid")


# --- Open Badges 2.0 -----------------------------------------------------------------------------


def test_the_assertion_of_version_2_is_hosted_with_its_badge_and_its_issuer(world: World) -> None:
    world.sit(world.learner())
    attest(world, "f1", "decision", course="twt-1", outcome="passed", until="2099-01-01")
    made = get(world, "BOTH")["assertion"]

    def hosted(url: str) -> dict[str, Any]:
        answer = world.client.get(urlsplit(url).path)
        assert answer.headers["content-type"] == "application/ld+json"
        assert answer.headers["access-control-allow-origin"] == "*"
        found: dict[str, Any] = answer.json()
        assert found["id"] == url
        return found

    assert hosted(made["id"]) == made
    assert made["verification"] == {"type": "hosted"}
    recipient = made["recipient"]
    mine = hashlib.sha256(f"{BASE}/v1/learners/lrn_1{recipient['salt']}".encode()).hexdigest()
    assert recipient["identity"] == f"sha256${mine}"
    badge = hosted(made["badge"])
    assert (badge["name"], badge["criteria"]["narrative"]) == ("Both courses", "Both courses are passed.")
    assert hosted(badge["issuer"])["type"] == "Issuer"
    assert made["expires"].startswith("2099-01-01")


# --- refusals ----------------------------------------------------------------------------------


def test_what_cannot_be_given_out_is_refused(world: World) -> None:
    world.learner()
    path = "/v1/learners/{}/badges/{}/credential"
    problem = refused(world.call("GET", path.format("lrn_1", "BOTH")), 409, "not_eligible")
    assert "BOTH: not_eligible; 0 of 2" in problem["detail"]
    refused(world.call("GET", path.format("lrn_x", "ONE")), 404, "learner_unknown")
    refused(world.call("GET", path.format("lrn_1", "NONE")), 404, "badge_unknown")
    refused(world.call("GET", path.format("lrn_1", "ONE"), key=None), 401, "credentials_missing")
    refused(world.call("GET", path.format("lrn_1", "ONE"), key=world.key("deliver")), 403, "scope_missing")
    refused(world.call("GET", path.format("lrn_1", "ONE"), key="test"), 404, "learner_unknown")
    refused(world.client.get("/v1/open-badges/status/revocation/0"), 404, "status_list_unknown")
    refused(world.client.get("/v1/open-badges/2/assertions/crd_x"), 404, "credential_unknown")
    refused(world.client.get("/v1/open-badges/credentials/crd_x"), 404, "credential_unknown")
    refused(world.client.get("/v1/open-badges/2/badges/NONE"), 404, "badge_unknown")


def test_an_installation_without_an_address_of_its_own_says_so(both_worlds: World) -> None:
    world = both_worlds
    world.sit(world.learner())
    answer = world.call("GET", "/v1/learners/lrn_1/badges/ONE/credential")
    assert "set ASSESS_PUBLIC_URL" in refused(answer, 422, "field_invalid")["detail"]


def test_a_credential_of_the_sandbox_says_that_it_is_one(world: World) -> None:
    world.call("PUT", "/v1/sandbox/learners/p/courses/twt-3", {"state": "passed"}, key="test")
    made = get(world, "ONE", "p", key="test")
    assert made["sandbox"] is True
    assert payload(made["credential"])["name"].startswith("Sandbox: ")
