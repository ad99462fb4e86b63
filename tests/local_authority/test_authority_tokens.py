"""The claims of every token, as the rows K-01…K-19 say."""

from __future__ import annotations

from uuid import UUID

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from local_authority.seeds import (
    ADA,
    API_CLIENT_ID,
    BFF_CLIENT_ID,
    DAEMON_CLIENT_ID,
    DEFAULT_SCOPE,
    READ_ALL,
    READ_SCOPE,
    READ_WRITE_ALL,
    TENANT_ID,
)
from local_authority.tokens import at_hash
from tests.world.authority import LocalAuthority, claims_of, header_of
from tests.world.clock import MovableClock


@pytest.mark.req("K-01", "K-02", "K-03", "K-04", "K-05", "K-07", "K-08", "K-09", "K-12", "K-13", "K-14")
async def test_a_users_access_token(authority: LocalAuthority, clock: MovableClock) -> None:
    """A user's access token says for which API, by whom, until when, for whom, through which client, and to do what."""
    claims = claims_of((await authority.signed_in())["access_token"])
    now = int(clock.now())

    assert claims["aud"] == API_CLIENT_ID
    assert claims["iss"] == f"http://127.0.0.1:3002/{TENANT_ID}/v2.0"
    assert (claims["iat"], claims["nbf"], claims["exp"]) == (now, now, now + 3_600)
    assert (claims["tid"], claims["oid"], claims["azp"]) == (TENANT_ID, ADA.oid, BFF_CLIENT_ID)
    assert (claims["azpacr"], claims["ver"]) == ("1", "2.0")
    assert claims["scp"] == "ToDoList.Read ToDoList.ReadWrite"
    assert (claims["name"], claims["preferred_username"]) == (ADA.name, ADA.email)
    assert str(UUID(claims["uti"])) == claims["uti"]
    assert not {"idtyp", "roles", "nonce", "at_hash", "email"} & claims.keys()


@pytest.mark.req("K-05", "K-09", "K-10", "K-11", "T-07", "T-08", "T-19")
async def test_an_apps_access_token(authority: LocalAuthority) -> None:
    """An app's own token has its roles and idtyp=app, no scp and nobody's name, and sub and oid are the app's."""
    secret = authority.daemon_secret
    response = await authority.token(
        grant_type="client_credentials", scope=DEFAULT_SCOPE, client_id=DAEMON_CLIENT_ID, client_secret=secret
    )
    claims = claims_of(response.json()["access_token"])

    assert response.json().keys() == {"token_type", "access_token", "expires_in", "scope"}
    assert (claims["aud"], claims["azp"], claims["idtyp"]) == (API_CLIENT_ID, DAEMON_CLIENT_ID, "app")
    assert claims["roles"] == [READ_ALL, READ_WRITE_ALL]
    assert str(UUID(claims["oid"])) == claims["oid"]
    assert claims["sub"] == claims["oid"]
    assert not {"scp", "name", "preferred_username"} & claims.keys()


@pytest.mark.req("K-10")
async def test_an_app_without_roles_gets_a_token_without_roles(authority: LocalAuthority) -> None:
    """A client that no admin consented to gets no roles claim at all."""
    claims = claims_of(
        (await authority.token(grant_type="client_credentials", scope=DEFAULT_SCOPE)).json()["access_token"]
    )

    assert "roles" not in claims


async def test_an_id_token(authority: LocalAuthority, clock: MovableClock) -> None:
    """An ID token is the client's, with nonce, session, time of sign-in, and what profile and email tell."""
    tokens = await authority.signed_in()
    claims = claims_of(tokens["id_token"])

    assert (claims["aud"], claims["iss"]) == (BFF_CLIENT_ID, authority.options.issuer_identifier)
    assert claims["nonce"] == "the-nonce"
    assert claims["auth_time"] == int(clock.now())
    assert (claims["oid"], claims["tid"], claims["ver"]) == (ADA.oid, TENANT_ID, "2.0")
    assert (claims["name"], claims["preferred_username"], claims["email"]) == (ADA.name, ADA.email, ADA.email)
    assert claims["at_hash"] == at_hash(tokens["access_token"])
    assert {"sid", "login_hint", "sub"} <= claims.keys()
    assert not {"scp", "roles", "azp", "acr"} & claims.keys()


