"""The authorization endpoint: what it refuses, to whom it says so, and what every answer carries."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from local_authority.seeds import BFF_CLIENT_ID, DAEMON_CLIENT_ID, READ_SCOPE
from tests.world.authority import (
    REDIRECT_URI,
    LocalAuthority,
    SignInBrowser,
    authorization_url,
    response_parameters,
)
from tests.world.forms import Page


@pytest.mark.req("T-11")
@pytest.mark.parametrize(
    "parameters",
    [
        {"client_id": None},
        {"client_id": "00000000-0000-0000-0000-000000000000"},
        {"client_id": BFF_CLIENT_ID.upper()},
        {"redirect_uri": None},
        {"redirect_uri": f"{REDIRECT_URI}/"},
        {"redirect_uri": f"{REDIRECT_URI}?x=1"},
        {"redirect_uri": "http://localhost:3000/bff/Callback"},
        {"redirect_uri": "http://localhost:3000/bff/logged-out"},
        {"redirect_uri": "https://localhost:3000/bff/callback"},
        {"redirect_uri": "https://evil.example/bff/callback"},
        {"client_id": DAEMON_CLIENT_ID},
    ],
)
async def test_an_unknown_client_or_address_is_a_page_and_never_a_redirect(
    authority: LocalAuthority, browser: SignInBrowser, parameters: dict[str, str | None]
) -> None:
    """Where client or redirect URI is not known exactly, nothing is redirected (RFC 6749 4.1.2.1)."""
    response = await browser.get(authorization_url(authority, **parameters))

    assert response.status_code == 400
    assert "location" not in response.headers
    assert "evil.example" not in response.text


@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
async def test_a_repeated_client_or_address_is_a_page(
    authority: LocalAuthority, browser: SignInBrowser, name: str
) -> None:
    """A second client_id or redirect_uri leaves it open where to answer: a page."""
    response = await browser.get(f"{authorization_url(authority)}&{name}=x")

    assert response.status_code == 400


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_mode": "jwt"}, "invalid_request"),
        ({"scope": None}, "invalid_request"),
        ({"scope": "openid address"}, "invalid_scope"),
        ({"scope": "openid ToDoList.Read"}, "invalid_scope"),
        ({"scope": "openid api://unknown/ToDoList.Read"}, "invalid_scope"),
        ({"scope": f"openid {READ_SCOPE.lower()}"}, "invalid_scope"),
        ({"scope": f"openid {READ_SCOPE}.All"}, "invalid_scope"),
        ({"scope": "openid  profile"}, "invalid_scope"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": "s256"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": "x" * 42 + "="}, "invalid_request"),
        ({"code_challenge": "x" * 44}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "register"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"nonce": "n" * 3000}, "invalid_request"),
        ({"request": "eyJ"}, "request_not_supported"),
        ({"request_uri": "urn:x"}, "request_uri_not_supported"),
    ],
)
async def test_every_other_refusal_goes_back_to_the_client(
    authority: LocalAuthority, browser: SignInBrowser, parameters: dict[str, str | None], error: str
) -> None:
    """A refusal that the client can be told carries code, state and issuer (RFC 6749 4.1.2.1, RFC 9207 2)."""
    response = await browser.get(authorization_url(authority, **parameters))
    answer = response_parameters(response)

    assert response.headers["location"].startswith(f"{REDIRECT_URI}?")
    assert answer["error"] == error
    assert answer["state"] == "the-state"
    assert answer["iss"] == authority.options.issuer_identifier
    assert "code" not in answer


@pytest.mark.parametrize("name", ["state", "scope", "nonce", "code_challenge", "prompt", "anything"])
async def test_a_repeated_parameter_is_refused(authority: LocalAuthority, browser: SignInBrowser, name: str) -> None:
    """No parameter may come twice (RFC 6749 3.1); a repeated state is not echoed, since neither is the right one."""
    twice = f"&{name}=x&{name}=y" if name in {"prompt", "anything"} else f"&{name}=x"
    answer = response_parameters(await browser.get(authorization_url(authority) + twice))

    assert answer["error"] == "invalid_request"
    assert ("state" in answer) is (name != "state")


async def test_unknown_parameters_are_ignored(authority: LocalAuthority, browser: SignInBrowser) -> None:
    """Parameters that nobody knows do no harm (RFC 6749 3.1); an empty value is an absent one."""
    url = authorization_url(authority, ui_locales="de-AT en", display="page", request="", unknown="x")
    answer = response_parameters(await browser.sign_in(url))

    assert answer["code"]


@pytest.mark.req("BCP-17")
async def test_a_sign_in_is_answered_by_303_with_code_state_and_issuer(
    authority: LocalAuthority, browser: SignInBrowser
) -> None:
    """After a password the answer is a 303 that carries code, state and iss once each, and is not stored."""
    response = await browser.sign_in(authorization_url(authority))

    assert response.status_code == 303
    assert response_parameters(response).keys() == {"code", "state", "iss"}
    assert response.headers["cache-control"] == "no-store"


async def test_the_request_may_be_posted(authority: LocalAuthority, browser: SignInBrowser) -> None:
    """The authorization endpoint takes POST as well (OIDC Core 3.1.2.1)."""
    url, _, query = authorization_url(authority).partition("?")
    form = {name: values[0] for name, values in parse_qs(query).items()}
    page = await browser.submit(url, form, sec_fetch_site="cross-site", origin="http://localhost:3000")

    assert response_parameters(await browser.fill(page, email="ada@example.com", password="engine-of-note-g"))["code"]


async def test_form_post_answers_by_a_form_that_posts_itself(authority: LocalAuthority, browser: SignInBrowser) -> None:
    """With response_mode=form_post the parameters are a form's, for the redirect URI, and nothing is in a URL."""
    response = await browser.sign_in(authorization_url(authority, response_mode="form_post"))
    form = Page.of(response.text).form

    assert (response.status_code, form.action, form.method) == (200, REDIRECT_URI, "POST")
    assert form.fields.keys() == {"code", "state", "iss"}
    assert "form-action 'self' http://localhost:3000" in response.headers["content-security-policy"]


