"""``make bench ONLY=relay``: what a relayed call costs, here and elsewhere, side by side in one run.

CPU is what the kernel accounts to the subject's processes, so a busy machine disturbs it least. Each subject has a CPU
of its own where there are two; the load and the upstream share the other one.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from local_authority import seeds
from tests.benchmarks import picture, programs
from tests.benchmarks.processes import Group, Load, free_port, load, note, running
from tests.benchmarks.relay_peers import MAKERS, Subject, Town, nginx_config, redirect_uris
from tests.benchmarks.results import Row, keep, machine
from tests.benchmarks.sign_in import Person

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


def main() -> None:
    """Fetch the programs, start the town, measure everybody, keep the rows, print and draw them."""
    programs.fetch()
    wrk = programs.find("wrk")
    if wrk is None or programs.find("nginx") is None:
        sys.exit("wrk and nginx are needed. Cure: run as root where apt-get works, or install both")
    folder = programs.HOME / "run"
    folder.mkdir(parents=True, exist_ok=True)
    ports = {name: free_port() for name in MAKERS}
    with town_of(folder, ports) as town:
        measured = _everybody(Bench(wrk, town, folder), ports)
    keep("relay", measured)
    note(picture.table(measured))
    picture.draw(measured, Path("docs/performance-relay.svg"))
    picture.insert(measured, Path("docs/performance.md"), mark="relay")


@contextmanager
def town_of(folder: Path, ports: Mapping[str, int]) -> Iterator[Town]:
    """The upstream (nginx, with constant answers) and the local authority."""
    town = Town(folder=folder, upstream=free_port(), authority=free_port(), client_secret=secrets.token_urlsafe(33))
    (folder / "client-secret").write_text(town.client_secret, encoding="utf-8")
    with ExitStack() as stack:
        other = max((os.cpu_count() or 1) - 1, 0)
        upstream = [programs.find("nginx") or "nginx", "-c", str(_upstream_config(town)), "-p", str(folder)]
        env = programs.environment()
        stack.enter_context(running(upstream, town.upstream, cpu=other, env=env, log=folder / "upstream.log"))
        redirects = [word for uri in redirect_uris(ports) for word in ("--client-redirect", uri)]
        command = [str(Path(sys.executable).parent / "local-authority"), "--port", str(town.authority)]
        command += ["--bff-url", f"http://localhost:{ports['ours']}", *redirects]
        command += ["--client-secret-file", str(folder / "client-secret")]
        stack.enter_context(running(command, town.authority, cpu=other, log=folder / "authority.log"))
        yield town


def _upstream_config(town: Town) -> Path:
    files = town.folder / "files"
    (files / "api").mkdir(parents=True, exist_ok=True)
    (files / "api/large").write_bytes(b'{"items": ["' + b"x" * 102_000 + b'"]}')
    (files / "api/huge").write_bytes(os.urandom(10_000_000))
    small = '{"items": ["' + "x" * 242 + '"]}'
    config = town.folder / "upstream.conf"
    config.write_text(
        nginx_config(
            town.folder / "upstream",
            f"server {{ listen 127.0.0.1:{town.upstream} backlog=1024; default_type application/json;\n"
            f"client_max_body_size 20m; root {files};\n"
            f"location = /api/small {{ return 200 '{small}'; }}\n"
            "location = /api/upload { proxy_pass http://127.0.0.1:$server_port/api/taken; }\n"
            "location = /api/taken { return 200 '{}'; }\n}",
        ),
        encoding="utf-8",
    )
    return config


class Bench:
    """Measures one subject at a time."""

    def __init__(self, wrk: str, town: Town, folder: Path) -> None:
        self._wrk, self.town, self._folder, self._machine = wrk, town, folder, machine()

    @contextmanager
    def subject(self, subject: Subject, port: int) -> Iterator[tuple[Group, dict[str, str]]]:
        """The running subject, and a browser's headers with a session that began with a real sign-in."""
        log = self._folder / f"{subject.name}.log"
        with running(subject.command, port, cpu=0, env=subject.env, log=log) as group:
            headers = dict(BROWSER)
            if subject.login is not None:
                person = Person(seeds.PEOPLE[0].email, seeds.PEOPLE[0].password)
                person.sign_in(subject.origin + subject.login)
                headers["Cookie"] = person.cookie(subject.origin)
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
        row = self._row(subject.name, scenario, seen, group.cpu_seconds() - before, group.memory_mb())
        note(f"{row.subject:>17} {row.scenario:<22} {row.cpu_us:8.1f} µs {row.rps:9.0f}/s p99 {row.p99_ms:7.1f} ms")
        return row

    def _row(self, subject: str, scenario: str, seen: Load, cpu: float, memory: float) -> Row:
        return Row(
            bench="relay",
            scenario=scenario,
            subject=subject,
            cpu_us=round(cpu / seen.requests * 1e6, 1),
            rps=round(seen.rps, 1),
            p50_ms=seen.p50_ms,
            p99_ms=seen.p99_ms,
            rss_mb=round(memory, 1),
            machine=self._machine,
        )

    def direct(self, *, scenario: str, script: Path | None = None) -> Row:
        """The upstream without anybody in between."""
        origin = f"http://127.0.0.1:{self.town.upstream}"
        seen = load(
            self._wrk, origin + "/api/small", BROWSER,
            connections=32, seconds=SECONDS, script=script, env=programs.environment(),
        )  # fmt: skip
        return self._row("direct", scenario, seen, 0.0, 0.0)

    def script(self, name: str, text: str) -> Path:
        """A script for wrk."""
        path = self._folder / f"{name}.lua"
        path.write_text(text, encoding="utf-8")
        return path


