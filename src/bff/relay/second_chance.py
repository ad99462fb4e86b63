"""When an API refuses a token that looks alive: whether a new one is asked for, at most so often (rule F15).

An API that always says 401 must not turn every call into a token call, nor every cookie into a new generation.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Final

from bff.clock import Clock

SESSION_SECONDS: Final = 60.0
ROUTE_SECONDS: Final = 60.0
ROUTE_CALLS: Final = 10
_REMEMBERED: Final = 4096
_INVALID_TOKEN = re.compile(r'[ ,]error\s*=\s*"?invalid_token"?(?=[ ,]|\Z)', re.IGNORECASE)


def speaks_of_the_token(challenge: str) -> bool:
    """Whether a Bearer challenge says that the token itself is bad (RFC 6750 3.1); anything else no new token cures."""
    return _INVALID_TOKEN.search(challenge) is not None


class SecondChances:
    """One forced refresh per session and route in 60 seconds; ten for one route in a minute, and none for a while."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._given: dict[tuple[bytes, str], tuple[float, str]] = {}
        self._of_route: dict[str, deque[float]] = {}

    def permitted(self, session: bytes, route: str, distrusted: str) -> bool:
        """Whether a new token may be asked for in place of this one; callers with the same one share that refresh."""
        now, key = self._clock.monotonic(), (session, route)
        given = self._given.get(key)
        if given is not None and now - given[0] < SESSION_SECONDS:
            return given[1] == distrusted
        lately = self._of_route.setdefault(route, deque())
        while lately and now - lately[0] >= ROUTE_SECONDS:
            lately.popleft()
        if len(lately) >= ROUTE_CALLS:
            return False
        lately.append(now)
        self._remember(key, now, distrusted)
        return True

    def _remember(self, key: tuple[bytes, str], now: float, distrusted: str) -> None:
        if len(self._given) >= _REMEMBERED:
            self._given = {known: one for known, one in self._given.items() if now - one[0] < SESSION_SECONDS}
        self._given[key] = (now, distrusted)
