"""Each feature and each fault of the Node.js sample's client, at the wire of ours (docs/tutorial/differences.md)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from bff.errors import ConfigurationError
from bff.settings import BFFSettings, load_settings
from local_authority.misbehaving.misbehaviours import Misbehaviour
from tests.world.house import ADA, API_ORIGIN, AUTHORITY_ORIGIN, BFF_ORIGIN, House, opened_house, problem_of

NAVIGATES = (("host", "localhost:3000"), ("sec-fetch-dest", "document"), ("sec-fetch-mode", "navigate"))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A house in order."""
    async with opened_house(tmp_path) as one:
        yield one


def query_of(url: str) -> dict[str, str]:
    """The parameters of a URL, each once."""
    return {name: value for name, (value,) in parse_qs(urlsplit(url).query).items()}


@pytest.mark.req("C-01", "C-10", "C-12", "C-13", "C-16", "A-43")
async def test_the_page_and_what_is_not_there(house: House) -> None:
    """The first page is for everybody; a path that is not there is a 404 without a stack."""
    assert (await house.browser().tab().go(house.url("/"))).response.status_code == 200
    missing = await house.sends("/nothing.js", ("host", "localhost:3000"))
    assert missing.status_code == 404
    assert "Traceback" not in missing.text
    wrong = await house.sends("/bff/login", ("host", "localhost:3000"), method="PUT")
    assert wrong.status_code == 405


@pytest.mark.req("C-02", "C-25", "C-54", "K-22")
async def test_the_authorization_request_says_more_than_the_samples(house: House) -> None:
    """S256, a nonce, an opaque state, the scopes of the API, and the endpoint that discovery names."""
    tab = house.browser().tab()
    await house.begin(tab)
    url = next(one.url for one in house.internet.exchanges if "/authorize" in one.url)
    asked = query_of(url)
    assert url.startswith(f"{AUTHORITY_ORIGIN}/")
    assert asked["response_type"] == "code"
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["code_challenge"]) == 43
    assert len(asked["nonce"]) >= 43
    assert "ToDoList.Read" in asked["scope"]


@pytest.mark.req("C-23", "C-31")
async def test_the_state_says_nothing(house: House) -> None:
    """Where the person goes afterwards is not in the state, which is random and new each time."""
    states = []
    for path in ("/bff/login?return_to=/todos", "/bff/login?return_to=/account"):
        await house.begin(house.browser().tab(), path)
        states.append(query_of([one.url for one in house.internet.exchanges if "/authorize" in one.url][-1])["state"])
    assert states[0] != states[1]
    assert all(re.fullmatch(r"[\w-]{43}", state) for state in states)


@pytest.mark.req("C-11", "C-35")
async def test_the_wanted_path_is_remembered(house: House) -> None:
    """After sign-in the person is where they wanted to be."""
    visit = await house.sign_in(house.browser().tab(), path="/bff/login?return_to=/account")
    assert visit.url == f"{BFF_ORIGIN}/account"


@pytest.mark.req("C-05", "C-14")
async def test_the_claims_of_the_id_token_are_there_for_the_page(house: House) -> None:
    """The account page gets every claim that the setting permits, and no token."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    told = await house.user(tab)
    assert told["claims"]["preferred_username"] == ADA.email
    assert {"iss", "aud", "exp", "iat", "sub", "oid", "tid"} <= set(told["claims"])
    assert "eyJ" not in str(told)


@pytest.mark.req("C-17", "C-19", "C-20")
async def test_one_sealed_cookie_and_a_new_one_at_each_sign_in(house: House) -> None:
    """HttpOnly, strict, with no token to be read from it, and never the same after another sign-in."""
    browser = house.browser()
    tab = browser.tab()
    await house.sign_in(tab)
    first = await house.session(browser)
    set_cookies = [
        value.decode()
        for one in house.internet.exchanges
        for name, value in one.response.headers.raw
        if name.lower() == b"set-cookie"
    ]
    lines = [line for line in set_cookies if line.startswith(f"{house.cookie}=") and "Max-Age=0" not in line]
    assert lines
    assert all("HttpOnly" in line and "SameSite=Strict" in line and "Path=/" in line for line in lines)
    assert not any(first.tokens.access_token[:40] in line for line in lines)
    await house.sign_in(tab, path="/bff/login?prompt=login")
    assert (await house.session(browser)).sid != first.sid


@pytest.mark.req("C-18", "C-50", "C-53", "C-55", "C-56", "C-57", "ATK-61")
@pytest.mark.parametrize("value", ["Enter_the_Client_Secret_Here", "changeme-changeme", "your-secret-goes-here"])
def test_a_placeholder_starts_nothing(tmp_path: Path, value: str) -> None:
    """The sample boots with its public placeholders; here each is refused with its cure."""
    path = tmp_path / "bff.toml"
    authority = f'[authority]\nissuer = "https://a.example"\nclient_id = "x"\nclient_secret = "{value}"\n'
    path.write_text(f'public_url = "http://localhost:3000"\n{authority}')
    with pytest.raises(ConfigurationError, match="sample value"):
        load_settings(path)


@pytest.mark.req("C-21")
async def test_a_code_is_sent_once(house: House) -> None:
    """The same callback delivered twice asks the token endpoint once."""
    tab = house.browser().tab()
    visit = await house.sign_in(tab)
    callback = next(url for url in visit.chain if "/bff/callback" in url)
    await tab.go(callback)
    codes = [one for one in house.internet.to(AUTHORITY_ORIGIN, "POST") if b"authorization_code" in one.request_body]
    assert len(codes) == 1


@pytest.mark.req("C-22")
async def test_a_session_ends_by_itself(house: House) -> None:
    """Half an hour without a call, and nobody is signed in."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    assert (await house.user(tab))["authenticated"]
    house.clock.advance(31 * 60)
    assert not (await tab.api("/bff/user")).json().get("authenticated", False)


