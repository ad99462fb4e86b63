"""The claims of every token (K-01…K-19), and who signs them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from local_authority.clients.registrations import API, Client
from local_authority.clock import Clock
from local_authority.grants import Grant
from local_authority.keys import Keys
from local_authority.options import Options
from local_authority.people import Person
from local_authority.scopes import Resource
from local_authority.secret_values import base64url, keyed_digest, new_id

Kind = Literal["access", "id", "refreshed_id", "logout"]
USERINFO_AUDIENCE: Final = "3a8d5e17-f902-4c6b-b1d4-70e96f2c8a53"
VERSION: Final = "2.0"
LOGOUT_TOKEN_SECONDS: Final = 120
LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"

Claims = dict[str, Any]


class Signer(Protocol):
    """Who turns claims into a JWS. ``kind`` says which token it is; the keys' own signer does not care."""

    def sign(self, kind: Kind, header: Claims, claims: Claims, /) -> str:
        """The token in compact form."""
        ...


@dataclass(frozen=True, slots=True)
class KeySigner:
    """Signs every kind alike, with the newest key."""

    keys: Keys

    def sign(self, _kind: Kind, header: Claims, claims: Claims) -> str:
        """The token in compact form."""
        return self.keys.sign(header, claims)


class Tokens:
    """Makes access, ID and logout tokens. ``pairwise`` keys the subjects, one per person and application (K-06)."""

    def __init__(self, options: Options, signer: Signer, clock: Clock, *, pairwise: str) -> None:
        self._options = options
        self._signer = signer
        self._clock = clock
        self._pairwise = pairwise

    def subject(self, oid: str, application: str) -> str:
        """The pairwise ``sub`` (OIDC Core 8.1): that of the application the token is for."""
        return keyed_digest(self._pairwise, application, oid)

    def access_token(self, grant: Grant, person: Person, resource: Resource | None, *, azpacr: str) -> str:
        """A user's access token: for the API of ``resource``, or for userinfo where only OpenID Connect was asked."""
        audience = USERINFO_AUDIENCE if resource is None else resource.api.client_id
        names = [s for s in grant.scopes if ":" not in s] if resource is None else resource.names
        claims = {
            **self._common(audience, self._options.lifetimes.access_token),
            "sub": self.subject(person.oid, grant.client_id if resource is None else audience),
            "oid": person.oid,
            "azp": grant.client_id,
            "azpacr": azpacr,
            "scp": " ".join(names),
            "aio": grant.grant_id,
        }
        if resource is not None and (roles := [role for role in person.roles if role in resource.api.app_roles]):
            claims["roles"] = roles
        if "profile" in grant.scopes:
            claims |= {"name": person.name, "preferred_username": person.email}
        return self._signer.sign("access", {"typ": "JWT"}, claims)

    def app_access_token(self, client: Client, api: API, *, azpacr: str) -> str:
        """An app's own access token (K-05, K-10, K-11): no ``scp``, and ``roles`` where an admin consented to some."""
        claims = {
            **self._common(api.client_id, self._options.lifetimes.access_token),
            "sub": client.oid,
            "oid": client.oid,
            "azp": client.client_id,
            "azpacr": azpacr,
            "idtyp": "app",
        }
        if roles := [role for role in api.app_roles if role in client.app_roles]:
            claims["roles"] = roles
        return self._signer.sign("access", {"typ": "JWT"}, claims)

    def id_token(self, grant: Grant, person: Person, *, access_token: str, refreshed: bool) -> str:
        """An ID token (OIDC Core 2). A refreshed one keeps ``sub`` and ``auth_time`` and has no nonce (12.2)."""
        claims = {
            **person.claims,
            **self._common(grant.client_id, self._options.lifetimes.id_token),
            **identity_claims(person, grant.scopes),
            "sub": self.subject(person.oid, grant.client_id),
            "sid": grant.sid,
            "auth_time": grant.auth_time,
            "login_hint": person.login_hint,
        }
        if grant.nonce is not None and not refreshed:
            claims["nonce"] = grant.nonce
        if grant.acr is not None:
            claims["acr"] = grant.acr
        if self._options.shape == "full":
            claims["at_hash"] = at_hash(access_token)
        return self._signer.sign("refreshed_id" if refreshed else "id", {"typ": "JWT"}, claims)

    def logout_token(self, client: Client, oid: str, sid: str) -> str:
        """A back-channel logout token (OIDC Back-Channel Logout 2.4)."""
        now = int(self._clock.now())
        claims = {
            "iss": self._options.issuer_identifier,
            "aud": client.client_id,
            "iat": now,
            "exp": now + LOGOUT_TOKEN_SECONDS,
            "jti": new_id(),
            "sub": self.subject(oid, client.client_id),
            "sid": sid,
            "events": {LOGOUT_EVENT: {}},
        }
        return self._signer.sign("logout", {"typ": "logout+jwt"}, claims)

    def _common(self, audience: str, seconds: int) -> Claims:
        now = int(self._clock.now())
        return {
            "aud": audience,
            "iss": self._options.issuer_identifier,
            "iat": now,
            "nbf": now,
            "exp": now + seconds,
            "tid": self._options.tenant_id,
            "uti": new_id(),
            "ver": VERSION,
        }


def identity_claims(person: Person, scopes: tuple[str, ...]) -> Claims:
    """What ``profile`` and ``email`` tell about a person (OIDC Core 5.4); ``oid`` comes with ``profile`` (K-05)."""
    claims: Claims = {}
    if "profile" in scopes:
        claims |= {"oid": person.oid, "name": person.name, "preferred_username": person.email}
    if "email" in scopes:
        claims["email"] = person.email
    return claims


def at_hash(access_token: str) -> str:
    """The left half of the SHA-256 digest (OIDC Core 3.1.3.6, for RS256)."""
    return base64url(hashlib.sha256(access_token.encode()).digest()[:16])
