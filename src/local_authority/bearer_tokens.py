"""Access tokens that come back to the authority: at userinfo, and to be revoked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from local_authority.clients.registrations import Client
from local_authority.clock import Clock
from local_authority.errors import BearerRefused, InvalidRequest, UnsupportedTokenType
from local_authority.grants import Grants
from local_authority.keys import Keys
from local_authority.options import Options
from local_authority.store import Store
from local_authority.tokens import USERINFO_AUDIENCE

INVALID: Final = "invalid_token"


class RevokedToken(msgspec.Struct, frozen=True):
    """The ``uti`` of a revoked access token, kept until it would have expired."""


@dataclass(frozen=True, slots=True)
class BearerTokens:
    """Knows which tokens of ours still count. ``spares_the_grant`` says whether a refresh token's revocation ends it
    alone, as at some servers.
    """

    options: Options
    store: Store
    keys: Keys
    grants: Grants
    clock: Clock
    spares_the_grant: Callable[[], bool]

    def verify(self, authorization: list[str]) -> dict[str, Any]:
        """The claims of the one bearer token, which must be for userinfo (RFC 6750 2.1, OIDC Core 5.3)."""
        if not authorization:
            raise BearerRefused(None)
        scheme, _, token = authorization[0].partition(" ")
        if len(authorization) > 1 or scheme.lower() != "bearer":
            raise BearerRefused("invalid_request", "Send one bearer token in one Authorization header.")
        claims = self.keys.verify(token.strip())
        if claims is None or not self._lives(claims):
            raise BearerRefused(INVALID, "The access token has expired, was revoked, or is not ours.")
        if claims.get("aud") != USERINFO_AUDIENCE:
            raise BearerRefused(INVALID, "The access token is for another resource.")
        if "openid" not in str(claims.get("scp")).split():
            raise BearerRefused("insufficient_scope", "Userinfo needs the scope openid.")
        return claims

    def revoke(self, token: str, client: Client) -> str | None:
        """End a token of this client (RFC 7009 2.1) and say what it was; None where it is none of ours.

        A refresh token takes its whole grant along. InvalidRequest for another client's token,
        UnsupportedTokenType for an ID token.
        """
        grant = self.grants.of_refresh_token(token)
        if grant is not None:
            _refuse_foreign(grant.client_id, client)
            if self.spares_the_grant():
                self.grants.revoke_one(token)
            else:
                self.grants.revoke(grant.grant_id)
            return "refresh_token"
        claims = self.keys.verify(token)
        if claims is None:
            return None
        if "azp" not in claims:
            raise UnsupportedTokenType("Only access tokens and refresh tokens can be revoked.")
        _refuse_foreign(claims["azp"], client)
        self.store.add(claims["uti"], RevokedToken(), expires_at=claims["exp"])
        return "access_token"

    def _lives(self, claims: dict[str, Any]) -> bool:
        return (
            claims.get("iss") == self.options.issuer_identifier
            and claims.get("exp", 0) > self.clock.now()
            and self.store.get(RevokedToken, str(claims.get("uti"))) is None
            and self.grants.find(str(claims.get("aio"))) is not None
        )


def _refuse_foreign(owner: str, client: Client) -> None:
    if owner != client.client_id:
        raise InvalidRequest("The token was issued to another client.")
