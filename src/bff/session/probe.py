"""``bff check`` asks a deployment for as many cookies as a session may take, to see whether they come back (rule F21).

What asks is sealed with the deployment's own key ring and lives a minute: whoever has no key gets the answer of a path
that is not there, and no cookie that is sent back outlives its arrival.
"""

from __future__ import annotations

from typing import Final

from bff.session.cipher import Cipher
from bff.session.cookies import CookiePolicy, Jar, SetCookie

MOST: Final = 20 * 1024  # as much as max_cookie_bytes may be
_SECONDS: Final = 60.0
_CHUNK: Final = 3900
_PURPOSE: Final = "probe"


class Probe:
    """Both sides of the question, which agree on names, sizes and keys."""

    def __init__(self, cipher: Cipher, policy: CookiePolicy) -> None:
        self._policy = policy
        self._name = f"{policy.base}-probe"
        self._sealer = cipher.sealer(_PURPOSE, self._name)

    def ask(self, size: int) -> bytes:
        """A ``Cookie`` header that asks for so many bytes of cookies."""
        return self._name.encode() + b"=" + self._sealer.seal(b"%d" % size)

    def asked(self, jar: Jar) -> int | None:
        """How many bytes a jar asks for; None for everybody who has none of our keys."""
        opened = self._sealer.open(jar.get(self._name) or b"", max_age=_SECONDS)
        return None if opened is None else min(int(opened.payload), MOST)

    def answer(self, size: int) -> list[SetCookie]:
        """So many bytes of names and values, in cookies that are over as they arrive."""
        return [self._policy.cookie(name, b"x" * length, max_age=0) for name, length in self._parts(size)]

    def filler(self, size: int) -> bytes:
        """The same in a ``Cookie`` header."""
        return b"; ".join(name.encode() + b"=" + b"x" * length for name, length in self._parts(size))

    def _parts(self, size: int) -> list[tuple[str, int]]:
        whole, rest = divmod(size, _CHUNK)
        sizes = [*[_CHUNK] * whole, rest]
        named = [(f"{self._name}.{number}", length) for number, length in enumerate(sizes)]
        return [(name, length - len(name) - 1) for name, length in named if length > len(name) + 1]
