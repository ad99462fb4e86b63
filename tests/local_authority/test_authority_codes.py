"""Authorization codes: bound, short-lived, good for one exchange."""

from __future__ import annotations

import pytest

from local_authority.seeds import DAEMON_CLIENT_ID
from tests.world.authority import VERIFIER, LocalAuthority, authorization_url, code_challenge, response_parameters
from tests.world.clock import MovableClock


async def _code(authority: LocalAuthority, **parameters: str | None) -> str:
    response = await authority.browser().sign_in(authorization_url(authority, **parameters))
    return response_parameters(response)["code"]


async def test_a_code_gives_tokens(authority: LocalAuthority) -> None:
    """A code is exchanged for tokens whose answer is not stored (RFC 6749 5.1)."""
    response = await authority.redeem(await _code(authority))
    answer = response.json()

    assert answer.keys() == {"token_type", "access_token", "expires_in", "scope", "id_token", "refresh_token"}
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 3_600)
    assert response.headers["cache-control"] == "no-store"
    assert authority.record.token_calls == {"authorization_code": 1}


@pytest.mark.parametrize(
    "form",
    [
        {"code_verifier": "x" * 43},
        {"code_verifier": code_challenge(VERIFIER)},
        {"code_verifier": VERIFIER[:-1]},
        {"code_verifier": "short"},
        {"redirect_uri": "http://localhost:3000/bff/logged-out"},
        {"redirect_uri": ""},
    ],
)
async def test_a_code_is_bound_to_its_request(authority: LocalAuthority, form: dict[str, str]) -> None:
    """Verifier and redirect URI must be those of the request; a try spends the code (RFC 6749 4.1.3, RFC 7636 4.6)."""
    code = await _code(authority)
    refused = await authority.redeem(code, **form)
    again = await authority.redeem(code)

    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


async def test_pkce_cannot_be_left_out(authority: LocalAuthority) -> None:
    """Without a verifier there are no tokens, and the code is not spent by a call that is not whole."""
    code = await _code(authority)
    refused = await authority.redeem(code, code_verifier="")

    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
    assert (await authority.redeem(code)).status_code == 200


async def test_a_code_works_once_and_reuse_revokes_what_it_gave(authority: LocalAuthority) -> None:
    """A second exchange is refused and ends the tokens of the first (RFC 6749 4.1.2, 10.5)."""
    code = await _code(authority, scope="openid offline_access")
    first = (await authority.redeem(code)).json()
    second = await authority.redeem(code)
    refreshed = await authority.refresh(first["refresh_token"])

    assert (second.status_code, second.json()["error"]) == (400, "invalid_grant")
    assert (refreshed.status_code, refreshed.json()["error"]) == (400, "invalid_grant")


async def test_a_code_lives_a_minute(authority: LocalAuthority, clock: MovableClock) -> None:
    """A code is good for less than 60 seconds."""
    early, late = await _code(authority), await _code(authority)
    clock.advance(59)
    assert (await authority.redeem(early)).status_code == 200
    clock.advance(1)
    assert (await authority.redeem(late)).json()["error"] == "invalid_grant"


async def test_a_code_is_its_clients_alone(authority: LocalAuthority) -> None:
    """Another client cannot redeem a code, nor spend it."""
    code = await _code(authority)
    stolen = await authority.redeem(code, client_id=DAEMON_CLIENT_ID, client_secret=authority.daemon_secret)

    assert stolen.json()["error"] == "invalid_grant"
    assert (await authority.redeem(code)).status_code == 200


@pytest.mark.parametrize("name", ["code", "grant_type", "client_secret", "redirect_uri", "anything"])
async def test_a_repeated_parameter_is_refused(authority: LocalAuthority, name: str) -> None:
    """The token endpoint takes no parameter twice (RFC 6749 3.2), and the code is not spent by it."""
    code = await _code(authority)
    twice = f"&{name}=x" if name != "anything" else "&anything=x&anything=y"
    body = f"grant_type=authorization_code&code={code}&client_secret=s&redirect_uri=r{twice}"
    response = await authority.post("token_endpoint", body)

    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")
    assert (await authority.redeem(code)).status_code == 200


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": ""}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "authorization_code"}, "invalid_request"),
        ({"grant_type": "authorization_code", "code": "x"}, "invalid_request"),
        ({"grant_type": "authorization_code", "code": "x", "code_verifier": "y"}, "invalid_grant"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, "invalid_grant"),
        ({"grant_type": "client_credentials"}, "invalid_request"),
    ],
)
async def test_errors_are_those_of_the_standard(authority: LocalAuthority, form: dict[str, str], error: str) -> None:
    """Each mistake has its own code, in JSON with status 400 (RFC 6749 5.2)."""
    response = await authority.token(**form)

    assert (response.status_code, response.json()["error"]) == (400, error)
    assert response.headers["cache-control"] == "no-store"
    assert authority.record.refusals == {error: 1}


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "multipart/form-data; boundary=x", ""])
async def test_only_a_form_is_read(authority: LocalAuthority, content_type: str) -> None:
    """Bodies of another type, or too long, are invalid_request."""
    other = await authority.post("token_endpoint", "grant_type=x", headers={"content-type": content_type})
    long = await authority.post("token_endpoint", "x" * 70_000)

    assert (other.status_code, other.json()["error"]) == (400, "invalid_request")
    assert (long.status_code, long.json()["error"]) == (400, "invalid_request")


async def test_the_token_endpoint_takes_post_only(authority: LocalAuthority) -> None:
    """A code or secret never travels in a query (RFC 6749 3.2)."""
    response = await authority.browser().get(f"{authority.metadata['token_endpoint']}?grant_type=authorization_code")

    assert response.status_code == 405
