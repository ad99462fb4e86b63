from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bff.check.sessions import usual_session
from bff.errors import ConfigurationError
from bff.oidc.messages import LoginTransaction
from bff.session.chunks import MOST, PART, count_of, join, split
from bff.session.cookies import BIGGEST, CookiePolicy, Jar, SetCookie
from bff.session.endings import Reason
from bff.session.model import Session
from bff.session.opened import MEMORY_BYTES
from bff.settings import BFFSettings
from tests.bff.session.session_world import (
    LOOPBACK_URL,
    PUBLIC_URL,
    Browser,
    a_process,
    a_session,
    a_transaction,
    tokens,
    words,
)

HTTPS = CookiePolicy.for_public_url(PUBLIC_URL)
NAME = HTTPS.session


async def every_cookie(
    public_url: str, session: Session, login: LoginTransaction, *, form_post: bool
) -> list[SetCookie]:
    """All that a vault ever sets or deletes."""
    process = a_process(public_url=public_url, form_post=form_post)
    vault, browser = process.vault, Browser()
    cookies = await vault.keep_login(login, browser.jar())
    browser.take(cookies)
    cookies += (await vault.take_login(browser.jar(), login.state))[1]
    cookies += [vault.login_attempts(browser.jar(), login)[1]]
    cookies += await vault.keep_session(session, browser.jar())
    browser.take(cookies)
    process.clock.advance(61)
    cookies += vault.cookies_due(await vault.find_session(browser.jar()), slides=True)
    cookies += [vault.keep_sign_out("https://login.example/end"), vault.keep_logged_out_state("state")]
    browser.take(cookies)
    cookies += vault.take_sign_out(browser.jar())[1] + vault.check_logged_out(browser.jar(), "state")
    return cookies + await vault.end_session(session, Reason.SIGNED_OUT, browser.jar())


@pytest.mark.req("BBA-3", "BBA-4", "BBA-5", "BBA-6", "BBA-7", "BBA-8", "CK-1", "CK-2", "F25", "F26")
@pytest.mark.parametrize("form_post", [False, True])
@pytest.mark.parametrize("size", [40, 3500])
async def test_every_cookie_under_https_is_as_it_must_be(size: int, *, form_post: bool) -> None:
    """Secure, HttpOnly, Path=/, no Domain, the prefix, at most 4,096 bytes; Strict but for what crosses sites."""
    session = a_session(tokens=tokens(refresh_token=words(size)))
    cookies = await every_cookie(PUBLIC_URL, session, a_transaction(), form_post=form_post)
    assert len(cookies) >= 14
    for cookie in cookies:
        header, line = cookie.header()
        pair, *attributes = line.decode().split("; ")
        assert header == b"set-cookie"
        assert len(line) <= BIGGEST
        assert pair.startswith("__Host-Http-bff")
        assert {"Secure", "HttpOnly", "Path=/"} <= set(attributes)
        assert not any(one.lower().startswith("domain") for one in attributes)
        expected = "Strict"
        if "-tx-" in pair:
            expected = "None" if form_post else "Lax"
        elif "-logged-out" in pair or "-loop" in pair:
            expected = "Lax"
        assert [one for one in attributes if one.startswith("SameSite")] == [f"SameSite={expected}"]


@pytest.mark.req("F24", "F25")
@pytest.mark.parametrize("form_post", [False, True])
async def test_on_loopback_names_carry_the_port_and_nothing_is_secure_but_what_must_be(*, form_post: bool) -> None:
    """Two instances on one laptop keep their cookies apart; SameSite=None alone needs Secure."""
    cookies = await every_cookie(LOOPBACK_URL, a_session(), a_transaction(), form_post=form_post)
    for cookie in cookies:
        attributes = cookie.header()[1].decode().split("; ")[1:]
        assert cookie.name.startswith("bff-3000")
        assert {"HttpOnly", "Path=/"} <= set(attributes)
        assert ("Secure" in attributes) is (form_post and "-tx-" in cookie.name)


@pytest.mark.req("F26")
async def test_deleting_is_setting_with_the_same_attributes() -> None:
    """A deletion differs from what it deletes in value and Max-Age only; a browser ignores it otherwise."""
    cookies = await every_cookie(PUBLIC_URL, a_session(), a_transaction(), form_post=True)
    flags = {cookie.name: (cookie.secure, cookie.same_site) for cookie in cookies if cookie.max_age != 0}
    deleted = [cookie for cookie in cookies if cookie.max_age == 0 and cookie.name in flags]
    assert {cookie.name for cookie in deleted} >= {NAME, HTTPS.idle, HTTPS.logout, HTTPS.logged_out}
    assert [cookie.name for cookie in deleted if (cookie.secure, cookie.same_site) != flags[cookie.name]] == []
    assert [cookie for cookie in deleted if cookie.value or b"; Max-Age=0;" not in cookie.header()[1]] == []


