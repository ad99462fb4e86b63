"""What the authority remembers: typed records by key in one SQLite file, or in memory. The only door to sqlite3."""

from __future__ import annotations

import os
import sqlite3
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import msgspec

Record = TypeVar("Record", bound=msgspec.Struct)

SCHEMA: Final = """
create table if not exists records (
    kind text not null, key text not null, value blob not null, expires_at real,
    primary key (kind, key)
) without rowid
"""


class Store:
    """Records by kind (their class) and key. Calls are short and not awaited, so each is whole to every other request.

    ``folder`` is created for its owner alone, the file in it with mode 0600; None keeps everything in memory.
    """

    def __init__(self, folder: Path | None) -> None:
        self._database = sqlite3.connect(_private_file(folder), isolation_level=None, check_same_thread=False)
        self._database.execute("pragma journal_mode=wal")
        self._database.execute("pragma synchronous=normal")
        self._database.execute(SCHEMA)
        self.close = weakref.finalize(self, self._database.close)

    def get(self, kind: type[Record], key: str) -> Record | None:
        """The record of this kind under this key, or None."""
        row = self._database.execute(
            "select value from records where kind=? and key=?", (kind.__name__, key)
        ).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=kind)

    def put(self, key: str, record: msgspec.Struct, *, expires_at: float | None = None) -> None:
        """Keep ``record`` in place of any other; ``expires_at`` is an instant after which ``trim`` may forget it."""
        self._database.execute("insert or replace into records values (?, ?, ?, ?)", _row(key, record, expires_at))

    def add(self, key: str, record: msgspec.Struct, *, expires_at: float | None = None) -> bool:
        """Keep ``record`` unless the key is taken; say whether it was free."""
        cursor = self._database.execute(
            "insert or ignore into records values (?, ?, ?, ?)", _row(key, record, expires_at)
        )
        return cursor.rowcount == 1

    def drop(self, kind: type[msgspec.Struct], key: str) -> None:
        """Forget a record, if there is one."""
        self._database.execute("delete from records where kind=? and key=?", (kind.__name__, key))

    def every(self, kind: type[Record]) -> list[Record]:
        """All records of a kind, by key."""
        rows = self._database.execute(
            "select value from records where kind=? order by key", (kind.__name__,)
        ).fetchall()
        return [msgspec.json.decode(row[0], type=kind) for row in rows]

    def trim(self, now: float) -> None:
        """Forget what has expired."""
        self._database.execute("delete from records where expires_at < ?", (now,))

    @contextmanager
    def together(self) -> Iterator[None]:
        """All writes inside happen, or none: nothing may be awaited inside."""
        self._database.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._database.execute("rollback")
            raise
        self._database.execute("commit")


def _row(key: str, record: msgspec.Struct, expires_at: float | None) -> tuple[str, str, bytes, float | None]:
    return type(record).__name__, key, msgspec.json.encode(record), expires_at


def _private_file(folder: Path | None) -> str:
    if folder is None:
        return ":memory:"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "authority.sqlite3"
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    path.chmod(0o600)
    return str(path)
