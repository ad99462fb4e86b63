"""The only door to the time. Whoever judges age or expiry is handed a Clock and never asks the system itself."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two times: one that servers share, one that never jumps."""

    def now(self) -> float:
        """Seconds since the epoch (UTC): for instants that travel in tokens and records."""
        ...

    def monotonic(self) -> float:
        """Seconds since some start: for counting attempts and time-outs."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        """Seconds since the epoch (UTC)."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds since some start that never jumps."""
        return time.monotonic()
