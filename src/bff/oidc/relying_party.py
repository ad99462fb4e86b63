"""The relying party: begin a sign-in, complete it, refresh its tokens, withdraw them, and leave.

Each step's output is the next step's only admissible input: ``LoginRequest`` → ``LoginTransaction`` →
``AuthorizationResponse`` → ``SignIn`` → ``Refreshed``.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import httpx

from bff.clock import Clock
from bff.errors import (
    AuthorizationServerUnavailable,
    BFFError,
    InvalidAuthorizationResponse,
    InvalidIDToken,
    RefreshRefused,
)
from bff.oidc.back_channel import BackChannel
from bff.oidc.front_channel import (
    asked_parameters,
    check_issuer,
    code_of,
    end_session_address,
    front_channel_notice,
    origins_of,
)
from bff.oidc.id_token import UNDECIDED, Expectation, verify_id_token
from bff.oidc.key_set import KeySet
from bff.oidc.logout_token import LogoutExpectation, verify_logout_token
from bff.oidc.messages import (
    AuthorizationRequest,
    AuthorizationResponse,
    Claims,
    LoginRequest,
    LoginTransaction,
    LogoutNotice,
    Narrow,
    Refreshed,
    SignIn,
    TokenSet,
)
from bff.oidc.metadata import AuthorizationServer, Metadata
from bff.oidc.registration import Registration
from bff.oidc.rules import Rule, require
from bff.oidc.token_client import TokenClient
from bff.oidc.token_response import token_set

__all__ = ["Registration", "RelyingParty", "Rule"]

REVOCATION_SECONDS = 3.0
LATE_KEY_SECONDS = 0.75
logger = logging.getLogger(__name__)


class RelyingParty:
    """We, at one authorization server. ``randomness(n)`` yields the URL-safe text of n random bytes."""

    def __init__(
        self,
        registration: Registration,
        *,
        http: httpx.AsyncClient,
        clock: Clock,
        randomness: Callable[[int], str] = secrets.token_urlsafe,
    ) -> None:
        self._registration = registration
        self._clock = clock
        self._randomness = randomness
        self._back_channel = BackChannel(http, clock)
        self._metadata = Metadata(
            issuer=registration.issuer,
            metadata_url=registration.metadata_url,
            back_channel=self._back_channel,
            clock=clock,
        )
        self._keys = KeySet(metadata=self._metadata, back_channel=self._back_channel, clock=clock)
        self._missed_sid = False
        self._client = TokenClient(registration, self._back_channel, clock)

    async def begin_login(self, request: LoginRequest) -> tuple[AuthorizationRequest, LoginTransaction]:
        """Where to send the browser, and what to remember until it comes back.

        State and nonce are 256 random bits each, and so is the verifier (43 characters, RFC 7636 4.1); S256 is always
        sent (RFC 9700 2.1.1). Raises AuthorizationServerUnavailable.
        """
        server = await self._metadata.current()
        transaction = LoginTransaction(
            state=self._randomness(32),
            nonce=self._randomness(32),
            code_verifier=self._randomness(32),
            issuer=self._registration.issuer,
            redirect_uri=self._registration.redirect_uri,
            return_to=request.return_to,
            began_at=self._clock.now(),
            max_age=request.max_age,
            acr_values=request.acr_values,
            replaces=request.replaces,
        )
        url = self._client.authorization_url(
            server,
            **asked_parameters(request, self._registration, server),
            scope=self._registration.scope,
            redirect_uri=transaction.redirect_uri,
            state=transaction.state,
            nonce=transaction.nonce,
            code_verifier=transaction.code_verifier,
        )
        return AuthorizationRequest(url=url), transaction

    async def complete_login(self, response: AuthorizationResponse, transaction: LoginTransaction) -> SignIn:
        """A verified sign-in, or the reason why there is none: state, then iss, then error, then the code.

        No code is spent before state and issuer fit. Raises InvalidAuthorizationResponse, AuthorizationRefused,
        CodeRefused, InvalidIDToken, LoginNotPermitted, ClientRefused and AuthorizationServerUnavailable.
        """
        if not hmac.compare_digest(response.state.encode(), transaction.state.encode()):
            raise InvalidAuthorizationResponse("state is another transaction's")
        server = await self._metadata.current()
        check_issuer(response, transaction, server)
        tokens = await self._redeem(server, code_of(response), transaction)
        try:
            claims = await self._identified(tokens, transaction)
        except BFFError:
            await self._give_back(tokens)
            raise
        self._miss_sid(claims)
        return SignIn(
            issuer=server.issuer, subject=claims["sub"], claims=claims, tokens=tokens, transaction=transaction
        )

    async def refresh(
        self,
        tokens: TokenSet,
        claims: Claims,
        *,
        narrow: Narrow | None = None,
        sending: Callable[[], Awaitable[None]] | None = None,
    ) -> Refreshed:
        """New tokens for the same person; ``claims`` are the session's: the first ID token's, brought up to date.

        ``narrow`` asks for one API's own access token. ``sending`` is awaited just before the refresh token is sent.
        RefreshRefused, InvalidIDToken and LoginNotPermitted say that the session is over: the refresh token is spent.
        ClientRefused and AuthorizationServerUnavailable say nothing about it; where the latter is not ``sent``, the
        refresh token was not used.
        """
        if tokens.refresh_token is None:
            raise RefreshRefused("there is no refresh token")
        server = await self._metadata.current()
        # Fetched now, so that an unreachable key set is found out before a rotating refresh token is spent.
        await self._keys.current()
        if sending is not None:
            await sending()
        asked = {} if narrow is None else narrow.parameters()
        members = await self._client.renew(server, refresh_token=tokens.refresh_token, narrow=asked)
        renewed = self._continued(tokens, members)
        try:
            renewed_claims = await self._verify_refreshed(renewed, claims)
            require(self._registration.require, {**claims, **(renewed_claims or {})})
        except BFFError:
            await self._give_back(renewed)
            raise
        return Refreshed(tokens=renewed, claims=renewed_claims)

    async def client_token(self, *, scope: str = "", resource: str = "", audience: str = "") -> TokenSet:
        """An access token of the application itself (RFC 6749 4.4), for one API (RFC 8707 2).

        Raises ClientRefused and AuthorizationServerUnavailable.
        """
        asked = {"scope": scope, "resource": resource, "audience": audience}
        server = await self._metadata.current()
        members = await self._client.grant_to_client(server, **{name: value for name, value in asked.items() if value})
        return token_set(members, now=self._clock.now(), unstated_scope=frozenset(scope.split()))

    async def revoke(self, token: str, hint: Literal["refresh_token", "access_token"]) -> bool:
        """Whether the server confirmed within 3 seconds that ``token`` is dead (RFC 7009 2.2).

        It never raises for the server's sake: a sign-out does not wait for it. False is logged, without the token.
        """
        try:
            async with asyncio.timeout(REVOCATION_SECONDS):
                server = await self._metadata.current()
                if server.revocation_endpoint is None:
                    return False
                answer = await self._client.withdraw(server.revocation_endpoint, token=token, hint=hint)
        except (TimeoutError, AuthorizationServerUnavailable) as outage:
            logger.warning("the %s could not be revoked and lives on: %s", hint, str(outage) or "it took too long")
            return False
        if answer.status != 200:  # noqa: PLR2004 — the one success of RFC 7009 2.2
            logger.warning("the %s was not revoked and lives on: the server answered %d", hint, answer.status)
        return answer.status == 200  # noqa: PLR2004 — as above

    async def end_session_url(self, *, state: str, claims: Claims, id_token: str | None) -> str | None:
        """Where the browser signs out of the authorization server (RP-Initiated Logout 2).

        None where the server offers no such place, or cannot be asked: the sign-out at home is done either way.
        """
        try:
            endpoint = (await self._metadata.current()).end_session_endpoint
        except AuthorizationServerUnavailable as outage:
            logger.warning("the sign-out ends here, the authorization server cannot be asked: %s", outage.detail)
            return None
        if endpoint is None:
            return None
        return end_session_address(endpoint, self._registration, state=state, claims=claims, id_token=id_token)

    async def back_channel_logout(self, logout_token: str) -> LogoutNotice:
        """Whose session is over, from a verified logout token (Back-Channel Logout 2.6).

        Raises InvalidLogoutToken, and AuthorizationServerUnavailable where the issuer's keys cannot be had.
        """
        expected = LogoutExpectation(
            issuer=self._registration.issuer,
            client_id=self._registration.client_id,
            algorithms=self._registration.algorithms,
            now=self._clock.now(),
            leeway=self._registration.leeway_seconds,
        )
        return await verify_logout_token(logout_token, keys=self._keys, expected=expected)

    def front_channel_logout(self, parameters: Sequence[tuple[str, str]]) -> LogoutNotice | None:
        """Whose session is over, from the address of a frame; None where it does not name one (rule F34)."""
        return front_channel_notice(parameters, self._registration, now=self._clock.now())

    async def front_channel_origins(self) -> tuple[str, ...]:
        """The origins whose pages may frame ours: those of the authorization and the end-session endpoint."""
        try:
            server = await self._metadata.current()
        except AuthorizationServerUnavailable as outage:
            logger.warning("nobody may frame the front-channel logout for now: %s", outage.detail)
            return ()
        return origins_of(server.authorization_endpoint, server.end_session_endpoint)

    async def ready(self) -> bool:
        """Whether a sign-in could be completed now: metadata and keys are at hand."""
        try:
            await self._metadata.current()
            await self._keys.current()
        except AuthorizationServerUnavailable as outage:
            logger.warning("not ready: %s", outage.detail)
            return False
        return True

    def _miss_sid(self, claims: Claims) -> None:
        """Say once that a sign-out elsewhere will end nothing here (rule F34)."""
        if self._registration.front_channel_sid_alone and "sid" not in claims and not self._missed_sid:
            self._missed_sid = True
            logger.warning(
                "ID tokens hold no sid: front-channel logout can name no session. Add the optional claim sid"
            )

    async def _identified(self, tokens: TokenSet, transaction: LoginTransaction) -> Claims:
        """The claims of the ID token that came along: required, verified in numbered steps, and permitted here."""
        if tokens.id_token is None:
            raise InvalidIDToken("0", "the token endpoint sent none")
        expected = self._expectation(tokens, transaction=transaction)
        claims = await verify_id_token(tokens.id_token, keys=self._keys, expected=expected)
        require(self._registration.require, claims)
        return claims

    async def _give_back(self, tokens: TokenSet) -> None:
        """Revoke what led to no session: nobody is left here who could use it, or end it."""
        revoking = [self.revoke(tokens.access_token, "access_token")]
        if tokens.refresh_token is not None:
            revoking.append(self.revoke(tokens.refresh_token, "refresh_token"))
        await asyncio.gather(*revoking)

    async def _redeem(self, server: AuthorizationServer, code: str, transaction: LoginTransaction) -> TokenSet:
        members = await self._client.redeem(
            server, code=code, code_verifier=transaction.code_verifier, redirect_uri=transaction.redirect_uri
        )
        return token_set(members, now=self._clock.now(), unstated_scope=self._asked_scope())

    def _continued(self, tokens: TokenSet, members: Mapping[str, Any]) -> TokenSet:
        """The tokens that follow ``tokens``: the old refresh token where none came, and no scope nobody asked for."""
        renewed = token_set(members, now=self._clock.now(), unstated_scope=tokens.scope)
        return replace(
            renewed,
            refresh_token=renewed.refresh_token or tokens.refresh_token,
            scope=renewed.scope & (tokens.scope | self._asked_scope()),
        )

    async def _verify_refreshed(self, tokens: TokenSet, previous: Claims) -> Claims | None:
        """The claims of a refreshed ID token; None where none came, or where nothing can be said of it.

        An ID token is optional here (OIDC Core 12.2). To give up new tokens because a key set is late or a clock wrong
        would end a session for an outage; so the ID token is left aside, and the session keeps the claims it has. Nor
        is a late key waited for: another process may take this refresh over, six seconds after it was sent (rule F3).
        """
        if tokens.id_token is None:
            return None
        try:
            expected = self._expectation(tokens, previous=previous)
            async with asyncio.timeout(LATE_KEY_SECONDS):
                return await verify_id_token(tokens.id_token, keys=self._keys, expected=expected)
        except AuthorizationServerUnavailable as outage:
            logger.warning("a refreshed ID token is left aside: %s", outage.detail)
        except TimeoutError:
            logger.warning("a refreshed ID token is left aside: its key is late")
        except InvalidIDToken as refusal:
            if refusal.step not in UNDECIDED:
                raise
            logger.warning("a refreshed ID token is left aside: %s", refusal)
        return None

    def _expectation(
        self, tokens: TokenSet, *, transaction: LoginTransaction | None = None, previous: Claims | None = None
    ) -> Expectation:
        return Expectation(
            issuer=self._registration.issuer,
            client_id=self._registration.client_id,
            algorithms=self._registration.algorithms,
            now=self._clock.now(),
            leeway=self._registration.leeway_seconds,
            access_token=tokens.access_token,
            transaction=transaction,
            previous=previous,
            skew=self._back_channel.skew,
        )

    def _asked_scope(self) -> frozenset[str]:
        return frozenset(self._registration.scope.split())
