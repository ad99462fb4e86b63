"""Tokens of a world that only tests know: honest ones with overrides, and forged ones, each by the name of its forgery.

    access_token(scp="ToDoList.Read")            a person's access token, Entra-shaped
    access_token(profile="rfc9068", aud=ABSENT)  another profile; a claim taken away
    app_token(roles=["ToDoList.Read.All"])       a daemon's
    id_token(nonce="n", header={"alg": "ES256"}, key=ec_key())
    sign_bytes(b'{"iss":1,"iss":2}')             any bytes under a good signature

Keys are generated once per process. The host that publishes them is ``tests.world.key_host.KeyHost``.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from joserfc.jwk import ECKey, KeyParameters, RSAKey
from joserfc.jws import JWSRegistry

Profile = Literal["entra-v2", "rfc9068", "jwt"]


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final[Any] = _Absent()
"""As an override's value: the claim or header member is left out."""

TENANT_ID: Final = "7f1d8c5e-3b0a-4b7e-9a52-1c7d0e6f4a21"
API_CLIENT_ID: Final = "2c9b6f4d-58e1-4f0b-8d3a-9e7c5a1b3d60"
CLIENT_ID: Final = "b4e7a9d2-6c13-4d85-9f20-3a5e8c7d1b94"
DAEMON_CLIENT_ID: Final = "e1f5c8a3-9d47-4b62-8e0c-7b2d4f6a9c15"
ALICE: Final = "a11ce000-0000-4000-8000-000000000001"
BOB: Final = "b0b00000-0000-4000-8000-000000000002"
DAEMON: Final = "dae00000-0000-4000-8000-000000000003"

ISSUER: Final = f"https://{TENANT_ID}.ciamlogin.com/{TENANT_ID}/v2.0"
METADATA_URL: Final = f"https://contoso.ciamlogin.com/{TENANT_ID}/v2.0/.well-known/openid-configuration"
JWKS_URI: Final = f"https://contoso.ciamlogin.com/{TENANT_ID}/discovery/v2.0/keys"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with the name and the algorithm it signs under."""

    kid: str
    alg: str
    key: RSAKey | ECKey = field(repr=False)

    def public_jwk(self, **overrides: object) -> dict[str, Any]:
        """The key as a JWKS publishes it (RFC 7517); ``ABSENT`` removes a member."""
        jwk = {**self.key.as_dict(private=False), "kid": self.kid, "alg": self.alg, "use": "sig"}
        return _overridden(jwk, overrides)

    def private_jwk(self) -> dict[str, Any]:
        """The key with its private members: what no key set may ever hold."""
        return {**self.key.as_dict(private=True), "kid": self.kid, "alg": self.alg, "use": "sig"}

    def signature(self, message: bytes, *, alg: str | None = None) -> bytes:
        """The raw JWS signature (RFC 7518 3) of any bytes."""
        return JWSRegistry.algorithms[alg or self.alg].sign(message, self.key)


@functools.cache
def rsa_key(kid: str = "rsa-1", bits: int = 2048) -> SigningKey:
    """An RSA key; the same name is the same key for the whole process."""
    return SigningKey(kid, "RS256", RSAKey.generate_key(bits, _parameters(kid), private=True))


@functools.cache
def ec_key(kid: str = "ec-1", curve: Literal["P-256", "P-384", "P-521"] = "P-256") -> SigningKey:
    """An EC key; the same name is the same key for the whole process."""
    alg = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[curve]
    return SigningKey(kid, alg, ECKey.generate_key(curve, _parameters(kid), private=True))


def stranger() -> SigningKey:
    """A key under the honest key's name that nobody has published."""
    return SigningKey(rsa_key().kid, "RS256", rsa_key("stranger").key)


def jwks(*keys: SigningKey) -> dict[str, Any]:
    """The key set (RFC 7517 5) of these keys, or of the two honest ones."""
    return {"keys": [key.public_jwk() for key in keys or (rsa_key(), ec_key())]}


