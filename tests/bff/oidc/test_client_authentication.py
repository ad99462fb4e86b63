from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote_plus

import httpx
import pytest
from authlib.oauth2.auth import ClientAuth
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from bff.errors import ConfigurationError
from bff.oidc.client_authentication import ClientAuthentication, ClientSecret, PrivateKey
from bff.oidc.messages import TokenSet
from bff.oidc.relying_party import RelyingParty
from tests.bff.oidc.simulated_server import SECRET, SimulatedServer, registration
from tests.world.clock import MovableClock
from tests.world.tokens import CLIENT_ID, ISSUER, ec_key, rsa_key

RSA_PEM = rsa_key("client").key.as_pem(private=True)
EC_PEM = ec_key("client").key.as_pem(private=True)


def attached(authentication: ClientAuthentication, clock: MovableClock) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Headers and form of a token call that carries this authentication."""
    attach = authentication.attach(issuer=ISSUER, clock=clock)
    _, headers, body = attach(ClientAuth(CLIENT_ID, None, attach), "POST", "https://as.example/token", {}, "a=b")
    return headers, parse_qs(body, strict_parsing=True)


def assertion(authentication: PrivateKey, clock: MovableClock) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of the client assertion, after its signature was checked."""
    _, form = attached(authentication, clock)
    assert form["client_assertion_type"] == ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"]
    public = type(authentication.key).import_key(authentication.key.as_pem(private=False))
    token = jwt.decode(form["client_assertion"][0], public, algorithms=[authentication.alg])
    return token.header, token.claims


def certificate(pem: bytes) -> bytes:
    """A self-signed certificate for the key in ``pem``."""
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bff")])
    begin = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, begin, begin + dt.timedelta(days=3650))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.mark.req("BBA-1", "OA-3")
@pytest.mark.parametrize("secret", ["plain", "a:b", "100%", "a+b c", "~tilde*", "pässword", "€"])
def test_a_secret_is_form_encoded_before_basic(secret: str, clock: MovableClock) -> None:
    """Whatever characters a secret holds, the server decodes exactly it (RFC 6749 2.3.1)."""
    headers, form = attached(ClientSecret(secret), clock)
    scheme, _, encoded = headers["Authorization"].partition(" ")
    client_id, _, received = base64.b64decode(encoded).decode("ascii").partition(":")
    assert (scheme, unquote_plus(client_id), unquote_plus(received)) == ("Basic", CLIENT_ID, secret)
    assert form == {"a": ["b"]}


@pytest.mark.req("OA-3")
@pytest.mark.parametrize("secret", ["plain", "a:b&c=d", "100%", "€"])
def test_a_secret_may_go_into_the_form(secret: str, clock: MovableClock) -> None:
    """client_secret_post adds two parameters and no header."""
    headers, form = attached(ClientSecret(secret, method="client_secret_post"), clock)
    assert headers == {}
    assert form == {"a": ["b"], "client_id": [CLIENT_ID], "client_secret": [secret]}


@pytest.mark.req("BBA-1")
def test_no_client_is_public() -> None:
    """Without a credential there is nothing to start with."""
    with pytest.raises(ConfigurationError, match="client_secret"):
        ClientSecret("")


@pytest.mark.req("BCP-10")
@pytest.mark.parametrize(("pem", "alg"), [(RSA_PEM, "RS256"), (EC_PEM, "ES256")])
def test_an_assertion_is_for_the_issuer_and_for_a_minute(pem: bytes, alg: str, clock: MovableClock) -> None:
    """Issuer and subject are us, the audience is the issuer as one string, and after 60 seconds it is worth nothing."""
    header, claims = assertion(PrivateKey.from_pem(pem, kid="k1"), clock)
    assert (header["alg"], header["kid"]) == (alg, "k1")
    assert (claims["iss"], claims["sub"], claims["aud"]) == (CLIENT_ID, CLIENT_ID, ISSUER)
    assert claims["iat"] == claims["nbf"] == int(clock.now())
    assert claims["exp"] == claims["iat"] + 60


