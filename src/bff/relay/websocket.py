"""A WebSocket through the relay: messages pass both ways until something ends it, and each side is told (C11, C12).

Each direction waits for whoever is slower, so nothing piles up here. A close frame is passed on with its code and
reason; what ends here is told in codes of ours, and in one word.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from msgspec import Struct

from bff.clock import Clock
from bff.errors import UpgradeRefused
from bff.relay.call import Scope, Send
from bff.relay.headers import Headers
from bff.relay.lasting import End
from bff.relay.presence import BrowserGone, Receive
from bff.relay.websocket_upstream import Closed, Closing, UpstreamSocket

Pairs = Iterable[tuple[bytes, bytes]]

UPGRADES: Final = "bff.upgrades"
"""In the lifespan's state: ``(raw path) -> bool``, where the server may admit a WebSocket."""
LIMIT: Final = "bff.websocket.limit"
"""An ASGI extension of our server: ``limit(bytes)`` bounds the browser's messages from here on."""

NOT_ANY_MORE: Final = 4401
GOING_AWAY: Final = 1001
TRY_LATER: Final = 1013
ABNORMAL: Final = 1006
NO_CODE: Final = 1005
_FAREWELL_SECONDS = 0.5  # for a browser that takes nothing: then its connection is dropped without the close frame


class Browser:
    """The browser's side, as ASGI has it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send

    def offered(self, permitted: Iterable[str]) -> list[str]:
        """The sub-protocols that it offers and the route permits; raises UpgradeRefused where it offers only others."""
        offered: list[str] = self._scope["subprotocols"]
        chosen = [name for name in dict.fromkeys(offered) if name in frozenset(permitted)]
        if offered and not chosen:
            raise UpgradeRefused("no sub-protocol that this route takes")
        return chosen

    async def knocked(self) -> None:
        """Hear of the handshake."""
        await self._receive()

    async def gone(self) -> None:
        """Return when it has left before it was answered."""
        while (await self._receive())["type"] != "websocket.disconnect":
            pass

    async def accept(self, subprotocol: str | None, headers: Headers, *, max_message: int) -> None:
        """Open; from here on messages pass."""
        limit = self._scope.get("extensions", {}).get(LIMIT)
        if limit is not None:
            limit(max_message)
        await self._send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": headers})

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer the handshake with an ordinary response: there will be no WebSocket."""
        await self._send({"type": "websocket.http.response.start", "status": status, "headers": headers})
        await self._send({"type": "websocket.http.response.body", "body": body})

    async def receive(self) -> str | bytes:
        """The next message; raises Closed with what the upstream is told where there is none."""
        message = await self._receive()
        if message["type"] == "websocket.receive":
            text: str | None = message.get("text")
            return message["bytes"] if text is None else text
        code = message["code"]
        if code == ABNORMAL:
            raise Closed(Closing(GOING_AWAY))
        raise Closed(Closing(None) if code == NO_CODE else Closing(code, message.get("reason") or ""))

    async def send(self, message: str | bytes) -> None:
        """Send one, as fast as the browser takes it; raises BrowserGone."""
        kind = "text" if isinstance(message, str) else "bytes"
        try:
            await self._send({"type": "websocket.send", kind: message})
        except OSError:
            raise BrowserGone from None

    async def close(self, closing: Closing) -> None:
        """Close, unless it is gone, or takes nothing any more."""
        with suppress(OSError):  # TimeoutError is one
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await self._send({"type": "websocket.close", "code": closing.code, "reason": closing.reason})


class Farewell(Struct, frozen=True):
    """How a WebSocket ends: what each side is told, None where that side is gone already."""

    to_browser: Closing | None
    to_upstream: Closing | None


class Tunnel:
    """Passes messages both ways. ``last`` is the monotonic instant of the last one, in either direction."""

    def __init__(self, browser: Browser, upstream: UpstreamSocket, clock: Clock) -> None:
        self._browser, self._upstream, self._clock = browser, upstream, clock
        self.last = clock.monotonic()

    async def run(self, over: asyncio.Future[End], idle_seconds: float) -> None:
        """Relay until one side closes, ``over`` is done, or nothing was said for so long; then close both sides."""
        both = (asyncio.create_task(self._up()), asyncio.create_task(self._down()))
        try:
            farewell = await self._first(both, over, idle_seconds)
        finally:
            for task in both:
                task.cancel()
            await asyncio.wait(both)
        farewells = []
        if farewell.to_browser is not None:
            farewells.append(self._browser.close(farewell.to_browser))
        if farewell.to_upstream is not None:
            farewells.append(self._upstream.close(farewell.to_upstream))
        await asyncio.gather(*farewells)

    async def _first(
        self, both: tuple[asyncio.Task[Farewell], ...], over: asyncio.Future[End], idle_seconds: float
    ) -> Farewell:
        watched: set[asyncio.Future[Any]] = {*both, over}
        while True:
            left = self.last + idle_seconds - self._clock.monotonic()
            if left <= 0:
                silence = Closing(GOING_AWAY, "silence")
                return Farewell(silence, silence)
            done, _ = await asyncio.wait(watched, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if over in done:
                return Farewell(told(over.result()), Closing(GOING_AWAY))
            for task in both:
                if task in done:
                    return task.result()

    async def _up(self) -> Farewell:
        while True:
            try:
                message = await self._browser.receive()
            except Closed as closed:
                return Farewell(None, closed.closing)
            self.last = self._clock.monotonic()
            try:
                await self._upstream.send(message)
            except Closed as closed:
                return Farewell(closed.closing, None)

    async def _down(self) -> Farewell:
        while True:
            try:
                message = await self._upstream.receive()
            except Closed as closed:
                return Farewell(closed.closing, None)
            self.last = self._clock.monotonic()
            try:
                await self._browser.send(message)
            except BrowserGone:
                return Farewell(None, Closing(GOING_AWAY))


def told(end: End) -> Closing:
    """What a browser is told when its WebSocket must end here.

    4401: what let it in has ended; the page asks who is signed in, and opens it anew if somebody is.
    """
    if end.why == "leaving":
        return Closing(GOING_AWAY)
    if end.why == "store":
        return Closing(TRY_LATER)
    return Closing(NOT_ANY_MORE, {"token": "token_ended", "idle": "idle"}.get(end.why) or str(end.reason))
