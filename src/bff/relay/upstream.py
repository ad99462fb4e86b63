"""The only door from the relay to an upstream: one request, one response, both streamed, both framed by us.

``Upstream`` is the contract. ``HttptoolsUpstream`` keeps it on sockets of our own, ``HttpxUpstream`` on httpx's
transport; one suite holds both to it.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final, Protocol

import httpx
from msgspec import Struct
from msgspec.structs import replace

from bff.relay.headers import Headers
from bff.relay.request_body import RequestBody
from bff.relay.route import Route

MAX_CONNECTIONS: Final = 512
MAX_CONNECT_SECONDS: Final = 5.0
MAX_HEAD_BYTES: Final = 32 * 1024
MAX_HEAD_FIELDS: Final = 100
FINAL_STATUSES: Final = range(200, 600)
_EXPECT_A_BODY: Final = frozenset({"POST", "PUT", "PATCH"})


class UpstreamRequest(Struct, frozen=True, kw_only=True):
    """``target`` is path and query as they go on the wire; ``headers`` are complete but for the framing."""

    method: str
    target: bytes
    headers: Headers
    body: RequestBody | None = None

    def __repr__(self) -> str:
        """Tell no header: one of them is the token."""
        return f"UpstreamRequest({self.method})"


class UpstreamResponse(Struct, frozen=True, kw_only=True):
    """A head that obeys RFC 9112, its names in lower case, and its body as it comes: encoded as the upstream did.

    ``whole`` is the entire body where all of it came with the head: then ``body`` need not be read.
    ``request_under_way``: the request's body is still being sent; whoever reads it hears of the browser's departure.
    """

    status: int
    headers: Headers
    body: AsyncIterator[bytes]
    whole: bytes | None = None
    request_under_way: bool = False

    def __repr__(self) -> str:
        """Tell no header and no body."""
        return f"UpstreamResponse({self.status})"


class Upstream(Protocol):
    """One call of an upstream. Leaving the block closes what is not finished."""

    def exchange(self, route: Route, request: UpstreamRequest) -> AbstractAsyncContextManager[UpstreamResponse]:
        """Send, and yield the response once its head has come.

        Raises ResourceAPIUnavailable (not reached, or HTTP broken), ResourceAPITimeout (reached, silent for
        ``route.timeout`` seconds) and ResourceAPIBusy (no connection came free), here and while the body is read; what
        the request's body raises passes through.
        """
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


def with_token(request: UpstreamRequest, token: str) -> UpstreamRequest:
    """The same request, with another token."""
    kept = [field for field in request.headers if field[0] != b"authorization"]
    return replace(request, headers=[*kept, (b"authorization", b"Bearer " + token.encode("ascii"))])


def framing(request: UpstreamRequest) -> Headers:
    """Our own framing of the request (RFC 9112 6): a declared length, or chunks."""
    if request.body is None:
        return [(b"content-length", b"0")] if request.method in _EXPECT_A_BODY else []
    if request.body.length is None:
        return [(b"transfer-encoding", b"chunked")]
    return [(b"content-length", b"%d" % request.body.length)]


def trust(scheme: str, ca_file: Path | None) -> ssl.SSLContext:
    """Whom a TLS upstream must be certified by: ``ca_file`` alone, or else the public authorities that httpx knows."""
    if scheme == "http":
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody, and is quick to make
    return ssl.create_default_context(cafile=ca_file) if ca_file else httpx.create_ssl_context(trust_env=False)