@pytest.mark.req("ATK-57")
async def test_every_attempt_has_an_assertion_of_its_own(
    server: SimulatedServer, http: httpx.AsyncClient, clock: MovableClock
) -> None:
    """A repeated call repeats no jti, so the server can refuse every replay."""
    party = RelyingParty(registration(authentication=PrivateKey.from_pem(RSA_PEM)), http=http, clock=clock)
    tokens = TokenSet(access_token="at", refresh_token="rt", expires_at=0)
    server.token = {"id_token": None}
    for _ in range(3):
        await party.refresh(tokens, {"sub": "alice", "iat": clock.now()})
    await party.revoke("rt", "refresh_token")
    calls = [*server.token_route.calls, *server.revocation_route.calls]
    bodies = [parse_qs(call.request.content.decode())["client_assertion"][0] for call in calls]
    public = RSAKey.import_key(rsa_key("client").key.as_pem(private=False))
    jtis = {jwt.decode(body, public, algorithms=["RS256"]).claims["jti"] for body in bodies}
    assert len(jtis) == 4
    assert all("authorization" not in call.request.headers for call in calls)


def test_a_certificate_names_its_key(clock: MovableClock) -> None:
    """x5t#S256 is the SHA-256 of the certificate's DER (RFC 7515 4.1.8), and PS256 is what Entra asks for beside it."""
    pem = certificate(RSA_PEM)
    header, _ = assertion(PrivateKey.from_pem(RSA_PEM, pem), clock)
    der = x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)
    digest = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()
    assert header == {"typ": "JWT", "alg": "PS256", "x5t#S256": digest}
    assert assertion(PrivateKey.from_pem(RSA_PEM, pem, alg="RS256"), clock)[0]["alg"] == "RS256"


def test_a_key_is_loaded_from_files(tmp_path: Path, clock: MovableClock) -> None:
    """The two settings are two PEM files."""
    (tmp_path / "key.pem").write_bytes(EC_PEM)
    (tmp_path / "cert.pem").write_bytes(certificate(EC_PEM))
    header, _ = assertion(PrivateKey.load(tmp_path / "key.pem", tmp_path / "cert.pem"), clock)
    assert header["alg"] == "ES256"
    assert "x5t#S256" in header


def pem_of(key: Any, encryption: serialization.KeySerializationEncryption | None = None) -> bytes:
    """A key of any kind as PEM."""
    encoded: bytes = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        encryption or serialization.NoEncryption(),
    )
    return encoded


@pytest.mark.parametrize(
    ("pem", "cause"),
    [
        (b"", "no private key"),
        (b"-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n", "no private key"),
        (rsa_key("client").key.as_pem(private=False), "no private key"),
        (certificate(RSA_PEM), "no private key"),
        (pem_of(ec.generate_private_key(ec.SECP256R1()), serialization.BestAvailableEncryption(b"x")), "passphrase"),
        (pem_of(rsa.generate_private_key(65537, 1024)), "2048"),  # noqa: S505 — weak on purpose
        (pem_of(ec.generate_private_key(ec.SECP256K1())), "another kind"),
        (pem_of(ed25519.Ed25519PrivateKey.generate()), "another kind"),
    ],
)
def test_a_bad_key_file_stops_the_start_with_its_cure(pem: bytes, cause: str) -> None:
    """Each way in which a key file is wrong is named, and no byte of it is repeated."""
    with pytest.raises(ConfigurationError, match=cause) as refusal:
        PrivateKey.from_pem(pem)
    assert "private_key_file" in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


def test_key_certificate_and_algorithm_belong_together() -> None:
    """Another key's certificate, no certificate at all and an algorithm of another key type are refused."""
    with pytest.raises(ConfigurationError, match="another key"):
        PrivateKey.from_pem(RSA_PEM, certificate(EC_PEM))
    with pytest.raises(ConfigurationError, match="no certificate"):
        PrivateKey.from_pem(RSA_PEM, RSA_PEM)
    for alg in ("ES256", "HS256", "none"):
        with pytest.raises(ConfigurationError, match=alg):
            PrivateKey.from_pem(RSA_PEM, alg=alg)


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    """A missing file is told apart from a bad key."""
    (tmp_path / "key.pem").write_bytes(RSA_PEM)
    with pytest.raises(ConfigurationError, match=r"absent\.pem"):
        PrivateKey.load(tmp_path / "absent.pem")
    with pytest.raises(ConfigurationError, match="certificate_file"):
        PrivateKey.load(tmp_path / "key.pem", tmp_path / "absent.pem")


@pytest.mark.req("ATK-59")
def test_no_repr_shows_a_secret() -> None:
    """A credential in a log line or a traceback is a name, not a value."""
    shown = repr([ClientSecret(SECRET), PrivateKey.from_pem(RSA_PEM), registration()])
    private = json.dumps(rsa_key("client").private_jwk()["d"]).strip('"')
    assert SECRET not in shown
    assert private not in shown
    assert not {type(key) for key in (PrivateKey.from_pem(RSA_PEM).key,)} - {RSAKey, ECKey}
