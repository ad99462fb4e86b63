"""The state machine of ``session_machine.py`` on each kind of store, with the faults that each can have."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Final, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from bff.session import owed_writes, refresher
from bff.session.access_tokens import AccessTokens
from bff.session.cookies import CookiePolicy
from bff.session.ledger import FileLedger, Ledger, MemoryLedger
from bff.session.model import Lifetimes
from bff.session.redis_address import RedisAddress
from bff.session.redis_ledger import RedisLedger
from bff.session.redis_vault import RedisVault
from tests.bff.session.session_machine import ABSOLUTE, ANY_WRITE, Fault, Sessions, Worker
from tests.bff.session.session_world import CLIENT_ID, PUBLIC_URL, a_process
from tests.world import disk
from tests.world.valkey import Valkey, out_of_memory

pytestmark = [
    pytest.mark.live,
    pytest.mark.req("F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8", "F10", "F11", "F12", "F13", "ATK-19"),
]

LONGER: Final = float(os.environ.get("SESSION_LIFE", "1"))
"""How many times as many lives as ``make test`` plays through; beyond one, others in each run."""


class SessionsInMemory(Sessions):
    """On the ledger in memory, which cannot fail: one memory stands for one file."""

    def prepare(self) -> None:
        """The one memory."""
        self.ledger = MemoryLedger(self.clock)

    def worker(self) -> Worker:
        """One more view of it."""
        return self.with_cookies(self.ledger)

    def with_cookies(self, ledger: Ledger) -> Worker:
        """A worker whose sessions lie in cookies."""
        built = a_process(clock=self.clock, ring=self.ring, ledger=ledger, lifetimes=self.lifetimes)
        return Worker(built.vault, ledger, built.tokens_from(self.server))


def _on_file(kind: Callable[..., AbstractContextManager[None]], *what: object) -> Fault:
    return lambda ledger: kind(cast("FileLedger", ledger), *what)


class SessionsOnAFile(SessionsInMemory):
    """On the ledger in a file, each worker with a view of its own; its disk fails for each kind of write and read."""

    faults = MappingProxyType(
        {
            ANY_WRITE: _on_file(disk.refusing),
            "any read": _on_file(disk.unreadable),
            **{
                f"{write} {table}": _on_file(disk.refusing, table, frozenset({write}))
                for write, table in (
                    ("INSERT", "events"),
                    ("INSERT", "successors"),
                    ("UPDATE", "successors"),
                    ("INSERT", "flights"),
                    ("UPDATE", "flights"),
                    ("DELETE", "flights"),
                    ("INSERT", "uncertain"),
                    ("INSERT", "stale"),
                )
            },
            **{f"READ {table}": _on_file(disk.unreadable, table) for table in ("events", "successors", "uncertain")},
        }
    )

    def prepare(self) -> None:
        """A folder for the one file."""
        self.folder = TemporaryDirectory()

    def worker(self) -> Worker:
        """One more process that opens it."""
        return self.with_cookies(FileLedger(Path(self.folder.name) / "ledger.sqlite", self.clock))

    def kill(self, worker: Worker) -> None:
        """Nothing is told any more, and nothing closed in good order."""
        ledger = cast("FileLedger", worker.ledger)
        for task in (ledger._owed._attempts, ledger._owed._attempt):
            if task is not None:
                task.cancel()
        ledger._writer.shutdown()
        ledger._writing.close()
        ledger._reading.close()

    def teardown(self) -> None:
        """And the folder."""
        super().teardown()
        self.folder.cleanup()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for another's flight, and for a disk, takes no time of a test's."""
    monkeypatch.setattr(refresher, "POLL_SECONDS", 0.002)
    monkeypatch.setattr(refresher, "GRACE_SECONDS", 0.05)
    monkeypatch.setattr(refresher, "_FIRST_WAIT", 0.001)
    monkeypatch.setattr(owed_writes, "TRY_AGAIN", 0.004)


def lives(machine: type[Sessions], examples: int) -> None:
    """Play so many lives through, the same in every run, or more and others where somebody asks for it."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=int(examples * LONGER),
            stateful_step_count=25 if LONGER == 1 else 40,
            derandomize=LONGER == 1,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize(("machine", "examples"), [(SessionsInMemory, 25), (SessionsOnAFile, 20)])
def test_a_session_lives_exactly_as_long_as_it_may(machine: type[Sessions], examples: int) -> None:
    """No path leads to a live session after its end, or to a dead one before it."""
    lives(machine, examples)


class SessionsInRedis(SessionsInMemory):
    """On a real Valkey: facts there, sessions in cookies; it may be out of memory, for both workers alike.

    Leases are counted in the server's own time, so no owner may be followed here before its own real seconds are over.
    """

    server_: Valkey
    heals_at_once = False

    def prepare(self) -> None:
        """An empty store."""
        with self.server_.client() as client:
            client.flushall()

    def worker(self) -> Worker:
        """One more process."""
        return self.with_cookies(self.a_ledger())

    def a_ledger(self) -> RedisLedger:
        """Patient, because a machine may be busy."""
        address = RedisAddress.parse(self.server_.url)
        return RedisLedger(address, self.clock, keep_seconds=self.lifetimes.absolute, patience=2.0)

    def kill(self, worker: Worker) -> None:
        """Nothing is told any more."""
        self.loop.run_until_complete(worker.ledger.aclose())


class SessionsAllInRedis(SessionsInRedis):
    """On a real Valkey, sessions and all."""

    lifetimes = Lifetimes(idle=1e6, absolute=ABSOLUTE)

    def worker(self) -> Worker:
        """One more process, whose browsers hold a ticket."""
        ledger, policy = self.a_ledger(), CookiePolicy.for_public_url(PUBLIC_URL)
        vault = RedisVault(self.ring, policy, ledger, self.clock, self.lifetimes, client_id=CLIENT_ID)
        return Worker(vault, ledger, AccessTokens(self.server, vault, ledger, self.clock))


@pytest.mark.parametrize(("machine", "examples"), [(SessionsInRedis, 5), (SessionsAllInRedis, 8)])
def test_a_session_lives_exactly_as_long_in_redis(
    machine: type[SessionsInRedis], examples: int, valkey: Valkey
) -> None:
    """The same law, where the store is another process."""
    machine.server_ = valkey
    machine.faults = MappingProxyType({ANY_WRITE: lambda _: out_of_memory(valkey)})
    lives(machine, examples)
