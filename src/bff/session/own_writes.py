"""What this process wrote of late, told again to a ledger that did not take it, or may have lost it (F4, F8, F12)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from bff.clock import Clock
from bff.telemetry.logs import get_logger

KEPT_SECONDS: Final = 60.0
MOST: Final = 20_000
_AT_A_TIME: Final = 32

Again = Callable[[], Awaitable[object]]

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Write:
    """How to say one write again, until when anybody needs it, and when it was confirmed."""

    again: Again
    until: float
    confirmed_at: float = 0.0


class OwnWrites:
    """Endings and other writes. One that failed is kept until it is confirmed or needless, a confirmed one for a while.

    ``kept_seconds`` is for how long a store may lose what it has confirmed; a disk does not. A write that breaks off
    may have happened or not, and so each must be one that may be said twice.
    """

    def __init__(self, clock: Clock, *, kept_seconds: float = KEPT_SECONDS) -> None:
        self._endings = _Kind(clock, kept_seconds, most_failed=None)
        self._others = _Kind(clock, kept_seconds, most_failed=MOST)

    @property
    def unconfirmed(self) -> bool:
        """Whether something was not taken, and is still to be told."""
        return bool(self._endings.failed or self._others.failed)

    @contextmanager
    def noted(
        self, again: Again, *, until: float, name: Hashable | None = None, ending: bool = False
    ) -> Iterator[None]:
        """Remember the write that the block makes, by its name: as confirmed, or as failed where the block raises."""
        kind, name = self._endings if ending else self._others, object() if name is None else name
        write = _Write(again, until)
        try:
            yield
        except BaseException:
            kind.put_failed(name, write)
            raise
        kind.put_confirmed(name, write)

    def forget(self, name: Hashable) -> None:
        """What was taken back is not told again."""
        self._others.forget(name)

    async def tell_again(self) -> None:
        """Endings first, so that nothing that is over comes back; raises where one is not taken."""
        for kind in (self._endings, self._others):
            due = kind.due()
            for start in range(0, len(due), _AT_A_TIME):
                await asyncio.gather(*(kind.tell(name, write) for name, write in due[start : start + _AT_A_TIME]))


class _Kind:
    """The writes of one kind by their names, the oldest first; one name is never in both."""

    def __init__(self, clock: Clock, kept_seconds: float, *, most_failed: int | None) -> None:
        self.failed: dict[Hashable, _Write] = {}
        self.confirmed: dict[Hashable, _Write] = {}
        self._clock = clock
        self._kept_seconds = kept_seconds
        self._most_failed = most_failed
        self._dropped = 0

    def put_failed(self, name: Hashable, write: _Write) -> None:
        """Nobody but this process knows it: an ending is never dropped before it is needless."""
        self.forget(name)
        self.failed[name] = write
        self._drop_surplus(self.failed, self._most_failed)

    def put_confirmed(self, name: Hashable, write: _Write) -> None:
        """From now on it is only told to a store that may have lost it."""
        self.forget(name)
        if self._kept_seconds:
            self.confirmed[name] = _Write(write.again, write.until, self._clock.monotonic())
            self._drop_surplus(self.confirmed, MOST)
            self._trim()

    def forget(self, name: Hashable) -> None:
        """As if it had never been noted."""
        self.failed.pop(name, None)
        self.confirmed.pop(name, None)

    async def tell(self, name: Hashable, write: _Write) -> None:
        """Say it once more; what has failed before is confirmed by it, unless it was taken back meanwhile."""
        await write.again()
        if self.failed.get(name) is write:
            self.put_confirmed(name, write)

    def due(self) -> list[tuple[Hashable, _Write]]:
        """All that is to be told; what is needless by now is forgotten."""
        now = self._clock.now()
        self._trim()
        for name in [name for name, write in self.failed.items() if write.until <= now]:
            del self.failed[name]
        return [*self.failed.items(), *((name, one) for name, one in self.confirmed.items() if one.until > now)]

    def _trim(self) -> None:
        """Forget what has been confirmed for long enough."""
        since = self._clock.monotonic() - self._kept_seconds
        while self.confirmed:
            name, oldest = next(iter(self.confirmed.items()))
            if oldest.confirmed_at >= since:
                return
            del self.confirmed[name]

    def _drop_surplus(self, kept: dict[Hashable, _Write], most: int | None) -> None:
        if most is None or len(kept) <= most:
            return
        del kept[next(iter(kept))]
        self._dropped += 1
        if self._dropped.bit_count() == 1:  # the first, and then ever more rarely
            _log.error("own_writes_dropped", dropped=self._dropped, cure="a session store that answers")
