"""Tokens verified before, remembered by digest: a warm call neither parses nor verifies anything twice."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import NamedTuple

from resource_api.clock import Clock
from resource_api.security.principal import Principal

MAX_REMEMBERED = 4096


class _Remembered(NamedTuple):
    principal: Principal
    keys_until: float


class VerifiedTokens:
    """A bounded memory of principals, least recently used first out.

    Nothing is remembered beyond its ``exp``, nor beyond the time of the keys that verified it: a key that is withdrawn
    takes its tokens along. The token itself is not kept, only its SHA-256.
    """

    def __init__(self, clock: Clock, *, bound: int = MAX_REMEMBERED) -> None:
        self._clock = clock
        self._bound = bound
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()

    def __len__(self) -> int:
        return len(self._remembered)

    def find(self, digest: bytes) -> Principal | None:
        """The principal of the token with this digest, if it would be verified again now."""
        found = self._remembered.get(digest)
        if found is None:
            return None
        if found.principal.expires_at <= self._clock.now() or found.keys_until <= self._clock.monotonic():
            del self._remembered[digest]
            return None
        self._remembered.move_to_end(digest)
        return found.principal

    def keep(self, digest: bytes, principal: Principal, *, keys_until: float) -> None:
        """Remember a verified token; ``keys_until`` is in monotonic seconds."""
        self._remembered[digest] = _Remembered(principal, keys_until)
        if len(self._remembered) > self._bound:
            self._remembered.popitem(last=False)

    def forget_all(self) -> None:
        """The keys have changed: everything is verified anew."""
        self._remembered.clear()


def digest_of(token: bytes) -> bytes:
    """The name of a token that is not the token."""
    return hashlib.sha256(token).digest()
