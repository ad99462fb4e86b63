"""Acknowledged rotation among real processes, at an authorization server where reuse ends the whole family."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.world.deployment import Deployment, deployed

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

ROUNDS = int(os.environ.get("ROTATION_ROUNDS", "1"))  # of the lost response; five make two hundred points
SESSIONS, PARALLEL = 40, 200
_random = random.Random(11)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """One machine, two workers, sessions in cookies, the ledger in a file, access tokens of six seconds."""
    with deployed(tmp_path_factory.mktemp("site"), workers=2) as running:
        yield running


@pytest.fixture(scope="module")
def jars(site: Deployment) -> list[dict[str, str]]:
    """Signed-in jars whose access tokens have ended, enough for all; a test pops what it uses up."""
    with ThreadPoolExecutor(8) as pool:
        signed_in = list(pool.map(lambda _: site.sign_in(), range(ROUNDS * SESSIONS + 7)))
    time.sleep(site.access_token_seconds + 0.2)
    return signed_in


@pytest.fixture(autouse=True)
def _no_delays(site: Deployment) -> None:
    """The peers answer at once unless a test says otherwise."""
    for what in ("token", "api"):
        site.world("delay", what, 0)


def refreshes(site: Deployment) -> int:
    """Token calls so far."""
    count: int = site.world("record")["token_calls"].get("refresh_token", 0)
    return count


async def call(client: httpx.AsyncClient, jar: dict[str, str], path: str = "/api/x") -> httpx.Response:
    """One call of the page; what comes back is kept in the jar in the instant it arrives, as a browser does it."""
    cookie = "; ".join(f"{name}={value}" for name, value in jar.items())
    response = await client.get(path, headers={"cookie": cookie, "x-csrf": "1"})
    for line in response.headers.get_list("set-cookie"):
        pair, _, attributes = line.partition(";")
        name, _, value = pair.partition("=")
        jar.pop(name, None)
        if "Max-Age=0" not in attributes:
            jar[name] = value
    return response


def a_client(site: Deployment) -> httpx.AsyncClient:
    """As many connections as there are calls."""
    limits = httpx.Limits(max_connections=PARALLEL, max_keepalive_connections=PARALLEL)
    return httpx.AsyncClient(base_url=site.public_url, trust_env=False, timeout=30, limits=limits)


@pytest.mark.req("F1", "F3", "F4", "F7", "F13", "ADV-2")
async def test_two_hundred_calls_through_an_expired_session_are_one_token_call(
    site: Deployment, jars: list[dict[str, str]]
) -> None:
    """Two workers, several rounds: exactly one token call a round, and nobody is signed out."""
    async with a_client(site) as client:
        for jar in [jars.pop() for _ in range(3)]:
            before = refreshes(site)
            answers = await asyncio.gather(*(call(client, dict(jar)) for _ in range(PARALLEL)))
            assert {answer.status_code for answer in answers} == {200}
            assert len({answer.headers["set-cookie"].partition(";")[0] for answer in answers}) == 1
            assert refreshes(site) - before == 1
    assert site.world("record")["refusals"] == {}


@pytest.mark.req("F2", "F4", "F6")
async def test_answers_that_overtake_each_other_sign_nobody_out(site: Deployment, jars: list[dict[str, str]]) -> None:
    """The API answers out of order while tokens end twice: a jar may go back to an older cookie, and is led on."""
    site.world("delay", "api", 1.0)
    jar, statuses, before = jars.pop(), set[int](), refreshes(site)
    until = time.monotonic() + 2 * site.access_token_seconds

    async def page(client: httpx.AsyncClient) -> None:
        while time.monotonic() < until:
            statuses.add((await call(client, jar)).status_code)

    async with a_client(site) as client:
        await asyncio.gather(*(page(client) for _ in range(24)))
    assert statuses == {200}
    assert refreshes(site) - before >= 2
    assert site.world("record")["refusals"] == {}


@pytest.mark.req("F1", "F4", "F6", "F13", "ADV-2")
async def test_a_response_that_is_lost_at_any_point_loses_nothing(site: Deployment, jars: list[dict[str, str]]) -> None:
    """The client goes away between the token call and the headers, and the BFF is restarted: the old cookie works."""
    lost = 0
    for _ in range(ROUNDS):
        used = [jars.pop() for _ in range(SESSIONS)]
        for what in ("token", "api"):
            site.world("delay", what, 0.1)
        async with a_client(site) as client:
            lost += sum(await asyncio.gather(*(abandoned(client, jar) for jar in used)))
        site.stop_bff()
        site.start_bff()
        async with a_client(site) as client:
            answers = await asyncio.gather(*(call(client, jar) for jar in used))
        assert [answer.status_code for answer in answers] == [200] * SESSIONS
        assert site.world("record")["refusals"] == {}
    assert lost >= ROUNDS * SESSIONS / 2


async def abandoned(client: httpx.AsyncClient, jar: dict[str, str]) -> bool:
    """Whether the client left before the headers came, at a random point of the call."""
    try:
        async with asyncio.timeout(_random.uniform(0.005, 0.25)):
            await call(client, dict(jar))
    except TimeoutError:
        return True
    return False


@pytest.mark.req("F1", "F3", "F8")
@pytest.mark.parametrize("held", ["metadata", "api", "token"])
async def test_a_killed_process_costs_what_no_client_can_promise_and_no_more(
    site: Deployment, jars: list[dict[str, str]], held: str
) -> None:
    """Killed before the refresh token is sent, after its successor is durable, and after it is spent.

    The first two sign nobody out. After the third the session ends, named for what happened to it.
    """
    jar, before = jars.pop(), refreshes(site)
    if held == "metadata":
        site.stop_bff()  # a new process has to fetch the metadata before it sends anything
        site.start_bff()
    site.world("hold", held)
    async with a_client(site) as client:
        dying = asyncio.create_task(call(client, dict(jar)))
        await asyncio.to_thread(site.until_held, held)
        site.stop_bff(signal.SIGKILL)
        with pytest.raises(httpx.HTTPError):
            await dying
    site.world("release", held)
    site.start_bff()
    async with a_client(site) as client:
        answer = await call(client, jar)
    if held == "token":
        assert (answer.status_code, answer.json()["reason"]) == (401, "refresh_lost")
        return
    assert answer.status_code == 200
    assert refreshes(site) - before == 1
    assert site.world("record")["refusals"] == {}
