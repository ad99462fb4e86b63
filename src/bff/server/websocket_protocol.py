"""The door in front of a WebSocket: uvicorn's, once the handshake has been judged, with a bound on whatever may grow.

uvicorn's protocol counts a message's bytes and not its frames, answers pings to a peer that takes no answer, waits for
a dead peer to take what it was sent, and writes each address with its query to the log.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping
from functools import partial
from typing import Any, Final, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request

from bff.relay.lasting import LEAVING
from bff.relay.websocket import LIMIT, Pairs

PING_SECONDS: Final = 20.0
"""Between two pings, and for the answer to one: a browser that is gone is noticed within 40 seconds."""
CLOSE_SECONDS: Final = 2.0
MAX_FRAGMENTS: Final = 1024
_MAX_OFFERED_BYTES = 1024
_KEY = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")
_OFFER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*")
_WARNINGS = logging.getLogger("bff.server.websocket")
_WARNINGS.setLevel(logging.WARNING)


class Handshake:
    """What an opening handshake says that decides (RFC 6455 4.2.1). ``fault`` is the status for one that is none."""

    def __init__(self, method: bytes, version: str, headers: Pairs) -> None:
        self._fields: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            self._fields.setdefault(name, []).append(value)
        self._plain = method == b"GET" and version == "1.1"

    @property
    def fault(self) -> int | None:
        """400 where it is malformed, 426 where it speaks another version than 13, else None."""
        if not self._plain or {b"content-length", b"transfer-encoding", b"expect"} & self._fields.keys():
            return 400
        if self._fields.get(b"sec-websocket-version") != [b"13"]:
            return 426
        keys, offer = self._fields.get(b"sec-websocket-key", []), self.offer
        if len(keys) != 1 or not _KEY.fullmatch(keys[0]):
            return 400
        return 400 if offer and (len(offer) > _MAX_OFFERED_BYTES or not _OFFER.fullmatch(offer)) else None

    @property
    def offer(self) -> bytes:
        """The sub-protocols that the browser offers, empty where it offers none."""
        return b", ".join(self._fields.get(b"sec-websocket-protocol", []))

    def head(self) -> bytes:
        """This handshake and nothing else, as the protocol behind us may read it."""
        offer = b"Sec-WebSocket-Protocol: %b\r\n" % self.offer if self.offer else b""
        return (
            b"GET / HTTP/1.1\r\nHost: -\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"%bSec-WebSocket-Key: %b\r\n\r\n" % (offer, self._fields[b"sec-websocket-key"][0])
        )


class StrictWebSocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket, from a handshake that was judged to a connection that is gone."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 — uvicorn's own constructor, passed on
        super().__init__(*args, **kwargs)
        self.logger, self.conn.logger = _WARNINGS, _WARNINGS
        self.close_timeout = CLOSE_SECONDS
        self.asked: Mapping[str, Any] = {}

    def take_over(self, transport: asyncio.Transport, handshake: Handshake, asked: Mapping[str, Any]) -> None:
        """Serve this connection from here on. ``asked`` is the scope of the request that the handshake also is."""
        self.asked = asked
        self.connection_made(transport)
        super().data_received(handshake.head())

    def data_received(self, data: bytes) -> None:
        """Take frames, once there is a WebSocket: before that, nothing can have come from a browser."""
        if self.handshake_complete:
            super().data_received(data)
        else:
            self.transport.abort()

    def handle_connect(self, event: Request) -> None:
        """Tell the app of the request as it really came."""
        super().handle_connect(event)
        scope = cast("dict[str, Any]", self.scope)
        scope.update({name: self.asked[name] for name in ("path", "raw_path", "query_string", "headers")})
        scope["extensions"][LIMIT] = partial(setattr, self.conn, "max_message_size")

    def handle_cont(self, event: Frame) -> None:
        """Refuse a message of countless frames: empty ones add nothing to its size."""
        if len(self.frames) < MAX_FRAGMENTS:
            super().handle_cont(event)
        elif not self.close_sent:
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
            self.handle_parser_exception()

    def pause_writing(self) -> None:
        """A peer that takes nothing is asked for nothing: each of its pings would add an answer to the pile."""
        super().pause_writing()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """It takes again."""
        super().resume_writing()
        if not self.read_paused:
            self.transport.resume_reading()

    def keepalive_timeout(self) -> None:
        """Leave a dead peer at once: it will not take what still waits for it."""
        super().keepalive_timeout()
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """A connection that breaks off was not closed: the code says so (RFC 6455 7.1.5)."""
        if self.conn.close_rcvd is None:
            self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006, "reason": ""})
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Let the app say goodbye to the browser, where it can."""
        leaving: Any = self.scope["state"].get(LEAVING) if self.handshake_complete else None
        if leaving is None or self.close_sent:
            super().shutdown()
        else:
            leaving.set()

    async def run_asgi(self) -> None:
        """Serve; then the peer has two seconds to take what it was sent, and to close its side."""
        try:
            await super().run_asgi()
        finally:
            self.loop.call_later(CLOSE_SECONDS, self.transport.abort)
