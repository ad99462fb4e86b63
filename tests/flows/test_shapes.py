"""One story, whatever the authorization server is like: each shape that is promised, from sign-in to sign-out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from local_authority.seeds import TENANT_ID
from tests.world.house import AUTHORITY_ORIGIN, House, opened_house, problem_of

Tables = tuple[dict[str, Any], dict[str, Any]]


def full(_: Path) -> Tables:
    """Everything that the authority can advertise."""
    return {}, {}


def entra(_: Path) -> Tables:
    """Metadata as thin as Entra's: no PKCE, no revocation, no ``iss`` in the response."""
    return {"shape": "entra"}, {}


def split(_: Path) -> Tables:
    """The metadata on one host, the issuer on another one, as Entra External ID publishes it."""
    issuer = f"http://localhost:3002/{TENANT_ID}/v2.0"
    return {"metadata_host": "localhost", "issuer": issuer}, {}


def posted_secret(_: Path) -> Tables:
    """client_secret_post."""
    return {}, {"authority": {"client_authentication": "client_secret_post"}}


def certificate(folder: Path) -> Tables:
    """private_key_jwt with a certificate (C-61), and no secret at all."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bff")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private, public = folder / "key.pem", folder / "certificate.pem"
    private.write_bytes(_pem(key))
    private.chmod(0o600)
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    settings = {"client_secret": None, "private_key_file": private, "certificate_file": public}
    return {"client_certificate_file": public}, {"authority": settings}


def _pem(key: rsa.RSAPrivateKey) -> bytes:
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, none)


def form_post(_: Path) -> Tables:
    """Responses as forms, from a server of Entra's shape."""
    return {"shape": "entra"}, {"authority": {"response_mode": "form_post"}}


SHAPES = [full, entra, split, posted_secret, certificate, form_post]


@pytest.mark.req("BBA-1", "BBA-2")
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
async def test_the_whole_story(tmp_path: Path, shape: Callable[[Path], Tables]) -> None:
    """Sign up, work, let the token be refreshed, sign out, be refused: the same for every shape."""
    authority, settings = shape(tmp_path)
    async with opened_house(tmp_path, access_token_seconds=300, authority=authority, settings=settings) as house:
        tab = house.browser().tab()
        await house.sign_up(tab, email="mary@example.com", name="Mary", password="it-is-alive-1818")
        await _continue_posted(house, tab)
        tag = await house.tag(tab)
        assert (
            await tab.api("/api/todolist", method="POST", json={"description": "Write"}, tag=tag)
        ).status_code == 201
        house.clock.advance(295)
        assert [one["description"] for one in (await tab.api("/api/todolist", tag=tag)).json()] == ["Write"]
        assert house.record.token_calls == {"authorization_code": 1, "refresh_token": 1}
        visit = await house.sign_out(tab)
        assert visit.url == house.url("/")
        assert problem_of(await tab.api("/api/todolist")) == "no-session"
        assert (await house.begin(tab)).heading == "Sign in"


async def _continue_posted(house: House, tab: Any) -> None:
    """Where the response is a form, its script submits it."""
    if not tab.url.startswith(house.origin):
        await tab.submit()


@pytest.mark.req("BCP-5", "BCP-4")
async def test_pkce_is_sent_to_a_server_that_says_nothing_of_it(tmp_path: Path) -> None:
    """Entra advertises no ``code_challenge_methods_supported``; S256 is sent all the same."""
    async with opened_house(tmp_path, authority={"shape": "entra"}) as house:
        visit = await house.begin(house.browser().tab())
        asked = parse_qs(urlsplit(visit.url).query)
        assert asked["code_challenge_method"] == ["S256"]
        assert len(asked["code_challenge"][0]) == 43


