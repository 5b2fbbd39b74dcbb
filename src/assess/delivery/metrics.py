"""What a monitor may know of this process: counts, times and sizes, and nothing about anybody."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """The figures of one application; two in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = Counter(
            "assess_requests", "Requests by route and status", ["route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "assess_request_seconds", "Time to the end of a reply", ["route"],
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.refused = Counter(
            "assess_overloaded", "Requests sent away because too many came at once", registry=self.registry
        )
        self._known: dict[tuple[str, int], tuple[Callable[[], None], Callable[[float], None]]] = {}

    def gauge(self, name: str, about: str, read: Callable[[], float]) -> None:
        """A figure that is read when it is asked for."""
        Gauge(name, about, registry=self.registry).set_function(read)

    def request(self, route: str, status: int, seconds: float) -> None:
        """A request that was answered; `route` is a pattern, never an address."""
        found = self._known.get((route, status))
        if found is None:
            found = (self._requests.labels(route, str(status)).inc, self._seconds.labels(route).observe)
            self._known[route, status] = found
        found[0]()
        found[1](seconds)

    def text(self) -> bytes:
        """Everything in Prometheus's text format."""
        return generate_latest(self.registry)
