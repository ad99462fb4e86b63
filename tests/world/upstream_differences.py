"""Where the two implementations of the upstream differ as a peer can see it; docs/relay.md shows the same table.

``shown`` is a response that shows the difference: what becomes of it is one of PASSED_ON, REFUSED and BROKEN_OFF. Where
it is None, the difference is no matter of reading one response, and a test of its own shows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PASSED_ON: Final = "passed on"
REFUSED: Final = "502"
BROKEN_OFF: Final = "broken off"


@dataclass(frozen=True, slots=True)
class Difference:
    """What each of the two makes of the same thing, and why that is safe."""

    what: str
    ours: str
    httpx: str
    why: str
    shown: bytes | None = None

    @property
    def row(self) -> str:
        """The line of the table in the documentation."""
        return f"| {self.what} | {self.ours} | {self.httpx} | {self.why} |"


_OK: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_BODY: Final = b"Content-Length: 2\r\n\r\n{}"
_CHUNKED: Final = _OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"
_LENIENT_H11: Final = "h11 may (RFC 9112 2.2); nothing else follows on its connection"

KEPT: Final = "a connection whose answer has come"
EARLY: Final = "an answer while the upload is under way"
WAITING: Final = "more calls than connections"

DIFFERENCES: Final = (
    Difference(KEPT, "used again", "closed", "httpcore keeps bytes behind an answer for whoever is next (F35)"),
    Difference(
        "a kept connection that turns out to be closed",
        "GET, HEAD and OPTIONS are asked once more (F39)",
        "does not occur",
        "only a kept connection can be stale",
    ),
    Difference(EARLY, PASSED_ON, "waits for the upload", "httpcore sends all of a request before it reads"),
    Difference(
        WAITING,
        "as many wait as there may be connections, the next one is 503 at once",
        "any number waits, each for `timeout`, 5 seconds at most",
        "a wait is bounded either way",
    ),
    Difference(
        "a line that ends in LF alone", REFUSED, PASSED_ON, _LENIENT_H11, b"HTTP/1.1 200 OK\nX-A: b\r\n" + _BODY
    ),
    Difference(
        "a folded field",
        REFUSED,
        PASSED_ON,
        "h11 replaces the fold by a space (RFC 9112 5.2)",
        _OK + b"X-A: a\r\n b\r\n" + _BODY,
    ),
    Difference(
        "a control byte in a value that does not cross",
        REFUSED,
        PASSED_ON,
        "dropped with its field",
        _OK + b"X-A: a\x01b\r\n" + _BODY,
    ),
    Difference(
        "`Content-Length` twice, with one value",
        REFUSED,
        PASSED_ON,
        "either is permitted (RFC 9110 8.6)",
        _OK + b"Content-Length: 2\r\n" + _BODY,
    ),
    Difference(
        "an interim answer with a length",
        REFUSED,
        PASSED_ON,
        "h11 knows that it has no body (RFC 9110 15.2)",
        b"HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\n\r\n" + _OK + _BODY,
    ),
    Difference(
        "an interim answer with `Connection: close`",
        REFUSED,
        PASSED_ON,
        "llhttp takes it for the last one",
        b"HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\n" + _OK + _BODY,
    ),
    Difference(
        "a tab behind `chunked`",
        REFUSED,
        PASSED_ON,
        "llhttp would not take it for chunks",
        _OK + b"Transfer-Encoding: chunked\t\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    ),
    Difference(
        "whitespace behind a chunk's size",
        BROKEN_OFF,
        PASSED_ON,
        "h11 passes over it, as many do",
        _CHUNKED + b"0 \r\n\r\n",
    ),
    Difference(
        "`Content-Length` among the trailers",
        BROKEN_OFF,
        PASSED_ON,
        "trailers are dropped",
        _CHUNKED + b"0\r\nContent-Length: 9\r\n\r\n",
    ),
    Difference(
        "a transfer coding among the trailers",
        PASSED_ON,
        BROKEN_OFF,
        "trailers are dropped (RFC 9110 6.5.1)",
        _CHUNKED + b"0\r\nTransfer-Encoding: gzip\r\n\r\n",
    ),
    Difference(
        "a chunk's size with twenty leading zeros",
        PASSED_ON,
        BROKEN_OFF,
        "it is that number (RFC 9112 7.1)",
        _CHUNKED + b"0" * 30 + b"\r\n\r\n",
    ),
    Difference(
        "an empty line before the answer", PASSED_ON, REFUSED, "it begins none (RFC 9112 2.2)", b"\r\n" + _OK + _BODY
    ),
    Difference(
        "a control byte in a reason phrase",
        PASSED_ON,
        REFUSED,
        "the phrase is never passed on (RFC 9112 4)",
        b"HTTP/1.1 200 a\0b\r\nContent-Type: application/json\r\n" + _BODY,
    ),
)
