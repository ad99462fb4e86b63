"""Sign-out: by a client's request or by the person's own, and how the other clients hear of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from local_authority.seeds import ADA, BFF_CLIENT_ID
from local_authority.tokens import LOGOUT_EVENT
from tests.world.authority import (
    LOGGED_OUT_URI,
    LocalAuthority,
    SignInBrowser,
    authorization_url,
    claims_of,
    header_of,
    response_parameters,
)
from tests.world.clock import MovableClock
from tests.world.forms import Page

SECOND_ID = "aaaaaaaa-0000-4000-8000-000000000002"
SECOND_CALLBACK = "http://localhost:4000/callback"
TWO_CLIENTS = f"""
[[client]]
client_id = "{BFF_CLIENT_ID}"
name = "To-do list"
secret = "the-bffs-secret-in-tests-0123456789abcdef"
redirect_uris = ["http://localhost:3000/bff/callback"]
post_logout_redirect_uris = ["{LOGGED_OUT_URI}"]
backchannel_logout_uri = "http://localhost:3000/bff/backchannel-logout"
frontchannel_logout_uri = "http://localhost:3000/bff/frontchannel-logout"
[[client]]
client_id = "{SECOND_ID}"
name = "Calendar"
secret = "the-calendars-secret-0123456789abcdefghi"
redirect_uris = ["{SECOND_CALLBACK}"]
backchannel_logout_uri = "http://localhost:4000/backchannel"
frontchannel_logout_uri = "http://localhost:4000/frontchannel?app=calendar"
"""

Heard = list[tuple[str, str]]


class Clients(httpx.AsyncBaseTransport):
    """The clients' back-channel endpoints: they keep what they are told, and answer as a test wants."""

    def __init__(self) -> None:
        self.heard: Heard = []
        self.answer: Callable[[], httpx.Response] = lambda: httpx.Response(200)
        self.delay = 0.0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(self.delay)
        form = parse_qs((await request.aread()).decode())
        self.heard.append((str(request.url), form["logout_token"][0]))
        return self.answer()


@pytest.fixture
def clients() -> Clients:
    """The clients, listening."""
    return Clients()


@pytest.fixture
def authority(clock: MovableClock, clients: Clients, tmp_path: Path) -> LocalAuthority:
    """An authority with two clients."""
    config = tmp_path / "people.toml"
    config.write_text(TWO_CLIENTS)
    return LocalAuthority(clock=clock, outgoing=clients, config=config)


def _logout_url(authority: LocalAuthority, **parameters: str) -> str:
    return f"{authority.metadata['end_session_endpoint']}?{urlencode(parameters)}"


async def _is_signed_in(authority: LocalAuthority, browser: SignInBrowser) -> bool:
    return "code" in response_parameters(await browser.get(authorization_url(authority, prompt="none")))


async def _in_both(authority: LocalAuthority, browser: SignInBrowser) -> dict[str, str]:
    """Sign in to the first client and, in the same session, to the second; the first one's tokens."""
    tokens = await authority.signed_in(browser)
    await browser.get(authorization_url(authority, client_id=SECOND_ID, redirect_uri=SECOND_CALLBACK))
    return tokens


@pytest.mark.req("K-24", "RPIL-1")
@pytest.mark.parametrize("hint", ["id_token_hint", "logout_hint"])
async def test_a_hint_signs_out_at_once(authority: LocalAuthority, browser: SignInBrowser, hint: str) -> None:
    """With a hint the session ends without a question, and the browser goes back with its state."""
    tokens = await authority.signed_in(browser)
    value = tokens["id_token"] if hint == "id_token_hint" else claims_of(tokens["id_token"])["login_hint"]
    url = _logout_url(
        authority,
        **{hint: value, "client_id": BFF_CLIENT_ID, "post_logout_redirect_uri": LOGGED_OUT_URI, "state": "a state&"},
    )
    response = await browser.get(url)

    assert response.status_code == 303
    assert response.headers["location"] == f"{LOGGED_OUT_URI}?state=a+state%26"
    assert not await _is_signed_in(authority, browser)


async def test_an_id_token_is_enough(authority: LocalAuthority, browser: SignInBrowser, clock: MovableClock) -> None:
    """id_token_hint says who asks and may have expired; without an address a page says that it is done."""
    tokens = await authority.signed_in(browser)
    clock.advance(authority.options.lifetimes.id_token + 1)
    response = await browser.get(_logout_url(authority, id_token_hint=tokens["id_token"]))

    assert response.status_code == 200
    assert "Signed out" in response.text
    assert not await _is_signed_in(authority, browser)


