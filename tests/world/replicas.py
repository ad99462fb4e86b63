"""Three BFF processes behind one public name, a Valkey with replica and Sentinel, an authority that can be stopped."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx
import redis

from bff.session.key_ring import Key, write_keys
from local_authority import seeds
from tests.world.deployment import Deployment, _end
from tests.world.ports import free_port
from tests.world.valkey import Valkey

Mode = Literal["sessions", "ledger"]
SERVICE = "main"
_SERVE = (sys.executable, "-m", "tests.world.skewed")


@dataclass
class Stores:
    """A primary, its replica, and the Sentinel that can promote it; it does so only when it is told to."""

    folder: Path
    servers: list[Valkey] = field(default_factory=list)
    sentinel: Valkey | None = None

    def start(self) -> None:
        """Start all three, and wait for the replica."""
        for name in ("a", "b"):
            (self.folder / name).mkdir(parents=True)
            self.servers.append(Valkey(self.folder / name, appendonly="yes"))
        first, second = self.servers
        first.start()
        second.options["replicaof"] = f"127.0.0.1 {first.port}"
        second.start()
        (self.folder / "s").mkdir()
        self.sentinel = Valkey(self.folder / "s")
        self.sentinel.start_sentinel(SERVICE, first, down_after_ms=60_000)
        self.until(lambda: second.info()["master_link_status"] == "up")
        self.until(lambda: self._sentinel_knows() == 1)

    @property
    def url(self) -> str:
        """What ``session.redis_url`` says."""
        assert self.sentinel is not None
        return f"redis+sentinel://127.0.0.1:{self.sentinel.port}/{SERVICE}/0"

    @property
    def primary(self) -> Valkey:
        """The one that takes writes now."""
        assert self.sentinel is not None
        with self.sentinel.client() as client:
            _, port = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return next(server for server in self.servers if server.port == int(port))

    def fail_over(self) -> None:
        """Kill the primary and promote its replica; the dead one comes back as a replica."""
        assert self.sentinel is not None
        dead = self.primary
        dead.kill()
        with self.sentinel.client() as client:
            client.execute_command("SENTINEL", "FAILOVER", SERVICE)
        self.until(lambda: self.primary is not dead and self.primary.info()["role"] == "master")

    def restore(self) -> None:
        """Start what is dead, as a replica of what lives."""
        for server in self.servers:
            if not server.running:
                server.options["replicaof"] = f"127.0.0.1 {self.primary.port}"
                server.start()
        self.until(lambda: self.primary.info()["connected_slaves"] == 1)
        self.until(lambda: self._sentinel_knows() == 1)

    def stop(self) -> None:
        """End all three."""
        for server in (*self.servers, self.sentinel):
            if server is not None:
                server.kill()

    def until(self, condition: Any, seconds: float = 20.0) -> None:
        """Wait for a condition."""
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(redis.RedisError, StopIteration, KeyError):
                if condition():
                    return
            if time.monotonic() > deadline:
                raise RuntimeError("the stores do not come to rest")
            time.sleep(0.02)

    def _sentinel_knows(self) -> int:
        assert self.sentinel is not None
        with self.sentinel.client() as client:
            told = client.execute_command("SENTINEL", "MASTER", SERVICE)
            told = told if isinstance(told, dict) else dict(zip(told[::2], told[1::2], strict=True))
        named = {key.decode() if isinstance(key, bytes) else key: value for key, value in told.items()}
        return int(named.get("num-slaves", named.get("num_slaves", 0)))


@dataclass
class Replicas(Deployment):
    """``mode``: sessions in the store, or in cookies with the ledger there. The API is a process of its own."""

    mode: Mode = "sessions"
    redis_url: str = ""
    count: int = 3
    ports: list[int] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
    _api_port: int = 0
    _api: subprocess.Popen[bytes] | None = None
    _bffs: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    _counted: dict[str, int] = field(default_factory=dict)

    def start(self) -> None:
        """Start authority and API, then every replica."""
        self.ports = [self.port, *(free_port() for _ in range(self.count - 1))]
        self._api_port = free_port()
        self.keys = [Key.generate(use_from=time.time() - 1000)]
        write_keys(self.folder / "keys.json", tuple(self.keys))
        (self.folder / "bff.toml").write_text(self._settings(), encoding="utf-8")
        self.start_authority()
        self._api = self._run(self._peers_command(self._api_port, "api"), "api.log")
        for replica in range(self.count):
            self.start_replica(replica, wait=False)
        for replica in range(self.count):
            self._await(self._bffs[replica], f"{self.at(replica)}/livez", f"bff-{replica}.log")

    def at(self, replica: int) -> str:
        """Where one replica listens; the balancer in front of them keeps the public name."""
        return f"http://localhost:{self.ports[replica]}"

    def start_replica(self, replica: int, *, skew: float = 0.0, wait: bool = True) -> None:
        """Start one, with its clock so many seconds away from everybody's."""
        words = [str(self.folder / "bff.toml"), str(self.ports[replica]), str(skew)]
        self._bffs[replica] = self._run([*_SERVE, *words], f"bff-{replica}.log")
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
        stored = 'store = "redis"' if self.mode == "sessions" else 'ledger = "redis"'
        return f"""
public_url = "{self.public_url}"
[authority]
issuer = "{self.issuer}"
client_id = "{seeds.BFF_CLIENT_ID}"
client_secret_file = "{self.folder}/client-secret"
{self.authority}
[session]
keys_file = "{self.folder}/keys.json"
redis_url = "{self.redis_url}"
machines = {self.count}
{stored}
{self.session}
[[route]]
path = "/api/"
upstream = "http://127.0.0.1:{self._api_port}"
"""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: a status, the cookies to keep or drop, and the body as far as it is a problem."""

    status: int
    cookies: tuple[tuple[str, str | None], ...]
    body: bytes

    @property
    def reason(self) -> str:
        """Why a session is over, or what else is the matter."""
        told = json.loads(self.body)
        found: str = told.get("reason", told["type"])
        return found


async def get(port: int, path: str, host: str, cookie: str, *, seconds: float = 30.0) -> Reply:
    """One GET of the page on a connection of its own; raises ``OSError`` and ``TimeoutError``.

    Two hundred at once are cheap this way, so that what is measured is the other side.
    """
    async with asyncio.timeout(seconds):
        reader, writer = await asyncio.open_connection("localhost", port)
        try:
            head = f"GET {path} HTTP/1.1\r\nhost: {host}\r\nx-csrf: 1\r\ncookie: {cookie}\r\nconnection: close\r\n\r\n"
            writer.write(head.encode())
            answer = await reader.read()
        finally:
            writer.close()
    lines, _, body = answer.partition(b"\r\n\r\n")
    if not lines:
        raise ConnectionResetError("no answer")
    status, *fields = lines.decode("latin-1").split("\r\n")
    set_cookies = [value.strip() for name, _, value in (one.partition(":") for one in fields) if name == "set-cookie"]
    return Reply(int(status.split()[1]), tuple(_kept(one) for one in set_cookies), body)


def _kept(set_cookie: str) -> tuple[str, str | None]:
    pair, _, attributes = set_cookie.partition(";")
    name, _, value = pair.partition("=")
    return name, None if "Max-Age=0" in attributes else value


@contextlib.contextmanager
def replicated(folder: Path, **options: Any) -> Iterator[tuple[Replicas, Stores]]:
    """Stores and replicas until the block ends."""
    stores = Stores(folder / "stores")
    replicas: Replicas | None = None
    try:
        stores.start()
        replicas = Replicas(folder, redis_url=stores.url, **options)
        replicas.start()
        yield replicas, stores
    finally:
        if replicas is not None:
            replicas.stop()
        stores.stop()
