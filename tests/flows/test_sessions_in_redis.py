"""The story with sessions in a real Valkey, or with its ledger there: nothing that a person sees is different."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bff.app import create_app
from bff.session.cipher import Key, read_keys, write_keys
from tests.world.house import House, opened_house, problem_of
from tests.world.valkey import Valkey, running_valkey


def in_redis(mode: str, url: str) -> dict[str, Any]:
    """The table for one of the two modes, on several machines."""
    stored = {"store": "redis", "ledger": None} if mode == "sessions" else {"ledger": "redis"}
    return {"session": {**stored, "redis_url": url, "machines": 3}}


@pytest.fixture(params=["sessions", "ledger"])
async def house(request: pytest.FixtureRequest, tmp_path: Path, valkey: Valkey) -> AsyncIterator[House]:
    """A house whose BFF has its sessions, or its ledger, in Valkey."""
    chosen = in_redis(request.param, valkey.url)
    async with opened_house(tmp_path, access_token_seconds=900, settings=chosen) as running:
        yield running


@pytest.mark.req("BBA-9", "F9", "RPIL-2")
async def test_sign_in_work_refresh_sign_out(house: House) -> None:
    """The whole story, once around: two to-dos before and after a refresh, then nobody is signed in."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    assert (await tab.api("/api/todolist", method="POST", json={"description": "one"})).status_code == 201
    house.clock.advance(890)
    answers = await asyncio.gather(*(tab.api("/api/todolist") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert house.record.token_calls["refresh_token"] == 1
    assert (await house.user(tab))["authenticated"]
    await house.sign_out(tab)
    assert not (await house.user(tab))["authenticated"]
    assert problem_of(await tab.api("/api/todolist")) in {"no-session", "session-ended"}


@pytest.mark.req("F13")
async def test_a_restart_loses_nobody(house: House) -> None:
    """The store remembers who is signed in, and who is not any more."""
    alice, bob = house.browser().tab(), house.browser().tab()
    await house.sign_in(alice)
    await house.sign_in(bob)
    copy = house.cookie_header(bob.browser)
    await house.sign_out(bob)
    await house.restart_bff()
    assert (await house.user(alice))["authenticated"]
    answer = await house.sends("/api/todolist", copy, ("x-csrf", "1"), ("host", "localhost:3000"))
    assert answer.status_code == 401
    assert answer.json()["reason"] == "signed_out"


@pytest.mark.req("F10", "B14")
@pytest.mark.parametrize("mode", ["sessions", "ledger"])
async def test_a_store_that_is_away_signs_nobody_out(tmp_path: Path, mode: str) -> None:
    """503 with the cookie kept, readiness red, liveness green, visitors served; and all is well when it is back."""
    with running_valkey(appendonly="yes", appendfsync="always") as server:
        async with opened_house(tmp_path, settings=in_redis(mode, server.url)) as house:
            tab = house.browser().tab()
            await house.sign_in(tab)
            held = tab.browser.names()
            server.kill()
            house.clock.advance(2)
            for _ in range(2):
                answer = await tab.api("/api/todolist")
                assert (answer.status_code, problem_of(answer)) == (503, "session-store-unavailable")
                assert int(answer.headers["retry-after"]) > 0
            assert tab.browser.names() == held
            assert (await house.sends("/livez", ("host", "localhost:3000"))).status_code == 200
            ready = await house.sends("/readyz", ("host", "localhost:3000"))
            assert (ready.status_code, ready.json()["parts"]["ledger"]) == (503, "down")
            visitor = await house.browser().tab().go(house.url("/"))
            assert visitor.response.status_code == 200
            server.start()
            async with asyncio.timeout(5):
                while (await tab.api("/api/todolist")).status_code != 200:
                    house.clock.advance(0.5)
                    await asyncio.sleep(0.05)
            assert (await house.sends("/readyz", ("host", "localhost:3000"))).status_code == 200


@pytest.mark.req("F22", "B10")
async def test_three_replicas_that_reload_their_keys_at_different_times_log_nobody_out(
    tmp_path: Path, valkey: Valkey
) -> None:
    """A key reaches them one by one before it seals, and leaves them one by one when no cookie needs it any more."""
    async with opened_house(tmp_path, access_token_seconds=900, settings=in_redis("ledger", valkey.url)) as house:
        others = [create_app(house.settings(), transport=house.internet, clock=house.clock) for _ in range(2)]
        rings = [one.state.services.vault.cipher.ring for one in (house.bff, *others)]
        tab, path = house.browser().tab(), tmp_path / "keys.json"
        await house.sign_in(tab)

        async def everywhere() -> None:
            for one in (house.bff, *others):
                house.internet.put(house.origin, one)
                assert (await tab.api("/bff/user")).json()["authenticated"]
                assert (await tab.api("/api/todolist")).status_code == 200

        fresh = Key.generate(use_from=house.clock.now() + 600)
        write_keys(path, (*read_keys(path), fresh))
        for ring in rings:
            assert ring.reload()
            await everywhere()
        house.clock.advance(890)  # the next calls renew the session, under the new key
        await everywhere()
        assert fresh.id in {key for ring in rings for key in ring.seals}
        write_keys(path, (fresh,))
        for ring in rings:
            assert ring.reload()
            await everywhere()
        for one in others:
            for close in one.state.closing:
                await close()
