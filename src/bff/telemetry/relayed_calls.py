"""How relayed calls are counted: a few additions a call, and Prometheus' families only when somebody reads them."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from prometheus_client import Histogram, Metric
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class RelayedCalls(Collector):
    """Relayed calls by route: how many of each status class, and how long they took, in seconds.

    Plain numbers, for the one thread that serves is the one that counts: the library's locks cost as much as a session.
    """

    BOUNDS: Final = Histogram.DEFAULT_BUCKETS

    def __init__(self) -> None:
        self._classes: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._buckets: dict[str, list[int]] = {}
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def observe(self, route: str, status: int, seconds: float) -> None:
        """Count one call by its route's own path, never by the URL."""
        buckets = self._buckets.get(route)
        if buckets is None:
            buckets = self._buckets[route] = [0] * len(self.BOUNDS)
        buckets[bisect_left(self.BOUNDS, seconds)] += 1
        self._classes[route, status // 100] += 1
        self._seconds[route] += seconds

    def collect(self) -> Iterator[Metric]:
        """Both series, as Prometheus reads them."""
        calls = CounterMetricFamily("bff_relay_requests", "Relayed calls.", labels=["route", "status_class"])
        for (route, status_class), count in self._classes.items():
            calls.add_metric([route, f"{status_class}xx"], count)
        yield calls
        took = HistogramMetricFamily(
            "bff_relay_seconds", "Seconds from request to the end of the answer.", labels=["route"]
        )
        for route, buckets in self._buckets.items():
            at_most = zip(map(floatToGoString, self.BOUNDS), accumulate(buckets), strict=True)
            took.add_metric([route], list(at_most), self._seconds[route])
        yield took
