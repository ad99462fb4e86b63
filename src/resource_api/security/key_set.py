"""An issuer's keys, held: fetched once by many callers, renewed ahead of time, kept for a while through an outage.

A key that was removed stops validating when the held set's time is over; a key nobody has heard of costs at most one
fetch per cool-down, however many tokens name it (RS-11, ATK-49).
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from resource_api.clock import Clock
from resource_api.errors import KeySetUnavailable
from resource_api.security.fetching import fetch_object
from resource_api.security.issuers import Endpoints, Issuer, discover
from resource_api.security.signature import UnusableKeyError, VerificationKey, read_key_set

MIN_LIFETIME = 300.0
MAX_LIFETIME = 3600.0
LAST_KNOWN_GOOD = 3600.0
"""Seconds beyond its lifetime for which a set that cannot be renewed still verifies (K-44)."""
UNKNOWN_KID_COOL_DOWN = 30.0
"""Seconds: an emergency's new key is taken within half a minute, and forged names cost two fetches a minute."""
FAILURE_COOL_DOWN = 5.0
MAX_CANDIDATES = 8
_MAX_AGE = re.compile(r'(?:^|[\s,])max-age="?([0-9]{1,9})"?', re.IGNORECASE)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HeldKeys:
    """A fetched key set and its times, in monotonic seconds."""

    keys: frozenset[VerificationKey]
    by_name: Mapping[tuple[str | None, str], tuple[VerificationKey, ...]]
    endpoints: Endpoints
    fetched_at: float
    renew_at: float
    fresh_until: float

    def matching(self, kid: str | None, alg: str) -> tuple[VerificationKey, ...]:
        """Every key a token may have been signed with: those of its ``kid``, else those published without one."""
        return self.by_name.get((kid, alg)) or self.by_name.get((None, alg), ())


class KeySet:
    """The keys of one issuer. ``on_change`` is called after a fetch that brought other keys than those held before."""

    def __init__(
        self,
        issuer: Issuer,
        *,
        client: httpx.AsyncClient,
        clock: Clock,
        algorithms: frozenset[str],
        on_change: Callable[[], None],
        spread: Callable[[], float] = random.random,
    ) -> None:
        self.issuer = issuer
        self._client = client
        self._clock = clock
        self._algorithms = algorithms
        self._on_change = on_change
        self._spread = spread
        self._held: HeldKeys | None = None
        self._flight: asyncio.Task[HeldKeys] | None = None
        self._failure: str | None = None
        self._failed_at = float("-inf")

    @property
    def held(self) -> HeldKeys | None:
        """What was fetched last, whatever its age."""
        return self._held

    async def matching(self, kid: str | None, alg: str) -> tuple[VerificationKey, ...]:
        """The keys that a token with this header may have been signed with; none means that nobody published one.

        A ``kid`` that is not in the set is asked for once per cool-down. Raises KeySetUnavailable where the issuer
        would have to be asked and does not answer: that an unknown key is a forgery can then not be told.
        """
        held = await self.current()
        found = held.matching(kid, alg)
        if not found and kid is not None and self._clock.monotonic() - held.fetched_at >= UNKNOWN_KID_COOL_DOWN:
            held = await self._fetched()
            found = held.matching(kid, alg)
        if not held.keys:
            raise KeySetUnavailable(f"{self.issuer.identifier} publishes no key that can be used")
        return found

    async def current(self) -> HeldKeys:
        """The set to verify with now. Raises KeySetUnavailable where there is none and none can be had."""
        held, now = self._held, self._clock.monotonic()
        if held is not None and now < held.fresh_until:
            if now >= held.renew_at:
                self.begin()
            return held
        if held is None or now >= held.fresh_until + LAST_KNOWN_GOOD:
            return await self._fetched()
        if self._failure is not None:  # an outage has begun: nobody waits for the next attempt
            self.begin()
            return held
        try:
            return await self._fetched()
        except KeySetUnavailable:
            return held

    async def aclose(self) -> None:
        """Give up a fetch under way."""
        if self._flight is not None:
            self._flight.cancel()
            await asyncio.wait([self._flight])

    def begin(self) -> asyncio.Task[HeldKeys] | None:
        """The fetch under way, or a new one, for which nobody need wait; None within the cool-down after a failure."""
        if self._flight is None and self._clock.monotonic() - self._failed_at >= FAILURE_COOL_DOWN:
            self._flight = asyncio.get_running_loop().create_task(self._settled(self._fetch()))
            self._flight.add_done_callback(self._landed)
        return self._flight

    async def _fetched(self) -> HeldKeys:
        flight = self.begin()
        if flight is None:
            raise KeySetUnavailable(self._failure or self.issuer.identifier)
        return await asyncio.shield(flight)  # whoever stops waiting does not stop the fetch for the others

    async def _settled(self, fetch: Coroutine[Any, Any, HeldKeys]) -> HeldKeys:
        try:
            held = await fetch
        except KeySetUnavailable as error:
            self._failure, self._failed_at = error.detail, self._clock.monotonic()
            _log.warning("key set unavailable", extra={"issuer": self.issuer.identifier, "detail": error.detail})
            raise
        before, self._held = self._held, held
        self._failure, self._failed_at = None, float("-inf")
        if before is None or before.keys != held.keys:
            _log.info("key set changed", extra={"issuer": self.issuer.identifier, "keys": len(held.keys)})
            self._on_change()
        return held

    def _landed(self, flight: asyncio.Task[HeldKeys]) -> None:
        self._flight = None
        if not flight.cancelled():
            flight.exception()  # seen here, so that a fetch nobody waited for does not end as a warning

    async def _fetch(self) -> HeldKeys:
        endpoints = await discover(self._client, self.issuer)
        document, headers = await fetch_object(self._client, endpoints.jwks_uri)
        try:
            keys = read_key_set(document, self._algorithms)
        except UnusableKeyError as error:
            raise KeySetUnavailable(f"{endpoints.jwks_uri}: {error}") from error
        if not keys:
            _log.warning("the key set holds no usable key", extra={"issuer": self.issuer.identifier})
        now, lifetime = self._clock.monotonic(), _lifetime(headers)
        renew_at = now + lifetime * (0.75 + 0.15 * self._spread())  # spread, so that replicas do not ask as one
        return HeldKeys(frozenset(keys), _by_name(keys), endpoints, now, renew_at, now + lifetime)


def _by_name(keys: Iterable[VerificationKey]) -> dict[tuple[str | None, str], tuple[VerificationKey, ...]]:
    """Keys by kid and algorithm (K-41); several share a name only where they have no kid, and then few are tried."""
    named = defaultdict[tuple[str | None, str], list[VerificationKey]](list)
    for key in keys:
        named[key.kid, key.alg].append(key)
    return {name: tuple(those[:MAX_CANDIDATES]) for name, those in named.items()}


def _lifetime(headers: httpx.Headers) -> float:
    """``Cache-Control: max-age`` (RFC 9111 5.2.2.1), kept between 5 minutes and 1 hour."""
    match = _MAX_AGE.search(headers.get("cache-control", ""))
    return min(max(float(match[1]), MIN_LIFETIME), MAX_LIFETIME) if match else MAX_LIFETIME
