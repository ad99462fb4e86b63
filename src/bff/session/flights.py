"""A flight: the one refresh of one generation, as the ledger sees it: a lease with a phase (rule F3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

LEASE_SECONDS = 2.0
SENT_SECONDS = 6.0  # longer than a token call takes at most, so that whoever takes over cannot overtake an answer
RENEW_SECONDS = 0.5
POLL_SECONDS = 0.25
GRACE_SECONDS = 0.5  # twice as long as an owner takes to tell an answer that its ledger did not take, once that is back


@dataclass(frozen=True, slots=True, kw_only=True)
class Flight:
    """Whose it is and until when, in seconds of a monotonic clock that all its processes share."""

    owner: bytes
    until: float
    sent: bool

    @classmethod
    def waiting(cls, owner: bytes, now: float) -> Self:
        """Entered, and nothing sent yet."""
        return cls(owner=owner, until=now + LEASE_SECONDS, sent=False)

    @classmethod
    def under_way(cls, owner: bytes, now: float) -> Self:
        """The token request may be on the wire from now on."""
        return cls(owner=owner, until=now + SENT_SECONDS, sent=True)

    def renewed(self, now: float) -> Flight:
        """A longer lease while nothing has been sent; what was sent has its time and no more."""
        return self if self.sent else Flight.waiting(self.owner, now)

    def holds(self, now: float) -> bool:
        """Whether it is still its owner's. A lease longer than any can be was made before the machine's last start."""
        return now < self.until <= now + SENT_SECONDS
