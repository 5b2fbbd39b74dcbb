"""Shared links: a learner shows badges to whoever has the link, until it is revoked.

What is shown is what the learner chose, as it stands when somebody looks: a
badge whose ground was lost is no longer shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from assess.delivery import schemas
from assess.delivery.security import digest, new_id, new_share_token
from assess.delivery.service import learners
from assess.delivery.service.catalogue import Shelf
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.eligibility import with_statement
from assess.delivery.service.judging import badge_at
from assess.delivery.service.standing import Moment
from assess.delivery.service.status import status_at
from assess.delivery.store import Writes, reading, reading_badges, reading_people
from assess.delivery.store.rows import Update
from assess.delivery.store.rows_badges import Share
from assess.errors import InvalidRequest, NotEligible, NotFound, StaleSession

MOST = 20
LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class Shown:
    """What somebody sees who opens a link.

    Parameters
    ----------
    courses : tuple of CourseStatus
        The courses on which the badges rest, with their scores; empty unless the learner chose that.
    """

    name: str
    badges: tuple[schemas.BadgeEligibility, ...]
    courses: tuple[schemas.CourseStatus, ...]


async def create(
    services: Services,
    scope: Scope,
    *,
    badges: Sequence[str],
    name: str = "",
    scores: bool = False,
    statement: bool = False,
) -> tuple[Share, str]:
    """A new link of the scope's learner, and its token, which is not stored.

    Parameters
    ----------
    name : str
        What the learner wants to be called there; nothing else of them is shown.
    scores, statement : bool
        Whether scores, and the signed statement of each badge, are shown too.

    Raises
    ------
    InvalidRequest
        No badge, too long a name, or too many links.
    NotEligible
        A badge whose rule is not met.
    """
    records = await learners.records(services, scope, _own(scope))
    shelf = await services.catalogue.shelf(scope.tenant)
    now = services.clock()
    if not badges:
        raise InvalidRequest("choose at least one badge", path="badges")
    if len(name) > LONGEST_NAME:
        raise InvalidRequest(f"a name has up to {LONGEST_NAME} characters", path="name")
    for badge in badges:
        if badge_at(records, shelf, badge, Moment.at(now)).status != "eligible":
            raise NotEligible(f"the rule of {badge} is not met; only a badge that is met can be shown")
    if sum(share.revoked_at is None for share in await mine(services, scope)) >= MOST:
        raise InvalidRequest(f"{MOST} links are open; revoke one first", path="badges")
    token = new_share_token()
    row = Share(
        tenant=scope.tenant,
        id=new_id("shr"),
        learner=records.learner.id,
        token_sha256=digest(token),
        badges=list(dict.fromkeys(badges)),
        name=name.strip(),
        scores=scores,
        statement=statement,
        created_at=now,
    )
    await services.store.commit(Writes(scope.tenant, inserts=(row,)))
    return row, token


async def mine(services: Services, scope: Scope) -> list[Share]:
    """The links of the scope's learner, the newest first."""
    person = await services.store.read(reading_people.who, scope.tenant, _own(scope))
    return await services.store.read(reading_badges.shares, scope.tenant, person.ids)


async def revoke(services: Services, scope: Scope, id: str) -> None:
    """Close a link for good; a second time changes nothing.

    Raises
    ------
    NotFound
        No such link of this learner.
    """
    found = next((share for share in await mine(services, scope) if share.id == id), None)
    if found is None:
        raise NotFound("share", id)
    if found.revoked_at is None:
        key = {"tenant": found.tenant, "id": found.id}
        update = Update(Share, key, {"revoked_at": services.clock()}, {"revoked_at": None})
        try:
            await services.store.commit(Writes(found.tenant, (update,)))
        except StaleSession:
            return  # revoked in another tab


async def shown(services: Services, token: str) -> Shown:
    """What a link shows at this moment.

    Raises
    ------
    NotFound
        Never made, revoked, or of a learner who was erased; nobody learns which.
    """
    share = await services.store.read(reading_badges.share, digest(token))
    if share is None or share.revoked_at is not None or share.tenant != services.settings.tenant:
        raise NotFound("share", "")
    records = await services.store.read(reading.learner_records, share.tenant, share.learner)
    if records is None or records.learner.erased_at is not None:
        raise NotFound("share", "")
    shelf = await services.catalogue.shelf(share.tenant)
    moment = Moment.at(services.clock())
    known = [badge for badge in share.badges if _declared(shelf, badge)]
    found = [badge_at(records, shelf, badge, moment) for badge in known]
    badges = [badge for badge in found if badge.status == "eligible"]
    if share.statement:
        badges = [with_statement(services, badge, moment.as_of) for badge in badges]
    courses: dict[str, None] = {}
    if share.scores:
        courses = dict.fromkeys(
            e.course for badge in badges for e in badge.evidence if e.type == "decision" and e.course
        )
    states = [status_at(records, shelf, course, moment) for course in courses]
    return Shown(
        share.name,
        tuple(badges),
        tuple(state for state in states if state.decision is not None and state.decision.score is not None),
    )


def _declared(shelf: Shelf, badge: str) -> bool:
    return any(badge in programme.rules.badges for programme in shelf.programmes.values())


def _own(scope: Scope) -> str:
    if scope.learner is None:
        raise NotFound("learner", "")
    return scope.learner
