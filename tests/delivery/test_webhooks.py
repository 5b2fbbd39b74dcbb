"""Webhooks against a real receiver: at least once, in order for each learner, nothing lost."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_network
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from standardwebhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from assess.delivery import schemas
from assess.delivery.posting import Message, Poster
from assess.delivery.sender import LEASE, SCHEDULE, Sender, wait_after
from assess.delivery.service import Services, keys, open_services, webhooks
from assess.delivery.settings import Settings, utc_now
from assess.delivery.store import Writes, reading, reading_webhooks
from assess.delivery.store.rows import Outgoing, Update
from assess.delivery.store.rows_webhooks import Webhook
from assess.errors import StaleSession
from tests.delivery.receiving import Receiver
from tests.delivery.serving import Server, plain_client
from tests.delivery.store.test_stores import change, learner
from tests.delivery.world import NOON, Clock
from tests.shared import needs_shared, shared

T = TypeVar("T")
HOME = (ip_network("127.0.0.0/8"),)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    found = Receiver(tmp_path / "receiver")
    found.start()
    yield found
    found.stop()


@pytest.fixture
def services(both_settings: Settings, clock: Clock) -> Iterator[Services]:
    """Services on SQLite, then on PostgreSQL; the receiver's clock is the real one, so ours starts there."""
    clock.now = utc_now()
    found = run(open_services(replace(both_settings, webhook_networks=HOME), clock=clock))
    yield found
    found.store.close()


def webhook(url: str, id: str = "whk_a", **changes: Any) -> Webhook:
    given: dict[str, Any] = {
        "tenant": "default", "id": id, "url": url, "description": "", "types": None, "thin": False,
        "sandbox": False, "secret": SECRET, "by": "key_x", "created_at": NOON,
    }  # fmt: skip
    return Webhook(**given | changes)


def write(services: Services, *rows: Any, **more: Any) -> None:
    run(services.store.commit(Writes("default", inserts=rows, **more)))


def changes(services: Services, *learners: str) -> None:
    """One change for each of the learners, in this order, each in a commit of its own."""
    for who in learners:
        write(services, changes=(change(learner=who, at=services.clock()),))


def send(services: Services, **options: Any) -> int:
    return run(Sender(services, Poster(HOME, **options)).work())


def entries(services: Services, id: str = "whk_a") -> list[Outgoing]:
    found = run(
        services.store.read(reading_webhooks.deliveries, "default", id, state=None, after=0, limit=1000)
    )
    return [entry for entry, _ in found]


# --- what is sent -----------------------------------------------------------------


def test_what_waits_behind_another_or_for_nobody_is_not_late(services: Services, clock: Clock) -> None:
    """Else a receiver that is down would look like a server that does not work."""
    write(services, learner("p"), webhook("https://a.example/"))
    changes(services, *"pp")
    key = {"tenant": "default", "webhook": "whk_a", "sequence": 1}
    later = clock.now + timedelta(hours=2)
    update = Update(Outgoing, key, {"run_at": later}, {"attempts": 0})
    run(services.store.commit(Writes("default", (update,))))
    backlog = run(services.store.read(reading.backlog, Outgoing))
    assert (backlog.n_waiting, backlog.oldest) == (2, later)
    gone = Update(Webhook, {"tenant": "default", "id": "whk_a"}, {"disabled_at": clock.now})
    run(services.store.commit(Writes("default", (gone,))))
    assert run(services.store.read(reading.backlog, Outgoing)).oldest is None


@needs_shared
def test_a_message_is_signed_as_the_published_vectors_have_it() -> None:
    path = shared("specs", "webhooks", "standard-webhooks-vectors.json")
    for vector in json.loads(path.read_text())[:2]:
        at = datetime.fromtimestamp(vector["timestamp"], UTC)
        headers = Message(vector["id"], vector["body"].encode()).headers([vector["secret"]], at)
        assert headers["webhook-signature"] == vector["signature"], vector["name"]


def test_a_receiver_verifies_what_it_gets_with_the_library_of_the_specification(
    services: Services, receiver: Receiver
) -> None:
    write(services, learner(), webhook(receiver.url))
    changes(services, "lrn_1")
    assert send(services) == 1
    (got,) = receiver.received()
    body = Verifier(SECRET).verify(got["body"], got["headers"])
    assert (body["type"], body["data"]["sequence"], body["data"]["badge"]) == ("eligibility.gained", 1, "B")
    assert got["headers"]["webhook-id"] == webhooks.message_id("whk_a", 1)
    with pytest.raises(WebhookVerificationError):
        Verifier(SECRET).verify(got["body"].replace("gained", "lost"), got["headers"])
    (entry,) = entries(services)
    assert (entry.delivered_at, entry.status, entry.lease) == (services.clock(), 200, None)
    assert send(services) == 0


