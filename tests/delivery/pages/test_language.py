"""The pages speak three languages, whole."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st
from jinja2.ext import babel_extract

from assess.delivery.pages.language import CATALOGUES, CODES, choose, direction_of, language

DELIVERY = CATALOGUES.parent
TRANSLATED = [code for code in CODES if code != "en"]
_PLACEHOLDER = re.compile(r"%\((\w+)\)s|\{(\w+)\}")


def _messages() -> dict[str | tuple[str, ...], set[str]]:
    """Every message of the templates and of the pages' code, with the files that say it."""
    found: dict[str | tuple[str, ...], set[str]] = defaultdict(set)
    options = {"trim_blocks": "true", "lstrip_blocks": "true", "silent": "false"}
    for path in sorted((DELIVERY / "templates").glob("*.html")):
        for _, _, message, _ in babel_extract(BytesIO(path.read_bytes()), ("_", "ngettext"), [], options):
            words = tuple(m for m in ([message] if isinstance(message, str) else message or ()) if m)
            found[words[0]].add(path.name)
    keywords = {"_": None, "gettext": None, "ngettext": (1, 2)}
    for path in sorted((DELIVERY / "pages").glob("*.py")):
        for _, message, _, _ in extract("python", BytesIO(path.read_bytes()), keywords=keywords):
            found[message if isinstance(message, str) else tuple(message)].add(path.name)
    return found


def _catalogue(code: str) -> Catalog:
    with (CATALOGUES / f"{code}.po").open("rb") as file:
        return read_po(file, locale=code, abort_invalid=True)


MESSAGES = _messages()


def test_the_pages_say_something() -> None:
    assert len(MESSAGES) > 200


@pytest.mark.parametrize("code", TRANSLATED)
def test_every_message_is_translated_in_every_plural_form(code: str) -> None:
    catalogue = _catalogue(code)
    missing = []
    for message in MESSAGES:
        key = message if isinstance(message, str) else message[0]
        entry = catalogue.get(key)
        if entry is None or entry.fuzzy or not entry.string:
            missing.append(key)
        elif not isinstance(message, str) and not all(
            entry.string[form] for form in range(catalogue.num_plurals)
        ):
            missing.append(f"{key} (a plural form)")
    assert missing == []


@pytest.mark.parametrize("code", TRANSLATED)
def test_no_translation_outlives_its_message(code: str) -> None:
    said = {message if isinstance(message, str) else message[0] for message in MESSAGES}
    kept = {entry.id if isinstance(entry.id, str) else entry.id[0] for entry in _catalogue(code) if entry.id}
    assert kept - said == set()


def _pairs(code: str) -> Iterator[tuple[str, str, bool]]:
    for entry in _catalogue(code):
        if not entry.id:
            continue
        source = entry.id if isinstance(entry.id, str) else entry.id[-1]
        forms = [entry.string] if isinstance(entry.string, str) else list(entry.string or ())
        for form in forms:
            yield source, form, not isinstance(entry.id, str)


@pytest.mark.parametrize("code", TRANSLATED)
def test_translations_fill_in_what_the_message_fills_in(code: str) -> None:
    for source, form, plural in _pairs(code):
        wanted, given_ = set(_PLACEHOLDER.findall(source)), set(_PLACEHOLDER.findall(form))
        # "One course" may be said without the digit.
        assert given_ == wanted or (plural and wanted - given_ == {("n", "")}), (source, form)


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_catalogue_says_that_no_native_speaker_has_read_it(code: str) -> None:
    assert "not reviewed by native speakers" in _catalogue(code).header_comment
    assert not language(code).reviewed
    assert language("en").reviewed


def test_arabic_counts_in_six_ways() -> None:
    words = [language("ar").ngettext("%(n)s minute", "%(n)s minutes", n) for n in (1, 2, 5, 36, 100)]
    assert words[0] == "دقيقة واحدة"
    assert words[1] == "دقيقتان"
    assert words[2] == "%(n)s دقائق"
    assert len(set(words)) == 4  # 36 and 100 look alike


def test_no_french_line_begins_with_a_mark() -> None:
    loose = [form for _, form, _ in _pairs("fr") if re.search(r" [;:?!%…]", form.replace("%(", "("))]
    assert loose == []


def test_directions() -> None:
    assert [language(code).direction for code in CODES] == ["ltr", "ltr", "rtl"]
    assert (direction_of("ar-EG"), direction_of("fr")) == ("rtl", "ltr")


def test_a_moment_names_its_zone() -> None:
    noon = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    assert language("en").moment(noon, UTC) == "22 November 2026, 12:00 UTC"
    assert language("fr").moment(noon, ZoneInfo("Africa/Nairobi")) == "22 novembre 2026, 15:00 UTC+03:00"


@given(share=st.floats(0.0, 1.0))
def test_a_percentage_never_claims_certainty(share: float) -> None:
    digits = int(re.sub(r"\D", "", language("en").percent(share)))
    assert 1 <= digits <= 99


@given(header=st.text(max_size=60))
def test_any_header_of_a_browser_gives_a_language_that_there_is(header: str) -> None:
    assert choose(None, None, header) in CODES


def test_the_address_wins_over_the_cookie_and_the_cookie_over_the_browser() -> None:
    assert choose("ar", "fr", "en") == "ar"
    assert choose(None, "fr", "en") == "fr"
    assert choose("tlh", "xx", "de, ar;q=0.4, fr;q=0.8") == "fr"


def test_a_text_is_picked_in_the_readers_language_else_in_english() -> None:
    assert language("fr").pick({"en": "a", "fr": "b"}) == ("fr", "b")
    assert language("ar").pick({"fr": "b", "en": "a"}) == ("en", "a")
    assert language("ar").pick({"sw": "c"}) == ("sw", "c")


def test_no_page_file_holds_words_of_a_machine(tmp_path: Path) -> None:
    """What a script says aloud comes from the templates, so that it is translated."""
    script = (DELIVERY / "static" / "pages.js").read_text(encoding="utf-8")
    quoted = [q for q in re.findall(r'"([^"\n]*)"', script) if re.search(r"[A-Za-z]{3,} [a-z]{2,} [a-z]", q)]
    assert quoted == []
