"""A grant that led to no session, or whose session another one replaced, is not left alive at the authority."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bff.session.endings import Ending
from local_authority.grants import Grant
from local_authority.misbehaving.misbehaviours import Misbehaviour
from tests.world.browser import Tab
from tests.world.house import GRACE, House, opened_house, problem_of


@pytest.fixture
async def strict(tmp_path: Path) -> AsyncIterator[House]:
    """A house that Grace may enter and Ada may not."""
    rule = {"claim": "email", "equals": GRACE.email}
    async with opened_house(tmp_path, settings={"authority": {"require": [rule]}}) as running:
        yield running


def alive(house: House) -> list[Grant]:
    """The grants that the authority would still give tokens for."""
    found: list[Grant] = house.authority.state.services.grants._store.every(Grant)
    return [grant for grant in found if not grant.revoked]


async def refused(house: House, tab: Tab) -> None:
    """A sign-in that leads to no session, and the revocation that nobody waits for."""
    await house.sign_in(tab)
    await house.settle()
    assert house.cookie not in tab.browser.names()


@pytest.mark.req("OIDC-3", "F2")
async def test_who_may_not_come_in_leaves_no_grant(strict: House) -> None:
    """Signed in at the authority, refused by a rule here: refresh token and access token are revoked."""
    await refused(strict, strict.browser().tab())
    assert alive(strict) == []
    assert strict.record.revocations == {"refresh_token": 1, "access_token": 1}


@pytest.mark.req("OIDC-2", "OIDC-3")
@pytest.mark.parametrize(
    "fault",
    [
        Misbehaviour.ID_TOKEN_MISSING,
        Misbehaviour.ID_TOKEN_WRONG_NONCE,
        Misbehaviour.ID_TOKEN_WRONG_AUDIENCE,
        Misbehaviour.ID_TOKEN_EXPIRED,
        Misbehaviour.ID_TOKEN_ALG_NONE,
    ],
)
async def test_an_identity_that_cannot_be_verified_leaves_no_grant(house: House, fault: Misbehaviour) -> None:
    """The code is spent, so tokens came along: they are given back."""
    house.misbehaviours.begin(fault)
    await refused(house, house.browser().tab())
    assert alive(house) == []


@pytest.mark.req("F21")
async def test_a_session_that_does_not_fit_leaves_no_grant(house: House) -> None:
    """What no cookie can hold is nobody's session."""
    house.misbehaviours.id_token["groups"] = [f"group-{number:x}-{number**9:x}" for number in range(900)]
    await refused(house, house.browser().tab())
    assert alive(house) == []


@pytest.mark.req("F11")
async def test_a_session_that_ended_before_it_began_leaves_no_grant(house: House) -> None:
    """Everybody's sessions were ended while the sign-in was under way, by a clock that is ahead."""
    now = house.clock.now()
    await house.bff.state.services.ledger.end(Ending.of_everybody(before=now + 60, at=now, until=now + 3600))
    await refused(house, house.browser().tab())
    assert alive(house) == []


async def test_a_browser_that_keeps_no_cookie_leaves_no_grant(house: House) -> None:
    """The third sign-in in a row that led nowhere is refused as a loop, and given back; the first two were sessions."""
    tab = house.browser().tab()
    for _ in range(3):
        visit = await house.sign_in(tab)
        tab.browser.forget(house.origin, house.cookie)
        house.clock.advance(1)
    assert visit.heading == "Your browser did not keep the sign-in"
    await house.settle()
    assert len(alive(house)) == 2


@pytest.mark.req("OIDC-5", "ATK-58")
@pytest.mark.parametrize("fault", ["a rule", "somebody else"])
async def test_a_refresh_that_shows_another_person_leaves_no_grant(tmp_path: Path, fault: str) -> None:
    """Whoever may not be here any more, or is somebody else now: the session ends, and its renewed grant with it."""
    rule = {"claim": "department", "equals": "tests"}
    settings = {"authority": {"require": [rule]}}
    async with opened_house(tmp_path, access_token_seconds=300, settings=settings) as house:
        house.misbehaviours.id_token["department"] = "tests"
        tab = house.browser().tab()
        await house.sign_in(tab)
        await house.user(tab)
        house.clock.advance(301)
        if fault == "a rule":
            house.misbehaviours.refreshed_id_token["department"] = "elsewhere"
        else:
            house.misbehaviours.begin(Misbehaviour.REFRESHED_ID_TOKEN_OTHER_SUBJECT)
        answer = await tab.api("/api/todolist")
        assert (problem_of(answer), answer.json()["reason"]) == ("session-ended", "refresh_refused")
        await house.settle()
        assert alive(house) == []


@pytest.mark.req("F23", "F2")
@pytest.mark.parametrize("renewed", [False, True], ids=["as it began", "renewed meanwhile"])
async def test_a_sign_in_as_somebody_else_leaves_no_grant_of_the_one_before(tmp_path: Path, renewed: bool) -> None:
    """The callback does not see the old cookie, and revokes its newest refresh token all the same, restarted or not."""
    async with opened_house(tmp_path, access_token_seconds=300) as house:
        browser = house.browser()
        tab, other = browser.tab(), browser.tab()
        await house.sign_in(tab)
        await house.user(tab)
        await house.begin(other, "/bff/login?prompt=login")
        if renewed:
            house.clock.advance(290)
            assert (await tab.api("/api/todolist")).status_code == 200
        await house.restart_bff()
        await other.submit(email=GRACE.email, password=GRACE.password)
        await house.settle()
        assert (await house.user(other))["claims"]["email"] == GRACE.email
        [left] = alive(house)
        session = await house.session(browser)
        assert session.tokens.refresh_token is not None
        assert house.authority.state.services.grants.of_refresh_token(session.tokens.refresh_token) == left


@pytest.mark.req("F23")
async def test_a_sign_in_within_one_session_of_the_authority_revokes_nothing(house: House) -> None:
    """A server may hold both sign-ins for one grant, and would end the new session with the old one's token."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    await house.user(tab)
    assert (await house.sign_in(tab)).url == house.url("/")
    await house.settle()
    assert house.record.revocations == {}
    assert (await tab.api("/api/todolist")).status_code == 200


@pytest.mark.req("F23", "ATK-16")
async def test_the_ledger_holds_no_session_of_a_sign_in_under_way(house: House) -> None:
    """What is remembered of the session to be replaced opens with the browser's half only."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    await house.user(tab)
    value = tab.browser.value(house.origin, house.cookie)
    await house.begin(tab, "/bff/login?prompt=login")
    assert value.encode() not in stored_in(house)


def stored_in(house: House) -> bytes:
    """Every byte of the ledger's files."""
    return b"".join(path.read_bytes() for path in house.folder.glob("ledger.sqlite*"))
