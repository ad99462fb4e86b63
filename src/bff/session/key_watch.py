"""The key ring follows its file: a key reaches every replica before it seals, and nobody restarts for it (rule F22)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Final

from bff.errors import ConfigurationError
from bff.session.key_ring import KeyRing
from bff.telemetry.logs import get_logger

LOOK_SECONDS: Final = 2.0

_log = get_logger(__name__)
_Look = tuple[int, int, int] | None


class KeyWatch:
    """One look at the file every two seconds, by one task a process; a file that cannot be used changes nothing.

    A mounted secret is replaced through a link, an operator's file by renaming: what is looked at is where it leads.
    """

    def __init__(self, ring: KeyRing, path: Path | None, *, seconds: float = LOOK_SECONDS) -> None:
        self._ring = ring
        self._path = path
        self._seconds = seconds
        self._known = self._look()
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look, where there is a file at all."""
        if self._path is not None and self._watching is None:
            self._watching = asyncio.create_task(self._watch())

    async def aclose(self) -> None:
        """Look no more."""
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            seen = self._look()
            if seen is not None and seen != self._known:
                self._known = seen
                self._reload()

    def _reload(self) -> None:
        try:
            changed = self._ring.reload()
        except ConfigurationError as error:
            _log.error("keys_not_reloaded", causes=error.causes)
            return
        if changed:
            sealing = self._ring.sealing_key.id
            _log.info("keys_reloaded", keys=[key.id for key in self._ring.keys], sealing=sealing)

    def _look(self) -> _Look:
        if self._path is None:
            return None
        try:
            found = self._path.stat()
        except OSError:  # between two states of a mounted secret there may be nothing
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size
