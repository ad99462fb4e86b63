"""A browser that takes nothing of its answer gives its connection back; one that is slow is served to the end."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.flow_control import FlowControl

TAKE_SECONDS = 30.0
"""How long a browser may take nothing of what it is sent (ATK-42)."""
_LOOKS = 6  # in that time


class Taking:
    """Watches one connection while something waits to be taken; a fast answer has cost no timer."""

    __slots__ = ("_flow", "_loop", "_taken_at", "_timer", "_transport", "_untaken")

    def __init__(self, transport: asyncio.Transport, flow: FlowControl, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._flow, self._loop = transport, flow, loop
        self._timer: asyncio.TimerHandle | None = None
        self._untaken, self._taken_at = 0, 0.0  # bytes that wait to be taken, and since when none was

    def watch(self) -> None:
        """Watch what still waits in our buffer, after a close as well: that would wait for ever to send it."""
        self._untaken = self._transport.get_write_buffer_size()
        if self._untaken:
            self._taken_at = self._loop.time()
            if self._timer is None:
                self._look_later()

    def stop(self) -> None:
        """The connection is gone, or somebody else's."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_later(self) -> None:
        self._timer = self._loop.call_later(TAKE_SECONDS / _LOOKS, self._leave_if_untaken)

    def _leave_if_untaken(self) -> None:
        self._timer = None
        untaken, now = self._transport.get_write_buffer_size(), self._loop.time()
        if not untaken or not (self._flow.write_paused or self._transport.is_closing()):
            return
        if untaken < self._untaken:
            self._untaken, self._taken_at = untaken, now
        if now - self._taken_at < TAKE_SECONDS:
            self._look_later()
        else:
            self._transport.abort()
