"""From an item bank to a decision that can be defended."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assess.delivery.analysis import Database
    from assess.delivery.settings import Settings

__version__ = "0.1.0"


def connect(url_or_settings: str | Settings | None = None) -> Database:
    """Open the collected data for analysis: read-only, pseudonymous, beside a running server.

    Parameters
    ----------
    url_or_settings : str or Settings, optional
        ``sqlite:///var/assess.db``, ``postgresql+psycopg://...``, or settings;
        without it what the environment says.

    Returns
    -------
    Database
        With `responses(course)`, `parameters(course)` and `decisions(course)`.
    """
    from importlib import import_module

    # By name: every room reads the version from this package, and must not reach the delivery by that.
    opened: Database = import_module("assess.delivery.analysis").opened(url_or_settings)
    return opened
