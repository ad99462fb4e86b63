"""What a Redis or Valkey says of itself (``INFO``), and what of it we cannot work with (rule F12)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_OLDEST: Final = (6, 2)  # XADD … MINID, which keeps the stream as long as a session may live


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFacts:
    """One server at one moment. ``run`` names its process: after a restart it is another one, and may know less."""

    run: str
    role: str
    version: str
    replicas: int
    eviction: str
    appendonly: bool
    valkey: bool

    @classmethod
    def read(cls, info: str) -> StoreFacts:
        """From the lines ``key:value`` of ``INFO``."""
        said = dict(line.partition(":")[::2] for line in info.splitlines() if ":" in line)
        return cls(
            run=said.get("run_id", ""),
            role=said.get("role", ""),
            version=said.get("valkey_version") or said.get("redis_version", "0"),
            replicas=int(said.get("connected_slaves", "0")),
            eviction=said.get("maxmemory_policy", "noeviction"),
            appendonly=said.get("aof_enabled") == "1",
            valkey="valkey_version" in said,
        )

    @property
    def is_primary(self) -> bool:
        """Whether it takes writes."""
        return self.role == "master"

    def faults(self) -> list[str]:
        """Each with its cure: where one is left, no session is safe there, and nothing starts."""
        found = []
        if self.eviction != "noeviction":
            found.append(
                f"session.redis_url: its maxmemory-policy is {self.eviction}: under memory pressure it would forget "
                "that a session was ended. Cure: maxmemory-policy noeviction"
            )
        if _number(self.version) < _OLDEST:
            found.append(f"session.redis_url: version {self.version} is too old. Cure: Redis 6.2 or later, or Valkey")
        return found


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
