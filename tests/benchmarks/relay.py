"""``make bench ONLY=relay``: what a relayed call costs, here and elsewhere, side by side in one run.

CPU is what the kernel accounts to the subject's processes, so a busy machine disturbs it least. ``BENCH_PARTS`` names
the parts to run (``peers alone kept latency streams memory flat``), ``BENCH_SUBJECTS`` the peers; ``BENCH_STREAMS`` and
``BENCH_BYTES`` make two parts smaller. A run of less than everything is printed, and changes neither the kept rows nor
the document: rows of two runs do not compare.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks import (
    picture,
    programs,
    relay_flat,
    relay_kept,
    relay_latency,
    relay_memory,
    relay_streams,
)
from tests.benchmarks.aims import aims_table
from tests.benchmarks.processes import free_port, note, on_cpu
from tests.benchmarks.relay_bench import ROUNDS, Bench, median
from tests.benchmarks.relay_ours import ours
from tests.benchmarks.relay_peers import MAKERS
from tests.benchmarks.results import Row, keep
from tests.benchmarks.town import OTHER_CPU, town_of

PAGE = Path("docs/performance.md")
_LESS = ("BENCH_SUBJECTS", "BENCH_STREAMS", "BENCH_BYTES")


def main() -> None:
    """Fetch the programs, start the town, measure everybody, keep the rows, print and draw them."""
    programs.fetch()
    wrk = programs.find("wrk")
    if wrk is None or programs.find("nginx") is None:
        sys.exit("wrk and nginx are needed. Cure: run as root where apt-get works, or install both")
    chosen = os.environ.get("BENCH_PARTS", "").split() or list(PARTS)
    unknown = sorted(set(chosen) - set(PARTS))
    if unknown:
        sys.exit(f"{', '.join(unknown)}: no such part. Cure: some of {' '.join(PARTS)}")
    on_cpu(OTHER_CPU)
    folder = programs.HOME / "run"
    folder.mkdir(parents=True, exist_ok=True)
    ports = {name: free_port() for name in MAKERS}
    with town_of(folder, ports) as town:
        bench = Bench(wrk, town, folder, ports)
        measured = [row for part in chosen for row in PARTS[part](bench)]
    note(f"{picture.table(measured)}\n\n{aims_table(measured)}")
    if set(chosen) == set(PARTS) and not any(os.environ.get(name) for name in _LESS):
        keep("relay", measured)
        picture.draw(measured, Path("docs/performance-relay.svg"))
        picture.insert(PAGE, mark="relay", told=f"{picture.table(measured)}\n\nMachine: {measured[0].machine}.\n")
        picture.insert(PAGE, mark="aims", told=f"{aims_table(measured)}\n\nMachine: {measured[0].machine}.\n")


def _peers(bench: Bench) -> list[Row]:
    """Everybody in turn, several times, so that a disturbance meets all; the median round of each is kept."""
    rounds: dict[str, list[Row]] = {}
    wanted = os.environ.get("BENCH_SUBJECTS", "").split() or list(MAKERS)
    for _ in range(ROUNDS):
        for name in wanted:
            subject = MAKERS[name](bench.town, bench.ports[name])
            if subject is None:
                note(f"{name}: not here, so not measured")
                continue
            with bench.subject(subject, bench.ports[name]) as (group, headers):
                rounds.setdefault(name, []).append(bench.measure(subject, group, headers))
    return [median(seen) for seen in rounds.values()]


def _alone(bench: Bench) -> list[Row]:
    """What peers are not asked: sizes, directions and numbers of connections."""
    subject = ours(bench.town, bench.ports["ours"])
    body = "local body = string.rep('x', 10000000)\nwrk.method, wrk.body = 'POST', body\n"
    upload = bench.script("upload", body + "wrk.headers['Content-Type'] = 'application/octet-stream'\n")
    with bench.subject(subject, bench.ports["ours"]) as (group, headers):
        typed = {**headers, "Origin": subject.origin}
        return [
            bench.measure(subject, group, headers, scenario="small/c1/cookie1", connections=1),
            bench.measure(subject, group, headers, scenario="small/c256/cookie1", connections=256),
            bench.measure(subject, group, headers, scenario="100KB/c32/cookie1", path="/api/large"),
            bench.measure(subject, group, headers, scenario="10MB-down/c4/cookie1", path="/api/huge", connections=4),
            bench.measure(
                subject, group, typed, scenario="10MB-up/c4/cookie1", path="/api/upload", connections=4, script=upload
            ),
        ]


PARTS: dict[str, Callable[[Bench], list[Row]]] = {
    "peers": _peers,
    "alone": _alone,
    "kept": relay_kept.measured,
    "latency": relay_latency.measured,
    "streams": relay_streams.measured,
    "memory": relay_memory.measured,
    "flat": relay_flat.measured,
}
