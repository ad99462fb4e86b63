"""A clock that a test moves."""

from __future__ import annotations

import time


class MovableClock:
    """Starts at the present, stands still, and goes where it is told; its monotonic time only ever goes forward."""

    def __init__(self, start: float | None = None) -> None:
        self._now = time.time() if start is None else start
        self._monotonic = 1000.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._now

    def monotonic(self) -> float:
        """Seconds since some start."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds
        self._monotonic += max(seconds, 0.0)


class AnotherClock:
    """Another machine's clock: goes with ours, ``ahead`` seconds away from it."""

    def __init__(self, ours: MovableClock) -> None:
        self._ours = ours
        self.ahead = 0.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._ours.now() + self.ahead

    def monotonic(self) -> float:
        """Seconds since some start."""
        return self._ours.monotonic()
