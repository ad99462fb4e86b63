"""The host of an authorization server's metadata and keys, as an httpx transport with misbehaviours that have names."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable, Sequence
from typing import Any, Literal

import httpx

from tests.world.tokens import ISSUER, JWKS_URI, METADATA_URL, jwks

Misbehaviour = Literal[
    "down",  # the connection is refused
    "slow",  # no answer within the client's time-out
    "stuck",  # no answer until ``release`` is set
    "error",  # 500
    "redirect",  # 302 to another host
    "oversized",  # more bytes than anybody needs
    "drip",  # 200, and the body breaks off
    "not-json",
    "not-an-object",
    "no-keys",  # an object without what was asked for
    "duplicate-members",
    "no-usable-key",
]


class KeyHost:
    """Answers for the metadata and the keys of one issuer; counts what it was asked.

    ``document`` is the key set it serves now, ``issuer`` the one its metadata names, beside ``endpoints``.
    ``misbehave`` applies to every answer, or only to the URL in ``only``.
    """

    def __init__(
        self,
        document: dict[str, Any] | None = None,
        *,
        issuer: str = ISSUER,
        metadata_url: str = METADATA_URL,
        jwks_uri: str = JWKS_URI,
    ) -> None:
        self.document = jwks() if document is None else document
        self.issuer = issuer
        self.metadata_url = metadata_url
        self.jwks_uri = jwks_uri
        self.misbehave: Misbehaviour | None = None
        self.only: str | None = None
        self.headers: dict[str, str] = {}
        self.endpoints: dict[str, str] = {}
        self.requests: list[httpx.Request] = []
        self.release = asyncio.Event()

    @property
    def transport(self) -> httpx.MockTransport:
        """What an ``httpx.AsyncClient`` is given in the network's place."""
        return httpx.MockTransport(self._answer)

    def asked(self, url: str | None = None) -> int:
        """How often ``url`` (default: the keys) was fetched."""
        return sum(str(request.url) == (url or self.jwks_uri) for request in self.requests)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        url = str(request.url)
        if self.misbehave is not None and self.only in {None, url}:
            response = await self._misbehave(self.misbehave, request)
            if response is not None:
                return response
        document = self._document(url)
        return self._json(document) if document else httpx.Response(404)

    def _document(self, url: str) -> dict[str, Any]:
        if url == self.metadata_url:
            return {"issuer": self.issuer, "jwks_uri": self.jwks_uri, **self.endpoints}
        return self.document if url == self.jwks_uri else {}

    def _json(self, document: object) -> httpx.Response:
        content = json.dumps(document).encode()
        if self.headers.get("Content-Encoding") == "gzip":
            content = gzip.compress(content)
        return httpx.Response(200, content=content, headers={"Content-Type": "application/json", **self.headers})

    async def _misbehave(self, how: Misbehaviour, request: httpx.Request) -> httpx.Response | None:
        if how == "down":
            raise httpx.ConnectError("connection refused", request=request)
        if how == "slow":
            raise httpx.ReadTimeout("no answer", request=request)
        if how == "stuck":
            await self.release.wait()
            return None
        return _ANSWERS[how](json.dumps(self._document(str(request.url))).encode())


async def _broken_body() -> Any:
    yield b'{"keys": ['
    raise httpx.ReadError("connection reset")


# Each is handed the honest document, so that only what is wrong about the answer speaks against it.
_ANSWERS: dict[Misbehaviour, Callable[[bytes], httpx.Response]] = {
    "error": lambda honest: httpx.Response(500, content=honest),
    "redirect": lambda honest: httpx.Response(302, headers={"Location": "https://elsewhere.example/"}, content=honest),
    "oversized": lambda honest: httpx.Response(200, content=honest[:-1] + b" " * 2_000_000 + b"}"),
    "drip": lambda _: httpx.Response(200, content=_broken_body()),
    "not-json": lambda _: httpx.Response(200, text="<!doctype html>"),
    "not-an-object": lambda honest: httpx.Response(200, content=b"[" + honest + b"]"),
    "no-keys": lambda _: httpx.Response(200, text="{}"),
    "duplicate-members": lambda honest: httpx.Response(200, content=honest[:-1] + b"," + honest[1:]),
    "no-usable-key": lambda _: httpx.Response(200, text='{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "s"}]}'),
}

MISBEHAVIOURS: Sequence[Misbehaviour] = ("down", "slow", *_ANSWERS)
"""All of them but ``stuck``, which needs somebody to release it."""