def test_a_thin_webhook_is_told_what_changed_and_not_what_it_is(
    services: Services, receiver: Receiver
) -> None:
    write(services, learner(), webhook(receiver.url, thin=True))
    write(services, changes=(change(at=services.clock(), data={"status": "eligible"}),))
    send(services)
    assert receiver.taken()[0]["data"]["snapshot"] == {}


def test_for_a_day_after_a_rotation_both_secrets_verify(
    services: Services, receiver: Receiver, clock: Clock
) -> None:
    old = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
    until = clock.now + timedelta(hours=24)
    write(services, learner(), webhook(receiver.url, old_secret=old, old_secret_until=until))
    changes(services, "lrn_1")
    send(services)
    clock.now = until
    changes(services, "lrn_1")
    send(services)
    during, after = receiver.received()
    for secret in (SECRET, old):
        Verifier(secret).verify(during["body"], during["headers"])
    assert len(after["headers"]["webhook-signature"].split()) == 1


def test_only_what_a_webhook_wants_is_put_out_and_nothing_of_the_sandbox(services: Services) -> None:
    write(
        services,
        learner(),
        webhook("https://a.example/", types=["eligibility.lost"]),
        webhook("https://b.example/", "whk_b", sandbox=True),
        webhook("https://c.example/", "whk_c", disabled_at=NOON),
        webhook("https://d.example/", "whk_d", deleted_at=NOON),
        webhook("https://e.example/", "whk_e"),
    )
    write(services, changes=(change(at=NOON), change(type="eligibility.lost", at=NOON)))
    found = {x: [e.sequence for e in entries(services, f"whk_{x}")] for x in "abcde"}
    assert found == {"a": [2], "b": [], "c": [], "d": [], "e": [1, 2]}


def test_a_change_and_its_entry_in_the_outbox_are_one_commit(services: Services) -> None:
    write(services, learner(), webhook("https://a.example/"))
    with pytest.raises(StaleSession):
        write(services, learner(), changes=(change(at=NOON),))
    assert entries(services) == []


# --- over https ---------------------------------------------------------------------


