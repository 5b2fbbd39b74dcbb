"""How PostgreSQL is connected to: durable, and never waiting long for another side that is gone."""

from __future__ import annotations

from typing import Any

from sqlalchemy import make_url

# A network that swallows packets tells nobody. Without these, who connects, or waits for a result, waits for
# as long as the system resends: minutes or hours, in which nothing is stored. Anything that lives answers
# sooner by far, and a connection that is given up too early costs one more.
NOTICED: dict[str, Any] = {
    "connect_timeout": 10,  # seconds
    # Whoever was silent for 30 s is asked, three times.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # milliseconds until what was sent must have arrived
}
LOCK_TIMEOUT = "-c lock_timeout=10s"
"""A write holds locks for milliseconds; who waits longer waits for somebody who forgot to let go."""


def connect_args(url: str, *, unless_said: str = "", always: str = "") -> dict[str, Any]:
    """Arguments of the driver beside the address, whose own parameters come before ours.

    Parameters
    ----------
    unless_said, always : str
        Options of the server that the address may set otherwise, and that it may not.

    Examples
    --------
    >>> found = connect_args("postgresql+psycopg://db/assess?connect_timeout=3&options=-c%20work_mem%3D8MB")
    >>> "connect_timeout" in found, found["keepalives_idle"]
    (False, 30)
    >>> found["options"]
    '-c work_mem=8MB -c synchronous_commit=on'
    """
    said = make_url(url).normalized_query
    # An installation may have it off for other databases. Ours says "stored" only of what is on the disk.
    options = (unless_said, *said.get("options", ()), always, "-c synchronous_commit=on")
    ours = {name: value for name, value in NOTICED.items() if name not in said}
    return ours | {"options": " ".join(filter(None, options))}