@pytest.mark.parametrize(
    ("scope", "told"),
    [
        ("openid", set()),
        ("openid profile", {"name", "preferred_username", "oid"}),
        ("openid email", {"email"}),
    ],
)
async def test_scopes_decide_what_is_told(authority: LocalAuthority, scope: str, told: set[str]) -> None:
    """Profile and email open their claims, and no others."""
    claims = claims_of((await authority.signed_in(scope=scope))["id_token"])

    assert claims.keys() & {"name", "preferred_username", "oid", "email"} == told


async def test_no_nonce_where_none_was_sent(authority: LocalAuthority) -> None:
    """The nonce is echoed, never invented."""
    assert "nonce" not in claims_of((await authority.signed_in(nonce=None))["id_token"])


@pytest.mark.req("K-06")
async def test_subjects_are_pairwise(authority: LocalAuthority) -> None:
    """A person's sub is stable for an application and another for every other; oid is the same everywhere."""
    first, second = await authority.signed_in(), await authority.signed_in()
    id_claims, access_claims = claims_of(first["id_token"]), claims_of(first["access_token"])
    other = authority.services.tokens.subject(ADA.oid, DAEMON_CLIENT_ID)

    assert id_claims["sub"] == claims_of(second["id_token"])["sub"]
    assert len({id_claims["sub"], access_claims["sub"], other}) == 3
    assert id_claims["oid"] == access_claims["oid"]
    assert ADA.oid not in {id_claims["sub"], access_claims["sub"]}


@pytest.mark.req("K-30")
async def test_tokens_verify_against_the_published_keys(authority: LocalAuthority) -> None:
    """Header typ, alg and kid lead to the published key, which verifies; no private part is published."""
    tokens = await authority.signed_in()
    published = (await authority.browser().get(authority.metadata["jwks_uri"])).json()
    keys = KeySet.import_key_set(published)

    for name in ("access_token", "id_token"):
        assert header_of(tokens[name]) == {"typ": "JWT", "alg": "RS256", "kid": published["keys"][0]["kid"]}
        assert jwt.decode(tokens[name], keys, algorithms=["RS256"]).claims["tid"] == TENANT_ID
    assert [key.keys() for key in published["keys"]] == [{"n", "e", "kty", "use", "alg", "kid"}]


@pytest.mark.req("K-40")
async def test_keys_rotate_and_the_old_ones_stay_for_a_while(authority: LocalAuthority) -> None:
    """After a rotation new tokens have a new kid; the old key is published beside it, or gone where told so."""
    before = header_of((await authority.signed_in())["id_token"])["kid"]
    authority.rotate_keys()
    after = header_of((await authority.signed_in())["id_token"])["kid"]
    both = [key["kid"] for key in authority.services.keys.published()]
    authority.rotate_keys(keep_old=False)
    authority.rotate_keys()

    assert both == [after, before]
    assert before not in [key["kid"] for key in authority.services.keys.published()]
    assert len(authority.services.keys.published()) == 2


async def test_lifetimes_are_options() -> None:
    """Each token lives as long as the options say."""
    from local_authority.options import Lifetimes

    authority = LocalAuthority(lifetimes=Lifetimes(access_token=60, id_token=120))
    tokens = await authority.signed_in()
    access, identity = claims_of(tokens["access_token"]), claims_of(tokens["id_token"])

    assert tokens["expires_in"] == access["exp"] - access["iat"] == 60
    assert identity["exp"] - identity["iat"] == 120


async def test_the_answers_scope_is_the_access_tokens(authority: LocalAuthority) -> None:
    """The scope of an answer lists the resource's full names; only without an API those of OpenID Connect."""
    api = await authority.signed_in(scope=f"openid profile {READ_SCOPE}")
    plain = await authority.signed_in(scope="openid profile")

    assert api["scope"] == READ_SCOPE
    assert plain["scope"] == "openid profile"
