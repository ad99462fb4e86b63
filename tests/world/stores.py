"""A Valkey with its replica and the Sentinel that can promote it: what a fault of the store is done to."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from tests.world.valkey import Valkey

SERVICE = "main"


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
