"""F1's second promise: an authorization server that takes a spent refresh token for 30 s more closes the last gap."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator

import httpx
import pytest

from tests.world.deployment import Deployment, deployed

SESSIONS = 3
HELD = {"kill-before-send": "metadata", "kill-durable": "api", "kill-sent": "token"}  # F1's points, and who waits there

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """One machine, sessions in cookies, the ledger in a file."""
    folder, rotation = tmp_path_factory.mktemp("machine"), 'refresh_rotation = "overlap"'
    with deployed(folder, access_token_seconds=2, authority=rotation, overlap_seconds=30) as running:
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
