"""The only door to the time. Whoever judges expiry, age or a cool-down is handed a Clock."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two times: one that is shared with the issuer, one that never jumps."""

    def now(self) -> float:
        """Seconds since the epoch (UTC): for the instants in tokens."""
        ...

    def monotonic(self) -> float:
        """Seconds since some start: for lifetimes of what we hold, and for cool-downs."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        """Seconds since the epoch (UTC)."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds since some start that never jumps."""
        return time.monotonic()
