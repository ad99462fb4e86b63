"""Where our front and h11 read the requests of one connection differently, each difference by its name.

``STRICTER``: h11 reads a request to its end that our application never sees whole. ``LENIENT``: our application sees
more than h11 does; h11, given the stream in the re-spelling that the named text permits, must read exactly the same.
What no name explains is a fault of ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from tests.differential.chunks import without_zeros
from tests.differential.request_readers import Asked, h11s

_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_SPACES = re.compile(rb"^([A-Z]+) +([^ \r\n]+) +(HTTP/)")
_NO_TARGET = re.compile(rb"[^\x21\x22\x24-\x7e]")
_METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS"})

Body = Callable[[bytes, int], tuple[bytes, int]]


def _as_it_is(raw: bytes, at: int) -> tuple[bytes, int]:
    _, end = without_zeros(raw, at)
    return raw[at:end], end


def _respelled(raw: bytes, *, empty_lines: bool = True, spaces: bool = True, body: Body = _as_it_is) -> bytes:
    """The requests one by one, without what is not kept of them."""
    parts, at = list[bytes](), 0
    while at < len(raw):
        start = at
        while raw[start : start + 1] in {b"\r", b"\n"}:
            start += 1
        parts.append(raw[at:start] if empty_lines else b"")
        end = raw.find(b"\r\n\r\n", start) + 4
        if end < start + 4:
            return b"".join([*parts, raw[start:]])
        head = raw[start:end]
        parts.append(head if spaces else _SPACES.sub(rb"\1 \2 \3", head))
        at = end
        length = _LENGTH.search(head)
        if _CHUNKED.search(head):
            spelled, at = body(raw, at)
            parts.append(spelled)
        elif length:
            at = min(at + int(length[1]), len(raw))
            parts.append(raw[end:at])
    return b"".join(parts)


LENIENT: Final[dict[str, Callable[[bytes], bytes]]] = {
    "empty lines before a request line are passed over (RFC 9112 2.2)": (
        lambda raw: _respelled(raw, empty_lines=False)
    ),
    "spaces around a target are one space (RFC 9112 3: MAY be read by its words)": (
        lambda raw: _respelled(raw, spaces=False)
    ),
    "a chunk size with twenty leading zeros is that number (RFC 9112 7.1)": (
        lambda raw: _respelled(raw, body=without_zeros)
    ),
}


A_LATER_FAULT: Final = (
    "what follows is no request: the connection ends, with all that it had not answered yet (RFC 9112 9.6)"
)
IN_ITS_LINE: Final[dict[str, Callable[[Asked], bool]]] = {
    "a method that nobody registered (RFC 9110 9.1)": lambda one: one.method not in _METHODS,
    "a target that is not origin-form (RFC 9112 3.2; rule F36)": lambda one: not one.target.startswith(b"/"),
    "a target with a byte that none has (RFC 3986 2; rule F37)": lambda one: _NO_TARGET.search(one.target) is not None,
}
"""What a request line shows that h11 reads, and we refuse."""
STRICTER: Final = {
    "a line that ends in LF alone (RFC 9112 2.2: MAY be taken for a line's end)": rb"(?<!\r)\n",
    "a folded field (RFC 9112 5.2: MUST be refused or replaced)": rb"\n[ \t]",
    "Content-Length twice, or as a list (RFC 9110 8.6: MUST be refused or replaced)": (
        rb"\ncontent-length:([^\n]*,|.*\ncontent-length:)"
    ),
    "a length beyond 64 bits (RFC 9110 8.6: MUST NOT overflow)": rb"\ncontent-length:\s*\d{20}",
    "Transfer-Encoding and Content-Length (RFC 9112 6.3: MUST be refused, or the connection closed)": (
        rb"\n(transfer-encoding:.*\ncontent-length:|content-length:.*\ntransfer-encoding:)"
    ),
    "whitespace behind a transfer coding, which llhttp hands on as a part of it (RFC 9112 6.1)": (
        rb"\ntransfer-encoding:[^\n]*[ \t]\r"
    ),
    "a request that asks for another protocol is the last one, and has no body (RFC 9110 7.8; rule F36)": (
        rb"\nupgrade:"
    ),
    "whitespace, or half an extension, behind a chunk's size (RFC 9112 7.1: none is permitted)": (
        rb"\n[0-9A-F]+[ \t;][^\n]*\n"
    ),
    "a field about framing or the connection among the trailers (RFC 9110 6.5.1: MUST NOT be sent)": (
        rb"\n0+[^\n]*\n([^\r\n]+\r\n)*(content-length|transfer-encoding|connection):"
    ),
    "another version of HTTP (RFC 9110 2.5; rule F36)": rb" HTTP/(?!1\.[01]\r)",
    "a control byte in a value (RFC 9110 5.5: invalid, and some are dangerous)": rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]",
    "no Host, in HTTP/1.0 (rule F36)": rb" HTTP/1\.0\r\n(?!([^\r\n]+\r\n)*host:)",
}
"""In the order in which they are asked: what the stream shows that h11 reads, and we refuse."""


def agree(mine: list[Asked], theirs: list[Asked]) -> bool:
    """Whether all that our application saw is what h11 saw too, in the same order."""
    return len(mine) <= len(theirs) and all(_same(*pair) for pair in zip(mine, theirs, strict=False))


def named(raw: bytes, mine: list[Asked], theirs: list[Asked], *, left: bool) -> str | None:
    """The name of a difference, empty where there is none, None where nothing explains it."""
    if agree(mine, theirs):
        if sum(one.whole for one in mine) == sum(one.whole for one in theirs):
            return ""
        if left:
            return A_LATER_FAULT
        shown = [name for name, says in IN_ITS_LINE.items() if any(map(says, theirs))]
        shown += [name for name, pattern in STRICTER.items() if re.search(pattern, raw, re.IGNORECASE | re.DOTALL)]
        return shown[0] if shown else None
    names = []
    for name, respelled in LENIENT.items():
        said = respelled(raw)
        if said != raw:
            names.append(name)
            raw = said
            if agree(mine, h11s([raw])[0]):
                return " + ".join(names)
    return None


def _same(mine: Asked, theirs: Asked) -> bool:
    if (mine.method, mine.target, _told(mine)) != (theirs.method, theirs.target, _told(theirs)):
        return False
    if mine.whole:
        return theirs.whole and mine.body == theirs.body
    return mine.body.startswith(theirs.body) or theirs.body.startswith(mine.body)


def _told(asked: Asked) -> list[tuple[bytes, bytes]]:
    """The fields but those of the framing, which h11 respells."""
    return [field for field in asked.fields if field[0] not in {b"content-length", b"transfer-encoding"}]
