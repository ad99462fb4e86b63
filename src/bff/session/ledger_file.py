"""The ledger's file: created private, opened by several workers at once, refused where it is somebody else's."""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from bff.session.cipher import INSTANCE_BYTES
from bff.session.file_flights import SCHEMA as FLIGHTS

_TURNS, _TURN = 100, 0.02
_VERSION = 1

_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, mark BLOB NOT NULL,
    number REAL, reason TEXT, at REAL NOT NULL, until REAL NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS events_by_mark ON events (mark, kind);
CREATE TABLE IF NOT EXISTS successors (sid BLOB NOT NULL, generation INTEGER NOT NULL, newest INTEGER NOT NULL,
    sealed BLOB NOT NULL, until REAL NOT NULL, PRIMARY KEY (sid, generation)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS logins (login BLOB PRIMARY KEY, until REAL NOT NULL, sealed BLOB) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS listed (sid BLOB PRIMARY KEY, person BLOB NOT NULL, sealed BLOB NOT NULL,
    until REAL NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS listed_by_person ON listed (person);
CREATE TABLE IF NOT EXISTS about (instance BLOB NOT NULL) STRICT;
{FLIGHTS}
PRAGMA user_version = {_VERSION};
"""


def create_private(path: Path) -> None:
    """Before SQLite would create it with the process's umask; its side files take the same mode.

    A file that is there is not opened: closing it would drop the locks of whoever uses it in this process.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    if path.stat().st_mode & 0o077:
        raise PermissionError(f"others may read it (chmod 600 {path})")


def connected(path: Path, wait: float) -> sqlite3.Connection:
    """A connection that waits so many seconds for another's write; what it has written is on the disk."""
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


def prepared(connection: sqlite3.Connection) -> bytes:
    """Create the tables where they are missing, and answer the instance that this file makes of all who open it."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version not in {0, _VERSION}:
        raise sqlite3.DatabaseError(f"it has version {version}, this program knows {_VERSION}")
    connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
    new = secrets.token_bytes(INSTANCE_BYTES)
    connection.execute("INSERT INTO about SELECT ? WHERE NOT EXISTS (SELECT 1 FROM about)", (new,))
    instance: bytes = connection.execute("SELECT instance FROM about").fetchone()[0]
    return instance
