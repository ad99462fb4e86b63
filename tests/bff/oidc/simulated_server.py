"""An authorization server behind respx: it answers as an honest one would, and misbehaves where a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import respx

from bff.oidc.client_authentication import ClientSecret
from bff.oidc.registration import Registration
from tests.world.clock import MovableClock
from tests.world.tokens import ABSENT, CLIENT_ID, ISSUER, JWKS_URI, METADATA_URL, SigningKey, id_token, rsa_key

__all__ = ["METADATA_URL", "SECRET", "SimulatedServer", "form_of", "query_of", "registration"]

HOST = "https://contoso.ciamlogin.com"
SECRET = "the-client-secret-of-the-tests-7Q"
REDIRECT_URI = "https://app.example.com/bff/callback"


def registration(**overrides: Any) -> Registration:
    """A registration at the simulated server."""
    values: dict[str, Any] = {
        "issuer": ISSUER,
        "metadata_url": METADATA_URL,
        "client_id": CLIENT_ID,
        "authentication": ClientSecret(SECRET),
        "redirect_uri": REDIRECT_URI,
        "post_logout_redirect_uri": "https://app.example.com/bff/logged-out",
        "scopes": ("openid", "offline_access", "api://todo/ToDoList.Read"),
    }
    return Registration(**{**values, **overrides})


def metadata_document(**overrides: object) -> dict[str, Any]:
    """Metadata as rich as OIDC Discovery 3 allows; ``ABSENT`` removes a member."""
    document = {
        "issuer": ISSUER,
        "authorization_endpoint": f"{HOST}/authorize",
        "token_endpoint": f"{HOST}/token",
        "jwks_uri": JWKS_URI,
        "end_session_endpoint": f"{HOST}/logout",
        "revocation_endpoint": f"{HOST}/revoke",
        "authorization_response_iss_parameter_supported": True,
        "code_challenge_methods_supported": ["S256"],
        **overrides,
    }
    return {name: value for name, value in document.items() if value is not ABSENT}


class SimulatedServer:
    """Metadata, keys, token and revocation endpoint. ``token_answer`` replaces the next token answers as a whole."""

    def __init__(self, network: respx.MockRouter, clock: MovableClock) -> None:
        self.clock = clock
        self.document = metadata_document()
        self.keys: tuple[SigningKey, ...] = (rsa_key(),)
        self.jwks_headers: dict[str, str] = {}
        self.down = False
        self.nonce = ""
        self.id_token: dict[str, Any] = {}
        self.token: dict[str, Any] = {}
        self.token_answer: httpx.Response | Exception | None = None
        self.revocation_answer: httpx.Response | Exception = httpx.Response(200)
        self.metadata_route = network.get(METADATA_URL).mock(side_effect=self._metadata)
        self.jwks_route = network.get(JWKS_URI).mock(side_effect=self._jwks)
        self.token_route = network.post(f"{HOST}/token").mock(side_effect=self._token)
        self.revocation_route = network.post(f"{HOST}/revoke").mock(side_effect=self._revocation)

    def _metadata(self, _: httpx.Request) -> httpx.Response:
        self._connect()
        return httpx.Response(200, json=self.document, headers={"Date": formatdate(self.clock.now(), usegmt=True)})

    def _jwks(self, _: httpx.Request) -> httpx.Response:
        self._connect()
        return httpx.Response(200, json={"keys": [key.public_jwk() for key in self.keys]}, headers=self.jwks_headers)

    async def _token(self, request: httpx.Request) -> httpx.Response:
        self._connect()
        await asyncio.sleep(0)
        if isinstance(self.token_answer, Exception):
            raise self.token_answer
        return self.token_answer or httpx.Response(200, json=self.tokens_for(form_of(request)))

    def _revocation(self, _: httpx.Request) -> httpx.Response:
        self._connect()
        if isinstance(self.revocation_answer, Exception):
            raise self.revocation_answer
        return self.revocation_answer

    def tokens_for(self, form: Mapping[str, str]) -> dict[str, Any]:
        """The honest answer to a code or to a refresh token, with this test's overrides."""
        spent = form.get("code") or form.get("refresh_token") or ""
        first = "code" in form
        members = {
            "access_token": f"at-for-{spent}",
            "refresh_token": f"rt-after-{spent}",
            "token_type": "Bearer",
            "expires_in": 3600,
            "scope": "openid offline_access api://todo/ToDoList.Read",
            "id_token": id_token(
                **{
                    "now": self.clock.now(),
                    "nonce": self.nonce if first else ABSENT,
                    "auth_time": ABSENT,
                    **self.id_token,
                }
            ),
            **self.token,
        }
        return {name: value for name, value in members.items() if value is not ABSENT}

    def _connect(self) -> None:
        if self.down:
            raise httpx.ConnectError("connection refused")


def form_of(request: httpx.Request) -> dict[str, str]:
    """The form of a request; a parameter that came twice fails the test."""
    pairs = parse_qsl(request.content.decode(), keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def query_of(url: str) -> dict[str, str]:
    """The query of a URL; a parameter that came twice fails the test."""
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)
