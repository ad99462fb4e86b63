from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import parse_qs

import pytest

from bff.errors import RefreshRefused
from bff.oidc.back_channel import open_back_channel
from bff.oidc.messages import AuthorizationResponse, LoginRequest
from bff.oidc.relying_party import RelyingParty
from tests.bff.oidc.real_peer import peer
from tests.bff.oidc.simulated_server import SECRET, registration
from tests.world.clock import MovableClock
from tests.world.tokens import ABSENT, id_token, jwks


class RealServer:
    """A small authorization server on a loopback socket, so that every layer below httpx has its say in the log."""

    def __init__(self) -> None:
        self.issuer = ""
        self.nonce = ""
        self.refuse = False
        self.spoken: list[str] = []

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        async with peer(self._serve) as url:
            self.issuer = url
            yield

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionResetError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    (int(line[15:]) for line in head.split(b"\r\n") if line[:15].lower() == b"content-length:"), 0
                )
                form = parse_qs((await reader.readexactly(length)).decode())
                status, body = self._answer(head.split(b" ")[1].decode(), form)
                raw = json.dumps(body).encode()
                writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(raw), raw))
                await writer.drain()

    def _answer(self, path: str, form: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        if path == "/metadata":
            names = ("authorization", "token", "end_session", "revocation")
            return 200, {
                "issuer": self.issuer,
                "jwks_uri": f"{self.issuer}/keys",
                **{f"{name}_endpoint": f"{self.issuer}/{name}" for name in names},
            }
        if path == "/keys":
            return 200, jwks()
        if path == "/token" and self.refuse:
            return 400, {"error": "invalid_grant", "error_description": f"unknown {form['refresh_token'][0]}"}
        if path == "/token":
            number = len(self.spoken)
            nonce = self.nonce if "code" in form else ABSENT
            token = id_token(iss=self.issuer, nonce=nonce, auth_time=ABSENT, sid=f"canary-sid-{number}")
            self.spoken += [f"canary-at-{number}", f"canary-rt-{number}", token]
            return 200, {
                "access_token": f"canary-at-{number}",
                "refresh_token": f"canary-rt-{number}",
                "id_token": token,
                "token_type": "Bearer",
            }
        return 200, {}


@pytest.mark.req("ATK-59")
async def test_a_whole_story_at_debug_leaves_no_secret_in_the_log(
    caplog: pytest.LogCaptureFixture, clock: MovableClock
) -> None:
    """Sign-in, refresh, refused refresh, revocation, sign-out, every logger at DEBUG: not one secret in any record."""
    caplog.set_level(logging.DEBUG)
    for name in ("authlib", "httpx", "httpcore", "joserfc", "bff", "asyncio"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    server = RealServer()
    async with server.listening(), open_back_channel() as http:
        settings = registration(issuer=server.issuer, metadata_url=f"{server.issuer}/metadata")
        party = RelyingParty(settings, http=http, clock=clock)
        authorization, transaction = await party.begin_login(LoginRequest())
        server.nonce = transaction.nonce
        pairs = [("code", "canary-code"), ("state", transaction.state), ("iss", server.issuer)]
        sign_in = await party.complete_login(AuthorizationResponse.parse(pairs), transaction)
        refreshed = await party.refresh(sign_in.tokens, sign_in.claims)
        server.refuse = True
        with pytest.raises(RefreshRefused) as refusal:
            await party.refresh(refreshed.tokens, sign_in.claims)
        await party.revoke(refreshed.tokens.refresh_token or "", "refresh_token")
        url = await party.end_session_url(state="canary-state", claims=sign_in.claims, id_token=None)

    secrets = [SECRET, "canary", transaction.state, transaction.nonce, transaction.code_verifier, *server.spoken]
    written = [json.dumps(record.__dict__, default=repr) + record.getMessage() for record in caplog.records]
    shown = [repr(value) for value in (authorization, transaction, sign_in, refreshed, settings, refusal.value)]
    assert len(written) > 50, "the loggers below httpx were not listening"
    assert url is not None
    assert len(server.spoken) == 6
    for secret in secrets:
        assert not [line for line in written if secret in line]
        assert not [text for text in shown if secret in text]
