"""A document fetched when it is needed, remembered while it is fresh, kept a bounded while when its source is down."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from bff.clock import Clock
from bff.errors import AuthorizationServerUnavailable

STALE_SECONDS = 24 * 3600.0
COOL_DOWN_SECONDS = 30.0

logger = logging.getLogger(__name__)
Document = TypeVar("Document")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched(Generic[Document]):
    """A document as it was fetched, and for how many seconds it may be believed unasked."""

    document: Document
    fresh_seconds: float


class LastKnownGood(Generic[Document]):
    """One document of the authorization server. ``fetch`` raises AuthorizationServerUnavailable where it cannot be had.

    At most one fetch is under way; all who ask share it, and one who goes away cancels nobody's. Ages are monotonic.
    """

    def __init__(self, name: str, fetch: Callable[[], Awaitable[Fetched[Document]]], clock: Clock) -> None:
        self._name = name
        self._fetch = fetch
        self._clock = clock
        self._kept: Fetched[Document] | None = None
        self._fetched_at = 0.0
        self._retry_at = 0.0
        self._renew_at = float("-inf")
        self._flight: asyncio.Task[Document] | None = None

    async def current(self) -> Document:
        """The document, refetched when it is stale; the last known good for 24 hours while the source is down."""
        now = self._clock.monotonic()
        if self._kept is not None and now < max(self._fetched_at + self._kept.fresh_seconds, self._retry_at):
            return self._kept.document
        try:
            return await self._join_flight()
        except AuthorizationServerUnavailable as outage:
            if self._kept is None or now >= self._fetched_at + STALE_SECONDS:
                raise
            logger.warning("%s cannot be refetched, the last known good one is used: %s", self._name, outage.detail)
            self._retry_at = min(now + COOL_DOWN_SECONDS, self._fetched_at + STALE_SECONDS)
            return self._kept.document

    async def renewed(self) -> Document:
        """The document fetched anew, fresh or not, once in 30 seconds: a flood of unknown key ids costs one fetch."""
        now = self._clock.monotonic()
        if self._flight is None and now < self._renew_at:
            return await self.current()
        self._renew_at = max(self._renew_at, now + COOL_DOWN_SECONDS)
        return await self._join_flight()

    async def _join_flight(self) -> Document:
        if self._flight is None:
            self._flight = asyncio.create_task(self._fly())
            self._flight.add_done_callback(self._landed)
        return await asyncio.shield(self._flight)

    async def _fly(self) -> Document:
        fetched = await self._fetch()
        self._kept, self._fetched_at = fetched, self._clock.monotonic()
        return fetched.document

    def _landed(self, flight: asyncio.Task[Document]) -> None:
        self._flight = None
        if not flight.cancelled():
            # Asked for, so that a failure whose callers have all gone away is not reported as forgotten.
            flight.exception()
