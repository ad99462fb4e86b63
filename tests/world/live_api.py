"""The resource API as a process of its own, on either store, with its issuer's keys on the loopback."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import Receive, Scope, Send

from tests.world.ports import free_port
from tests.world.serving import serving
from tests.world.tokens import API_CLIENT_ID, ISSUER, jwks

START_SECONDS: Final = 30.0
_COMMAND: Final = (sys.executable, "-c", "from resource_api.cli import main; main()")


class LiveApi:
    """One process at a time, with the settings in ``folder``; a test kills it and starts it again."""

    def __init__(self, folder: Path, database_url: str, keys_port: int) -> None:
        self.port = free_port()
        self.log = folder / "api.log"
        self._settings = folder / "resource_api.toml"
        self._settings.write_text(
            f'issuers = ["{ISSUER}"]\njwks_uri = "http://127.0.0.1:{keys_port}/keys"\naudience = "{API_CLIENT_ID}"\n'
            f'database_url = "{database_url}"\nport = {self.port}\n',
            encoding="utf-8",
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address of the API."""
        return f"http://127.0.0.1:{self.port}"

    def migrate(self) -> None:
        """Run the job that a shared database needs before anybody serves it."""
        command = (*_COMMAND, "migrate", "--config", str(self._settings))
        subprocess.run(command, check=True, capture_output=True, env=_environment())

    def start(self) -> None:
        """Start serving, and wait until it is ready."""
        with self.log.open("ab") as log:
            command = (*_COMMAND, "serve", "--config", str(self._settings), "--log-level", "WARNING")
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=_environment())
        deadline = time.monotonic() + START_SECONDS
        without_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError):
                without_proxy.open(f"{self.url}/readyz", timeout=2).close()
                return
            time.sleep(0.05)
        raise RuntimeError(f"the API did not start:\n{self.log.read_text()}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the process; SIGKILL leaves it no time for anything."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(START_SECONDS)
            self._process = None


@contextmanager
def live_api(folder: Path, database_url: str) -> Iterator[LiveApi]:
    """A migrated and started API until the block ends."""
    config = uvicorn.Config(_keys, port=0, log_config=None, access_log=False, lifespan="off")
    with serving(config) as keys_port:
        api = LiveApi(folder, database_url, keys_port)
        api.migrate()
        api.start()
        try:
            yield api
        finally:
            api.stop()


async def _keys(scope: Scope, receive: Receive, send: Send) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(jwks()).encode()})


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("RESOURCE_API_")}
