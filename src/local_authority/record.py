"""What the authority was asked, counted: for tests that promise how often a relying party calls."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Record:
    """Counts: requests by endpoint, token calls by grant type, refusals by error code, revocations by token type."""

    requests: Counter[str] = field(default_factory=Counter)
    token_calls: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    revocations: Counter[str] = field(default_factory=Counter)

    def clear(self) -> None:
        """Start counting anew."""
        for counter in (self.requests, self.token_calls, self.refusals, self.revocations):
            counter.clear()
