"""How one subject of the relay's benchmark is measured: signed in for real, warmed up, loaded, accounted by the kernel.

Each subject has a CPU of its own where there are two; the load and the upstream share the other one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from local_authority import seeds
from local_authority.seeds import SeededPerson
from tests.benchmarks import programs
from tests.benchmarks.processes import Group, load, note, running
from tests.benchmarks.relay_ours import Subject
from tests.benchmarks.results import Row, machine
from tests.benchmarks.sign_in import Person
from tests.benchmarks.town import Town

SECONDS = float(os.environ.get("BENCH_SECONDS", "5"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36",
    "Accept": "application/json",
    "Accept-Language": "en-GB,en;q=0.9",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Dest": "empty",
    "X-CSRF": "1",
}
SMALL = "small/c32/cookie1"


class Bench:
    """Measures one subject at a time; ``ports`` are the subjects'."""

    def __init__(self, wrk: str, town: Town, folder: Path, ports: Mapping[str, int]) -> None:
        self._wrk, self.town, self.folder, self.ports, self._machine = wrk, town, folder, ports, machine()

    @contextmanager
    def subject(
        self, subject: Subject, port: int, person: SeededPerson = seeds.ADA
    ) -> Iterator[tuple[Group, dict[str, str]]]:
        """The running subject, and a browser's headers with a session that began with a real sign-in."""
        log = self.folder / f"{subject.name}.log"
        with running(subject.command, port, cpu=0, env=subject.env, log=log) as group:
            headers = dict(BROWSER)
            if subject.login is not None:
                headers["Cookie"] = session_of(subject, person)
            yield group, headers

    def measure(
        self,
        subject: Subject,
        group: Group,
        headers: Mapping[str, str],
        *,
        scenario: str = SMALL,
        path: str = "/api/small",
        connections: int = 32,
        seconds: float = SECONDS,
        script: Path | None = None,
    ) -> Row:
        """Warm up, then measure."""
        url, env = subject.origin + path, programs.environment()
        load(self._wrk, url, headers, connections=connections, seconds=1, script=script, env=env)
        before = group.cpu_seconds()
        seen = load(self._wrk, url, headers, connections=connections, seconds=seconds, script=script, env=env)
        time.sleep(0.05)
        return self.row(
            scenario,
            subject.name,
            cpu_us=(group.cpu_seconds() - before) / seen.requests * 1e6,
            rps=seen.rps,
            p50_ms=seen.p50_ms,
            p99_ms=seen.p99_ms,
            rss_mb=group.memory_mb(),
        )

    def row(
        self,
        scenario: str,
        subject: str,
        *,
        cpu_us: float = 0.0,
        rps: float = 0.0,
        p50_ms: float = 0.0,
        p99_ms: float = 0.0,
        rss_mb: float = 0.0,
    ) -> Row:
        """A row of this bench, told as soon as it is there."""
        row = Row(
            bench="relay",
            scenario=scenario,
            subject=subject,
            cpu_us=round(cpu_us, 1),
            rps=round(rps, 1),
            p50_ms=round(p50_ms, 3),
            p99_ms=round(p99_ms, 3),
            rss_mb=round(rss_mb, 4 if rss_mb < 1 else 1),
            machine=self._machine,
        )
        note(
            f"{row.subject:>17} {row.scenario:<26} {row.cpu_us:9.1f} µs {row.rps:9.1f}/s "
            f"p50 {row.p50_ms:8.3f} p99 {row.p99_ms:8.3f} ms {row.rss_mb:8.4g} MB"
        )
        return row

    def script(self, name: str, text: str) -> Path:
        """A script for wrk."""
        path = self.folder / f"{name}.lua"
        path.write_text(text, encoding="utf-8")
        return path


def session_of(subject: Subject, person: SeededPerson) -> str:
    """The Cookie header of a browser in which this person has just signed in."""
    browser = Person(person.email, person.password)
    browser.sign_in(f"{subject.origin}{subject.login}")
    cookie = browser.cookie(subject.origin)
    if not cookie:
        raise RuntimeError(f"{subject.name}: the sign-in left no cookie")
    return cookie


def median(rows: Sequence[Row]) -> Row:
    """The round whose CPU is in the middle."""
    return sorted(rows, key=lambda row: row.cpu_us)[len(rows) // 2]
