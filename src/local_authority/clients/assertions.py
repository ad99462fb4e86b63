"""private_key_jwt (RFC 7523 3, OIDC Core 9): a client's signed assertion, short-lived and good for one request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from joserfc import jws, jwt
from joserfc.errors import JoseError

from local_authority.clients.credentials import Credential
from local_authority.clients.registrations import Client, Registry
from local_authority.clock import Clock
from local_authority.errors import InvalidClient
from local_authority.secret_values import digest
from local_authority.store import Store

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS: Final = ("RS256", "PS256", "ES256")
TYPES: Final = frozenset({None, "JWT", "client-authentication+jwt"})
LONGEST_LIFE_SECONDS: Final = 300
LEEWAY_SECONDS: Final = 30
LONGEST_ASSERTION: Final = 16_384
WRONG: Final = "The client assertion is not one that this client can have made."


class SpentAssertion(msgspec.Struct, frozen=True):
    """The ``jti`` of an assertion, kept until it would have expired."""


@dataclass(frozen=True, slots=True)
class Assertions:
    """Verifies assertions for ``audiences`` (issuer and token endpoint). Entra needs to be told which key signed."""

    store: Store
    clock: Clock
    audiences: frozenset[str]
    key_must_be_named: bool

    def verify(self, assertion: str, registry: Registry) -> Client:
        """The client that signed; InvalidClient for anything else, a repeated assertion included (ATK-57)."""
        header, claimed = self._peek(assertion)
        client = registry.clients.get(claimed)
        if client is None or not client.credentials:
            raise InvalidClient(WRONG)
        claims = self._verified(assertion, self._candidates(client, header))
        self._refuse_claims(claims, client)
        self._spend(client, claims)
        return client

    def _peek(self, assertion: str) -> tuple[Mapping[str, Any], str]:
        """Header and claimed client, unproven: only to find the keys that may prove them."""
        try:
            unverified = jws.extract_compact(assertion.encode()[:LONGEST_ASSERTION])
            header, claims = unverified.headers(), msgspec.json.decode(unverified.payload, type=dict[str, Any])
        except (JoseError, ValueError) as error:
            raise InvalidClient("The client assertion cannot be read.") from error
        if header.get("typ") not in TYPES or header.get("alg") not in ALGORITHMS:
            raise InvalidClient(f"The client assertion must be a JWT signed with one of {', '.join(ALGORITHMS)}.")
        return header, str(claims.get("sub"))

    def _candidates(self, client: Client, header: Mapping[str, Any]) -> list[Credential]:
        thumbprints = {header[name] for name in ("x5t", "x5t#S256") if isinstance(header.get(name), str)}
        if self.key_must_be_named and not thumbprints and "kid" not in header:
            raise InvalidClient("The client assertion must name its certificate by x5t#S256, x5t or kid.")
        return [c for c in client.credentials if not c.thumbprints or thumbprints <= c.thumbprints]

    def _verified(self, assertion: str, candidates: list[Credential]) -> Mapping[str, Any]:
        for candidate in candidates:
            try:
                return jwt.decode(assertion, candidate.key, algorithms=ALGORITHMS).claims
            except (JoseError, ValueError):
                continue
        raise InvalidClient(WRONG)

    def _refuse_claims(self, claims: Mapping[str, Any], client: Client) -> None:
        if claims.get("iss") != client.client_id or claims.get("sub") != client.client_id:
            raise InvalidClient("iss and sub of the client assertion must both be the client_id.")
        audience = claims.get("aud")
        if not ({audience} if isinstance(audience, str) else set(_texts(audience))) & self.audiences:
            raise InvalidClient("aud of the client assertion must be the issuer or the token endpoint.")
        now, expiry = self.clock.now(), _instant(claims, "exp")
        if expiry is None or not now - LEEWAY_SECONDS < expiry <= now + LONGEST_LIFE_SECONDS + LEEWAY_SECONDS:
            raise InvalidClient("exp of the client assertion must lie within the next five minutes.")
        if any((_instant(claims, name) or 0) > now + LEEWAY_SECONDS for name in ("iat", "nbf")):
            raise InvalidClient("The client assertion is not valid yet; compare the clocks.")

    def _spend(self, client: Client, claims: Mapping[str, Any]) -> None:
        jti = claims.get("jti")
        if not isinstance(jti, str) or not jti:
            raise InvalidClient("The client assertion needs a jti.")
        expires_at = self.clock.now() + LONGEST_LIFE_SECONDS + 2 * LEEWAY_SECONDS
        if not self.store.add(digest(f"{client.client_id} {jti}"), SpentAssertion(), expires_at=expires_at):
            raise InvalidClient("The client assertion was used before; make a new one for each request.")


def _texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _instant(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
