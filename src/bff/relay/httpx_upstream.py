"""Upstream on httpx (``[relay] upstream = "httpx"``): the reference implementation, the fallback, the judge of ours.

The transport is called directly: an ``AsyncClient`` would keep cookies (one person's would be sent with another's
call), follow redirects and decompress.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from typing import cast

import httpx

from bff.errors import ResourceAPIBusy, ResourceAPITimeout, ResourceAPIUnavailable
from bff.relay.event_stream import is_event_stream
from bff.relay.request_body import RequestBody
from bff.relay.route import Route
from bff.relay.upstream import (
    FINAL_STATUSES,
    MAX_CONNECT_SECONDS,
    MAX_CONNECTIONS,
    MAX_HEAD_BYTES,
    MAX_HEAD_FIELDS,
    UpstreamRequest,
    UpstreamResponse,
    framing,
    trust,
)


class HttpxUpstream:
    """Upstream on httpx 0.28: the reference implementation, one transport per scheme and ``ca_file``.

    A connection serves one call. httpcore leaves bytes that follow a response in its buffer and reads them as the
    answer to the next call, which may be another person's; so no connection is ever used again.
    """

    def __init__(
        self, *, transport: httpx.AsyncBaseTransport | None = None, max_connections: int = MAX_CONNECTIONS
    ) -> None:
        """``transport`` replaces every transport of ours, and stays its owner's to close."""
        self._given, self._cap = transport, max_connections
        self._transports: dict[tuple[str, Path | None], httpx.AsyncHTTPTransport] = {}

    @asynccontextmanager
    async def exchange(self, route: Route, request: UpstreamRequest) -> AsyncIterator[UpstreamResponse]:
        """Send, and yield the response once its head has come (see Upstream)."""
        connect = min(route.timeout, MAX_CONNECT_SECONDS)
        limits = {"connect": connect, "pool": connect, "read": route.timeout, "write": route.timeout}
        response = await self._answer(route, request, limits)
        try:
            _refuse_broken_head(response)
            if is_event_stream(response.headers.raw):
                limits["read"] = route.stream_idle  # httpcore looks at this very dictionary when it reads the body
            async with aclosing(_body(response)) as body:
                headers = [(name.lower(), value) for name, value in response.headers.raw]
                yield UpstreamResponse(status=response.status_code, headers=headers, body=body)
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        for transport in self._transports.values():
            await transport.aclose()

    async def _answer(self, route: Route, request: UpstreamRequest, limits: dict[str, float]) -> httpx.Response:
        transport = self._given or self._transport_of(route)
        with _translated():
            try:
                async with asyncio.timeout(None) as deadline:
                    outgoing = _Outgoing(request.body, deadline, route.timeout)
                    return await transport.handle_async_request(_httpx_request(route, request, outgoing, limits))
            except TimeoutError:
                raise ResourceAPITimeout(f"no response within {route.timeout} s") from None

    def _transport_of(self, route: Route) -> httpx.AsyncHTTPTransport:
        key = (route.address.scheme, route.ca_file)
        found = self._transports.get(key)
        if found is None:
            found = self._transports[key] = httpx.AsyncHTTPTransport(
                verify=trust(route.address.scheme, route.ca_file),
                trust_env=False,
                limits=httpx.Limits(max_connections=self._cap, max_keepalive_connections=0),
            )
        return found


class _Outgoing(httpx.AsyncByteStream):
    """The request's body as httpx takes it. When all of it is sent, the upstream owes an answer within ``seconds``."""

    def __init__(self, body: RequestBody | None, deadline: asyncio.Timeout, seconds: float) -> None:
        self._body = body
        self._deadline = deadline
        self._seconds = seconds

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._body is not None:
            async for block in self._body:
                yield block
        self._deadline.reschedule(asyncio.get_running_loop().time() + self._seconds)


def _httpx_request(
    route: Route, request: UpstreamRequest, outgoing: _Outgoing, limits: dict[str, float]
) -> httpx.Request:
    address = route.address
    return httpx.Request(
        request.method,
        httpx.URL(scheme=address.scheme, host=address.host, port=address.port, raw_path=request.target),
        headers=[*request.headers, *framing(request), (b"connection", b"close")],
        stream=outgoing,
        extensions={
            "timeout": limits,
            "target": request.target,  # byte for byte: httpx.URL re-quotes
        },
    )


def _refuse_broken_head(response: httpx.Response) -> None:
    """Refuse what h11 lets through and two readers could frame in two ways (RFC 9112 6.1, 6.3)."""
    fields = [(name.lower(), value) for name, value in response.headers.raw]
    version = response.extensions.get("http_version", b"HTTP/1.1")
    codings = [value.strip().lower() for name, value in fields if name == b"transfer-encoding"]
    if version not in {b"HTTP/1.1", b"HTTP/1.0"} or response.status_code not in FINAL_STATUSES:
        raise ResourceAPIUnavailable("another version of HTTP, or no final status")
    if codings and (codings != [b"chunked"] or version == b"HTTP/1.0"):
        raise ResourceAPIUnavailable("a transfer coding that is not exactly chunked")
    if codings and any(name == b"content-length" for name, _ in fields):
        raise ResourceAPIUnavailable("the response is framed in two ways")
    if len(fields) > MAX_HEAD_FIELDS or sum(len(name) + len(value) + 4 for name, value in fields) > MAX_HEAD_BYTES:
        raise ResourceAPIUnavailable("the response head is too large")


async def _body(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    with _translated():
        async for block in cast("httpx.AsyncByteStream", response.stream):
            yield block


@contextmanager
def _translated() -> Iterator[None]:
    """Translate httpx's exceptions. Only their class is told: h11 quotes header values, the token among them."""
    try:
        yield
    except httpx.PoolTimeout:
        raise ResourceAPIBusy("no connection came free") from None
    except httpx.ConnectTimeout as error:
        raise ResourceAPIUnavailable(type(error).__name__) from None
    except httpx.TimeoutException as error:
        raise ResourceAPITimeout(type(error).__name__) from None
    except httpx.TransportError as error:
        raise ResourceAPIUnavailable(type(error).__name__) from None
