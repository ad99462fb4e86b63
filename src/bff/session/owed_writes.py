"""What the ledger's file did not take, written as soon as it can be (rules F2, F4, F8)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from bff.clock import Clock
from bff.errors import SessionStoreUnavailable
from bff.session.own_writes import OwnWrites
from bff.telemetry.logs import get_logger

TRY_AGAIN: Final = 0.25  # seconds between two attempts

_log = get_logger(__name__)


class OwedWrites:
    """A file loses nothing that it took, so only what failed is kept; it is tried on every call, and without one."""

    def __init__(self, clock: Clock) -> None:
        self._own = OwnWrites(clock, kept_seconds=0.0)
        self._clock = clock
        self._rests_until = 0.0
        self._attempt: asyncio.Task[None] | None = None
        self._attempts: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def any(self) -> bool:
        """Whether the file does not yet have all that it was told."""
        return self._own.unconfirmed

    @contextmanager
    def noted(
        self, again: Callable[[], Awaitable[object]], *, until: float, name: Hashable, ending: bool = False
    ) -> Iterator[None]:
        """Owe the file the write that is made in the block, where the block raises; ``until`` then nobody needs it."""
        try:
            with self._own.noted(again, until=until, name=name, ending=ending):
                yield
        except BaseException:
            self._rests_until = 0.0
            if not self._closed and (self._attempts is None or self._attempts.done()):
                self._attempts = asyncio.create_task(self._keep_trying())
            raise

    async def settle(self) -> None:
        """Write all that is owed; raises ``SessionStoreUnavailable`` where that fails, or has failed just now."""
        while self.any:
            idle = self._attempt is None or self._attempt.done()
            if idle and self._clock.monotonic() < self._rests_until:
                raise SessionStoreUnavailable("the ledger does not take what this process has to tell it")
            await self._try()

    async def aclose(self) -> None:
        """Try once more, and no longer."""
        self._closed = True
        if self._attempts is not None:
            self._attempts.cancel()
        try:
            if self.any:
                await self._try()
        except SessionStoreUnavailable as error:
            _log.error("own_writes_lost", detail=error.detail, cure="a disk that can be written")

    async def _keep_trying(self) -> None:
        """For as long as anything is owed, so that it is written when nobody calls."""
        while self.any:
            await asyncio.sleep(TRY_AGAIN)
            with suppress(SessionStoreUnavailable):
                await self._try()

    async def _try(self) -> None:
        """One attempt, for all who want one at this moment."""
        if self._attempt is None or self._attempt.done():
            self._rests_until = self._clock.monotonic() + TRY_AGAIN
            self._attempt = asyncio.create_task(self._own.tell_again())
            self._attempt.add_done_callback(_looked_at)
        await asyncio.shield(self._attempt)


def _looked_at(attempt: asyncio.Task[None]) -> None:
    """Whoever waited may have gone: a failure is not reported as forgotten."""
    if not attempt.cancelled():
        attempt.exception()
