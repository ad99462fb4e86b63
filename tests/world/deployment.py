"""A deployment of real processes on the loopback: the peers, and one BFF of some workers, started and killed by id."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bff.session.key_ring import Key, write_keys
from local_authority import seeds
from tests.benchmarks.sign_in import Person
from tests.world.ports import free_port

ROOT = Path(__file__).parents[2]
START_SECONDS = 120.0
END_SECONDS = 25.0


@dataclass
class Deployment:
    """The BFF at ``port``, the peers two above it. ``session`` and ``authority`` are further lines of those tables."""

    folder: Path
    port: int = field(default_factory=free_port)
    workers: int = 1
    access_token_seconds: int = 6
    overlap_seconds: int = 0
    session: str = ""
    authority: str = ""
    _bff: subprocess.Popen[bytes] | None = None
    _peers: subprocess.Popen[bytes] | None = None

    @property
    def public_url(self) -> str:
        """The BFF's one public name."""
        return f"http://localhost:{self.port}"

    @property
    def peers_url(self) -> str:
        """Where the authority and the API are: another site."""
        return f"http://127.0.0.1:{self.port + 2}"

    @property
    def issuer(self) -> str:
        """The authority's issuer identifier."""
        return f"{self.peers_url}/{seeds.TENANT_ID}/v2.0"

    def start(self) -> None:
        """Start the peers, then the BFF."""
        write_keys(self.folder / "keys.json", (Key.generate(use_from=time.time() - 1000),))
        (self.folder / "bff.toml").write_text(self._settings(), encoding="utf-8")
        secret, seconds = (
            str(self.folder / "client-secret"),
            (str(self.access_token_seconds), str(self.overlap_seconds)),
        )
        command = [sys.executable, "-m", "tests.world.peers", str(self.port + 2), self.public_url, secret, *seconds]
        self._peers = self._run(command, "peers.log")
        self._await(self._peers, f"{self.issuer}/.well-known/openid-configuration", "peers.log")
        self.start_bff()

    def start_bff(self) -> None:
        """Start the BFF, on the keys and the ledger that are there."""
        command = [sys.executable, "-m", "bff.cli", "serve", "--config", str(self.folder / "bff.toml")]
        self._bff = self._run(command, "bff.log")
        self._await(self._bff, f"{self.public_url}/livez", "bff.log")

    def stop_bff(self, number: signal.Signals = signal.SIGTERM) -> None:
        """SIGTERM, as a deployment does it, or SIGKILL to it and all its workers."""
        assert self._bff is not None
        _end(self._bff, number)
        self._bff = None

    def stop(self) -> None:
        """End whatever runs."""
        for process in (self._bff, self._peers):
            if process is not None:
                _end(process, signal.SIGTERM)

    def sign_in(self) -> dict[str, str]:
        """Another session of Ada's: the jar of a browser of its own."""
        person = Person(seeds.ADA.email, seeds.ADA.password)
        person.sign_in(f"{self.public_url}/bff/login")
        return dict(pair.split("=", 1) for pair in person.cookie(self.public_url).split("; "))

    def world(self, *words: str | float) -> dict[str, Any]:
        """Tell the peers something, or ask what they counted (``record``)."""
        url = "/".join([self.peers_url, "world", *map(str, words)])
        told: dict[str, Any] = httpx.post(url, trust_env=False).json()
        return told

    def until_held(self, what: str) -> None:
        """Wait for somebody whose answer is held back."""
        deadline = time.monotonic() + START_SECONDS
        while self.world("record")["held"][what] == 0:
            if time.monotonic() > deadline:
                raise RuntimeError(f"nobody asked for {what}:\n{(self.folder / 'bff.log').read_text()}")
            time.sleep(0.05)

    def _settings(self) -> str:
        return f"""
public_url = "{self.public_url}"
[server]
port = {self.port}
workers = {self.workers}
[authority]
issuer = "{self.issuer}"
client_id = "{seeds.BFF_CLIENT_ID}"
client_secret_file = "{self.folder}/client-secret"
{self.authority}
[session]
keys_file = "{self.folder}/keys.json"
ledger = "file:{self.folder}/ledger.sqlite"
{self.session}
[[route]]
path = "/api/"
upstream = "{self.peers_url}"
"""

    def _run(self, command: list[str], log: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
        with (self.folder / log).open("ab") as output:
            return subprocess.Popen(command, stdout=output, stderr=output, env=environment, start_new_session=True)

    def _await(self, process: subprocess.Popen[bytes], url: str, log: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                httpx.get(url, trust_env=False, timeout=2).raise_for_status()
                return
            time.sleep(0.05)
        raise RuntimeError(f"{url} does not answer:\n{(self.folder / log).read_text()}")


def _end(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """End a process and whatever it started: it leads a group of its own."""
    if process.poll() is None and number == signal.SIGTERM:
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def deployed(folder: Path, **options: Any) -> Iterator[Deployment]:
    """A running deployment; ``options`` are the fields of ``Deployment``."""
    deployment = Deployment(folder, **options)
    try:
        deployment.start()
        yield deployment
    finally:
        deployment.stop()
