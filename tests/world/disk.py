"""A disk that fails for as long as a test says so: SQLite itself refuses each statement that would touch a table."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from bff.session.file_ledger import FileLedger

WRITES = {"INSERT": sqlite3.SQLITE_INSERT, "UPDATE": sqlite3.SQLITE_UPDATE, "DELETE": sqlite3.SQLITE_DELETE}
EVERY = frozenset(WRITES)


@contextmanager
def refusing(ledger: FileLedger, table: str | None = None, writes: frozenset[str] = EVERY) -> Iterator[None]:
    """Nothing of this kind is written to the table, or to any."""
    with _refusing(ledger._writing, {WRITES[one] for one in writes}, table):
        yield


@contextmanager
def unreadable(ledger: FileLedger, table: str | None = None) -> Iterator[None]:
    """Nothing is read from the table, or from any."""
    with _refusing(ledger._reading, {sqlite3.SQLITE_READ}, table):
        yield


@contextmanager
def full_disk(ledger: FileLedger) -> Iterator[None]:
    """Nothing is written; what is there can be read."""
    with refusing(ledger):
        yield


@contextmanager
def _refusing(connection: sqlite3.Connection, actions: set[int], table: str | None) -> Iterator[None]:
    def verdict(action: int, subject: str | None, *_: str | None) -> int:
        refused = action in actions and subject != "sqlite_master" and table in {None, subject}
        return sqlite3.SQLITE_DENY if refused else sqlite3.SQLITE_OK

    connection.set_authorizer(verdict)
    try:
        yield
    finally:
        connection.set_authorizer(None)
