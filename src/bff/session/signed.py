"""Values that may be read but must be authentic and timed: the one file that itsdangerous enters."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass

from itsdangerous import BadData, TimestampSigner
from itsdangerous.encoding import base64_decode, base64_encode, bytes_to_int

from bff.clock import Clock
from bff.session.cipher import Cipher
from bff.session.key_ring import CLOCK_TOLERANCE

_CANONICAL = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{1,12})\.([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Stamped:
    """A verified value and the instant, in whole seconds, at which it was signed."""

    value: str
    at: float


class _ClockedSigner(TimestampSigner):
    """itsdangerous asks the system's clock; ours asks the one that it is given (rule F17)."""

    def __init__(self, secrets: list[bytes], purpose: str, clock: Clock) -> None:
        super().__init__(secrets, salt=purpose, key_derivation="hmac", digest_method=hashlib.sha256)
        self._clock = clock

    def get_timestamp(self) -> int:
        return int(self._clock.now())


class Stamp:
    """Signs words of ``[A-Za-z0-9_-]`` for one purpose with the ring's keys; age is judged here, not by the library."""

    def __init__(self, cipher: Cipher, purpose: str) -> None:
        self._cipher = cipher
        self._purpose = purpose
        self._built_for: tuple[int, str] | None = None
        self._signer: _ClockedSigner

    def sign(self, value: str) -> bytes:
        """``value.time.signature``, stamped with the clock's present second."""
        return self._current().sign(value)

    def read(self, signed: bytes, *, max_age: float | None = None) -> Stamped | None:
        """The value and its instant, or None: forged, misspelt, older than ``max_age`` seconds, or from the future.

        A negative age within the clock tolerance of 300 s counts as none at all.
        """
        match = _CANONICAL.fullmatch(signed)
        if match is None:
            return None
        try:
            value = self._current().unsign(signed)
            if any(base64_encode(base64_decode(part)) != part for part in match.groups()[1:]):
                return None
        except BadData:
            return None
        at = bytes_to_int(base64_decode(match[2]))
        age = self._cipher.clock.now() - at
        if age < -CLOCK_TOLERANCE or (max_age is not None and age > max_age + CLOCK_TOLERANCE):
            return None
        return Stamped(value.decode(), float(at))

    def _current(self) -> _ClockedSigner:
        """The signer of today's keys: it verifies with all of them and signs with the one that seals."""
        ring, sealing = self._cipher.ring, self._cipher.ring.sealing_key
        if self._built_for != (ring.revision, sealing.id):
            ordered = [key for key in ring.keys if key.id != sealing.id] + [sealing]
            secrets = [self._cipher.derived(key, f"sign {self._purpose}") for key in ordered]
            self._signer = _ClockedSigner(secrets, self._purpose, self._cipher.clock)
            self._built_for = (ring.revision, sealing.id)
        return self._signer


def same(one: str, other: str) -> bool:
    """Equality that takes as long for a near miss as for a far one (ATK-21)."""
    return hmac.compare_digest(one.encode(errors="surrogatepass"), other.encode(errors="surrogatepass"))
