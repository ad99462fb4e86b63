"""What is advertised, in both shapes, and the two host names."""

from __future__ import annotations

import json

import httpx
import pytest

from local_authority.seeds import API_CLIENT_ID, BFF_CLIENT_ID, READ_SCOPE, READ_WRITE_SCOPE, TENANT_ID
from tests.world.authority import LocalAuthority, authorization_url, claims_of, response_parameters

ABSENT_AT_ENTRA = {
    "code_challenge_methods_supported",
    "revocation_endpoint",
    "authorization_response_iss_parameter_supported",
    "prompt_values_supported",
    "backchannel_logout_supported",
}


async def _get(authority: LocalAuthority, url: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=authority.transport) as http:
        return await http.get(url, headers=headers)


@pytest.mark.req("K-21", "K-22", "K-23", "K-24")
@pytest.mark.parametrize("shape", ["full", "entra"])
async def test_the_metadata_names_this_issuer_and_its_endpoints(shape: str) -> None:
    """The document is where the issuer says, names exactly that issuer, and endpoints as Entra spells them."""
    authority = LocalAuthority(shape=shape)
    issuer = authority.options.issuer_identifier
    response = await _get(authority, f"{issuer}/.well-known/openid-configuration")
    metadata = response.json()

    assert metadata["issuer"] == issuer
    assert metadata["token_endpoint"] == f"http://127.0.0.1:3002/{TENANT_ID}/oauth2/v2.0/token"
    assert metadata["response_modes_supported"] == ["query", "fragment", "form_post"]
    assert set(metadata["token_endpoint_auth_methods_supported"]) == {
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
    }
    assert metadata["frontchannel_logout_supported"] is True
    assert (await _get(authority, metadata["jwks_uri"])).json()["keys"]


async def test_the_full_shape_advertises_everything() -> None:
    """S256 alone, iss in responses, revocation, prompts and logout in both channels are advertised."""
    metadata = LocalAuthority().metadata

    assert metadata.keys() >= ABSENT_AT_ENTRA
    assert metadata["code_challenge_methods_supported"] == ["S256"]
    assert {READ_SCOPE, READ_WRITE_SCOPE, "offline_access"} <= set(metadata["scopes_supported"])


async def test_entras_shape_advertises_as_little_as_entra() -> None:
    """Entra says nothing of PKCE, revocation and iss; then there is no revocation, and no iss in responses."""
    authority = LocalAuthority(shape="entra")
    full = LocalAuthority()
    answers = [
        response_parameters(await authority.browser().sign_in(authorization_url(authority))),
        response_parameters(await authority.browser().cancel(authorization_url(authority))),
    ]
    revocation = await _get(authority, full.metadata["revocation_endpoint"])

    assert not ABSENT_AT_ENTRA & authority.metadata.keys()
    assert not any("iss" in answer for answer in answers)
    assert revocation.status_code == 404


async def test_entras_shape_still_requires_pkce() -> None:
    """What is not advertised is enforced all the same."""
    authority = LocalAuthority(shape="entra")
    answer = response_parameters(await authority.browser().get(authorization_url(authority, code_challenge=None)))

    assert answer["error"] == "invalid_request"


@pytest.mark.req("K-34")
async def test_entras_keys_name_their_issuer() -> None:
    """In Entra's shape each key carries its issuer; ID tokens have no at_hash there."""
    authority = LocalAuthority(shape="entra")
    keys = (await _get(authority, authority.metadata["jwks_uri"])).json()["keys"]
    tokens = await authority.signed_in()

    assert {key["issuer"] for key in keys} == {authority.options.issuer_identifier}
    assert "at_hash" not in claims_of(tokens["id_token"])


TWO_APIS = f"""
[[api]]
client_id = "{API_CLIENT_ID}"
name = "To-do API"
scopes = ["ToDoList.Read", "ToDoList.ReadWrite"]
[[api]]
client_id = "bbbbbbbb-0000-4000-8000-000000000002"
name = "Calendar API"
scopes = ["Events.Read"]
"""
EVENTS = "api://bbbbbbbb-0000-4000-8000-000000000002/Events.Read"


