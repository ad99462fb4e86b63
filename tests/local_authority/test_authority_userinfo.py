"""Userinfo and revocation: tokens that come back."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from local_authority.seeds import ADA, BFF_CLIENT_ID, DAEMON_CLIENT_ID
from tests.world.authority import CLIENT_SECRET, LocalAuthority, Misbehaviour, claims_of
from tests.world.clock import MovableClock


async def _userinfo(authority: LocalAuthority, *authorization: str) -> httpx.Response:
    headers = [("authorization", value) for value in authorization]
    async with httpx.AsyncClient(transport=authority.transport) as http:
        return await http.get(authority.metadata["userinfo_endpoint"], headers=headers)


async def _revoke(authority: LocalAuthority, token: str, **form: str) -> httpx.Response:
    client = {"client_id": BFF_CLIENT_ID, "client_secret": CLIENT_SECRET}
    return await authority.post("revocation_endpoint", {**client, "token": token, **form})


@pytest.fixture
async def tokens(authority: LocalAuthority) -> dict[str, Any]:
    """Tokens without an API: their access token is for userinfo."""
    return await authority.signed_in(scope="openid profile email offline_access")


async def test_userinfo_tells_what_the_scopes_open(authority: LocalAuthority, tokens: dict[str, Any]) -> None:
    """Userinfo answers with the ID token's sub and the scopes' claims (OIDC Core 5.3.2)."""
    response = await _userinfo(authority, f"Bearer {tokens['access_token']}")

    assert response.json() == {
        "sub": claims_of(tokens["id_token"])["sub"],
        "oid": ADA.oid,
        "name": ADA.name,
        "preferred_username": ADA.email,
        "email": ADA.email,
    }


async def test_userinfo_refuses_everything_else(authority: LocalAuthority, tokens: dict[str, Any]) -> None:
    """No token, two, another scheme, an ID token, another resource's token: each its own challenge (RFC 6750 3)."""
    for_api = (await authority.signed_in())["access_token"]
    own = f"Bearer {tokens['access_token']}"
    answers = {
        "nothing": await _userinfo(authority),
        "two": await _userinfo(authority, own, own),
        "basic": await _userinfo(authority, "Basic x"),
        "rubbish": await _userinfo(authority, "Bearer x.y.z"),
        "id token": await _userinfo(authority, f"Bearer {tokens['id_token']}"),
        "api": await _userinfo(authority, f"Bearer {for_api}"),
    }
    expected = {"nothing": 401, "two": 400, "basic": 400, "rubbish": 401, "id token": 401, "api": 401}

    assert {name: answer.status_code for name, answer in answers.items()} == expected
    assert "error" not in answers["nothing"].headers["www-authenticate"]
    assert 'error="invalid_token"' in answers["api"].headers["www-authenticate"]


async def test_an_expired_token_is_refused(
    authority: LocalAuthority, tokens: dict[str, Any], clock: MovableClock
) -> None:
    """Userinfo takes no token past its exp."""
    clock.advance(authority.options.lifetimes.access_token)

    assert (await _userinfo(authority, f"Bearer {tokens['access_token']}")).status_code == 401


async def test_a_revoked_refresh_token_ends_its_grant(authority: LocalAuthority, tokens: dict[str, Any]) -> None:
    """After the refresh token's revocation neither it nor the access token works (RFC 7009 2.1)."""
    response = await _revoke(authority, tokens["refresh_token"], token_type_hint="refresh_token")

    assert (response.status_code, response.content) == (200, b"")
    assert (await authority.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await _userinfo(authority, f"Bearer {tokens['access_token']}")).status_code == 401
    assert authority.record.revocations == {"refresh_token": 1}


async def test_an_authority_can_revoke_one_token_and_spare_its_grant(
    authority: LocalAuthority, tokens: dict[str, Any]
) -> None:
    """Where it is told so: a living refresh token dies alone, and a spent one takes nothing along."""
    authority.misbehave(Misbehaviour.REVOKES_ONE_TOKEN)
    spent = tokens["refresh_token"]
    living = (await authority.refresh(spent)).json()["refresh_token"]
    await _revoke(authority, spent)
    newest = (await authority.refresh(living)).json()["refresh_token"]
    await _revoke(authority, newest)
    assert (await authority.refresh(newest)).json()["error"] == "invalid_grant"
    grant = authority.services.grants.of_refresh_token(newest)
    assert grant is not None
    assert grant.revoked is False


async def test_a_revoked_access_token_is_dead_alone(authority: LocalAuthority, tokens: dict[str, Any]) -> None:
    """An access token can be revoked by itself; a wrong hint does not matter."""
    await _revoke(authority, tokens["access_token"], token_type_hint="refresh_token")

    assert (await _userinfo(authority, f"Bearer {tokens['access_token']}")).status_code == 401
    assert (await authority.refresh(tokens["refresh_token"])).status_code == 200


async def test_an_unknown_token_is_revoked_already(authority: LocalAuthority) -> None:
    """Revoking what does not exist succeeds (RFC 7009 2.2)."""
    assert (await _revoke(authority, "unknown")).status_code == 200


async def test_revocation_is_for_the_tokens_own_client(authority: LocalAuthority, tokens: dict[str, Any]) -> None:
    """Nobody revokes without proving who they are, nor another client's token, nor an ID token."""
    daemon = {"client_id": DAEMON_CLIENT_ID, "client_secret": authority.daemon_secret}
    anonymous = await _revoke(authority, tokens["refresh_token"], client_secret="")
    foreign = [await _revoke(authority, tokens[name], **daemon) for name in ("refresh_token", "access_token")]
    identity = await _revoke(authority, tokens["id_token"])

    assert anonymous.status_code == 401
    assert [answer.json()["error"] for answer in foreign] == ["invalid_request", "invalid_request"]
    assert identity.json()["error"] == "unsupported_token_type"
    assert (await _userinfo(authority, f"Bearer {tokens['access_token']}")).status_code == 200
    assert (await authority.refresh(tokens["refresh_token"])).status_code == 200