def access_claims(profile: Profile = "entra-v2", *, now: float | None = None, **overrides: object) -> dict[str, Any]:
    """The claims of a person's access token (Entra: K-01…K-19, else RFC 9068 2.2) for the to-do API."""
    claims: dict[str, Any] = {
        **_times(now, 3600),
        "iss": ISSUER,
        "aud": API_CLIENT_ID,
        "sub": pairwise(ALICE),
    }
    if profile == "entra-v2":
        claims |= {
            "tid": TENANT_ID,
            "oid": ALICE,
            "azp": CLIENT_ID,
            "azpacr": "1",
            "ver": "2.0",
            "uti": uuid.uuid4().hex,
        }
        claims |= {
            "scp": "ToDoList.Read ToDoList.ReadWrite",
            "name": "Alice",
            "preferred_username": "alice@example.com",
        }
    elif profile == "rfc9068":
        claims |= {"client_id": CLIENT_ID, "jti": uuid.uuid4().hex, "scope": "ToDoList.Read ToDoList.ReadWrite"}
    else:
        claims |= {"azp": CLIENT_ID, "scope": "ToDoList.Read ToDoList.ReadWrite"}
    return _overridden(claims, overrides)


def app_claims(profile: Profile = "entra-v2", *, now: float | None = None, **overrides: object) -> dict[str, Any]:
    """The claims of a daemon's own access token: app roles and no scope (K-10, K-11; RFC 9068 2.2.3.1 and 5)."""
    claims = access_claims(profile, now=now, sub=DAEMON, roles=["ToDoList.Read.All", "ToDoList.ReadWrite.All"])
    for name in ("scp", "scope", "name", "preferred_username"):
        claims.pop(name, None)
    claims["client_id" if profile == "rfc9068" else "azp"] = DAEMON_CLIENT_ID
    if profile == "entra-v2":
        claims |= {"oid": DAEMON, "idtyp": "app"}
    elif profile == "rfc9068":
        claims["sub"] = DAEMON_CLIENT_ID
    return _overridden(claims, overrides)


def id_claims(*, now: float | None = None, **overrides: object) -> dict[str, Any]:
    """The claims of an ID token (OIDC Core 2) for the web client."""
    claims: dict[str, Any] = {
        **_times(now, 3600),
        "iss": ISSUER,
        "aud": CLIENT_ID,
        "sub": pairwise(ALICE),
        "nonce": "n-0S6_WzA2Mj",
        "auth_time": _times(now, 0)["iat"],
        "sid": "as-session-1",
        "tid": TENANT_ID,
        "oid": ALICE,
        "ver": "2.0",
        "name": "Alice",
        "preferred_username": "alice@example.com",
        "email": "alice@example.com",
    }
    return _overridden(claims, overrides)


def logout_claims(*, now: float | None = None, **overrides: object) -> dict[str, Any]:
    """The claims of a logout token (OIDC Back-Channel Logout 2.4)."""
    claims: dict[str, Any] = {
        **_times(now, 120),
        "iss": ISSUER,
        "aud": CLIENT_ID,
        "sub": pairwise(ALICE),
        "sid": "as-session-1",
        "jti": uuid.uuid4().hex,
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    }
    return _overridden(claims, overrides)


def access_token(
    *,
    profile: Profile = "entra-v2",
    key: SigningKey | None = None,
    header: Mapping[str, object] | None = None,
    now: float | None = None,
    **overrides: object,
) -> str:
    """A person's access token, signed with the honest RSA key unless told otherwise."""
    return sign(access_claims(profile, now=now, **overrides), key=key, header=_typed(profile, header))


def app_token(
    *,
    profile: Profile = "entra-v2",
    key: SigningKey | None = None,
    header: Mapping[str, object] | None = None,
    now: float | None = None,
    **overrides: object,
) -> str:
    """A daemon's access token."""
    return sign(app_claims(profile, now=now, **overrides), key=key, header=_typed(profile, header))


