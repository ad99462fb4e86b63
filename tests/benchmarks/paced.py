"""A client that asks at a given rate, at random moments, whether or not answers come: people do not take turns.

One thread, plain sockets, and no work but the calls, since it shares its CPU with the upstream. wrk can only pause for
whole milliseconds, so that calls would come in bursts and wait for each other at the subject.
"""

from __future__ import annotations

import gc
import random
import select
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import quantiles

CONNECTIONS = 64
_LONGEST = 10.0


@dataclass(frozen=True, slots=True)
class Paced:
    """What the client saw. Where no connection was free at its moment, a call's time counts from that moment on."""

    requests: int
    rps: float
    p50_ms: float
    p99_ms: float


def paced(address: tuple[str, int], host: str, headers: Mapping[str, str], *, rate: float, seconds: float) -> Paced:
    """Ask for ``/api/small`` about ``rate`` times a second; raise RuntimeError where an answer is no success."""
    request = _request(host, headers)
    free = [socket.create_connection(address) for _ in range(CONNECTIONS)]
    every = list(free)
    gc.disable()
    try:
        for connection in free:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(request)
            _whole(connection)
        _calls(free, request, rate=rate, seconds=min(seconds, 0.3))
        return _calls(free, request, rate=rate, seconds=seconds)
    finally:
        gc.enable()
        for connection in every:
            connection.close()


def each_once(address: tuple[str, int], host: str, headers: Mapping[str, str], cookies: Iterable[str]) -> None:
    """Ask for ``/api/small`` with one cookie after the other; raise RuntimeError where an answer is no success."""
    with socket.create_connection(address, timeout=_LONGEST) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for cookie in cookies:
            connection.sendall(_request(host, {**headers, "Cookie": cookie}))
            _whole(connection)


def _request(host: str, headers: Mapping[str, str]) -> bytes:
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"GET /api/small HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n".encode()


def _calls(free: list[socket.socket], request: bytes, *, rate: float, seconds: float) -> Paced:
    now, chance = time.perf_counter, random.Random(5)
    asked: dict[socket.socket, float] = {}
    taken: list[float] = []
    began = due = now()
    end, free_since = began + seconds, began
    while due < end or asked:
        while free and due < end and due <= now():
            connection = free.pop()
            asked[connection] = now() if due >= free_since else due
            connection.send(request)
            due += chance.expovariate(rate)
        wait = max(0.0, due - now()) if free and due < end else _LONGEST
        ready, _, _ = select.select(list(asked), [], [], wait)
        if not ready and wait == _LONGEST:
            raise RuntimeError("an answer did not come")
        if ready and not free:
            free_since = now()
        for connection in ready:
            _whole(connection)
            taken.append(now() - asked.pop(connection))
            free.append(connection)
    cuts = quantiles(taken, n=100, method="inclusive")
    return Paced(len(taken), len(taken) / (now() - began), cuts[49] * 1000, cuts[98] * 1000)


def _whole(connection: socket.socket) -> None:
    """Read one answer."""
    data = connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head[:200].decode("latin-1"))
    left = int(head.lower().split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0]) - len(body)
    while left > 0:
        left -= len(connection.recv(65536))
