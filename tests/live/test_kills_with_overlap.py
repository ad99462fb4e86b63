"""F1's second promise: an authorization server that takes a spent refresh token for 30 s more closes the last gap.

``make chaos`` runs all of it in all modes with its rounds, and adds its rows; the short form kills once at each point.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from tests.live.test_chaos import LONG, ROUNDS, Row, Site, killed
from tests.world.deployment import Deployment, deployed
from tests.world.replicas import Mode, replicated

SESSIONS = 10 if ROUNDS else 3
OVERLAP: dict[str, Any] = {"authority": 'refresh_rotation = "overlap"', "overlap_seconds": 30}
HELD = {"kill-before-send": "metadata", "kill-durable": "api", "kill-sent": "token"}  # F1's points, and who waits there
MODES: tuple[Mode, ...] = ("sessions", "ledger")
REPLICATED = [(mode, fault) for mode in MODES for fault in HELD] if ROUNDS else [("sessions", "kill-sent")]

pytestmark = [pytest.mark.live, pytest.mark.timeout(900 if ROUNDS else 120)]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """One machine, sessions in cookies, the ledger in a file."""
    with deployed(tmp_path_factory.mktemp("machine"), access_token_seconds=2, **OVERLAP) as running:
        yield running


@pytest.mark.req("F1", "F8", "ADV-2")
@pytest.mark.parametrize("fault", HELD)
async def test_a_killed_machine_signs_nobody_out(machine: Deployment, fault: str) -> None:
    """SIGKILL to all of it at each of the three points: whoever was refreshing is served after the restart."""
    jars = [machine.sign_in() for _ in range(SESSIONS)]
    await asyncio.sleep(machine.access_token_seconds + 0.1)
    held = HELD[fault]
    if held == "metadata":
        machine.stop_bff()  # a new process has to fetch the metadata before it sends anything
        machine.start_bff()
    machine.world("hold", held)
    async with a_client(machine) as client:
        dying = [asyncio.create_task(call(client, jar)) for jar in jars]
        await asyncio.to_thread(machine.until_held, held)
        machine.stop_bff(signal.SIGKILL)
        gone = await asyncio.gather(*dying, return_exceptions=True)
    assert all(isinstance(one, httpx.HTTPError) for one in gone)
    machine.world("release", held)
    machine.start_bff()
    async with a_client(machine) as client:
        answers = await asyncio.gather(*(call(client, jar) for jar in jars))
    assert [answer.text for answer in answers if answer.status_code != 200] == []
    assert machine.world("record")["refusals"] == {}


def a_client(machine: Deployment) -> httpx.AsyncClient:
    """Patient: the lease of a flight that was sent lapses after six seconds (F3)."""
    return httpx.AsyncClient(base_url=machine.public_url, trust_env=False, timeout=30)


async def call(client: httpx.AsyncClient, jar: dict[str, str]) -> httpx.Response:
    """One call of the page."""
    cookie = "; ".join(f"{name}={value}" for name, value in jar.items())
    return await client.get("/api/x", headers={"cookie": cookie, "x-csrf": "1"})


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Site]]:
    """Three replicas for each mode that is asked for."""
    with ExitStack() as stack:
        known: dict[str, Site] = {}
        for mode in MODES:
            if any(mode == one for one, _ in REPLICATED):
                folder = tmp_path_factory.mktemp(f"overlap-{mode}")
                deployed = replicated(folder, mode=mode, access_token_seconds=LONG, **OVERLAP)
                known[mode] = Site(*stack.enter_context(deployed))
        yield known


@pytest.mark.req("F1", "F3", "F8", "ADV-2", "ADV-13")
@pytest.mark.parametrize(("mode", "fault"), REPLICATED)
async def test_a_killed_replica_signs_nobody_out(sites: dict[str, Site], mode: Mode, fault: str) -> None:
    """SIGKILL to one of three replicas at each of the three points: the others serve whoever was refreshing there."""
    site = sites[mode]
    told, before = Row(f"{fault}-overlap", mode, ROUNDS or SESSIONS), site.replicas.refreshes()
    for _ in range(told.rounds // SESSIONS):
        jars = await site.expired(SESSIONS)
        await killed(site, jars, fault)
        ended = time.monotonic()
        told.logouts += len(await site.logged_out(jars))
        told.recovery_s = max(told.recovery_s, round(time.monotonic() - ended, 2))
    told.token_calls = site.replicas.refreshes() - before
    assert (told.logouts, site.replicas.refusals()) == (0, 0)
    assert told.token_calls == told.rounds * (2 if fault == "kill-sent" else 1)
    told.keep()
