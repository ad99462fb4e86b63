"""Faults of every kind while three replicas work, at an authorization server where reuse ends the family (ADV-13).

``make chaos`` runs every fault in both modes with fifty rounds, and writes ``build/chaos.json``; the short form runs
each fault in one of them, and the race in both.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from local_authority import seeds
from tests.benchmarks.sign_in import Person, _Form
from tests.world.replicas import Mode, Replicas, Reply, Stores, get, replicated

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "0"))  # 0: the short form
DOWN_SECONDS = float(os.environ.get("CHAOS_DOWN_SECONDS", "2"))
FILE = os.environ.get("CHAOS_FILE")
PARALLEL, PATIENCE, RECOVERY = 200, 20.0, 2.0
LONG, SHORT = 3600, 2  # seconds that access tokens live: for faults of the store, and for refreshes
pytestmark = [pytest.mark.live, pytest.mark.timeout(900 if ROUNDS else 120)]
_random = random.Random(5)

Jar = dict[str, str]


@dataclass
class Row:
    """One fault in one mode: totals over the rounds."""

    fault: str
    mode: Mode
    rounds: int
    token_calls: int = 0
    logouts: int = 0
    promised_logouts: int = 0
    recovery_s: float = 0.0

    def keep(self) -> None:
        """Write it, in place of an earlier run's."""
        if FILE is None:
            return
        path = Path(FILE)
        path.parent.mkdir(exist_ok=True)
        rows = json.loads(path.read_text()) if path.exists() else []
        rows = [row for row in rows if (row["fault"], row["mode"]) != (self.fault, self.mode)]
        path.write_text(json.dumps([*rows, asdict(self)], indent=1))


@dataclass
class Site:
    """Three replicas in one mode, their stores, and browsers."""

    replicas: Replicas
    stores: Stores

    async def call(self, jar: Jar, replica: int, path: str = "/api/x") -> Reply:
        """One call of the page to one replica; what comes back is kept in the jar as it arrives."""
        host = self.replicas.public_url.removeprefix("http://")
        cookie = "; ".join(f"{name}={value}" for name, value in jar.items())
        reply = await get(self.replicas.ports[replica], path, host, cookie)
        for name, value in reply.cookies:
            jar.pop(name, None)
            if value is not None:
                jar[name] = value
        return reply

    async def jars(self, count: int, *, lifetime: int) -> list[Jar]:
        """Browsers that have just signed in, with access tokens of so many seconds."""
        self.replicas.world("lifetime", lifetime)
        with ThreadPoolExecutor(4) as pool:
            loop = asyncio.get_running_loop()
            return list(
                await asyncio.gather(*(loop.run_in_executor(pool, self.replicas.sign_in) for _ in range(count)))
            )

    async def expired(self, count: int) -> list[Jar]:
        """The same, a moment after their tokens ended; what is refreshed from now on lives long."""
        jars = await self.jars(count, lifetime=SHORT)
        await asyncio.sleep(SHORT + 0.1)
        self.replicas.world("lifetime", LONG)
        return jars

    async def logged_out(self, jars: list[Jar], *, seconds: float = PATIENCE) -> list[str]:
        """Who is not served within some time, and the reason that each was told."""

        async def fate(number: int, jar: Jar) -> str | None:
            deadline = time.monotonic() + seconds
            while True:
                answer = await self.call(jar, number % self.replicas.count)
                if answer.status == 200:
                    return None
                if answer.status == 401 or time.monotonic() > deadline:
                    return answer.reason
                await asyncio.sleep(0.1)

        fates = await asyncio.gather(*(fate(number, jar) for number, jar in enumerate(jars)))
        return [one for one in fates if one is not None]


@asynccontextmanager
async def watched(site: Site, jars: list[Jar], statuses: list[tuple[float, int]]) -> AsyncIterator[None]:
    """Every session calls every replica in turn while the block runs; when and how each was answered."""
    done = asyncio.Event()

    async def page(number: int, jar: Jar) -> None:
        replica = number
        while not done.is_set():
            replica = (replica + 1) % site.replicas.count
            with suppress(OSError, TimeoutError):
                answer = await site.call(jar, replica)
                statuses.append((time.monotonic(), answer.status))
            await asyncio.sleep(0.05)

    pages = [asyncio.create_task(page(number, jar)) for number, jar in enumerate(jars)]
    try:
        yield
    finally:
        done.set()
        await asyncio.gather(*pages)


