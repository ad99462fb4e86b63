"""Flights and the doubts they leave behind, as rows of the ledger's file; each call runs inside one transaction."""

from __future__ import annotations

import sqlite3

from bff.clock import Clock
from bff.session.flights import Flight

SCHEMA = """
CREATE TABLE IF NOT EXISTS flights (sid BLOB NOT NULL, generation INTEGER NOT NULL, owner BLOB NOT NULL,
    lease REAL NOT NULL, sent INTEGER NOT NULL, until REAL NOT NULL, PRIMARY KEY (sid, generation))
    STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uncertain (sid BLOB NOT NULL, generation INTEGER NOT NULL, until REAL NOT NULL,
    PRIMARY KEY (sid, generation)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS stale (sid BLOB PRIMARY KEY, at REAL NOT NULL, until REAL NOT NULL) STRICT, WITHOUT ROWID;
"""


class FileFlights:
    """Leases are counted in the monotonic time that all processes of one machine share, since its last start."""

    def __init__(self, connection: sqlite3.Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def enter(self, sid: bytes, generation: int, owner: bytes, until: float) -> bool:
        """Take what nobody holds; what was sent and left by its owner is uncertain from now on."""
        now, known = self._clock.monotonic(), self._flight(sid, generation)
        if known is not None and known.owner != owner:
            if known.holds(now):
                return False
            if known.sent:
                self.note_uncertain(sid, generation, until)
        self._put(sid, generation, Flight.waiting(owner, now), until)
        return True

    def renew(self, sid: bytes, generation: int, owner: bytes) -> bool:
        """A longer lease while nothing has been sent."""
        known = self._flight(sid, generation)
        if known is None or known.owner != owner:
            return False
        lease = known.renewed(self._clock.monotonic()).until
        return self._change("UPDATE flights SET lease = ? WHERE sid = ? AND generation = ?", lease, sid, generation)

    def send(self, sid: bytes, generation: int, owner: bytes) -> bool:
        """Six seconds from now on, if it is still this owner's."""
        lease = Flight.under_way(owner, self._clock.monotonic()).until
        statement = "UPDATE flights SET lease = ?, sent = 1 WHERE sid = ? AND generation = ? AND owner = ?"
        return self._change(statement, lease, sid, generation, owner)

    def leave(self, sid: bytes, generation: int, owner: bytes) -> None:
        """Only one's own."""
        self._change("DELETE FROM flights WHERE sid = ? AND generation = ? AND owner = ?", sid, generation, owner)

    def note_uncertain(self, sid: bytes, generation: int, until: float) -> None:
        """Until the session's end."""
        self._change("INSERT OR REPLACE INTO uncertain VALUES (?, ?, ?)", sid, generation, until)

    def note_stale(self, sid: bytes, at: float, until: float) -> float:
        """The first time stands."""
        self._change("DELETE FROM stale WHERE sid = ? AND until <= ?", sid, self._clock.now())
        self._change("INSERT OR IGNORE INTO stale VALUES (?, ?, ?)", sid, at, until)
        first: float = self._connection.execute("SELECT at FROM stale WHERE sid = ?", (sid,)).fetchone()[0]
        return first

    def trim(self) -> None:
        """Forget what no living session can need."""
        for statement in (
            "DELETE FROM flights WHERE until <= ?",
            "DELETE FROM uncertain WHERE until <= ?",
            "DELETE FROM stale WHERE until <= ?",
        ):
            self._change(statement, self._clock.now())

    def _flight(self, sid: bytes, generation: int) -> Flight | None:
        statement = "SELECT owner, lease, sent FROM flights WHERE sid = ? AND generation = ?"
        row = self._connection.execute(statement, (sid, generation)).fetchone()
        return None if row is None else Flight(owner=row[0], until=row[1], sent=bool(row[2]))

    def _put(self, sid: bytes, generation: int, flight: Flight, until: float) -> None:
        row = (sid, generation, flight.owner, flight.until, flight.sent, until)
        self._change("INSERT OR REPLACE INTO flights VALUES (?, ?, ?, ?, ?, ?)", *row)

    def _change(self, statement: str, *values: object) -> bool:
        return self._connection.execute(statement, values).rowcount > 0
