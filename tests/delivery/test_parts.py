"""Settings, secrets, receipts and rendering, each by itself."""

from __future__ import annotations

import base64
import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from assess.delivery.receipts import ReceiptSigner, Signature, new_signing_key
from assess.delivery.rendering import Renderer
from assess.delivery.schemas import Receipt
from assess.delivery.security import derived_token, digest, new_api_key, new_token, token_key
from assess.delivery.settings import Settings
from assess.errors import InvalidContent
from assess.standards.records import canonical_json
from tests import synthetic
from tests.delivery.world import NOON

# --- settings ------------------------------------------------------------------


def test_settings_come_from_the_environment_and_have_defaults() -> None:
    assert Settings.from_environment({}) == Settings()
    found = Settings.from_environment(
        {
            "ASSESS_DATABASE_URL": "postgresql+psycopg://x",
            "ASSESS_PUBLIC_URL": "https://assess.example/",
            "ASSESS_SECURE_COOKIES": "1",
            "ASSESS_REFRESH_SECONDS": "60",
        }
    )
    assert (found.public_url, found.secure_cookies, found.sqlite_path) == (
        "https://assess.example",
        True,
        None,
    )
    assert found.refresh_seconds == 5.0, "an activation reaches every process within five seconds"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ASSESS_MAX_BODY_BYTES", "many"),
        ("ASSESS_MAX_BODY_BYTES", "10"),
        ("ASSESS_READ_THREADS", "0"),
        ("ASSESS_SWEEP_SECONDS", "inf"),
        ("ASSESS_SECURE_COOKIES", "yes"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(InvalidContent, match=name):
        Settings.from_environment({name: value})


# --- secrets -------------------------------------------------------------------


def test_secrets_say_what_they_open_and_never_repeat() -> None:
    assert new_api_key(sandbox=True).startswith("ask_test_")
    assert new_api_key(sandbox=False).startswith("ask_live_")
    made = {new_api_key(sandbox=False) for _ in range(100)} | {new_token() for _ in range(100)}
    assert len(made) == 200
    assert len({digest(secret) for secret in made}) == 200


def test_a_derived_token_depends_on_the_key_and_on_every_part() -> None:
    key = token_key("ask_live_a")
    tokens = {
        derived_token(key, "s", "k"),
        derived_token(key, "s", "l"),
        derived_token(key, "t", "k"),
        derived_token(key, "sk", ""),
        derived_token(token_key("ask_live_b"), "s", "k"),
    }
    assert len(tokens) == 5
    assert derived_token(key, "s", "k") in tokens


# --- receipts ------------------------------------------------------------------


def _receipts(signer: ReceiptSigner, n: int) -> list[Receipt]:
    """Receipts that were asked for at the same time."""

    signatures = [
        signer.sign(session="s", position=k, revision=1, answer_sha256="0", at=NOON) for k in range(1, n + 1)
    ]
    return [
        Receipt(
            session="s",
            position=position,
            revision=1,
            answer_sha256="0",
            stored_at=NOON,
            key_id=signer.key_id,
            signature=str(signature),
        )
        for position, signature in enumerate(signatures, start=1)
    ]


def _receipt(signer: ReceiptSigner) -> Receipt:
    return _receipts(signer, 1)[0]


@pytest.mark.parametrize("n", [1, 2, 3, 7, 32, 70])
def test_receipts_that_are_signed_together_are_each_valid_alone_and_for_nothing_else(n: int) -> None:
    key = new_signing_key("rk_1", NOON)
    receipts = _receipts(ReceiptSigner([key]), n)
    other = ReceiptSigner([key])
    assert all(other.valid(receipt) for receipt in receipts)
    for receipt, neighbour in itertools.pairwise(receipts):
        assert not other.valid(msgspec.structs.replace(receipt, signature=neighbour.signature))
        assert not other.valid(msgspec.structs.replace(receipt, answer_sha256="1"))


def test_a_key_that_is_learnt_meanwhile_takes_nobodys_receipt_away() -> None:
    """An answer waits for its group to be written while somebody else's receipt asks for a key."""
    signer = ReceiptSigner([new_signing_key("rk_1", NOON)])
    waiting = signer.sign(session="s", position=1, revision=1, answer_sha256="0", at=NOON)
    signer.learn([new_signing_key("rk_2", NOON)])
    assert str(waiting)
    assert signer.knows("rk_2")


def test_threads_that_read_signatures_at_once_all_get_them() -> None:
    """Rows may be written by another thread than the one that goes on asking for signatures."""
    signer = ReceiptSigner([new_signing_key("rk_1", NOON)])
    asked: list[tuple[dict[str, Any], Signature]] = []

    def ask(thread: int) -> None:
        for k in range(200):
            said: dict[str, Any] = {
                "session": f"s{thread}",
                "position": k,
                "revision": 1,
                "answer_sha256": "0",
            }
            asked.append((said, signer.sign(**said, at=NOON)))
            assert all(str(signature) for _, signature in asked[-3:])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, range(4)))
    assert len(asked) == 800
    for said, signature in asked:
        assert signer.valid(Receipt(**said, stored_at=NOON, key_id=signer.key_id, signature=str(signature)))


