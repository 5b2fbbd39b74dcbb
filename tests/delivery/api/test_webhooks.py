"""Webhooks over HTTP: made, changed, rotated, deleted, replayed; and every refusal."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from assess.delivery.addresses import look_at
from assess.delivery.sender import Sender
from assess.delivery.settings import Settings
from assess.delivery.store import Writes, reading_webhooks
from assess.delivery.store.rows import Outgoing, Update
from assess.errors import InvalidContent, InvalidRequest
from tests.delivery.conftest import open_world
from tests.delivery.receiving import Receiver
from tests.delivery.serving import free_port
from tests.delivery.world import NOON, Clock, World, refused
from tests.delivery.world import settings as world_settings

DOWN = f"http://127.0.0.1:{free_port()}/hook"


@pytest.fixture
def world(tmp_path: Path, seeded: tuple[Path, dict[str, str]], clock: Clock) -> Iterator[World]:
    shutil.copyfile(seeded[0], tmp_path / "assess.db")
    found = world_settings(tmp_path, webhook_networks=(ip_network("127.0.0.0/8"),))
    yield from open_world(found, clock, seeded[1])


def make(world: World, url: str = DOWN, *, key: str = "live", **more: Any) -> dict[str, Any]:
    answer = world.call("POST", "/v1/webhooks", {"url": url, **more}, key=key)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def path(made: dict[str, Any], end: str = "") -> str:
    return f"/v1/webhooks/{made['id']}{end}"


def test_a_webhook_tells_its_secret_once(world: World) -> None:
    made = make(world, description="ours", types=["eligibility.gained"], payload="thin")
    assert made["secret"].startswith("whsec_")
    assert (made["payload"], made["types"], made["by"][:4]) == ("thin", ["eligibility.gained"], "key_")
    shown = world.call("GET", path(made)).json()
    assert shown == {**made, "secret": None}
    assert world.call("GET", "/v1/webhooks").json()["items"] == [shown]


def test_a_rotated_secret_signs_beside_the_new_one_for_a_day(world: World) -> None:
    made = make(world)
    rotated = world.call("POST", path(made, "/rotate")).json()
    assert rotated["secret"] not in (made["secret"], None)
    assert rotated["old_secret_until"] == "2026-11-23T12:00:00Z"
    row = world.ask(reading_webhooks.webhook, "default", made["id"])
    assert row is not None
    assert row.old_secret == made["secret"]


def test_a_webhook_is_disabled_enabled_changed_and_deleted(world: World) -> None:
    made = make(world)
    shown = world.call("PATCH", path(made), {"disabled": True}).json()
    assert (shown["disabled_at"], shown["disabled_why"][:7]) == ("2026-11-22T12:00:00Z", "by key_")
    again = world.call("PATCH", path(made), {"disabled": True}).json()
    assert again == shown
    world.sit(world.learner())
    assert world.call("GET", path(made, "/deliveries")).json()["items"] == []
    shown = world.call("PATCH", path(made), {"disabled": False, "types": None, "description": "x"}).json()
    assert (shown["disabled_at"], shown["description"], shown["url"]) == (None, "x", DOWN)
    shown = world.call("PATCH", path(made), {"url": "http://127.0.0.1/other", "payload": "thin"}).json()
    assert (shown["url"], shown["payload"]) == ("http://127.0.0.1/other", "thin")
    assert world.call("DELETE", path(made)).json()["id"] == made["id"]
    refused(world.call("GET", path(made)), 404, "webhook_unknown")
    refused(world.call("DELETE", path(made)), 404, "webhook_unknown")
    assert world.call("GET", "/v1/webhooks").json()["items"] == []


def test_what_waited_for_a_deleted_webhook_is_dropped_with_its_secret(world: World) -> None:
    made = make(world)
    world.sit(world.learner())
    world.call("DELETE", path(made))
    assert world.ask(reading_webhooks.deliveries, "default", made["id"], state=None, after=0, limit=9) == []
    assert world.client.portal is not None
    assert world.client.portal.call(Sender(world.services).work) == 0


def test_a_test_says_what_the_receiver_answered(world: World, tmp_path: Path) -> None:
    assert world.call("POST", path(make(world), "/test")).json() == {
        "delivered": False, "status": None, "error": "ConnectError",
    }  # fmt: skip
    receiver = Receiver(tmp_path / "receiver")
    receiver.start()
    try:
        made = make(world, receiver.url)
        assert world.call("POST", path(made, "/test")).json()["delivered"] is True
        (got,) = receiver.taken()
        assert (got["type"], got["data"]) == ("endpoint.test", {"webhook": made["id"]})
    finally:
        receiver.stop()


def test_dead_letters_are_seen_and_told_again_from_a_cursor(world: World) -> None:
    made = make(world)
    world.sit(world.learner())
    items = world.call("GET", path(made, "/deliveries")).json()["items"]
    assert [item["state"] for item in items] == ["waiting"] * len(items)
    assert len(items) >= 2
    first = items[0]
    assert first["id"] == f"msg_{made['id'][4:]}_{first['sequence']}"
    key = {"tenant": "default", "webhook": made["id"], "sequence": first["sequence"]}
    values = {"dead_at": NOON, "attempts": 10, "error": "the receiver answered 500", "status": 500}
    assert world.client.portal is not None
    world.client.portal.call(world.services.store.commit, Writes("default", (Update(Outgoing, key, values),)))
    (dead,) = world.call("GET", path(made, "/deliveries?state=dead")).json()["items"]
    assert (dead["attempts"], dead["status"], dead["next_at"]) == (10, 500, None)
    page = world.call("GET", path(made, "/deliveries?limit=1")).json()
    assert page["next"] == str(first["sequence"])
    after = world.call("GET", path(made, f"/deliveries?after={page['next']}")).json()["items"]
    assert after == items[1:]
    assert world.call("POST", path(made, "/replay?after=0")).json() == {"replayed": len(items)}
    assert world.call("GET", path(made, "/deliveries?state=dead")).json()["items"] == []
    last = items[-1]["sequence"]
    assert world.call("POST", path(made, f"/replay?after={last}")).json() == {"replayed": 0}


def test_a_replay_also_tells_what_happened_before_the_webhook_was_made(world: World) -> None:
    world.sit(world.learner())
    n_changes = len(world.call("GET", "/v1/changes").json()["items"])
    made = make(world)
    assert world.call("GET", path(made, "/deliveries")).json()["items"] == []
    assert world.call("POST", path(made, "/replay?after=0")).json() == {"replayed": n_changes}
    assert len(world.call("GET", path(made, "/deliveries")).json()["items"]) == n_changes


def test_a_webhook_of_the_sandbox_is_told_of_the_sandbox_only_and_reached_by_test_keys_only(
    world: World,
) -> None:
    live, test = make(world), make(world, key="test")
    world.call("PUT", "/v1/sandbox/learners/p/courses/twt-3", {"state": "passed"}, key="test")
    assert world.call("GET", path(live, "/deliveries")).json()["items"] == []
    assert len(world.call("GET", path(test, "/deliveries"), key="test").json()["items"]) >= 2
    assert world.call("POST", path(live, "/replay?after=0")).json() == {"replayed": 0}
    refused(world.call("GET", path(test)), 404, "webhook_unknown")
    assert [w["id"] for w in world.call("GET", "/v1/webhooks", key="test").json()["items"]] == [test["id"]]


# --- refusals --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://10.0.0.1/hook",
        "https://192.168.1.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[fd00::1]/",
        "https://[fe80::1]/",
        "https://[64:ff9b::a00:1]/",
        "https://0.0.0.0/",
        "https://167772161/",
        "https://0x0a.1/",
        "https://224.0.0.1/",
        "http://93.184.215.14/",
        "ftp://93.184.215.14/",
        "https://user:password@93.184.215.14/",
        "https://93.184.215.14/#part",
        "https://93.184.215.14:99999/",
        "https://93.184.215.14/a b",
        "https://93.184.215.14/a\x7f",  # it was taken once, and stopped the sender of its webhook for good
        "https://",
        "93.184.215.14",
        "https://no-such-host.invalid/",
        "https://93.184.215.14/" + 2000 * "a",
        "https://[::1/",
    ],
)
def test_an_address_that_leads_into_a_network_or_nowhere_is_refused(world: World, url: str) -> None:
    problem = refused(world.call("POST", "/v1/webhooks", {"url": url}), 422, "url_refused")
    assert problem["errors"][0]["path"] == "url"
    assert "password" not in problem["detail"].partition("refused: ")[0]
    made = make(world)
    refused(world.call("PATCH", path(made), {"url": url}), 422, "url_refused")


def test_a_name_is_refused_when_one_of_its_addresses_is_private(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    async def ask() -> None:
        loop = asyncio.get_running_loop()

        async def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
            return [(2, 1, 6, "", (address, 443)) for address in ("93.184.215.14", "10.0.0.7")]

        monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
        await look_at("https://two.example/")

    with pytest.raises(InvalidRequest, match=r"'two.example' leads to 10.0.0.7"):
        asyncio.run(ask())


@pytest.mark.parametrize(
    ("body", "code", "at"),
    [
        ({"url": DOWN, "types": []}, "field_invalid", "types"),
        ({"url": DOWN, "types": ["eligibility.gained", "x"]}, "field_invalid", "types[1]"),
        ({"url": DOWN, "types": ["endpoint.test"]}, "field_invalid", "types[0]"),
        ({"url": DOWN, "payload": "fat"}, "field_invalid", "payload"),
        ({"url": DOWN, "description": 201 * "x"}, "field_invalid", "description"),
        ({"url": DOWN, "secret": "mine"}, "field_unknown", "secret"),
        ({}, "field_invalid", "url"),
    ],
)
def test_what_a_webhook_cannot_be_is_refused_with_its_path(
    world: World, body: dict[str, Any], code: str, at: str
) -> None:
    problem = refused(world.call("POST", "/v1/webhooks", body), 422, code)
    assert problem["errors"][0]["path"] == at


@pytest.mark.parametrize("scopes", [("deliver", "read-status", "attest"), ("manage",)])
def test_a_webhook_takes_the_right_to_manage_and_to_read(world: World, scopes: tuple[str, ...]) -> None:
    key = world.key(*scopes)
    refused(world.call("POST", "/v1/webhooks", {"url": DOWN}, key=key), 403, "scope_missing")


def test_every_route_asks_for_the_right_to_manage_and_for_a_key(world: World) -> None:
    made = make(world)
    reader = world.key("read-status")
    for method, end, body in (
        ("GET", "", None), ("PATCH", "", {}), ("DELETE", "", None), ("POST", "/rotate", None),
        ("POST", "/test", None), ("GET", "/deliveries", None), ("POST", "/replay?after=0", None),
    ):  # fmt: skip
        refused(world.call(method, path(made, end), body, key=reader), 403, "scope_missing")
        refused(world.call(method, path(made, end), body, key=None), 401, "credentials_missing")
        unknown = f"/v1/webhooks/whk_x{end}"
        refused(world.call(method, unknown, body), 404, "webhook_unknown")
    refused(world.call("GET", "/v1/webhooks", key=reader), 403, "scope_missing")


def test_a_cursor_that_is_none_is_refused(world: World) -> None:
    made = make(world)
    refused(world.call("POST", path(made, "/replay?after=x")), 400, "invalid_cursor")
    refused(world.call("POST", path(made, "/replay")), 422, "field_invalid")
    refused(world.call("GET", path(made, "/deliveries?state=lost")), 422, "field_invalid")


def test_there_are_only_so_many_webhooks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assess.delivery.service.webhooks.MOST", 2)
    make(world)
    make(world)
    refused(world.call("POST", "/v1/webhooks", {"url": DOWN}), 422, "field_invalid")


def test_networks_are_named_in_a_setting() -> None:
    found = Settings.from_environment({"ASSESS_WEBHOOK_NETWORKS": "10.0.0.0/8, fd00::/8"})
    assert found.webhook_networks == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    assert Settings.from_environment({}).webhook_networks == ()
    with pytest.raises(InvalidContent, match="ASSESS_WEBHOOK_NETWORKS"):
        Settings.from_environment({"ASSESS_WEBHOOK_NETWORKS": "10.0.0.1/8"})


def test_what_was_taken_long_ago_is_forgotten_and_what_was_given_up_is_not(world: World) -> None:
    from assess.delivery.jobs import KEYS_KEPT, worker

    made = make(world)
    world.sit(world.learner())
    first, *_ = world.call("GET", path(made, "/deliveries")).json()["items"]
    key = {"tenant": "default", "webhook": made["id"], "sequence": first["sequence"]}
    old = NOON - KEYS_KEPT - timedelta(seconds=1)
    assert world.client.portal is not None
    world.client.portal.call(
        world.services.store.commit, Writes("default", (Update(Outgoing, key, {"delivered_at": old}),))
    )
    found = worker(world.services)
    world.client.portal.call(found.prepare)
    world.client.portal.call(found.work)
    left = world.call("GET", path(made, "/deliveries")).json()["items"]
    assert first["sequence"] not in [item["sequence"] for item in left]
    assert left
