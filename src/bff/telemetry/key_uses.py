"""How often each key of the ring sealed and opened in this process: whoever retires a key sees that nobody needs it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector


class KeyUses(Collector):
    """Reads the ring's own counts when it is asked: a warm request adds one to a dict, and nothing else (rule F22)."""

    def __init__(self) -> None:
        self._counts: tuple[Mapping[str, int], Mapping[str, int]] = {}, {}

    def watch(self, seals: Mapping[str, int], opens: Mapping[str, int]) -> None:
        """These are this process's counts from now on, by key id."""
        self._counts = seals, opens

    def collect(self) -> Iterable[Metric]:
        """One series a key."""
        seals = CounterMetricFamily("bff_key_seals", "Values sealed, by key id.", labels=["key"])
        opens = CounterMetricFamily("bff_key_opens", "Sealed values opened, by key id.", labels=["key"])
        for family, counts in zip((seals, opens), self._counts, strict=True):
            for key, count in sorted(counts.items()):
                family.add_metric([key], count)
        yield seals
        yield opens
