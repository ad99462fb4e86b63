"""Signing out: dead here first, then at the authorization server; no token passes through the page."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from local_authority.misbehaving.misbehaviours import Misbehaviour
from tests.world.canary import JWT
from tests.world.disk import full_disk
from tests.world.house import ADA, AUTHORITY_ORIGIN, GRACE, House, opened_house, problem_of


def end_session_requests(house: House) -> list[dict[str, list[str]]]:
    """The parameters of every end-session request."""
    urls = [url for method, url in house.internet.requests if method == "GET" and "/oauth2/v2.0/logout" in url]
    return [parse_qs(urlsplit(url).query) for url in urls]


@pytest.mark.req("RPIL-1", "RPIL-2", "F33")
async def test_signing_out_ends_both_sessions_and_comes_back(house: House) -> None:
    """After the round trip the browser is on our page, signed in neither here nor at the authority."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    visit = await house.sign_out(tab)
    assert [urlsplit(url).path for url in visit.chain] == [
        "/bff/logout/continue",
        urlsplit(house.options.metadata_url).path.partition("/v2.0")[0] + "/oauth2/v2.0/logout",
        "/bff/logged-out",
        "/",
    ]
    assert (await house.user(tab))["authenticated"] is False
    assert (await house.begin(tab)).heading == "Sign in"


@pytest.mark.req("RPIL-1", "F31")
async def test_the_end_session_request_carries_a_hint_and_no_token(house: House) -> None:
    """``client_id``, ``logout_hint``, the registered address and a state; an ID token goes nowhere."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    hint = (await house.user(tab))["claims"]["login_hint"]
    await house.sign_out(tab)
    [asked] = end_session_requests(house)
    assert asked.keys() == {"client_id", "logout_hint", "post_logout_redirect_uri", "state"}
    assert asked["logout_hint"] == [hint]
    assert asked["post_logout_redirect_uri"] == [house.url("/bff/logged-out")]


@pytest.mark.req("RPIL-2")
async def test_our_session_is_dead_before_anybody_is_asked(house: House) -> None:
    """With the authority unreachable the sign-out works all the same, at once, here and for every copy."""
    browser = house.browser()
    tab = browser.tab()
    await house.sign_in(tab)
    copy = house.browser()
    copy.cookies = browser.kept()
    house.internet.take_down(AUTHORITY_ORIGIN)
    answer = await tab.api("/bff/logout", method="POST")
    assert (answer.status_code, answer.json()) == (200, {"redirect_to": "/bff/logout/continue"})
    assert house.cookie not in browser.names()
    stolen = copy.tab()
    await stolen.go(house.url("/"))
    refused = await stolen.api("/api/todolist")
    assert (problem_of(refused), refused.json()["reason"]) == ("session-ended", "signed_out")


@pytest.mark.req("F2", "F13", "RPIL-2")
async def test_a_sign_out_that_the_ledger_does_not_take_is_no_sign_out_that_holds(house: House) -> None:
    """503, with the refresh token revoked all the same; asked again it is 200, and no restart brings a copy back."""
    browser = house.browser()
    tab = browser.tab()
    await house.sign_in(tab)
    copy = house.browser()
    copy.cookies = browser.kept()
    with full_disk(house.bff.state.services.ledger):
        for _ in range(2):
            failed = await tab.api("/bff/logout", method="POST")
            assert (failed.status_code, problem_of(failed)) == (503, "session-store-unavailable")
        assert house.cookie in browser.names()
    house.clock.advance(1)
    assert (await tab.api("/bff/logout", method="POST")).status_code == 200
    assert house.cookie not in browser.names()
    await house.stop_bff()
    assert house.record.revocations["refresh_token"] == 1
    await house.start_bff()
    stolen = copy.tab()
    await stolen.go(house.url("/"))
    refused = await stolen.api("/api/todolist")
    assert (problem_of(refused), refused.json()["reason"]) == ("session-ended", "signed_out")


async def test_the_refresh_token_is_revoked_and_nobody_waits_for_it(house: House) -> None:
    """RFC 7009: the authority forgets the token; a revocation endpoint that hangs does not hold the answer."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    house.misbehaviours.seconds = 0.05
    house.misbehaviours.begin(Misbehaviour.SLOW, at="revoke")
    await tab.api("/bff/logout", method="POST")
    assert house.record.revocations["refresh_token"] == 0
    await house.stop_bff()
    assert house.record.revocations["refresh_token"] == 1
    await house.start_bff()


