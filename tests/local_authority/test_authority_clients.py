"""How clients prove who they are."""

from __future__ import annotations

import datetime as dt
from base64 import b64encode
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from local_authority.clients.assertions import ASSERTION_TYPE
from local_authority.secret_values import base64url
from local_authority.seeds import BFF_CLIENT_ID, DAEMON_CLIENT_ID, DEFAULT_SCOPE
from tests.world.authority import ABSENT, CLIENT_SECRET, LocalAuthority, claims_of
from tests.world.clock import MovableClock

GRANT = {"grant_type": "client_credentials", "scope": DEFAULT_SCOPE}


@cache
def private_key() -> rsa.RSAPrivateKey:
    """The client's key."""
    return rsa.generate_private_key(65537, 2048)


@cache
def certificate() -> x509.Certificate:
    """The client's certificate, signed by itself."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bff")])
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private_key().public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=3650))
        .sign(private_key(), hashes.SHA256())
    )


def _thumbprint() -> str:
    return base64url(certificate().fingerprint(hashes.SHA256()))


@pytest.fixture
def with_certificate(tmp_path: Path, clock: MovableClock) -> LocalAuthority:
    """An authority that knows the BFF's certificate."""
    path = tmp_path / "bff.pem"
    path.write_bytes(certificate().public_bytes(Encoding.PEM))
    return LocalAuthority(clock=clock, client_certificate_file=path)


def assertion(
    authority: LocalAuthority, *, header: dict[str, Any] | None = None, key: Any = None, **claims: Any
) -> str:
    """A client assertion as it should be, but for what is overridden."""
    now = int(authority.services.clock.now())
    whole = {
        "iss": BFF_CLIENT_ID,
        "sub": BFF_CLIENT_ID,
        "aud": authority.options.issuer_identifier,
        "iat": now,
        "exp": now + 60,
        "jti": f"jti-{assertion.__dict__.setdefault('count', 0)}",
        **claims,
    }
    assertion.__dict__["count"] += 1
    pem = private_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    used = {"alg": "PS256", "x5t#S256": _thumbprint(), **(header or {})}
    kept = {name: value for name, value in whole.items() if value is not ABSENT}
    return jwt.encode(used, kept, key or RSAKey.import_key(pem), algorithms=[used["alg"]])


async def _by_assertion(authority: LocalAuthority, signed: str, **form: str) -> Any:
    proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": signed}
    return await authority.post("token_endpoint", {**GRANT, **proof, **form})


def _basic(client_id: str, secret: str) -> dict[str, str]:
    return {"authorization": f"Basic {b64encode(f'{client_id}:{secret}'.encode()).decode()}"}


@pytest.mark.req("K-08")
async def test_a_secret_works_in_the_header_and_in_the_body(authority: LocalAuthority) -> None:
    """client_secret_basic and client_secret_post prove the same, and azpacr says 1."""
    post = await authority.token(**GRANT)
    basic = await authority.post("token_endpoint", GRANT, headers=_basic(BFF_CLIENT_ID, CLIENT_SECRET))

    assert [claims_of(answer.json()["access_token"])["azpacr"] for answer in (post, basic)] == ["1", "1"]


async def test_basic_is_form_encoded() -> None:
    """Identifier and secret are form-encoded inside Basic (RFC 6749 2.3.1): colons, pluses and percents survive."""
    secret = "a:b+c%41 d/é" + "x" * 32
    authority = LocalAuthority(client_secret=secret)
    encoded = await authority.post("token_endpoint", GRANT, headers=_basic(BFF_CLIENT_ID, quote_plus(secret)))
    raw = await authority.post("token_endpoint", GRANT, headers=_basic(BFF_CLIENT_ID, secret))

    assert encoded.status_code == 200
    assert raw.status_code == 401


@pytest.mark.parametrize(
    "value",
    ["Basic", "Basic x", "Basic !!!!", "Bearer abc", "Basic " + b64encode(b"no-colon").decode(), "Basic " + "/" * 8],
)
async def test_a_header_that_proves_nothing_is_challenged(authority: LocalAuthority, value: str) -> None:
    """A failed Authorization header is 401 with a Basic challenge (RFC 6749 5.2)."""
    response = await authority.post("token_endpoint", GRANT, headers={"authorization": value})

    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
    assert response.headers["www-authenticate"].startswith("Basic ")


@pytest.mark.parametrize(
    "form",
    [
        {"client_secret": "wrong"},
        {"client_secret": ""},
        {"client_secret": CLIENT_SECRET.upper()},
        {"client_id": DAEMON_CLIENT_ID},
        {"client_id": "unknown"},
        {"client_id": ""},
    ],
)
async def test_a_wrong_secret_is_invalid_client(authority: LocalAuthority, form: dict[str, str]) -> None:
    """A client that proves nothing gets 401 and nothing else."""
    response = await authority.token(**GRANT, **form)

    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
    assert "access_token" not in response.json()


async def test_one_way_at_a_time(authority: LocalAuthority) -> None:
    """Two methods in one request, or two clients, are refused (RFC 6749 2.3)."""
    both = await authority.post(
        "token_endpoint", {**GRANT, "client_secret": CLIENT_SECRET}, headers=_basic(BFF_CLIENT_ID, CLIENT_SECRET)
    )
    another = await authority.post(
        "token_endpoint", {**GRANT, "client_id": DAEMON_CLIENT_ID}, headers=_basic(BFF_CLIENT_ID, CLIENT_SECRET)
    )

    assert both.json()["error"] == "invalid_request"
    assert another.json()["error"] == "invalid_request"


