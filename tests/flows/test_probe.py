"""``POST /bff/probe`` is there for whoever holds the key ring, and for nobody else (F21)."""

from __future__ import annotations

import httpx
import pytest

from bff.session.cipher import Cipher, Key, KeyRing
from bff.session.cookies import CookiePolicy
from bff.session.probe import MOST, Probe
from bff.wiring import probe_of
from tests.world.house import House

OURS = (("x-csrf", "1"), ("host", "localhost:3000"), ("sec-fetch-site", "same-origin"))


async def asked(house: House, cookie: bytes, *headers: tuple[str, str]) -> httpx.Response:
    """What the deployment answers to such a cookie."""
    return await house.sends("/bff/probe", ("cookie", cookie.decode()), *(headers or OURS), method="POST")


@pytest.mark.req("F21")
async def test_the_owner_of_the_key_ring_gets_cookies_that_do_not_stay(house: House) -> None:
    """As many bytes as were asked for, up to the most that settings allow, each cookie over as it arrives."""
    probe = probe_of(house.settings(), house.clock)
    for size, expected in ((1, 0), (500, 500), (7168, 7168), (10**9, MOST)):
        answer = await asked(house, probe.ask(size))
        lines = answer.headers.get_list("set-cookie")
        assert answer.status_code == 200
        assert sum(len(line.partition(";")[0]) for line in lines) == expected
        assert all("; Max-Age=0" in line and "-probe." in line for line in lines)


@pytest.mark.req("F21")
@pytest.mark.parametrize("cookie", ["none", "another ring's", "an old one", "a session's", "changed"])
async def test_for_everybody_else_nothing_is_there(house: House, cookie: str) -> None:
    """Without a key of ours, or a minute and the clocks' tolerance later, it is a path like any unknown one."""
    settings = house.settings()
    policy, probe = CookiePolicy.for_public_url(settings.origin), probe_of(settings, house.clock)
    other = KeyRing((Key.generate(use_from=0.0),), house.clock)
    stranger = Probe(Cipher(other, house.clock, client_id=settings.authority.client_id, origin=policy.origin), policy)
    ours = probe.ask(7168)
    name, _, value = ours.partition(b"=")
    tab = house.browser().tab()
    await house.sign_in(tab)
    session = house.cookie_header(tab.browser)[1].partition("=")[2].partition(";")[0].encode()
    if cookie == "an old one":
        house.clock.advance(361)
    sent = {
        "none": b"",
        "another ring's": stranger.ask(7168),
        "an old one": ours,
        "a session's": name + b"=" + session,
        "changed": name + b"=" + value[:-1] + (b"A" if value[-1:] != b"A" else b"B"),
    }[cookie]
    answer = await asked(house, sent)
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:bff:problem:unknown-route")
    assert "set-cookie" not in answer.headers


@pytest.mark.req("F21", "F27")
async def test_it_passes_the_gate_like_the_page(house: House) -> None:
    """No other site's page asks it, whatever it got hold of."""
    probe = probe_of(house.settings(), house.clock)
    answer = await asked(house, probe.ask(7168), ("host", "localhost:3000"))
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:bff:problem:antiforgery-header")