@pytest.mark.parametrize(
    "parameters",
    [
        {"post_logout_redirect_uri": LOGGED_OUT_URI},
        {"post_logout_redirect_uri": f"{LOGGED_OUT_URI}/", "client_id": BFF_CLIENT_ID},
        {"post_logout_redirect_uri": "https://evil.example/", "client_id": BFF_CLIENT_ID},
        {"post_logout_redirect_uri": LOGGED_OUT_URI, "client_id": "unknown"},
        {"post_logout_redirect_uri": LOGGED_OUT_URI, "client_id": SECOND_ID},
        {"id_token_hint": "rubbish"},
        {"id_token_hint": "{access_token}"},
        {"id_token_hint": "{id_token}", "client_id": SECOND_ID},
    ],
)
async def test_what_is_not_registered_is_a_page_and_changes_nothing(
    authority: LocalAuthority, browser: SignInBrowser, parameters: dict[str, str]
) -> None:
    """An address that is not registered, a foreign hint, two clients at odds: 400, no redirect, still signed in."""
    tokens = await authority.signed_in(browser)
    filled = {name: value.format(**tokens) for name, value in parameters.items()}
    response = await browser.get(_logout_url(authority, **filled))

    assert response.status_code == 400
    assert "location" not in response.headers
    assert await _is_signed_in(authority, browser)


async def test_a_repeated_parameter_is_refused(authority: LocalAuthority, browser: SignInBrowser) -> None:
    """No parameter of a logout request may come twice."""
    response = await browser.get(_logout_url(authority, state="x") + "&state=y")

    assert response.status_code == 400


@pytest.mark.parametrize("hint", [{}, {"logout_hint": "somebody-else"}, {"logout_hint": ADA.email}])
async def test_without_a_hint_that_proves_it_the_person_is_asked(
    authority: LocalAuthority, browser: SignInBrowser, hint: dict[str, str]
) -> None:
    """Any page can link here, so without proof the person decides; only the form of that page signs out."""
    await authority.signed_in(browser)
    url = _logout_url(authority, client_id=BFF_CLIENT_ID, post_logout_redirect_uri=LOGGED_OUT_URI, state="s", **hint)
    page = await browser.get(url)
    assert "Sign out?" in page.text
    assert "form-action 'self' http://localhost:3000" in page.headers["content-security-policy"]
    assert await _is_signed_in(authority, browser)

    stayed = await browser.fill(page, action="stay")
    assert "Still signed in" in stayed.text
    assert await _is_signed_in(authority, browser)

    done = await browser.fill(page, action="sign-out")
    assert done.headers["location"] == f"{LOGGED_OUT_URI}?state=s"
    assert not await _is_signed_in(authority, browser)


async def test_another_site_cannot_answer_the_question(authority: LocalAuthority, browser: SignInBrowser) -> None:
    """The question's form is refused from another site and from another browser."""
    await authority.signed_in(browser)
    form = Page.of((await browser.get(_logout_url(authority))).text).form
    target = authority.options.origin + form.action
    cross = await browser.submit(target, form.filled(action="sign-out"), sec_fetch_site="cross-site")
    stranger = await authority.browser().submit(target, form.filled(action="sign-out"))

    assert [cross.status_code, stranger.status_code] == [403, 403]
    assert await _is_signed_in(authority, browser)


async def test_a_foreign_id_token_does_not_sign_this_browser_out(
    authority: LocalAuthority, browser: SignInBrowser
) -> None:
    """An ID token of another session is no proof for this one: the person is asked."""
    foreign = (await authority.signed_in())["id_token"]
    await authority.signed_in(browser)
    response = await browser.get(_logout_url(authority, id_token_hint=foreign))

    assert "Sign out?" in response.text
    assert await _is_signed_in(authority, browser)


async def test_nobody_signed_in_is_signed_out_already(authority: LocalAuthority, browser: SignInBrowser) -> None:
    """Without a session there is nothing to ask: back to the client."""
    url = _logout_url(authority, client_id=BFF_CLIENT_ID, post_logout_redirect_uri=LOGGED_OUT_URI, state="s")

    assert (await browser.get(url)).headers["location"] == f"{LOGGED_OUT_URI}?state=s"


async def test_a_posted_request_ends_the_session_of_its_id_token(
    authority: LocalAuthority, browser: SignInBrowser
) -> None:
    """A cross-site POST brings no cookie; the ID token's own sid says which session ends."""
    tokens = await authority.signed_in(browser)
    response = await authority.post("end_session_endpoint", {"id_token_hint": tokens["id_token"]})

    assert response.status_code == 200
    assert not await _is_signed_in(authority, browser)


