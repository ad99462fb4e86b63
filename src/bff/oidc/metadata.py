"""Discovery (OIDC Discovery 4, RFC 8414): a document, believed only when it names exactly the configured issuer."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from bff.clock import Clock
from bff.errors import AuthorizationServerUnavailable
from bff.oidc.back_channel import BackChannel
from bff.oidc.last_known_good import Fetched, LastKnownGood

FRESH_SECONDS = 3600.0
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
logger = logging.getLogger(__name__)
_URL_CHARACTERS = re.compile(r"[\x21-\x7e]{1,2048}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationServer:
    """What we use of an authorization server's metadata. None and empty say that the server did not mention it."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str | None = None
    revocation_endpoint: str | None = None
    iss_parameter_supported: bool = False
    code_challenge_methods_supported: frozenset[str] = frozenset()
    prompt_values_supported: frozenset[str] = frozenset()
    token_endpoint_auth_methods_supported: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, document: Mapping[str, Any], *, issuer: str) -> AuthorizationServer:
        """The server that ``document`` describes; raises ValueError where it describes another one, or an unsafe one.

        A server that says nothing about PKCE is sent S256 all the same: parameters it does not know are ignored (RFC
        6749 3.1). One that lists methods without S256 is refused: ``plain`` hands the verifier to any reader.
        """
        if document.get("issuer") != issuer:
            # Compared as strings (RFC 8414 3.3): a trailing slash is another issuer.
            raise ValueError(f"it names the issuer {document.get('issuer')!r:.200}, not {issuer!r}")
        methods = _names(document, "code_challenge_methods_supported")
        if methods and "S256" not in methods:
            raise ValueError("it offers PKCE without S256")
        return cls(
            issuer=issuer,
            authorization_endpoint=_endpoint(document, "authorization_endpoint"),
            token_endpoint=_endpoint(document, "token_endpoint"),
            jwks_uri=_endpoint(document, "jwks_uri"),
            end_session_endpoint=_optional_endpoint(document, "end_session_endpoint"),
            revocation_endpoint=_optional_endpoint(document, "revocation_endpoint"),
            iss_parameter_supported=document.get("authorization_response_iss_parameter_supported") is True,
            code_challenge_methods_supported=methods,
            prompt_values_supported=_names(document, "prompt_values_supported"),
            token_endpoint_auth_methods_supported=_names(document, "token_endpoint_auth_methods_supported"),
        )


class Metadata:
    """The authorization server's metadata: an hour fresh, a day at most where the server is down.

    ``metadata_url`` is independent of ``issuer``: Entra External ID publishes one host's issuer from another host.
    """

    def __init__(self, *, issuer: str, metadata_url: str, back_channel: BackChannel, clock: Clock) -> None:
        self._issuer = issuer
        self._url = metadata_url
        self._back_channel = back_channel
        self._document = LastKnownGood("metadata", self._fetch, clock)
        self._said: tuple[str, ...] = ()

    async def current(self) -> AuthorizationServer:
        """The server's metadata; raises AuthorizationServerUnavailable where none can be had or believed."""
        return await self._document.current()

    async def _fetch(self) -> Fetched[AuthorizationServer]:
        document, _ = await self._back_channel.fetch_json(self._url)
        try:
            server = AuthorizationServer.parse(document, issuer=self._issuer)
        except ValueError as refusal:
            raise AuthorizationServerUnavailable(f"{self._url}: {refusal}", sent=False) from refusal
        self._say_once(server)
        return Fetched(document=server, fresh_seconds=FRESH_SECONDS)

    def _say_once(self, server: AuthorizationServer) -> None:
        """Name what this server does not offer when it is first known, and again only when that changes."""
        missing = []
        if server.revocation_endpoint is None:
            missing.append("no revocation endpoint: a refresh token lives on at the server after sign-out")
        if server.end_session_endpoint is None:
            missing.append("no end session endpoint: sign-out ends here, and the server's own session goes on")
        if not server.code_challenge_methods_supported:
            missing.append("nothing about PKCE: S256 is sent all the same")
        if tuple(missing) != self._said:
            self._said = tuple(missing)
            for what in missing:
                logger.warning("the authorization server's metadata has %s", what)


def is_secure(url: str) -> bool:
    """Whether a token may be sent there: https, or http on this very machine; with no user name and no fragment."""
    if not _URL_CHARACTERS.fullmatch(url):
        return False
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc or "#" in url:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)


def _endpoint(document: Mapping[str, Any], name: str) -> str:
    url = document.get(name)
    if not isinstance(url, str) or not is_secure(url):
        raise ValueError(f"its {name} is no https URL")
    return url


def _optional_endpoint(document: Mapping[str, Any], name: str) -> str | None:
    return None if document.get(name) is None else _endpoint(document, name)


def _names(document: Mapping[str, Any], name: str) -> frozenset[str]:
    value = document.get(name)
    if value is None:
        return frozenset()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"its {name} is no list of names")
    return frozenset(value)
