"""Against npm's oidc-provider, which is certified, rotates strictly, and ends the grant of a reused refresh token."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import RSAKey

from tests.interop.conftest import BFF_ORIGIN, OpenSite
from tests.interop.peers import HERE, free_port, node, running
from tests.world.browser import Tab, Visit
from tests.world.house import problem_of

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]
SECRET = "u3Hq-8Lw2_zTk5Rb9Xn7-4Vd6Pm1Cy0"
API = "https://todo.example.test/"
SCOPES = ["openid", "profile", "email", "offline_access", "ToDoList.Read", "ToDoList.ReadWrite"]


@pytest.fixture(scope="session")
def key_pem() -> bytes:
    """A private key of this relying party."""
    key = rsa.generate_private_key(65537, 2048)
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)


@pytest.fixture(scope="session")
def issuer(tmp_path_factory: pytest.TempPathFactory, key_pem: bytes) -> Iterator[str]:
    """A running server whose issuer is where it answers."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    public = RSAKey.import_key(key_pem).as_dict(private=False) | {"use": "sig", "alg": "RS256"}
    environment = {
        "PORT": str(port),
        "ISSUER": address,
        "API": API,
        "SECRET": SECRET,
        "BFF": BFF_ORIGIN,
        "CLIENT_JWKS": json.dumps({"keys": [public]}),
    }
    folder = tmp_path_factory.mktemp("oidc-provider")
    command = [node(), str(HERE / "node/oidc_provider.mjs")]
    with running(command, ready=f"{address}/.well-known/openid-configuration", environment=environment, folder=folder):
        yield address


def relying_party(issuer: str, **other: Any) -> dict[str, Any]:
    """The BFF's [authority] table: prompt=consent is what this server gives a refresh token for."""
    table = {"issuer": issuer, "client_id": "bff", "client_secret": SECRET, "scopes": SCOPES}
    return table | {"authorize_params": {"prompt": "consent"}} | other


def resource_server(issuer: str, **other: Any) -> dict[str, Any]:
    """The API's settings for this server's at+jwt tokens."""
    return {"issuers": (issuer,), "audience": API, "profile": "rfc9068"} | other


async def sign_in(tab: Tab, person: str = "ada", path: str = "/bff/login?return_to=/todos") -> Visit:
    """Go through the server's own pages: its login form, then its consent form."""
    await tab.go(f"{BFF_ORIGIN}/")
    visit = await tab.link(path)
    for _ in range(4):
        if visit.url.startswith(BFF_ORIGIN):
            break
        fields = visit.forms[0].fields
        visit = await (tab.submit(login=person, password="any") if "login" in fields else tab.submit())
    return visit


@pytest.mark.req("BBA-1", "BBA-2", "OIDC-1", "OIDC-3", "OIDC-8", "ISS-1", "ISS-3", "RS-1")
async def test_sign_in_and_call(issuer: str, open_site: OpenSite) -> None:
    """A certified server's code, iss, ID token and at+jwt access token pass our checks, and the call arrives."""
    async with open_site(authority=relying_party(issuer), api=resource_server(issuer)) as site:
        tab = site.tab()
        visit = await sign_in(tab)
        assert visit.url == f"{BFF_ORIGIN}/todos"
        assert (await site.user(tab))["claims"]["sub"] == "ada"
        created = await tab.api("/api/todolist", method="POST", json={"description": "Interoperate"})
        assert created.status_code == 201, created.text
        assert [one["description"] for one in (await tab.api("/api/todolist")).json()] == ["Interoperate"]


@pytest.mark.req("OIDC-5", "OA-5", "BBA-17")
async def test_parallel_calls_refresh_once_under_strict_rotation(issuer: str, open_site: OpenSite) -> None:
    """Fifty calls at the end of an access token make one token call, and the session goes on, round after round."""
    async with open_site(authority=relying_party(issuer), api=resource_server(issuer)) as site:
        tab = site.tab()
        await sign_in(tab)
        for _ in range(3):
            before = site.internet.calls("POST", "/token")
            site.clock.advance(58)
            answers = await asyncio.gather(*(tab.api("/api/todolist") for _ in range(50)))
            assert {answer.status_code for answer in answers} == {200}
            assert site.internet.calls("POST", "/token") == before + 1


