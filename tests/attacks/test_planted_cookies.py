"""Cookies that others plant: tossed from a sibling, smuggled past a lenient parser, cut and pasted, cut to pieces."""

from __future__ import annotations

import httpx
import pytest

from tests.world.house import ADA, GRACE, House, problem_of

CALL = (("x-csrf", "1"), ("sec-fetch-site", "same-origin"), ("host", "app.example.com"))


async def relayed(house: House, *cookies: bytes) -> str:
    """What a call of the API says to exactly these ``Cookie`` header lines: the problem's type, or "ok"."""
    headers = [(name.encode(), value.encode()) for name, value in CALL] + [(b"cookie", line) for line in cookies]
    request = httpx.Request("GET", house.url("/api/todolist"), headers=headers)
    response = await house.internet.handle_async_request(request)
    return "ok" if response.status_code == 200 else problem_of(response)


async def sealed(house: House, *, as_grace: bool = False) -> bytes:
    """The bytes of a living session's cookie."""
    browser = house.browser()
    await (house.sign_in(browser.tab(), GRACE) if as_grace else house.sign_in(browser.tab()))
    return browser.value(house.origin, house.cookie).encode()


@pytest.mark.req("ATK-12", "CK-3")
async def test_a_second_cookie_of_our_name_is_no_session(secure_house: House) -> None:
    """Neither the first nor the last one wins, in one header line or in two."""
    name, mine, other = (
        secure_house.cookie.encode(),
        await sealed(secure_house),
        await sealed(secure_house, as_grace=True),
    )
    assert await relayed(secure_house, name + b"=" + mine) == "ok"
    for tossed in (other, mine, b"", b"evil"):
        pairs = (name + b"=" + mine, name + b"=" + tossed)
        assert await relayed(secure_house, b"; ".join(pairs)) == "no-session"
        assert await relayed(secure_house, *pairs) == "no-session"
        assert await relayed(secure_house, *reversed(pairs)) == "no-session"


@pytest.mark.req("ATK-12", "CK-3", "F19")
async def test_a_second_transaction_or_stamp_counts_as_none(house: House) -> None:
    """A tossed transaction cookie makes the sign-in unknown; a tossed stamp is ignored, and idleness decides."""
    browser = house.browser()
    tab = browser.tab()
    await house.sign_in(tab)
    house.clock.advance(1000)
    await tab.api("/api/todolist")
    browser.toss(house.origin, f"{house.cookie}-idle", "evil", path="/api")
    house.clock.advance(1000)
    assert problem_of(await tab.api("/api/todolist")) == "session-ended"
    await house.begin(tab, "/bff/login?prompt=login")
    [name] = [name for name in browser.names() if "-tx-" in name]
    browser.toss(house.origin, name, browser.value(house.origin, name), path="/bff")
    landed = await tab.submit(email=ADA.email, password=ADA.password)
    assert landed.heading == "This sign-in has expired"
    assert house.record.token_calls["authorization_code"] == 1


@pytest.mark.req("ATK-12")
async def test_a_tossed_cookie_signs_nobody_in_and_nobody_out_for_good(house: House) -> None:
    """On loopback, where no prefix protects, a second value is refused, and the true one is there when it is gone."""
    browser = house.browser()
    tab = browser.tab()
    await house.sign_in(tab)
    browser.toss(house.origin, house.cookie, "evil", path="/api")
    assert problem_of(await tab.api("/api/todolist")) == "no-session"
    del browser.cookies["localhost", "/api", house.cookie]
    assert (await tab.api("/api/todolist")).status_code == 200


@pytest.mark.req("ATK-13", "CK-1")
@pytest.mark.parametrize(
    "spelling",
    [
        b"\xa0%s=%s", b"\x85%s=%s", b"\x1c%s=%s", b"%s\xa0=%s", b"\x0b%s=%s", b'%s="%s"', b"$Version=1; $%s=%s",
        b"=%s=%s",
        b"%s%%20=%s", b"\xef\xbb\xbf%s=%s", b"%s\x00=%s", b"%s=%s\xa0", b"%s=%s=", b"%s=%s!",
    ],
)  # fmt: skip
async def test_no_other_spelling_of_our_cookie_is_our_cookie(secure_house: House, spelling: bytes) -> None:
    """What browsers let anybody set without the prefix's rules is not read as if it had the prefix."""
    name, value = secure_house.cookie.encode(), await sealed(secure_house)
    assert await relayed(secure_house, spelling % (name, value)) == "no-session"
    assert await relayed(secure_house, name.lower() + b"=" + value) == "no-session"


