"""Event streams: how much later an event arrives because of us, what 5,000 silent ones weigh, and how they end."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from statistics import median, quantiles

import uvloop

from local_authority import seeds
from tests.benchmarks.event_reader import Events, Idle, opened
from tests.benchmarks.processes import Group, many_files, note
from tests.benchmarks.relay_bench import ROUNDS, Bench, session_of
from tests.benchmarks.relay_ours import Subject, ours_with
from tests.benchmarks.results import Row

STREAMS = int(os.environ.get("BENCH_STREAMS", "5000"))
READERS = 20
EVERY_MS = 25
EVENTS = 1_000
EVENT, IDLE, LEAVE = "event/s20", "idle-streams", "idle-streams/leave"
_OF_ONE_SESSION = 60
_AT_A_TIME = 50
_SHORT_ROUNDS = 3  # for one of another part: what disturbs a few of them decides nothing
_DRAIN_SECONDS = 20
_SETTLE_SECONDS = 2.0


def measured(bench: Bench) -> list[Row]:
    """Busy streams, then idle ones; each of those takes the subject two sockets."""
    files = many_files()
    port = bench.ports["ours"]
    relay = f"concurrency_per_session = 1024\nmax_connections = {STREAMS + 1000}"
    subject = ours_with(bench.town, port, kind="streams", relay=relay, upstream=bench.town.streams)
    with bench.subject(subject, port) as (group, headers):
        rows = _events(bench, subject, group, headers)
    if files < 2 * STREAMS + 500:
        note(f"{STREAMS} streams need more than the {files} files of this shell: not measured. Cure: ulimit -Hn 65536")
        return rows
    with bench.subject(subject, port) as (group, headers):
        return rows + uvloop.run(_idle(bench, subject, group, headers))


def _events(bench: Bench, subject: Subject, group: Group, headers: Mapping[str, str]) -> list[Row]:
    """Direct and through us in turn; at least a thousand events each time."""
    seconds = 1.2 * EVENTS * EVERY_MS / 1000 / READERS
    seen: dict[str, list[tuple[float, float, int]]] = {"ours": [], "direct": []}
    cpu = 0.0
    for _ in range(ROUNDS * _SHORT_ROUNDS):
        for name, to in (("direct", bench.town.streams), ("ours", bench.ports["ours"])):
            before = group.cpu_seconds()
            delays = uvloop.run(_delays(to, subject, headers, seconds))
            cpu += group.cpu_seconds() - before if name == "ours" else 0.0
            cuts = quantiles(delays, n=100, method="inclusive")
            seen[name].append((cuts[49], cuts[98], len(delays)))
    return [
        bench.row(
            EVENT,
            name,
            cpu_us=cpu / sum(count for _, _, count in rounds) * 1e6 if name == "ours" else 0.0,
            rps=median(count for _, _, count in rounds) / seconds,
            p50_ms=median(p50 for p50, _, _ in rounds),
            p99_ms=median(p99 for _, p99, _ in rounds),
        )
        for name, rounds in seen.items()
    ]


async def _delays(port: int, subject: Subject, headers: Mapping[str, str], seconds: float) -> list[float]:
    """Milliseconds from the moment an event was sent to the moment it was here, of every event."""
    readers = [Events() for _ in range(READERS)]
    for reader in readers:
        await opened(reader, port, subject, headers, f"/api/events?every={EVERY_MS}")
    await asyncio.sleep(seconds)
    for reader in readers:
        reader.leave()
    delays = [delay for reader in readers for delay in reader.delays_ms]
    if len(delays) < EVENTS:
        raise RuntimeError(f"{len(delays)} events came")
    return delays


async def _idle(bench: Bench, subject: Subject, group: Group, headers: Mapping[str, str]) -> list[Row]:
    """Open all of them, each with an upstream's stream of its own; weigh; then tell the process to leave."""
    port = bench.ports["ours"]
    people = await _signed_in(port, subject, headers)
    before = group.memory_mb()
    streams = await _all_opened(port, subject, people)
    weight = group.memory_mb()
    cpu = group.cpu_seconds()
    await asyncio.sleep(_SETTLE_SECONDS)
    a_second = (group.cpu_seconds() - cpu) / _SETTLE_SECONDS / STREAMS * 1e6
    ends = await _leave(group, streams)
    last = quantiles(ends, n=100)[98]
    return [
        bench.row(f"{IDLE}/{STREAMS}", "ours", cpu_us=a_second, rss_mb=weight),
        bench.row(f"{IDLE}/each", "ours", rss_mb=(weight - before) / STREAMS),
        bench.row(LEAVE, "ours", rps=len(ends), p50_ms=median(ends) * 1000, p99_ms=last * 1000),
    ]


async def _signed_in(port: int, subject: Subject, headers: Mapping[str, str]) -> list[dict[str, str]]:
    """The headers of so many browsers as it takes; each has had a stream already, so that every cache is warm."""
    people = [
        {**headers, "Cookie": await asyncio.to_thread(session_of, subject, seeds.ADA)}
        for _ in range(-(-STREAMS // _OF_ONE_SESSION))
    ]
    for person in people:
        stream = Idle()
        await opened(stream, port, subject, person, "/api/idle")
        stream.leave()
    await asyncio.sleep(_SETTLE_SECONDS)
    return people


async def _all_opened(port: int, subject: Subject, people: Sequence[Mapping[str, str]]) -> list[Idle]:
    streams = [Idle() for _ in range(STREAMS)]
    for start in range(0, STREAMS, _AT_A_TIME):
        batch = range(start, min(start + _AT_A_TIME, STREAMS))
        await asyncio.gather(
            *(opened(streams[at], port, subject, people[at // _OF_ONE_SESSION], "/api/idle") for at in batch)
        )
    await asyncio.sleep(_SETTLE_SECONDS)
    return streams


async def _leave(group: Group, streams: list[Idle]) -> list[float]:
    """SIGTERM; the seconds after which each stream ended, for all of them or this raises."""
    early = sum(stream.ended_at is not None for stream in streams)
    told_at = time.monotonic()
    os.kill(group.leader, signal.SIGTERM)
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            await asyncio.gather(*(stream.over.wait() for stream in streams))
    ends = [stream.ended_at - told_at for stream in streams if stream.ended_at is not None]
    if early or len(ends) < len(streams):
        raise RuntimeError(f"{early} streams ended early, {len(streams) - len(ends)} never did")
    note(f"all {len(streams)} streams ended, the last after {max(ends):.2f} s")
    return ends