@pytest.mark.req("RPIL-1", "RPIL-2", "F31", "F33")
async def test_sign_out_reaches_the_server(issuer: str, open_site: OpenSite) -> None:
    """Sign-out ends our session, revokes the refresh token, ends the server's session, and returns with our state."""
    async with open_site(authority=relying_party(issuer), api=resource_server(issuer)) as site:
        tab = site.tab()
        await sign_in(tab)
        answer = await tab.api("/bff/logout", method="POST")
        assert answer.json() == {"redirect_to": "/bff/logout/continue"}
        assert problem_of(await tab.api("/api/todolist")) == "no-session"
        visit = await tab.link("/bff/logout/continue")
        assert visit.url.startswith(issuer)
        visit = await tab.submit(_button="logout=yes")
        assert f"{BFF_ORIGIN}/bff/logged-out" in [url.split("?")[0] for url in visit.chain]
        assert site.internet.calls("POST", "/token/revocation") == 1
        assert tab.browser.names().isdisjoint({"bff-3000", "bff-3000.1", "bff-3000-idle", "bff-3000-logged-out"})
        again = await tab.link("/bff/login")
        assert "login" in again.forms[0].fields, "the server still knew us"


@pytest.mark.req("OIDC-2", "ATK-7")
async def test_cancelled_at_the_server(issuer: str, open_site: OpenSite) -> None:
    """Cancelling at the server's page leads to a page of ours with the way on, and to no session."""
    async with open_site(authority=relying_party(issuer), api=resource_server(issuer)) as site:
        tab = site.tab()
        await tab.go(f"{BFF_ORIGIN}/")
        visit = await tab.link("/bff/login")
        cancel = visit.response.text.split('href="')
        target = next(part.split('"')[0] for part in cancel if part.split('"')[0].endswith("/abort"))
        visit = await tab.link(target)
        assert visit.path == "/bff/callback"
        assert visit.response.status_code == 403
        assert "You cancelled" in visit.response.text
        assert not (await site.user(tab))["authenticated"]


@pytest.mark.req("OIDC-2")
async def test_prompt_none_without_a_session(issuer: str, open_site: OpenSite) -> None:
    """prompt=none without a session at the server is login_required, told in our words."""
    async with open_site(authority=relying_party(issuer), api=resource_server(issuer)) as site:
        tab = site.tab()
        await tab.go(f"{BFF_ORIGIN}/")
        visit = await tab.link("/bff/login?prompt=none")
        assert visit.response.status_code == 403
        assert "Please sign in" in visit.response.text


@pytest.mark.req("BBA-1")
async def test_a_wrong_secret_is_our_fault(issuer: str, open_site: OpenSite) -> None:
    """invalid_client is answered 502 with a page for the operator, never as if the person had done something wrong."""
    authority = relying_party(issuer, client_secret="w9Zp-3Kc7_qLm2Xs6Tf8-5Hd1Rb4Ny0")
    async with open_site(authority=authority, api=resource_server(issuer)) as site:
        visit = await sign_in(site.tab())
        assert visit.response.status_code == 502
        assert "registration is refused" in visit.response.text


@pytest.mark.req("BBA-1", "ATK-57")
async def test_private_key_jwt(issuer: str, key_pem: bytes, open_site: OpenSite, tmp_path: Path) -> None:
    """The server accepts our client assertions at sign-in and at refresh: each is new, and names the issuer."""
    pem = tmp_path / "key.pem"
    pem.write_bytes(key_pem)
    authority = relying_party(issuer, client_id="bff-key", client_secret=None, private_key_file=pem)
    async with open_site(authority=authority, api=resource_server(issuer)) as site:
        tab = site.tab()
        await sign_in(tab)
        site.clock.advance(58)
        assert (await tab.api("/api/todolist")).status_code == 200
        assert site.internet.calls("POST", "/token") == 2


@pytest.mark.req("OIDC-3", "OA-5", "ISS-1")
async def test_metadata_and_issuer_on_different_hosts(open_site: OpenSite, tmp_path: Path) -> None:
    """An issuer on one host, its metadata read from another, as Entra External ID has it, is compared exactly."""
    port, prefix = free_port(), "/0b1c2d3e/v2.0"
    issuer, elsewhere = f"http://127.0.0.1:{port}{prefix}", f"http://localhost:{port}{prefix}"
    metadata = f"{elsewhere}/.well-known/openid-configuration"
    environment = {
        "PORT": str(port),
        "ISSUER": issuer,
        "PREFIX": prefix,
        "API": API,
        "SECRET": SECRET,
        "BFF": BFF_ORIGIN,
    }
    with running(
        [node(), str(HERE / "node/oidc_provider.mjs")], ready=metadata, environment=environment, folder=tmp_path
    ):
        authority = relying_party(issuer, metadata_url=metadata)
        async with open_site(authority=authority, api=resource_server(issuer, metadata_url=metadata)) as site:
            tab = site.tab()
            await sign_in(tab)
            assert (await tab.api("/api/todolist")).status_code == 200
