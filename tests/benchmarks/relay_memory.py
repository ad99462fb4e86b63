"""By how much one process grows while a gigabyte flows through it: down to a browser, and up from one.

The kernel keeps the highest mark of a process's memory, so that no peak falls between two looks.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.benchmarks.processes import Group, note
from tests.benchmarks.relay_bench import Bench
from tests.benchmarks.relay_ours import ours_with
from tests.benchmarks.results import Row

BYTES = int(os.environ.get("BENCH_BYTES", "1000000000"))
_WARM = 20_000_000
_BLOCK = bytes(256 * 1024)


def measured(bench: Bench) -> list[Row]:
    """Down, then up; before either, a little of it, so that buffers which are kept are there."""
    port = bench.ports["ours"]
    subject = ours_with(bench.town, port, kind="flows", upstream=bench.town.streams, max_body=2 * BYTES)
    with bench.subject(subject, port) as (group, headers):
        return [
            _flow(bench, group, "1GB-down", lambda count: _down(port, headers, count)),
            _flow(bench, group, "1GB-up", lambda count: _up(port, headers, count)),
        ]


def _flow(bench: Bench, group: Group, scenario: str, move: Callable[[int], None]) -> Row:
    move(min(_WARM, BYTES))
    before = reset_peak(group)
    cpu, began = group.cpu_seconds(), time.perf_counter()
    move(BYTES)
    seconds = time.perf_counter() - began
    note(f"{scenario}: {BYTES / seconds / 1e6:.0f} MB/s, from {before:.1f} MB")
    return bench.row(
        f"{scenario}/growth",
        "ours",
        cpu_us=(group.cpu_seconds() - cpu) * 1e6,
        rps=1 / seconds,
        rss_mb=max(0.0, _peak_mb(group) - before),
    )


def reset_peak(group: Group) -> float:
    """Forget the highest mark; answer the memory of this moment, in MB."""
    Path(f"/proc/{group.leader}/clear_refs").write_text("5", encoding="ascii")
    return _peak_mb(group)


def _peak_mb(group: Group) -> float:
    status = Path(f"/proc/{group.leader}/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:", 1)[1].split("kB", 1)[0]) * 1024 / 1e6


def _down(port: int, headers: Mapping[str, str], count: int) -> None:
    with _asked(port, headers, f"GET /api/down?bytes={count}", "") as browser:
        left, kept = count, memoryview(bytearray(len(_BLOCK)))
        left -= len(_head(browser))
        while left > 0:
            taken = browser.recv_into(kept)
            if not taken:
                raise RuntimeError(f"{left} bytes did not come")
            left -= taken


def _up(port: int, headers: Mapping[str, str], count: int) -> None:
    typed = f"Origin: http://localhost:{port}\r\nContent-Type: application/octet-stream\r\nContent-Length: {count}\r\n"
    with _asked(port, headers, "POST /api/up", typed) as browser:
        left = count
        while left > 0:
            browser.sendall(_BLOCK[:left])
            left -= min(left, len(_BLOCK))
        _head(browser)


def _asked(port: int, headers: Mapping[str, str], line: str, more: str) -> socket.socket:
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    browser = socket.create_connection(("127.0.0.1", port), timeout=60)
    browser.sendall(f"{line} HTTP/1.1\r\nHost: localhost:{port}\r\n{fields}{more}\r\n".encode())
    return browser


def _head(browser: socket.socket) -> bytes:
    """Read a head that says 200; answer what came behind it."""
    data = b""
    while b"\r\n\r\n" not in data:
        block = browser.recv(65536)
        if not block:
            raise RuntimeError("no answer")
        data += block
    if not data.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(data[:200].decode("latin-1"))
    return data.partition(b"\r\n\r\n")[2]
