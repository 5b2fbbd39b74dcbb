"""The languages of the pages: words, plurals, numbers and dates.

The English sentence in a template is the message itself; `i18n/<code>.po`
holds the others. They are read into memory at start-up, so that no compiled
file can be older than its source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import cache
from io import BytesIO
from pathlib import Path

from babel import Locale
from babel.dates import format_date
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent
from babel.support import NullTranslations, Translations

CATALOGUES = Path(__file__).resolve().parent.parent / "i18n"
CODES = ("en", "fr", "ar")
_NOT_REVIEWED = "not reviewed by native speakers"


@dataclass(frozen=True, eq=False)
class Language:
    """One language of the pages.

    Parameters
    ----------
    code : str
        The tag for `<html lang>`.
    reviewed : bool
        False while the header of the catalogue says that no native speaker
        has read it; the pages then say so too.
    """

    code: str
    locale: Locale
    translations: NullTranslations
    reviewed: bool

    @property
    def direction(self) -> str:
        """ "rtl" or "ltr", for `<html dir>`."""
        return str(self.locale.text_direction)

    @property
    def name(self) -> str:
        """What its speakers call it."""
        return (self.locale.display_name or self.code).capitalize()

    def gettext(self, message: str) -> str:
        """The message in this language."""
        return self.translations.gettext(message)

    def ngettext(self, one: str, many: str, n: int) -> str:
        """The message in the plural form that this language uses for n."""
        return self.translations.ngettext(one, many, n)

    def number(self, value: float) -> str:
        """A number with this language's decimal mark."""
        return str(format_decimal(value, locale=self.locale))

    def percent(self, share: float) -> str:
        """A share as a whole percentage, never rounded up to certainty.

        Examples
        --------
        >>> language("en").percent(0.998), language("en").percent(0.004)
        ('99%', '1%')
        """
        return str(format_percent(min(max(round(share, 2), 0.01), 0.99), locale=self.locale))

    def moment(self, moment: datetime, zone: tzinfo) -> str:
        """A day and a time, with the zone."""
        there = moment.astimezone(zone)
        day = format_date(there, format="d MMMM y", locale=self.locale)
        offset = there.isoformat(timespec="seconds")[-6:]
        time = f"{there:%H:%M} UTC" if offset == "+00:00" else f"{there:%H:%M} UTC{offset}"
        return f"{day}{'، ' if self.direction == 'rtl' else ', '}{self.isolated(time)}"

    def isolated(self, words: str) -> str:
        """Codes and times keep their own direction inside words from right to left."""
        return f"\u2066{words}\u2069" if self.direction == "rtl" else words

    def name_of(self, code: str) -> str:
        """What this language calls another one.

        Examples
        --------
        >>> language("fr").name_of("en")
        'anglais'
        """
        return str(self.locale.languages.get(code.split("-")[0], code))

    def pick(self, texts: Mapping[str, str]) -> tuple[str, str]:
        """A text in this language, else in English, else in the first one there is; with the language found.

        Examples
        --------
        >>> language("fr").pick({"en": "Pedagogy", "ar": "…"})
        ('en', 'Pedagogy')
        """
        for candidate in (self.code, "en", *texts):
            if candidate in texts:
                return candidate, texts[candidate]
        return self.code, ""


@cache
def language(code: str) -> Language:
    """The language of a tag in `CODES`."""
    locale = Locale.parse(code, sep="-")
    path = CATALOGUES / f"{code}.po"
    if not path.exists():
        return Language(code, locale, NullTranslations(), reviewed=True)
    with path.open("rb") as file:
        catalogue = read_po(file, locale=code, abort_invalid=True)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    reviewed = _NOT_REVIEWED not in catalogue.header_comment
    return Language(code, locale, Translations(compiled), reviewed)


def direction_of(code: str) -> str:
    """The direction in which a language is written."""
    return Locale.parse(code.split("-")[0]).text_direction


def choose(asked: str | None, kept: str | None, accepted: str | None) -> str:
    """The language for a request: asked for in the address, kept in the cookie, or liked by the browser.

    Examples
    --------
    >>> choose("ar", "fr", None), choose("xx", "fr", "ar"), choose(None, None, "de, fr-CA;q=0.8, en;q=0.5")
    ('ar', 'fr', 'fr')
    """
    for wanted in (asked, kept):
        if wanted in CODES:
            return str(wanted)
    weighed: list[tuple[float, str]] = []
    for part in (accepted or "").split(",")[:20]:
        tag, _, quality = part.partition(";")
        try:
            weight = float(quality.strip().removeprefix("q=") or 1.0)
        except ValueError:
            weight = 0.0
        weighed.append((-weight, tag.strip().lower().split("-")[0]))
    return next((tag for _, tag in sorted(weighed, key=lambda pair: pair[0]) if tag in CODES), CODES[0])
