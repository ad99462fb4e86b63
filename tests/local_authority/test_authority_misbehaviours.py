"""The misbehaviours: each does what its name says, as often as it is told, and none is reachable over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.errors import JoseError

from local_authority.app import create_app
from local_authority.misbehaving.signer import LyingSigner
from local_authority.misbehaving.wire import MisbehavingWire
from local_authority.options import Options
from tests.world.authority import (
    ABSENT,
    LocalAuthority,
    Misbehaviour,
    authorization_url,
    claims_of,
    header_of,
    response_parameters,
    signing_key,
)

Claims = dict[str, Any]

CLAIM_LIES: dict[Misbehaviour, Callable[[Claims], bool]] = {
    Misbehaviour.ID_TOKEN_WRONG_AUDIENCE: lambda claims: claims["aud"] == "another-client",
    Misbehaviour.ID_TOKEN_WRONG_ISSUER: lambda claims: claims["iss"] == "https://another-authority.example",
    Misbehaviour.ID_TOKEN_WRONG_NONCE: lambda claims: claims["nonce"] == "another-nonce",
    Misbehaviour.ID_TOKEN_WRONG_AZP: lambda claims: claims.get("azp") == "another-client",
    Misbehaviour.ID_TOKEN_WRONG_SUBJECT: lambda claims: claims["sub"] == "another-subject",
    Misbehaviour.ID_TOKEN_EXPIRED: lambda claims: claims["exp"] < time.time() - 3_600,
    Misbehaviour.ID_TOKEN_FROM_THE_FUTURE: lambda claims: claims["iat"] > time.time() + 3_000,
}
REFRESHED_LIES: dict[Misbehaviour, Callable[[Claims], bool]] = {
    Misbehaviour.REFRESHED_ID_TOKEN_OTHER_SUBJECT: lambda claims: claims["sub"] == "another-subject",
    Misbehaviour.REFRESHED_ID_TOKEN_OTHER_NONCE: lambda claims: claims["nonce"] == "another-nonce",
    Misbehaviour.REFRESHED_ID_TOKEN_OTHER_AUTH_TIME: lambda claims: claims["auth_time"] == 1_000_000_000,
}
UNVERIFIABLE = [
    Misbehaviour.ID_TOKEN_ALG_NONE,
    Misbehaviour.ID_TOKEN_HS256_WITH_PUBLIC_KEY,
    Misbehaviour.ID_TOKEN_FOREIGN_KEY,
    Misbehaviour.ID_TOKEN_UNKNOWN_KID,
]


@pytest.fixture
def authority() -> LocalAuthority:
    """The authority by the machine's clock."""
    return LocalAuthority()


@pytest.mark.parametrize("name", CLAIM_LIES)
async def test_an_id_tokens_claim_is_wrong_once(authority: LocalAuthority, name: Misbehaviour) -> None:
    """The next ID token lies as named and is signed all the same; the one after tells the truth."""
    authority.misbehave(name, times=1)
    lying, honest = [claims_of((await authority.signed_in())["id_token"]) for _ in range(2)]

    assert CLAIM_LIES[name](lying)
    assert not CLAIM_LIES[name](honest)


@pytest.mark.parametrize("name", REFRESHED_LIES)
async def test_a_refreshed_id_token_lies_and_the_first_does_not(authority: LocalAuthority, name: Misbehaviour) -> None:
    """Only the ID token of a refresh is touched."""
    authority.misbehave(name)
    tokens = await authority.signed_in()
    refreshed = (await authority.refresh(tokens["refresh_token"])).json()

    assert not REFRESHED_LIES[name](claims_of(tokens["id_token"]))
    assert REFRESHED_LIES[name](claims_of(refreshed["id_token"]))


