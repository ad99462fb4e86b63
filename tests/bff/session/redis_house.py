"""Processes with their sessions in one Valkey, and what lies there of a session."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bff.session.cookies import CookiePolicy
from bff.session.key_ring import KeyRing
from bff.session.marks import mark_of_sid
from bff.session.model import Session
from bff.session.redis_address import RedisAddress
from bff.session.redis_keys import key_of
from bff.session.redis_ledger import RedisLedger
from bff.session.redis_vault import RedisVault
from tests.bff.session.session_world import CLIENT_ID, PUBLIC_URL
from tests.bff.session.vault_suite import Processes, Running
from tests.world.clock import MovableClock
from tests.world.valkey import Valkey


def in_redis(server: Valkey, clock: MovableClock, **options: Any) -> Running:
    """One process with its sessions in that server; patient, because this machine may be busy."""
    ring = options.pop("ring", None) or KeyRing.generate(clock)
    policy = CookiePolicy.for_public_url(options.pop("public_url", PUBLIC_URL))
    ledger = RedisLedger(RedisAddress.parse(options.pop("url", server.url)), clock, patience=2.0)
    vault = RedisVault(ring, policy, ledger, clock, **{"client_id": CLIENT_ID, **options})
    return Running(clock, ring, ledger, vault)


@asynccontextmanager
async def several(server: Valkey, clock: MovableClock, **always: Any) -> AsyncIterator[Processes]:
    """As many as a test asks for, closed when the block ends."""
    started: list[Running] = []

    def start(**options: Any) -> Running:
        started.append(in_redis(server, options.pop("clock", clock), **always, **options))
        return started[-1]

    try:
        yield start
    finally:
        for one in started:
            await one.vault.aclose()
            await one.ledger.aclose()


def record_of(session: Session) -> bytes:
    """The key of what is stored of a session."""
    return key_of(mark_of_sid(session.sid), "session")


def is_readable(server: Valkey, session: Session) -> bool:
    """Whether its secrets are still there."""
    with server.client() as client:
        found: bool = client.hexists(record_of(session), "secrets")
    return found
