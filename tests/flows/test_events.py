"""``/bff/events``: the page hears of its session's end within a second, wherever it ended, and keeps nothing alive."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from bff.app import create_app as create_bff
from bff.session.ending_watch import MOST_OF_ONE_SESSION
from bff.session.endings import Reason
from tests.world.browser import Tab
from tests.world.house import BFF_ORIGIN, GRACE, House, opened_house, problem_of

EVENTS = "/bff/events"
SOON = 2.0  # seconds: a second is promised, the machine that runs this may be slow


class Stream:
    """A stream that is open; the world hands an answer over when it has ended."""

    def __init__(self, house: House, tab: Tab, **headers: str) -> None:
        self._watch = house.bff.state.services.endings
        self._before = len(self._watch._waiting)
        self._answer = asyncio.create_task(tab.fetch(EVENTS, headers={"X-CSRF": "1", **headers}))

    async def opened(self) -> Stream:
        """Wait until the server waits."""
        async with asyncio.timeout(10):
            while len(self._watch._waiting) == self._before:  # noqa: ASYNC110 — what is waited for has no event of ours
                await asyncio.sleep(0.005)
        return self

    async def ended(self) -> httpx.Response:
        """The whole stream, which ends soon."""
        async with asyncio.timeout(SOON):
            return await self._answer

    async def told(self) -> str | None:
        """The reason that the stream told, None where it ended without a word."""
        parts = [part for part in (await self.ended()).text.split("\n\n") if part and not part.startswith(":")]
        if not parts:
            return None
        [(kind, data)] = [part.split("\n") for part in parts]
        assert kind == "event: session-ended"
        reason: str = json.loads(data.removeprefix("data: "))["reason"]
        return reason

    def close(self) -> None:
        """The page goes away."""
        self._answer.cancel()


@pytest.mark.req("F28")
async def test_the_page_hears_why_its_session_ended(house: House) -> None:
    """A sign-out in another tab ends the stream with its reason, and the next question of who is there says it too."""
    tab = await house.signed_in()
    stream = await Stream(house, tab).opened()
    await house.bff.state.services.vault.end_session(await house.session(tab.browser), Reason.ADMIN)
    assert await stream.told() == "admin"
    assert (await house.user(tab))["reason"] == "admin"


@pytest.mark.req("F28", "F10", "F13")
async def test_an_end_in_another_worker_is_heard(house: House) -> None:
    """Two processes share the ledger's file: what ends in the one ends the stream that the other holds."""
    tab = await house.signed_in()
    stream = await Stream(house, tab).opened()
    other = create_bff(house.settings(), transport=house.internet, clock=house.clock)
    async with other.router.lifespan_context(other):
        house.internet.put(BFF_ORIGIN, other)
        assert (await tab.api("/bff/logout", method="POST")).status_code == 200
        assert await stream.told() == "signed_out"
        house.internet.put(BFF_ORIGIN, house.bff)


@pytest.mark.req("F28", "F34")
async def test_a_sign_out_elsewhere_reaches_an_open_page(tmp_path: Path) -> None:
    """From the frame in the authority's page to the end of the stream it is a second."""
    async with opened_house(tmp_path) as house:
        tab = await house.signed_in()
        stream = await Stream(house, tab).opened()
        sid = (await house.session(tab.browser)).authority_sid
        await house.sends(f"/bff/frontchannel-logout?iss={house.options.issuer_identifier}&sid={sid}")
        assert await stream.told() == "frontchannel"


@pytest.mark.req("F28")
async def test_only_its_own_session_ends_a_stream(house: House) -> None:
    """Somebody else's end is no business of this page."""
    tab, other = await house.signed_in(), house.browser().tab()
    await house.sign_in(other, GRACE)
    stream = await Stream(house, tab).opened()
    await house.sign_out(other)
    await asyncio.sleep(0.6)
    assert not stream._answer.done()
    stream.close()


@pytest.mark.req("F28", "F19")
async def test_a_stream_keeps_nobody_signed_in(tmp_path: Path) -> None:
    """Its answer stamps no activity; when the idle time that it knows of is over it ends, and asking again says why."""
    async with opened_house(tmp_path, settings={"session": {"idle": "10m"}}) as house:
        tab = await house.signed_in()
        house.clock.advance(300)
        stream = await Stream(house, tab).opened()
        house.clock.advance(301)
        answer = await stream.ended()
        assert "set-cookie" not in answer.headers
        assert await stream.told() is None
        again = await tab.api(EVENTS)
        assert (again.status_code, problem_of(again), again.json()["reason"]) == (401, "session-ended", "idle")


@pytest.mark.req("F28", "F19")
async def test_a_session_that_is_used_outlives_its_stream(tmp_path: Path) -> None:
    """The stream knows the cookies it came with: it ends at their idle time, and a new one comes with newer cookies."""
    async with opened_house(tmp_path, settings={"session": {"idle": "10m"}}) as house:
        tab = await house.signed_in()
        stream = await Stream(house, tab).opened()
        house.clock.advance(400)
        assert (await tab.api("/api/todolist")).status_code == 200
        house.clock.advance(250)
        assert await stream.told() is None
        second = await Stream(house, tab).opened()
        assert not second._answer.done()
        second.close()


@pytest.mark.req("F28", "F27", "ATK-8")
@pytest.mark.parametrize(
    ("headers", "slug"),
    [
        ({}, "antiforgery-header"),
        ({"X-CSRF": "1", "Sec-Fetch-Site": "cross-site"}, "antiforgery-cross-site"),
        ({"X-CSRF": "1", "X-BFF-Session": "another"}, "session-changed"),
    ],
    ids=["no header", "another site", "another session's page"],
)
async def test_it_is_guarded_like_every_call(house: House, headers: dict[str, str], slug: str) -> None:
    """The same anti-forgery header, and the same answer where the page speaks for another session."""
    tab = await house.signed_in()
    cookie = house.cookie_header(tab.browser)
    answer = await house.sends(EVENTS, cookie, *((name.lower(), value) for name, value in headers.items()))
    assert problem_of(answer) == slug


@pytest.mark.req("F28")
async def test_without_a_session_there_is_no_stream(house: House) -> None:
    """401, so that the page asks who is there."""
    answer = await house.sends(EVENTS, ("x-csrf", "1"))
    assert (answer.status_code, problem_of(answer)) == (401, "no-session")


@pytest.mark.req("F28", "ATK-63")
async def test_one_session_holds_so_many_streams(house: House) -> None:
    """One tab holds one; what holds scores of them is answered 429, and a stream that closes makes room."""
    tab = await house.signed_in()
    streams = [await Stream(house, tab).opened() for _ in range(MOST_OF_ONE_SESSION)]
    refused = await tab.api(EVENTS)
    assert (refused.status_code, problem_of(refused)) == (429, "too-many-requests")
    streams.pop().close()
    await asyncio.sleep(0.05)
    streams.append(await Stream(house, tab).opened())
    for stream in streams:
        stream.close()


@pytest.mark.req("F28")
async def test_a_shutdown_lets_everybody_go(house: House) -> None:
    """The stream ends without a word: the session lives, and the page asks the next process."""
    tab = await house.signed_in()
    stream = await Stream(house, tab).opened()
    await house.restart_bff()
    assert await stream.told() is None
    assert (await house.user(tab))["authenticated"] is True