async def test_a_server_without_revocation_is_asked_for_none(tmp_path: Path) -> None:
    """Where there is no revocation endpoint a sign-out is a sign-out here, and at the end-session endpoint."""
    async with opened_house(tmp_path, authority={"shape": "entra"}) as house:
        tab = house.browser().tab()
        await house.sign_in(tab)
        await house.sign_out(tab)
        await house.settle()
        assert house.record.requests["revoke"] == 0
        assert house.record.requests["logout"] == 1


@pytest.mark.req("BCP-14", "OIDC-3")
async def test_the_issuer_is_compared_with_the_settings_not_with_the_address(tmp_path: Path) -> None:
    """With the metadata of another host, tokens still name the configured issuer, exactly."""
    authority, _ = split(tmp_path)
    async with opened_house(tmp_path, authority=authority) as house:
        tab = house.browser().tab()
        await house.sign_in(tab)
        assert (await house.user(tab))["claims"]["iss"] == authority["issuer"]
        assert not house.options.metadata_url.startswith(AUTHORITY_ORIGIN)


async def test_the_entra_profile_sends_no_prompt_create(tmp_path: Path) -> None:
    """Entra's user flows are not known to honour it: its ordinary page, with its way to sign up, is opened (K-23)."""
    tenant = {"profile": "entra-external-id", "tenant_id": TENANT_ID, "tenant_subdomain": "contoso"}
    async with opened_house(tmp_path, authority={"shape": "entra"}, settings={"authority": tenant}) as house:
        visit = await house.begin(house.browser().tab(), "/bff/login?prompt=create")
        assert "prompt" not in parse_qs(urlsplit(visit.url).query)
        assert visit.heading == "Sign in"


async def test_a_client_with_a_certificate_sends_no_secret(tmp_path: Path) -> None:
    """Each token call has an assertion of its own, and no secret is on the wire."""
    authority, settings = certificate(tmp_path)
    async with opened_house(tmp_path, access_token_seconds=300, authority=authority, settings=settings) as house:
        tab = house.browser().tab()
        await house.sign_in(tab)
        house.clock.advance(295)
        await tab.api("/api/todolist")
        calls = [one for one in house.internet.to(AUTHORITY_ORIGIN, "POST") if one.url.endswith("/token")]
        forms = [parse_qs(one.request_body.decode()) for one in calls]
        assert len({form["client_assertion"][0] for form in forms}) == 2
        assert not [form for form in forms if "client_secret" in form]
        assert not [one for one in calls if one.sent("authorization")]


@pytest.mark.req("BBA-3", "BBA-4", "BBA-5", "BBA-6", "BBA-7", "BBA-8", "CK-1", "F26")
async def test_behind_https_every_cookie_carries_the_prefix_and_its_flags(tmp_path: Path) -> None:
    """``__Host-Http-``, Secure, HttpOnly, Path=/, no Domain; Strict but for the two that another site leads back to."""
    async with opened_house(tmp_path, origin="https://app.example.com") as house:
        tab = house.browser().tab()
        await house.sign_in(tab)
        await house.user(tab)
        house.clock.advance(100)
        await tab.api("/api/todolist")
        await house.sign_out(tab)
        lines = [
            line for one in house.internet.to(house.origin) for line in one.response.headers.get_list("set-cookie")
        ]
        kinds = {line.partition("=")[0].removeprefix("__Host-Http-bff").partition("-tx-")[0] for line in lines}
        assert kinds >= {"", "-idle", "-loop", "-logout", "-logged-out", "-out"}
        assert any("-tx-" in line for line in lines)
        assert any("Max-Age=0" in line for line in lines)
        for line in lines:
            name, _, attributes = line.partition("=")
            said = {part.strip().partition("=")[0] for part in attributes.split(";")[1:]}
            lax = any(word in name for word in ("-tx-", "-loop", "-logged-out"))
            assert name.startswith("__Host-Http-bff")
            assert said - {"Max-Age"} == {"Path", "HttpOnly", "SameSite", "Secure"}
            assert "; Path=/;" in attributes
            assert ("SameSite=Lax" if lax else "SameSite=Strict") in attributes
        assert (await house.user(tab))["authenticated"] is False
