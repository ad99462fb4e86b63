"""The door in front of the API: uvicorn's httptools protocol, stricter (RFC 9112; rule F36).

One head has one meaning here or it is refused: exactly one Host, a target in origin-form, one framing, at most 32 KB
and 100 fields, counted while they arrive. What comes after the head in a trailer never becomes a header.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final, cast

import httptools
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

MAX_HEAD_BYTES: Final = 32 * 1024
MAX_HEAD_FIELDS: Final = 100
HEAD_SECONDS: Final = 10.0
KEEP_ALIVE_SECONDS: Final = 75
_SLICE: Final = 4096


class _RefusedHead(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class StrictProtocol(HttpToolsProtocol):
    """HTTP/1.1 as one reader means it. A refused head is answered as a problem, and the connection closed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 — because they are uvicorn's own
        super().__init__(*args, **kwargs)
        self._head_open = True
        self._head_begun = False
        self._head_bytes = 0
        self._unseen_bytes = 0
        self._upgraded = False
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn narrows it
        """A peer that connects and sends no head is not waited for longer than ten seconds."""
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser. Inside a head in slices: it keeps an unfinished field to itself, however long it grows."""
        self._unset_keepalive_if_required()
        view = memoryview(data)
        while view and not self._upgraded and not self.transport.is_closing():
            piece = view[:_SLICE] if self._head_open else view
            self._feed(bytes(piece))
            view = view[len(piece) :]
        if (self._head_begun or (self._head_open and self._unseen_bytes)) and self._head_timer is None:
            self._wait_for_head()

    def _feed(self, data: bytes) -> None:
        self._unseen_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.cycle.keep_alive, self._upgraded = False, True  # what follows is not HTTP as it is spoken here
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause.status if isinstance(cause, _RefusedHead) else 400)
        else:
            if self._unseen_bytes > MAX_HEAD_BYTES + _SLICE:
                self._refuse(431)

    def on_message_begin(self) -> None:
        """A new request."""
        super().on_message_begin()
        self._head_open = self._head_begun = True
        self._head_bytes = self._unseen_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Count the target."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a field, or drop a trailer's."""
        if not self._head_open:
            return
        self._count(len(name) + len(value) + 4)
        if len(self.headers) >= MAX_HEAD_FIELDS:
            raise _RefusedHead(431)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Judge the head before anything is started for it."""
        self._judge()
        self._head_open = self._head_begun = False
        self._unseen_bytes = 0
        self._stop_waiting()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Content arrives: only bytes that become nothing are counted."""
        self._unseen_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """What comes next is a head."""
        super().on_message_complete()
        self._head_open = True
        self._unseen_bytes = 0

    def _count(self, size: int) -> None:
        self._head_bytes += size
        self._unseen_bytes = 0
        if self._head_bytes > MAX_HEAD_BYTES:
            raise _RefusedHead(431)

    def _judge(self) -> None:
        """Refuse what two readers could take differently; two lengths, or a length beside a coding, llhttp refuses."""
        version = self.parser.get_http_version()
        hosts = sum(name == b"host" for name, _ in self.headers)
        codings = [value.lower() for name, value in self.headers if name == b"transfer-encoding"]
        if version not in {"1.0", "1.1"} or hosts != 1 or not self.url.startswith(b"/") or b"#" in self.url:
            raise _RefusedHead(400)
        if codings and (codings != [b"chunked"] or version == "1.0"):
            raise _RefusedHead(400)

    def _refuse(self, status: int) -> None:
        """Answer and close. While an earlier answer is under way there is only closing: ours would be taken for it."""
        self._stop_waiting()
        if self.transport.is_closing():
            return
        cycle = cast("RequestResponseCycle | None", self.cycle)  # uvicorn types it as if a request had always come
        if cycle is None or cycle.response_complete:
            self.transport.write(_refusal(status))
        else:
            if not self._head_open and not self.pipeline and not cycle.response_started:
                self.transport.write(_refusal(status))
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()

    def _wait_for_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._head_begun or self._unseen_bytes:
            self._refuse(408)
        else:
            self.transport.close()

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _should_upgrade(self) -> bool:
        """Never: a request that offers an upgrade is served as the plain request it is too (RFC 9110 7.8)."""
        return False


_REFUSALS: Final = {
    400: ("malformed-request", "The request cannot be read."),
    408: ("request-timeout", "The request did not arrive in time."),
    431: ("head-too-large", "The request's head is too large."),
}


def _refusal(status: int) -> bytes:
    slug, title = _REFUSALS[status]
    body = json.dumps({"type": f"urn:resource-api:problem:{slug}", "title": title, "status": status}).encode()
    head = (
        b"content-type: application/problem+json\r\ncache-control: no-store\r\nconnection: close\r\n"
        b"content-length: %d\r\n\r\n"
    )
    return STATUS_LINE[status] + head % len(body) + body


def uvicorn_config(app: ASGIApp, *, host: str, port: int, drain_seconds: int = 20) -> uvicorn.Config:
    """The one way to serve this API: our protocol, no forwarding headers believed, no server header, no access log."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=StrictProtocol,
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=drain_seconds,
    )
