"""How much of the relay one session and one address may use: calls at a time, and calls in a while (ATK-42, ATK-63)."""

from __future__ import annotations

import time
from math import ceil

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from bff.errors import TooManyRequests
from bff.gate.client_address import network_of


class FairUse:
    """Counts in this process. A rate is written like ``600/minute``; None sets no limit. ``in_all`` is all addresses'.

    Raises ValueError for a rate that nothing can read.
    """

    def __init__(
        self,
        *,
        concurrency: int | None = None,
        per_session: str | None = None,
        per_address: str | None = None,
        in_all: str | None = None,
    ) -> None:
        self._concurrency = concurrency
        self._per_session, self._per_address, self._in_all = (
            parse(rate) if rate else None for rate in (per_session, per_address, in_all)
        )
        counts = self._per_session or self._per_address or self._in_all
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage()) if counts else None
        self._under_way: dict[bytes, int] = {}

    def admit_address(self, address: str) -> None:
        """Count a call of this address, and so one of all; raises TooManyRequests."""
        if self._per_address is not None:
            self._hit(self._per_address, "address", network_of(address))
        if self._in_all is not None:
            self._hit(self._in_all, "process", "")

    def enter(self, session: bytes) -> None:
        """Count a call of this session that begins; raises TooManyRequests. Each one that entered must ``leave``."""
        if self._per_session is not None:
            self._hit(self._per_session, "session", session.hex())
        if self._concurrency is not None:
            under_way = self._under_way.get(session, 0)
            if under_way >= self._concurrency:
                raise TooManyRequests(f"{under_way} calls of one session at a time")
            self._under_way[session] = under_way + 1

    def leave(self, session: bytes) -> None:
        """A call that entered has ended."""
        if self._concurrency is not None:
            left = self._under_way[session] - 1
            if left:
                self._under_way[session] = left
            else:
                del self._under_way[session]

    def _hit(self, rate: RateLimitItem, kind: str, whose: str) -> None:
        if self._limiter is not None and not self._limiter.hit(rate, kind, whose):
            resets_at, _ = self._limiter.get_window_stats(rate, kind, whose)
            # limits counts windows by the system's own clock, so what is left of one is asked of the same clock
            raise TooManyRequests(f"more than {rate} of one {kind}", retry_after=max(1, ceil(resets_at - time.time())))
