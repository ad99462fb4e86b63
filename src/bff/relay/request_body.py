"""The browser's request body on its way to the upstream: bounded, complete, and never buffered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, MutableMapping
from typing import Any, Final

from bff.errors import MalformedRequest, RequestStalled, RequestTooLarge
from bff.relay.presence import BrowserGone, Receive

MAX_HELD_BYTES: Final = 64 * 1024


class RequestBody:
    """Yields the body of one request, block by block, as the upstream takes it.

    ``length`` is the declared length, None where the body is chunked; ``cap`` the largest permitted one; both in bytes.
    ``idle_seconds`` bounds the wait for the next block; ``whole`` is called when the last one has come. Raises
    RequestTooLarge (at once where the length is declared), RequestStalled, MalformedRequest where length and body
    differ, and BrowserGone. A body of at most 64 KiB is held, and may be read again once all of it has come.
    """

    def __init__(
        self, receive: Receive, *, length: int | None, cap: int, idle_seconds: float, whole: Callable[[], None]
    ) -> None:
        if length is not None and length > cap:
            raise RequestTooLarge(f"Content-Length above {cap}")
        self.length = length
        self._receive = receive
        self._cap = cap
        self._idle_seconds = idle_seconds
        self._whole = whole
        self._held: list[bytes] | None = []
        self._ended = False

    @property
    def repeatable(self) -> bool:
        """Whether the whole body has come and is still here (rule F15)."""
        return self._ended and self._held is not None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield what arrives, or what is held; end only where the whole body has come."""
        if self._ended:
            for block in self._held or ():
                yield block
            return
        taken, more = 0, True
        while more:
            message = await self._next()
            block, more = message.get("body", b""), message.get("more_body", False)
            taken += len(block)
            if taken > self._cap:
                raise RequestTooLarge(f"the body grew above {self._cap}")
            if self.length is not None and taken > self.length:
                raise MalformedRequest("the body is longer than its Content-Length")
            if not more and self.length is not None and taken < self.length:
                raise MalformedRequest("the body is shorter than its Content-Length")
            self._hold(block, taken)
            if not more:
                self._ended = True
                self._whole()
            if block:
                yield block

    def _hold(self, block: bytes, taken: int) -> None:
        if self._held is not None:
            self._held.append(block)
        if taken > MAX_HELD_BYTES:
            self._held = None

    async def _next(self) -> MutableMapping[str, Any]:
        try:
            async with asyncio.timeout(self._idle_seconds):
                message = await self._receive()
        except TimeoutError:
            raise RequestStalled from None
        if message["type"] == "http.disconnect":
            raise BrowserGone
        return message
