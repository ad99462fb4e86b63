"""A browser's side of the wire that speaks bytes over a loopback socket, and misbehaves by name.

    visitor = Visitor(port, cookie)
    visitor.says(FRAMING_FAULTS["CL and TE"].request(visitor))      # every byte that came back
    STALLS["in the head"].begin(visitor)                            # an open socket on which nothing follows

Each fault carries the status that the rules owe it.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

PATIENCE: Final = 5.0
HOST: Final = b"Host: localhost:3000\r\n"
LAST: Final = b"Connection: close\r\n"
CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"
_MANY: Final = 101
_LARGE: Final = 40_000


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who is signed in: a port, and the Cookie field of a session."""

    port: int
    cookie: bytes = field(repr=False)

    @property
    def page(self) -> bytes:
        """The field lines of our own page's calls, Host left out."""
        return b"X-CSRF: 1\r\nSec-Fetch-Site: same-origin\r\nCookie: " + self.cookie + b"\r\n"

    def head(self, start: bytes, fields: bytes = b"", *, host: bytes = HOST) -> bytes:
        """A request's head."""
        return start + b"\r\n" + host + self.page + fields + b"\r\n"

    def connect(self, *, receives: int | None = None) -> socket.socket:
        """A socket of one's own; ``receives`` bounds what the kernel takes for a reader who is slow."""
        peer = socket.socket()
        if receives is not None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
        peer.settimeout(PATIENCE)
        peer.connect(("127.0.0.1", self.port))
        return peer

    def says(self, raw: bytes) -> bytes:
        """Send these bytes, and read until the server closes."""
        with self.connect() as peer:
            peer.sendall(raw)
            return read_all(peer)

    def asks(self, path: bytes = b"/api/echo") -> Echoed:
        """A call as our own page makes it."""
        return echoed(self.says(self.head(b"GET " + path + b" HTTP/1.1", LAST)))


@dataclass(frozen=True, slots=True)
class Echoed:
    """What the upstream tells of a request that reached it."""

    status: int
    told: Mapping[str, Any]

    @property
    def token(self) -> str:
        """The bearer token that came with it."""
        (value,) = [value for name, value in self.told["fields"] if name == "authorization"]
        return str(value).removeprefix("Bearer ")


def read_all(peer: socket.socket) -> bytes:
    """Every byte until the server closes, in whatever way."""
    received = bytearray()
    try:
        while block := peer.recv(65536):
            received += block
    except ConnectionResetError:
        pass
    return bytes(received)


def status_of(answer: bytes) -> int:
    """The status of the first response, 0 where none came."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def echoed(answer: bytes) -> Echoed:
    """What an answer of ``echo`` tells."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return Echoed(status_of(head), json.loads(body) if status_of(head) == 200 else {})


def resets(peer: socket.socket) -> None:
    """Leave as a killed browser does: with RST, whatever is under way."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One request that breaks HTTP, or one of its limits. ``status`` is what it is answered."""

    status: int
    start: bytes = b"POST /api/fault HTTP/1.1"
    fields: bytes = b""
    body: bytes = b""
    host: bytes = HOST

    def request(self, visitor: Visitor) -> bytes:
        """The bytes, with everything right but this fault."""
        return visitor.head(self.start, self.fields, host=self.host) + self.body


def _field(line: bytes, *, status: int = 400, body: bytes = b"") -> Fault:
    return Fault(status=status, fields=line + b"\r\n", body=body)


def _target(start: bytes, *, status: int = 400, host: bytes = HOST) -> Fault:
    return Fault(status=status, start=start, host=host)


def _chunk(body: bytes) -> Fault:
    return Fault(status=400, fields=CHUNKED, body=body)


_ONE_CHUNK = b"5\r\nhello\r\n0\r\n\r\n"

