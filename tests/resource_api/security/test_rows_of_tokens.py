"""What the inventory of Entra's tokens says in passing, and an API must hold to (K-16, K-18, K-42, K-50, K-64)."""

from __future__ import annotations

import time
from typing import Any

import pytest
from fastapi import FastAPI

from resource_api.security import CurrentPrincipal, InvalidToken, ResourceServer, protect, requires
from resource_api.security.key_set import UNKNOWN_KID_COOL_DOWN
from tests.resource_api.conftest import bearing, caller
from tests.resource_api.security.conftest import Verify
from tests.world.clock import MovableClock
from tests.world.key_host import KeyHost
from tests.world.tokens import ALICE, access_token, app_token

OVERAGE: dict[str, Any] = {
    "_claim_names": {"groups": "src1"},
    "_claim_sources": {"src1": {"endpoint": "https://graph.windows.net/7f1d8c5e/users/a11ce000/getMemberObjects"}},
}


@pytest.mark.req("K-16")
async def test_a_groups_overage_leads_nowhere(verify: Verify, key_host: KeyHost) -> None:
    """The address that a token names for too many groups is never asked, and grants nothing."""
    principal = await verify(access_token(**OVERAGE))
    assert principal.app_roles == frozenset()
    assert {str(one.url) for one in key_host.requests} == {key_host.metadata_url, key_host.jwks_uri}


@pytest.mark.req("K-18", "A-22", "K-13")
@pytest.mark.parametrize(
    "claims",
    [
        {"email": "bob@example.com", "xms_edov": True},
        {"preferred_username": "bob@example.com", "upn": "bob@example.com", "unique_name": "bob@example.com"},
        {"name": "Bob", "acct": 1, "idp": "https://evil.example", "ipaddr": "192.0.2.1"},
        {"login_hint": "O.bob", "sid": "somebody-elses"},
    ],
    ids="-".join,
)
async def test_what_a_person_is_called_decides_nothing(verify: Verify, claims: dict[str, Any]) -> None:
    """Names and addresses may be anybody's: owner, kind and scopes are those of the same token without them."""
    plain, named = await verify(access_token()), await verify(access_token(**claims))
    assert named.owner == ALICE
    assert (named.owner, named.kind, named.scopes, named.tag) == (plain.owner, plain.kind, plain.scopes, plain.tag)


@pytest.mark.req("K-03", "K-50")
@pytest.mark.parametrize("lifetime", [600, 60 * 60, 90 * 60, 28 * 60 * 60])
async def test_a_token_lives_as_long_as_its_issuer_says(verify: Verify, clock: MovableClock, lifetime: int) -> None:
    """From ten minutes to a continuously evaluated day, remembered or not: until its end, and not beyond."""
    token = access_token(exp=int(time.time()) + lifetime)
    assert (await verify(token)).expires_at > time.time()
    clock.advance(lifetime - 30)
    assert (await verify(token)).owner == ALICE
    clock.advance(61)
    with pytest.raises(InvalidToken, match="10 times"):
        await verify(token)


@pytest.mark.req("K-42", "K-43", "ATK-49")
async def test_an_unknown_kid_is_asked_for_once_in_thirty_seconds(
    verify: Verify, key_host: KeyHost, clock: MovableClock
) -> None:
    """Ten minutes of forged names cost twenty fetches, and a key of an emergency is taken within half a minute."""
    assert UNKNOWN_KID_COOL_DOWN == 30
    await verify(access_token())
    before = key_host.asked()
    for second in range(600):
        clock.advance(1)
        with pytest.raises(InvalidToken, match="6 key"):
            await verify(access_token(header={"kid": f"forged-{second}"}))
    assert key_host.asked() - before == 20


@pytest.mark.req("K-60", "K-64")
async def test_a_missing_permission_is_no_challenge_of_another_kind(server: ResourceServer) -> None:
    """403 says insufficient_scope (RFC 6750 3.1), and none of the parameters of an older library's own."""
    app = FastAPI()
    protect(app, server)

    @app.get("/x", dependencies=[requires(scopes=["A"], app_roles=["R"])])
    async def read(principal: CurrentPrincipal) -> str:
        return principal.owner

    async with caller(app) as client:
        for token in (access_token(xms_cc=["cp1"]), app_token()):
            refused = await client.get("/x", headers=bearing(token))
            assert refused.status_code == 403
            assert refused.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="A"'
            assert not {"consentUri", "proposedAction"} & set(refused.text.split('"'))
