"""The only door to the time: whoever judges age, expiry or a lease is handed a Clock and never asks the system."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two times: one that people and servers share, one that never jumps."""

    def now(self) -> float:
        """Seconds since the epoch (UTC): for instants that travel in cookies and tokens."""
        ...

    def monotonic(self) -> float:
        """Seconds since some start: for time-outs, leases and cool-downs."""
        ...


class SystemClock:
    """The machine's clocks: the system's own functions, for a relayed call asks them a dozen times."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)