FRAMING_FAULTS: Final = {
    "CL and TE": Fault(status=400, fields=b"Content-Length: 5\r\n" + CHUNKED, body=_ONE_CHUNK),
    "TE and CL": Fault(status=400, fields=CHUNKED + b"Content-Length: 5\r\n", body=_ONE_CHUNK),
    "two TE": Fault(status=400, fields=CHUNKED + CHUNKED, body=_ONE_CHUNK),
    "gzip, chunked": _field(b"Transfer-Encoding: gzip, chunked", body=_ONE_CHUNK),
    "chunked, identity": _field(b"Transfer-Encoding: chunked, identity", body=_ONE_CHUNK),
    "xchunked": _field(b"Transfer-Encoding: xchunked", body=_ONE_CHUNK),
    "TE in 1.0": Fault(status=400, start=b"POST /api/fault HTTP/1.0", fields=CHUNKED, body=_ONE_CHUNK),
    "two CL that differ": _field(b"Content-Length: 5\r\nContent-Length: 6", body=b"hello"),
    "two CL that agree": _field(b"Content-Length: 5\r\nContent-Length: 5", body=b"hello"),
    "CL as a list": _field(b"Content-Length: 5, 5", body=b"hello"),
    "CL with a sign": _field(b"Content-Length: +5", body=b"hello"),
    "CL in hexadecimal": _field(b"Content-Length: 0x5", body=b"hello"),
    "CL without end": _field(b"Content-Length: 99999999999999999999"),
    "chunk size with a sign": _chunk(b"+5\r\nhello\r\n0\r\n\r\n"),
    "chunk size with 0x": _chunk(b"0x5\r\nhello\r\n0\r\n\r\n"),
    "chunk size that is none": _chunk(b"zz\r\nhello\r\n0\r\n\r\n"),
    "chunk longer than its size": _chunk(b"3\r\nhello\r\n0\r\n\r\n"),
    "chunk line that ends in LF": _chunk(b"5\nhello\n0\n\n"),
    "a broken chunk behind a good one": _chunk(b"5\r\nhello\r\nzz\r\n"),
    "obs-fold": _field(b"X-A: a\r\n b"),
    "bare LF": _field(b"X-A: a\nX-B: b"),
    "bare CR": _field(b"X-A: a\rX-B: b"),
    "NUL in a value": _field(b"X-A: a\x00b"),
    "control in a name": _field(b"X\x01A: a"),
    "space before the colon": _field(b"X-A : a"),
    "no name": _field(b": a"),
    "no colon": _field(b"X-A"),
    "absolute-form": _target(b"GET http://evil.example/api/fault HTTP/1.1"),
    "absolute-form of ours": _target(b"GET http://localhost:3000/api/fault HTTP/1.1"),
    "asterisk-form": _target(b"OPTIONS * HTTP/1.1"),
    "authority-form": _target(b"CONNECT evil.example:443 HTTP/1.1"),
    "a target with a space": _target(b"GET /api/fault more HTTP/1.1"),
    "a target with a fragment": _target(b"GET /api/fault#x HTTP/1.1"),
    "a path with two readings": Fault(status=400, start=b"GET /api/%2e%2e/fault HTTP/1.1", fields=LAST),
    "no Host": _target(b"GET /api/fault HTTP/1.1", host=b""),
    "two Hosts": _target(b"GET /api/fault HTTP/1.1", host=HOST + b"Host: evil.example\r\n"),
    "another Host": _target(b"GET /api/fault HTTP/1.1", host=b"Host: evil.example\r\n" + LAST, status=421),
    "HTTP/2.0": _target(b"GET /api/fault HTTP/2.0", status=505),
    "not HTTP": Fault(status=400, start=b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "a huge value": Fault(status=431, fields=b"X-A: " + b"a" * _LARGE + b"\r\n"),
    "a huge value that never ends": Fault(status=431, fields=b"X-A: " + b"a" * 2 * _LARGE),
    "a huge target": _target(b"GET /api/" + b"a" * _LARGE + b" HTTP/1.1", status=431),
    "101 fields": Fault(status=431, fields=b"".join(b"X-%d: y\r\n" % n for n in range(_MANY))),
    "an upgrade to h2c": Fault(
        status=400, start=b"GET /api/fault HTTP/1.1", fields=b"Connection: upgrade\r\nUpgrade: h2c\r\n" + LAST
    ),
    "a nominated field that carries security": _field(b"Connection: close, authorization"),
    "a signal twice": Fault(status=400, start=b"GET /api/fault HTTP/1.1", fields=b"X-CSRF: 1\r\n" + LAST),
    "a declared body above the limit": Fault(status=413, fields=b"Content-Length: 2000000\r\n" + LAST, body=b"x"),
    "a chunked body above the limit": Fault(
        status=413, fields=CHUNKED + LAST, body=(b"fa000\r\n" + b"x" * 0xFA000 + b"\r\n") * 2
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A request that goes so far and no further. ``status`` is what a browser that stays is answered."""

    status: int
    start: bytes = b"POST /api/stop HTTP/1.1"
    fields: bytes = b"Content-Length: 100000\r\n"
    body: bytes = b""
    ends_in_head: bool = False

    def begin(self, visitor: Visitor) -> socket.socket:
        """Send what is sent; the socket stays open."""
        peer = visitor.connect()
        head = visitor.head(self.start, self.fields)
        peer.sendall(head[: len(head) // 2] if self.ends_in_head else head + self.body)
        return peer


STALLS: Final = {
    "in the head": Stop(status=408, ends_in_head=True),
    "behind the head": Stop(status=408),
    "in the body": Stop(status=408, body=b"x" * 70_000),
    "between two chunks": Stop(status=408, fields=CHUNKED, body=b"5\r\nhello\r\n"),
    "in a chunk": Stop(status=408, fields=CHUNKED, body=b"5\r\nhel"),
    "before the last chunk": Stop(status=408, fields=CHUNKED, body=b"5\r\nhello\r\n0\r\n"),
}

_SILENT = b""

DEPARTURES: Final = {
    **STALLS,
    "while the upstream thinks": Stop(status=0, start=b"GET /api/thinks HTTP/1.1", fields=_SILENT),
    "behind the first bytes of the answer": Stop(status=200, start=b"GET /api/begins HTTP/1.1", fields=_SILENT),
    "in the middle of a stream": Stop(status=200, start=b"GET /api/floods HTTP/1.1", fields=_SILENT),
    "in the middle of events": Stop(status=200, start=b"GET /api/events HTTP/1.1", fields=_SILENT),
    "while its upload is answered early": Stop(status=413, start=b"POST /api/early HTTP/1.1", body=b"x" * 1000),
}
