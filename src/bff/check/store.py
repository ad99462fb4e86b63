"""Redis or Valkey as ``bff check`` sees it: whether it answers, how fast, and whether it may forget (rule F12)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Final

from bff.check.finding import Finding, failed, passed, warned
from bff.clock import Clock
from bff.errors import ConfigurationError, SessionStoreUnavailable
from bff.session.redis_address import RedisAddress
from bff.settings import BFFSettings

if TYPE_CHECKING:
    from bff.session.redis_connection import RedisStore

_NAME: Final = "session store"
_QUESTIONS: Final = 9
_SLOW_MS: Final = 20.0


async def check_redis(settings: BFFSettings, clock: Clock) -> list[Finding]:
    """Everything about the store that the settings name; nothing where they name none."""
    if settings.session.ledger != "redis":
        return []
    from bff.session.redis_connection import RedisStore, probe  # redis-py comes with the extra

    address = RedisAddress.parse(settings.session.redis_address)
    try:
        seen = await asyncio.to_thread(probe, address)
    except ConfigurationError as refusal:
        return _failures(refusal.causes)
    if seen is not None and (faults := seen.faults()):
        return _failures(faults)
    store = RedisStore(address, clock)
    try:
        facts = await store.look()
        milliseconds = await _latency(store, clock)
    except SessionStoreUnavailable as outage:
        cure = "start it, open the network to it, or correct session.redis_url and its credentials"
        return [failed(_NAME, f"{address}: {outage.detail}.", cure)]
    finally:
        await store.aclose()
    kind = "Valkey" if facts.valkey else "Redis"
    told = f"{kind} {facts.version} at {address} answers in {milliseconds:.1f} ms, with {facts.replicas} replicas."
    slow = f"{told} Each sign-in and each refresh waits for it several times."
    found = [warned(_NAME, slow, "a server that is nearer")] if milliseconds > _SLOW_MS else [passed(_NAME, told)]
    if not facts.appendonly:
        found.append(warned(_NAME, "it keeps nothing on disk: its restart signs everybody out.", "appendonly yes"))
    return found


def _failures(causes: Sequence[str]) -> list[Finding]:
    """What would stop the start, in the same words."""
    split = [cause.partition(" Cure: ") for cause in causes]
    return [failed(_NAME, message, cure) for message, _, cure in split]


async def _latency(store: RedisStore, clock: Clock) -> float:
    """The median of some questions, in milliseconds; the first, which connects, is not counted."""
    await store.ask("PING")
    taken = []
    for _ in range(_QUESTIONS):
        began = clock.monotonic()
        await store.ask("PING")
        taken.append((clock.monotonic() - began) * 1000)
    return median(taken)
