"""Which sessions lie in the store under a mark that several may share: so an end without a cookie finds them (rule F9).

Housekeeping: whether a session lives is never asked here (rule F11). Each key holds one sorted set, by the instants at
which its sessions are over at the latest, and has a slot of its own; everybody's sessions are spread over many keys, so
that no server of a cluster holds them all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from bff.clock import Clock
from bff.session.marks import EVERYBODY, Marks
from bff.session.redis_connection import RedisStore
from bff.session.redis_keys import key_of, text, ttl
from bff.session.redis_scripts import INDEX

_SHARDS: Final = [bytes([first]) for first in range(256)]
"""A session's mark begins with one of them: a digest is as evenly spread as any hash of it."""


class RedisIndex:
    """Under the authorization server's sid, or its absence; under the subject; and under everybody."""

    def __init__(self, store: RedisStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def add(self, marks: Marks, until: float) -> None:
        """Note a session until its absolute end; what is over in the same places goes."""
        values = (marks.sid, text(until), text(self._clock.now()), ttl(until, self._clock))
        places = (marks.authority_sid, marks.subject, marks.sid[:1])
        await asyncio.gather(*(self._store.run(INDEX, [_key(place)], *values) for place in places))

    async def under(self, place: bytes) -> list[bytes]:
        """The marks of the sessions in one of the places."""
        found: list[bytes] = await self._store.ask("ZRANGE", _key(place), 0, -1)
        return found

    async def drop(self, place: bytes, sids: Sequence[bytes]) -> None:
        """What was cleared away is looked for no more."""
        if sids:
            await self._store.ask("ZREM", _key(place), *sids)


def places_of(mark: bytes) -> list[bytes]:
    """Where to look for the sessions that a fact about this mark may have ended."""
    return _SHARDS if mark == EVERYBODY else [mark]


def _key(place: bytes) -> bytes:
    return key_of(place, "sessions")
