"""The door in front of the app: uvicorn's httptools protocol, stricter (rule F36).

uvicorn hands an app request trailers as if they were headers, two Host fields or none, targets whose authority
vanishes, and heads of any size. Here a request is origin-form with exactly one Host, one framing, and a head of
at most 32 KB and 100 fields, counted while it arrives; whatever else comes is answered 4xx and the connection closed.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import Any, cast
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from bff.fields import LOWER, Fields, Head
from bff.relay.lasting import LEAVING
from bff.relay.websocket import UPGRADES
from bff.server.cycle import Cycle, OldCycle, Signal
from bff.server.taking import Taking
from bff.server.websocket_protocol import Handshake, StrictWebSocketProtocol

MAX_HEAD_BYTES = 32 * 1024
MAX_HEAD_FIELDS = 100
HEAD_SECONDS = 10.0
_SLICE = 4096
_SURELY_SMALL = MAX_HEAD_BYTES - 2 * _SLICE
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})

_WORDS = {
    400: b"The request is malformed.",
    408: b"The request did not arrive in time.",
    426: b"WebSockets are spoken here in version 13.",
    431: b"The request's header section is too large.",
    505: b"Only HTTP/1.1 and HTTP/1.0 are spoken here.",
}


class _Refusal(Exception):
    """A request that must not reach the app; ``status`` is what its sender is told."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class StrictHTTPProtocol(HttpToolsProtocol):
    """HTTP/1.1 and 1.0 as RFC 9112 means them, with nothing that two parsers could read in two ways."""

    cycle: RequestResponseCycle | None  # type: ignore[assignment]  # uvicorn declares it as if a request had come
    taking: Taking

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 — uvicorn's own constructor, passed on
        super().__init__(*args, **kwargs)
        self.headers: Head = Head()
        self.in_head = True  # from the end of one message to the end of the next one's head
        self.head_begun = False
        self.silent_bytes = 0  # fed to the parser since it last made something of them
        self.upgrading = False
        self.unread = 0  # bytes behind a request that asks for another protocol
        self.handshake: Handshake | None = None
        self.idle_since = inf
        self.head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it too
        """Start the clock for the first request's head."""
        super().connection_made(transport)
        self.taking = Taking(transport, self.flow, self.loop)
        self.head_timer = self.loop.call_later(HEAD_SECONDS, self._refuse, 408)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        self._stop_head_timer()
        self.taking.stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; inside a head in small slices, because it reports a field only when all of it has come."""
        self.idle_since = inf
        position, size = 0, len(data)
        while position < size and not self.upgrading and not self.transport.is_closing():
            end = position + _SLICE if self.in_head and size > _SLICE else size
            self._feed(data if end - position >= size else data[position:end])
            position = end
        if self.upgrading and self.handshake is not None:
            self._switch(self.handshake, early=self.unread > 0 or position < size)
            return
        if not self.in_head and self._may_answer_next():
            self.idle_since = self.loop.time()  # a body whose request is answered: it is not waited for without end
        if (self.head_begun or (self.in_head and self.silent_bytes)) and self.head_timer is None:
            self.head_timer = self.loop.call_later(HEAD_SECONDS, self._refuse, 408)

    def _feed(self, data: bytes) -> None:
        self.silent_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as switch:
            self.upgrading, self.unread = True, len(data) - switch.args[0]
            if self.handshake is None and self.cycle is not None:
                self.cycle.keep_alive = False  # what follows is not HTTP as we speak it
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause.status if isinstance(cause, _Refusal) else 400)
        else:
            if self.silent_bytes > MAX_HEAD_BYTES + _SLICE or (self.in_head and len(self.headers) > MAX_HEAD_FIELDS):
                self._refuse(431)

    def on_message_begin(self) -> None:
        """A new request: nothing of it has been counted."""
        self.url = b""
        self.headers = Head()
        self.expect_100_continue = False
        self.in_head = self.head_begun = True
        self.silent_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Count the request target."""
        self.url += url
        if len(self.url) > MAX_HEAD_BYTES:
            raise _Refusal(431)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field. What comes after the head is a trailer: dropped, for the app takes it for a header."""
        if self.in_head:
            self.headers.append((LOWER.get(name) or name.lower(), value))

    def _count_fields(self) -> None:
        """Count them exactly; while they come, each slice that is fed is held against the same bounds."""
        headers = self.headers
        if len(headers) > MAX_HEAD_FIELDS:
            raise _Refusal(431)
        if self.silent_bytes > _SURELY_SMALL:
            size = sum(len(name) + len(value) + 4 for name, value in headers)
            if len(self.url) + size > MAX_HEAD_BYTES:
                raise _Refusal(431)

    def on_headers_complete(self) -> None:
        """Judge the head, then let the app answer it. The target is origin-form, so it needs no parser of URLs."""
        parser, url = self.parser, self.url
        version, method = parser.get_http_version(), parser.get_method().decode("ascii")
        self._judge_head(version)
        self.in_head = self.head_begun = False
        self.silent_bytes = 0
        if self.head_timer is not None:
            self._stop_head_timer()
        raw_path, _, query = url.partition(b"?")
        path = raw_path.decode("ascii")
        self.scope = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,  # type: ignore[typeddict-item]  # set where the connection was made
            "root_path": "",
            "method": method,
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": self.headers,
            "state": self.app_state.copy(),
        }
        if parser.should_upgrade() and self._should_upgrade():
            return
        self._begin_cycle(keep_alive=version != "1.0" and parser.should_keep_alive())

    def _begin_cycle(self, *, keep_alive: bool) -> None:
        """Answer this request now, or when those before it on this connection are answered."""
        before = self.cycle
        kind = Cycle if keep_alive or self.scope["http_version"] == "1.1" else OldCycle
        cycle = self.cycle = kind(  # by position: a dictionary of eleven names for each request costs a tenth of it
            self.scope,
            self.transport,
            self.flow,
            self.logger,
            self.access_logger,
            self.access_log,
            self.server_state.default_headers,
            cast("asyncio.Event", Signal()),
            self.expect_100_continue,
            keep_alive,
            self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def _judge_head(self, version: str) -> None:
        if version not in {"1.1", "1.0"}:
            raise _Refusal(505)
        self._count_fields()
        fields = self.headers.fields = Fields.read(self.headers)
        if fields.only(b"host") is None or not self.url.startswith(b"/") or self.url.find(b"#") >= 0:
            raise _Refusal(400)
        if b"transfer-encoding" in fields:
            coding = fields.only(b"transfer-encoding")
            if coding is None or coding.lower() != b"chunked" or version == "1.0":
                raise _Refusal(400)
        if b"expect" in fields and version != "1.0":
            self.expect_100_continue = fields[b"expect"].lower() == b"100-continue"
        if self.parser.should_upgrade():
            self._judge_upgrade(version)

    def _judge_upgrade(self, version: str) -> None:
        """Admit a WebSocket where the app takes one, with a handshake that leaves no doubt; else it is plain HTTP.

        llhttp reads no body behind such a head, whatever was declared, and the app would take it for an empty one.
        """
        if any(name in _FRAMING and value != b"0" for name, value in self.headers):
            raise _Refusal(400)
        admits = self.app_state.get(UPGRADES)
        if admits is None or self._get_upgrade() != b"websocket" or not admits(self.url.partition(b"?")[0]):
            return
        handshake = Handshake(self.parser.get_method(), version, self.headers)
        fault = handshake.fault if self._may_answer_next() else 400
        if fault is not None:
            raise _Refusal(fault)
        self.handshake = handshake

    def _may_answer_next(self) -> bool:
        """Say whether nothing before this request still waits for its answer."""
        cycle = self.cycle
        return cycle is None or cycle.response_complete

    def _switch(self, handshake: Handshake, *, early: bool) -> None:
        """Hand the connection over. A browser says nothing more before it has its answer; whatever does is left."""
        if early:
            self.transport.abort()
            return
        self._stop_head_timer()
        self.taking.stop()
        self._unset_keepalive_if_required()
        self.connections.discard(self)
        protocol = StrictWebSocketProtocol(config=self.config, server_state=self.server_state, app_state=self.app_state)
        self.transport.set_protocol(protocol)
        protocol.take_over(self.transport, handshake, self.scope)

    def on_body(self, body: bytes) -> None:
        """Hand on body bytes; only bytes that become none are counted: chunk extensions and trailers."""
        self.silent_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The next byte belongs to a next head."""
        super().on_message_complete()
        self.in_head = True
        self.silent_bytes = 0

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:  # noqa: ANN401 — as uvicorn declares it
        """Start the app's task, which leaves the server's tasks by itself: a callback would be a turn of the loop."""
        task = self.loop.create_task(cycle.run_asgi(app))
        self.tasks.add(task)
        if isinstance(cycle, Cycle):
            cycle.task, cycle.tasks = task, self.tasks

    def shutdown(self) -> None:
        """Tell the answer under way that we are leaving: one that has no end of its own ends now."""
        cycle = self.cycle
        leaving = None if cycle is None else cycle.scope.get("state", {}).get(LEAVING)
        if leaving is not None:
            leaving.set()
        super().shutdown()

    def on_response_complete(self) -> None:
        """Await the next request, with one timer a connection: one a request would cost more than its parsing."""
        if self.pipeline or self.transport.is_closing():
            self.taking.watch()
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self.idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._await_idleness(self.timeout_keep_alive)

    def _await_idleness(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self._close_if_idle)

    def _close_if_idle(self) -> None:
        self.timeout_keep_alive_task = None
        left = self.idle_since + self.timeout_keep_alive - self.loop.time()
        if left <= 0:
            self.taking.watch()
            self.timeout_keep_alive_handler()
        elif left < inf:
            self._await_idleness(left)

    def pause_writing(self) -> None:
        """The browser is slower than we are, or takes nothing at all: a watch tells which."""
        super().pause_writing()
        self.taking.watch()

    def _refuse(self, status: int) -> None:
        """Answer and close. While another response is under way there is nothing to answer: only to close."""
        self._stop_head_timer()
        if self.transport.is_closing():
            return
        if self._may_answer() and self._was_asked():
            self.transport.write(_refusal_bytes(status))
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()

    def _may_answer(self) -> bool:
        """Say whether the next response on this connection is the refused request's own."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return True
        return not self.in_head and not self.pipeline and not cycle.response_started

    def _was_asked(self) -> bool:
        """Say whether a single byte of the refused request has come."""
        return not self.in_head or self.head_begun or self.silent_bytes > 0

    def _stop_head_timer(self) -> None:
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None

    def _should_upgrade(self) -> bool:
        """Only to a WebSocket that was admitted: any other such request is served as plain HTTP (RFC 9110 7.8)."""
        return self.handshake is not None


def _refusal_bytes(status: int) -> bytes:
    words = _WORDS[status]
    version = b"upgrade: websocket\r\nsec-websocket-version: 13\r\n" if status == 426 else b""  # noqa: PLR2004 — RFC 6455 4.4
    return STATUS_LINE[status] + (
        b"content-type: text/plain; charset=utf-8\r\ncache-control: no-store\r\nconnection: close\r\n"
        b"%bcontent-length: %d\r\n\r\n%b" % (version, len(words), words)
    )