@pytest.mark.parametrize(
    ("url", "base", "secure"),
    [
        ("https://app.example", "__Host-Http-bff", True),
        ("https://localhost:8443", "__Host-Http-bff", True),
        ("http://localhost:3000", "bff-3000", False),
        ("http://127.0.0.1:81/", "bff-81", False),
        ("http://[::1]:3000", "bff-3000", False),
        ("http://localhost", "bff-80", False),
    ],
)
@pytest.mark.req("F24", "F25", "BBA-8")
def test_names_follow_the_public_url(url: str, base: str, *, secure: bool) -> None:
    """The prefix wherever it is possible, the port where it is not."""
    policy = CookiePolicy.for_public_url(url)
    assert (policy.base, policy.secure) == (base, secure)


@pytest.mark.parametrize(
    "url", ["http://app.example", "http://localhost.evil", "http://127.0.0.1.evil", "ftp://localhost", "https://", ""]
)
def test_no_other_public_url_has_cookies(url: str) -> None:
    """Unencrypted names beyond this machine are refused."""
    with pytest.raises(ConfigurationError, match="Cure"):
        CookiePolicy.for_public_url(url)


def test_a_cookie_that_browsers_would_drop_is_not_written() -> None:
    """Over 4,096 bytes is a fault here, not a sign-in that silently fails there."""
    with pytest.raises(ValueError, match="4096"):
        HTTPS.cookie(NAME, b"x" * BIGGEST).header()


def test_no_repr_shows_a_value() -> None:
    """A cookie in a log line tells its name only."""
    assert "sealed" not in repr(HTTPS.cookie(NAME, b"sealed"))


def read(*lines: bytes) -> Jar:
    """The jar of these Cookie headers."""
    return Jar.read([(b"cookie", line) for line in lines])


@pytest.mark.req("ATK-13", "CK-1")
@pytest.mark.parametrize(
    "pair",
    [
        b"\xa0__Host-Http-bff=EVIL",
        b"\x85__Host-Http-bff=EVIL",
        b"\x1c__Host-Http-bff=EVIL",
        b"\x0b__Host-Http-bff=EVIL",
        b"\x0c__Host-Http-bff=EVIL",
        b"__Host-Http-bff\xa0=EVIL",
        b"__Host-Http-bff =EVIL",
        b"__host-http-bff=EVIL",
        b"__HOST-HTTP-BFF=EVIL",
        b"=__Host-Http-bff=EVIL",
        b"__Host-Http-bff",
        b"__Host-Http-bff%20=EVIL",
        b'"__Host-Http-bff"=EVIL',
        b"$__Host-Http-bff=EVIL",
        b"\xef\xbc\xbf_Host-Http-bff=EVIL",
    ],
)
def test_no_other_name_passes_for_ours(pair: bytes) -> None:
    """Names compare byte by byte: nothing is trimmed but SP and HTAB, nothing folded or unquoted."""
    jar = read(pair)
    assert jar.get(NAME) is None
    beside = read(b"a=1; " + pair + b"; __Host-Http-bff=good; b=2")
    assert beside.get(NAME) == b"good"


@pytest.mark.req("ATK-13")
@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"__Host-Http-bff=good", b"good"),
        (b"  __Host-Http-bff=good\t", b"good"),
        (b"a=1;__Host-Http-bff=good;b=2", b"good"),
        (b'__Host-Http-bff="good"', b'"good"'),
        (b"__Host-Http-bff=a%20b", b"a%20b"),
        (b"__Host-Http-bff=a=b==", b"a=b=="),
        (b"__Host-Http-bff= good", b" good"),
        (b"__Host-Http-bff=\xa0good\x1c", b"\xa0good\x1c"),
        (b"__Host-Http-bff=", b""),
        (b";;; ;__Host-Http-bff=good;;", b"good"),
    ],
)
def test_a_value_is_what_was_sent(line: bytes, value: bytes) -> None:
    """Quotes, escapes and odd bytes stay where they are, for the seal to refuse."""
    assert read(line).get(NAME) == value


@pytest.mark.req("ATK-13")
def test_the_old_cookie_syntax_is_not_spoken() -> None:
    """``$Version`` and quoted separators mean nothing (RFC 6265, not RFC 2965)."""
    jar = read(b'$Version=1; a="x; __Host-Http-bff=inside"')
    assert jar.get("$Version") == b"1"
    assert jar.get(NAME) == b'inside"'


