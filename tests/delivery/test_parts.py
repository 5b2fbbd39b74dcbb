"""Settings, secrets, receipts and rendering, each by itself."""

from __future__ import annotations

import base64
import itertools
from typing import cast

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from assess.delivery.receipts import ReceiptSigner, new_signing_key
from assess.delivery.rendering import Renderer
from assess.delivery.schemas import Receipt
from assess.delivery.security import derived_token, digest, new_api_key, new_token, token_key
from assess.delivery.service.receipts import receipt
from assess.delivery.settings import Settings
from assess.delivery.store.late import Late, work_out
from assess.delivery.store.rows import ResponseRow
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


def _row(signer: ReceiptSigner, position: int) -> ResponseRow:
    return ResponseRow(
        "t", "s", position, 1, "x.v1", "b", 0, NOON, "0f", "0", signer.key_id, cast(str, Late(signer.signing))
    )


def _receipts(signer: ReceiptSigner, n: int) -> list[Receipt]:
    """Receipts of rows that are written together."""
    rows = [_row(signer, position) for position in range(1, n + 1)]
    work_out(rows)
    return [receipt(row) for row in rows]


def _receipt(signer: ReceiptSigner) -> Receipt:
    return _receipts(signer, 1)[0]


@pytest.mark.parametrize("n", [1, 2, 3, 7, 32, 70])
def test_receipts_that_are_signed_together_are_each_valid_alone_and_for_nothing_else(n: int) -> None:
    key = new_signing_key("rk_1", NOON)
    receipts = _receipts(ReceiptSigner([key]), n)
    other = ReceiptSigner([key])
    assert all(map(other.valid, receipts))
    for one, neighbour in itertools.pairwise(receipts):
        assert not other.valid(msgspec.structs.replace(one, signature=neighbour.signature))
        assert not other.valid(msgspec.structs.replace(one, answer_sha256="1"))


def test_a_receipt_that_was_not_signed_yet_is_given_to_nobody() -> None:
    signer = ReceiptSigner([new_signing_key("rk_1", NOON)])
    row = _row(signer, 1)
    with pytest.raises(ValueError, match="when its row is written"):
        receipt(row)
    work_out([row])
    given = receipt(row)
    work_out([row])  # as when the rows of a group that failed are written one by one
    assert receipt(row) == given
    assert signer.valid(given)


def test_rows_under_two_keys_that_are_written_together_are_each_signed_by_their_own() -> None:
    old, new = (ReceiptSigner([new_signing_key(name, NOON)]) for name in ("rk_1", "rk_2"))
    rows = [_row(old, 1), _row(new, 2), _row(old, 3)]
    work_out(rows)
    assert [old.valid(receipt(row)) for row in rows] == [True, False, True]
    assert [new.valid(receipt(row)) for row in rows] == [False, True, False]


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
