"""The ledger in one SQLite file: it outlives a restart, and all workers of one machine share it (rule F13)."""

from __future__ import annotations

import asyncio
import os
import secrets
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any, TypeVar

from bff.clock import Clock
from bff.errors import ConfigurationError, SessionStoreUnavailable
from bff.session.cipher import INSTANCE_BYTES
from bff.session.endings import Ending, EndingsView, Reason
from bff.session.successor import Successor

_Result = TypeVar("_Result")

# How old the view may grow before it is read again, and before it may no longer be trusted, in seconds (rule F10).
_READ_AGAIN = 0.25
_TRUSTED = 1.0
_TRIM_EVERY = 60.0
_WAIT_WRITING = 2.0
_WAIT_READING = 0.25
_TURNS, _TURN = 100, 0.02
_VERSION = 1

_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, mark BLOB NOT NULL,
    number REAL, reason TEXT, at REAL NOT NULL, until REAL NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS events_by_mark ON events (mark, kind);
CREATE TABLE IF NOT EXISTS successors (sid BLOB NOT NULL, generation INTEGER NOT NULL, newest INTEGER NOT NULL,
    sealed BLOB NOT NULL, until REAL NOT NULL, PRIMARY KEY (sid, generation)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS logins (login BLOB PRIMARY KEY, until REAL NOT NULL, sealed BLOB) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS about (instance BLOB NOT NULL) STRICT;
PRAGMA user_version = {_VERSION};
"""


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
                _create_private(path)
                self._writing = opened.enter_context(closing(_connected(path, _WAIT_WRITING)))
                self.instance = _prepared(self._writing)
                self._reading = opened.enter_context(closing(_connected(path, _WAIT_READING)))
                self._read()
            except (OSError, sqlite3.Error) as error:
                cause = f"the ledger {path} cannot be used: {error}. Cure: point session.ledger at a file of its own"
                raise ConfigurationError([cause]) from error
            opened.pop_all()  # from here on they are closed by aclose

    @property
    def fresh(self) -> bool:
        """Whether the last reading is younger than a quarter of a second."""
        return self._clock.monotonic() - self._read_at < _READ_AGAIN

    async def catch_up(self, *, at_once: bool = False) -> None:
        """Read what was appended since; a view older than a second that cannot be read is an outage."""
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
        await self._write(lambda: self._append_once(row))

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

        written = await self._write(write)
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

    async def aclose(self) -> None:
        """Finish the write under way, then close the file."""
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
        try:
            with closing(self._reading.execute(statement, values)) as rows:
                row: tuple[Any, ...] | None = rows.fetchone()
        except sqlite3.Error as error:
            raise SessionStoreUnavailable(f"the ledger cannot be read: {error}") from error
        return row

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


def _create_private(path: Path) -> None:
    """Before SQLite would create it with the process's umask; its side files take the same mode.

    A file that is there is not opened: closing it would drop the locks of whoever uses it in this process.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    if path.stat().st_mode & 0o077:
        raise PermissionError(f"others may read it (chmod 600 {path})")


def _connected(path: Path, wait: float) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=wait, isolation_level=None, check_same_thread=False)
    _in_turns(lambda: connection.execute("PRAGMA journal_mode = WAL"))
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _in_turns(change: Callable[[], object]) -> None:
    """Try again where another worker changes the journal in the same moment: SQLite's own wait does not cover that."""
    for _ in range(_TURNS):
        try:
            change()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            time.sleep(_TURN)
        else:
            return
    change()


def _prepared(connection: sqlite3.Connection) -> bytes:
    """Create the tables where they are missing, and answer the instance that this file makes of all who open it."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version not in {0, _VERSION}:
        raise sqlite3.DatabaseError(f"it has version {version}, this program knows {_VERSION}")
    connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
    new = secrets.token_bytes(INSTANCE_BYTES)
    connection.execute("INSERT INTO about SELECT ? WHERE NOT EXISTS (SELECT 1 FROM about)", (new,))
    instance: bytes = connection.execute("SELECT instance FROM about").fetchone()[0]
    return instance
