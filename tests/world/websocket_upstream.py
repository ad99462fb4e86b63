"""A WebSocket upstream over a loopback socket: a real `websockets` server, and one that speaks bytes and misbehaves.

async with SocketServer(echoes) as upstream:          # upstream.url, upstream.handshakes
async with RawUpstream(accepts(frame(TEXT, b"hello"))) as upstream:   # tests/world/upstream.py, with these acts
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha1
from types import TracebackType
from typing import Any, Final, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from tests.world.upstream import Act, Received

Handler = Callable[[ServerConnection], Awaitable[None]]


@dataclass
class SocketServer:
    """Serves every WebSocket with one handler, and remembers handshakes and how each one was closed."""

    handler: Handler
    subprotocols: tuple[str, ...] = ()
    process_request: Callable[[ServerConnection, Request], Response | None] | None = None
    handshakes: list[Request] = field(default_factory=list)
    closes: list[tuple[int | None, str]] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    _server: Server | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._handle,
            "127.0.0.1",
            0,
            compression=None,
            subprotocols=[Subprotocol(name) for name in self.subprotocols] or None,
            process_request=self._judge,
            close_timeout=1,
            max_size=None,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def _judge(self, connection: ServerConnection, request: Request) -> Response | None:
        self.handshakes.append(request)
        return None if self.process_request is None else self.process_request(connection, request)

    async def _handle(self, connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await self.handler(connection)
        await connection.wait_closed()
        received = connection.protocol.close_rcvd
        self.closes.append((None, "") if received is None else (received.code, received.reason))
        self.closed.set()


async def echoes(connection: ServerConnection) -> None:
    """Say again what was said."""
    async for message in connection:
        await connection.send(message)


def says_goodbye(code: int, reason: str) -> Handler:
    """Close at once, with this code."""

    async def handler(connection: ServerConnection) -> None:
        await connection.close(code, reason)

    return handler


async def floods(connection: ServerConnection) -> None:
    """Send for ever, as fast as it is taken."""
    connection.sent = 0  # type: ignore[attr-defined]  # because a test counts what was taken
    while True:
        await connection.send(b"x" * 65536)


def accepts(*frames: bytes, key: bytes | None = None, extra: bytes = b"", then: str = "waits") -> Act:
    """Accept a handshake, send these bytes as frames, and then wait, ``closes`` or ``resets``."""

    async def act(request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = request.all_of("sec-websocket-key")[0].encode()
        accept = base64.b64encode(sha1(asked + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest())
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"%bSec-WebSocket-Accept: %b\r\n\r\n" % (extra, key or accept) + b"".join(frames)
        )
        await writer.drain()
        if then == "resets":
            await asyncio.sleep(0.1)
            writer.transport.abort()
        elif then == "closes":
            await asyncio.sleep(0.1)
            writer.write_eof()
        await reader.read()

    return act


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = False) -> bytes:
    """One frame (RFC 6455 5.2), by a server or, ``masked``, by a client."""
    mask = b"\x00\x00\x00\x00" if masked else b""
    bit = 0x80 if masked else 0
    head = bytes([(0x80 if fin else 0) | opcode])
    if len(payload) < 126:
        head += bytes([bit | len(payload)])
    elif len(payload) < 65536:
        head += bytes([bit | 126]) + len(payload).to_bytes(2)
    else:
        head += bytes([bit | 127]) + len(payload).to_bytes(8)
    return head + mask + payload


TEXT: Final = 1
BINARY: Final = 2
CONTINUED: Final = 0
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10

BROKEN_HANDSHAKES: Final[dict[str, Any]] = {
    "a wrong accept key": accepts(key=b"AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    "a sub-protocol that nobody offered": accepts(extra=b"Sec-WebSocket-Protocol: evil\r\n"),
    "an extension that nobody offered": accepts(extra=b"Sec-WebSocket-Extensions: permessage-deflate\r\n"),
    "two accept keys": accepts(extra=b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n"),
}
