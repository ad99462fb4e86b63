"""The ledger: the one place for endings, successors, flights and spent logins (rules F3, F4, F5, F8, F11, F13, F18).

It is no session store: it holds facts about sessions, never a session that would open without the browser's cookie.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from bff.clock import Clock
from bff.errors import ConfigurationError
from bff.session.endings import Ending, EndingsView
from bff.session.file_ledger import FileLedger
from bff.session.memory_ledger import MemoryLedger
from bff.session.successor import Successor

__all__ = ["FileLedger", "Ledger", "MemoryLedger", "open_ledger"]


class Ledger(Protocol):
    """What every ledger promises. A method that cannot keep its word raises ``SessionStoreUnavailable``.

    Marks are those of ``marks.py``. Own writes are in ``view`` as soon as the call returns, endings even earlier. An
    ending, a successor or a doubt that was not taken is kept and told again, before anything else is claimed.
    """

    durable: bool
    """Whether what was written outlives this process."""

    instance: bytes
    """8 bytes that all processes with this ledger share, and no other process has (rule F14)."""

    view: EndingsView
    """The local view; it may be trusted for as long as ``fresh`` says so."""

    @property
    def fresh(self) -> bool:
        """Whether the view needs no ``catch_up`` yet, and the ledger has all that this process had to tell it."""
        ...

    async def catch_up(self, *, at_once: bool = False) -> None:
        """Tell what was not taken, and bring the view up to date with others' writes; ``at_once`` also while fresh."""
        ...

    async def end(self, ending: Ending) -> None:
        """Write an ending; it is in the local view before it is durable."""
        ...

    async def spend_login(self, login: bytes, until: float) -> bool:
        """Whether this call was the first to spend a login (rule F18), or whatever else has a mark and counts once."""
        ...

    async def release_login(self, login: bytes) -> None:
        """Give a login back that came to nothing through an outage."""
        ...

    async def keep_landing(self, login: bytes, sealed: bytes) -> None:
        """Keep what a spent login led to."""
        ...

    async def landing(self, login: bytes) -> bytes | None:
        """What a spent login led to; None while nobody knows."""
        ...

    async def keep_successor(self, sid: bytes, successor: Successor, until: float) -> bool:
        """Write a generation's successor once; False where there is one already, which then stands."""
        ...

    async def shorten_path(self, sid: bytes, successor: Successor) -> None:
        """Let an older generation's entry point to a newer one directly; it never creates an entry."""
        ...

    async def successor(self, sid: bytes, generation: int) -> Successor | None:
        """What follows that generation, until 60 s after its being presented."""
        ...

    async def acknowledge(self, sid: bytes, generation: int, until: float) -> None:
        """The browser holds this generation: entries of older ones live no longer than ``until``."""
        ...

    async def enter_flight(self, sid: bytes, generation: int, owner: bytes, until: float) -> bool:
        """Whether the refresh of this generation is now ``owner``'s: new, its own already, or another's that lapsed.

        A flight lapses 2 s after its last renewal, and 6 s after it was ``sent``, renewed or not (rule F3). One that is
        taken over after it was sent leaves its generation uncertain until ``until``, the session's absolute end.
        """
        ...

    async def renew_flight(self, sid: bytes, generation: int, owner: bytes) -> bool:
        """Whether the flight is still ``owner``'s, who says so every half second."""
        ...

    async def flight_sent(self, sid: bytes, generation: int, owner: bytes) -> bool:
        """Mark that the refresh token is about to be sent, or sent again; where False, it must not be: it is lost."""
        ...

    async def leave_flight(self, sid: bytes, generation: int, owner: bytes) -> None:
        """The flight is over, and what it brought is told; where that cannot be, it stays. Another's is not touched."""
        ...

    async def note_uncertain(self, sid: bytes, generation: int, until: float) -> None:
        """This generation's refresh token was sent and not answered: it may be spent (rule F8)."""
        ...

    async def is_uncertain(self, sid: bytes, generation: int) -> bool:
        """Whether it may be spent, in whichever process it was sent."""
        ...

    async def note_stale(self, sid: bytes, at: float, until: float) -> float:
        """Note that an expired generation was presented; answers when that happened first, which may be now (F5)."""
        ...

    async def list_session(self, sid: bytes, person: bytes, sealed: bytes, until: float) -> None:
        """Put what a person may read of a session into the list of theirs, in place of what was there (rule F13).

        ``sealed`` opens with the key ring; ``until`` is the instant at which nothing of it can be alive any more. The
        list says nothing about whether a session lives: the view does.
        """
        ...

    async def listed(self, person: bytes) -> list[tuple[bytes, bytes]]:
        """The list of one person: the mark of each session, and what was kept of it."""
        ...

    async def unlist_session(self, sid: bytes, person: bytes) -> None:
        """Take one out of it: housekeeping, and nobody's device is remembered for longer than it must be."""
        ...

    async def aclose(self) -> None:
        """Release what the ledger holds open."""
        ...


def open_ledger(setting: str, clock: Clock, *, redis_url: str = "", keep_seconds: float = 86_400.0) -> Ledger:
    """The ledger that ``session.ledger`` names: ``file:PATH``, ``redis`` or ``memory``; raises ``ConfigurationError``.

    ``redis_url`` says where Redis or Valkey is, ``keep_seconds`` how long a session may live at most.
    """
    kind, _, path = setting.partition(":")
    if kind == "file" and path:
        return FileLedger(Path(path), clock)
    if setting == "redis":
        return _open_redis(redis_url, clock, keep_seconds)
    if setting == "memory":
        return MemoryLedger(clock)
    cause = f"session.ledger {setting!r} is none of file:PATH, redis and memory. Cure: file:ledger.sqlite"
    raise ConfigurationError([cause])


def _open_redis(url: str, clock: Clock, keep_seconds: float) -> Ledger:
    try:
        from bff.session.redis_address import RedisAddress
        from bff.session.redis_ledger import RedisLedger
    except ImportError as error:
        cause = 'session.ledger = "redis" needs redis-py. Cure: pip install "sealed-bff[bff,redis]"'
        raise ConfigurationError([cause]) from error
    return RedisLedger(RedisAddress.parse(url), clock, keep_seconds=keep_seconds)
