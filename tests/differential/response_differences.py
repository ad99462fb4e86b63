"""Where we and h11 read a response differently, each difference by its name, with the text that permits it.

``IN_A_FIELD`` and what follows: h11 gives a whole response, we refuse it. Each is a pattern that the response shows.
``LENIENT``: we believe more than h11 does. Each is a re-spelling that says the same by the text that is named; h11,
given the response so re-spelled, must read exactly what we read from the original. What no name explains is a fault.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from tests.differential.chunks import sizes, without_trailers, without_zeros
from tests.differential.response_readers import WHOLE, Reading, h11s

_INTERIM = re.compile(rb"HTTP/\d\.\d 1\d\d")
_ODD_REASON = re.compile(rb"(HTTP/\d\.\d \d\d\d)[^\r\n]*[\x00-\x08\x0b\x0c\x0e-\x1f\x7f][^\r\n]*")


def heads(raw: bytes) -> Iterator[tuple[int, int]]:
    """Where each head begins and ends, empty lines before it left out: the interim ones, and the final one."""
    at = 0
    while True:
        while raw[at : at + 1] in {b"\r", b"\n"}:
            at += 1
        end = raw.find(b"\r\n\r\n", at)
        end = len(raw) if end < 0 else end + 4
        yield at, end
        if end == len(raw) or not _INTERIM.match(raw, at):
            return
        at = end


def _without_empty_lines(raw: bytes) -> bytes:
    *_, (__, end) = found = list(heads(raw))
    return b"".join(raw[start:stop] for start, stop in found) + raw[end:]


def _without_reasons(raw: bytes) -> bytes:
    spelled, done = b"", 0
    for start, stop in heads(raw):
        spelled += raw[done:start] + _ODD_REASON.sub(rb"\1 ", raw[start:stop], count=1)
        done = stop
    return spelled + raw[done:]


def _in_chunks(spelled: Callable[[bytes, int], tuple[bytes, int]]) -> Callable[[bytes], bytes]:
    def respelled(raw: bytes) -> bytes:
        *_, (__, at) = heads(raw)
        body, end = spelled(raw, at)
        return raw[:at] + body + raw[end:]

    return respelled


LENIENT: Final[dict[str, Callable[[bytes], bytes]]] = {
    "an empty line before a status line says nothing (as before a request line: RFC 9112 2.2)": _without_empty_lines,
    "a reason phrase with control bytes is ignored like any other, and never passed on (RFC 9112 4)": _without_reasons,
    "a chunk size with twenty leading zeros is that number (RFC 9112 7.1)": _in_chunks(without_zeros),
    "a trailer that may be none is dropped like any other (RFC 9112 7.1.2, RFC 9110 6.5.1)": _in_chunks(
        without_trailers
    ),
}

IN_A_FIELD: Final = {
    "a line that ends in LF alone (RFC 9112 2.2: MAY be taken for a line's end)": rb"(?<!\r)\n",
    "a folded field (RFC 9112 5.2: MUST be refused or replaced)": rb"\n[ \t]",
    "a control byte in a value (RFC 9110 5.5: invalid, and some are dangerous)": rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]",
}
IN_A_HEAD: Final = {
    "another version of HTTP (RFC 9110 2.5; rule F35)": rb"HTTP/(?!1\.[01] )\d\.\d ",
    "a final status that is none (RFC 9110 15: 200 to 599)": rb"HTTP/1\.[01] (0|[6-9])\d\d",
    "Content-Length twice, or as a list (RFC 9110 8.6: MUST be refused or replaced)": (
        rb"\ncontent-length:([^\n]*,|.*\ncontent-length:)"
    ),
    "a length beyond 64 bits (RFC 9110 8.6: MUST NOT overflow)": rb"\ncontent-length:\s*\d{20}",
    "Transfer-Encoding in HTTP/1.0 (RFC 9112 6.1: MUST be treated as broken)": rb"HTTP/1\.0 .*\ntransfer-encoding:",
    "Transfer-Encoding and Content-Length (RFC 9112 6.3: ought to be handled as an error)": (
        rb"\n(transfer-encoding:.*\ncontent-length:|content-length:.*\ntransfer-encoding:)"
    ),
    "an interim response with a length or a coding (RFC 9110 8.6, RFC 9112 6.1: MUST NOT be sent)": (
        rb"HTTP/1\.[01] 1\d\d[^\n]*\n([^\r\n]+\r\n)*(content-length|transfer-encoding):"
    ),
    "an interim response that is the last one on its connection (RFC 9112 9.6, RFC 9110 15.2)": (
        rb"HTTP/1\.0 1\d\d|HTTP/1\.1 1\d\d[^\n]*\n([^\r\n]+\r\n)*connection:[^\r\n]*close"
    ),
    "a tab behind a transfer coding, which llhttp takes for a part of its name (RFC 9112 6.1)": (
        rb"\ntransfer-encoding:[^\n]*\t"
    ),
}
IN_CHUNKS: Final = {
    "whitespace, or half an extension, behind a chunk's size (RFC 9112 7.1: none is permitted)": (
        rb"(^|\n)[0-9A-F]+[ \t;][^\n]*\n"
    ),
}
IN_TRAILERS: Final = {
    "Content-Length among the trailers (RFC 9110 6.5.1: MUST NOT be sent)": rb"\ncontent-length:",
}
"""Where we are the stricter one: what a response shows that h11 reads to its end, and we refuse."""


def agree(mine: Reading, theirs: Reading) -> bool:
    """Whether all that we believe is what the other believes too, to the end of the response and of its connection."""
    if mine.status and (mine.status != theirs.status or _told(mine) != _told(theirs)):
        return False
    if mine.verdict == WHOLE and (theirs.verdict != WHOLE or mine.body != theirs.body):
        return False
    if mine.kept and not theirs.kept:
        return False
    return not mine.status or mine.body.startswith(theirs.body) or theirs.body.startswith(mine.body)


def named(method: str, raw: bytes, mine: Reading, theirs: Reading) -> str | None:
    """The name of a difference, empty where there is none, None where nothing explains it."""
    if agree(mine, theirs):
        if theirs.verdict != WHOLE or mine.verdict == WHOLE:
            return ""
        return _stricter(raw)
    names = []
    for name, respelled in LENIENT.items():
        said = respelled(raw)
        if said != raw:
            names.append(name)
            raw = said
            if agree(mine, h11s(method, [raw])):
                return " + ".join(names)
    return None


def _stricter(raw: bytes) -> str | None:
    """The name of what h11 reads to its end, and we refuse."""
    found = list(heads(raw))
    body = found[-1][1]
    trailers = next((line.end() - 2 for line, behind in sizes(raw, body) if not behind), len(raw))
    places = [(table, raw[start:stop]) for start, stop in found for table in (IN_A_FIELD, IN_A_HEAD)]
    places += [(IN_A_FIELD, raw[trailers:]), (IN_TRAILERS, raw[trailers:]), (IN_CHUNKS, raw[body:])]
    for table, where in places:
        for name, pattern in table.items():
            if re.search(pattern, where, re.IGNORECASE | re.DOTALL):
                return name
    return None


def _told(reading: Reading) -> list[tuple[bytes, bytes]]:
    """The fields but those of the framing, which h11 respells."""
    return [field for field in reading.fields if field[0] not in {b"content-length", b"transfer-encoding"}]
