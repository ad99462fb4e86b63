"""Lawful requests of every framing that RFC 9112 6 knows, one behind the other as a browser may send them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from tests.differential.response_streams import BODIES, chunked

_FIELDS: Final = (
    *(b"Accept: */*", b"Cookie: a=b; c=d", b"X-Empty:", b"X-Padded: \t y \t ", b"x-lower:y", b"X-CSRF: 1"),
    *(b"X-Latin: \xe4\xf6\xfc", b"Connection: keep-alive", b"Sec-Fetch-Site: same-origin", b"X-Colons: a: b"),
    *(b"Expect: 100-continue", b"X-!#$%&'*+-.^_`|~9: y", b"Cookie: e=f", b"Origin: http://x.example"),
)
_TARGETS: Final = (b"/", b"/api/todolist", b"/api/a%40b?x=%2F&y", b"/a//b", b"/?", b"/a?http://x.example/")
_MOST: Final = 3


@dataclass(frozen=True, slots=True)
class Request:
    """What one request says: its method, its target, and its body."""

    method: bytes
    target: bytes
    body: bytes


def requests(chance: random.Random) -> tuple[bytes, list[Request]]:
    """The bytes of a few requests on one connection, and what they say."""
    raw, said = b"", []
    for _ in range(chance.randrange(1, _MOST + 1)):
        sent, request = _request(chance)
        raw += sent
        said.append(request)
    return raw, said


def _request(chance: random.Random) -> tuple[bytes, Request]:
    method = chance.choice((b"GET", b"GET", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS"))
    target = chance.choice(_TARGETS)
    fields = [b"Host: app.example", *chance.choices(_FIELDS, k=chance.randrange(4))]
    body, sent, kind = b"", b"", chance.random()
    if kind < 0.35:
        body = sent = chance.choice(BODIES)
        fields.append(b"Content-Length: %d" % len(body))
    elif kind < 0.7:
        body = chance.choice(BODIES)
        sent = chunked(chance, body)
        fields.append(b"Transfer-Encoding: chunked")
    chance.shuffle(fields)
    start = b"%b %b HTTP/1.1\r\n" % (method, target)
    return start + b"".join(line + b"\r\n" for line in fields) + b"\r\n" + sent, Request(method, target, body)