@pytest.mark.req("CK-3", "ATK-12")
@pytest.mark.parametrize(
    "lines",
    [
        (b"__Host-Http-bff=one; __Host-Http-bff=two",),
        (b"__Host-Http-bff=one; a=1; __Host-Http-bff=one",),
        (b"__Host-Http-bff=one", b"__Host-Http-bff=two"),
        (b"__Host-Http-bff=; __Host-Http-bff=two",),
    ],
)
def test_a_name_that_came_twice_has_no_value(lines: tuple[bytes, ...]) -> None:
    """Neither the first nor the last wins, in one header or in several."""
    jar = read(*lines)
    assert jar.get(NAME) is None
    assert NAME in jar
    assert jar.any_twice([NAME])


def test_several_cookie_headers_are_one_jar() -> None:
    """HTTP/2 may split the header (RFC 9113 8.2.3); other headers are not cookies."""
    jar = Jar.read([(b"cookie", b"a=1"), (b"x-cookie", b"a=2"), (b"cookie", b"b=2")])
    assert (jar.get("a"), jar.get("b"), jar.any_twice(["a", "b"])) == (b"1", b"2", False)


@given(st.lists(st.binary(max_size=60), max_size=4))
@settings(max_examples=300, deadline=None)
def test_no_cookie_header_makes_reading_raise(lines: list[bytes]) -> None:
    """Whatever a client sends is a jar."""
    jar = read(*lines)
    assert jar.get(NAME) is None or any(NAME.encode() in line for line in lines)


@pytest.mark.req("CK-2")
@pytest.mark.parametrize("length", [1, PART - 1, PART, PART + 1, 2 * PART, 2 * PART + 1, MOST * PART])
def test_a_value_comes_back_from_its_chunks(length: int) -> None:
    """What was split joins, in as few cookies as can hold it."""
    value = words(length).encode()
    parts = split(value)
    assert len(parts) == count_of(length)
    jar = Jar({HTTPS.chunk(index): part for index, part in enumerate(parts)})
    assert join(HTTPS, jar) == (value, len(parts))
    for index, part in enumerate(parts):
        assert len(HTTPS.cookie(HTTPS.chunk(index), part).header()[1]) <= BIGGEST


@pytest.mark.req("ATK-14", "B4")
@pytest.mark.parametrize(
    "change",
    [
        {NAME: b"1." + b"A" * PART},
        {NAME: b"6." + b"A" * PART},
        {NAME: b"0." + b"A" * PART},
        {NAME: b"99999999." + b"A" * PART},
        {NAME: b"-1." + b"A" * PART},
        {NAME: b"\xb2." + b"A" * PART},
        {NAME: b"3." + b"A" * PART},
        {NAME: b"2." + b"A" * (PART - 1)},
        {f"{NAME}.1": b""},
        {f"{NAME}.1": b"A" * (PART + 1)},
        {f"{NAME}.1": None},
    ],
    ids=str,
)
def test_chunks_that_we_did_not_cut_are_no_session(change: dict[str, bytes | None]) -> None:
    """A foreign count, a hole, an empty or an overlong chunk: nothing is joined."""
    good: dict[str, bytes | None] = {NAME: b"2." + b"A" * PART, f"{NAME}.1": b"BB"}
    assert join(HTTPS, Jar({name: value for name, value in good.items() if value is not None})) is not None
    changed = {name: value for name, value in {**good, **change}.items() if value is not None}
    joined = join(HTTPS, Jar(changed))
    assert joined is None or not joined[0].startswith(b"A")


@pytest.mark.req("ATK-9")
def test_a_transaction_is_named_by_its_state_and_by_nothing_else() -> None:
    """No text from a query becomes a cookie's name."""
    assert HTTPS.transaction("abcdefgh-ijk_") == "__Host-Http-bff-tx-abcdefgh"
    for state in ("", "short", "abc;efghijkl", "abcdefgh\n", "äbcdefghi", "abcdefgh=", "a b cdefgh"):
        assert HTTPS.transaction(state) is None


@pytest.mark.parametrize("server", [{"profile": "generic"}, {"profile": "entra-external-id", "tenant_subdomain": "x"}])
async def test_the_usual_sessions_of_ten_thousand_people_are_remembered_at_once(server: dict[str, str]) -> None:
    """So many people may take turns, and no call of theirs decrypts or inflates anything again."""
    named = {"issuer": "https://login.example", "tenant_id": "t", "client_id": "c", "client_secret": words(40)}
    settings = BFFSettings.model_validate({"public_url": LOOPBACK_URL, "authority": {**named, **server}})
    process = a_process()
    opened = process.vault._sessions.seal(usual_session(settings, process.clock))
    assert 10_000 * opened.weight <= MEMORY_BYTES