def certificate(folder: Path, name: str) -> ssl.SSLContext:
    """A server's context with a certificate for a name that it signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = utc_now()
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "server.pem").write_bytes(made.public_bytes(Encoding.PEM) + secret)
    (folder / "trusted.pem").write_bytes(made.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context


@pytest.mark.parametrize("named", ["receiver.example", "other.example"])
def test_over_https_the_certificate_must_be_the_names_and_the_connection_goes_to_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    hosts: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hosts.append(self.headers["host"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.socket = certificate(tmp_path, named).wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    poster = Poster(HOME)
    poster._trust = ssl.create_default_context(cafile=str(tmp_path / "trusted.pem"))
    url = f"https://receiver.example:{server.server_port}/hook?x=1"

    async def send_it() -> Any:
        loop = asyncio.get_running_loop()
        asked: list[str] = []

        async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
            asked.append(host)
            return [(2, 1, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
        answer = await poster.post(url, Message("msg_1", b"{}"), [SECRET], utc_now())
        # Asked for once: a second answer could lead elsewhere.
        assert asked == ["receiver.example"]
        return answer

    try:
        answer = run(send_it())
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    if named == "receiver.example":
        assert (answer.status, hosts) == (200, [f"receiver.example:{server.server_port}"])
    else:
        assert (answer.accepted, answer.error, hosts) == (False, "ConnectError", [])


# --- receivers that do not take it ---------------------------------------------------


def test_a_receiver_that_is_down_gets_everything_in_order_when_it_is_back(
    services: Services, receiver: Receiver, clock: Clock
) -> None:
    receiver.stop()
    write(services, learner("p"), learner("q"), webhook(receiver.url))
    changes(services, *"ppqpq")
    # Behind one that waits, nothing of the same learner is even tried.
    assert send(services) == 2
    assert {e.sequence: e.attempts for e in entries(services)} == {1: 1, 2: 0, 3: 1, 4: 0, 5: 0}
    assert {e.error for e in entries(services) if e.attempts} == {"ConnectError"}
    receiver.start()
    assert send(services) == 0
    clock.advance(seconds=6)
    assert send(services) == 5
    assert (receiver.numbers("p"), receiver.numbers("q")) == ([1, 2, 4], [3, 5])


def test_a_receiver_that_answers_500_is_tried_on_the_published_schedule_and_then_given_up(
    services: Services, receiver: Receiver, clock: Clock
) -> None:
    receiver.answer(500)
    write(services, learner("p"), webhook(receiver.url))
    changes(services, *"pp")
    made = [clock.now]
    while True:
        send(services)
        first, second = entries(services)
        if first.dead_at is not None:
            break
        assert second.attempts == 0
        made.append(first.run_at)
        clock.now = first.run_at - timedelta(seconds=1)
        assert send(services) == 0, "it was tried before its time"
        clock.now = first.run_at
    waits = [(later - earlier) for earlier, later in pairwise(made)]
    for wait, published in zip(waits, SCHEDULE[1:], strict=True):
        assert published <= wait <= 1.1 * published
    assert (first.attempts, first.status, first.error) == (10, 500, "the receiver answered 500")
    # The next change of the learner is not held up for ever by one that was given up.
    receiver.answer(200)
    clock.advance(seconds=6)
    assert send(services) == 1
    assert receiver.numbers() == [2]
    assert run(services.store.read(reading.backlog, Outgoing)).n_dead == 1


def test_a_stuck_learner_holds_up_no_other(services: Services, receiver: Receiver) -> None:
    receiver.answer(500, subject="p")
    write(services, learner("p"), learner("q"), webhook(receiver.url))
    changes(services, *"pqpqpq")
    send(services)
    assert receiver.numbers() == [2, 4, 6]


def test_a_slow_receiver_is_cut_off_and_holds_up_no_other_webhook_and_no_other_learner(
    services: Services, receiver: Receiver, tmp_path: Path
) -> None:
    quick = Receiver(tmp_path / "quick")
    quick.start()
    try:
        receiver.answer(200, subject="p", seconds=5)
        write(services, learner("p"), learner("q"), webhook(receiver.url), webhook(quick.url, "whk_b"))
        changes(services, *"pqqqq")
        send(services, seconds=1.0)
        assert (receiver.numbers(), quick.numbers("p"), quick.numbers("q")) == (
            [2, 3, 4, 5],
            [1],
            [2, 3, 4, 5],
        )
        (stuck,) = [e for e in entries(services) if e.delivered_at is None]
        assert stuck.error == "no answer within 1 s"
    finally:
        quick.stop()


def test_a_receiver_that_says_gone_is_disabled_and_what_waited_is_kept(
    services: Services, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answer(410)
    write(services, learner("p"), webhook(receiver.url))
    changes(services, *"pp")
    assert send(services) == 1
    row = run(services.store.read(reading_webhooks.webhook, "default", "whk_a"))
    assert row is not None
    assert (row.disabled_at, row.disabled_why) == (services.clock(), "the receiver answered 410")
    receiver.answer(200)
    assert send(services) == 0
    me = keys.local("default", "me")
    run(webhooks.change(services, me, "whk_a", schemas.ChangedWebhook(disabled=False)))
    assert send(services) == 2
    assert receiver.numbers() == [1, 2]


def test_a_redirect_is_not_followed(services: Services, receiver: Receiver, tmp_path: Path) -> None:
    other = Receiver(tmp_path / "other")
    other.start()
    try:
        receiver.answer(307, headers={"Location": other.url})
        write(services, learner("p"), webhook(receiver.url))
        changes(services, "p")
        send(services)
        assert entries(services)[0].error == "the receiver answered 307; a redirect is not followed"
        assert other.received() == []
    finally:
        other.stop()


def test_a_receiver_that_asks_for_time_is_given_it(
    services: Services, receiver: Receiver, clock: Clock
) -> None:
    receiver.answer(503, headers={"Retry-After": "3600"})
    write(services, learner("p"), webhook(receiver.url))
    changes(services, "p")
    send(services)
    assert entries(services)[0].run_at == clock.now + timedelta(hours=1)


def test_what_the_network_forbids_by_the_time_of_sending_is_not_sent(
    services: Services, receiver: Receiver
) -> None:
    """The name led somewhere else when the webhook was made."""
    write(services, learner("p"), webhook(receiver.url))
    changes(services, "p")
    run(Sender(services, Poster()).work())
    assert receiver.received() == []
    assert "not a public address" in str(entries(services)[0].error)


def test_what_is_delivered_twice_has_the_same_id_and_body(
    services: Services, receiver: Receiver, clock: Clock
) -> None:
    """A sender dies between the receiver's answer and noting it: after its lease it is sent again."""
    write(services, learner("p"), webhook(receiver.url))
    changes(services, "p")
    sender = Sender(services, Poster(HOME))

    async def die(entry: Outgoing, values: dict[str, object]) -> None:
        raise KeyboardInterrupt

    sender._end = die  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        run(sender.work())
    assert send(services) == 0
    clock.advance(seconds=LEASE.total_seconds() + 1)
    assert send(services) == 1
    first, again = receiver.received()
    assert (first["body"], first["headers"]["webhook-id"]) == (again["body"], again["headers"]["webhook-id"])


