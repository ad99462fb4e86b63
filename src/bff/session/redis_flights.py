"""Flights and the doubts they leave behind, in Redis or Valkey: leases in the server's own time (rules F3, F5, F8)."""

from __future__ import annotations

from functools import partial
from typing import Final

from bff.clock import Clock
from bff.session.flights import LEASE_SECONDS, SENT_SECONDS
from bff.session.own_writes import OwnWrites
from bff.session.redis_connection import RedisStore
from bff.session.redis_keys import key_of, number, text, ttl
from bff.session.redis_scripts import DOUBT, ENTER, LEAVE, RENEW, SEND, SENT_AGAIN, STALE

_LEASE_MS: Final = int(LEASE_SECONDS * 1000)
_SENT_MS: Final = int(SENT_SECONDS * 1000)


class RedisFlights:
    """One per ledger; an owner's flights under way are told again after a reconnect, for as long as they are sent."""

    def __init__(self, store: RedisStore, own: OwnWrites, clock: Clock) -> None:
        self._store = store
        self._own = own
        self._clock = clock
        self._sent: dict[tuple[bytes, int], bytes] = {}

    async def enter(self, sid: bytes, generation: int, owner: bytes, until: float) -> bool:
        """Take what nobody holds. On another primary than before nobody can know that for six seconds (rule F12)."""
        keys = [_flight(sid, generation), _doubts(sid)]
        values = (
            owner,
            generation,
            text(until),
            ttl(until, self._clock),
            int(self._store.cautious),
            _LEASE_MS,
            _SENT_MS,
        )
        return bool(await self._store.run(ENTER, keys, *values))

    async def renew(self, sid: bytes, generation: int, owner: bytes) -> bool:
        """A longer lease while nothing has been sent."""
        return bool(await self._store.run(RENEW, [_flight(sid, generation)], owner, _LEASE_MS))

    async def send(self, sid: bytes, generation: int, owner: bytes) -> bool:
        """Six seconds from now on, if it is still this owner's."""
        sent = bool(await self._store.run(SEND, [_flight(sid, generation)], owner, _SENT_MS, lasting=True))
        if sent:
            self._sent[sid, generation] = owner
            until = self._clock.now() + SENT_SECONDS
            again = partial(self._tell_again, sid, generation, owner)
            with self._own.noted(again, until=until, name=("sent", sid, generation)):
                pass
        return sent

    async def leave(self, sid: bytes, generation: int, owner: bytes) -> None:
        """Only one's own."""
        self._sent.pop((sid, generation), None)
        await self._store.run(LEAVE, [_flight(sid, generation)], owner)

    async def note_uncertain(self, sid: bytes, generation: int, until: float) -> None:
        """To the session's end."""

        async def write() -> None:
            await self._store.run(DOUBT, [_doubts(sid)], generation, text(until), ttl(until, self._clock), lasting=True)

        with self._own.noted(write, until=until, name=("doubt", sid, generation)):
            await write()

    async def is_uncertain(self, sid: bytes, generation: int) -> bool:
        """While the session may live."""
        known = await self._store.ask("HGET", _doubts(sid), generation)
        return known is not None and number(known) > self._clock.now()

    async def note_stale(self, sid: bytes, at: float, until: float) -> float:
        """The first time stands."""
        values = (text(at), text(until), text(self._clock.now()), ttl(until, self._clock))
        return number(await self._store.run(STALE, [key_of(sid, "stale")], *values))

    async def _tell_again(self, sid: bytes, generation: int, owner: bytes) -> None:
        if self._sent.get((sid, generation)) == owner:
            await self._store.run(SENT_AGAIN, [_flight(sid, generation)], owner, _SENT_MS, _SENT_MS)


def _flight(sid: bytes, generation: int) -> bytes:
    return key_of(sid, "flight", generation)


def _doubts(sid: bytes) -> bytes:
    return key_of(sid, "uncertain")
