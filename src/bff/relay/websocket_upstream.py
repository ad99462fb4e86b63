"""The only door to a WebSocket of an upstream: ``websockets``, on connections that we dial ourselves.

Its own ``connect`` follows redirects, asks the environment for a proxy and offers compression: none of that is for a
request with a token. Its log, at its finest, tells every header, so it is not listened to that closely.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, cast

from msgspec import Struct
from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from bff.clock import Clock
from bff.errors import ResourceAPIBusy, ResourceAPITimeout, ResourceAPIUnavailable
from bff.relay.dial import dial
from bff.relay.headers import Headers
from bff.relay.route import Route
from bff.relay.upstream import MAX_CONNECT_SECONDS, MAX_CONNECTIONS, trust

PING_SECONDS: Final = 20.0
CLOSE_SECONDS: Final = 0.5
BAD_GATEWAY: Final = 1014
"""Close code for a connection that broke off, or broke the protocol, behind us (IANA, WebSocket Close Code Numbers)."""
_WARNINGS = logging.getLogger("bff.relay.websocket")
_WARNINGS.setLevel(logging.WARNING)


class Closing(Struct, frozen=True):
    """A close frame: its code, None where it has none, and its reason."""

    code: int | None
    reason: str = ""


class Closed(Exception):
    """The upstream's side is over; ``closing`` is what the browser is told."""

    def __init__(self, closing: Closing) -> None:
        super().__init__(closing.code)
        self.closing = closing


class HandshakeAnswered(Exception):
    """The upstream answered a handshake with an ordinary response; the names of ``headers`` are in lower case."""

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        super().__init__(status)
        self.status, self.headers, self.body = status, headers, body


class _Connection(ClientConnection):
    """Leaves an upstream that has closed, or was told that it broke the protocol, and keeps its socket open."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.protocol.close_expected():
            self.loop.call_later(CLOSE_SECONDS, self.transport.abort)


class UpstreamSocket:
    """An open WebSocket to an upstream. Messages are text or bytes, as they were sent."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    @property
    def subprotocol(self) -> str | None:
        """What the upstream chose of what it was offered."""
        return self._connection.subprotocol

    async def receive(self) -> str | bytes:
        """The next message; raises Closed."""
        try:
            return await self._connection.recv()
        except ConnectionClosed as closed:
            raise Closed(_closing_of(closed)) from None

    async def send(self, message: str | bytes) -> None:
        """Send one, as fast as the upstream takes it; raises Closed."""
        try:
            await self._connection.send(message)
        except ConnectionClosed as closed:
            raise Closed(_closing_of(closed)) from None

    async def close(self, closing: Closing) -> None:
        """Close, and give the upstream half a second to do so too."""
        # The library's type knows no frame without a code, which its protocol sends all the same (RFC 6455 5.5.1).
        await self._connection.close(cast("int", closing.code), closing.reason)


def _closing_of(closed: ConnectionClosed) -> Closing:
    """What the upstream said; where it said nothing, or nothing that may be said, it is a bad gateway's fault."""
    if closed.rcvd is None or (closed.sent is not None and not closed.rcvd_then_sent):
        return Closing(BAD_GATEWAY)
    return Closing(None) if closed.rcvd.code == 1005 else Closing(closed.rcvd.code, closed.rcvd.reason)  # noqa: PLR2004 — RFC 6455 7.4.1: no code


class WebSocketUpstream:
    """Opens WebSockets to upstreams, at most ``max_connections`` at a time to each of them."""

    def __init__(self, clock: Clock, *, max_connections: int = MAX_CONNECTIONS) -> None:
        self._now, self._cap = clock.monotonic, max_connections
        self._open: Counter[bytes] = Counter()
        self._trust: dict[Path | None, ssl.SSLContext] = {}

    @asynccontextmanager
    async def open(
        self, route: Route, target: bytes, headers: Headers, *, offer: Sequence[str]
    ) -> AsyncIterator[UpstreamSocket]:
        """One WebSocket, with the sub-protocols to ``offer``; leaving the block ends its connection.

        Raises ResourceAPIUnavailable, ResourceAPITimeout and ResourceAPIBusy like an Upstream, and HandshakeAnswered.
        """
        origin = route.address.origin
        if self._open[origin] >= self._cap:
            raise ResourceAPIBusy("as many WebSockets are open as there may be")
        self._open[origin] += 1
        try:
            connection = await self._connect(route, target, offer)
            try:
                await _shake_hands(connection, headers, route.timeout)
                yield UpstreamSocket(connection)
            finally:
                connection.transport.abort()
        finally:
            self._open[origin] -= 1

    async def _connect(self, route: Route, target: bytes, offer: Sequence[str]) -> ClientConnection:
        def make() -> ClientConnection:
            protocol = ClientProtocol(
                _uri(route, target),
                subprotocols=[Subprotocol(name) for name in offer] or None,
                max_size=route.max_message,
                logger=_WARNINGS,
            )
            return _Connection(
                protocol, ping_interval=PING_SECONDS, ping_timeout=PING_SECONDS, close_timeout=CLOSE_SECONDS
            )

        until = self._now() + min(route.timeout, MAX_CONNECT_SECONDS)
        return await dial(route.address, self._tls(route), make, now=self._now, until=until)

    def _tls(self, route: Route) -> ssl.SSLContext | None:
        if route.address.scheme == "http":
            return None
        if route.ca_file not in self._trust:
            self._trust[route.ca_file] = trust(route.address.scheme, route.ca_file)
        return self._trust[route.ca_file]


def _uri(route: Route, target: bytes) -> WebSocketURI:
    address, (path, _, query) = route.address, target.decode("ascii").partition("?")
    return WebSocketURI(address.scheme == "https", address.host.strip("[]"), address.port, path, query)


async def _shake_hands(connection: ClientConnection, headers: Headers, seconds: float) -> None:
    """Send the request, and judge the answer. Only the class of what went wrong is told: its text quotes what was sent.

    A field that would end its line early never leaves (ATK-37).
    """
    if any({0x0D, 0x0A, 0x00} & {*value} for _, value in headers):
        raise ResourceAPIUnavailable("a field holds a byte that no field has")
    ours = [(name.decode("ascii"), value.decode("latin-1")) for name, value in headers if name != b"host"]
    try:
        async with asyncio.timeout(seconds):
            await connection.handshake(ours, None)
    except InvalidStatus as answered:
        response = answered.response
        raise HandshakeAnswered(
            response.status_code,
            [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in response.headers.raw_items()],
            bytes(response.body or b""),
        ) from None
    except TimeoutError:
        raise ResourceAPITimeout(f"no handshake within {seconds} s") from None
    except (InvalidHandshake, InvalidMessage, EOFError, OSError) as error:
        raise ResourceAPIUnavailable(type(error).__name__) from None
    connection.start_keepalive()
