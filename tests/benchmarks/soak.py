"""``make soak``: 200,000 mixed calls with random departures through one process; nothing may be left behind.

Memory, open files and the upstream's connections are looked at after each tenth. The first three tenths warm caches and
pools; from there on the memory must not rise.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import programs
from tests.benchmarks.processes import Group, free_port, note
from tests.benchmarks.relay_bench import Bench
from tests.benchmarks.relay_ours import ours
from tests.benchmarks.relay_peers import MAKERS
from tests.benchmarks.town import town_of

CALLS = int(os.environ.get("SOAK_CALLS", "200000"))
ROUNDS = 10
PEOPLE = 48
WARM = 3
MAX_RISE_MB = 8.0
_POOL_IDLE = 5.0


@dataclass(frozen=True, slots=True)
class Look:
    """What one process holds between two rounds."""

    memory_mb: float
    files: int


def main() -> None:
    """Soak, print what was seen, and exit with 1 where something was left behind."""
    programs.fetch()
    folder = programs.HOME / "soak"
    folder.mkdir(parents=True, exist_ok=True)
    ports = {name: free_port() for name in MAKERS}
    with town_of(folder, ports) as town:
        bench = Bench(programs.find("wrk") or "wrk", town, folder, ports)
        subject = ours(town, ports["ours"])
        with bench.subject(subject, ports["ours"]) as (group, headers):
            looks = asyncio.run(_soak(ports["ours"], group, headers))
    rise = looks[-1].memory_mb - looks[WARM].memory_mb
    files = looks[-1].files - looks[0].files
    note(f"memory rose by {rise:.1f} MB from round {WARM} to {ROUNDS}; {files} more files open than at the start")
    sys.exit(1 if rise > MAX_RISE_MB or files > 0 else 0)


async def _soak(port: int, group: Group, headers: Mapping[str, str]) -> list[Look]:
    looks = [_look(group)]
    for turn in range(ROUNDS):
        each = CALLS // ROUNDS // PEOPLE
        done = await asyncio.gather(
            *(_person(port, headers, random.Random(turn * PEOPLE + who), each) for who in range(PEOPLE))
        )
        await asyncio.sleep(_POOL_IDLE + 1)
        looks.append(_look(group))
        note(f"round {turn + 1:>2}: {sum(done):>6} answers, {looks[-1].memory_mb:6.1f} MB, {looks[-1].files} files")
    return looks


def _look(group: Group) -> Look:
    return Look(group.memory_mb(), len(list(Path(f"/proc/{group.leader}/fd").iterdir())))


async def _person(port: int, headers: Mapping[str, str], chance: random.Random, calls: int) -> int:
    """Make so many calls on as few connections as departures leave; return how many were answered."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    fields += f"Host: localhost:{port}\r\nOrigin: http://localhost:{port}\r\n"
    answered, writer, reader = 0, None, None
    for _ in range(calls):
        if writer is None or reader is None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        path, body, leaves = _choice(chance)
        method = "POST" if body else "GET"
        length = f"Content-Length: {len(body)}\r\nContent-Type: text/plain\r\n" if body else ""
        request = f"{method} {path} HTTP/1.1\r\n{fields}{length}\r\n".encode() + body
        writer.write(request[: chance.randrange(len(request))] if leaves == "asking" else request)
        if leaves == "waiting":
            await asyncio.sleep(chance.random() * 0.004)
        if leaves is None or leaves == "reading":
            answered += await _read(reader, whole=leaves is None)
        if leaves is not None:
            writer.transport.abort()
            writer = reader = None
    if writer is not None:
        writer.close()
    return answered


def _choice(chance: random.Random) -> tuple[str, bytes, str | None]:
    """Return path, body, and where the browser leaves, if it does: one call in ten."""
    kind = chance.random()
    path = "/api/large" if kind < 0.15 else "/api/small" if kind < 0.85 else "/api/upload"
    body = b"x" * chance.choice([10, 5_000, 100_000]) if path == "/api/upload" else b""
    leaves = chance.choice(["asking", "waiting", "reading"]) if chance.random() < 0.1 else None
    return path, body, leaves


async def _read(reader: asyncio.StreamReader, *, whole: bool) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(head.split(b"\r\n", 1)[0].decode())
    if not whole:
        return 0
    length = int(head.lower().split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
    await reader.readexactly(length)
    return 1


if __name__ == "__main__":
    main()
