"""The service for commands about people: in this process, or behind the server that has the database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from assess.cli.console import wait
from assess.cli.running import call, either

if TYPE_CHECKING:
    from assess.delivery import schemas
    from assess.delivery.service import Scope, Services

T = TypeVar("T")


class Desk(Protocol):
    """What these commands ask of the service."""

    async def roster(self, body: schemas.ImportRoster) -> schemas.RosterReply:
        """Take a part of a roster."""
        ...

    async def members(self, cohort: str, after: str) -> schemas.Page[schemas.CohortLearner]:
        """A page of the learners of a cohort."""
        ...

    async def codes(self, cohort: str, body: schemas.MakeCodes) -> schemas.Page[schemas.CodeReply]:
        """Fresh codes."""
        ...

    async def merge(self, learner: str, body: schemas.MergeLearner) -> schemas.MergeReply:
        """Merge a learner into another."""
        ...

    async def unmerge(self, learner: str, body: schemas.UnmergeLearner) -> schemas.MergeReply:
        """Undo that."""
        ...

    async def facts(self, body: schemas.ImportFacts) -> schemas.FactsReply:
        """Take a part of a file of facts."""
        ...

    async def attempt(self, badge: str, body: schemas.TryRule) -> schemas.RuleTrial:
        """Try a rule over a page of learners."""
        ...

    async def usage(self, by: str, badge: str | None) -> schemas.Usage:
        """How badges are used."""
        ...


class _Here:
    """The service in this process."""

    def __init__(self, services: Services, scope: Scope) -> None:
        self._services, self._scope = services, scope

    async def roster(self, body: schemas.ImportRoster) -> schemas.RosterReply:
        from assess.delivery.service import rosters

        return await rosters.take(self._services, self._scope, body)

    async def members(self, cohort: str, after: str) -> schemas.Page[schemas.CohortLearner]:
        from assess.delivery.service import cohorts

        return await cohorts.members(self._services, self._scope, cohort, after=after)

    async def codes(self, cohort: str, body: schemas.MakeCodes) -> schemas.Page[schemas.CodeReply]:
        from assess.delivery.service import signing_in

        return await signing_in.make_codes(self._services, self._scope, cohort, body)

    async def merge(self, learner: str, body: schemas.MergeLearner) -> schemas.MergeReply:
        from assess.delivery.service import merging

        return await merging.merge(
            self._services, self._scope, learner=learner, into=body.into, reason=body.reason
        )

    async def unmerge(self, learner: str, body: schemas.UnmergeLearner) -> schemas.MergeReply:
        from assess.delivery.service import merging

        return await merging.unmerge(self._services, self._scope, learner=learner, reason=body.reason)

    async def facts(self, body: schemas.ImportFacts) -> schemas.FactsReply:
        from assess.delivery.service import fact_import

        return await fact_import.take(self._services, self._scope, body)

    async def attempt(self, badge: str, body: schemas.TryRule) -> schemas.RuleTrial:
        from assess.delivery.service import reassessing

        return await reassessing.attempt(
            self._services,
            self._scope,
            document=body.document,
            badge=badge,
            after=body.after,
            limit=body.limit,
        )

    async def usage(self, by: str, badge: str | None) -> schemas.Usage:
        from assess.delivery.service import usage

        return await usage.report(self._services, self._scope, by=usage.by_of(by), badge=badge)


class _There:
    """The service behind a running server, over its HTTP contract."""

    def __init__(self, server: str, key: str) -> None:
        self._server, self._key = server, key

    async def _ask(self, method: str, path: str, body: object, kind: Any) -> Any:
        import msgspec

        from assess.delivery import schemas

        sent = None if body is None else schemas.plain(body)
        return msgspec.convert(call(self._server, self._key, method, path, sent), kind)

    async def roster(self, body: schemas.ImportRoster) -> schemas.RosterReply:
        from assess.delivery import schemas

        found: schemas.RosterReply = await self._ask("POST", "/v1/roster", body, schemas.RosterReply)
        return found

    async def members(self, cohort: str, after: str) -> schemas.Page[schemas.CohortLearner]:
        from assess.delivery import schemas

        path = f"/v1/cohorts/{cohort}/learners?after={after}"
        page = schemas.Page[schemas.CohortLearner]
        found: schemas.Page[schemas.CohortLearner] = await self._ask("GET", path, None, page)
        return found

    async def codes(self, cohort: str, body: schemas.MakeCodes) -> schemas.Page[schemas.CodeReply]:
        from assess.delivery import schemas

        page = schemas.Page[schemas.CodeReply]
        path = f"/v1/cohorts/{cohort}/codes"
        found: schemas.Page[schemas.CodeReply] = await self._ask("POST", path, body, page)
        return found

    async def merge(self, learner: str, body: schemas.MergeLearner) -> schemas.MergeReply:
        from assess.delivery import schemas

        path = f"/v1/learners/{learner}/merge"
        found: schemas.MergeReply = await self._ask("POST", path, body, schemas.MergeReply)
        return found

    async def unmerge(self, learner: str, body: schemas.UnmergeLearner) -> schemas.MergeReply:
        from assess.delivery import schemas

        path = f"/v1/learners/{learner}/unmerge"
        found: schemas.MergeReply = await self._ask("POST", path, body, schemas.MergeReply)
        return found

    async def facts(self, body: schemas.ImportFacts) -> schemas.FactsReply:
        from assess.delivery import schemas

        found: schemas.FactsReply = await self._ask("POST", "/v1/facts/import", body, schemas.FactsReply)
        return found

    async def attempt(self, badge: str, body: schemas.TryRule) -> schemas.RuleTrial:
        from assess.delivery import schemas

        path = f"/v1/badges/{badge}/try"
        found: schemas.RuleTrial = await self._ask("POST", path, body, schemas.RuleTrial)
        return found

    async def usage(self, by: str, badge: str | None) -> schemas.Usage:
        from assess.delivery import schemas

        path = f"/v1/usage?by={by}" + ("" if badge is None else f"&badge={badge}")
        found: schemas.Usage = await self._ask("GET", path, None, schemas.Usage)
        return found


def at_desk(
    use: Callable[[Desk], Awaitable[T]], *, server: str, key: str, by: str = "", sandbox: bool = False
) -> T:
    """Do something in this process, or through the server that has the database."""
    return either(
        lambda services, scope: use(_Here(services, scope)),
        lambda address: wait(_awaited(use(_There(address, key)))),
        server=server,
        key=key,
        by=by,
        sandbox=sandbox,
    )


async def _awaited(found: Awaitable[T]) -> T:
    return await found
