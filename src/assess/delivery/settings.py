"""What one installation decides; the only place that reads the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from assess.errors import InvalidContent

DEFAULT_DATABASE = "sqlite:///var/assess.db"


def utc_now() -> datetime:
    """The clock of the shell."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that differs between two installations.

    Parameters
    ----------
    database_url : str
        ``sqlite:///path`` (one process) or ``postgresql+psycopg://...`` (any number).
    tenant : str
        The tenant of visitors without an API key, and of the command line.
    public_url : str
        Where learners reach this server, without a final slash; empty makes links relative.
    secure_cookies : bool
        True behind HTTPS: cookies are then never sent in the clear.
    max_body_bytes : int
        A larger request body is refused with 413; a release that is sent to be activated must fit.
    refresh_seconds : float
        How long an activation may take to reach this process; at most 5.
    sweep_seconds : float
        How often sessions whose time ran out are ended without a visitor; 0 never.
    work_seconds : float
        How often this process looks for work that is due, as `assess.delivery.jobs` does; 0 never.
    read_threads : int
        Connections that read at the same time.
    token_days : float
        How long a learner token lives: after its session closed, or after the learner signed in.
    """

    database_url: str = DEFAULT_DATABASE
    tenant: str = "default"
    public_url: str = ""
    secure_cookies: bool = False
    max_body_bytes: int = 1_048_576
    refresh_seconds: float = 2.0
    sweep_seconds: float = 20.0
    work_seconds: float = 1.0
    read_threads: int = 4
    token_days: float = 7.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Settings from `ASSESS_*` variables.

        Raises
        ------
        InvalidContent
            A value that cannot be read; the variable is named.

        Examples
        --------
        >>> Settings.from_environment({"ASSESS_TENANT": "ministry"}).tenant
        'ministry'
        >>> Settings.from_environment({"ASSESS_SECURE_COOKIES": "perhaps"})
        Traceback (most recent call last):
            ...
        assess.errors.InvalidContent: ASSESS_SECURE_COOKIES: 'perhaps' is neither 1 nor 0
        """
        found = os.environ if environment is None else environment
        default = cls()
        return cls(
            database_url=found.get("ASSESS_DATABASE_URL") or default.database_url,
            tenant=found.get("ASSESS_TENANT") or default.tenant,
            public_url=(found.get("ASSESS_PUBLIC_URL") or default.public_url).rstrip("/"),
            secure_cookies=_flag(found, "ASSESS_SECURE_COOKIES", default.secure_cookies),
            max_body_bytes=int(_number(found, "ASSESS_MAX_BODY_BYTES", default.max_body_bytes, 1024)),
            refresh_seconds=min(5.0, _number(found, "ASSESS_REFRESH_SECONDS", default.refresh_seconds, 0)),
            sweep_seconds=_number(found, "ASSESS_SWEEP_SECONDS", default.sweep_seconds, 0),
            work_seconds=_number(found, "ASSESS_WORK_SECONDS", default.work_seconds, 0),
            read_threads=int(_number(found, "ASSESS_READ_THREADS", default.read_threads, 1)),
            token_days=_number(found, "ASSESS_TOKEN_DAYS", default.token_days, 0.01),
        )

    @property
    def sqlite_path(self) -> Path | None:
        """The file of an SQLite database; None for another database."""
        prefix = "sqlite:///"
        return Path(self.database_url[len(prefix) :]) if self.database_url.startswith(prefix) else None


def _flag(found: Mapping[str, str], name: str, default: bool) -> bool:
    value = found.get(name, "")
    if value not in ("", "0", "1"):
        raise InvalidContent(f"{value!r} is neither 1 nor 0", place=name)
    return value == "1" if value else default


def _number(found: Mapping[str, str], name: str, default: float, minimum: float) -> float:
    value = found.get(name, "")
    if not value:
        return default
    try:
        number = float(value)
    except ValueError:
        raise InvalidContent(f"{value!r} is not a number", place=name) from None
    if not minimum <= number < float("inf"):
        raise InvalidContent(f"{value!r} is below {minimum:g}", place=name)
    return number
