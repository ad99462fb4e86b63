"""Server-sent events on their way to the browser: each block as it comes, and an end that the page can read (C10, C12).

The stream is passed on as the upstream encodes it, never unpacked. It is understood just far enough to know where one
event ends (HTML Living Standard 9.2.5), because a word of ours inside half an event would be part of that event.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any, Final

from bff.errors import ResourceAPITimeout
from bff.relay.headers import Headers
from bff.relay.lasting import End
from bff.relay.presence import BrowserGone

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

GRACE_SECONDS: Final = 0.5
"""How long an event that is under way may take when its stream must end: with the watch's 0.25 s less than a second."""
_BOUNDARY = re.compile(rb"(?>\r\n|\n|\r)(?:\r\n|\n|\r)")
_AT_BOUNDARY = re.compile(_BOUNDARY.pattern + rb"\Z")
_LONGEST_BOUNDARY = 4


class EventStream:
    """Passes one response's event stream on until it ends, or until ``over`` says why it must.

    Where its session has ended, the last event is ``session-ended`` with ``{"reason": …}``; any other end is silent,
    and an EventSource asks again. ``readable`` is False for a stream in a content coding: it ends without that event.
    """

    def __init__(self, send: Send, *, readable: bool) -> None:
        self._send, self._readable = send, readable
        self._tail, self._between, self._sending, self._ending = b"", True, False, False

    async def relay(self, blocks: AsyncIterator[bytes], over: asyncio.Future[End]) -> None:
        """Pass on, and return when the response's body is to be closed.

        Raises what reading raises, but for silence: that ends the stream as if the upstream had. Raises BrowserGone
        where the stream must end and the browser takes nothing of what it has been sent.
        """
        pump: asyncio.Future[None] = asyncio.create_task(self._pump(blocks))
        first: set[asyncio.Future[Any]] = {pump, over}
        try:
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            if over.done():
                self._ending = True
                if not self._between:
                    await asyncio.wait({pump}, timeout=GRACE_SECONDS)
        finally:
            pump.cancel()
            await asyncio.wait({pump})
        if not pump.cancelled():
            pump.result()
        if over.done():
            await self._close(over.result())

    async def _close(self, end: End) -> None:
        if self._sending:
            raise BrowserGone
        if end.reason is not None and self._between and self._readable:
            told = f"event: session-ended\ndata: {json.dumps({'reason': end.reason.value})}\n\n"
            await self._send({"type": "http.response.body", "body": told.encode("ascii"), "more_body": True})

    async def _pump(self, blocks: AsyncIterator[bytes]) -> None:
        try:
            async for block in blocks:
                await self._pass(self._up_to_boundary(block) if self._ending else block)
                if self._ending and self._between:
                    return
        except ResourceAPITimeout:
            return

    async def _pass(self, block: bytes) -> None:
        self._between, self._sending = False, True
        await self._send({"type": "http.response.body", "body": block, "more_body": True})
        self._tail = (self._tail + block)[-_LONGEST_BOUNDARY:]
        self._sending = False
        self._between = _AT_BOUNDARY.search(self._tail) is not None

    def _up_to_boundary(self, block: bytes) -> bytes:
        """The rest of the event under way: its last line may have ended with the block before."""
        line_end = self._tail[len(self._tail.rstrip(b"\r\n")) :]
        found = _BOUNDARY.search(line_end + block)
        return block if found is None else block[: found.end() - len(line_end)]


def is_event_stream(headers: Headers) -> bool:
    """Say whether a response's head, names in any case, announces ``text/event-stream``."""
    for name, value in headers:
        if name.lower() == b"content-type":
            return value.split(b";", 1)[0].strip().lower() == b"text/event-stream"
    return False


def is_encoded(headers: Headers) -> bool:
    """Say whether a content coding lies over the body."""
    return any(name == b"content-encoding" and value.lower() != b"identity" for name, value in headers)
