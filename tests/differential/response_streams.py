"""Lawful responses of every framing that RFC 9112 6.3 knows, each with what a reader must make of it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

_REASONS: Final = (b"OK", b"", b"Not Found", b"I'm a teapot", b"G\xfcltig", b"a  b\tc")
_FIELDS: Final = (
    *(b"Content-Type: application/json", b'ETag: "a:b"', b"X-Empty:", b"X-Empty: ", b"X-Padded: \t y \t "),
    *(b"x-lower:y", b"X-Latin: \xe4\xf6\xfc", b"Set-Cookie: a=b", b"Set-Cookie: c=d", b"Connection: keep-alive"),
    *(b"X-Colons: a: b: c", b"Vary: *, *", b"X-!#$%&'*+-.^_`|~9: y", b"Date: Sun, 22 Nov 2026 10:00:00 GMT"),
)
_INTERIM: Final = (b"100 Continue", b"102 Processing", b"103 Early Hints\r\nLink: </x>", b"199 Odd", b"100 ")
BODIES: Final = (b"", b"{}", b"hello", b"0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"a" * 300, bytes(range(256)))
_EXTENSIONS: Final = (b"", b"", b"", b";a", b";a=b", b';a="b c"', b";a=b;c=d")
_TRAILERS: Final = (b"", b"", b"X-Late: y\r\n", b"Set-Cookie: a=b\r\nX-Late:\r\n")
_WITH_BODY: Final = (200, 200, 200, 201, 206, 302, 404, 500, 503, 299, 599)


@dataclass(frozen=True, slots=True)
class Response:
    """The request's method, the bytes, and what they say."""

    method: str
    raw: bytes
    status: int
    body: bytes


def response(chance: random.Random) -> Response:
    """One lawful response, interim ones before it, or none."""
    method = chance.choice(("GET", "GET", "GET", "GET", "POST", "HEAD"))
    status = chance.choice((204, 304)) if chance.random() < 0.12 else chance.choice(_WITH_BODY)
    version = b"1.0" if chance.random() < 0.1 else b"1.1"
    fields = chance.choices(_FIELDS, k=chance.randrange(4))
    if chance.random() < 0.1 and b"Connection: keep-alive" not in fields:
        fields.append(b"Connection: close")
    body, framing, sent = _framed(chance, chunks=version == b"1.1")
    if method == "HEAD" or status in {204, 304}:
        body, sent = b"", b""
        framing = framing if method == "HEAD" or status == 304 else b""
    if framing:
        fields.insert(chance.randrange(len(fields) + 1), framing)
    start = b"HTTP/%b %d %b" % (version, status, chance.choice(_REASONS))
    interim = b"".join(b"HTTP/1.1 %b\r\n\r\n" % chance.choice(_INTERIM) for _ in range(chance.choice((0, 0, 0, 1, 2))))
    return Response(
        method, interim + b"".join(line + b"\r\n" for line in (start, *fields)) + b"\r\n" + sent, status, body
    )


def _framed(chance: random.Random, *, chunks: bool) -> tuple[bytes, bytes, bytes]:
    """A body, the field that frames it, and how it goes over the wire."""
    body, kind = chance.choice(BODIES), chance.random()
    if kind < 0.4:
        name = chance.choice((b"Content-Length", b"content-length", b"CONTENT-LENGTH"))
        return body, b"%b:%b%d" % (name, chance.choice((b" ", b"", b"\t", b"  ")), len(body)), body
    if kind < 0.85 and chunks:
        return body, b"Transfer-Encoding: " + chance.choice((b"chunked", b"Chunked")), chunked(chance, body)
    return body, b"", body


def chunked(chance: random.Random, body: bytes) -> bytes:
    """A body in chunks, cut and spelled by chance."""
    sent, at = b"", 0
    while at < len(body):
        block = body[at : at + chance.randrange(1, len(body) + 1)]
        at += len(block)
        size = chance.choice((b"%x", b"%X", b"0%x")) % len(block)
        sent += size + chance.choice(_EXTENSIONS) + b"\r\n" + block + b"\r\n"
    return sent + chance.choice((b"0", b"000", b"0;a=b")) + b"\r\n" + chance.choice(_TRAILERS) + b"\r\n"
