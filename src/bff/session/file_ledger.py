"""The ledger in one SQLite file: it outlives a restart, and all workers of one machine share it (rule F13)."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from bff.clock import Clock
from bff.errors import ConfigurationError, SessionStoreUnavailable
from bff.session.endings import Ending, EndingsView, Reason
from bff.session.file_flights import FileFlights
from bff.session.ledger_file import connected, create_private, prepared
from bff.session.owed_writes import OwedWrites
from bff.session.successor import Successor

_Result = TypeVar("_Result")

# How old the view may grow before it is read again, and before it may no longer be trusted, in seconds (rule F10).
_READ_AGAIN = 0.25
_TRUSTED = 1.0
_TRIM_EVERY = 60.0
_WAIT_WRITING = 2.0
_WAIT_READING = 0.25


class FileLedger:
    """SQLite in WAL mode. Reads take a few µs and run where they are asked; writes wait for the disk in a thread.

    A write has reached the disk when its call returns (``synchronous=FULL``). The file holds marks, reasons and sealed
    values only; its owner alone may read it.
    """

    durable = True

    def __init__(self, path: Path, clock: Clock) -> None:
        self.view = EndingsView()
        self._clock = clock
        self._path = path
        self._seen = 0
        self._trimmed_at = self._forgot_at = clock.monotonic()
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        with ExitStack() as opened:
            try:
                create_private(path)
                self._writing = opened.enter_context(closing(connected(path, _WAIT_WRITING)))
                self.instance = prepared(self._writing)
                self._reading = opened.enter_context(closing(connected(path, _WAIT_READING)))
                self._read()
            except (OSError, sqlite3.Error) as error:
                cause = f"the ledger {path} cannot be used: {error}. Cure: point session.ledger at a file of its own"
                raise ConfigurationError([cause]) from error
            opened.pop_all()  # from here on they are closed by aclose
        self._flights = FileFlights(self._writing, clock)
        self._owed = OwedWrites(clock)

    @property
    def fresh(self) -> bool:
        """Whether the last reading is younger than a quarter of a second, and the file has all that we wrote."""
        return self._clock.monotonic() - self._read_at < _READ_AGAIN and not self._owed.any

    async def catch_up(self, *, at_once: bool = False) -> None:
        """Write what is owed, read what was appended since; a view older than a second that cannot be is an outage.

        So is a write that the file still does not take: whoever owes it an ending or a successor claims nothing (F10).
        """
        await self._owed.settle()
        if self.fresh and not at_once:
            return
        try:
            self._read()
        except sqlite3.Error as error:
            if self._clock.monotonic() - self._read_at >= _TRUSTED:
                raise SessionStoreUnavailable(f"the ledger cannot be read: {error}") from error

    async def end(self, ending: Ending) -> None:
        """Dead here at once, dead everywhere when the write is done."""
        self.view.learn(ending)
        kind = "ended" if ending.before is None else "ended_before"
        row = (kind, ending.mark, ending.before, ending.reason.value, ending.at, ending.until)
        again = partial(self._write, partial(self._append_once, row))
        with self._owed.noted(again, until=ending.until, name=(ending.mark, ending.before), ending=True):
            await again()

    async def spend_login(self, login: bytes, until: float) -> bool:
        """The primary key decides who is first."""

        def write() -> bool:
            self._change("DELETE FROM logins WHERE login = ? AND until <= ?", login, self._clock.now())
            return self._change("INSERT OR IGNORE INTO logins VALUES (?, ?, NULL)", login, until)

        return await self._write(write)

    async def release_login(self, login: bytes) -> None:
        """As if it had never been spent."""
        await self._write(lambda: self._change("DELETE FROM logins WHERE login = ?", login))

    async def keep_landing(self, login: bytes, sealed: bytes) -> None:
        """Beside the login that was spent."""
        await self._write(lambda: self._change("UPDATE logins SET sealed = ? WHERE login = ?", sealed, login))

    async def landing(self, login: bytes) -> bytes | None:
        """None while unknown."""
        row = self._one("SELECT sealed FROM logins WHERE login = ? AND until > ?", login, self._clock.now())
        return None if row is None else row[0]

    async def keep_successor(self, sid: bytes, successor: Successor, until: float) -> bool:
        """The successor and the news of its generation become durable together, or not at all."""

        def write() -> bool:
            values = (sid, successor.generation, successor.newest, successor.sealed, until)
            if not self._change("INSERT OR IGNORE INTO successors VALUES (?, ?, ?, ?, ?)", *values):
                return False
            self._change("DELETE FROM events WHERE mark = ? AND kind = 'generation'", sid)
            self._append(("generation", sid, float(successor.newest), None, self._clock.now(), until))
            return True

        again = partial(self._write, write)
        with self._owed.noted(again, until=until, name=("successor", sid, successor.generation)):
            written = await again()
        if written:
            self.view.learn_generation(sid, successor.newest, until)
        return written

    async def shorten_path(self, sid: bytes, successor: Successor) -> None:
        """Only forward, and only what exists."""
        statement = "UPDATE successors SET newest = ?, sealed = ? WHERE sid = ? AND generation = ? AND newest < ?"
        values = (successor.newest, successor.sealed, sid, successor.generation, successor.newest)
        await self._write(lambda: self._change(statement, *values))

    async def successor(self, sid: bytes, generation: int) -> Successor | None:
        """While it lives."""
        statement = "SELECT newest, sealed FROM successors WHERE sid = ? AND generation = ? AND until > ?"
        row = self._one(statement, sid, generation, self._clock.now())
        return None if row is None else Successor(generation=generation, newest=row[0], sealed=row[1])

    async def acknowledge(self, sid: bytes, generation: int, until: float) -> None:
        """Older entries only ever get shorter lives."""
        statement = "UPDATE successors SET until = ? WHERE sid = ? AND generation < ? AND until > ?"
        await self._write(lambda: self._change(statement, until, sid, generation, until))

    async def enter_flight(self, sid: bytes, generation: int, owner: bytes, until: float) -> bool:
        """One transaction decides."""
        return await self._write(lambda: self._flights.enter(sid, generation, owner, until))

    async def renew_flight(self, sid: bytes, generation: int, owner: bytes) -> bool:
        """While it is still this owner's."""
        return await self._write(lambda: self._flights.renew(sid, generation, owner))

    async def flight_sent(self, sid: bytes, generation: int, owner: bytes) -> bool:
        """On the disk before a byte is sent, so that a crash leaves the doubt behind."""
        return await self._write(lambda: self._flights.send(sid, generation, owner))

    async def leave_flight(self, sid: bytes, generation: int, owner: bytes) -> None:
        """Only one's own, and not before the file knows what it brought: else it stays, sent, until it lapses."""
        await self._owed.settle()
        await self._write(lambda: self._flights.leave(sid, generation, owner))

    async def note_uncertain(self, sid: bytes, generation: int, until: float) -> None:
        """Until the session's end."""
        again = partial(self._write, partial(self._flights.note_uncertain, sid, generation, until))
        with self._owed.noted(again, until=until, name=("doubt", sid, generation)):
            await again()

    async def is_uncertain(self, sid: bytes, generation: int) -> bool:
        """In whichever worker, and before whichever restart, it was sent."""
        statement = "SELECT 1 FROM uncertain WHERE sid = ? AND generation = ? AND until > ?"
        return self._one(statement, sid, generation, self._clock.now()) is not None

    async def note_stale(self, sid: bytes, at: float, until: float) -> float:
        """The first time stands."""
        return await self._write(lambda: self._flights.note_stale(sid, at, until))

    async def list_session(self, sid: bytes, person: bytes, sealed: bytes, until: float) -> None:
        """In place of what was there."""
        statement = "INSERT OR REPLACE INTO listed VALUES (?, ?, ?, ?)"
        await self._write(lambda: self._change(statement, sid, person, sealed, until))

    async def listed(self, person: bytes) -> list[tuple[bytes, bytes]]:
        """One person's, while they may live."""
        statement = "SELECT sid, sealed FROM listed WHERE person = ? AND until > ?"
        return [(sid, sealed) for sid, sealed in self._all(statement, person, self._clock.now())]

    async def unlist_session(self, sid: bytes, person: bytes) -> None:
        """Only that person's."""
        await self._write(lambda: self._change("DELETE FROM listed WHERE sid = ? AND person = ?", sid, person))

    async def aclose(self) -> None:
        """Finish the write under way, try once more to write what is owed, then close the file."""
        await self._owed.aclose()
        self._writer.shutdown(wait=True)
        self._writing.close()
        self._reading.close()

    def _read(self) -> None:
        now = self._clock.monotonic()
        rows = self._reading.execute(
            "SELECT seq, kind, mark, number, reason, at, until FROM events WHERE seq > ? ORDER BY seq", (self._seen,)
        )
        for seq, kind, mark, number, reason, at, until in rows:
            if kind == "generation":
                self.view.learn_generation(mark, int(number), until)
            else:
                self.view.learn(Ending(mark=mark, reason=Reason(reason), at=at, until=until, before=number))
            self._seen = seq
        self._read_at = now
        if now - self._forgot_at >= _TRIM_EVERY:
            self._forgot_at = now
            self.view.trim(self._clock.now())

    def _one(self, statement: str, *values: object) -> tuple[Any, ...] | None:
        return next(iter(self._all(statement, *values)), None)

    def _all(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            with closing(self._reading.execute(statement, values)) as rows:
                return rows.fetchall()
        except sqlite3.Error as error:
            raise SessionStoreUnavailable(f"the ledger cannot be read: {error}") from error

    async def _write(self, change: Callable[[], _Result]) -> _Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._writer, self._in_transaction, change)
        except (sqlite3.Error, RuntimeError) as error:  # RuntimeError: the executor is closed
            raise SessionStoreUnavailable(f"the ledger cannot be written: {error}") from error

    def _in_transaction(self, change: Callable[[], _Result]) -> _Result:
        self._writing.execute("BEGIN IMMEDIATE")
        try:
            result = change()
            self._trim()
        except BaseException:
            self._writing.execute("ROLLBACK")
            raise
        self._writing.execute("COMMIT")
        return result

    def _change(self, statement: str, *values: object) -> bool:
        return self._writing.execute(statement, values).rowcount > 0

    def _append(self, row: tuple[object, ...]) -> None:
        self._change("INSERT INTO events (kind, mark, number, reason, at, until) VALUES (?, ?, ?, ?, ?, ?)", *row)

    def _append_once(self, row: tuple[object, ...]) -> None:
        """Whoever says a fact again makes the file no longer."""
        kind, mark, number = row[:3]
        known = self._writing.execute(
            "SELECT 1 FROM events WHERE mark = ? AND kind = ? AND number IS ? LIMIT 1", (mark, kind, number)
        )
        if known.fetchone() is None:
            self._append(row)

    def _trim(self) -> None:
        if self._clock.monotonic() - self._trimmed_at < _TRIM_EVERY:
            return
        self._trimmed_at = self._clock.monotonic()
        now = self._clock.now()
        self._change("DELETE FROM events WHERE until <= ?", now)
        self._change("DELETE FROM successors WHERE until <= ?", now)
        self._change("DELETE FROM logins WHERE until <= ?", now)
        self._change("DELETE FROM listed WHERE until <= ?", now)
        self._flights.trim()
