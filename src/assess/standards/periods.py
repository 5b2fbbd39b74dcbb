"""Periods of days, months or years, and the day with which one ends.

How long a pass or an award is good for is said in calendar words, so it is
counted on the calendar of the programme: a year after 29 February ends with 28
February, a month after 31 January with the last day of February. The last day
counts in full.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date, timedelta

from assess.errors import InvalidRule

_WORDS = re.compile(r"([1-9]\d{0,3}) (day|month|year)s?")


@dataclass(frozen=True, slots=True)
class Period:
    """So many days, months or years.

    Examples
    --------
    >>> Period(3, "year")
    Period(n=3, unit='year')
    >>> str(Period(1, "month")), str(Period(90, "day"))
    ('1 month', '90 days')
    """

    n: int
    unit: str

    def __str__(self) -> str:
        return f"{self.n} {self.unit}" if self.n == 1 else f"{self.n} {self.unit}s"

    def after(self, day: date) -> date:
        """The last day of the period that begins on a day.

        Examples
        --------
        >>> Period(1, "year").after(date(2024, 2, 29)), Period(1, "month").after(date(2023, 1, 31))
        (datetime.date(2025, 2, 28), datetime.date(2023, 2, 28))
        >>> Period(4, "year").after(date(2024, 2, 29)), Period(1, "day").after(date(2024, 12, 31))
        (datetime.date(2028, 2, 29), datetime.date(2025, 1, 1))
        """
        return self._moved(day, 1)

    def before(self, day: date) -> date:
        """The day so long before another; the window for a renewal begins with it.

        Examples
        --------
        >>> Period(90, "day").before(date(2027, 2, 10)), Period(1, "month").before(date(2027, 3, 31))
        (datetime.date(2026, 11, 12), datetime.date(2027, 2, 28))
        """
        return self._moved(day, -1)

    def _moved(self, day: date, sign: int) -> date:
        try:
            if self.unit == "day":
                return day + timedelta(days=sign * self.n)
            months = day.year * 12 + day.month - 1 + sign * self.n * (12 if self.unit == "year" else 1)
            year, month = divmod(months, 12)
            last = calendar.monthrange(year, month + 1)[1]
            return date(year, month + 1, min(day.day, last))
        except (OverflowError, ValueError, calendar.IllegalMonthError):
            return date.max if sign > 0 else date.min


def read_period(value: object, path: str) -> Period:
    """A period as a file says it.

    Raises
    ------
    InvalidRule
        Not of the form `90 days`, `18 months` or `3 years`.

    Examples
    --------
    >>> read_period("18 months", "courses.c1.valid_for")
    Period(n=18, unit='month')
    >>> read_period("P3Y", "c1.valid_for")
    Traceback (most recent call last):
        ...
    assess.errors.InvalidRule: c1.valid_for: 'P3Y' is not a period such as 90 days, 18 months or 3 years
    """
    found = _WORDS.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise InvalidRule(f"{value!r} is not a period such as 90 days, 18 months or 3 years", path=path)
    return Period(int(found[1]), found[2])
