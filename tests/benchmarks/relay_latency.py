"""What we add to a direct call at half load: the same paced client, at the same rate, with us in between and without.

Half load is half of what this very process did a moment ago. The two are asked in turn, several times, and the median
of the rounds counts, so that a disturbance of one round decides nothing.
"""

from __future__ import annotations

from statistics import median
from urllib.parse import urlsplit

from tests.benchmarks.paced import Paced, paced
from tests.benchmarks.relay_bench import ROUNDS, SECONDS, Bench
from tests.benchmarks.relay_ours import ours
from tests.benchmarks.results import Row

HALF = "small/half-load"
_SHORT_ROUNDS = 3  # for one of another part: what disturbs a few of them decides nothing


def measured(bench: Bench) -> list[Row]:
    """Ours and direct, at the same rate."""
    port = bench.ports["ours"]
    subject = ours(bench.town, port)
    through: list[Paced] = []
    direct: list[Paced] = []
    with bench.subject(subject, port) as (group, headers):
        capacity = bench.measure(subject, group, headers, scenario="small/c32/capacity").rps
        host, address = urlsplit(subject.origin).netloc, ("127.0.0.1", port)
        upstream = ("127.0.0.1", bench.town.upstream)
        cpu = 0.0
        for _ in range(ROUNDS * _SHORT_ROUNDS):
            direct.append(paced(upstream, host, headers, rate=capacity / 2, seconds=SECONDS / 2))
            before = group.cpu_seconds()
            through.append(paced(address, host, headers, rate=capacity / 2, seconds=SECONDS / 2))
            cpu += group.cpu_seconds() - before
        cpu_us = cpu / sum(seen.requests for seen in through) * 1e6
        return [
            _row(bench, "ours", through, cpu_us=cpu_us, rss_mb=group.memory_mb()),
            _row(bench, "direct", direct),
        ]


def _row(bench: Bench, subject: str, rounds: list[Paced], *, cpu_us: float = 0.0, rss_mb: float = 0.0) -> Row:
    return bench.row(
        HALF,
        subject,
        cpu_us=cpu_us,
        rps=median(seen.rps for seen in rounds),
        p50_ms=median(seen.p50_ms for seen in rounds),
        p99_ms=median(seen.p99_ms for seen in rounds),
        rss_mb=rss_mb,
    )
