"""Faults of every kind while sessions are used, at an authorization server where reuse ends the family (ADV-13).

``make chaos`` runs every fault in every mode that it can happen in, and writes ``build/chaos.json``; the short form
runs each fault in one or two of them.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from urllib.parse import urljoin

import httpx
import pytest

from local_authority import seeds
from tests.benchmarks.sign_in import Person, _Form
from tests.world.chaos import DOWN_SECONDS, LONG, RECOVERY, ROUNDS, cases
from tests.world.chaos_site import Jar, Site, recovered, watched
from tests.world.page_calls import get

ELSEWHERE = 1.0  # seconds until a session's end is known everywhere
TAKEN_OVER = 6.0  # seconds after a refresh token was sent and not answered: until then its owner may be alive (F3)
pytestmark = [pytest.mark.live, pytest.mark.timeout(900 if ROUNDS else 120)]


@pytest.mark.req("F1", "F3", "F8", "ADV-2", "ATK-16")
@cases("kill-before-send", "kill-durable", "kill-sent")
async def test_kill(site: Site, fault: str) -> None:
    """SIGKILL at the three points that rule F1 names: only what was sent and not answered may be lost, by its name."""
    at_once = 10 if ROUNDS else 2
    told, refused = site.row(fault, ROUNDS or at_once), site.replicas.refusals()
    for _ in range(told.rounds // at_once):
        before, jars = site.replicas.refreshes(), await site.expired(at_once)
        await killed(site, jars, fault)
        fates = await site.fates(jars)
        reasons = [fate.reason for fate in fates if fate.reason is not None]
        told.recovered_in(max(fate.seconds for fate in fates))
        told.logouts += len(reasons)
        told.token_calls += site.replicas.refreshes() - before
        assert set(reasons) <= {"refresh_lost"}
    if fault == "kill-sent":
        told.promised_logouts = told.rounds
        assert told.logouts <= told.promised_logouts
    else:
        assert (told.logouts, told.token_calls) == (0, told.rounds)
        assert site.replicas.refusals() == refused
    assert told.recovery_s <= RECOVERY + (TAKEN_OVER if fault == "kill-sent" else 0.0)
    told.keep()


async def killed(site: Site, jars: list[Jar], fault: str) -> None:
    """Let one replica come to that point with all these sessions, and kill it there."""
    victim = site.replicas.count - 1
    what = {"kill-before-send": "metadata", "kill-durable": "api", "kill-sent": "token"}[fault]
    world = site.replicas.api_world if what == "api" else site.replicas.world
    if what == "metadata":
        site.replicas.stop_replica(victim)  # a new process has to fetch the metadata before it sends anything
        site.replicas.start_replica(victim)
    world("hold", what)
    dying = [asyncio.create_task(site.call(dict(jar), victim)) for jar in jars]
    expected = 1 if what == "metadata" else len(jars)
    await site.held(world, what, expected)
    site.replicas.stop_replica(victim, signal.SIGKILL)
    await asyncio.gather(*dying, return_exceptions=True)
    world("release", what)
    site.replicas.start_replica(victim)


STORE_FAULTS: dict[str, Callable[[Site], None]] = {}


def store_fault(name: str) -> Callable[[Callable[[Site], None]], Callable[[Site], None]]:
    """Name what is done to the store; when the function returns, the fault is over."""

    def register(fault: Callable[[Site], None]) -> Callable[[Site], None]:
        STORE_FAULTS[name] = fault
        return fault

    return register


@store_fault("store-kill")
def kill_the_store(site: Site) -> None:
    """SIGKILL, some time without, and back on what had reached the disk."""
    primary = site.stores.primary
    primary.kill()
    time.sleep(DOWN_SECONDS / 2)
    primary.options.pop("replicaof", None)
    primary.start()


@store_fault("store-restart")
def restart_the_store(site: Site) -> None:
    """As an operator does it."""
    primary = site.stores.primary
    primary.stop()
    primary.options.pop("replicaof", None)
    primary.start()


@store_fault("store-freeze")
def freeze_the_store(site: Site) -> None:
    """It keeps its connections and answers nothing for two seconds."""
    with site.stores.primary.frozen():
        time.sleep(2)


@store_fault("store-failover")
def fail_the_store_over(site: Site) -> None:
    """The primary dies, and its replica is promoted."""
    site.stores.fail_over()


@pytest.mark.req("F10", "F12", "ADV-13", "B14")
@cases(*STORE_FAULTS)
async def test_store(site: Site, fault: str) -> None:
    """Nobody hears 401 of an outage, nobody is signed out, and two seconds after its end everybody is served.

    Whose token ends meanwhile may wait longer: on another primary no refresh begins for six seconds (rule F12). It is
    one token call all the same.
    """
    told, before = site.row(fault, max(1, ROUNDS // 10)), site.replicas.refreshes()
    refused, renewed = site.replicas.refusals(), 0
    for _ in range(told.rounds):
        ending = await site.expired(3) if ROUNDS or fault == "store-failover" else []
        jars, statuses, others = await site.jars(6, lifetime=LONG), list[tuple[float, int]](), list[tuple[float, int]]()
        async with watched(site, jars, statuses):
            await asyncio.sleep(0.3)
            async with watched(site, ending, others):
                await asyncio.to_thread(STORE_FAULTS[fault], site)
            seconds = await recovered(statuses, time.monotonic(), 60)
        told.recovered_in(seconds)
        assert {status for _, status in [*statuses, *others]} <= {200, 503}
        told.logouts += len(await site.logged_out([*jars, *ending]))
        renewed += len(ending)
        await asyncio.to_thread(site.stores.restore)
    told.token_calls = site.replicas.refreshes() - before
    assert (told.logouts, told.token_calls) == (0, renewed)
    assert site.replicas.refusals() == refused
    assert told.recovery_s <= RECOVERY
    told.keep()


@pytest.mark.req("F8", "ADV-13", "OA-5")
@cases("authority-down")
async def test_authority_down(site: Site, fault: str) -> None:
    """Whose token lives is served, whose token ended hears 503, and nobody is signed out; then all are served again."""
    told, refused = site.row(fault, max(1, ROUNDS // 50)), site.replicas.refusals()
    before = site.replicas.refreshes()
    ended, living = await site.expired(4), await site.jars(2, lifetime=LONG)
    statuses, well = list[tuple[float, int]](), list[tuple[float, int]]()
    site.replicas.stop_authority()
    async with watched(site, ended, statuses), watched(site, living, well):
        await asyncio.sleep(DOWN_SECONDS)
        seen = list(statuses)
        await asyncio.to_thread(site.replicas.start_authority)
        seconds = await recovered(statuses, time.monotonic(), 40)
    told.recovered_in(seconds)
    told.token_calls = site.replicas.refreshes() - before
    assert {status for _, status in seen} == {503}
    assert {status for _, status in statuses} == {200, 503}
    assert {status for _, status in well} == {200}
    told.logouts = len(await site.logged_out([*ended, *living]))
    assert (told.logouts, told.token_calls) == (0, len(ended))
    assert site.replicas.refusals() == refused
    assert told.recovery_s <= RECOVERY
    told.keep()


@pytest.mark.req("F17", "ADV-13")
@cases("clock-plus", "clock-minus")
async def test_clock(site: Site, fault: str) -> None:
    """One replica's clock is two minutes off: it refreshes and serves like the others, and they take what it kept."""
    skew = {"clock-plus": 120.0, "clock-minus": -120.0}[fault]
    told, refused, before = site.row(fault, max(1, ROUNDS // 10)), site.replicas.refusals(), site.replicas.refreshes()
    site.replicas.stop_replica(1)
    site.replicas.start_replica(1, skew=skew)
    for _ in range(told.rounds):
        jars, statuses = await site.expired(4), list[tuple[float, int]]()
        async with watched(site, jars, statuses):
            await asyncio.sleep(1.0)
        assert {status for _, status in statuses} == {200}
        told.logouts += len(await site.logged_out(jars))
    site.replicas.stop_replica(1)
    site.replicas.start_replica(1)
    told.logouts += len(await site.logged_out(jars))
    told.token_calls = site.replicas.refreshes() - before
    assert told.logouts == 0
    assert site.replicas.refusals() == refused
    told.keep()


@pytest.mark.req("F22", "ADV-13", "B10")
@cases("keys-rotation")
async def test_keys_rotation(site: Site, fault: str) -> None:
    """A new key comes and seals while everybody works and tokens end: nobody notices."""
    told, before = site.row(fault, max(1, ROUNDS // 10)), site.replicas.refreshes()
    for _ in range(told.rounds):
        jars, statuses = await site.expired(6), list[tuple[float, int]]()
        site.replicas.add_key(seconds=3.0)
        async with watched(site, jars[:3], statuses):
            await asyncio.sleep(4.0)  # every replica has looked at the file, and seals with the new key
            async with watched(site, jars[3:], statuses):
                await asyncio.sleep(0.5)
        assert {status for _, status in statuses} == {200}
        told.logouts += len(await site.logged_out(jars))
    told.token_calls = site.replicas.refreshes() - before
    assert (told.logouts, told.token_calls) == (0, 6 * told.rounds)
    told.keep()


@pytest.mark.req("BCL-1", "BCL-3", "E3", "F10", "F28")
@cases("sign-out-elsewhere")
async def test_a_sign_out_at_the_authority_ends_streams_on_every_replica_within_a_second(
    site: Site, fault: str
) -> None:
    """The logout token reaches one replica; the streams that the others hold say why, and end.

    The row counts from the person's click at the authorization server, which includes all that it does itself.
    """
    told, public = site.row(fault, max(1, ROUNDS // 5)), site.replicas.public_url
    for _ in range(told.rounds):
        person = Person(seeds.ADA.email, seeds.ADA.password)
        await asyncio.to_thread(person.sign_in, f"{public}/bff/login")
        streams = [asyncio.create_task(stream(site, replica, person.cookie(public))) for replica in (1, 2)]
        await asyncio.sleep(0.5)
        assert not any(one.done() for one in streams)
        clicked = await asyncio.to_thread(sign_out_at_the_authority, site, person)
        answered = time.monotonic()
        ended = await asyncio.gather(*streams)
        assert max(at for at, _ in ended) - answered <= ELSEWHERE
        assert all(b"event: session-ended" in told and b"backchannel" in told for _, told in ended)
        assert all(at > clicked for at, _ in ended)
        told.recovered_in(max(at for at, _ in ended) - clicked)
    told.logouts = told.promised_logouts = told.rounds
    told.keep()


async def stream(site: Site, replica: int, cookie: str) -> tuple[float, bytes]:
    """All that one replica says in a stream of events, and when it ended."""
    host = site.replicas.public_url.removeprefix("http://")
    reply = await get(site.replicas.ports[replica], "/bff/events", host, cookie)
    assert reply.status == 200
    return time.monotonic(), reply.body


def sign_out_at_the_authority(site: Site, person: Person) -> float:
    """On its own page, as a person does there; it tells the BFF before it answers. When the button was clicked."""
    with httpx.Client(trust_env=False, timeout=10) as http:
        metadata = http.get(f"{site.replicas.issuer}/.well-known/openid-configuration").json()
        page = person._follow(http, "GET", metadata["end_session_endpoint"])
        form = _Form()
        form.feed(page.text)
        assert form.action is not None, page.text
        clicked = time.monotonic()
        person._follow(http, "POST", urljoin(str(page.url), form.action), {**form.fields, "action": "sign-out"})
        return clicked
