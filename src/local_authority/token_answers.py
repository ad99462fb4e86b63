"""What the token endpoint gives for each grant (RFC 6749 4.1.4, 4.4.3, 6; OIDC Core 3.1.3.3, 12.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from local_authority import scopes
from local_authority.clients.authentication import AuthenticatedClient
from local_authority.clients.registrations import OIDC_SCOPES, Registry
from local_authority.errors import InvalidGrant, InvalidScope
from local_authority.grants import Grant, Grants
from local_authority.options import Options
from local_authority.parameters import Parameters
from local_authority.people import People
from local_authority.tokens import Tokens

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TokenAnswers:
    """One method per grant type; a ProtocolRefusal is the answer otherwise."""

    options: Options
    registry: Registry
    people: People
    grants: Grants
    tokens: Tokens

    def authorization_code(self, parameters: Parameters, caller: AuthenticatedClient) -> Answer:
        """The first tokens of a grant."""
        grant = self.grants.redeem(
            parameters.require("code"),
            client_id=caller.client.client_id,
            redirect_uri=parameters.get("redirect_uri"),
            verifier=parameters.require("code_verifier"),
        )
        return self._answer(grant, self._asked(parameters, grant), caller, refreshed=False)

    def refresh_token(self, parameters: Parameters, caller: AuthenticatedClient) -> Answer:
        """The next tokens. The scope is looked at first: asking for too much does not cost the refresh token."""
        token = parameters.require("refresh_token")
        known = self.grants.of_refresh_token(token)
        if known is not None and known.client_id == caller.client.client_id:
            self._asked(parameters, known)
        grant = self.grants.spend(token, client_id=caller.client.client_id)
        return self._answer(grant, self._asked(parameters, grant), caller, refreshed=True)

    def client_credentials(self, parameters: Parameters, caller: AuthenticatedClient) -> Answer:
        """An app's own token: no ID token, no refresh token (RFC 6749 4.4.3)."""
        api = scopes.default_api(parameters.require("scope"), self.registry)
        token = self.tokens.app_access_token(caller.client, api, azpacr=caller.azpacr)
        return self._bearer(token, f"{api.uri}/{scopes.DEFAULT}")

    def _asked(self, parameters: Parameters, grant: Grant) -> tuple[str, ...]:
        """The scopes of this token: those asked for, which must be granted; else all of the grant's first resource.

        Entra's refresh tokens are for any resource the client was consented to; elsewhere RFC 6749 6 stands.
        """
        asked = parameters.get("scope")
        if asked is None:
            first = scopes.resources(grant.scopes, self.registry)[:1]
            names = first[0].scopes if first else ()
            return tuple(scope for scope in grant.scopes if scope in OIDC_SCOPES or scope in names)
        tokens = scopes.split(asked)
        client = self.registry.clients[grant.client_id]
        scopes.check(tokens, client, self.registry)
        if self.options.shape == "full" and not set(tokens) <= set(grant.scopes):
            raise InvalidScope("More is asked for than was granted.")
        scopes.one_resource(tokens, self.registry)
        return tokens

    def _answer(self, grant: Grant, asked: tuple[str, ...], caller: AuthenticatedClient, *, refreshed: bool) -> Answer:
        person = self.people.find(grant.oid)
        if person is None:
            raise InvalidGrant("The person's account is gone.")
        resource = scopes.one_resource(asked, self.registry)
        access_token = self.tokens.access_token(grant, person, resource, azpacr=caller.azpacr)
        answer = self._bearer(access_token, " ".join(resource.scopes if resource else asked))
        if "openid" in grant.scopes:
            answer["id_token"] = self.tokens.id_token(grant, person, access_token=access_token, refreshed=refreshed)
        if "offline_access" in grant.scopes:
            answer["refresh_token"] = self.grants.issue_refresh_token(grant)
        return answer

    def _bearer(self, access_token: str, scope: str) -> Answer:
        """``scope`` is the access token's own, as Entra and others answer: never openid, where it is for an API."""
        seconds = self.options.lifetimes.access_token
        return {"token_type": "Bearer", "access_token": access_token, "expires_in": seconds, "scope": scope}
