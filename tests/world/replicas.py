"""Several BFF processes behind one public name, and an authority and an API that can be late, hold back, and stop."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx

from bff.session.key_ring import Key, write_keys
from local_authority import seeds
from tests.world.deployment import Deployment, _end
from tests.world.ports import free_port
from tests.world.stores import Stores

Mode = Literal["sessions", "ledger", "file"]
_REPLICA = (sys.executable, "-m", "tests.world.skewed")
_MACHINE = (sys.executable, "-m", "bff.cli", "serve", "--config")


@dataclass
class Replicas(Deployment):
    """``mode``: sessions in the store, or in cookies with the ledger there, or in a file: then the two workers of one
    machine are all there is. The API is a process of its own.
    """

    mode: Mode = "sessions"
    redis_url: str = ""
    ports: list[int] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
    _api_port: int = 0
    _api: subprocess.Popen[bytes] | None = None
    _bffs: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    _counted: dict[str, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many there are."""
        return 1 if self.mode == "file" else 3

    def start(self) -> None:
        """Start authority and API, then every replica."""
        self.ports = [self.port, *(free_port() for _ in range(self.count - 1))]
        self._api_port = free_port()
        self.keys = [Key.generate(use_from=time.time() - 1000)]
        write_keys(self.folder / "keys.json", tuple(self.keys))
        (self.folder / "bff.toml").write_text(self._settings(), encoding="utf-8")
        self.start_authority()
        self._api = self._run(self._peers_command(self._api_port, "api"), "api.log")
        self.start_replicas()

    def start_replicas(self) -> None:
        """Start all at once."""
        for replica in range(self.count):
            self.start_replica(replica, wait=False)
        for replica in range(self.count):
            self._await(self._bffs[replica], f"{self.at(replica)}/livez", f"bff-{replica}.log")

    def restart(self) -> None:
        """SIGTERM to all at once, and all of them again."""
        for process in self._bffs.values():
            process.send_signal(signal.SIGTERM)
        for replica in range(self.count):
            self.stop_replica(replica)
        self.start_replicas()

    def at(self, replica: int) -> str:
        """Where one replica listens; the balancer in front of them keeps the public name."""
        return f"http://localhost:{self.ports[replica]}"

    def start_replica(self, replica: int, *, skew: float = 0.0, wait: bool = True) -> None:
        """Start one, with its clock so many seconds away from everybody's."""
        settings = str(self.folder / "bff.toml")
        one = (
            [*_MACHINE, settings] if self.mode == "file" else [*_REPLICA, settings, str(self.ports[replica]), str(skew)]
        )
        self._bffs[replica] = self._run(one, f"bff-{replica}.log")
        if wait:
            self._await(self._bffs[replica], f"{self.at(replica)}/livez", f"bff-{replica}.log")

    def stop_replica(self, replica: int, number: signal.Signals = signal.SIGTERM) -> None:
        """SIGTERM or SIGKILL, to one."""
        _end(self._bffs.pop(replica), number)

    def start_authority(self) -> None:
        """Start it on what it knew."""
        self._peers = self._run(self._peers_command(self.port + 2, "authority"), "peers.log")
        self._await(self._peers, f"{self.issuer}/.well-known/openid-configuration", "peers.log")

    def stop_authority(self) -> None:
        """Take it down: connections are refused. What it counted is kept here."""
        self._counted = {"token_calls": self.refreshes(), "refusals": self.refusals()}
        assert self._peers is not None
        _end(self._peers, signal.SIGTERM)
        self._peers = None

    def stop(self) -> None:
        """End everything."""
        for process in (*self._bffs.values(), self._api, self._peers):
            if process is not None:
                _end(process, signal.SIGTERM)

    def refreshes(self) -> int:
        """Token calls so far."""
        now = self.world("record")["token_calls"].get("refresh_token", 0) if self._peers is not None else 0
        return int(now) + self._counted.get("token_calls", 0)

    def refusals(self) -> int:
        """Token calls that the authority refused so far."""
        now = sum(self.world("record")["refusals"].values()) if self._peers is not None else 0
        return int(now) + self._counted.get("refusals", 0)

    def api_world(self, *words: str | float) -> dict[str, Any]:
        """Tell the API something."""
        url = "/".join([f"http://127.0.0.1:{self._api_port}", "world", *map(str, words)])
        told: dict[str, Any] = httpx.post(url, trust_env=False).json()
        return told

    def add_key(self, *, seconds: float) -> None:
        """A new key, which seals from then on."""
        self.keys.append(Key.generate(use_from=time.time() + seconds))
        write_keys(self.folder / "keys.json", tuple(self.keys))

    def _peers_command(self, port: int, data: str) -> list[str]:
        secret, folder = str(self.folder / "client-secret"), str(self.folder / data)
        words = (self.public_url, secret, str(self.access_token_seconds), folder, str(self.overlap_seconds))
        return [sys.executable, "-m", "tests.world.lasting_peers", str(port), *words]

    def _settings(self) -> str:
        stored = {
            "sessions": f'redis_url = "{self.redis_url}"\nstore = "redis"',
            "ledger": f'redis_url = "{self.redis_url}"\nledger = "redis"',
            "file": f'ledger = "file:{self.folder}/ledger.sqlite"',
        }[self.mode]
        return f"""
public_url = "{self.public_url}"
[server]
port = {self.port}
workers = 2
[authority]
issuer = "{self.issuer}"
client_id = "{seeds.BFF_CLIENT_ID}"
client_secret_file = "{self.folder}/client-secret"
{self.authority}
[session]
keys_file = "{self.folder}/keys.json"
machines = {self.count}
{stored}
{self.session}
[[route]]
path = "/api/"
upstream = "http://127.0.0.1:{self._api_port}"
"""


@contextlib.contextmanager
def replicated(
    folder: Path, *, mode: Mode, access_token_seconds: int, **told: Any
) -> Iterator[tuple[Replicas, Stores]]:
    """Stores, where the mode has any, and replicas until the block ends; ``told`` is what else Replicas takes."""
    with contextlib.ExitStack() as stack:
        stores = Stores(folder / "stores")
        stack.callback(stores.stop)
        if mode != "file":
            stores.start()
        url = "" if mode == "file" else stores.url
        replicas = Replicas(folder, mode=mode, redis_url=url, access_token_seconds=access_token_seconds, **told)
        stack.callback(replicas.stop)
        replicas.start()
        yield replicas, stores
