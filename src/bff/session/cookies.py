"""Cookies: the only writer of ``Set-Cookie`` and the only reader of ``Cookie``, byte by byte.

Names and attributes are no settings (BBA-3 to BBA-8): ``__Host-Http-``, ``Secure``, ``HttpOnly``, ``Path=/``, and
no ``Domain``.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from bff.errors import ConfigurationError
from bff.fields import fields_of

SameSite = Literal["Strict", "Lax", "None"]

BIGGEST = 4096  # name, value and attributes of one cookie: the strictest reading of RFC 6265 6.1

_REMEMBERED_BYTES = 16 * 1024 * 1024

_LOOPBACK = re.compile(r"localhost|127(?:\.\d{1,3}){3}|::1")
_STATE = re.compile(r"[A-Za-z0-9_-]{8,}")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class SetCookie:
    """One ``Set-Cookie`` (RFC 6265 4.1). Without ``max_age``, in seconds, it lives as long as the browser."""

    name: str
    value: bytes = field(repr=False)
    secure: bool
    same_site: SameSite = "Strict"
    max_age: int | None = None

    def header(self) -> tuple[bytes, bytes]:
        """The header as ASGI wants it."""
        age = "" if self.max_age is None else f"; Max-Age={self.max_age}"
        flags = f"; Path=/{age}; HttpOnly; SameSite={self.same_site}{'; Secure' if self.secure else ''}"
        line = self.name.encode() + b"=" + self.value + flags.encode()
        if len(line) > BIGGEST:
            raise ValueError(f"the cookie {self.name} has {len(line)} bytes: browsers drop what exceeds {BIGGEST}")
        return b"set-cookie", line

    def deleted(self) -> SetCookie:
        """The same cookie, taken back: same name, same attributes, ``Max-Age=0`` (rule F26)."""
        return SetCookie(self.name, b"", self.secure, self.same_site, 0)


@dataclass(frozen=True, slots=True)
class CookiePolicy:
    """Our names under one public origin, and the flags that belong to it."""

    base: str
    origin: str
    secure: bool

    @classmethod
    def for_public_url(cls, public_url: str) -> CookiePolicy:
        """Prefixed and Secure; on a loopback http address neither, and one name per port (rules F24, F25)."""
        parts = urlsplit(public_url)
        host = parts.hostname or ""
        origin = f"{parts.scheme}://{parts.netloc}"
        if parts.scheme == "https" and host:
            return cls(base="__Host-Http-bff", origin=origin, secure=True)
        if parts.scheme == "http" and _LOOPBACK.fullmatch(host):
            return cls(base=f"bff-{parts.port or _PORTS['http']}", origin=origin, secure=False)
        raise ConfigurationError([f"public_url {public_url} is neither https nor a loopback http address. Cure: https"])

    @property
    def session(self) -> str:
        """The sealed session; further chunks are ``.1`` to ``.4``."""
        return self.base

    @property
    def idle(self) -> str:
        """The signed stamp of the last activity."""
        return f"{self.base}-idle"

    @property
    def out(self) -> str:
        """The sealed tags of the sessions that ended in this browser."""
        return f"{self.base}-out"

    @property
    def logout(self) -> str:
        """The sealed way on from ``/bff/logout/continue``."""
        return f"{self.base}-logout"

    @property
    def logged_out(self) -> str:
        """The ``state`` that ``/bff/logged-out`` compares."""
        return f"{self.base}-logged-out"

    @property
    def loop(self) -> str:
        """The signed count of sign-ins that led nowhere."""
        return f"{self.base}-loop"

    def transaction(self, state: str) -> str | None:
        """The cookie of one login transaction, or None where no state of ours looks like this."""
        return f"{self.base}-tx-{state[:8]}" if _STATE.fullmatch(state) else None

    def chunk(self, index: int) -> str:
        """The cookie that holds one chunk of the session, counted from 0."""
        return f"{self.session}.{index}" if index else self.session

    def cookie(
        self, name: str, value: bytes, *, same_site: SameSite = "Strict", max_age: int | None = None
    ) -> SetCookie:
        """A cookie of ours. ``SameSite=None`` is Secure even on loopback: browsers refuse it otherwise (rule F25)."""
        return SetCookie(name, value, self.secure or same_site == "None", same_site, max_age)

    def deletion(self, name: str, *, same_site: SameSite = "Strict") -> SetCookie:
        """What takes back the cookie of that name."""
        return self.cookie(name, b"", same_site=same_site).deleted()


class Jar:
    """The cookies of one request, exactly as they came (RFC 6265 5.4).

    Only SP and HTAB around a pair are cut; nothing is unquoted, decoded or folded, so that no other name can pass for
    one of ours (ATK-13). A name that came twice has no value, whichever came first (CK-3).
    """

    __slots__ = ("_duplicated", "_values")

    def __init__(self, values: dict[str, bytes], duplicated: frozenset[str] = frozenset()) -> None:
        self._values = values
        self._duplicated = duplicated

    @classmethod
    def read(cls, raw_headers: Iterable[tuple[bytes, bytes]]) -> Jar:
        """Every ``cookie`` header of an ASGI scope, several of them joined (RFC 9113 8.2.3)."""
        return cls.of([line for header, line in raw_headers if header == b"cookie"])

    @classmethod
    def of(cls, lines: Sequence[bytes]) -> Jar:
        """The same, from the values of those headers."""
        values: dict[str, bytes] = {}
        duplicated: set[str] = set()
        for pair in b";".join(lines).split(b";"):
            name, equals, value = pair.strip(b" \t").partition(b"=")
            if equals:
                key = name.decode("latin-1")
                if key in values:
                    duplicated.add(key)
                values[key] = value
        return cls(values, frozenset(duplicated)) if duplicated else cls(values)

    def get(self, name: str) -> bytes | None:
        """The value of the one cookie of that name; None if there is none, or more than one."""
        return None if name in self._duplicated else self._values.get(name)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def any_twice(self, names: Sequence[str]) -> bool:
        """Whether any of these names came more than once."""
        return bool(self._duplicated) and not self._duplicated.isdisjoint(names)

    def transactions(self, policy: CookiePolicy) -> list[str]:
        """The names of all login transactions that came along."""
        prefix = f"{policy.base}-tx-"
        return [name for name in self._values if name.startswith(prefix) and _STATE.fullmatch(name, len(prefix))]

    def ours(self, policy: CookiePolicy) -> list[str]:
        """The names of all cookies that are ours."""
        own = re.compile(rf"{re.escape(policy.base)}(?:[.-].*)?")
        return [name for name in self._values if own.fullmatch(name)]

    def weight(self, name: str) -> int:
        """How many bytes of the request's head one cookie takes."""
        return len(name) + 1 + len(self._values.get(name, b""))


