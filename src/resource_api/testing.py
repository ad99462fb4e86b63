"""For the tests of an application that ``resource_api.security`` protects; never for anything that is served.

pytest_plugins = ["resource_api.testing"]      # conftest.py

@pytest.fixture
def protected_app() -> FastAPI: ...            # the application, as it is

def test_reading(access_token):                # real verification, of tokens that this process signs
    token = access_token(scope="Things.Read", exp=0)

def test_writing(as_principal):                # no token: the rules of the routes still hold
    with as_principal(scopes={"Things.Read"}): ...
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from fastapi import FastAPI

from resource_api.security import Issuer, Principal, ResourceServer

KID: Final = "resource-api-testing"
TENANT: Final = "7e57e57e-0000-4000-8000-000000000000"
PERSON: Final = "a11ce000-0000-4000-8000-000000000000"
CLIENT: Final = "c11e0700-0000-4000-8000-000000000000"
_KEYS: Final = "https://keys.testing.invalid/"
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TYPES: Final = {"entra-v2": "JWT", "rfc9068": "at+jwt", "jwt": "JWT"}


@dataclass(frozen=True, slots=True)
class SigningIssuer:
    """All issuers that a resource server trusts, with one key of this process: what they publish and what they sign."""

    server: ResourceServer
    _key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1()), repr=False
    )

    @property
    def transport(self) -> httpx.MockTransport:
        """Metadata and keys, wherever the server looks for them."""
        return httpx.MockTransport(self._answer)

    def token(self, **overrides: object) -> str:
        """An access token that the server takes; an override of ``None`` leaves the claim out."""
        claims = {name: value for name, value in {**self._claims(), **overrides}.items() if value is not None}
        header = {"alg": "ES256", "kid": KID, "typ": _TYPES[self.server.rules.profile]}
        signed = ".".join(_b64url(json.dumps(part).encode()) for part in (header, claims))
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_b64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def _claims(self) -> dict[str, object]:
        now, rules, issuer = int(time.time()), self.server.rules, self.server.issuers[0]
        client = min(rules.clients, default=CLIENT)
        claims: dict[str, object] = {"iss": issuer, "aud": rules.audience, "sub": PERSON, "iat": now, "exp": now + 300}
        if rules.profile == "entra-v2":
            tenant = _GUID.search(issuer)
            return claims | {"ver": "2.0", "tid": tenant[0] if tenant else TENANT, "oid": PERSON, "azp": client}
        return claims | {"client_id": client, "jti": f"{KID}-{now}"}

    def _answer(self, request: httpx.Request) -> httpx.Response:
        url = str(request.url)
        for issuer in self._documents():
            if url == issuer.document_url:
                return httpx.Response(200, json={"issuer": issuer.identifier, "jwks_uri": _KEYS})
        return httpx.Response(200, json={"keys": [self._public_key()]})

    def _documents(self) -> list[Issuer]:
        return [*self.server.trusted, *(Issuer(identifier) for identifier in self.server.issuers)]

    def _public_key(self) -> dict[str, str]:
        numbers = self._key.public_key().public_numbers()
        point = {"x": _b64url(numbers.x.to_bytes(32, "big")), "y": _b64url(numbers.y.to_bytes(32, "big"))}
        return {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": KID, **point}


@pytest.fixture
def protected_app() -> FastAPI:
    """The application under test: define a fixture of this name that returns it."""
    raise pytest.UsageError("define a fixture protected_app that returns the FastAPI application to test")


@pytest.fixture
def access_token(protected_app: FastAPI) -> Iterator[Callable[..., str]]:
    """``access_token(**claims)``: a token for the application, which trusts this process for the length of a test."""
    issuer = SigningIssuer(protected_app.state.resource_server)
    with _instead(protected_app, issuer.server.replica(issuer.transport)):
        yield issuer.token


@pytest.fixture
def as_principal(protected_app: FastAPI) -> Callable[..., AbstractContextManager[Principal]]:
    """A context manager: every call in its block comes from this caller, with or without a token."""

    @contextmanager
    def calling(**overrides: Any) -> Iterator[Principal]:  # noqa: ANN401 — because each field has a type of its own
        principal = _principal(protected_app.state.resource_server, overrides)

        async def authenticate(_: object) -> Principal:
            return principal

        server = protected_app.state.resource_server.replica(httpx.MockTransport(lambda _: httpx.Response(503)))
        server.authenticate = authenticate
        with _instead(protected_app, server):
            yield principal

    return calling


def _principal(server: ResourceServer, overrides: dict[str, Any]) -> Principal:
    usual: dict[str, Any] = {
        "kind": "user",
        "issuer": server.issuers[0],
        "subject": PERSON,
        "owner": PERSON,
        "client_id": CLIENT,
        "scopes": frozenset(),
        "app_roles": frozenset(),
        "issued_at": time.time(),
        "expires_at": time.time() + 300,
        "claims": {},
    }
    given = {**usual, **overrides}
    return Principal(**given | {name: frozenset(given[name]) for name in ("scopes", "app_roles")})


@contextmanager
def _instead(app: FastAPI, server: ResourceServer) -> Iterator[None]:
    """The application asks this server, until the end."""
    before = app.state.resource_server
    app.state.resource_server = server
    try:
        yield
    finally:
        app.state.resource_server = before


def _b64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")
