"""The canary: the whole story, told with every logger at DEBUG, and no secret in a line, a body, a header or a repr."""

from __future__ import annotations

import gc
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from local_authority.misbehaving.misbehaviours import Misbehaviour
from tests.world.canary import Secrets, overheard
from tests.world.house import ADA, API_ORIGIN, House, opened_house, problem_of

FAILURES_AT_SIGN_IN = [
    Misbehaviour.ID_TOKEN_WRONG_NONCE,
    Misbehaviour.ID_TOKEN_FOREIGN_KEY,
    Misbehaviour.ID_TOKEN_MISSING,
    Misbehaviour.INVALID_GRANT,
    Misbehaviour.INVALID_CLIENT,
    Misbehaviour.RESPONSE_WRONG_ISSUER,
]
FAILURES_AT_THE_TOKEN_ENDPOINT = [
    Misbehaviour.BROKEN_JSON,
    Misbehaviour.DOWN,
    Misbehaviour.ANSWER_LOST,
    Misbehaviour.REDIRECTED,
    Misbehaviour.UNREACHABLE,
]


@dataclass
class Told:
    """A story that was told: the house, every line that was logged meanwhile, and the repr of every value of ours."""

    house: House
    lines: list[str]
    reprs: list[str]
    secrets: Secrets


async def sign_up_work_and_leave(house: House) -> None:
    """What a person does on a good day."""
    tab = house.browser().tab()
    await house.sign_up(tab, email="mary@example.com", name="Mary Shelley", password="it-is-alive-1818")
    tag = await house.tag(tab)
    await tab.api("/api/todolist", method="POST", json={"description": "Write"}, tag=tag)
    house.clock.advance(295)
    assert (await tab.api("/api/todolist", tag=tag)).status_code == 200
    assert house.record.token_calls["refresh_token"] == 1
    for path in ("/", "/docs", "/docs/openapi.json", "/assets/bff.js", "/readyz"):
        await tab.fetch(path)
    await house.sign_out(tab)
    assert problem_of(await tab.api("/api/todolist")) == "no-session"


async def fail_to_sign_in(house: House) -> None:
    """Cancel, wait too long, and meet everything that an authority can get wrong."""
    tab = house.browser().tab()
    await house.begin(tab)
    await tab.submit(_button="action=cancel")
    for misbehaviour in FAILURES_AT_SIGN_IN:
        house.misbehaviours.begin(misbehaviour)
        await house.sign_in(house.browser().tab())
        house.misbehaviours.end()
    for misbehaviour in FAILURES_AT_THE_TOKEN_ENDPOINT:
        house.misbehaviours.begin(misbehaviour, at="token")
        await house.sign_in(house.browser().tab())
        house.misbehaviours.end()
    await house.begin(tab)
    house.clock.advance(700)
    await tab.submit(email=ADA.email, password=ADA.password)
    await tab.go(house.url("/bff/callback?state=abcdefgh1234&code=a-code-of-nobody-at-all"))


async def fall_among_robbers(house: House) -> None:
    """A session, and everything that can go wrong while it lives."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    link = (await house.user(tab))["logout_url"]
    house.internet.take_down(API_ORIGIN)
    await tab.api("/api/todolist")
    house.internet.put(API_ORIGIN, _broken)
    await tab.api("/api/todolist")
    house.internet.put(API_ORIGIN, house.api)
    for misbehaviour in FAILURES_AT_THE_TOKEN_ENDPOINT[:2]:
        house.clock.advance(301)
        house.misbehaviours.begin(misbehaviour, at="token")
        await tab.api("/api/todolist")
        house.misbehaviours.end()
        await tab.api("/api/todolist")
    house.misbehaviours.begin(Misbehaviour.DOWN, at="revoke")
    await tab.link(link)
    house.misbehaviours.end()
    await house.sign_in(tab)
    assert (await tab.api("/api/todolist")).status_code == 200
    house.clock.advance(301)
    house.misbehaviours.begin(Misbehaviour.REFRESH_REFUSED)
    await tab.api("/api/todolist")
    house.misbehaviours.end()
    cookie = ("cookie", f"{house.cookie}=a-planted-cookie-value; {house.cookie}=another-planted-value")
    await house.sends("/api/todolist", cookie, ("x-csrf", "1"), ("authorization", "Bearer a-planted-bearer-token"))
    await _break_inside(house)


async def _broken(_: Any, __: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 401, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _break_inside(house: House) -> None:
    """A fault of our own with a session at hand: an internal error, whose traceback goes to the log."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    services = house.bff.state.services
    house.bff.state.services = replace(services, public_claims=None)
    answer = await tab.api("/bff/user")
    house.bff.state.services = services
    assert answer.status_code == 500


def reprs_of_ours() -> list[str]:
    """What every living value of the two services shows of itself."""
    ours = {"bff", "resource_api"}
    return [repr(value) for value in gc.get_objects() if str(type(value).__module__).partition(".")[0] in ours]


@pytest.fixture
async def told(tmp_path: Path) -> Told:
    """The whole story."""
    async with opened_house(tmp_path, access_token_seconds=300) as house:
        with overheard() as lines:
            await sign_up_work_and_leave(house)
            await fail_to_sign_in(house)
            await fall_among_robbers(house)
            await house.settle()
            reprs = reprs_of_ours()
    return Told(house, lines, reprs, Secrets.of(house))


@pytest.mark.req("ATK-59", "F31", "C-59")
async def test_no_secret_is_logged_sent_or_shown(told: Told) -> None:
    """No line at DEBUG, no body, no header but ``Set-Cookie`` and no repr shows a token, code, secret or cookie."""
    assert len(told.secrets.always) > 20
    assert len(told.secrets.cookies) > 20
    for line in told.lines:
        assert told.secrets.in_text(line) == [], line[:60]
    for shown in told.reprs:
        assert told.secrets.in_text(shown) == [], shown[:60]
    for one in told.house.internet.to(told.house.origin):
        assert told.secrets.in_text(one.response.text) == [], one.url[:60]
        for name, value in one.response.headers.multi_items():
            if name != "set-cookie":
                assert told.secrets.in_text(value, redirect=name == "location") == [], name


async def test_the_canary_heard_the_story(told: Told) -> None:
    """Silence proves nothing: our own events, the libraries' lines, the outages and the traceback were all heard."""
    heard = "\n".join(told.lines)
    for word in ("'refused'", "'unavailable'", "'internal_error'", "'refresh_failed'", "httpx", "Traceback"):
        assert word in heard
    kinds = {text.partition("(")[0] for text in told.reprs}
    assert {"Session", "TokenSet", "SetCookie", "LoginTransaction", "OpenedSession"} <= kinds
    answered = {one.response.status_code for one in told.house.internet.to(told.house.origin)}
    assert {200, 201, 303, 400, 401, 403, 500, 502, 503} <= {int(status) for status in answered}
