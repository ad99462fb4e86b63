"""``make soak``: 200,000 mixed calls with random departures through one process; nothing may be left behind.

Memory, open files, tasks and the upstream's connections are looked at after each tenth. The first three tenths warm
caches and pools; from there on the memory must not rise, and at the end nothing else may be more than at the start.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace

from tests.benchmarks import programs
from tests.benchmarks.inside import inside
from tests.benchmarks.leaks import Look, leaks, look, slope_of, told
from tests.benchmarks.processes import free_port, note
from tests.benchmarks.relay_bench import Bench
from tests.benchmarks.relay_ours import ours
from tests.benchmarks.relay_peers import MAKERS
from tests.benchmarks.town import town_of

CALLS = int(os.environ.get("SOAK_CALLS", "200000"))
ROUNDS = 10
PEOPLE = 48
WARM = 3
_POOL_IDLE = 5.0


def main() -> None:
    """Soak, print what was seen, and exit with 1 where something was left behind."""
    programs.fetch()
    folder = programs.HOME / "soak"
    folder.mkdir(parents=True, exist_ok=True)
    ports = {name: free_port() for name in MAKERS}
    answers = folder / "held.json"
    with town_of(folder, ports) as town:
        bench = Bench(programs.find("wrk") or "wrk", town, folder, ports)
        subject = ours(town, ports["ours"])
        subject = replace(subject, command=inside(subject.command, answers))
        with bench.subject(subject, ports["ours"]) as (group, headers):

            def looked(calls: int) -> Look:
                return look(group, answers, calls=calls, upstream_port=town.upstream)

            looks = asyncio.run(_soak(ports["ours"], looked, headers))
    (folder / "looks.json").write_text(told(looks), encoding="utf-8")
    found = list(leaks(looks, warm=WARM))
    note(f"memory moves by {slope_of(looks[WARM:]):.1f} bytes a call; {'; '.join(found) or 'nothing is left behind'}")
    sys.exit(1 if found else 0)


async def _soak(port: int, looked: Callable[[int], Look], headers: Mapping[str, str]) -> list[Look]:
    looks = [looked(0)]
    each = CALLS // ROUNDS // PEOPLE
    for turn in range(ROUNDS):
        done = await asyncio.gather(
            *(_person(port, headers, random.Random(turn * PEOPLE + who), each) for who in range(PEOPLE))
        )
        await asyncio.sleep(_POOL_IDLE + 1)
        seen = looked(each * PEOPLE * (turn + 1))
        looks.append(seen)
        note(
            f"round {turn + 1:>2}: {sum(done):>6} answers, {seen.memory_mb:6.1f} MB, {seen.files} files, "
            f"{seen.tasks} tasks, {seen.upstream} connections to the upstream"
        )
    return looks


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
