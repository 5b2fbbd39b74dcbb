"""What one installation decides; the only place that reads the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network, ip_network
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
    heartbeat_seconds : float
        How often a server says that it runs, so that time in which none ran is given back; 0 never.
    work_seconds : float
        How often this process looks for work that is due, as `assess.delivery.jobs` does; 0 never.
    read_threads : int
        Connections that read at the same time.
    write_apart : bool, optional
        Write in a process of its own. Unless it is said, only a server does so, and only where it has two
        processors or more.
    admission_limit : int
        Requests at the same time beyond which newcomers are sent away; inside a session twice as many.
    begin_at_once, begin_line : int
        Sessions that begin at the same time, and how many more wait for their turn inside a request.
    begin_patience_seconds : float
        How long a request waits for its turn before it is told to come again.
    log_requests : bool
        Log every request, not only those that failed or took longer than a second.
    webhook_networks : tuple of network
        Networks that are not public and may be sent webhooks all the same, over http too; none by default.
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
    heartbeat_seconds: float = 5.0
    work_seconds: float = 1.0
    read_threads: int = 4
    write_apart: bool | None = None
    admission_limit: int = 500
    begin_at_once: int = 4
    begin_line: int = 200
    begin_patience_seconds: float = 10.0
    log_requests: bool = False
    token_days: float = 7.0
    webhook_networks: tuple[IPv4Network | IPv6Network, ...] = ()

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
            heartbeat_seconds=_number(found, "ASSESS_HEARTBEAT_SECONDS", default.heartbeat_seconds, 0),
            work_seconds=_number(found, "ASSESS_WORK_SECONDS", default.work_seconds, 0),
            read_threads=int(_number(found, "ASSESS_READ_THREADS", default.read_threads, 1)),
            write_apart=_flag(found, "ASSESS_WRITE_APART", False) if "ASSESS_WRITE_APART" in found else None,
            admission_limit=int(_number(found, "ASSESS_ADMISSION_LIMIT", default.admission_limit, 1)),
            begin_at_once=int(_number(found, "ASSESS_BEGIN_AT_ONCE", default.begin_at_once, 1)),
            begin_line=int(_number(found, "ASSESS_BEGIN_LINE", default.begin_line, 1)),
            begin_patience_seconds=_number(
                found, "ASSESS_BEGIN_PATIENCE_SECONDS", default.begin_patience_seconds, 0
            ),
            log_requests=_flag(found, "ASSESS_LOG_REQUESTS", default.log_requests),
            token_days=_number(found, "ASSESS_TOKEN_DAYS", default.token_days, 0.01),
            webhook_networks=_networks(found, "ASSESS_WEBHOOK_NETWORKS"),
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


def _networks(found: Mapping[str, str], name: str) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(part.strip()) for part in found.get(name, "").split(",") if part.strip())
    except ValueError as fault:
        raise InvalidContent(f"{fault}; write networks such as 10.0.0.0/8, with commas", place=name) from None
