"""What a monitor may know of this process: counts, times and sizes, and nothing about anybody."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 10.0)


class _Requests(Collector):
    """Requests by route and status, and their times: plain numbers, because every answer counts itself.

    Only the event loop writes here; the library's own counters take a lock for each of three figures.
    """

    def __init__(self) -> None:
        self.counts: dict[tuple[str, int], int] = {}
        # Per route, how many times fell into each bucket (the last one is beyond all), and their sum.
        self.buckets: dict[str, list[int]] = {}
        self.sums: dict[str, float] = {}

    def add(self, route: str, status: int, seconds: float) -> None:
        key = (route, status)
        self.counts[key] = self.counts.get(key, 0) + 1
        buckets = self.buckets.get(route)
        if buckets is None:
            buckets = self.buckets[route] = [0] * (len(_SECONDS) + 1)
            self.sums[route] = 0.0
        buckets[bisect_left(_SECONDS, seconds)] += 1
        self.sums[route] += seconds

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "assess_requests", "Requests by route and status", labels=["route", "status"]
        )
        for (route, status), n in list(self.counts.items()):
            requests.add_metric([route, str(status)], n)
        yield requests
        times = HistogramMetricFamily(
            "assess_request_seconds", "Time to the end of a reply", labels=["route"]
        )
        bounds = [*map(str, _SECONDS), "+Inf"]
        for route, found in list(self.buckets.items()):
            upto = zip(bounds, accumulate(found), strict=True)
            times.add_metric([route], buckets=[(b, float(n)) for b, n in upto], sum_value=self.sums[route])
        yield times


class Metrics:
    """The figures of one application; two in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        requests = _Requests()
        self.registry.register(requests)
        self.request = requests.add
        """Count a request that was answered: route (a pattern, never an address), status, seconds."""
        self.refused = Counter(
            "assess_overloaded", "Requests sent away because too many came at once", registry=self.registry
        )

    def gauge(self, name: str, about: str, read: Callable[[], float]) -> None:
        """A figure that is read when it is asked for."""
        Gauge(name, about, registry=self.registry).set_function(read)

    def text(self) -> bytes:
        """Everything in Prometheus's text format."""
        return generate_latest(self.registry)
