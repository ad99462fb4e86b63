"""The only door from the relay to an upstream: one request, one response, both streamed, both framed by us.

``Upstream`` is the contract; ``HttpxUpstream`` keeps it on httpx's transport. The transport is called directly: an
``AsyncClient`` would keep cookies (one person's would be sent with another's call), follow redirects and decompress.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, cast

import httpx

from bff.errors import ResourceAPITimeout, ResourceAPIUnavailable
from bff.relay.headers import Headers
from bff.relay.request_body import RequestBody
from bff.relay.route import Route

MAX_CONNECTIONS: Final = 256
MAX_CONNECT_SECONDS: Final = 5.0
MAX_HEAD_BYTES: Final = 32 * 1024
MAX_HEAD_FIELDS: Final = 100
_FINAL_STATUSES: Final = range(200, 600)
_EXPECT_A_BODY: Final = frozenset({"POST", "PUT", "PATCH"})


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamRequest:
    """``target`` is path and query as they go on the wire; ``headers`` are complete but for the framing."""

    method: str
    target: bytes
    headers: Headers = field(repr=False)
    body: RequestBody | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamResponse:
    """A head that obeys RFC 9112, and its body as it comes: encoded as the upstream encoded it."""

    status: int
    headers: Headers = field(repr=False)
    body: AsyncIterator[bytes] = field(repr=False)


class Upstream(Protocol):
    """One call of an upstream. Leaving the block closes what is not finished."""

    def exchange(self, route: Route, request: UpstreamRequest) -> AbstractAsyncContextManager[UpstreamResponse]:
        """Send, and yield the response once its head has come.

        Raises ResourceAPIUnavailable (not reached, or HTTP broken) and ResourceAPITimeout (reached, silent for
        ``route.timeout`` seconds), here and while the body is read; what the request's body raises passes through.
        """
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


class HttpxUpstream:
    """Upstream on httpx 0.28: the reference implementation, one transport per scheme and ``ca_file``.

    A connection serves one call. httpcore leaves bytes that follow a response in its buffer and reads them as the
    answer to the next call, which may be another person's; so no connection is ever used again.
    """

    def __init__(self, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """``transport`` replaces every transport of ours, and stays its owner's to close."""
        self._given = transport
        self._transports: dict[tuple[str, Path | None], httpx.AsyncHTTPTransport] = {}

    @asynccontextmanager
    async def exchange(self, route: Route, request: UpstreamRequest) -> AsyncIterator[UpstreamResponse]:
        """Send, and yield the response once its head has come (see Upstream)."""
        response = await self._answer(route, request)
        try:
            _refuse_broken_head(response)
            async with aclosing(_body(response)) as body:
                yield UpstreamResponse(status=response.status_code, headers=response.headers.raw, body=body)
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        for transport in self._transports.values():
            await transport.aclose()

    async def _answer(self, route: Route, request: UpstreamRequest) -> httpx.Response:
        transport = self._given or self._transport_of(route)
        with _translated():
            try:
                async with asyncio.timeout(None) as deadline:
                    outgoing = _Outgoing(request.body, deadline, route.timeout)
                    return await transport.handle_async_request(_httpx_request(route, request, outgoing))
            except TimeoutError:
                raise ResourceAPITimeout(f"no response within {route.timeout} s") from None

    def _transport_of(self, route: Route) -> httpx.AsyncHTTPTransport:
        key = (route.address.scheme, route.ca_file)
        found = self._transports.get(key)
        if found is None:
            found = self._transports[key] = httpx.AsyncHTTPTransport(
                verify=_trust(route),
                trust_env=False,
                limits=httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=0),
            )
        return found


def _trust(route: Route) -> ssl.SSLContext:
    """Whom a TLS upstream must be certified by: ``ca_file`` alone, or else the public authorities."""
    if route.address.scheme == "http":
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody, and is quick to make
    return (
        ssl.create_default_context(cafile=route.ca_file) if route.ca_file else httpx.create_ssl_context(trust_env=False)
    )


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


def _httpx_request(route: Route, request: UpstreamRequest, outgoing: _Outgoing) -> httpx.Request:
    address, seconds = route.address, route.timeout
    connect = min(seconds, MAX_CONNECT_SECONDS)
    return httpx.Request(
        request.method,
        httpx.URL(scheme=address.scheme, host=address.host, port=address.port, raw_path=request.target),
        headers=[*request.headers, *_framing(request), (b"connection", b"close")],
        stream=outgoing,
        extensions={
            "timeout": {"connect": connect, "pool": connect, "read": seconds, "write": seconds},
            "target": request.target,  # byte for byte: httpx.URL re-quotes
        },
    )


def _framing(request: UpstreamRequest) -> Headers:
    """Our own framing of the request (RFC 9112 6): a declared length, or chunks."""
    if request.body is None:
        return [(b"content-length", b"0")] if request.method in _EXPECT_A_BODY else []
    if request.body.length is None:
        return [(b"transfer-encoding", b"chunked")]
    return [(b"content-length", b"%d" % request.body.length)]


def _refuse_broken_head(response: httpx.Response) -> None:
    """Refuse what h11 lets through and two readers could frame in two ways (RFC 9112 6.1, 6.3)."""
    fields = [(name.lower(), value) for name, value in response.headers.raw]
    version = response.extensions.get("http_version", b"HTTP/1.1")
    codings = [value.strip().lower() for name, value in fields if name == b"transfer-encoding"]
    if version not in {b"HTTP/1.1", b"HTTP/1.0"} or response.status_code not in _FINAL_STATUSES:
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
    except (httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise ResourceAPIUnavailable(type(error).__name__) from None
    except httpx.TimeoutException as error:
        raise ResourceAPITimeout(type(error).__name__) from None
    except httpx.TransportError as error:
        raise ResourceAPIUnavailable(type(error).__name__) from None
