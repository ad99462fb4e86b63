"""A real uvicorn on an ephemeral loopback port, in a thread of its own, for tests that speak bytes over a socket."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn

START_SECONDS = 10.0


@contextmanager
def serving(config: uvicorn.Config) -> Iterator[int]:
    """Serve ``config`` until the block ends; yield the port that the system chose (``config.port`` must be 0)."""
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("uvicorn did not start")
        time.sleep(0.005)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(START_SECONDS)


@asynccontextmanager
async def serving_here(config: uvicorn.Config) -> AsyncIterator[tuple[int, uvicorn.Server]]:
    """Serve ``config`` in this very loop until the block ends; yield the port and the server."""
    config.load()
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())  # without its handlers of signals: those are the test runner's
    async with asyncio.timeout(START_SECONDS):
        while not server.started:  # noqa: ASYNC110 — uvicorn has no event for it
            await asyncio.sleep(0.005)
    try:
        yield server.servers[0].sockets[0].getsockname()[1], server
    finally:
        server.should_exit = True
        async with asyncio.timeout(START_SECONDS):
            await task


def exchange(port: int, *parts: bytes, pause: float = 0.02, timeout: float = 5.0) -> bytes:
    """Send ``parts`` one after the other, then read until the server closes; return every byte that came back."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as peer:
        for index, part in enumerate(parts):
            if index:
                time.sleep(pause)
            try:
                peer.sendall(part)
            except OSError:
                break
        return _read_all(peer)


def _read_all(peer: socket.socket) -> bytes:
    received = bytearray()
    while True:
        try:
            block = peer.recv(65536)
        except ConnectionResetError:
            break
        if not block:
            break
        received += block
    return bytes(received)
