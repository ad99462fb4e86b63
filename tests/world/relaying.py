"""A relay with everything real around it but the network's far ends: vault, ledger, tokens, gate, routes, httpx."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import httpx

from bff.gate.antiforgery import Antiforgery
from bff.oidc.messages import Claims, Narrow, Refreshed, TokenSet
from bff.problems import row_of
from bff.relay.callers import Callers
from bff.relay.client_tokens import ClientTokens
from bff.relay.fair_use import FairUse
from bff.relay.hooks import HookedRelay, Hooks
from bff.relay.httpx_upstream import HttpxUpstream
from bff.relay.relay import Relay
from bff.relay.route_table import Route, RouteTable
from bff.relay.second_chance import SecondChances
from bff.relay.upstream import Upstream
from bff.session.access_tokens import AccessTokens
from bff.session.cookie_vault import CookieVault
from bff.session.cookies import CookiePolicy, Jar, SetCookie
from bff.session.ending_watch import EndingWatch
from bff.session.key_ring import KeyRing
from bff.session.memory_ledger import MemoryLedger
from bff.session.model import Session
from tests.world.clock import MovableClock

ORIGIN = "http://localhost:3000"
ACCESS_TOKEN = "an-access-token.of-alice"  # as opaque as one may be
Pairs = list[tuple[bytes, bytes]]


@dataclass
class TokenEndpoint:
    """The authorization server's side of a refresh: counts calls, gives what it is told to, or raises it."""

    calls: int = 0
    failure: Exception | None = None
    client_calls: list[tuple[str, str, str]] = field(default_factory=list)
    narrow_calls: list[Narrow] = field(default_factory=list)
    lifetime: float = 3600.0

    async def refresh(
        self,
        tokens: TokenSet,
        claims: Claims,
        *,
        narrow: Narrow | None = None,
        sending: Callable[[], Awaitable[None]] | None = None,
    ) -> Refreshed:
        if sending is not None:
            await sending()
        self.calls += 1
        self.narrow_calls += [] if narrow is None else [narrow]
        if self.failure is not None:
            raise self.failure
        return Refreshed(tokens=token_set(access_token=f"{ACCESS_TOKEN}.{self.calls}", expires_in=3600.0))

    async def client_token(self, *, scope: str = "", resource: str = "", audience: str = "") -> TokenSet:
        self.client_calls.append((scope, resource, audience))
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        return token_set(access_token=f"of-the-application.{len(self.client_calls)}", expires_in=self.lifetime)

    async def revoke(self, token: str, hint: Literal["refresh_token", "access_token"]) -> bool:
        return True


def token_set(*, access_token: str = ACCESS_TOKEN, expires_in: float = 3600.0) -> TokenSet:
    """Tokens that end ``expires_in`` seconds from now."""
    return TokenSet(access_token=access_token, refresh_token="a-refresh-token", expires_at=time.time() + expires_in)


def session_of(subject: str, *, tokens: TokenSet | None = None, now: float | None = None) -> Session:
    """A session that began just now."""
    began = time.time() if now is None else now
    return Session(
        sid=f"sid-of-{subject}-0123456789",
        generation=1,
        issuer="https://login.example",
        subject=subject,
        claims={"sub": subject, "iat": int(began)},
        tokens=tokens or token_set(),
        began_at=began,
        active_at=began,
        absolute_end=began + 43200,
        id_token_issued_at=began,
    )


@dataclass
class Answer:
    """What came back through ASGI; ``complete`` is False where the body never ended."""

    status: int = 0
    headers: Pairs = field(default_factory=list)
    blocks: list[bytes] = field(default_factory=list)
    complete: bool = False
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    """Set with the first block of the body."""

    @property
    def body(self) -> bytes:
        return b"".join(self.blocks)

    def all_of(self, name: bytes) -> list[bytes]:
        return [value for found, value in self.headers if found == name]

    def one(self, name: bytes) -> bytes | None:
        """The value of a field that must not come twice, or None."""
        found = self.all_of(name)
        assert len(found) < 2
        return found[0] if found else None


