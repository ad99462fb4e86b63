"""Failed sign-ins, counted by email address and forgotten by themselves: a brake, bounded in memory."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final

from local_authority.clock import Clock
from local_authority.errors import TooManyAttempts

LIMIT: Final = 10
WINDOW_SECONDS: Final = 300
REMEMBERED: Final = 10_000


class Attempts:
    """At most LIMIT failures per key within WINDOW_SECONDS, for the REMEMBERED keys that failed last."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def begin(self, key: str) -> None:
        """Count one attempt as failed until ``succeeded`` says otherwise, so that parallel ones are counted too.

        TooManyAttempts where the limit is reached; attempts refused this way do not prolong it.
        """
        failures = self._failures.setdefault(key, deque(maxlen=LIMIT))
        while failures and failures[0] <= self._clock.monotonic() - WINDOW_SECONDS:
            failures.popleft()
        if len(failures) >= LIMIT:
            raise TooManyAttempts({"form": "Too many attempts for this email. Wait five minutes, then try again."})
        failures.append(self._clock.monotonic())
        self._failures.move_to_end(key)
        if len(self._failures) > REMEMBERED:
            self._failures.popitem(last=False)

    def succeeded(self, key: str) -> None:
        """Forget the failures of one who got in."""
        self._failures.pop(key, None)
