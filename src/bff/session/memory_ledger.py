"""The ledger in the memory of one process: for tests, and for a laptop that may forget."""

from __future__ import annotations

import secrets

from bff.clock import Clock
from bff.session.cipher import INSTANCE_BYTES
from bff.session.endings import Ending, EndingsView
from bff.session.flights import Flight
from bff.session.successor import Successor


class MemoryLedger:
    """A ledger that one process keeps to itself and forgets when it ends: for tests and nothing else."""

    durable = False
    fresh = True

    def __init__(self, clock: Clock) -> None:
        self.view = EndingsView()
        self.instance = secrets.token_bytes(INSTANCE_BYTES)
        self._clock = clock
        self._logins: dict[bytes, tuple[float, bytes | None]] = {}
        self._successors: dict[tuple[bytes, int], tuple[Successor, float]] = {}
        self._flights: dict[tuple[bytes, int], Flight] = {}
        self._uncertain: dict[tuple[bytes, int], float] = {}
        self._stale: dict[bytes, tuple[float, float]] = {}
        self._listed: dict[bytes, tuple[bytes, bytes, float]] = {}

    async def catch_up(self, *, at_once: bool = False) -> None:
        """Nobody else writes; what is over is forgotten now and then."""
        if at_once:
            self.view.trim(self._clock.now())

    async def end(self, ending: Ending) -> None:
        """Into the view, which is all there is."""
        self.view.learn(ending)

    async def spend_login(self, login: bytes, until: float) -> bool:
        """First come, first served."""
        now = self._clock.now()
        self._logins = {mark: kept for mark, kept in self._logins.items() if kept[0] > now}
        if login in self._logins:
            return False
        self._logins[login] = (until, None)
        return True

    async def release_login(self, login: bytes) -> None:
        """As if it had never been spent."""
        self._logins.pop(login, None)

    async def keep_landing(self, login: bytes, sealed: bytes) -> None:
        """Beside the login that was spent."""
        if login in self._logins:
            self._logins[login] = (self._logins[login][0], sealed)

    async def landing(self, login: bytes) -> bytes | None:
        """None while unknown."""
        until, sealed = self._logins.get(login, (0.0, None))
        return sealed if until > self._clock.now() else None

    async def keep_successor(self, sid: bytes, successor: Successor, until: float) -> bool:
        """Write once."""
        key, now = (sid, successor.generation), self._clock.now()
        self._successors = {known: kept for known, kept in self._successors.items() if kept[1] > now}
        if key in self._successors:
            return False
        self._successors[key] = (successor, until)
        self.view.learn_generation(sid, successor.newest, until)
        return True

    async def shorten_path(self, sid: bytes, successor: Successor) -> None:
        """Only forward, and only what exists."""
        known, until = self._successors.get((sid, successor.generation), (None, 0.0))
        if known is not None and known.newest < successor.newest:
            self._successors[sid, successor.generation] = (successor, until)

    async def successor(self, sid: bytes, generation: int) -> Successor | None:
        """While it lives."""
        known, until = self._successors.get((sid, generation), (None, 0.0))
        return known if until > self._clock.now() else None

    async def acknowledge(self, sid: bytes, generation: int, until: float) -> None:
        """Older entries only ever get shorter lives."""
        for key, (successor, lives) in self._successors.items():
            if key[0] == sid and key[1] < generation:
                self._successors[key] = (successor, min(lives, until))

    async def enter_flight(self, sid: bytes, generation: int, owner: bytes, until: float) -> bool:
        """Leases are counted in the process's monotonic time."""
        key, now = (sid, generation), self._clock.monotonic()
        known = self._flights.get(key)
        if known is not None and known.holds(now) and known.owner != owner:
            return False
        if known is not None and known.sent and known.owner != owner:
            await self.note_uncertain(sid, generation, until)
        self._flights[key] = Flight.waiting(owner, now)
        return True

    async def renew_flight(self, sid: bytes, generation: int, owner: bytes) -> bool:
        """A longer lease while nothing has been sent."""
        known = self._flights.get((sid, generation))
        if known is None or known.owner != owner:
            return False
        self._flights[sid, generation] = known.renewed(self._clock.monotonic())
        return True

    async def flight_sent(self, sid: bytes, generation: int, owner: bytes) -> bool:
        """Six seconds from now on."""
        known = self._flights.get((sid, generation))
        if known is None or known.owner != owner:
            return False
        self._flights[sid, generation] = Flight.under_way(owner, self._clock.monotonic())
        return True

    async def leave_flight(self, sid: bytes, generation: int, owner: bytes) -> None:
        """Only one's own."""
        known = self._flights.get((sid, generation))
        if known is not None and known.owner == owner:
            del self._flights[sid, generation]

    async def note_uncertain(self, sid: bytes, generation: int, until: float) -> None:
        """Until the session's end."""
        now = self._clock.now()
        self._uncertain = {key: lives for key, lives in self._uncertain.items() if lives > now}
        self._uncertain[sid, generation] = until

    async def is_uncertain(self, sid: bytes, generation: int) -> bool:
        """As far as this process knows, which is all there is."""
        return self._uncertain.get((sid, generation), 0.0) > self._clock.now()

    async def note_stale(self, sid: bytes, at: float, until: float) -> float:
        """The first time stands."""
        now = self._clock.now()
        self._stale = {mark: kept for mark, kept in self._stale.items() if kept[1] > now}
        return self._stale.setdefault(sid, (at, until))[0]

    async def list_session(self, sid: bytes, person: bytes, sealed: bytes, until: float) -> None:
        """In place of what was there."""
        now = self._clock.now()
        self._listed = {mark: kept for mark, kept in self._listed.items() if kept[2] > now}
        self._listed[sid] = (person, sealed, until)

    async def listed(self, person: bytes) -> list[tuple[bytes, bytes]]:
        """One person's, while they may live."""
        now = self._clock.now()
        return [
            (sid, sealed) for sid, (whose, sealed, until) in self._listed.items() if whose == person and until > now
        ]

    async def unlist_session(self, sid: bytes, person: bytes) -> None:
        """Only that person's."""
        if self._listed.get(sid, (None,))[0] == person:
            del self._listed[sid]

    async def aclose(self) -> None:
        """Nothing is open."""