@pytest.mark.req("BCL-1", "BCL-2")
async def test_every_client_of_the_session_is_told(
    authority: LocalAuthority, browser: SignInBrowser, clients: Clients
) -> None:
    """Each client gets its own logout token: typ, iss, aud, sid, sub, jti, a short life, the event, no nonce."""
    tokens = await _in_both(authority, browser)
    await browser.get(_logout_url(authority, id_token_hint=tokens["id_token"]))
    keys = KeySet.import_key_set({"keys": authority.services.keys.published()})
    told = {url: jwt.decode(token, keys, algorithms=["RS256"]).claims for url, token in clients.heard}
    identity = claims_of(tokens["id_token"])
    mine = told["http://localhost:3000/bff/backchannel-logout"]

    assert told.keys() == {"http://localhost:3000/bff/backchannel-logout", "http://localhost:4000/backchannel"}
    assert {header_of(token)["typ"] for _, token in clients.heard} == {"logout+jwt"}
    assert (mine["iss"], mine["aud"]) == (identity["iss"], BFF_CLIENT_ID)
    assert (mine["sid"], mine["sub"]) == (identity["sid"], identity["sub"])
    assert mine["events"] == {LOGOUT_EVENT: {}}
    assert mine["exp"] - mine["iat"] == 120
    assert "nonce" not in mine
    assert len({claims["jti"] for claims in told.values()}) == 2


async def test_only_the_clients_of_this_session_are_told(
    authority: LocalAuthority, browser: SignInBrowser, clients: Clients
) -> None:
    """A client that got no code in this session hears nothing."""
    tokens = await authority.signed_in(browser)
    await browser.get(_logout_url(authority, id_token_hint=tokens["id_token"]))

    assert [url for url, _ in clients.heard] == ["http://localhost:3000/bff/backchannel-logout"]


@pytest.mark.parametrize("trouble", ["refused", "failing", "redirecting", "slow"])
async def test_a_client_that_cannot_be_told_does_not_hold_up_the_person(
    authority: LocalAuthority,
    browser: SignInBrowser,
    clients: Clients,
    monkeypatch: pytest.MonkeyPatch,
    trouble: str,
) -> None:
    """Whatever a client answers, or not, the session is over and the browser goes on within bounds."""
    monkeypatch.setattr("local_authority.sign_out.TIMEOUT_SECONDS", 0.05)

    def refuse() -> httpx.Response:
        raise httpx.ConnectError("refused")

    answers: dict[str, Callable[[], httpx.Response]] = {
        "refused": refuse,
        "failing": lambda: httpx.Response(500),
        "redirecting": lambda: httpx.Response(302, headers={"location": "https://evil.example/"}),
        "slow": lambda: httpx.Response(200),
    }
    clients.answer, clients.delay = answers[trouble], 5.0 if trouble == "slow" else 0.0
    tokens = await authority.signed_in(browser)
    async with asyncio.timeout(2):
        response = await browser.get(_logout_url(authority, id_token_hint=tokens["id_token"]))

    assert "Signed out" in response.text
    assert len(clients.heard) == (0 if trouble == "slow" else 1)
    assert not await _is_signed_in(authority, browser)


async def test_the_other_clients_are_told_by_frames(authority: LocalAuthority, browser: SignInBrowser) -> None:
    """Clients that did not ask themselves are framed with iss and sid; the policy names their origins; then back."""
    tokens = await _in_both(authority, browser)
    response = await browser.get(
        _logout_url(authority, id_token_hint=tokens["id_token"], post_logout_redirect_uri=LOGGED_OUT_URI, state="s")
    )
    page = Page.of(response.text)
    frame = urlsplit(page.frames[0])

    assert response.status_code == 200
    assert len(page.frames) == 1
    assert f"{frame.scheme}://{frame.netloc}{frame.path}" == "http://localhost:4000/frontchannel"
    assert parse_qs(frame.query) == {
        "app": ["calendar"],
        "iss": [authority.options.issuer_identifier],
        "sid": [claims_of(tokens["id_token"])["sid"]],
    }
    assert "frame-src http://localhost:4000" in response.headers["content-security-policy"]
    assert page.links["Back to the application"] == f"{LOGGED_OUT_URI}?state=s"


async def test_entra_frames_with_sid_alone_and_has_no_back_channel(clock: MovableClock, tmp_path: Path) -> None:
    """In Entra's shape a front-channel address carries sid without iss, and no logout token is sent."""
    config, clients = tmp_path / "people.toml", Clients()
    config.write_text(TWO_CLIENTS)
    authority = LocalAuthority(clock=clock, outgoing=clients, config=config, shape="entra")
    browser = authority.browser()
    tokens = await _in_both(authority, browser)
    response = await browser.get(_logout_url(authority, id_token_hint=tokens["id_token"]))

    assert parse_qs(urlsplit(Page.of(response.text).frames[0]).query).keys() == {"app", "sid"}
    assert clients.heard == []
