"""Connections to one upstream: kept while they are good, never more than a cap, none of them old."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import Final

from bff.errors import ResourceAPIBusy
from bff.relay.connection import UpstreamConnection
from bff.relay.dial import dial
from bff.relay.route import UpstreamAddress

IDLE_SECONDS: Final = 4.0  # servers close theirs after five seconds (Node, uvicorn): whoever closes first avoids a race
LIFE_SECONDS: Final = 300.0  # so that a changed name or a drained instance is noticed
TICK_SECONDS: Final = 0.05


class ConnectionPool:
    """Hands out connections to one address; ``tls`` is None for plain http, ``now`` a monotonic clock in seconds.

    One timer watches every deadline, idle time and age, and only while there is a connection.
    """

    def __init__(
        self, address: UpstreamAddress, tls: ssl.SSLContext | None, now: Callable[[], float], *, cap: int
    ) -> None:
        self._address, self._tls = address, tls
        self._now, self._cap = now, cap
        self._connections: set[UpstreamConnection] = set()
        self._idle: dict[UpstreamConnection, None] = {}
        self._connecting = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._connections)

    @property
    def idle(self) -> int:
        """How many connections serve nobody at this moment."""
        return len(self._idle)

    def kept(self) -> UpstreamConnection | None:
        """The connection used last, if one is idle and good."""
        idle = self._idle
        while idle:
            connection, _ = idle.popitem()
            if connection.usable and not self._outlived(connection, self._now()):
                return connection
            connection.abort()
        return None

    async def take(self, seconds: float, *, fresh: bool = False) -> UpstreamConnection:
        """A connection of one's own within so many seconds, a new one where ``fresh``.

        Raises ResourceAPIBusy where every one is in use, or as many calls wait as there may be connections, and
        ResourceAPIUnavailable where no address answers.
        """
        until = self._now() + seconds
        while True:
            connection = None if fresh else self.kept()
            if connection is not None:
                return connection
            if len(self._connections) + self._connecting < self._cap:
                return await self._connect(until)
            if not self._make_room():
                await self._wait(until)

    def give_back(self, connection: UpstreamConnection) -> None:
        """The exchange is over: keep the connection if it is good, else close it."""
        connection.idle_since = self._now()
        if connection.finish() and connection in self._connections:  # its age is asked when it is taken again
            self._idle[connection] = None
        else:
            connection.abort()
            self._connections.discard(connection)
        if self._waiting:
            self._call_next()

    def close(self) -> None:
        """Close every connection."""
        for connection in self._connections:
            connection.abort()
        self._idle.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @staticmethod
    def _outlived(connection: UpstreamConnection, now: float) -> bool:
        return now - connection.idle_since > IDLE_SECONDS or now - connection.born > LIFE_SECONDS

    def _make_room(self) -> bool:
        """Close an idle connection for a new one."""
        if not self._idle:
            return False
        connection, _ = self._idle.popitem()
        connection.abort()
        self._connections.discard(connection)
        return True

    async def _wait(self, until: float) -> None:
        if len(self._waiting) >= self._cap:
            raise ResourceAPIBusy("as many calls wait as there may be connections")
        turn, used = asyncio.get_running_loop().create_future(), False
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(max(0.0, until - self._now())):
                await turn
            used = True
        except TimeoutError:
            raise ResourceAPIBusy("no connection came free") from None
        finally:
            if turn in self._waiting:
                self._waiting.remove(turn)
            elif not used:
                self._call_next()  # it was this call's turn, and it has left

    def _call_next(self) -> None:
        if not self._idle and len(self._connections) + self._connecting >= self._cap:
            return
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    async def _connect(self, until: float) -> UpstreamConnection:
        self._connecting += 1
        connection = None
        try:
            connection = await dial(
                self._address,
                self._tls,
                lambda: UpstreamConnection(self._now, self._lost),
                now=self._now,
                until=until,
            )
        finally:
            self._connecting -= 1
            if connection is None:
                self._call_next()
        self._connections.add(connection)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TICK_SECONDS, self._look_around)
        return connection

    def _lost(self, connection: UpstreamConnection) -> None:
        self._connections.discard(connection)
        self._idle.pop(connection, None)
        self._call_next()

    def _look_around(self) -> None:
        now = self._now()
        for connection in tuple(self._connections):
            connection.check(now)
        for connection in [connection for connection in self._idle if self._outlived(connection, now)]:
            del self._idle[connection]
            connection.abort()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(TICK_SECONDS, self._look_around) if self._connections else None