@pytest.mark.req("F31", "BCP-1")
async def test_the_page_learns_nothing_but_a_path_of_ours(house: House) -> None:
    """``redirect_to`` is one constant path, with a session and without one; what it needs lies in a sealed cookie."""
    tab = house.browser().tab()
    await tab.go(house.url("/"))
    anonymous = await tab.api("/bff/logout", method="POST")
    await house.sign_in(tab)
    signed_in = await tab.api("/bff/logout", method="POST")
    assert anonymous.json() == signed_in.json() == {"redirect_to": "/bff/logout/continue"}
    assert anonymous.headers["cache-control"] == signed_in.headers["cache-control"] == "no-store"


@pytest.mark.req("F31")
async def test_the_way_on_is_open_for_a_minute_and_once(house: House) -> None:
    """After 60 seconds, or a second time, ``/bff/logout/continue`` leads home."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    await tab.api("/bff/logout", method="POST")
    kept = tab.browser.kept()
    house.clock.advance(61 + 300)
    tab.browser.cookies = kept
    for cookie in kept.values():
        cookie.expires = None
    assert (await tab.link("/bff/logout/continue")).chain == [house.url("/bff/logout/continue"), house.url("/")]
    assert (await tab.link("/bff/logout/continue")).url == house.url("/")
    assert not end_session_requests(house)


@pytest.mark.req("F31", "RPIL-1")
async def test_an_id_token_is_a_hint_only_where_the_settings_say_so(tmp_path: Path) -> None:
    """``id_token_hint`` travels in a redirect's Location alone: neither script nor page ever holds it."""
    settings = {"authority": {"end_session": "id_token_hint"}}
    async with opened_house(tmp_path, settings=settings) as house:
        tab = house.browser().tab()
        await house.sign_in(tab)
        answer = await tab.api("/bff/logout", method="POST")
        assert not JWT.search(answer.text)
        assert not JWT.search(str(answer.headers))
        visit = await tab.link("/bff/logout/continue")
        [asked] = end_session_requests(house)
        assert asked["id_token_hint"][0].startswith("eyJ")
        assert visit.url == house.url("/")


@pytest.mark.req("F33")
@pytest.mark.parametrize("query", ["", "?state=not-ours", "?state=a&state=b"])
async def test_a_state_that_is_not_ours_changes_nothing(house: House, query: str) -> None:
    """Whoever sends a browser to ``/bff/logged-out`` signs nobody out; it leads home."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    visit = await tab.go(house.url(f"/bff/logged-out{query}"), initiator="https://evil.example/")
    assert visit.url == house.url("/")
    assert (await house.user(tab))["authenticated"] is True


@pytest.mark.req("F33")
async def test_the_state_that_comes_back_is_compared_with_the_one_sent(house: House) -> None:
    """The cookie that holds it is Lax, since the way back is cross-site, and it is gone after one comparison."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    await tab.api("/bff/logout", method="POST")
    name = f"{house.cookie}-logged-out"
    [kept] = [one for one in tab.browser.cookies.values() if one.name == name]
    assert (kept.same_site, kept.http_only) == ("lax", True)
    await tab.link("/bff/logout/continue")
    assert name not in tab.browser.names()
    [back] = [one for one in house.internet.to(house.origin) if "/bff/logged-out" in one.url]
    assert any(name.encode() in line for line in back.sent("cookie"))


