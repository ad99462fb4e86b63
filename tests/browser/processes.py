"""The three services as processes of their own, started by their real commands, ended by their ids."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy.local.laptop import Laptop, Service
from tests.world.ports import free_port

START_SECONDS = 30.0
END_SECONDS = 10.0


class Processes:
    """What runs for one laptop. A service may be taken down and brought back: the rest does not notice at once."""

    def __init__(self, laptop: Laptop) -> None:
        self.laptop = laptop
        self._services = {service.name: service for service in laptop.prepare()}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *names: str) -> None:
        """Start some services, or all, each once the one before it answers."""
        for name in names or self._services:
            service = self._services[name]
            with self.log(name).open("ab") as log:
                self._running[name] = subprocess.Popen(service.command, stdout=log, stderr=subprocess.STDOUT)
            self._await(service)

    def start_missing(self) -> None:
        """Start again what a test has taken down."""
        for name in self._services.keys() - self._running.keys():
            self.start(name)

    def stop(self, *names: str) -> None:
        """End some services, or all, the last started first."""
        for name in names or tuple(reversed(self._running)):
            process = self._running.pop(name)
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def log(self, name: str) -> Path:
        """Everything that a service has written."""
        return self.laptop.folder / f"{name}.log"

    def _await(self, service: Service) -> None:
        without_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._running[service.name].poll() is None:
            with contextlib.suppress(OSError):
                without_proxy.open(service.ready, timeout=2).close()
                return
            time.sleep(0.05)
        raise RuntimeError(f"{service.name} did not start:\n{self.log(service.name).read_text()}")


@contextlib.contextmanager
def running(folder: Path, **options: Any) -> Iterator[Processes]:
    """All three services until the block ends. ``options`` are fields of ``Laptop``."""
    processes = Processes(Laptop(port=free_port(), folder=folder, **options))
    try:
        processes.start()
        yield processes
    finally:
        processes.stop()
