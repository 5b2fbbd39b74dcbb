"""Logs as one JSON object a line, without answers, addresses or personal data.

A traceback may hold what somebody wrote: a database quotes the row that it
refuses, a parser the text that it does not understand. So of an exception a
line has the types and the places in the code, and words only where they are
our own.
"""

from __future__ import annotations

import json
import logging
import traceback
from datetime import UTC, datetime
from typing import Any

from assess.errors import AssessError

# Of a record, besides the message: what our own code puts there on purpose.
_FIELDS = ("request_id", "route", "status", "milliseconds")


class JsonLines(logging.Formatter):
    """A log record as a JSON object.

    Examples
    --------
    >>> record = logging.LogRecord("assess", logging.INFO, "x.py", 1, "%s began", ("it",), None)
    >>> json.loads(JsonLines().format(record))["message"]
    'it began'
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        found: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        found |= {name: getattr(record, name) for name in _FIELDS if hasattr(record, name)}
        if record.exc_info and record.exc_info[1] is not None:
            found["fault"] = _chain(record.exc_info[1])
        return json.dumps(found, ensure_ascii=False)


def _chain(fault: BaseException) -> list[dict[str, Any]]:
    """The exception and its causes: type, our own words, and where."""
    links: list[dict[str, Any]] = []
    seen: BaseException | None = fault
    while seen is not None and len(links) < 10:
        link: dict[str, Any] = {"type": f"{type(seen).__module__}.{type(seen).__qualname__}"}
        if isinstance(seen, AssessError):
            link["words"] = str(seen)
        frames = traceback.extract_tb(seen.__traceback__)
        link["at"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        links.append(link)
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return links


def configure(level: int = logging.INFO) -> None:
    """Send this process's logs to standard error as JSON lines; for a server, at its start."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Alembic tells every start of a database that is up to date.
    logging.getLogger("alembic").setLevel(logging.WARNING)
