"""What a sign-out tells the clients: back-channel by a bounded POST, front-channel by addresses for iframes."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

import httpx

from local_authority.clients.registrations import Client, Registry
from local_authority.options import Options
from local_authority.sessions import Session, Sessions
from local_authority.tokens import Tokens

TIMEOUT_SECONDS: Final = 3.0
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SignOut:
    """Ends sessions. ``transport`` replaces the network in tests; Entra's shape has no back channel."""

    options: Options
    registry: Registry
    sessions: Sessions
    tokens: Tokens
    transport: httpx.AsyncBaseTransport | None

    async def end(self, session: Session, *, asked_by: str | None) -> list[str]:
        """End it, tell every client, and return the front-channel addresses of those who did not ask themselves."""
        self.sessions.end(session.sid)
        clients = [self.registry.clients[known] for known in session.clients if known in self.registry.clients]
        if self.options.shape == "full":
            await self._tell(clients, session)
        return [
            self._front_channel(client.frontchannel_logout_uri, session)
            for client in clients
            if client.frontchannel_logout_uri is not None and client.client_id != asked_by
        ]

    def _front_channel(self, uri: str, session: Session) -> str:
        """With ``iss`` and ``sid`` (OIDC Front-Channel Logout 2); Entra sends ``sid`` alone (F34)."""
        issuer = {"iss": self.options.issuer_identifier} if self.options.shape == "full" else {}
        return f"{uri}{'&' if '?' in uri else '?'}{urlencode({**issuer, 'sid': session.sid})}"

    async def _tell(self, clients: list[Client], session: Session) -> None:
        told = [client for client in clients if client.backchannel_logout_uri is not None]
        if not told:
            return
        async with httpx.AsyncClient(
            transport=self.transport, timeout=TIMEOUT_SECONDS, trust_env=False, follow_redirects=False
        ) as http:
            await asyncio.gather(*(self._tell_one(http, client, session) for client in told))

    async def _tell_one(self, http: httpx.AsyncClient, client: Client, session: Session) -> None:
        """One POST (OIDC Back-Channel Logout 2.5), once: a client that cannot be told does not hold up the person."""
        form = {"logout_token": self.tokens.logout_token(client, session.oid, session.sid)}
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                response = await http.post(str(client.backchannel_logout_uri), data=form)
        except (httpx.HTTPError, TimeoutError) as error:
            log.warning("back-channel logout: %s did not answer (%s)", client.name, type(error).__name__)
        else:
            if not response.is_success:
                log.warning("back-channel logout: %s answered %d", client.name, response.status_code)
