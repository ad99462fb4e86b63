"""How keys and values are written: ``bff:{mark}:…``, so that all that one script touches lies in one slot."""

from __future__ import annotations

import base64

from bff.clock import Clock
from bff.session.key_ring import CLOCK_TOLERANCE


def key_of(mark: bytes, kind: str, generation: int | None = None) -> bytes:
    """The key of one kind of fact about one mark; a cluster hashes what stands in braces."""
    name = base64.urlsafe_b64encode(mark).rstrip(b"=")
    tail = b"" if generation is None else b":%d" % generation
    return b"bff:{" + name + b"}:" + kind.encode() + tail


def ttl(until: float, clock: Clock) -> int:
    """Milliseconds until housekeeping may take a key whose instant we compare ourselves: a little late, never early."""
    return int((max(0.0, until - clock.now()) + CLOCK_TOLERANCE) * 1000)


def text(instant: float) -> str:
    """An instant as the scripts read it; a float's own spelling loses nothing."""
    return repr(instant)


def number(value: bytes | str | float) -> float:
    """An instant, back."""
    return float(value)
