"""An expired generation: refused softly, and only where it keeps coming without a body the end of the session (F5)."""

from __future__ import annotations

import pytest

from bff.errors import SessionEnded, SessionStoreUnavailable, SessionSuperseded
from bff.session.cookies import Jar
from bff.session.endings import Reason
from bff.session.memory_ledger import MemoryLedger
from bff.session.vault import Presented
from tests.bff.session.session_house import House


async def expired(house: House) -> Jar:
    """A jar with a generation whose time is over, of a session that lives on in the browser."""
    await house.sign_in()
    old = house.browser.jar()
    house.until_the_token_ends()
    await house.call()
    await house.call()
    await house.process.vault.aclose()
    house.clock.advance(61)
    return old


async def shown(house: House, jar: Jar, *, bodiless: bool = True) -> Presented:
    """What a request with this jar shows."""
    return await house.process.vault.find_session(jar, bodiless=bodiless)


@pytest.mark.req("F5")
async def test_a_copy_that_keeps_coming_ends_the_session(house: House) -> None:
    """The second time, more than five seconds after the first: whoever has the newest loses it too (two strikes)."""
    old = await expired(house)
    for _ in range(3):
        presented = await shown(house, old)
        with pytest.raises(SessionSuperseded):
            presented.require()
        assert house.process.vault.cookies_due(presented, slides=True) == []
        house.clock.advance(1.5)
    house.clock.advance(1)
    presented = await shown(house, old)
    with pytest.raises(SessionEnded, match="stale_generation"):
        presented.require()
    assert {cookie.max_age for cookie in house.process.vault.cookies_due(presented, slides=True)} == {0}
    with pytest.raises(SessionEnded, match="stale_generation"):
        (await house.present()).require()


@pytest.mark.req("F5")
async def test_a_late_upload_is_no_evidence(house: House) -> None:
    """However often and however late: a proxy may have held its body back for minutes."""
    old = await expired(house)
    for _ in range(4):
        with pytest.raises(SessionSuperseded):
            (await shown(house, old, bodiless=False)).require()
        house.clock.advance(60)
    assert (await house.present()).require().generation == 2


@pytest.mark.req("F5", "F13")
async def test_the_first_strike_is_remembered_by_every_worker(house: House) -> None:
    """It lies in the ledger: the second may come to another process, or after a restart."""
    old = await expired(house)
    with pytest.raises(SessionSuperseded):
        (await shown(house, old)).require()
    house.clock.advance(5.1)
    with pytest.raises(SessionEnded, match="stale_generation"):
        (await house.another().vault.find_session(old, bodiless=True)).require()


@pytest.mark.req("F5", "F9")
async def test_what_the_copy_holds_is_revoked(house: House) -> None:
    """Once: the newest, which this process has, and which no way leads to from the copy's."""
    old = await expired(house)
    newest = (await house.present()).require()
    await shown(house, old)
    house.clock.advance(5.1)
    presented = await shown(house, old)
    for _ in range(2):
        house.process.vault.cookies_due(presented, slides=True)
    await house.process.vault.aclose()
    assert house.server.revoked == [(newest.tokens.refresh_token, "refresh_token")]


@pytest.mark.req("F5", "F10")
async def test_what_cannot_be_noted_is_no_evidence(house: House) -> None:
    """A ledger that fails in this very moment costs nobody a session."""

    class Forgetful(MemoryLedger):
        async def note_stale(self, sid: bytes, at: float, until: float) -> float:
            raise SessionStoreUnavailable("disk full")

    forgetful = House(Forgetful)
    old = await expired(forgetful)
    for _ in range(2):
        with pytest.raises(SessionSuperseded):
            (await shown(forgetful, old)).require()
        forgetful.clock.advance(10)


@pytest.mark.req("F9")
@pytest.mark.parametrize(
    ("how", "revoked"),
    [("idle", True), ("absolute", True), ("backchannel", True), ("signed_out", True), ("replaced", False)],
)
async def test_the_refresh_token_of_an_ended_session_is_revoked_when_its_cookie_comes_again(
    house: House, how: str, *, revoked: bool
) -> None:
    """Nobody could read it before, or nobody here knows that somebody did; a session that a new sign-in replaced may
    share a grant with it.
    """
    session = await house.sign_in()
    jar = house.browser.jar()
    if how == "idle":
        house.clock.advance(40_001)
    elif how == "absolute":
        house.clock.advance(12 * 3600)
    else:
        await house.another().vault.end_session(session, Reason(how))
        house.clock.advance(1)
    presented = await house.process.vault.find_session(jar, bodiless=True)
    house.process.vault.cookies_due(presented, slides=True)
    await house.process.vault.aclose()
    assert house.server.revoked == ([(session.tokens.refresh_token, "refresh_token")] if revoked else [])


@pytest.mark.req("F9")
async def test_the_newest_refresh_token_is_revoked_where_the_way_to_it_is_open(house: House) -> None:
    """The cookie holds an older generation, whose successor is still known."""
    await house.sign_in()
    old = house.browser.jar()
    house.until_the_token_ends()
    newest = await house.call()
    await house.another().vault.end_session(newest, Reason.ADMIN)
    house.clock.advance(1)
    house.process.vault.cookies_due(await house.present(old), slides=True)
    await house.process.vault.aclose()
    assert house.server.revoked == [(newest.tokens.refresh_token, "refresh_token")]


async def test_a_living_session_is_never_revoked(house: House) -> None:
    """Whatever else is asked of it."""
    await house.sign_in()
    for jar in (house.browser.jar(), Jar({})):
        house.process.vault.cookies_due(await house.present(jar), slides=True)
    await house.process.vault.aclose()
    assert house.server.revoked == []