def _everybody(bench: Bench, ports: Mapping[str, int]) -> list[Row]:
    """Everybody in turn, several times, so that a disturbance meets all; the median round of each is kept."""
    rounds: dict[str, list[Row]] = {}
    rows: list[Row] = []
    wanted = os.environ.get("BENCH_SUBJECTS", "").split() or list(MAKERS)
    for turn in range(ROUNDS):
        for name in wanted:
            subject = MAKERS[name](bench.town, ports[name])
            if subject is None:
                note(f"{name}: not here, so not measured")
                continue
            with bench.subject(subject, ports[name]) as (group, headers):
                rounds.setdefault(name, []).append(bench.measure(subject, group, headers))
                if name == "ours" and turn == ROUNDS - 1 and not os.environ.get("BENCH_SMALL_ONLY"):
                    rows += _ours_alone(bench, subject, group, headers)
    medians = [sorted(seen, key=lambda row: row.cpu_us)[len(seen) // 2] for seen in rounds.values()]
    return medians + rows


def _ours_alone(bench: Bench, subject: Subject, group: Group, headers: Mapping[str, str]) -> list[Row]:
    """What peers are not asked: sizes, directions, numbers of connections, and the time that we add."""
    body = "local body = string.rep('x', 10000000)\nwrk.method, wrk.body = 'POST', body\n"
    upload = bench.script("upload", body + "wrk.headers['Content-Type'] = 'application/octet-stream'\n")
    typed = {**headers, "Origin": subject.origin}
    rows = [
        bench.measure(subject, group, headers, scenario="small/c1/cookie1", connections=1),
        bench.measure(subject, group, headers, scenario="small/c256/cookie1", connections=256),
        bench.measure(subject, group, headers, scenario="100KB/c32/cookie1", path="/api/large"),
        bench.measure(subject, group, headers, scenario="10MB-down/c4/cookie1", path="/api/huge", connections=4),
        bench.measure(
            subject, group, typed, scenario="10MB-up/c4/cookie1", path="/api/upload", connections=4, script=upload
        ),
    ]
    # 32 connections that pause between two requests ask for about half of what one process can do.
    pause = max(1, round(32 / (0.5 * _rate(rows)) * 1000))
    half = bench.script("half", f"function delay() return {pause} end\n")
    rows.append(bench.measure(subject, group, headers, scenario="small/half-load", script=half))
    rows.append(bench.direct(scenario="small/half-load", script=half))
    return rows


def _rate(rows: list[Row]) -> float:
    return max(row.rps for row in rows if row.scenario.startswith("small/"))
