"""The release of results: a cohort whose results were held is decided by the cut that a panel adopted.

A form that says `release: after_standard` leaves every session pending when it
ends. Releasing its results is a rescoring that reaches these sessions alone:
the same plan, the same run that goes on where it was killed, the same
reconciliation. The first outcome supersedes what was pending, and nobody is
told that anything was corrected.
"""

from __future__ import annotations

from collections.abc import Sequence

from assess.delivery import schemas
from assess.delivery.service import rescoring
from assess.delivery.service.context import Scope, Services
from assess.delivery.store.rows_rescores import Rescore
from assess.errors import RescoreRefused
from assess.session import Release, require_standard

_REASON = "the standard was set"


async def preview(
    services: Services, scope: Scope, *, form: str, sources: Sequence[str] = ()
) -> schemas.Rescoring:
    """Whom the release of a form's results would reach, and how they would be decided; nothing changes.

    Raises
    ------
    NotFound
        No such form is live.
    RescoreRefused
        Its cut is not adopted, it is another version that is live, or it never held results.
    """
    scope.require("manage")
    release, draft = await _draft(services, scope, form, sources, reason="", approved_by=None)
    return await rescoring.foreseen(services, draft, release)


async def begin(
    services: Services,
    scope: Scope,
    *,
    form: str,
    sources: Sequence[str] = (),
    reason: str = "",
    approved_by: str | None = None,
) -> Rescore:
    """Enter the release of a form's results; `rescoring.advance` carries it out.

    Raises
    ------
    NotFound, RescoreRefused
        As `preview`; also while a rescoring of the course runs.
    Forbidden
        No second person, where the tenant demands one.
    """
    scope.require("manage")
    _, draft = await _draft(
        services, scope, form, sources, reason=reason.strip() or _REASON, approved_by=approved_by
    )
    return await rescoring.entered(services, scope, draft)


async def _draft(
    services: Services,
    scope: Scope,
    form: str,
    sources: Sequence[str],
    *,
    reason: str,
    approved_by: str | None,
) -> tuple[Release, Rescore]:
    shelf = await services.catalogue.shelf(scope.tenant)
    name, _, version = form.partition(".v")
    release = shelf.form(name)
    if version and release.form.reference != form:
        raise RescoreRefused(f"{release.form.reference} is live, not {form}; activate {form} first")
    require_standard(release)
    draft = await rescoring.drafted(
        services, scope, release, sources, kind="release", reason=reason, approved_by=approved_by
    )
    if not draft.sources:
        raise RescoreRefused(
            f"no version of {name} held results here; a form that does says release: after_standard"
        )
    return release, draft