def test_what_was_signed_together_cannot_be_bent_into_another_receipt() -> None:
    signer = ReceiptSigner([new_signing_key("rk_1", NOON)])
    receipt = _receipts(signer, 4)[0]
    signature, _, way = receipt.signature.partition(".")
    steps = base64.urlsafe_b64decode(way + "=" * (-len(way) % 4))

    def with_way(changed: bytes) -> Receipt:
        text = base64.urlsafe_b64encode(changed).decode().rstrip("=")
        return msgspec.structs.replace(receipt, signature=f"{signature}.{text}")

    assert signer.valid(with_way(steps))
    for bent in (
        b"",
        steps[:33],
        steps[:-1],
        steps[33:] + steps[:33],
        bytes([steps[0] ^ 1]) + steps[1:],
        b"\2" + steps[1:],
        steps * 20,
    ):
        assert not signer.valid(with_way(bent)), bent
    assert not signer.valid(msgspec.structs.replace(receipt, signature=signature))
    assert not signer.valid(msgspec.structs.replace(receipt, signature=f"{signature}.{way}.{way}"))


def test_a_receipt_signs_the_canonical_json_of_what_it_says() -> None:
    key = new_signing_key("rk_1", NOON)
    receipt = _receipt(ReceiptSigner([key]))
    said = {name: value for name, value in msgspec.to_builtins(receipt).items() if name != "signature"}
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key.public_key + "="))
    public.verify(base64.urlsafe_b64decode(receipt.signature + "=="), canonical_json(said))


def test_a_receipt_of_a_retired_key_still_verifies_and_a_foreign_one_does_not() -> None:
    old, new, foreign = (new_signing_key(name, NOON) for name in ("rk_1", "rk_2", "rk_1"))
    receipt = _receipt(ReceiptSigner([old]))
    both = ReceiptSigner([old, new])
    assert both.key_id == "rk_2"
    assert both.valid(receipt)
    assert not ReceiptSigner([foreign]).valid(receipt)


# --- rendering -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("a *b*", "<p>a <em>b</em></p>"),
        ("<script>x</script>ok", "ok"),
        ('<p onclick="x()">ok</p>', "<p>ok</p>"),
        ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>"),
        ('<a href="javascript:x()">y</a>', '<p><a rel="noopener noreferrer">y</a></p>'),
        ('<a href="data:text/html,x">y</a>', '<p><a rel="noopener noreferrer">y</a></p>'),
        ("![cat](/static/cat.png)", '<p><img src="/static/cat.png" alt="cat"></p>'),
        ('<img src="data:image/svg+xml;base64,x" alt="">', '<img alt="">'),
        ("<math display='block'><mfrac><mi>a</mi><mn>2</mn></mfrac></math>", None),
        ('<span lang="ar" dir="rtl">س</span>', '<p><span lang="ar" dir="rtl">س</span></p>'),
        ("<!-- KEY: b -->ok", "ok"),
        ("<style>*{}</style>ok", "ok"),
    ],
)
def test_markdown_becomes_html_that_is_safe_to_show(markdown: str, html: str | None) -> None:
    found = Renderer().block(markdown)
    if html is None:
        assert found == '<p><math display="block"><mfrac><mi>a</mi><mn>2</mn></mfrac></math></p>'
    else:
        assert found == html


def test_a_line_loses_its_paragraph_and_blocks_keep_theirs() -> None:
    renderer = Renderer()
    assert renderer.inline("one *line*") == "one <em>line</em>"
    assert renderer.inline("two\n\nblocks") == "<p>two</p>\n<p>blocks</p>"


def test_an_item_is_rendered_once_per_language_and_release() -> None:
    renderer, release = Renderer(), synthetic.release(with_case_set=True)
    item = release.items["x-012.v1"]
    first = renderer.item(release, item, "fr")
    assert renderer.item(release, item, "fr") is first
    assert (first.language, first.stimulus) == ("en", "<p>Story.</p>")
    other = synthetic.release(n_items=13)
    assert renderer.item(other, other.items["x-012.v1"], "fr") is not first