@pytest.mark.req("F32")
async def test_a_link_signs_out_without_a_script(house: House) -> None:
    """``logout_url`` ends the session that it was made for, also after a refresh, and leads to the authority."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    link = (await house.user(tab))["logout_url"]
    house.clock.advance(1700)
    assert (await tab.api("/api/todolist")).status_code == 200
    house.clock.advance(1700)
    assert (await tab.api("/api/todolist")).status_code == 200
    house.clock.advance(190)
    assert (await tab.api("/api/todolist")).status_code == 200
    assert house.record.token_calls["refresh_token"] == 1
    visit = await tab.link(link)
    assert visit.url == house.url("/")
    assert (await house.user(tab))["authenticated"] is False
    assert len(end_session_requests(house)) == 1


@pytest.mark.req("F32", "ATK-28")
@pytest.mark.parametrize("ticket", ["none", "empty", "garbage", "another session's", "twice"])
async def test_a_link_of_another_session_asks_first(house: House, ticket: str) -> None:
    """A ticket that is not this session's ends nothing: a page asks, and its button is a POST."""
    other, tab = house.browser().tab(), house.browser().tab()
    await house.sign_in(other, GRACE)
    foreign = (await house.user(other))["logout_url"]
    await house.sign_in(tab)
    own = (await house.user(tab))["logout_url"]
    links = {
        "none": "/bff/logout",
        "empty": "/bff/logout?ticket=",
        "garbage": "/bff/logout?ticket=abc.def.ghi",
        "another session's": foreign,
        "twice": f"{own}&{own.partition('?')[2]}",
    }
    visit = await tab.link(links[ticket])
    assert (visit.response.status_code, visit.heading) == (200, "Sign out?")
    assert (await house.user(tab))["authenticated"] is True
    assert (await house.user(other))["authenticated"] is True


@pytest.mark.req("F32")
async def test_a_ticket_tells_nothing_of_its_session(house: House) -> None:
    """The ticket, which may end up in histories and logs, contains no session id, no subject and no tag."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    user = await house.user(tab)
    session = await house.session(tab.browser)
    assert session.sid not in user["logout_url"]
    assert user["sub"] not in user["logout_url"]
    assert user["session"]["tag"] not in user["logout_url"]


async def test_the_other_tabs_are_signed_out_too(house: House) -> None:
    """All tabs share the session: what one ends is over in each, and the page can tell by the type."""
    browser = house.browser()
    first, second = browser.tab(), browser.tab()
    await house.sign_in(first)
    await second.go(house.url("/todos"))
    await house.sign_out(first)
    assert problem_of(await second.api("/api/todolist")) == "no-session"
    assert (await house.user(second))["authenticated"] is False


async def test_signing_in_again_after_signing_out_works(house: House) -> None:
    """The list of sessions that ended in this browser refuses those alone."""
    tab = house.browser().tab()
    for _ in range(6):
        house.clock.advance(40)
        await house.sign_in(tab)
        assert (await tab.api("/api/todolist")).status_code == 200
        await house.sign_out(tab)
    await house.sign_in(tab, ADA)
    assert (await house.user(tab))["authenticated"] is True


@pytest.mark.req("F2", "F26")
async def test_sign_out_leaves_no_session_in_the_jar(house: House) -> None:
    """Every session cookie is deleted with the attributes that it was set with; the browser obeys."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    answer = await tab.api("/bff/logout", method="POST")
    deleted = [line for line in answer.headers.get_list("set-cookie") if "Max-Age=0" in line]
    assert {line.partition("=")[0] for line in deleted} == {house.cookie, f"{house.cookie}-idle"}
    assert all("Path=/; Max-Age=0; HttpOnly; SameSite=Strict" in line for line in deleted)
    assert not tab.browser.names() & {house.cookie, f"{house.cookie}-idle"}
