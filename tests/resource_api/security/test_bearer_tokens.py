"""Where a token may come from, and what the challenge says when none did."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI

from resource_api.security import InvalidRequest, InvalidToken, NoCredentials
from resource_api.security.bearer import bearer_token
from tests.resource_api.conftest import bearing, caller
from tests.world.key_host import KeyHost
from tests.world.tokens import access_token

LIST = "/api/todolist"


@pytest.mark.req("RS-3")
@pytest.mark.parametrize("value", [b"Bearer abc", b"bearer abc", b"BEARER abc", b"Bearer  abc ", b"Bearer abc=="])
def test_the_scheme_has_no_case(value: bytes) -> None:
    """The scheme is compared without case (RFC 9110 11.1), and spaces around the token are none of it."""
    assert bearer_token([(b"host", b"x"), (b"authorization", value)]).rstrip(b"=") == b"abc"


@pytest.mark.req("RS-3")
@pytest.mark.parametrize("value", [b"Basic YTpi", b"DPoP abc", b"Bearerabc", b"", b"Token abc", b"\xff"])
def test_another_scheme_is_no_token(value: bytes) -> None:
    """What is not the Bearer scheme is no bearer token at all."""
    with pytest.raises(NoCredentials):
        bearer_token([(b"authorization", value)])


@pytest.mark.req("RS-3", "A-06")
@pytest.mark.parametrize(
    "value", [b"Bearer", b"Bearer ", b"Bearer a b", b"Bearer a,b", b"Bearer =", b"Bearer \xff", b'Bearer "a"']
)
def test_what_is_no_b64token(value: bytes) -> None:
    """After the scheme comes exactly one b64token (RFC 6750 2.1)."""
    with pytest.raises(InvalidToken):
        bearer_token([(b"authorization", value)])


@pytest.mark.req("RS-3")
@pytest.mark.parametrize("second", [b"Bearer abc", b"Basic YTpi", b""])
def test_two_fields_are_none(second: bytes) -> None:
    """Two Authorization fields are an invalid request, even two of the same."""
    with pytest.raises(InvalidRequest):
        bearer_token([(b"authorization", b"Bearer abc"), (b"authorization", second)])


@pytest.mark.req("RS-3", "A-06", "A-30")
async def test_no_token_no_error_code(api: httpx.AsyncClient) -> None:
    """Without a token the challenge names the scheme only (RFC 6750 3.1)."""
    answer = await api.get(LIST)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.req("RS-3", "A-06", "A-30")
@pytest.mark.parametrize("token", ["x", "a.b.c", "%"])
async def test_a_bad_token_has_one(api: httpx.AsyncClient, token: str) -> None:
    """A token that was refused is invalid_token, in words that say nothing about why."""
    answer = await api.get(LIST, headers=bearing(token))
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token", error_description="')
    assert answer.json().keys() == {"type", "title", "status", "trace_id"}


@pytest.mark.req("RS-3")
async def test_two_tokens(api: httpx.AsyncClient) -> None:
    """Two Authorization fields are answered 400 invalid_request."""
    headers = [("Authorization", f"Bearer {access_token()}")] * 2
    answer = await api.get(LIST, headers=headers)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (400, 'Bearer error="invalid_request"')


@pytest.mark.req("RS-3")
async def test_a_token_elsewhere_is_not_read(api: httpx.AsyncClient) -> None:
    """A token in the query, in a form or in a cookie is no token."""
    token = access_token()
    answers = [
        await api.get(LIST, params={"access_token": token}),
        await api.post(LIST, data={"access_token": token}),
        await api.get(LIST, headers={"Cookie": f"access_token={token}", "X-Access-Token": token}),
    ]
    assert {(one.status_code, one.headers["WWW-Authenticate"]) for one in answers} == {(401, "Bearer")}


@pytest.mark.req("RS-11")
async def test_no_keys_no_verdict(app: FastAPI, key_host: KeyHost) -> None:
    """While no key could ever be fetched, every token is answered 503 with Retry-After and without a challenge."""
    key_host.misbehave = "down"
    async with app.router.lifespan_context(app), caller(app) as api:
        answer = await api.get(LIST, headers=bearing(access_token()))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "WWW-Authenticate" not in answer.headers
    assert answer.json()["type"] == "urn:resource-api:problem:keys-unavailable"
