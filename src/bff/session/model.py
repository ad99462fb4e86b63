"""A session: an immutable snapshot with a generation. Whatever changes it makes a snapshot of the next generation."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace

from bff.oidc.messages import Claims, Refreshed, SignIn, TokenSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """Seconds without activity, and seconds in all, after which a session is over."""

    idle: float = 30 * 60
    absolute: float = 12 * 60 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Who is signed in, with which tokens, until when. Instants are in seconds since the epoch.

    ``sid`` is ours (128 random bits); ``authority_sid`` is the authorization server's ``sid`` claim.
    ``absolute_end`` never moves.
    ``active_at`` is the last activity that this snapshot knows; the idle stamp may know a later one (rule F19).
    ``claims`` are the whole ID token's; what leaves towards the page is chosen elsewhere.
    """

    sid: str
    generation: int
    issuer: str
    subject: str
    claims: Claims = field(repr=False)
    tokens: TokenSet
    began_at: float
    active_at: float
    absolute_end: float
    id_token_issued_at: float
    authority_sid: str | None = None

    @classmethod
    def begin(cls, sign_in: SignIn, *, now: float, absolute_seconds: float) -> Session:
        """A new session from a verified sign-in; never an upgraded one (ATK-2).

        It ends no later than ``absolute_seconds`` from now, and than the ``session_expiry`` claim where one is sent.
        """
        ceiling = sign_in.claims.get("session_expiry")
        absolute_end = now + absolute_seconds
        if isinstance(ceiling, int | float) and not isinstance(ceiling, bool):
            absolute_end = min(absolute_end, float(ceiling))
        authority_sid = sign_in.claims.get("sid")
        return cls(
            sid=secrets.token_urlsafe(16),
            generation=1,
            issuer=sign_in.issuer,
            subject=sign_in.subject,
            claims=sign_in.claims,
            tokens=sign_in.tokens,
            began_at=now,
            active_at=now,
            absolute_end=absolute_end,
            id_token_issued_at=float(sign_in.claims["iat"]),
            authority_sid=authority_sid if isinstance(authority_sid, str) else None,
        )

    def renewed(self, refreshed: Refreshed, *, active_at: float) -> Session:
        """The next generation, with new tokens. It copies the last activity and does not advance it (rule F19)."""
        claims = self.claims if refreshed.claims is None else {**self.claims, **refreshed.claims}
        return replace(
            self, generation=self.generation + 1, tokens=refreshed.tokens, claims=claims, active_at=active_at
        )