@pytest.mark.parametrize("name", UNVERIFIABLE)
async def test_an_id_token_that_no_key_of_ours_signed(authority: LocalAuthority, name: Misbehaviour) -> None:
    """Its signature does not verify with the published key, and its header looks as the name says."""
    authority.misbehave(name, times=1)
    token = (await authority.signed_in())["id_token"]
    header, kid = header_of(token), signing_key().kid
    with pytest.raises(JoseError):
        jwt.decode(token, signing_key(), algorithms=["RS256"])

    assert (header["alg"], header.get("kid")) == {
        Misbehaviour.ID_TOKEN_ALG_NONE: ("none", None),
        Misbehaviour.ID_TOKEN_HS256_WITH_PUBLIC_KEY: ("HS256", kid),
        Misbehaviour.ID_TOKEN_FOREIGN_KEY: ("RS256", kid),
        Misbehaviour.ID_TOKEN_UNKNOWN_KID: ("RS256", "nobody-knows-this-key"),
    }[name]
    assert token.endswith(".") is (name is Misbehaviour.ID_TOKEN_ALG_NONE)


@pytest.mark.parametrize("kind", ["id_token", "access_token"])
@pytest.mark.parametrize(("value", "present"), [(ABSENT, False), (None, True), (7, True), ("other", True)])
async def test_any_claim_can_be_overridden(authority: LocalAuthority, kind: str, value: object, present: bool) -> None:
    """A claim can be absent, null, of another type or wrong, in either token, and the token is signed."""
    getattr(authority.misbehaviours, kind)["aud"] = value
    token = (await authority.signed_in())[kind]
    claims = jwt.decode(token, signing_key(), algorithms=["RS256"]).claims

    assert ("aud" in claims) is present
    assert not present or claims["aud"] == value
    authority.behave()
    assert claims_of((await authority.signed_in())[kind])["aud"] not in {None, 7, "other"}


@pytest.mark.parametrize(
    ("name", "member"),
    [
        (Misbehaviour.ID_TOKEN_MISSING, "id_token"),
        (Misbehaviour.REFRESH_TOKEN_MISSING, "refresh_token"),
        (Misbehaviour.EXPIRES_IN_MISSING, "expires_in"),
    ],
)
async def test_a_member_of_the_answer_is_missing(authority: LocalAuthority, name: Misbehaviour, member: str) -> None:
    """The answer lacks exactly the named member."""
    whole = await authority.signed_in()
    authority.misbehave(name, times=1)

    assert whole.keys() - (await authority.signed_in()).keys() == {member}


@pytest.mark.parametrize(
    ("name", "status", "error"),
    [
        (Misbehaviour.INVALID_GRANT, 400, "invalid_grant"),
        (Misbehaviour.REFRESH_REFUSED, 400, "invalid_grant"),
        (Misbehaviour.INVALID_CLIENT, 401, "invalid_client"),
        (Misbehaviour.TOO_MANY_REQUESTS, 429, "temporarily_unavailable"),
    ],
)
async def test_a_refusal_costs_nothing(authority: LocalAuthority, name: Misbehaviour, status: int, error: str) -> None:
    """A refusal happens before the authority acts: the same refresh token works the next time."""
    tokens = await authority.signed_in()
    authority.misbehave(name, times=1, at="token")
    refused = await authority.refresh(tokens["refresh_token"])

    assert (refused.status_code, refused.json()["error"]) == (status, error)
    assert (await authority.refresh(tokens["refresh_token"])).status_code == 200