async def recovered(statuses: list[tuple[float, int]], ended: float, calls: int) -> float:
    """Seconds from the fault's end to the last answer that still told of it, seen ``calls`` good ones later."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        await asyncio.sleep(0.1)
        bad = [at for at, status in statuses if at > ended and status != 200]
        last = max(bad, default=ended)
        if sum(at > last for at, _ in statuses) >= calls:
            return last - ended
    raise AssertionError(f"no recovery: {statuses[-20:]}")


SHORT_FORM: dict[str, tuple[Mode, ...]] = {
    "race": ("sessions", "ledger"),
    "lost-response": ("sessions",),
    "kill-before-send": ("ledger",),
    "kill-durable": ("ledger",),
    "kill-sent": ("sessions",),
    "store-kill": ("sessions",),
    "store-restart": ("ledger",),
    "store-freeze": ("ledger",),
    "store-failover": ("sessions",),
    "authority-down": ("sessions",),
    "clock-plus": ("ledger",),
    "clock-minus": ("sessions",),
    "keys-rotation": ("ledger",),
}


def cases(*faults: str) -> pytest.MarkDecorator:
    """These faults, each in the modes of this run."""
    chosen = [(mode, fault) for fault in faults for mode in (("sessions", "ledger") if ROUNDS else SHORT_FORM[fault])]
    return pytest.mark.parametrize(("mode", "fault"), chosen)


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Mode], Site]]:
    """A site for each mode that is asked for, until the last test."""
    with ExitStack() as stack:
        known: dict[Mode, Site] = {}

        def of(mode: Mode) -> Site:
            if mode not in known:
                deployed = replicated(tmp_path_factory.mktemp(mode), mode=mode, access_token_seconds=LONG)
                known[mode] = Site(*stack.enter_context(deployed))
            return known[mode]

        yield of


@pytest.fixture
def site(sites: Callable[[Mode], Site], mode: Mode) -> Site:
    """Three replicas: sessions in Valkey, or in cookies with the ledger there."""
    return sites(mode)


def row(site: Site, fault: str, rounds: int) -> Row:
    """An empty one."""
    return Row(fault, site.replicas.mode, rounds)


@pytest.mark.req("F1", "F3", "F4", "F7", "F9", "F13", "ADV-2", "ATK-16", "OA-5", "BBA-17")
@cases("race")
async def test_race(site: Site, fault: str) -> None:
    """Two hundred calls through one expired session on three replicas: one token call a round, nobody signed out."""
    told = row(site, fault, ROUNDS or 5)
    for jar in await site.expired(told.rounds):
        before = site.replicas.refreshes()
        answers = await asyncio.gather(*(site.call(dict(jar), number % 3) for number in range(PARALLEL)))
        told.logouts += any(answer.status == 401 for answer in answers)
        assert {answer.status for answer in answers} == {200}
        calls = site.replicas.refreshes() - before
        told.token_calls += calls
        assert calls == 1
        changed = [answer for answer in answers if answer.cookies]
        assert not changed if told.mode == "sessions" else len(changed) == PARALLEL
        assert await site.logged_out([jar]) == []
    assert site.replicas.refusals() == 0
    told.keep()


@pytest.mark.req("F2", "F4", "F6", "F9", "ADV-2")
@cases("lost-response")
async def test_lost_response(site: Site, fault: str) -> None:
    """The client goes away between the token call and the headers: another replica knows the way on."""
    told, before = row(site, fault, ROUNDS or 12), site.replicas.refreshes()
    jars, refused = await site.expired(told.rounds), site.replicas.refusals()
    site.replicas.world("delay", "token", 0.1)
    site.replicas.api_world("delay", "api", 0.1)

    async def abandoned(number: int, jar: Jar) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_random.uniform(0.005, 0.25)):
                await site.call(dict(jar), number % 3)

    await asyncio.gather(*(abandoned(number, jar) for number, jar in enumerate(jars)))
    site.replicas.world("delay", "token", 0)
    site.replicas.api_world("delay", "api", 0)
    told.logouts = len(await site.logged_out([*jars[1:], jars[0]]))
    told.token_calls = site.replicas.refreshes() - before
    assert (told.logouts, told.token_calls) == (0, told.rounds)
    assert site.replicas.refusals() == refused
    told.keep()


@pytest.mark.req("F1", "F3", "F8", "ADV-2", "ATK-16")
@cases("kill-before-send", "kill-durable", "kill-sent")
async def test_kill(site: Site, fault: str) -> None:
    """SIGKILL at the three points that rule F1 names: only what was sent and not answered may be lost, by its name."""
    at_once = 10 if ROUNDS else 2
    told, refused = row(site, fault, ROUNDS or at_once), site.replicas.refusals()
    for _ in range(told.rounds // at_once):
        before, jars = site.replicas.refreshes(), await site.expired(at_once)
        await killed(site, jars, fault)
        ended = time.monotonic()
        reasons = await site.logged_out(jars)
        told.recovery_s = max(told.recovery_s, round(time.monotonic() - ended, 2))
        told.logouts += len(reasons)
        told.token_calls += site.replicas.refreshes() - before
        assert set(reasons) <= {"refresh_lost"}
    if fault == "kill-sent":
        told.promised_logouts = told.rounds
        assert told.logouts <= told.promised_logouts
    else:
        assert (told.logouts, told.token_calls) == (0, told.rounds)
        assert site.replicas.refusals() == refused
    told.keep()


async def killed(site: Site, jars: list[Jar], fault: str) -> None:
    """Let one replica come to that point with all these sessions, and kill it there."""
    victim = 1
    what = {"kill-before-send": "metadata", "kill-durable": "api", "kill-sent": "token"}[fault]
    world = site.replicas.api_world if what == "api" else site.replicas.world
    if what == "metadata":
        site.replicas.stop_replica(victim)  # a new process has to fetch the metadata before it sends anything
        site.replicas.start_replica(victim)
    world("hold", what)
    dying = [asyncio.create_task(site.call(dict(jar), victim)) for jar in jars]
    expected = 1 if what == "metadata" else len(jars)
    deadline = time.monotonic() + PATIENCE
    while world("record")["held"][what] < expected:
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.05)
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
    told, before = row(site, fault, max(1, ROUNDS // 10)), site.replicas.refreshes()
    refused, renewed = site.replicas.refusals(), 0
    for _ in range(told.rounds):
        ending = await site.expired(3) if ROUNDS or fault == "store-failover" else []
        jars, statuses, others = await site.jars(6, lifetime=LONG), list[tuple[float, int]](), list[tuple[float, int]]()
        async with watched(site, jars, statuses):
            await asyncio.sleep(0.3)
            async with watched(site, ending, others):
                await asyncio.to_thread(STORE_FAULTS[fault], site)
            seconds = await recovered(statuses, time.monotonic(), 60)
        told.recovery_s = max(told.recovery_s, round(seconds, 2))
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
    told, refused = row(site, fault, max(1, ROUNDS // 50)), site.replicas.refusals()
    before = site.replicas.refreshes()
    ended, living = await site.expired(4), await site.jars(2, lifetime=LONG)
    statuses, well = list[tuple[float, int]](), list[tuple[float, int]]()
    site.replicas.stop_authority()
    async with watched(site, ended, statuses), watched(site, living, well):
        await asyncio.sleep(DOWN_SECONDS)
        seen = list(statuses)
        await asyncio.to_thread(site.replicas.start_authority)
        seconds = await recovered(statuses, time.monotonic(), 40)
    told.recovery_s = round(seconds, 2)
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
    told, refused, before = row(site, fault, max(1, ROUNDS // 10)), site.replicas.refusals(), site.replicas.refreshes()
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
    told, before = row(site, fault, max(1, ROUNDS // 10)), site.replicas.refreshes()
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
@pytest.mark.parametrize("mode", ["sessions", "ledger"])
async def test_a_sign_out_at_the_authority_ends_streams_on_every_replica_within_a_second(site: Site) -> None:
    """The logout token reaches one replica; the streams that the others hold say why, and end."""
    person, public = Person(seeds.ADA.email, seeds.ADA.password), site.replicas.public_url
    await asyncio.to_thread(person.sign_in, f"{public}/bff/login")
    streams = [asyncio.create_task(stream(site, replica, person.cookie(public))) for replica in (1, 2)]
    await asyncio.sleep(0.5)
    assert not any(one.done() for one in streams)
    began = time.monotonic()
    await asyncio.to_thread(sign_out_at_the_authority, site, person)
    heard = time.monotonic()
    ended = await asyncio.gather(*streams)
    assert all(b"event: session-ended" in told and b"backchannel" in told for _, told in ended)
    assert max(at for at, _ in ended) - heard <= 1.0
    assert all(at > began for at, _ in ended)


async def stream(site: Site, replica: int, cookie: str) -> tuple[float, bytes]:
    """All that one replica says in a stream of events, and when it ended."""
    host = site.replicas.public_url.removeprefix("http://")
    reply = await get(site.replicas.ports[replica], "/bff/events", host, cookie)
    assert reply.status == 200
    return time.monotonic(), reply.body


def sign_out_at_the_authority(site: Site, person: Person) -> None:
    """On its own page, as a person does there; it tells the BFF before it answers."""
    with httpx.Client(trust_env=False, timeout=10) as http:
        metadata = http.get(f"{site.replicas.issuer}/.well-known/openid-configuration").json()
        page = person._follow(http, "GET", metadata["end_session_endpoint"])
        form = _Form()
        form.feed(page.text)
        assert form.action is not None, page.text
        person._follow(http, "POST", urljoin(str(page.url), form.action), {**form.fields, "action": "sign-out"})
