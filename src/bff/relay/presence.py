"""A call lasts as long as its browser waits for it: when the browser leaves, so do we (C10)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from types import TracebackType
from typing import Any, Final, Self

from msgspec import Struct

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

TICK_SECONDS: Final = 0.1


class BrowserGone(Exception):
    """The browser closed its connection before the response was complete."""


class Watch:
    """Listens for departures, but only of calls that last: one timer for all calls, and a task for a slow one.

    A task for every call would cost more than the rest of a fast one. A departure is heard within two ticks.
    """

    def __init__(self) -> None:
        self._new: list[Presence] = []
        self._lasting: list[Presence] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, presence: Presence) -> None:
        """From here on nobody else reads this call's ``receive``."""
        self._new.append(presence)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TICK_SECONDS, self._look)

    def _look(self) -> None:
        for presence in self._lasting:
            presence.listen()
        self._lasting, self._new = [presence for presence in self._new if presence.watched], []
        waiting = self._lasting or self._new
        self._timer = asyncio.get_running_loop().call_later(TICK_SECONDS, self._look) if waiting else None


class Presence(Struct, eq=False):
    """Ends its block with BrowserGone when ASGI says ``http.disconnect``, whatever the block is waiting for.

    ``watch`` starts the watch; until then somebody else reads the request body from ``receive``, and hears it there.
    """

    _receive: Receive | None
    _watch: Watch
    watched: bool = False
    _listener: asyncio.Task[None] | None = None
    _task: asyncio.Task[Any] | None = None
    _gone: bool = False
    _cancelling: int = 0

    def __enter__(self) -> Self:
        """Enter the block that a departure ends."""
        task = self._task = asyncio.current_task()
        self._cancelling = task.cancelling() if task is not None else 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave it; raise BrowserGone where the browser left first."""
        self.unwatch()
        task, self._task = self._task, None
        if self._gone and task is not None:
            ours_alone = task.uncancel() <= self._cancelling
            if ours_alone and kind is asyncio.CancelledError:
                raise BrowserGone from None

    def watch(self) -> None:
        """From here on nobody else reads ``receive``."""
        if not self.watched and self._receive is not None:
            self.watched = True
            self._watch.add(self)

    def unwatch(self) -> None:
        """End the watch: what ``receive`` says from here on concerns nobody."""
        self.watched, self._receive = False, None  # the watch may hold on to this for a while, but not to the request
        if self._listener is not None:
            self._listener.cancel()

    def listen(self) -> None:
        """Hear the browser leave from now on."""
        if self._listener is None and self._receive is not None:
            self._listener = asyncio.create_task(self._wait(self._receive))

    async def _wait(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        if self._task is not None:
            self._gone = True
            self._task.cancel()
