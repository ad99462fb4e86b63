from __future__ import annotations

from typing import Any

import pytest

from bff.check import Finding
from bff.check.sessions import check_cookie_budget, check_replicas
from bff.check.store import check_redis
from bff.clock import SystemClock
from tests.world.ports import free_port
from tests.world.settings import settings_with_session as settings
from tests.world.valkey import Valkey


async def found(**session: Any) -> list[tuple[str, str]]:
    """Level and message of each finding."""
    findings: list[Finding] = await check_redis(settings(**session), SystemClock())
    assert all(one.name == "session store" for one in findings)
    return [(str(one.level), f"{one.message} {one.cure}") for one in findings]


@pytest.mark.req("F12", "ADV-10")
async def test_a_store_is_looked_at(valkey: Valkey) -> None:
    """Who it is, how fast it answers, whether a restart empties it; no password is printed."""
    session = {"store": "redis", "redis_url": valkey.url.replace("redis://", "redis://:@")}
    (level, told), (warning, about) = await found(**session)
    assert (level, warning) == ("pass", "warn")
    assert told.startswith(f"Valkey 9.1.2 at 127.0.0.1:{valkey.port} answers in ")
    assert "appendonly yes" in about


@pytest.mark.req("F12")
async def test_a_store_that_does_not_answer_fails() -> None:
    """With the address and the cure."""
    ((level, told),) = await found(ledger="redis", redis_url=f"redis://:the-password@127.0.0.1:{free_port()}")
    assert level == "fail"
    assert "session.redis_url" in told
    assert "the-password" not in told


async def test_without_redis_there_is_nothing_to_say() -> None:
    """The file is looked at elsewhere."""
    assert await found() == []


@pytest.mark.req("F13", "F14")
async def test_replicas_are_told_what_they_may_expect(valkey: Valkey) -> None:
    """Machines, store, ledger and rotation, and what a refresh is promised with them; a ticket fits every budget."""
    chosen = settings(store="redis", redis_url=valkey.url, machines=3)
    (replicas,) = check_replicas(chosen)
    assert replicas.level == "pass"
    assert replicas.message.startswith("3 machine(s), store redis, ledger redis, rotation strict: safe, but")
    assert "108 bytes" in (await check_cookie_budget(chosen, SystemClock())).message