@pytest.mark.parametrize("shape", ["full", "entra"])
async def test_a_token_is_for_one_resource(shape: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A grant may cover two resources in the full shape, and a refresh picks one; Entra grants what was consented."""
    config = tmp_path_factory.mktemp("config") / "people.toml"
    config.write_text(TWO_APIS)
    authority = LocalAuthority(shape=shape, config=config)
    both = f"openid offline_access {READ_SCOPE} {EVENTS}"
    url, browser = authorization_url(authority, scope=both), authority.browser()
    answer = response_parameters(await (browser.sign_in(url) if shape == "full" else browser.get(url)))
    one = both if shape == "full" else f"openid offline_access {READ_SCOPE}"
    tokens = await authority.signed_in(scope=one)
    refused = await authority.refresh(tokens["refresh_token"], scope=f"{READ_SCOPE} {EVENTS}")
    events = (await authority.refresh(tokens["refresh_token"], scope=EVENTS)).json()

    assert ("code" in answer) is (shape == "full")
    assert claims_of(tokens["access_token"])["aud"] == API_CLIENT_ID
    assert tokens["scope"] == READ_SCOPE
    assert refused.json()["error"] == "invalid_scope"
    assert claims_of(events["access_token"])["scp"] == "Events.Read"


async def test_the_metadata_can_be_on_another_host_than_the_issuer() -> None:
    """With a metadata host, the document is there alone, and names issuer and endpoints on their own hosts."""
    authority = LocalAuthority(
        metadata_host="localhost",
        issuer="http://issuer.test/tenant/v2.0",
        base_url="http://127.0.0.1:3002",
    )
    there = await _get(authority, authority.options.metadata_url)
    elsewhere = await _get(authority, authority.options.metadata_url.replace("localhost", "127.0.0.1"))
    derived = await _get(authority, "http://issuer.test/tenant/v2.0/.well-known/openid-configuration")
    tokens = await authority.signed_in()

    assert authority.options.metadata_url.startswith("http://localhost:3002/")
    assert there.json()["issuer"] == "http://issuer.test/tenant/v2.0"
    assert there.json()["token_endpoint"].startswith("http://127.0.0.1:3002/")
    assert [elsewhere.status_code, derived.status_code] == [404, 404]
    assert claims_of(tokens["id_token"])["iss"] == "http://issuer.test/tenant/v2.0"


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.test", "", "[", "10.0.0.1:3002"])
async def test_no_answer_under_a_foreign_name(authority: LocalAuthority, host: str) -> None:
    """A name that was rebound to the loopback finds nothing (DNS rebinding)."""
    response = await _get(authority, authority.metadata["jwks_uri"], host=host)

    assert response.status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1:3002", "localhost:9", "LOCALHOST", "[::1]:3002"])
async def test_the_loopbacks_names_are_ours(authority: LocalAuthority, host: str) -> None:
    """The loopback's own names are answered, whatever the port in front."""
    assert (await _get(authority, authority.metadata["jwks_uri"], host=host)).status_code == 200


async def test_documents_may_be_cached_for_minutes(authority: LocalAuthority) -> None:
    """Metadata and keys say how long they may be kept, and are plain JSON."""
    for url in (authority.options.metadata_url, authority.metadata["jwks_uri"]):
        response = await _get(authority, url)
        assert response.headers["cache-control"] == "public, max-age=300"
        assert json.loads(response.text)


async def test_the_metadata_is_no_secret_of_anybody(authority: LocalAuthority) -> None:
    """Neither document holds a secret or a private key."""
    urls = (authority.options.metadata_url, authority.metadata["jwks_uri"])
    texts = [(await _get(authority, url)).text for url in urls]

    assert not any(f'"{member}"' in text for text in texts for member in ("d", "p", "q", "k", "client_secret"))
    assert BFF_CLIENT_ID not in "".join(texts)
