"""A call lasts as long as its browser waits for it: when the browser leaves, so do we (C10)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from types import TracebackType
from typing import Any, Self

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class BrowserGone(Exception):
    """The browser closed its connection before the response was complete."""


class Presence:
    """Ends its block with BrowserGone as soon as ASGI says ``http.disconnect``, whatever the block is waiting for.

    ``watch`` starts the watch; until then somebody else reads the request body from ``receive``, and hears it there.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._block = asyncio.timeout(None)
        self._watcher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Enter the block that a departure ends."""
        await self._block.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave it; raise BrowserGone where the browser left first."""
        self.unwatch()
        try:
            await self._block.__aexit__(kind, error, trace)
        except TimeoutError:
            raise BrowserGone from None

    def watch(self) -> None:
        """From here on nobody else reads ``receive``."""
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._wait())

    def unwatch(self) -> None:
        """End the watch: what ``receive`` says from here on concerns nobody."""
        if self._watcher is not None:
            self._watcher.cancel()

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._block.reschedule(0)  # a moment that has passed: the block ends now