@pytest.mark.req("C-24", "C-30")
@pytest.mark.parametrize("query", ["code=x&state=y", "error=access_denied&state=y", "", "code=x"])
async def test_a_callback_of_nobody_is_a_page(house: House, query: str) -> None:
    """What ends the sample's process is a page with the way on, and the process goes on."""
    answer = await house.sends(f"/bff/callback?{query}", *NAVIGATES)
    assert answer.status_code < 500
    assert answer.headers["content-type"].startswith("text/html")
    assert "/bff/login" in answer.text
    assert (await house.sends("/livez", ("host", "localhost:3000"))).status_code == 200


@pytest.mark.req("C-28")
async def test_a_foreign_signature_signs_nobody_in(house: House) -> None:
    """An ID token under a key that the server does not publish is refused."""
    house.misbehaviours.begin(Misbehaviour.ID_TOKEN_FOREIGN_KEY)
    tab = house.browser().tab()
    visit = await house.sign_in(tab)
    assert visit.response.status_code >= 400
    assert not (await house.user(tab))["authenticated"]


@pytest.mark.req("C-26", "C-27")
async def test_discovery_is_fetched_once_and_the_secret_goes_in_a_header(house: House) -> None:
    """Two sign-ins, one discovery; the client authenticates by client_secret_basic."""
    for _ in range(2):
        await house.sign_in(house.browser().tab())
    urls = [one.url for one in house.internet.to(AUTHORITY_ORIGIN, "GET") if one.sent("user-agent") == [b"sealed-bff"]]
    assert len([url for url in urls if url.endswith("openid-configuration")]) == 1
    posts = [one for one in house.internet.to(AUTHORITY_ORIGIN, "POST") if b"authorization_code" in one.request_body]
    assert all(one.sent("authorization")[0].startswith(b"Basic ") for one in posts)
    assert not any(b"client_secret" in one.request_body for one in posts)


@pytest.mark.req("C-38", "C-40")
async def test_the_api_gets_a_bearer_token_and_no_cookie(house: House) -> None:
    """What goes to the API is the token alone."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    await house.user(tab)
    assert (await tab.api("/api/todolist")).status_code == 200
    sent = house.internet.to(API_ORIGIN)[-1]
    assert sent.sent("authorization")[0].startswith(b"Bearer ey")
    assert sent.sent("cookie") == []


@pytest.mark.req("C-41")
@pytest.mark.parametrize("path", ["/api/todolist/%2e%2e/%2e%2e/x", "/api/todolist/..%2f..%2fx"])
async def test_a_path_cannot_climb(house: House, path: str) -> None:
    """The id of a to-do cannot lead a call elsewhere at the API's host."""
    browser = house.browser()
    tab = browser.tab()
    await house.sign_in(tab)
    before = len(house.internet.to(API_ORIGIN))
    headers = [("host", "localhost:3000"), ("x-csrf", "1"), house.cookie_header(browser)]
    answer = await house.sends(path, *headers, method="DELETE")
    assert answer.status_code in {400, 404}
    assert len(house.internet.to(API_ORIGIN)) == before


