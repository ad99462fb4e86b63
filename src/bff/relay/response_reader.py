"""One response, read once: whatever two readers could frame in two ways is broken, and nothing of it is believed.

httptools is the tokenizer. It takes 100,000 fields, a 50 MB value, ``Transfer-Encoding: xchunked`` and HTTP/2.0, hands
trailers on as headers, and knows no HEAD: framing (RFC 9112 6.3) is judged here.
"""

from __future__ import annotations

from typing import Final

import httptools

from bff.errors import ResourceAPIUnavailable
from bff.fields import LOWER, Fields
from bff.relay.headers import Headers
from bff.relay.upstream import FINAL_STATUSES, MAX_HEAD_BYTES, MAX_HEAD_FIELDS

_BODILESS: Final = frozenset({204, 304})
_INTERIM: Final = frozenset({100, *range(102, 200)})  # 101 would make this connection speak something else
_SURELY_SMALL: Final = MAX_HEAD_BYTES - MAX_HEAD_FIELDS  # a field is counted with a space that it may not have
# Between two blocks of a body: chunk extensions and trailers, which are of no use to anybody here.
_MAX_SILENT_BYTES: Final = 2 * MAX_HEAD_BYTES
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})
_LINE_END: Final = frozenset({b"\r", b"\n"})
_BLANK_LINE: Final = b"\r\n\r\n"


class ResponseReader:
    """What one upstream said to one request. ``feed`` and ``end`` raise ResourceAPIUnavailable for broken HTTP.

    ``begun``: ``status`` and ``headers`` (names in lower case) stand. ``complete``: the body has ended. ``reusable``:
    another response may follow on this connection. ``blocks`` holds ``held`` bytes of body that nobody took yet.
    """

    __slots__ = (
        "_chunked",
        "_head_only",
        "_parser",
        "_silent",
        "begun",
        "blocks",
        "complete",
        "headers",
        "held",
        "reusable",
        "status",
        "until_close",
    )

    # What httptools asks of whoever listens. A name that is missing costs it an AttributeError for each response.
    on_status = on_chunk_header = on_chunk_complete = None

    def __init__(self, method: str) -> None:
        self.headers: Headers = []
        self.blocks: list[bytes] = []
        self.status = self.held = self._silent = 0
        self.begun = self.complete = self.reusable = self.until_close = False
        self._head_only, self._chunked = method == "HEAD", False
        self._parser = httptools.HttpResponseParser(self)

    @property
    def touched(self) -> bool:
        """Whether a single byte of a response has come."""
        return self.begun or self._silent > 0

    def feed(self, data: bytes) -> None:
        """Take what arrived. Bytes behind the end of the response make its connection unusable, and nothing more."""
        if self.complete:
            self.reusable = False
            return
        begun = self.begun
        self._silent += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._broken("the upstream switched protocols")
        except httptools.HttpParserError as error:
            cause = error.__context__
            if isinstance(cause, ResourceAPIUnavailable):
                raise cause from None
            self._broken(type(error).__name__)  # its text quotes what was sent
        if self.reusable and data[-1:] in _LINE_END:
            self._look_behind(data, begun=begun)
        if self._silent > _MAX_SILENT_BYTES and not self.complete:
            raise ResourceAPIUnavailable("the response head, or what is between two chunks, is too large")

    def end(self) -> None:
        """The upstream will send nothing more: that ends a body without a length, and breaks any other response."""
        if not self.complete:
            if not self.until_close:
                raise ResourceAPIUnavailable("the response broke off")
            self.complete = True

    def take(self) -> bytes:
        """The body bytes that are here; empty where there are none."""
        if len(self.blocks) == 1:
            block = self.blocks.pop()
        else:
            block = b"".join(self.blocks)
            self.blocks.clear()
        self.held = 0
        return block

    def close(self) -> None:
        """Nothing more will be fed: reader and parser let go of each other, or each response would be a cycle."""
        del self._parser

    def _broken(self, detail: str) -> None:
        if not self.complete:
            raise ResourceAPIUnavailable(detail) from None
        self.reusable = False  # what follows a whole response is not ours to understand

    def _look_behind(self, data: bytes, *, begun: bool) -> None:
        """Give the connection up where line ends follow the response, or may: llhttp skips them without a word.

        ``begun``: the response's head had come before these bytes.
        """
        if not self.complete:
            return
        if self.blocks and not self._chunked:
            head = 0 if begun else data.find(_BLANK_LINE) + len(_BLANK_LINE)
            self.reusable = len(data) == head + len(self.blocks[-1]) and (begun or data.startswith(b"HTTP/"))
        else:
            self.reusable = data.endswith(_BLANK_LINE) and data[-5:-4] not in {b"", *_LINE_END}

    def on_message_begin(self) -> None:
        """A first byte: of the response, of the one behind an interim one, or of one that nobody asked for."""
        if self.complete:
            self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count and keep a field of the head; what comes later is a trailer, and dropped."""
        if self.begun:
            return
        headers = self.headers
        if len(headers) == MAX_HEAD_FIELDS:
            raise ResourceAPIUnavailable("the response head is too large")
        name = LOWER.get(name) or name.lower()
        if name == b"transfer-encoding" and value.find(b"\t") >= 0:
            raise ResourceAPIUnavailable("a transfer coding that llhttp would not take for chunked")
        headers.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """Judge a head: interim ones are skipped, the final one decides how the body ends."""
        if self.begun:
            return  # of a second response, which nobody asked for: it must not speak for the first
        status = self._parser.get_status_code()
        if status in _INTERIM:
            if any(name in _FRAMING and value != b"0" for name, value in self.headers):
                raise ResourceAPIUnavailable("an interim response has no body")  # llhttp would read one into the next
            return
        if status not in FINAL_STATUSES:
            raise ResourceAPIUnavailable("no final status")
        if self._silent > _SURELY_SMALL:
            self._count_fields()
        self.status = status
        self._judge_framing(self._parser.get_http_version())
        self.begun = True
        self._silent = 0

    def _count_fields(self) -> None:
        """Count the bytes of a head that may be too large; of interim ones only what arrived with them is bounded."""
        if sum(len(name) + len(value) + 4 for name, value in self.headers) > MAX_HEAD_BYTES:
            raise ResourceAPIUnavailable("the response head is too large")

    def _judge_framing(self, version: str) -> None:
        if version not in {"1.1", "1.0"}:
            raise ResourceAPIUnavailable("another version of HTTP")
        fields = Fields.read(self.headers)
        framed = b"content-length" in fields
        if b"transfer-encoding" in fields:
            coding = fields.only(b"transfer-encoding")
            if coding is None or coding.lower() != b"chunked" or version == "1.0" or framed:
                raise ResourceAPIUnavailable("the response is framed in two ways, or in one that is unknown")
            framed = True
        closes = version == "1.0" or b"connection" in fields.repeated
        closes = closes or fields.get(b"connection", b"").lower().find(b"close") >= 0
        if self._head_only or self.status in _BODILESS:
            # Where a body was announced that may not come, an upstream may send it after all, to whoever is next.
            self.complete, self.reusable = True, not (closes or framed)
            return
        self.until_close, self._chunked = not framed, b"transfer-encoding" in fields
        self.reusable = framed and not closes

    def on_body(self, chunk: bytes) -> None:
        """Keep a block of the body."""
        if self.complete:
            self.reusable = False
            return
        self.blocks.append(chunk)
        self.held += len(chunk)
        self._silent = 0

    def on_message_complete(self) -> None:
        """The end of an interim response, or of the final one."""
        if self.begun:
            self.complete = True
        else:
            self.headers.clear()
