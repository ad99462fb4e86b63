"""Signed out while refreshes and slow answers are under way: no dead session lives, and no late answer brings one back.

Two workers share one ledger; every answer of theirs, of the authority and of the API comes late by a little chance,
which is drawn from ``CHAOS_SEED``. The authority revokes exactly the token that it is told, so that a spent one takes
no living one along.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from bff.app import BFF
from bff.app import create_app as create_bff
from bff.session.cookies import Jar as Cookies
from bff.session.redis_ledger import RedisLedger
from local_authority.grants import RefreshToken
from local_authority.metadata import Paths
from local_authority.misbehaving.misbehaviours import Misbehaviour
from tests.world.authority import OnTheWire
from tests.world.browser import Browser, StoredCookie, Tab
from tests.world.chaos import ROUNDS, SEED, Row, cases
from tests.world.house import API_ORIGIN, AUTHORITY_ORIGIN, BFF_ORIGIN, GRACE, House, opened_house, problem_of
from tests.world.replicas import Mode
from tests.world.valkey import Valkey

SIGN_OUTS = 10 * ROUNDS or 24
CALLS = 4
LATE = 0.006  # seconds that each part of an answer may be late by: about as long as a token call of this world takes
HEARD = 0.3  # seconds after which every worker has heard of what another one wrote to a file

pytestmark = [pytest.mark.live, pytest.mark.timeout(60 + 4 * SIGN_OUTS)]

Jar = dict[tuple[str, str, str], StoredCookie]


class Late:
    """One of several applications answers, and each part of its answer comes late by chance."""

    def __init__(self, chance: random.Random, *apps: Any) -> None:
        self._chance, self._apps = chance, apps

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def late(message: Any) -> None:
            await asyncio.sleep(self._chance.random() * LATE)
            await send(message)

        await self._chance.choice(self._apps)(scope, receive, late)


@dataclass
class Site:
    """The house with two workers, and every jar that a browser of the present round has had."""

    house: House
    workers: tuple[BFF, BFF]
    chance: random.Random
    jars: list[Jar] = field(default_factory=list)
    arrived: int = 0

    @property
    def shreds(self) -> bool:
        """Whether sessions lie in a store."""
        return self.house.settings().session.store == "redis"

    async def hear(self) -> None:
        """Let every worker read what another one wrote."""
        self.house.clock.advance(HEARD)
        for worker in self.workers:
            await worker.state.services.ledger.catch_up(at_once=True)

    async def settle(self) -> None:
        """Let what runs in the background of both workers finish."""
        for worker in self.workers:
            await worker.state.services.tokens.aclose()
            await worker.state.services.vault.aclose()

    def living(self, grant_id: str) -> int:
        """How many refresh tokens of one grant the authority would take."""
        services = self.house.authority.state.services
        every = [one for one in services.grants._store.every(RefreshToken) if one.grant_id == grant_id]
        return 0 if services.grants.find(grant_id) is None else sum(not (one.spent or one.revoked) for one in every)

    async def call(self, tab: Tab) -> httpx.Response:
        """A call of the page at some moment, and what its jar holds then."""
        await asyncio.sleep(self.chance.random() * 2 * LATE)
        answer = await tab.api("/api/todolist")
        self.jars.append(tab.browser.kept())
        return answer


def stored(mode: Mode, valkey: Valkey) -> dict[str, Any]:
    """The settings of a mode."""
    chosen: dict[Mode, dict[str, Any]] = {
        "sessions": {"store": "redis", "ledger": None, "redis_url": valkey.url, "machines": 2},
        "ledger": {"ledger": "redis", "redis_url": valkey.url, "machines": 2},
        "file": {},
    }
    return {"session": chosen[mode]}


@pytest.fixture
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything runs in this one process, so a busy machine would look like a store that is away."""
    defaults = RedisLedger.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "patience", 5.0)


@pytest.fixture
async def site(tmp_path: Path, mode: Mode, valkey: Valkey, _patient: None) -> AsyncIterator[Site]:
    """Access tokens live for five minutes."""
    chance = random.Random(f"{SEED}/{mode}")
    async with opened_house(tmp_path, access_token_seconds=300, settings=stored(mode, valkey)) as house:
        other = create_bff(house.settings(), transport=house.internet, clock=house.clock)
        async with other.router.lifespan_context(other):
            house.internet.put(BFF_ORIGIN, Late(chance, house.bff, other))
            house.internet.put(AUTHORITY_ORIGIN, Late(chance, OnTheWire(house.authority)), clock=house.authority_clock)
            house.internet.put(API_ORIGIN, Late(chance, house.api))
            house.misbehaviours.begin(Misbehaviour.REVOKES_ONE_TOKEN)
            yield Site(house, (house.bff, other), chance)