@pytest.mark.req("ATK-15", "BBA-9")
async def test_a_value_opens_only_under_its_own_name(house: House) -> None:
    """Every cookie of ours, presented under every other one's name, is nothing."""
    browser = house.browser()
    tab = browser.tab()
    await house.sign_in(tab)
    await house.begin(tab, "/bff/login?prompt=login")
    await tab.go(house.url("/"))
    ours = {cookie.name: cookie.value for cookie in browser.cookies.values() if cookie.name.startswith("bff-")}
    assert len(ours) == 4
    for name, value in ours.items():
        if name == house.cookie:
            continue
        line = ("cookie", f"{house.cookie}={value}")
        answer = await house.sends("/api/todolist", ("x-csrf", "1"), ("sec-fetch-site", "same-origin"), line)
        assert problem_of(answer) == "no-session"
    [transaction] = [name for name in ours if "-tx-" in name]
    state = transaction.rpartition("-tx-")[2] + "x" * 35
    for value in ours.values():
        answer = await house.sends(f"/bff/callback?code=c&state={state}", ("cookie", f"{transaction}={value}"))
        assert "This sign-in has expired" in answer.text
    assert house.record.token_calls["authorization_code"] == 1


@pytest.mark.req("ATK-14")
async def test_chunks_cost_nothing_and_mix_with_nothing(secure_house: House) -> None:
    """Hundreds of chunks, boundless counts and another session's chunk are no session, quickly."""
    name, mine = secure_house.cookie.encode(), await sealed(secure_house)
    for count in (b"1", b"2", b"5", b"9", b"99999999", b"-1", b"x"):
        assert await relayed(secure_house, name + b"=" + count + b"." + mine) == "no-session"
    parts = [name + b".%d=" % number + mine[:100] for number in range(1, 400)]
    assert await relayed(secure_house, b"; ".join([name + b"=5." + mine[:100], *parts])) == "no-session"


@pytest.mark.req("F20")
@pytest.mark.parametrize("change", ["=", "==", "!", ".", "+", "\n"])
async def test_a_sealed_value_has_one_spelling(secure_house: House, change: str) -> None:
    """Padding, junk and other alphabets do not open, so that nobody fills a memory with spellings of one session."""
    name, value = secure_house.cookie.encode(), await sealed(secure_house)
    assert await relayed(secure_house, name + b"=" + value + change.strip("\n").encode() + b"=") == "no-session"
    middle = len(value) // 2
    spoilt = value[:middle] + change.encode() + value[middle:]
    assert await relayed(secure_house, name + b"=" + spoilt) == "no-session"


@pytest.mark.req("BBA-9")
async def test_no_bit_of_a_session_may_be_changed(secure_house: House) -> None:
    """Authenticated encryption: a flipped character anywhere is no session."""
    name, value = secure_house.cookie.encode(), await sealed(secure_house)
    for position in range(0, len(value), len(value) // 40):
        other = b"A" if value[position : position + 1] != b"A" else b"B"
        changed = value[:position] + other + value[position + 1 :]
        assert await relayed(secure_house, name + b"=" + changed) == "no-session"


@pytest.mark.req("BBA-4", "BBA-9")
async def test_no_script_sees_a_cookie_and_no_cookie_shows_a_token(house: House) -> None:
    """``document.cookie`` is empty, and what the jar holds is ciphertext or a signed word."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    assert tab.browser.script_sees(house.url("/")) == set()
    session = await house.session(tab.browser)
    for cookie in tab.browser.cookies.values():
        for secret in (session.tokens.access_token, session.tokens.refresh_token, session.subject, session.sid):
            assert secret is not None
            assert secret not in cookie.value
