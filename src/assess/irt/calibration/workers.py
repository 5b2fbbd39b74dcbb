"""Threads over chunks of persons, with results that do not depend on their number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from types import TracebackType
from typing import TypeVar

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

T = TypeVar("T")


@cache
def _controller() -> ThreadpoolController:
    # finding the BLAS libraries takes milliseconds, limiting them microseconds
    return ThreadpoolController()


class Workers:
    """A pool of threads over chunks, with the BLAS held to one thread each.

    Chunks are cut by the size of the data alone and their results come back in
    order, so that the number of threads cannot change a sum.

    Examples
    --------
    >>> with Workers(2) as workers:
    ...     workers.run([lambda: 1, lambda: 2])
    [1, 2]
    """

    def __init__(self, n_threads: int) -> None:
        self.n_threads = n_threads
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Workers:
        self._limit = _controller().limit(limits=1)
        self._limit.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._limit.__exit__(kind, error, trace)
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def run(self, tasks: Sequence[Callable[[], T]]) -> list[T]:
        """Results of all tasks, in order."""
        if self.n_threads < 2 or len(tasks) < 2:
            return [task() for task in tasks]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.n_threads)
        return list(self._pool.map(_call, tasks))


def _call(task: Callable[[], T]) -> T:
    return task()
