"""The ledger in Redis or Valkey: what machines must agree on about sessions (rules F3, F4, F10, F11, F12, F18)."""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress
from functools import partial
from typing import Final

from bff.clock import Clock
from bff.errors import ConfigurationError, SessionStoreUnavailable
from bff.session.endings import Ending, EndingsView
from bff.session.own_writes import OwnWrites
from bff.session.redis_address import RedisAddress
from bff.session.redis_connection import PATIENCE, RedisStore, probe
from bff.session.redis_flights import RedisFlights
from bff.session.redis_keys import key_of, number, text, ttl
from bff.session.redis_scripts import ACKNOWLEDGE, FOLLOW, LAND, LIST, SHORTEN, SPEND
from bff.session.redis_view import RedisStream
from bff.session.successor import Successor
from bff.telemetry.logs import get_logger

_AGAIN: Final = 0.1  # seconds between two attempts to read while the store is away
_LOOK_EVERY: Final = 1.0
_UNTIL: Final = struct.Struct(">d")

_log = get_logger(__name__)


class RedisLedger:
    """Every process keeps a whole view, fed by one stream; a call asks memory while the view is young (rule F10).

    ``keep_seconds`` is the longest life of a session: so long an ending is told to whoever starts. The start is refused
    where the store may forget under memory pressure; where it does not answer, the process starts and is not ready.
    """

    durable = True

    def __init__(
        self, address: RedisAddress, clock: Clock, *, keep_seconds: float = 86_400.0, patience: float = PATIENCE
    ) -> None:
        _refuse_unsafe(address)
        self.view = EndingsView()
        self.instance = address.instance
        self.store = RedisStore(address, clock, patience=patience)
        self.own_writes = OwnWrites(clock)
        self._clock = clock
        self._stream = RedisStream(self.store, self.view, clock, keep_seconds=keep_seconds)
        self._flights = RedisFlights(self.store, self.own_writes, clock)
        self._following: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._recovering = asyncio.Lock()
        self._closed = False
        self._reconnects = 0
        self._looked_at = clock.monotonic()

    @property
    def fresh(self) -> bool:
        """Whether the stream was read within the last second, from the store that is there, which has what we wrote."""
        return self._stream.fresh and self._following is not None and not self._interrupted

    @property
    def _interrupted(self) -> bool:
        return self._reconnects != self.store.reconnects or self.own_writes.unconfirmed

    async def catch_up(self, *, at_once: bool = False) -> None:
        """Ask the store where the view is too old, or at once; raises ``SessionStoreUnavailable``."""
        if self._following is None or self._following.done():
            self._following = asyncio.create_task(self._follow())
        if at_once:
            await self._read()
        elif not self.fresh:
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._read())
                self._asking.add_done_callback(_looked_at)
            await asyncio.shield(self._asking)

    async def end(self, ending: Ending) -> None:
        """Dead here at once, dead everywhere when the store has it; a store that is away is told when it is back."""
        known = self.view.knows(ending)
        self.view.learn(ending)
        if known and not self.own_writes.unconfirmed:
            return
        name = (ending.mark, ending.before)
        again = partial(self._stream.append_ending, ending)
        with self.own_writes.noted(again, until=ending.until, name=name, ending=True):
            await again()

    async def announce_generation(self, sid: bytes, generation: int, until: float) -> None:
        """Tell every process that a session's record has another generation."""
        self.view.learn_generation(sid, generation, until)
        again = partial(self._stream.append_generation, sid, generation, until)
        with self.own_writes.noted(again, until=until, name=("generation", sid, generation)):
            await again()

    async def spend_login(self, login: bytes, until: float) -> bool:
        """One script decides who is first."""

        async def write() -> bool:
            values = (text(until), text(self._clock.now()), ttl(until, self._clock))
            return bool(await self.store.run(SPEND, [key_of(login, "login")], *values, lasting=True))

        with self.own_writes.noted(write, until=until, name=login):
            return await write()

    async def release_login(self, login: bytes) -> None:
        """As if it had never been spent."""
        self.own_writes.forget(login)
        await self.store.ask("DEL", key_of(login, "login"))

    async def keep_landing(self, login: bytes, sealed: bytes) -> None:
        """Beside the login that was spent."""
        await self.store.run(LAND, [key_of(login, "login")], sealed)

    async def landing(self, login: bytes) -> bytes | None:
        """None while unknown."""
        until, sealed = await self.store.ask("HMGET", key_of(login, "login"), "until", "sealed")
        return sealed if until is not None and number(until) > self._clock.now() else None

    async def keep_successor(self, sid: bytes, successor: Successor, until: float) -> bool:
        """The successor first: whoever hears of a generation finds the way there."""

        async def write() -> bool:
            values = (successor.generation, successor.newest, successor.sealed, text(until))
            housekeeping = (text(self._clock.now()), ttl(until, self._clock))
            written = await self.store.run(FOLLOW, [_successors(sid)], *values, *housekeeping, lasting=True)
            await self._stream.append_generation(sid, successor.newest, until)
            return bool(written)

        with self.own_writes.noted(write, until=until, name=("successor", sid, successor.generation)):
            written = await write()
        if written:
            self.view.learn_generation(sid, successor.newest, until)
        return written

    async def shorten_path(self, sid: bytes, successor: Successor) -> None:
        """Only forward, and only what exists."""
        await self.store.run(SHORTEN, [_successors(sid)], successor.generation, successor.newest, successor.sealed)

    async def successor(self, sid: bytes, generation: int) -> Successor | None:
        """While it lives."""
        names = [f"{generation}:{part}" for part in ("newest", "sealed", "until")]
        newest, sealed, until = await self.store.ask("HMGET", _successors(sid), *names)
        if newest is None or number(until) <= self._clock.now():
            return None
        return Successor(generation=generation, newest=int(newest), sealed=sealed)

    async def acknowledge(self, sid: bytes, generation: int, until: float) -> None:
        """Older entries only ever get shorter lives."""
        await self.store.run(ACKNOWLEDGE, [_successors(sid)], generation, text(until), text(self._clock.now()))

    async def enter_flight(self, sid: bytes, generation: int, owner: bytes, until: float) -> bool:
        """One script decides."""
        return await self._flights.enter(sid, generation, owner, until)

    async def renew_flight(self, sid: bytes, generation: int, owner: bytes) -> bool:
        """While it is this owner's."""
        return await self._flights.renew(sid, generation, owner)

    async def flight_sent(self, sid: bytes, generation: int, owner: bytes) -> bool:
        """While it is this owner's."""
        return await self._flights.send(sid, generation, owner)

    async def leave_flight(self, sid: bytes, generation: int, owner: bytes) -> None:
        """Only one's own, and not before the store knows what it brought: else it stays, sent, until it lapses."""
        await self._recover()
        await self._flights.leave(sid, generation, owner)

    async def note_uncertain(self, sid: bytes, generation: int, until: float) -> None:
        """To the session's end."""
        await self._flights.note_uncertain(sid, generation, until)

    async def is_uncertain(self, sid: bytes, generation: int) -> bool:
        """Whoever sent it."""
        return await self._flights.is_uncertain(sid, generation)

    async def note_stale(self, sid: bytes, at: float, until: float) -> float:
        """The first time stands."""
        return await self._flights.note_stale(sid, at, until)

    async def list_session(self, sid: bytes, person: bytes, sealed: bytes, until: float) -> None:
        """One field a session, behind the instant at which it is over."""
        entry = _UNTIL.pack(until) + sealed
        await self.store.run(LIST, [key_of(person, "list")], sid, entry, ttl(until, self._clock))

    async def listed(self, person: bytes) -> list[tuple[bytes, bytes]]:
        """What cannot be alive any more is left out, and taken out."""
        key = key_of(person, "list")
        reply = await self.store.ask("HGETALL", key)
        pairs = list(reply.items()) if isinstance(reply, dict) else list(zip(reply[::2], reply[1::2], strict=True))
        over = [sid for sid, entry in pairs if _UNTIL.unpack_from(entry)[0] <= self._clock.now()]
        if over:
            await self.store.ask("HDEL", key, *over)
        return [(sid, entry[_UNTIL.size :]) for sid, entry in pairs if sid not in over]

    async def unlist_session(self, sid: bytes, person: bytes) -> None:
        """Out of that person's list only."""
        await self.store.ask("HDEL", key_of(person, "list"), sid)

    async def aclose(self) -> None:
        """Stop listening, then close."""
        self._closed = True
        if self._following is not None:
            self._following.cancel()
            with suppress(asyncio.CancelledError):
                await self._following
        await self.store.aclose()

    async def _read(self) -> None:
        await self._recover()
        await self._stream.read()

    async def _follow(self) -> None:
        """Read for as long as this process lives; an outage ends nothing here, it only lets the view grow old."""
        while not self._closed:  # redis-py can lose a cancellation that meets the end of a read
            try:
                if self._clock.monotonic() - self._looked_at >= _LOOK_EVERY:
                    self._looked_at = self._clock.monotonic()
                    await self.store.look()
                await self._recover()
                await self._stream.read(wait=True)
            except SessionStoreUnavailable:
                await asyncio.sleep(_AGAIN)

    async def _recover(self) -> None:
        """After an interruption: our own writes first, then what others told meanwhile (rule F12)."""
        if not self._interrupted:
            return
        async with self._recovering:
            while self._interrupted:
                reconnects = self.store.reconnects
                await self.own_writes.tell_again()
                self._stream.rewind()
                await self._stream.read()
                self._reconnects = reconnects


def _looked_at(reading: asyncio.Task[None]) -> None:
    """Whoever asked may have gone: a failure is not reported as forgotten."""
    if not reading.cancelled():
        reading.exception()


def _successors(sid: bytes) -> bytes:
    return key_of(sid, "successors")


def _refuse_unsafe(address: RedisAddress) -> None:
    facts = probe(address)
    if facts is None:
        _log.error("session_store_unreachable", address=str(address), cure="start it, or correct session.redis_url")
        return
    if faults := facts.faults():
        raise ConfigurationError(faults)
    if not facts.appendonly:
        _log.warning("session_store_forgets_at_restart", cure="appendonly yes")
