"""What the session tests share: one browser's jar, sessions with overrides, a vault per process, a token server."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from structlog.testing import CapturingLogger

from bff.errors import AuthorizationServerUnavailable
from bff.oidc.messages import Claims, LoginTransaction, Narrow, Refreshed, TokenSet
from bff.session.access_tokens import AccessTokens
from bff.session.cipher import Cipher, KeyRing
from bff.session.cookie_vault import CookieVault
from bff.session.cookies import CookiePolicy, Jar, SetCookie
from bff.session.ended_grants import EndedGrants
from bff.session.ledger import Ledger, MemoryLedger
from bff.session.model import Session
from bff.session.refresher import Rotation
from tests.world.clock import MovableClock

PUBLIC_URL = "https://app.example"
LOOPBACK_URL = "http://localhost:3000"
ISSUER = "https://login.example"
CLIENT_ID = "client"
NOW = 1_800_000_000.0

_random = random.Random(7)


def words(length: int) -> str:
    """So many characters that look random and are the same in every run."""
    return base64.urlsafe_b64encode(_random.randbytes(length)).decode()[:length]


def jwt(claims: dict[str, Any]) -> str:
    """A token in the shape of a JWT, signed by nobody."""
    parts = (json.dumps({"alg": "RS256", "typ": "JWT", "kid": "key-1"}).encode(), json.dumps(claims).encode())
    encoded = [base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, words(342)])


def tokens(**overrides: Any) -> TokenSet:
    """Tokens that live for an hour from ``NOW``."""
    found: dict[str, Any] = {
        "access_token": jwt({"aud": "api", "sub": "alice"}),
        "expires_at": NOW + 3600,
        "refresh_token": words(40),
        "scope": frozenset({"openid"}),
    }
    return TokenSet(**{**found, **overrides})


def a_session(**overrides: Any) -> Session:
    """Alice's session, begun at ``NOW``."""
    found: dict[str, Any] = {
        "sid": words(22),
        "generation": 1,
        "issuer": ISSUER,
        "subject": "alice",
        "claims": {"sub": "alice", "name": "Alice", "iat": int(NOW)},
        "tokens": tokens(),
        "began_at": NOW,
        "active_at": NOW,
        "absolute_end": NOW + 12 * 3600,
        "id_token_issued_at": NOW,
        "authority_sid": "as-" + words(8),
    }
    return Session(**{**found, **overrides})


def a_transaction(**overrides: Any) -> LoginTransaction:
    """A login begun at ``NOW``."""
    found: dict[str, Any] = {
        "state": words(43),
        "nonce": words(43),
        "code_verifier": words(43),
        "issuer": ISSUER,
        "redirect_uri": f"{PUBLIC_URL}/bff/callback",
        "return_to": "/todos",
        "began_at": NOW,
    }
    return LoginTransaction(**{**found, **overrides})


class Browser:
    """A jar that does what ``Set-Cookie`` says; Strict cookies stay at home when it comes from another site."""

    def __init__(self) -> None:
        self.kept: dict[str, SetCookie] = {}

    def take(self, cookies: list[SetCookie]) -> list[str]:
        """Obey; answer the names that were set or deleted."""
        for cookie in cookies:
            cookie.header()
            self.kept.pop(cookie.name, None)
            if cookie.max_age != 0:
                self.kept[cookie.name] = cookie
        return [cookie.name for cookie in cookies]

    def jar(self, *, from_another_site: bool = False) -> Jar:
        """The Cookie header it sends, read as we read it."""
        sent = [one for one in self.kept.values() if not from_another_site or one.same_site != "Strict"]
        line = b"; ".join(one.name.encode() + b"=" + one.value for one in sent)
        return Jar.read([(b"cookie", line)] if line else [])


@dataclass
class Process:
    """One BFF process: its clock, its ring, its ledger and what is built on them."""

    clock: MovableClock
    ring: KeyRing
    ledger: Ledger
    vault: CookieVault

    @property
    def cipher(self) -> Cipher:
        """What seals this process's cookies."""
        return self.vault._cipher

    def tokens_from(self, server: TokenServer, rotation: Rotation = "strict") -> AccessTokens:
        """The refreshing half of this process, and whoever revokes for it."""
        self.vault.grants = EndedGrants(server)
        return AccessTokens(server, self.vault, self.ledger, self.clock, rotation=rotation)


def a_process(
    *,
    clock: MovableClock | None = None,
    ring: KeyRing | None = None,
    ledger: Callable[[MovableClock], Ledger] | Ledger | None = None,
    public_url: str = PUBLIC_URL,
    client_id: str = CLIENT_ID,
    **options: Any,
) -> Process:
    """A process with a clock at ``NOW``; what is given is shared with others."""
    clock = clock or MovableClock(NOW)
    ring = ring or KeyRing.generate(clock)
    kept = ledger(clock) if callable(ledger) else ledger or MemoryLedger(clock)
    policy = CookiePolicy.for_public_url(public_url)
    return Process(clock, ring, kept, CookieVault(ring, policy, kept, clock, client_id=client_id, **options))


@dataclass
class TokenServer:
    """The token and revocation endpoints of an authorization server that rotates strictly: reuse kills the family.

    ``refuses``, ``down`` and ``held`` are its misbehaviours; ``rotates = False`` keeps one refresh token for ever, and
    ``terse`` answers with an access token and nothing else.
    """

    clock: MovableClock
    lifetime: float = 3600.0
    rotates: bool = True
    terse: bool = False
    refuses: Exception | None = None
    down: Exception | None = None
    held: asyncio.Event | None = None
    claims: Claims | None = None
    asked_for: list[Narrow | None] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    spent: set[str] = field(default_factory=set)
    revoked: list[tuple[str, str]] = field(default_factory=list)
    issued: list[str] = field(default_factory=list)
    reused: bool = False
    unreached: int = 0

    async def refresh(
        self,
        tokens: TokenSet,
        claims: Claims,
        *,
        narrow: Narrow | None = None,
        sending: Callable[[], Awaitable[None]] | None = None,
    ) -> Refreshed:
        """Rotate, or misbehave."""
        assert tokens.refresh_token is not None
        if isinstance(self.down, AuthorizationServerUnavailable) and not self.down.sent and not self.down.answered:
            self.unreached += 1
            raise self.down
        if sending is not None:
            await sending()
        self.asked_for.append(narrow)
        self.calls.append(tokens.refresh_token)
        self.reused |= tokens.refresh_token in self.spent
        if self.rotates:
            self.spent.add(tokens.refresh_token)
        if self.held is not None:
            await self.held.wait()
        if self.down is not None:
            raise self.down
        if self.refuses is not None:
            raise self.refuses
        fresh = words(40) if self.rotates else tokens.refresh_token
        self.issued.append(fresh)
        answer = TokenSet(access_token=words(60), expires_at=self.clock.now() + self.lifetime, refresh_token=fresh)
        if self.terse:
            answer = replace(answer, refresh_token=None)
        return Refreshed(tokens=replace(answer, scope=tokens.scope), claims=self.claims)

    async def revoke(self, token: str, hint: Literal["refresh_token", "access_token"]) -> bool:
        """Remember what was revoked."""
        self.revoked.append((token, hint))
        return True


def said(log: CapturingLogger) -> list[str]:
    """The events in a log, in order."""
    return [call.args[0] for call in log.calls]


async def settle() -> None:
    """Let every task that can run, run."""
    for _ in range(20):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    """Wait for something to have happened; a test that waits longer than ten seconds fails."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 — what is waited for happens in code that knows no event of ours
            await asyncio.sleep(0.001)
