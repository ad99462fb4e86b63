"""Upstream on sockets of our own: HTTP/1.1 on asyncio and httptools, framed by us in both directions (rule F35)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Final

from msgspec import Struct

from bff.clock import Clock, SystemClock
from bff.errors import ResourceAPIUnavailable
from bff.relay.connection import UpstreamConnection
from bff.relay.event_stream import is_event_stream
from bff.relay.headers import ends_a_line
from bff.relay.pool import ConnectionPool
from bff.relay.request_body import RequestBody
from bff.relay.response_reader import ResponseReader
from bff.relay.route import Route
from bff.relay.upstream import (
    MAX_CONNECT_SECONDS,
    MAX_CONNECTIONS,
    UpstreamRequest,
    UpstreamResponse,
    framing,
    trust,
)

_REPEATABLE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_Origin = tuple[str, str, int, Path | None]


class HttptoolsUpstream:
    """The default Upstream. One pool an origin and ``ca_file``, each with at most ``max_connections``."""

    def __init__(self, clock: Clock | None = None, *, max_connections: int = MAX_CONNECTIONS) -> None:
        self._clock = clock or SystemClock()
        self._cap = max_connections
        self._pools: dict[_Origin, ConnectionPool] = {}

    def exchange(self, route: Route, request: UpstreamRequest) -> Exchange:
        """Send, and yield the response once its head has come (see Upstream)."""
        return Exchange(self.pool_of(route), route, request)

    async def aclose(self) -> None:
        """Close every connection."""
        for pool in self._pools.values():
            pool.close()

    def pool_of(self, route: Route) -> ConnectionPool:
        """The connections to this route's upstream."""
        pool = self._pools.get(route.upstream_key)
        if pool is None:
            address = route.address
            tls = trust(address.scheme, route.ca_file) if address.scheme == "https" else None
            pool = self._pools[route.upstream_key] = ConnectionPool(address, tls, self._clock.monotonic, cap=self._cap)
        return pool


class Exchange(Struct, eq=False):
    """One request and its response on one connection; also the iterator over the response's body."""

    _pool: ConnectionPool
    _route: Route
    _request: UpstreamRequest
    _connection: UpstreamConnection | None = None
    _sending: asyncio.Task[None] | None = None
    _is_stream: bool = False

    async def __aenter__(self) -> UpstreamResponse:
        """Send, and wait for the head."""
        head = _head(self._request)
        try:
            connection = self._pool.kept() or await self._pool.take(self._connect_seconds)
            try:
                reader = self._ask(connection, head)
                await connection.until_begun(reader)
            except ResourceAPIUnavailable:
                if not self._may_repeat(connection):
                    raise
                self._leave()
                connection = await self._pool.take(self._connect_seconds, fresh=True)
                reader = self._ask(connection, head)
                await connection.until_begun(reader)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        whole = self._connection.take() if self._connection is not None and reader.complete else None
        if whole is None and is_event_stream(reader.headers):
            self._is_stream = True
        sending = self._sending is not None and not self._sending.done()
        return UpstreamResponse(
            status=reader.status, headers=reader.headers, body=self, whole=whole, request_under_way=sending
        )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the connection back where request and response are whole; else it is closed."""
        sending = self._sending
        self._leave()
        if sending is not None and not sending.done():
            sending.cancel()
            await asyncio.wait({sending})

    @property
    def _connect_seconds(self) -> float:
        return min(self._route.timeout, MAX_CONNECT_SECONDS)

    def __aiter__(self) -> Exchange:
        return self

    async def __anext__(self) -> bytes:
        """The next bytes of the body."""
        if self._connection is None:
            raise StopAsyncIteration
        block = await self._connection.block(self._route.stream_idle if self._is_stream else self._route.timeout)
        if not block:
            raise StopAsyncIteration
        return block

    def _ask(self, connection: UpstreamConnection, head: bytes) -> ResponseReader:
        self._connection = connection
        reader = connection.begin(self._request.method, head)
        if self._request.body is None:
            connection.wrote(self._route.timeout)
        else:
            self._sending = asyncio.create_task(self._send(connection, self._request.body))
            self._sending.add_done_callback(lambda sending: self._sent(sending, connection))
        return reader

    async def _send(self, connection: UpstreamConnection, body: RequestBody) -> None:
        """Send the body beside the response, which may begin, and end, before all of it is sent (RFC 9112 9.5)."""
        chunked, seconds = body.length is None, self._route.timeout
        async for block in body:
            await connection.send(b"%x\r\n%b\r\n" % (len(block), block) if chunked else block, seconds)
        if chunked:
            await connection.send(b"0\r\n\r\n", seconds)

    def _sent(self, sending: asyncio.Task[None], connection: UpstreamConnection) -> None:
        """Hear how the body ended: from here on the upstream owes an answer, or nothing is to be had from it."""
        error = None if sending.cancelled() else sending.exception()
        if isinstance(error, Exception):
            connection.fail(error)
        elif not sending.cancelled():
            connection.wrote(self._route.timeout)

    def _may_repeat(self, connection: UpstreamConnection) -> bool:
        """Rule F39: only what changes nothing, and was asked on a connection that the upstream had given up."""
        return connection.untouched and self._request.method in _REPEATABLE and self._request.body is None

    def _leave(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.give_back(connection)


def _head(request: UpstreamRequest) -> bytes:
    """The request's head. A field that would end its line early never leaves (ATK-37)."""
    lines = [b"%b %b HTTP/1.1" % (request.method.encode("ascii"), request.target)]
    lines += map(b": ".join, request.headers)
    lines += map(b": ".join, framing(request))
    if ends_a_line(b"".join(lines)):
        raise ResourceAPIUnavailable("a field holds a byte that no field has")
    lines.append(b"\r\n")
    return b"\r\n".join(lines)