async def sign_out(site: Site, browser: Browser) -> None:
    """The page's button."""
    tab = browser.tab()
    await tab.go(site.house.url("/"))
    assert (await tab.api("/bff/logout", method="POST")).status_code == 200


async def sign_in_as_somebody_else(site: Site, browser: Browser) -> None:
    """In another tab of the same browser."""
    await site.house.sign_in(browser.tab(), GRACE, "/bff/login?prompt=login")


async def sign_out_at_the_authority(site: Site, browser: Browser) -> None:
    """Which posts a logout token to one of the workers."""
    tab = browser.tab()
    await tab.go(site.house.options.origin + Paths(site.house.options.tenant_id).oauth2("logout"))
    await tab.submit(_button="action=sign-out")


ENDS: tuple[Callable[[Site, Browser], Awaitable[None]], ...] = (
    sign_out,
    sign_in_as_somebody_else,
    sign_out_at_the_authority,
)


@pytest.mark.req("F2", "F9", "F11")
@cases("sign-out")
async def test_what_is_under_way_undoes_no_sign_out(site: Site, fault: str, mode: Mode) -> None:
    """Every jar that held the session is refused, its grant is dead, and the browser is where its person left it."""
    told = Row(fault, mode, SIGN_OUTS)
    for number in range(SIGN_OUTS):
        await one_round(site, ENDS[number % len(ENDS)], late=number % 2 == 0)
    assert site.arrived > SIGN_OUTS / len(ENDS) / 2
    told.token_calls = site.house.record.token_calls["refresh_token"]
    told.logouts = told.promised_logouts = SIGN_OUTS
    told.keep()


async def one_round(site: Site, end: Callable[[Site, Browser], Awaitable[None]], *, late: bool) -> None:
    """Sign in, let the token come to its end, and end the session while calls renew it."""
    house, browser = site.house, site.house.browser()
    tab = browser.tab()
    visit = await house.sign_in(tab)
    assert (await house.user(tab))["authenticated"] is True, visit
    site.jars = [browser.kept()]
    session = await house.session(browser)
    house.clock.advance(301 if late else 290)
    calls = [asyncio.create_task(site.call(tab)) for _ in range(CALLS)]
    await asyncio.sleep(site.chance.random() * 2 * LATE)
    await end(site, browser)
    answers = await asyncio.gather(*calls)
    await site.settle()
    await site.hear()
    assert {answer.status_code for answer in answers} <= {200, 401}
    assert {problem_of(answer) for answer in answers if answer.status_code == 401} <= {"session-ended", "no-session"}
    grant = house.authority.state.services.grants.of_refresh_token(session.tokens.refresh_token)
    assert grant is not None
    # Before any cookie comes again: who ended it could read it, or an answer that took the cookie back could, where
    # nothing was stored that is deleted first.
    readable = not site.shreds and any(takes_back(house, answer) for answer in answers)
    if end is not sign_out_at_the_authority or readable:
        assert site.living(grant.grant_id) == 0
    user = await house.user(browser.tab())
    if end is sign_in_as_somebody_else and user["authenticated"]:
        assert user["claims"]["email"] == GRACE.email
        site.arrived += 1
    else:  # an answer that was on the wire put the old cookie back: that is refused, and nobody is anybody else
        assert user["authenticated"] is False
        assert end is not sign_in_as_somebody_else or user["reason"] == "replaced"
    await no_jar_lives(site, tab, mine=session.sid)
    await site.settle()
    if site.shreds and end is sign_out_at_the_authority:
        return  # what was stored is deleted behind its cookie's back: nobody can read that token any more (F9)
    assert site.living(grant.grant_id) == 0


def takes_back(house: House, answer: httpx.Response) -> bool:
    """Whether an answer deletes the session's cookie."""
    return any(
        line.startswith(f"{house.cookie}=;") and "Max-Age=0" in line for line in answer.headers.get_list("set-cookie")
    )


async def no_jar_lives(site: Site, tab: Tab, *, mine: str) -> None:
    """A thief with any of them is refused by either worker."""
    thief = site.house.browser()
    for jar in site.jars:
        for worker in site.workers:
            thief.cookies = dict(jar)
            site.house.internet.put(BFF_ORIGIN, worker)
            presented = (await site.house.bff.state.services.vault.find_session(jar_of(site.house, thief))).presented
            if presented is not None and presented.sid == mine:
                stolen = thief.tab()
                stolen.url = tab.url
                answer = await stolen.api("/api/todolist")
                assert (answer.status_code, problem_of(answer)) == (401, "session-ended")
    site.house.internet.put(BFF_ORIGIN, Late(site.chance, *site.workers))


def jar_of(house: House, browser: Browser) -> Cookies:
    """A browser's cookies, read as the BFF reads them."""
    name, line = house.cookie_header(browser)
    return Cookies.read([(name.encode(), line.encode())])
