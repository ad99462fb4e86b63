"""An upstream that speaks bytes over a loopback socket, and misbehaves by name.

    async with RawUpstream(echo) as upstream:                       # tells, as JSON, what it received
    async with RawUpstream(says(FRAMING_FAULTS["CL and TE"])) as upstream:
    async with RawUpstream(stalls_before_its_head) as upstream:

``upstream.url`` is its origin, ``upstream.received`` what came, byte for byte (``arrived`` is set with the first);
``gone`` is set when a connection has ended, ``broken`` when one ended inside a request.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

LONG: Final = 30.0


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came."""

    head: bytes
    body: bytes

    @property
    def method(self) -> str:
        return self.head.split(b" ", 1)[0].decode()

    @property
    def target(self) -> bytes:
        return self.head.split(b" ", 2)[1]

    @property
    def fields(self) -> list[tuple[str, str]]:
        """Names in lower case, in order, with repetitions."""
        lines = self.head.split(b"\r\n")[1:-2]
        pairs = [line.split(b":", 1) for line in lines]
        return [(name.decode("latin-1").lower(), value.strip().decode("latin-1")) for name, value in pairs]

    def all_of(self, name: str) -> list[str]:
        """Every value of one field."""
        return [value for found, value in self.fields if found == name]


Act = Callable[[Received, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class RawUpstream:
    """Serves every connection with one act. With ``reads_body=False`` the act begins when the head has come."""

    act: Act
    reads_body: bool = True
    tls: ssl.SSLContext | None = None
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    broken: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0
    _server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(ConnectionError, asyncio.CancelledError):
            try:
                while not writer.is_closing():
                    await self._one(reader, writer)
            except asyncio.IncompleteReadError as error:
                if error.partial:
                    self.broken.set()
            finally:
                self.gone.set()
                writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        request = Received(head, b"")
        if self.reads_body:
            try:
                request = Received(head, await _read_body(request, reader))
            except asyncio.IncompleteReadError:
                self.broken.set()
                raise
        self.received.append(request)
        self.arrived.set()
        await self.act(request, reader, writer)
        await writer.drain()


async def _read_body(request: Received, reader: asyncio.StreamReader) -> bytes:
    """Read a body as RFC 9112 6 frames it; the strictness is the point."""
    if request.all_of("transfer-encoding"):
        body = b""
        while size := int((await reader.readuntil(b"\r\n"))[:-2], 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
        return body
    lengths = request.all_of("content-length")
    return await reader.readexactly(int(lengths[0])) if lengths else b""


def says(raw: bytes, *, closes: bool = False) -> Act:
    """Answer every request with exactly these bytes."""

    async def act(_: Received, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        if closes:
            writer.close()

    return act


def response(
    body: bytes = b"{}", *fields: bytes, status: bytes = b"200 OK", kind: bytes = b"application/json"
) -> bytes:
    """Return a well-formed response with these extra field lines."""
    lines = [b"HTTP/1.1 " + status, b"Content-Type: " + kind, b"Content-Length: %d" % len(body), *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


async def echo(request: Received, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Tell what arrived."""
    told = {
        "method": request.method,
        "target": request.target.decode("latin-1"),
        "fields": request.fields,
        "body": request.body.decode("latin-1"),
    }
    writer.write(response(json.dumps(told).encode()))


async def stalls_before_its_head(_: Received, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    """Take the request and say nothing until the peer leaves."""
    await reader.read()


async def stalls_in_its_head(_: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Begin a head and never end it."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-")
    await reader.read()


async def drips_its_head(_: Received, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a head for ever, one byte at a time."""
    writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not writer.is_closing():
        writer.write(b"a")
        await writer.drain()
        await asyncio.sleep(0.02)


async def stalls_in_its_body(_: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send half of what was promised."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\nhalf.")
    await reader.read()


async def closes_before_its_head(_: Received, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take the request and hang up."""
    writer.close()


async def closes_in_its_body(_: Received, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hang up in the middle of a declared length."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\nhalf.")
    await writer.drain()
    writer.close()


async def closes_in_a_chunk(_: Received, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hang up before the last chunk."""
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf.\r\n"
    )
    await writer.drain()
    writer.close()


async def breaks_a_chunk(_: Received, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a chunk size that is none, behind a good chunk."""
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf.\r\nzz\r\n"
    )


async def never_reads(_: Received, __: asyncio.StreamReader, ___: asyncio.StreamWriter) -> None:
    """Leave the request's body in the socket (use with ``reads_body=False``)."""
    await asyncio.sleep(LONG)


async def refuses_early(_: Received, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer 413 as soon as the head has come, and close (use with ``reads_body=False``)."""
    writer.write(response(b'{"title":"too large"}', b"Connection: close", status=b"413 Content Too Large"))
    await writer.drain()
    writer.close()


def trickles(*blocks: bytes, pause: float = 0.05) -> Act:
    """Send a chunked body of these blocks, one after the other."""

    async def act(_: Received, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for block in blocks:
            writer.write(b"%x\r\n%b\r\n" % (len(block), block))
            await writer.drain()
            await asyncio.sleep(pause)
        writer.write(b"0\r\n\r\n")

    return act


_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_CHUNKS = b"2\r\n{}\r\n0\r\n\r\n"

FRAMING_FAULTS: Final = {
    "CL and TE": _OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n" + _CHUNKS,
    "gzip, chunked": _OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + _CHUNKS,
    "chunked, identity": _OK + b"Transfer-Encoding: chunked, identity\r\n\r\n" + _CHUNKS,
    "two TE": _OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + _CHUNKS,
    "xchunked": _OK + b"Transfer-Encoding: xchunked\r\n\r\n" + _CHUNKS,
    "TE in 1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + _CHUNKS,
    "two CL": _OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    "CL with sign": _OK + b"Content-Length: +2\r\n\r\n{}",
    "CL negative": _OK + b"Content-Length: -2\r\n\r\n{}",
    "CL in hexadecimal": _OK + b"Content-Length: 0x2\r\n\r\n{}",
    "CL empty": _OK + b"Content-Length:\r\n\r\n{}",
    "CL as a list that differs": _OK + b"Content-Length: 2, 3\r\n\r\n{} ",
    "CL no number": _OK + b"Content-Length: two\r\n\r\n{}",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "status 101": b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: evil\r\n\r\nevil",
    "status 101 behind an interim one": b"HTTP/1.1 103 Early Hints\r\n\r\n"
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: evil\r\n\r\nevil",
    "status 600 behind an interim one": b"HTTP/1.1 103 Early Hints\r\n\r\n"
    b"HTTP/1.1 600 Odd\r\nContent-Length: 2\r\n\r\n{}",
    "a status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\n{}",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\n{}",
    "nothing but interim ones": (b"HTTP/1.1 103 Early Hints\r\nLink: </" + b"x" * 1000 + b">\r\n\r\n") * 70,
    "status 600": b"HTTP/1.1 600 Odd\r\nContent-Length: 2\r\n\r\n{}",
    "status 099": b"HTTP/1.1 099 Odd\r\nContent-Length: 2\r\n\r\n{}",
    "no colon": _OK + b"X-A\r\nContent-Length: 2\r\n\r\n{}",
    "no name": _OK + b": a\r\nContent-Length: 2\r\n\r\n{}",
    "bare CR": _OK + b"X-A: a\rX-B: b\r\nContent-Length: 2\r\n\r\n{}",
    "space in name": _OK + b"X-A : b\r\nContent-Length: 2\r\n\r\n{}",
    "NUL in value": _OK + b"X-A: a\x00b\r\nContent-Length: 2\r\n\r\n{}",
    "control in a value that crosses": _OK + b'ETag: "a\x01b"\r\nContent-Length: 2\r\n\r\n{}',
    "two content types": _OK + b"Content-Type: text/html\r\nContent-Length: 2\r\n\r\n{}",
    "not HTTP": b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    "a huge value": _OK + b"X-A: " + b"a" * 40_000 + b"\r\nContent-Length: 2\r\n\r\n{}",
    "a huge value that never ends": _OK + b"X-A: " + b"a" * 200_000,
    "many fields": _OK + b"".join(b"X%d: y\r\n" % n for n in range(101)) + b"Content-Length: 2\r\n\r\n{}",
}

TWO_RESPONSES: Final = response(b'{"of":"mine"}') + response(b'{"of":"another person"}')

PLANTED: Final = (
    b"Set-Cookie: __Host-Http-bff=EVIL; Path=/; Secure; HttpOnly",
    b"Set-Cookie2: a=b",
    b'Clear-Site-Data: "cookies"',
    b"Access-Control-Allow-Origin: *",
    b"Access-Control-Allow-Credentials: true",
    b"Service-Worker-Allowed: /",
    b"Strict-Transport-Security: max-age=0",
    b'Alt-Svc: h2="evil:443"',
    b"Content-Security-Policy: default-src *",
    b"Content-Security-Policy-Report-Only: default-src *; report-uri //evil",
    b"X-Accel-Redirect: /internal",
    b"X-Sendfile: /etc/passwd",
    b"Refresh: 0;url=//evil",
    b'Link: <//evil/x.css>; rel="stylesheet"',
    b"NEL: {}",
    b"Report-To: {}",
    b'Speculation-Rules: "/evil.json"',
    b"WWW-Authenticate: Basic realm=x",
    b"WWW-Authenticate: Negotiate",
    b"Cache-Control: public, max-age=31536000",
    b"Cross-Origin-Resource-Policy: cross-origin",
    b"Content-Location: http://internal/x",
    b"Server: secret/1.0",
    b"X-Powered-By: Express",
    b"Sourcemap: //evil",
    b"Permissions-Policy: camera=*",
)
"""Field lines that would act on our whole origin, or tell of the inside."""