def test_senders_side_by_side_keep_the_order_of_each_learner(
    services: Services, both_settings: Settings, receiver: Receiver, clock: Clock
) -> None:
    """On PostgreSQL each has a store of its own, as a process would."""
    apart = both_settings.sqlite_path is None
    others = [run(open_services(both_settings, clock=clock)) for _ in range(2)] if apart else []
    people = "abcdefgh"
    write(services, *map(learner, people), webhook(receiver.url))
    write(services, changes=tuple(change(learner=who, at=clock.now) for who in people * 8))

    async def together() -> list[int]:
        of = [services, *others] if apart else [services] * 3
        return await asyncio.gather(*(Sender(each, Poster(HOME)).work() for each in of))

    counts = run(together())
    for other in others:
        other.store.close()
    assert sum(counts) == 64
    for place, who in enumerate(people, start=1):
        assert receiver.numbers(who) == list(range(place, 65, 8))


def test_neither_secrets_nor_addresses_stand_in_logs_or_in_what_is_printed(
    services: Services, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answer(500)
    row = webhook(receiver.url + "?token=of-theirs", old_secret=SECRET[::-1], old_secret_until=NOON)
    write(services, learner("p"), row)
    changes(services, "p")
    with caplog.at_level(logging.DEBUG):
        for _ in SCHEDULE:
            send(services)
            services.clock.advance(days=2)  # type: ignore[attr-defined]
    said = caplog.text + repr(row) + repr(entries(services))
    assert "is given up" in caplog.text
    assert SECRET not in said
    assert SECRET[6:] not in said
    assert SECRET[::-1] not in said
    assert "of-theirs" not in caplog.text


def test_the_spread_of_waits_differs_between_entries_and_stays_below_a_tenth() -> None:
    waits = {wait_after(2, f"whk_a {n}") for n in range(50)}
    assert len(waits) > 20
    assert all(wait is not None and SCHEDULE[2] <= wait < 1.1 * SCHEDULE[2] for wait in waits)


# --- a real server --------------------------------------------------------------------

_SERVE = """
import sys, uvicorn
from ipaddress import ip_network
from assess.delivery.app import create_app
from assess.delivery.settings import Settings
settings = Settings(database_url=sys.argv[1], refresh_seconds=0.0, work_seconds=0.05,
                    webhook_networks=(ip_network("127.0.0.0/8"),))
uvicorn.run(create_app(settings), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", ws="none")
"""


def eventually(holds: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_a_server_that_is_killed_while_it_sends_loses_nothing(
    tmp_path: Path, seeded: tuple[Path, dict[str, str]], receiver: Receiver
) -> None:
    """Killed in the middle of two messages; each learner's changes arrive complete and in order."""
    shutil.copyfile(seeded[0], tmp_path / "assess.db")
    server = Server(tmp_path)
    server._command[2] = _SERVE
    server.start()
    headers = {"Authorization": f"Bearer {seeded[1]['test']}"}

    def ask(method: str, path: str, body: Any) -> Any:
        with plain_client(headers=headers, timeout=20) as client:
            reply = client.request(method, server.url + path, json=body)
        assert reply.status_code < 300, reply.text
        return reply.json()

    try:
        made = ask("POST", "/v1/webhooks", {"url": receiver.url})
        receiver.answer(200, seconds=2.0)
        for state in ("passed", "not_passed", "passed"):
            for who in ("p", "q"):
                ask("PUT", f"/v1/sandbox/learners/{who}/courses/twt-3", {"state": state})
        time.sleep(0.5)
        server.kill()
        receiver.answer(200)
        server.start()
        told = ask("GET", "/v1/changes", None)["items"]
        wanted = {
            who: [item["data"]["sequence"] for item in told if item["data"]["subject"]["id"] == who]
            for who in ("p", "q")
        }
        assert min(map(len, wanted.values())) >= 6
        eventually(
            lambda: all(set(receiver.numbers(who)) >= set(numbers) for who, numbers in wanted.items()),
            "something was lost",
        )
        for who, numbers in wanted.items():
            # Twice is allowed, out of order is not: each number first comes after all before it.
            assert list(dict.fromkeys(receiver.numbers(who))) == numbers
        for got in receiver.received():
            Verifier(made["secret"]).verify(got["body"], got["headers"])
    finally:
        server.kill()
