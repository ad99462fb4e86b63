"""What this process wrote of late, told again to a store that may have forgotten it (rule F12)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from bff.clock import Clock

KEPT_SECONDS: Final = 60.0
_MOST: Final = 20_000
_AT_A_TIME: Final = 32

Again = Callable[[], Awaitable[object]]


@dataclass(slots=True, eq=False)
class _Write:
    """How to say one write again, until when anybody needs it, and when it was confirmed; ``failed``: it never was."""

    again: Again
    until: float
    name: bytes
    confirmed_at: float | None = None
    failed: bool = False


class OwnWrites:
    """Endings and other writes of the last minute. One that failed is kept until it is confirmed, or needless."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._endings: deque[_Write] = deque(maxlen=_MOST)
        self._others: deque[_Write] = deque(maxlen=_MOST)
        self.unconfirmed = False
        """Whether something was not taken, and is still to be told."""

    @contextmanager
    def noted(self, again: Again, *, until: float, name: bytes = b"", ending: bool = False) -> Iterator[None]:
        """Remember a write while it is made, and as confirmed when the block ends without an error."""
        write = _Write(again, until, name)
        kept = self._endings if ending else self._others
        self._trim(kept)
        kept.append(write)
        try:
            yield
        except BaseException:
            write.failed = self.unconfirmed = True
            raise
        write.confirmed_at = self._clock.monotonic()

    def forget(self, name: bytes) -> None:
        """What was taken back is not told again."""
        for write in self._others:
            if write.name == name:
                write.until = 0.0

    async def tell_again(self) -> None:
        """Endings first, so that nothing that is over comes back; raises where one is not taken."""
        for kept in (self._endings, self._others):
            self._trim(kept)
            now = self._clock.now()
            due = [write for write in kept if write.until > now and (write.failed or write.confirmed_at is not None)]
            for start in range(0, len(due), _AT_A_TIME):
                await asyncio.gather(*(self._told(write) for write in due[start : start + _AT_A_TIME]))
        self.unconfirmed = any(write.failed for write in [*self._endings, *self._others])

    async def _told(self, write: _Write) -> None:
        await write.again()
        if write.failed:
            write.failed, write.confirmed_at = False, self._clock.monotonic()

    def _trim(self, kept: deque[_Write]) -> None:
        """Forget what is older than a minute, or over."""
        now, since = self._clock.now(), self._clock.monotonic() - KEPT_SECONDS
        while kept and (kept[0].until <= now or (kept[0].confirmed_at or since) < since):
            kept.popleft()
