"""How keys and values are written: ``bff:{mark}:…``, so that all that one script touches lies in one slot."""

from __future__ import annotations

import base64
import re
from math import isfinite

from bff.clock import Clock
from bff.errors import SessionStoreUnavailable
from bff.session.key_ring import CLOCK_TOLERANCE

_INSTANT = re.compile(rb"[0-9]{1,20}(\.[0-9]{1,20})?(e\+?[0-9]{1,3})?")


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
    """An instant, back; what somebody put in its place is no answer of the store's (ATK-22)."""
    try:
        return float(value)
    except ValueError as error:
        raise SessionStoreUnavailable("the session store holds what is no instant") from error


def instant(value: bytes) -> float | None:
    """The same, of a field that nothing authenticates; None for what is no instant of ours."""
    found = number(value) if _INSTANT.fullmatch(value) else None
    return found if found is not None and isfinite(found) else None