async def test_a_refused_refresh_spares_the_codes(authority: LocalAuthority) -> None:
    """REFRESH_REFUSED leaves sign-ins alone."""
    authority.misbehave(Misbehaviour.REFRESH_REFUSED)
    tokens = await authority.signed_in()

    assert (await authority.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"


async def test_a_lost_answer_has_happened(authority: LocalAuthority) -> None:
    """The token was rotated and nobody heard of it: the caller sees a broken connection, and its token is spent."""
    tokens = await authority.signed_in()
    authority.misbehave(Misbehaviour.ANSWER_LOST, times=1)
    with pytest.raises(httpx.ReadError):
        await authority.refresh(tokens["refresh_token"])

    assert (await authority.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"


async def test_an_unreachable_authority_has_heard_nothing(authority: LocalAuthority) -> None:
    """The connection is refused, and the same token works the next time."""
    tokens = await authority.signed_in()
    authority.misbehave(Misbehaviour.UNREACHABLE, times=1, at="token")
    with pytest.raises(httpx.ConnectError):
        await authority.refresh(tokens["refresh_token"])

    assert (await authority.refresh(tokens["refresh_token"])).status_code == 200


async def test_a_slow_authority_runs_into_the_callers_time_out(authority: LocalAuthority) -> None:
    """SLOW takes as long as it is told; a caller with less patience sees a read time-out."""
    authority.misbehave(Misbehaviour.SLOW, at="keys")
    async with httpx.AsyncClient(transport=authority.transport, timeout=0.02) as http:
        with pytest.raises(httpx.ReadTimeout):
            await http.get(authority.metadata["jwks_uri"])
    authority.misbehaviours.seconds = 0.0
    async with httpx.AsyncClient(transport=authority.transport) as http:
        assert (await http.get(authority.metadata["jwks_uri"])).status_code == 200


async def _get(authority: LocalAuthority, url: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=authority.transport) as http:
        return await http.get(url)


async def test_any_endpoint_can_fail(authority: LocalAuthority) -> None:
    """Down, broken, oversized and redirected answers come where they are asked for, and nowhere else."""
    url, keys = authority.options.metadata_url, authority.metadata["jwks_uri"]
    for name in (Misbehaviour.DOWN, Misbehaviour.BROKEN_JSON, Misbehaviour.OVERSIZED, Misbehaviour.REDIRECTED):
        authority.misbehave(name, times=1, at="metadata")
        assert (await _get(authority, keys)).status_code == 200
        response = await _get(authority, url)
        if name is Misbehaviour.DOWN:
            assert response.status_code == 503
        elif name is Misbehaviour.BROKEN_JSON:
            with pytest.raises(json.JSONDecodeError):
                response.json()
        elif name is Misbehaviour.OVERSIZED:
            assert len(response.content) > 1_000_000
        else:
            assert (response.status_code, response.headers["location"][:8]) == (307, "https://")
        assert (await _get(authority, url)).json()["issuer"] == authority.options.issuer_identifier


async def test_the_metadata_can_name_another_issuer(authority: LocalAuthority) -> None:
    """METADATA_WRONG_ISSUER changes the issuer and nothing else."""
    authority.misbehave(Misbehaviour.METADATA_WRONG_ISSUER, times=1)
    wrong = (await _get(authority, authority.options.metadata_url)).json()

    assert wrong == {**authority.metadata, "issuer": "https://another-authority.example"}


@pytest.mark.parametrize(
    ("name", "issuers"),
    [
        (Misbehaviour.RESPONSE_WRONG_ISSUER, ["https://another-authority.example"]),
        (Misbehaviour.RESPONSE_MISSING_ISSUER, []),
        (Misbehaviour.RESPONSE_REPEATED_ISSUER, ["{issuer}", "{issuer}"]),
    ],
)
async def test_the_responses_issuer_can_be_wrong(
    authority: LocalAuthority, name: Misbehaviour, issuers: list[str]
) -> None:
    """The iss of an authorization response is another, missing or there twice; code and state stay."""
    authority.misbehave(name, times=1)
    response = await authority.browser().sign_in(authorization_url(authority))
    pairs = parse_qsl(urlsplit(response.headers["location"]).query)
    expected = [issuer.format(issuer=authority.options.issuer_identifier) for issuer in issuers]

    assert [value for key, value in pairs if key == "iss"] == expected
    assert {"code", "state"} <= dict(pairs).keys()


async def test_without_a_constructors_word_nothing_can_misbehave() -> None:
    """An authority that was given no misbehaviours holds no code path to one: honest signer, bare wire."""
    app = create_app(Options(password_cost=2), signing_key=signing_key())
    layers = {getattr(layer.cls, "__name__", "") for layer in app.user_middleware}

    assert MisbehavingWire.__name__ not in layers
    assert not isinstance(app.state.services.tokens._signer, LyingSigner)


async def test_the_record_counts_what_was_asked(authority: LocalAuthority) -> None:
    """Calls by endpoint and grant type, refusals by code, revocations by token are counted."""
    tokens = await authority.signed_in()
    await authority.refresh(tokens["refresh_token"])
    await authority.refresh(tokens["refresh_token"])
    response_parameters(await authority.browser().cancel(authorization_url(authority)))

    assert authority.record.token_calls == {"authorization_code": 1, "refresh_token": 2}
    assert authority.record.refusals == {"invalid_grant": 1}
    assert authority.record.requests == {"authorize": 2, "token": 3}
    authority.record.clear()
    assert not authority.record.requests