@pytest.mark.req("C-42", "A-17")
async def test_an_empty_task_is_refused_with_its_reason(house: House) -> None:
    """Not a blank 500: a problem that names the field."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    await house.user(tab)
    refused = await tab.api("/api/todolist", method="POST", json={"description": ""})
    assert refused.status_code == 422
    assert "description" in refused.text


@pytest.mark.req("C-43")
async def test_an_api_that_is_down_is_no_lost_session(house: House) -> None:
    """A 502 with its own problem; the person stays signed in."""
    tab = house.browser().tab()
    await house.sign_in(tab)
    await house.user(tab)
    house.internet.take_down(API_ORIGIN)
    assert problem_of(await tab.api("/api/todolist")) == "upstream-unavailable"
    assert (await house.user(tab))["authenticated"]


@pytest.mark.req("C-46", "C-04")
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/api/todolist"), ("DELETE", "/api/todolist/1"), ("POST", "/bff/logout")]
)
async def test_another_sites_form_does_nothing(house: House, method: str, path: str) -> None:
    """Without the header that no form can send, and from another site, nothing is changed and nobody signed out."""
    browser = house.browser()
    tab = browser.tab()
    await house.sign_in(tab)
    cookie = house.cookie_header(browser)
    for headers in (
        [],
        [("x-csrf", "1"), ("sec-fetch-site", "cross-site")],
        [("x-csrf", "1"), ("origin", "https://evil.example")],
    ):
        answer = await house.sends(path, ("host", "localhost:3000"), cookie, *headers, method=method)
        assert problem_of(answer).startswith("antiforgery")
    assert (await house.user(tab))["authenticated"]


@pytest.mark.req("C-47", "C-48", "C-52", "K-24")
async def test_sign_out_is_complete(house: House) -> None:
    """The cookie goes, the refresh token is revoked, and the way to the authority carries what it needs, encoded."""
    browser = house.browser()
    tab = browser.tab()
    await house.sign_in(tab)
    await house.user(tab)
    visit = await house.sign_out(tab)
    await house.settle()
    way = next(
        query_of(url)
        for url in [*visit.chain, *(one.url for one in house.internet.exchanges)]
        if "post_logout_redirect_uri" in url
    )
    assert way["post_logout_redirect_uri"] == f"{BFF_ORIGIN}/bff/logged-out"
    assert way["state"]
    assert any(
        b"token_type_hint=refresh_token" in one.request_body for one in house.internet.to(AUTHORITY_ORIGIN, "POST")
    )
    assert not (await house.user(tab))["authenticated"]


def entra(**more: Any) -> BFFSettings:
    """Settings for a tenant, from its two names alone."""
    authority = {"profile": "entra-external-id", "tenant_subdomain": "contoso", "tenant_id": "TENANT", "client_id": "x"}
    authority |= {"client_secret": "k7Qw-2Zt9_bXr4Vn8Lm3"} | more
    return BFFSettings.model_validate({"public_url": "http://localhost:3000", "authority": authority})


@pytest.mark.req("K-20", "K-21", "K-25", "C-51", "C-54", "P-02")
def test_a_tenants_addresses_follow_from_its_two_names() -> None:
    """The metadata on the subdomain, the issuer on the tenant's id; with a custom domain both are said."""
    authority = entra().authority
    assert (
        authority.effective_metadata_url == "https://contoso.ciamlogin.com/TENANT/v2.0/.well-known/openid-configuration"
    )
    assert authority.issuer == "https://TENANT.ciamlogin.com/TENANT/v2.0"
    custom = entra(metadata_url="https://login.shop.example/TENANT/v2.0/.well-known/openid-configuration").authority
    assert custom.effective_metadata_url.startswith("https://login.shop.example/")
    assert custom.issuer == authority.issuer


@pytest.mark.req("K-27")
def test_the_discovery_address_may_carry_an_application_id() -> None:
    """With claims mapping, Entra publishes an application's own keys under ?appid=; the setting takes it as it is."""
    url = "https://contoso.ciamlogin.com/TENANT/v2.0/.well-known/openid-configuration?appid=APP"
    assert entra(metadata_url=url).authority.effective_metadata_url == url


@pytest.mark.req("K-26", "T-16")
async def test_scopes_are_asked_for_by_their_full_names(house: House) -> None:
    """api://ID/NAME in the request; the API's token says NAME alone."""
    browser = house.browser()
    await house.sign_in(browser.tab())
    url = next(one.url for one in house.internet.exchanges if "/authorize" in one.url)
    asked = query_of(url)["scope"].split()
    assert any(re.fullmatch(r"api://[0-9a-f-]{36}/ToDoList\.ReadWrite", scope) for scope in asked)
