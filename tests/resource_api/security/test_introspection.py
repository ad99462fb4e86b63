"""Opaque tokens: asked about with our own credentials, judged like any other, remembered for a while, never guessed."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from resource_api.security import (
    ConfigurationError,
    Introspection,
    IntrospectionUnavailable,
    InvalidToken,
    Issuer,
    ResourceServer,
    TokenRules,
)
from resource_api.security.introspection import MAX_AT_ONCE
from tests.resource_api.security.conftest import Verify, verifier
from tests.world.clock import MovableClock
from tests.world.tokens import ABSENT, access_token

ISSUER = "https://as.example"
URL = f"{ISSUER}/introspect"
ACTIVE: dict[str, Any] = {
    "active": True,
    "scope": "things.read things.write",
    "client_id": "web",
    "sub": "alice",
    "aud": "things",
    "iss": ISSUER,
    "token_type": "Bearer",
}


class IntrospectionHost:
    """The authorization server's endpoint; ``answer`` is what it says, ``raw`` whatever else it does."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] = dict(ACTIVE)
        self.raw: httpx.Response | httpx.TransportError | None = None
        self.requests: list[httpx.Request] = []
        self.release = asyncio.Event()
        self.release.set()
        self.under_way = self.most = 0

    async def respond(self, request: httpx.Request) -> httpx.Response:
        """One answer."""
        self.requests.append(request)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await self.release.wait()
        self.under_way -= 1
        if isinstance(self.raw, httpx.TransportError):
            raise self.raw
        content = json.dumps({name: value for name, value in self.answer.items() if value is not ABSENT})
        return self.raw or httpx.Response(200, content=content)


@pytest.fixture
def host() -> IntrospectionHost:
    """An honest endpoint."""
    return IntrospectionHost()


@pytest.fixture
async def verify(host: IntrospectionHost, clock: MovableClock) -> AsyncIterator[Verify]:
    """The principal of an opaque token, or an error."""
    server = ResourceServer(
        issuers=[Issuer(ISSUER, jwks_uri=f"{ISSUER}/keys")],
        rules=TokenRules(audience="things", profile="rfc9068"),
        introspection=Introspection(url=URL, client_id="things api", client_secret="s3:cret/ä"),
        transport=httpx.MockTransport(host.respond),
        clock=clock,
    )
    yield verifier(server)
    await server.aclose()


@pytest.mark.req("RS-8")
async def test_an_active_token(verify: Verify, host: IntrospectionHost) -> None:
    """It is asked about by POST, in the body, as our own client (RFC 7662 2.1); the answer makes the principal."""
    principal = await verify("opaque-1")
    assert (principal.kind, principal.owner, principal.client_id) == ("user", "alice", "web")
    assert principal.scopes == {"things.read", "things.write"}
    (request,) = host.requests
    assert (request.method, str(request.url)) == ("POST", URL)
    assert parse_qs(request.content.decode()) == {"token": ["opaque-1"], "token_type_hint": ["access_token"]}
    scheme, credentials = request.headers["Authorization"].split()
    assert (scheme, base64.b64decode(credentials)) == ("Basic", b"things+api:s3%3Acret%2F%C3%A4")


@pytest.mark.req("RS-8", "RS-7")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("active", False),
        ("aud", ABSENT),
        ("aud", None),
        ("aud", "other"),
        ("aud", ["other"]),
        ("iss", "https://other.example"),
        ("iss", None),
        ("exp", 1),
        ("exp", "never"),
        ("nbf", 2**40),
        ("iat", 2**40),
        ("client_id", ABSENT),
        ("client_id", 7),
        ("sub", 7),
        ("sub", None),
        ("scope", ABSENT),
        ("scope", ["things.read"]),
        ("token_type", "DPoP"),
        ("token_type", None),
        ("cnf", {"jkt": "x"}),
        ("token_use", "refresh"),
        ("typ", "ID"),
    ],
)
async def test_a_token_that_is_refused(verify: Verify, host: IntrospectionHost, name: str, value: object) -> None:
    """Inactive, for others, out of time, bound to a key, or of another type: refused as a JWT would be."""
    host.answer[name] = value
    with pytest.raises(InvalidToken):
        await verify("opaque")


