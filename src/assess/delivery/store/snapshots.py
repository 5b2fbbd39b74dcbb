"""How both stores read: in a thread, on a connection that sees one consistent snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from assess.delivery.store.groups import said
from assess.errors import StorageUnavailable

P = ParamSpec("P")
T = TypeVar("T")


class SnapshotReads:
    """The reading half of a store; who inherits sets the engine and the threads."""

    _readers: Engine
    _pool: ThreadPoolExecutor

    async def read(
        self, query: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run one of `store.reading`'s functions on a consistent snapshot."""

        def run() -> T:
            try:
                with self._readers.connect() as connection:
                    return query(connection, *args, **kwargs)
            except SQLAlchemyError as fault:
                raise unavailable(fault) from fault

        return await asyncio.get_running_loop().run_in_executor(self._pool, run)

    async def read_at_once(
        self, query: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run one of `store.reading`'s functions that is a single statement, so a snapshot by itself."""
        return await self.read(query, *args, **kwargs)


def unavailable(fault: SQLAlchemyError) -> StorageUnavailable:
    """What a fault of the database is to those who asked it."""
    return StorageUnavailable(f"the database did not answer ({said(fault)})")