def id_token(
    *,
    key: SigningKey | None = None,
    header: Mapping[str, object] | None = None,
    now: float | None = None,
    **overrides: object,
) -> str:
    """An ID token."""
    return sign(id_claims(now=now, **overrides), key=key, header=header)


def logout_token(
    *,
    key: SigningKey | None = None,
    header: Mapping[str, object] | None = None,
    now: float | None = None,
    **overrides: object,
) -> str:
    """A logout token, explicitly typed (OIDC Back-Channel Logout 2.4)."""
    return sign(logout_claims(now=now, **overrides), key=key, header={"typ": "logout+jwt", **(header or {})})


def sign(
    claims: Mapping[str, Any], *, key: SigningKey | None = None, header: Mapping[str, object] | None = None
) -> str:
    """A compact JWS (RFC 7515 7.1) of these claims; ``header`` overrides or, with ``ABSENT``, removes members.

    The signature is the key's own whatever ``alg`` the header claims.
    """
    return sign_bytes(json.dumps(claims).encode(), key=key, header=header)


def sign_bytes(
    payload: bytes, *, key: SigningKey | None = None, header: Mapping[str, object] | bytes | None = None
) -> str:
    """A compact JWS of any payload bytes, under any header bytes: the way to what no encoder would write."""
    signer = key or rsa_key()
    if not isinstance(header, bytes):
        members = {"typ": "JWT", "alg": signer.alg, "kid": signer.kid}
        header = json.dumps(_overridden(members, header or {})).encode()
    signing_input = f"{b64url(header)}.{b64url(payload)}"
    return f"{signing_input}.{b64url(signer.signature(signing_input.encode()))}"


def unsigned(claims: Mapping[str, Any], *, alg: object = "none", signature: str = "") -> str:
    """A token that claims to need no signature (RFC 7518 3.6; RFC 8725 2.1)."""
    header = {"typ": "JWT", "alg": alg, "kid": rsa_key().kid}
    return f"{b64url(json.dumps(header).encode())}.{b64url(json.dumps(claims).encode())}.{signature}"


def hmac_with_public_key(claims: Mapping[str, Any], encoding: Literal["pem", "der", "jwk", "empty"] = "pem") -> str:
    """A token whose HS256 secret is the published RSA key itself (RFC 8725 2.1, CVE-2024-33663)."""
    public = rsa_key()
    secrets = {
        "pem": public.key.as_pem(private=False),
        "der": public.key.as_der(private=False),
        "jwk": json.dumps(public.public_jwk()).encode(),
        "empty": b"",
    }
    header = {"typ": "JWT", "alg": "HS256", "kid": rsa_key().kid}
    signing_input = f"{b64url(json.dumps(header).encode())}.{b64url(json.dumps(claims).encode())}"
    return f"{signing_input}.{b64url(hmac.digest(secrets[encoding], signing_input.encode(), 'sha256'))}"


def pairwise(person: str, client: str = CLIENT_ID) -> str:
    """A pairwise subject (OIDC Core 8.1): stable per person and client, meaning nothing to others."""
    return b64url(hashlib.sha256(f"{person}|{client}".encode()).digest())


def at_hash(token: str) -> str:
    """The left half of a token's SHA-256, as an ID token states it (OIDC Core 3.1.3.6)."""
    return b64url(hashlib.sha256(token.encode("ascii")).digest()[:16])


def b64url(value: bytes) -> str:
    """Base64url without padding (RFC 7515 2)."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def _typed(profile: Profile, header: Mapping[str, object] | None) -> Mapping[str, object]:
    return {**({"typ": "at+jwt"} if profile == "rfc9068" else {}), **(header or {})}


def _times(now: float | None, lifetime: int) -> dict[str, int]:
    instant = int(time.time() if now is None else now)
    return {"iat": instant, "nbf": instant, "exp": instant + lifetime}


def _overridden(values: Mapping[str, Any], overrides: Mapping[str, object]) -> dict[str, Any]:
    return {name: value for name, value in {**values, **overrides}.items() if value is not ABSENT}


def _parameters(kid: str) -> KeyParameters:
    return {"kid": kid, "use": "sig"}