class World:
    """One relay at ORIGIN. ``call`` drives it as a server would."""

    def __init__(
        self,
        *routes: Route,
        transport: httpx.AsyncBaseTransport | None = None,
        upstream: Upstream | None = None,
        clock: MovableClock | None = None,
        fair_use: FairUse | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        self.clock = clock or MovableClock()
        self.policy = CookiePolicy.for_public_url(ORIGIN)
        self.ledger = MemoryLedger(self.clock)
        self.vault = CookieVault(KeyRing.generate(self.clock), self.policy, self.ledger, self.clock, client_id="client")
        self.endpoint = TokenEndpoint()
        self.tokens = AccessTokens(self.endpoint, self.vault, self.ledger, self.clock)
        self.upstream = upstream or HttpxUpstream(transport=transport)
        self.watch = EndingWatch(self.ledger, self.clock)
        self.observed: list[tuple[str, int, float]] = []
        self.relay = (Relay if hooks is None else partial(HookedRelay, hooks))(
            RouteTable(routes),
            Antiforgery(ORIGIN.encode()),
            self.vault,
            Callers(self.vault, self.tokens, ClientTokens(self.endpoint, self.clock), SecondChances(self.clock)),
            self.upstream,
            self.watch,
            public_origin=ORIGIN,
            clock=self.clock,
            fair_use=fair_use,
            status_of=lambda error: row_of(error).status,
            observe=lambda path, status, seconds: self.observed.append((path, status, seconds)),
        )
        self.state: dict[str, Any] = {}
        self.headers: Pairs = []

    async def sign_in(self, subject: str = "alice", **overrides: Any) -> Pairs:
        """Keep a session; return the Cookie header that a browser would send from now on."""
        session = session_of(subject, **overrides)
        cookies = await self.vault.keep_session(session, Jar({}))
        return [(b"cookie", b"; ".join(_pair(cookie) for cookie in cookies if cookie.max_age != 0))]

    async def call(
        self,
        path: bytes,
        method: str = "GET",
        headers: Iterable[tuple[bytes, bytes]] = (),
        *,
        body: Iterable[bytes] = (b"",),
        query: bytes = b"",
        leaves: asyncio.Event | None = None,
        from_page: bool = True,
        address: str = "192.0.2.7",
        answer: Answer | None = None,
    ) -> Answer:
        """Call as our own page does (or bare, with ``from_page=False``); the browser leaves when ``leaves`` is set."""
        page: Pairs = [(b"x-csrf", b"1"), (b"sec-fetch-site", b"same-origin")] if from_page else []
        self.state, self.headers = {}, [(b"host", b"localhost:3000"), *page, *headers]
        scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "raw_path": path,
            "path": path.decode("latin-1"),
            "query_string": query,
            "headers": self.headers,
            "client": (address, 50000),
            "state": self.state,
        }
        answer = answer or Answer()
        await self.relay(scope, _receive(list(body), leaves or asyncio.Event()), _send(answer))
        return answer


def _pair(cookie: SetCookie) -> bytes:
    return cookie.name.encode() + b"=" + cookie.value


def _receive(blocks: list[bytes], leaves: asyncio.Event) -> Any:
    """ASGI's receive: the body's blocks, then a wait until the browser leaves."""
    pending = [(block, index < len(blocks) - 1) for index, block in enumerate(blocks)]

    async def receive() -> dict[str, Any]:
        if pending and not leaves.is_set():
            block, more = pending.pop(0)
            return {"type": "http.request", "body": block, "more_body": more}
        await leaves.wait()
        return {"type": "http.disconnect"}

    return receive


def _send(answer: Answer) -> Any:
    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            assert not answer.status, "a response has one head"
            answer.status, answer.headers = message["status"], message["headers"]
        else:
            assert not answer.complete, "nothing follows the end"
            if message["body"]:
                answer.blocks.append(message["body"])
                answer.begun.set()
            answer.complete = not message.get("more_body", False)

    return send
