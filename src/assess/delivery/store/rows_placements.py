"""Rows of placements."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from assess.delivery.store import tables_placements as tables
from assess.delivery.store.rows import Stored


@dataclass(frozen=True, slots=True)
class PlacementRow(Stored):
    """A placement of one learner; what came of it stands in the sessions of its parts."""

    table = tables.placements
    tenant: str
    id: str
    learner: str
    programme: str
    parts: list[list[str]]
    sandbox: bool
    started_at: datetime
    closes_at: datetime