async def test_form_post_escapes_what_it_echoes(authority: LocalAuthority, browser: SignInBrowser) -> None:
    """A state is text wherever it is shown."""
    url = authorization_url(authority, response_mode="form_post", state='"><script>alert(1)</script>', scope=None)
    response = await browser.get(url)

    assert "<script>alert" not in response.text
    assert Page.of(response.text).form.fields["state"] == '"><script>alert(1)</script>'


async def test_fragment_answers_behind_the_hash(authority: LocalAuthority, browser: SignInBrowser) -> None:
    """With response_mode=fragment the parameters stand behind the hash."""
    response = await browser.sign_in(authorization_url(authority, response_mode="fragment"))

    assert parse_qs(urlsplit(response.headers["location"]).fragment).keys() == {"code", "state", "iss"}


async def test_cancel_is_access_denied(authority: LocalAuthority, browser: SignInBrowser) -> None:
    """Whoever cancels is sent back with access_denied, state and issuer, from either form."""
    answers = [
        response_parameters(await browser.cancel(authorization_url(authority))),
        response_parameters(await browser.cancel(authorization_url(authority, prompt="create"))),
    ]

    assert [answer["error"] for answer in answers] == ["access_denied", "access_denied"]
    assert all(answer["state"] == "the-state" and answer["iss"] for answer in answers)


async def test_a_body_that_is_no_form_is_a_page(authority: LocalAuthority, browser: SignInBrowser) -> None:
    """Bytes that are no form-encoded UTF-8 are refused, not guessed at."""
    response = await browser.get(f"{authorization_url(authority)}&x=%ff")

    assert response.status_code == 400