@pytest.mark.req("K-08", "K-28")
@pytest.mark.parametrize("endpoint", ["issuer", "token_endpoint"])
async def test_an_assertion_proves_the_client(with_certificate: LocalAuthority, endpoint: str) -> None:
    """private_key_jwt works with the issuer or the token endpoint as audience, and azpacr says 2."""
    signed = assertion(with_certificate, aud=with_certificate.metadata[endpoint])
    response = await _by_assertion(with_certificate, signed, client_id=BFF_CLIENT_ID)

    assert claims_of(response.json()["access_token"])["azpacr"] == "2"


@pytest.mark.req("ATK-57")
async def test_an_assertion_works_once(with_certificate: LocalAuthority, clock: MovableClock) -> None:
    """The same assertion a second time is refused for as long as it would be valid; a new jti is a new one."""
    signed = assertion(with_certificate)
    first = await _by_assertion(with_certificate, signed)
    clock.advance(59)
    second = await _by_assertion(with_certificate, signed)
    third = await _by_assertion(with_certificate, assertion(with_certificate))

    assert [answer.status_code for answer in (first, second, third)] == [200, 401, 200]
    assert "used before" in second.json()["error_description"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("iss", ABSENT),
        ("iss", None),
        ("iss", DAEMON_CLIENT_ID),
        ("sub", ABSENT),
        ("sub", 1),
        ("sub", DAEMON_CLIENT_ID),
        ("aud", ABSENT),
        ("aud", None),
        ("aud", 7),
        ("aud", []),
        ("aud", "https://another.example"),
        ("aud", ["https://another.example"]),
        ("exp", ABSENT),
        ("exp", None),
        ("exp", "soon"),
        ("exp", True),
        ("exp", -31),
        ("exp", 400),
        ("iat", 120),
        ("nbf", 120),
        ("jti", ABSENT),
        ("jti", None),
        ("jti", ""),
        ("jti", 7),
    ],
)
async def test_every_claim_of_an_assertion_is_checked(
    with_certificate: LocalAuthority, name: str, value: object
) -> None:
    """An assertion with a claim absent, null, of another type or wrong is invalid_client (RFC 7523 3)."""
    now = int(with_certificate.services.clock.now())
    is_time = name in {"exp", "iat", "nbf"} and type(value) is int
    claims: dict[str, Any] = {name: now + int(str(value)) if is_time else value}
    response = await _by_assertion(with_certificate, assertion(with_certificate, **claims))

    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


async def test_an_assertion_must_be_the_clients_own(with_certificate: LocalAuthority) -> None:
    """Another key, another certificate's thumbprint, a secret as key, and another typ are refused."""
    forged = [
        assertion(with_certificate, key=RSAKey.generate_key(2048)),
        assertion(with_certificate, header={"x5t#S256": "another"}),
        assertion(with_certificate, header={"alg": "HS256"}, key=OctKey.import_key("s" * 32)),
        assertion(with_certificate, header={"typ": "at+jwt"}),
        "not.a.jwt",
        "x",
        "é.é.é",
    ]
    for signed in forged:
        response = await _by_assertion(with_certificate, signed)
        assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


async def test_an_assertion_needs_its_type(with_certificate: LocalAuthority) -> None:
    """client_assertion_type must be the one of RFC 7523, and a client without a key cannot use one."""
    wrong = await _by_assertion(with_certificate, assertion(with_certificate), client_assertion_type="jwt")
    keyless = await _by_assertion(
        with_certificate, assertion(with_certificate, iss=DAEMON_CLIENT_ID, sub=DAEMON_CLIENT_ID)
    )

    assert [answer.status_code for answer in (wrong, keyless)] == [401, 401]


async def test_entra_must_be_told_which_certificate(tmp_path: Path, clock: MovableClock) -> None:
    """In Entra's shape an assertion that names no certificate is refused; elsewhere the signature is enough."""
    path = tmp_path / "bff.pem"
    path.write_bytes(certificate().public_bytes(Encoding.PEM))
    for shape, status in (("entra", 401), ("full", 200)):
        authority = LocalAuthority(clock=clock, client_certificate_file=path, shape=shape)
        pem = private_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        now = int(clock.now())
        claims = {"iss": BFF_CLIENT_ID, "sub": BFF_CLIENT_ID, "exp": now + 60, "jti": "1"}
        unnamed = jwt.encode(
            {"alg": "RS256"},
            {**claims, "aud": authority.options.issuer_identifier},
            RSAKey.import_key(pem),
            algorithms=["RS256"],
        )
        assert (await _by_assertion(authority, unnamed)).status_code == status


async def test_an_elliptic_key_works_too(tmp_path: Path, clock: MovableClock) -> None:
    """A bare public key can be registered; ES256 is accepted."""
    key = ec.generate_private_key(ec.SECP256R1())
    path = tmp_path / "bff.pem"
    path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    authority = LocalAuthority(clock=clock, client_certificate_file=path)
    private = ECKey.import_key(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    signed = assertion(authority, header={"alg": "ES256"}, key=private)

    assert (await _by_assertion(authority, signed)).status_code == 200


@pytest.mark.req("T-19", "K-26")
@pytest.mark.parametrize(
    "scope",
    [
        "openid",
        DEFAULT_SCOPE.upper(),
        f"{DEFAULT_SCOPE} openid",
        DEFAULT_SCOPE.replace("/.default", "/ToDoList.Read.All"),
        "api://unknown/.default",
    ],
)
async def test_an_app_asks_for_default_only(authority: LocalAuthority, scope: str) -> None:
    """client_credentials takes exactly api://{API}/.default; anything else is invalid_scope."""
    response = await authority.token(grant_type="client_credentials", scope=scope)

    assert (response.status_code, response.json()["error"]) == (400, "invalid_scope")
