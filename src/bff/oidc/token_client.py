"""Authlib's OAuth2Client on our back channel, without its state: one instance serves all people at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.client import OAuth2Client

from bff.clock import Clock
from bff.errors import ClientRefused, CodeRefused, RefreshRefused
from bff.oidc.back_channel import Answer, BackChannel
from bff.oidc.metadata import AuthorizationServer
from bff.oidc.registration import Registration
from bff.oidc.token_response import members_of


class TokenClient(OAuth2Client):
    """Requests to one authorization server: their parameters are Authlib's, their transport and judgement are ours.

    Authlib keeps the latest token on the object; nothing here does, so no answer can reach another person's call.
    """

    def __init__(self, registration: Registration, back_channel: BackChannel, clock: Clock) -> None:
        attach = registration.authentication.attach(issuer=registration.issuer, clock=clock)
        super().__init__(
            session=back_channel,
            client_id=registration.client_id,
            token_endpoint_auth_method=attach,
            revocation_endpoint_auth_method=attach,
            code_challenge_method="S256",
        )

    def authorization_url(
        self, server: AuthorizationServer, *, state: str, code_verifier: str, **parameters: str
    ) -> str:
        """The authorization request (RFC 6749 4.1.1) with its S256 challenge (RFC 7636 4.3)."""
        url, _ = self.create_authorization_url(
            server.authorization_endpoint, state=state, code_verifier=code_verifier, **parameters
        )
        return str(url)

    async def redeem(
        self, server: AuthorizationServer, *, code: str, code_verifier: str, redirect_uri: str
    ) -> Mapping[str, Any]:
        """The answer to a code (RFC 6749 4.1.3, RFC 7636 4.5); raises CodeRefused for ``invalid_grant``."""
        answer: Mapping[str, Any] = await self.fetch_token(
            server.token_endpoint,
            grant_type="authorization_code",
            code=code,
            code_verifier=code_verifier,
            redirect_uri=redirect_uri,
        )
        return answer

    async def renew(
        self, server: AuthorizationServer, *, refresh_token: str, narrow: Mapping[str, str]
    ) -> Mapping[str, Any]:
        """The answer to a refresh token; raises RefreshRefused for ``invalid_grant``.

        Without ``narrow``, no scope is asked for, so never a broader one (RFC 6749 6).
        """
        answer: Mapping[str, Any] = await self.refresh_token(
            server.token_endpoint, refresh_token=refresh_token, **narrow
        )
        return answer

    async def grant_to_client(self, server: AuthorizationServer, **parameters: str) -> Mapping[str, Any]:
        """The answer to our own credentials (RFC 6749 4.4); ``parameters`` say for what: scope, resource, audience."""
        try:
            answer: Mapping[str, Any] = await self.fetch_token(
                server.token_endpoint, grant_type="client_credentials", **parameters
            )
        except CodeRefused as refusal:  # invalid_grant: no code was sent, so our registration is what does not fit
            raise ClientRefused(refusal.detail) from None
        return answer

    async def withdraw(self, url: str, *, token: str, hint: Literal["refresh_token", "access_token"]) -> Answer:
        """The answer to a revocation request (RFC 7009 2.1), whatever it says."""
        answer: Answer = await self.revoke_token(  # type: ignore[no-untyped-call]  # the stubs do not annotate it
            url, token=token, token_type_hint=hint
        )
        return answer

    async def _http_post(self, url: str, body: str, auth: ClientAuth, headers: Mapping[str, str]) -> Answer:
        url, headers, body = auth.prepare(  # type: ignore[no-untyped-call]  # the stubs do not annotate it
            "POST", url, dict(headers), body
        )
        back_channel: BackChannel = self.session
        return await back_channel.post_form(url, body=body, headers=headers)

    async def _fetch_token(
        self, url: str, body: str, headers: Mapping[str, str], auth: ClientAuth, method: str = "POST"
    ) -> Mapping[str, Any]:
        # A token is never asked for by any other method (RFC 6749 3.2), whatever the caller of Authlib says.
        del method
        return members_of(await self._http_post(url, body, auth, headers), CodeRefused)

    async def _refresh_token(
        self, url: str, refresh_token: str, body: str, headers: Mapping[str, str], auth: ClientAuth
    ) -> Mapping[str, Any]:
        del refresh_token  # it is in the body already
        return members_of(await self._http_post(url, body, auth, headers), RefreshRefused)
