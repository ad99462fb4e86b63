"""Authorization servers written by others, as processes that a test starts and ends by their id."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.world.internet import Internet

HERE = Path(__file__).parent
START_SECONDS = 20.0


class OpenInternet(Internet):
    """The simulated internet, with a way out to what really listens on this machine's loopback."""

    def __init__(self) -> None:
        super().__init__()
        self._real = httpx.AsyncHTTPTransport(trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        origin = f"{request.url.scheme}://{request.url.netloc.decode()}"
        if origin in self.hosts or request.url.host not in {"127.0.0.1", "localhost"}:
            return await super().handle_async_request(request)
        self.requests.append((request.method, str(request.url)))
        response = await self._real.handle_async_request(request)
        response.request = request
        await response.aread()
        return response

    async def aclose(self) -> None:
        """Close what was opened to the outside."""
        await self._real.aclose()

    def calls(self, method: str, ending: str) -> int:
        """How often an address with this ending was asked."""
        return sum(1 for verb, url in self.requests if verb == method and url.split("?")[0].endswith(ending))


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running(command: list[str], *, ready: str, environment: dict[str, str], folder: Path) -> Iterator[None]:
    """Run a process until the block ends; raises AssertionError with its output where it never answers ``ready``."""
    log = folder / "peer.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(ready):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # the wheel's node is a script that leaves the real one behind
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def node() -> str:
    """The Node that the virtual environment brings."""
    return str(Path(sys.executable).parent / "node")