class Jars:
    """Reads jars, and remembers them by the exact bytes of their header: a page sends the same ones with every call.

    What is remembered is what was read, so it may be forgotten at any time: the oldest first, beyond so many bytes.
    """

    def __init__(self, limit: int = _REMEMBERED_BYTES) -> None:
        self._limit = limit
        self._kept: OrderedDict[bytes, tuple[bytes, Jar]] = OrderedDict()
        self.weight = 0

    def read(self, raw_headers: Iterable[tuple[bytes, bytes]]) -> Jar:
        """The cookies of one request, as ``Jar.read`` tells them."""
        line = fields_of(raw_headers).only(b"cookie")
        if line is None:  # none, or several
            return Jar.read(raw_headers)
        # Every 61st byte tells two sealed cookies apart, and costs a fraction of hashing all of them; equality decides.
        key = line[::61]
        known = self._kept.get(key)
        if known is not None and known[0] == line:
            return known[1]
        jar = Jar.of([line])
        self._remember(key, line, jar)
        return jar

    def _remember(self, key: bytes, line: bytes, jar: Jar) -> None:
        replaced = self._kept.pop(key, None)
        self._kept[key] = line, jar
        self.weight += _weight(line) - (0 if replaced is None else _weight(replaced[0]))
        while self.weight > self._limit and self._kept:
            self.weight -= _weight(self._kept.popitem(last=False)[1][0])


def _weight(line: bytes) -> int:
    """About how many bytes of memory a remembered header takes: itself, its values, and the objects around them."""
    return 2 * len(line) + 1024
