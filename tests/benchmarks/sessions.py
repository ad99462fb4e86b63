"""``make bench ONLY=sessions``: what a session costs in Valkey, and what finding one costs, from 1,000 to 100,000.

CPU is this process's own (user and system), divided by the lookups. *Cold*: the process has never seen the session, so
it asks the store and opens the record. *Warm*: it has, so it asks its memory and the local view of endings. *Boot*: a
new process reads the stream of endings and generations from its start, one entry a session.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import resource
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import quantiles

from bff.check.sessions import usual_session
from bff.clock import SystemClock
from bff.session.cookies import CookiePolicy, Jar
from bff.session.key_ring import KeyRing
from bff.session.redis_address import RedisAddress
from bff.session.redis_ledger import RedisLedger
from bff.session.redis_vault import RedisVault
from bff.settings import BFFSettings
from bff.telemetry.logs import configure_logging
from tests.benchmarks.processes import note
from tests.benchmarks.results import Row, keep, machine
from tests.world.valkey import Valkey, running_valkey

COUNTS = tuple(int(count) for count in os.environ.get("BENCH_SESSIONS", "1000,10000,100000").split(","))
LOOKUPS = int(os.environ.get("BENCH_REQUESTS", "4000"))
PAGE = Path("docs/performance-sessions.md")
_AT_A_TIME = 64
_POLICY = CookiePolicy.for_public_url("https://app.example")
_SETTINGS = {"issuer": "https://login.example", "client_id": "bench", "client_secret": "k7Qw-2Zt9_bXr4Vn8Lm3"}


class Process:
    """One BFF process, as far as sessions go."""

    def __init__(self, server: Valkey, ring: KeyRing) -> None:
        self.clock = SystemClock()
        self.ledger = RedisLedger(RedisAddress.parse(server.url), self.clock, patience=5.0)
        self.vault = RedisVault(ring, _POLICY, self.ledger, self.clock, client_id="bench")

    async def aclose(self) -> None:
        """Let go."""
        await self.vault.aclose()
        await self.ledger.aclose()


def main() -> None:
    """Measure, keep the rows, and put the table into the document."""
    configure_logging("ERROR")
    gc.set_threshold(10_000, 10, 10)  # as the server does it
    rows = asyncio.run(_measured())
    keep("sessions", rows)
    _insert(rows)


async def _measured() -> list[Row]:
    rows: list[Row] = []
    ring = KeyRing.generate()
    with running_valkey() as server:
        empty = server.info()["used_memory"]
        tickets: list[Jar] = []
        for count in COUNTS:
            note(f"sessions: {count}")
            tickets += await _sign_ins(server, ring, count - len(tickets))
            rows.append(_row(f"stored/{count}", "valkey", rss_mb=(server.info()["used_memory"] - empty) / 1e6))
            rows += await _lookups(server, ring, tickets)
    return rows


async def _sign_ins(server: Valkey, ring: KeyRing, count: int) -> list[Jar]:
    """So many more sessions, each with the news of its second generation in the stream."""
    process, settings = Process(server, ring), BFFSettings.model_validate(
        {"public_url": "http://localhost:3000", "authority": _SETTINGS}
    )  # fmt: skip
    template = usual_session(settings, process.clock)
    jars: list[Jar] = []

    async def sign_in() -> None:
        session = replace(template, sid=secrets.token_urlsafe(16))
        (cookie,) = await process.vault.keep_session(session, Jar({}))
        jars.append(Jar({cookie.name: cookie.value}))
        presented = await process.vault.find_session(jars[-1])
        kept = presented.require()
        await process.vault.keep_generation(kept, replace(kept, generation=2))

    for start in range(0, count, _AT_A_TIME):
        await asyncio.gather(*(sign_in() for _ in range(min(_AT_A_TIME, count - start))))
    await process.aclose()
    return jars


async def _lookups(server: Valkey, ring: KeyRing, jars: Sequence[Jar]) -> list[Row]:
    count = len(jars)
    gc.freeze()  # the browsers' jars are no part of a process
    began, cpu = time.perf_counter(), time.process_time()
    process = Process(server, ring)
    await process.ledger.catch_up()
    boot = _row(f"boot/{count}", "ours", cpu_us=1e6 * (time.process_time() - cpu) / count)
    boot = _with_times(boot, [time.perf_counter() - began])
    chosen = random.Random(3).sample(jars, min(LOOKUPS, count))
    rounds = -(-LOOKUPS // len(chosen))
    cold = [await _timed(Process(server, ring), chosen, f"cold/{count}") for _ in range(rounds)]
    for jar in chosen:
        await process.vault.find_session(jar)
    warm = await _timed(process, list(chosen) * rounds, f"warm/{count}")
    return [boot, min(cold, key=lambda row: row.cpu_us), warm]


async def _timed(process: Process, jars: Sequence[Jar], scenario: str) -> Row:
    await process.ledger.catch_up()
    taken, cpu, began = [], time.process_time(), time.perf_counter()
    for jar in jars:
        asked = time.perf_counter()
        (await process.vault.find_session(jar)).require()
        taken.append(time.perf_counter() - asked)
    seconds = time.perf_counter() - began
    row = _row(scenario, "ours", cpu_us=1e6 * (time.process_time() - cpu) / len(jars), rps=len(jars) / seconds)
    await process.aclose()
    return _with_times(row, taken)


def _row(scenario: str, subject: str, *, cpu_us: float = 0.0, rps: float = 0.0, rss_mb: float | None = None) -> Row:
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return Row(
        bench="sessions",
        scenario=scenario,
        subject=subject,
        cpu_us=round(cpu_us, 1),
        rps=round(rps, 1),
        p50_ms=0.0,
        p99_ms=0.0,
        rss_mb=round(own if rss_mb is None else rss_mb, 2),
        machine=machine(),
    )


def _with_times(row: Row, seconds: Sequence[float]) -> Row:
    cuts = quantiles(seconds, n=100, method="inclusive") if len(seconds) > 1 else [seconds[0]] * 99
    return replace(row, p50_ms=round(cuts[49] * 1000, 3), p99_ms=round(cuts[98] * 1000, 3))


def _insert(rows: Sequence[Row]) -> None:
    """The table between the two marks of the document."""
    found = {row.scenario: row for row in rows}
    lines = [
        (
            "| sessions | bytes each in Valkey | cold lookup, CPU µs | p50 ms | warm lookup, CPU µs | boot, ms "
            "| boot, CPU µs a session |"
        ),
        "|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for count in COUNTS:
        stored, boot = found[f"stored/{count}"], found[f"boot/{count}"]
        cold, warm = found[f"cold/{count}"], found[f"warm/{count}"]
        lines.append(
            f"| {count:,} | {stored.rss_mb * 1e6 / count:,.0f} | {cold.cpu_us:.0f} | {cold.p50_ms:.2f} "
            f"| {warm.cpu_us:.1f} | {boot.p50_ms:,.0f} | {boot.cpu_us:.1f} |"
        )
    before, begins, rest = PAGE.read_text(encoding="utf-8").partition("<!-- sessions: begin -->\n")
    _, ends, after = rest.partition("<!-- sessions: end -->")
    told = "\n".join(lines) + f"\n\nMachine: {rows[0].machine}, shared with other work while this ran.\n"
    PAGE.write_text(before + begins + told + ends + after, encoding="utf-8")
