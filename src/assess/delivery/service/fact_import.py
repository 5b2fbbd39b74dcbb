"""Many facts at once: every line checked as if it came alone, and a part with a fault in it not written."""

from __future__ import annotations

from typing import Any

from assess.delivery import schemas
from assess.delivery.service import facts
from assess.delivery.service.context import Scope, Services
from assess.errors import FactConflict, Forbidden, InvalidFact, InvalidRequest, LearnerErased, NotFound

LARGEST = 500


async def take(services: Services, scope: Scope, body: schemas.ImportFacts) -> schemas.FactsReply:
    """`POST /v1/facts/import`: what each line does, or did.

    A line that was stored before is `unchanged`: after a crash the same part
    is sent again, and what was missing of it follows.

    Raises
    ------
    InvalidRequest
        Too many lines at once.
    """
    scope.require("attest")
    if len(body.rows) > LARGEST:
        raise InvalidRequest(f"{len(body.rows)} lines; send {LARGEST} at most", path="rows")
    lines: list[schemas.FactLine] = []
    faults: list[schemas.RosterFault] = []
    met: dict[str, dict[str, Any]] = {}
    for row in body.rows:
        known = met.setdefault(str(row.fact.get("id")), row.fact)
        if known != row.fact:
            faults.append(schemas.RosterFault(row=row.row, field="id", message="used twice in this part"))
            continue
        try:
            _, is_new = await facts.attest(services, scope, row.fact, dry_run=True)
        except (InvalidFact, Forbidden, FactConflict, NotFound, LearnerErased) as fault:
            faults.append(schemas.RosterFault(row=row.row, field=_field(fault), message=str(fault)))
        else:
            lines.append(schemas.FactLine(row=row.row, state="new" if is_new else "unchanged"))
    written = not faults and not body.dry_run
    if written:
        for row in body.rows:
            await facts.attest(services, scope, row.fact)
    return schemas.FactsReply(lines=lines, faults=faults, written=written)


def _field(fault: Exception) -> str:
    if isinstance(fault, InvalidFact):
        return fault.path or "at"
    if isinstance(fault, Forbidden):
        return "role" if fault.code == "role_not_allowed" else "source"
    if isinstance(fault, NotFound):
        return "subject" if fault.kind == "learner" else fault.kind
    return "id" if isinstance(fault, FactConflict) else "subject"