@pytest.mark.req("RS-8")
@pytest.mark.parametrize(
    "raw",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("late"),
        httpx.Response(401),
        httpx.Response(500),
        httpx.Response(302, headers={"Location": "https://evil.example"}),
        httpx.Response(200, content=b"[]"),
        httpx.Response(200, content=b'{"active": true, "active": false}'),
        httpx.Response(200, content=b'{"active": "true"}'),
        httpx.Response(200, content=b"{}"),
        httpx.Response(200, content=b'{"x": "' + b"x" * 600_000 + b'"}'),
    ],
    ids=lambda raw: str(getattr(raw, "status_code", type(raw).__name__)),
)
async def test_a_server_that_does_not_say(verify: Verify, host: IntrospectionHost, raw: Any) -> None:
    """What is no answer is an outage, our credentials refused included: never the token's fault, never remembered."""
    host.raw = raw
    with pytest.raises(IntrospectionUnavailable):
        await verify("opaque")
    host.raw = None
    assert (await verify("opaque")).owner == "alice"


@pytest.mark.req("RS-8")
async def test_an_answer_is_remembered_for_a_minute(
    verify: Verify, host: IntrospectionHost, clock: MovableClock
) -> None:
    """A revocation goes unnoticed for a minute at most, and nothing is remembered beyond the token's own end."""
    for _ in range(3):
        await verify("opaque")
    assert len(host.requests) == 1
    host.answer = {"active": False}
    clock.advance(60)
    with pytest.raises(InvalidToken):
        await verify("opaque")
    host.answer = {**ACTIVE, "exp": int(clock.now()) + 5}
    await verify("short")
    clock.advance(6)
    host.answer = {"active": False}
    with pytest.raises(InvalidToken):
        await verify("short")


@pytest.mark.req("RS-8", "ATK-50")
async def test_a_flood_is_no_flood_of_questions(verify: Verify, host: IntrospectionHost, clock: MovableClock) -> None:
    """One token is one question at a time, refusals are remembered, and few questions are under way at once."""
    host.answer = {"active": False}
    host.release.clear()
    calls = [asyncio.create_task(verify(f"opaque-{number % 40}")) for number in range(200)]
    for _ in range(20):
        await asyncio.sleep(0)
    host.release.set()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(answer) for answer in answers} == {InvalidToken}
    assert (len(host.requests), host.most) == (40, MAX_AT_ONCE)
    with pytest.raises(InvalidToken):
        await verify("opaque-1")
    assert len(host.requests) == 40
    clock.advance(10)
    host.answer = dict(ACTIVE)
    assert (await verify("opaque-1")).owner == "alice"


@pytest.mark.req("RS-8")
async def test_an_application_of_its_own(verify: Verify, host: IntrospectionHost) -> None:
    """A token without a person is its client's; only app roles count for it."""
    host.answer = {**ACTIVE, "sub": ABSENT, "roles": ["things.all"]}
    principal = await verify("opaque")
    assert (principal.kind, principal.app_roles, principal.scopes) == ("app", frozenset({"things.all"}), frozenset())


@pytest.mark.req("RS-8", "RS-2")
async def test_a_jwt_is_never_sent_away(verify: Verify, host: IntrospectionHost) -> None:
    """What has the shape of a JWT is verified by its signature alone: a forged one is not asked about."""
    with pytest.raises(InvalidToken):
        await verify(access_token(profile="rfc9068"))
    assert host.requests == []


@pytest.mark.req("RS-8")
async def test_a_caller_who_leaves_stops_no_question(verify: Verify, host: IntrospectionHost) -> None:
    """A caller who leaves stops nobody else's question."""
    host.release.clear()
    first, second = asyncio.create_task(verify("opaque")), asyncio.create_task(verify("opaque"))
    for _ in range(10):
        await asyncio.sleep(0)
    first.cancel()
    host.release.set()
    assert (await second).owner == "alice"
    assert len(host.requests) == 1


@pytest.mark.req("RS-8", "P-01")
@pytest.mark.parametrize(
    ("introspection", "profile", "because"),
    [
        (Introspection(url="http://as.example/i", client_id="a", client_secret="b"), "jwt", "may not be asked"),
        (Introspection(url=URL, client_id="", client_secret="b"), "jwt", "empty"),
        (Introspection(url=URL, client_id="a", client_secret=""), "jwt", "empty"),
        (Introspection(url=URL, client_id="a", client_secret="b"), "entra-v2", "no opaque tokens"),
    ],
)
def test_introspection_that_cannot_work(introspection: Introspection, profile: Any, because: str) -> None:
    """It needs TLS, credentials, and an issuer whose tokens can be opaque; the secret is in no repr."""
    with pytest.raises(ConfigurationError, match=because):
        ResourceServer(
            issuers=[ISSUER], rules=TokenRules(audience="things", profile=profile), introspection=introspection
        )
    assert "client_secret" not in repr(introspection)
