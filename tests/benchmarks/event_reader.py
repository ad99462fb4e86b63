"""Browsers that read event streams, as light as they can be: five thousand of them share one process."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping

from tests.benchmarks.relay_ours import Subject

_SENT = re.compile(rb"data: (\d+)\n")
_OPEN_SECONDS = 30.0


class Idle(asyncio.Protocol):
    """Knows whether its stream has begun, and when it ended."""

    __slots__ = ("_began", "_transport", "ended_at", "over")

    def __init__(self) -> None:
        self._began: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.BaseTransport | None = None
        self.ended_at: float | None = None
        self.over = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket stands."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """The first word of the stream, or a refusal."""
        if self._began.done():
            return
        if data.startswith(b"HTTP/1.1 200 "):
            self._began.set_result(None)
        else:
            self._began.set_exception(RuntimeError(data[:300].decode("latin-1")))

    def connection_lost(self, error: Exception | None) -> None:
        """The stream is over."""
        self.ended_at = time.monotonic()
        self.over.set()
        if not self._began.done():
            self._began.set_exception(error or RuntimeError("the connection was closed"))

    def leave(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    async def begun(self) -> None:
        """Wait for the first word."""
        async with asyncio.timeout(_OPEN_SECONDS):
            await self._began


class Events(Idle):
    """Also notes how old each event is when its bytes are here."""

    __slots__ = ("delays_ms",)

    def __init__(self) -> None:
        super().__init__()
        self.delays_ms: list[float] = []

    def data_received(self, data: bytes) -> None:
        """The events in these bytes; each is one write of its sender, and smaller than any segment."""
        now = time.monotonic_ns()
        super().data_received(data)
        self.delays_ms += [(now - int(sent)) / 1e6 for sent in _SENT.findall(data)]


async def opened(stream: Idle, port: int, subject: Subject, headers: Mapping[str, str], path: str) -> None:
    """Ask for a stream as a page would, and wait until it has begun."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in {**headers, "Accept": "text/event-stream"}.items())
    transport, _ = await asyncio.get_running_loop().create_connection(lambda: stream, "127.0.0.1", port)
    host = subject.origin.partition("//")[2]
    transport.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n".encode())
    await stream.begun()
