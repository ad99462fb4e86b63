"""The vault: where a session lies between two requests, and a login transaction between its two halves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from msgspec import Struct

from bff.errors import NoSession, SessionError
from bff.oidc.messages import LoginTransaction
from bff.session.chunks import MOST
from bff.session.cipher import Cipher
from bff.session.cookies import BIGGEST, CookiePolicy, Jar, SetCookie
from bff.session.endings import Reason
from bff.session.marks import Marks
from bff.session.model import Lifetimes, Session

__all__ = ["CookieBudget", "Landing", "Lifetimes", "Presented", "SessionVault"]


LATE_SECONDS = 0.5
"""After an ending, how long nobody can have signed in again in the same browser: where the person is still signed in
at the authorization server, that takes three round trips and no form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieBudget:
    """What all our cookies together may take of a request's head, in bytes (rule F21)."""

    total: int = 7 * 1024

    @property
    def chunks(self) -> int:
        """How many cookies one session may take: two, or as many full ones as a larger budget has room for."""
        return max(2, min(self.total // BIGGEST, MOST))


@dataclass(frozen=True, slots=True, kw_only=True)
class Landing:
    """What a finished sign-in answers: where the browser goes, and its cookies. Every delivery gets the same bytes."""

    location: str
    cookies: tuple[SetCookie, ...]


class Presented(Struct, eq=False):
    """What a request presented, judged once, before anything else happens to it.

    ``session`` is the newest generation that is known, which may be newer than the one presented. ``last_activity`` is
    the later of what the seal and the idle stamp say (rule F19); ``sealed_at`` is when ``session`` was sealed.
    A refusal that is not ``evident`` is this request's alone: it says nothing of the session, and touches no cookie.
    """

    jar: Jar
    session: Session | None = None
    marks: Marks | None = None
    presented: Session | None = None
    last_activity: float = 0.0
    sealed_at: float = 0.0
    refusal: SessionError | None = None
    evident: bool = True

    def __repr__(self) -> str:
        """Tell no cookie and no session."""
        return f"Presented(refusal={self.refusal!r})"

    @property
    def presented_generation(self) -> int:
        """The generation in the browser's cookie, 0 where none opened."""
        return 0 if self.presented is None else self.presented.generation

    def require(self) -> Session:
        """The session; raises ``NoSession``, ``SessionEnded`` or ``SessionSuperseded``."""
        if self.refusal is not None:
            raise self.refusal
        if self.session is None:
            raise NoSession
        return self.session


class SessionVault(Protocol):
    """What every vault promises to routes and relay. All cookies leave as values; whoever answers attaches them."""

    policy: CookiePolicy
    lifetimes: Lifetimes

    @property
    def cipher(self) -> Cipher:
        """What seals here; the list of sessions is sealed with the same ring."""
        ...

    @property
    def foreign_seals(self) -> int:
        """Cookies of an instance that shares no ledger with this one, sealed while this one was running (rule F14)."""
        ...

    async def keep_login(self, transaction: LoginTransaction, jar: Jar) -> list[SetCookie]:
        """Seal a login transaction into a cookie of its own; beyond eight, or the budget, the oldest is dropped."""
        ...

    async def take_login(self, jar: Jar, state: str) -> tuple[LoginTransaction, list[SetCookie]]:
        """The transaction of this ``state`` and the cookie's deletion; raises ``UnknownLogin``."""
        ...

    async def once(self, transaction: LoginTransaction, make: Callable[[], Awaitable[Landing]]) -> Landing:
        """Finish a login once; every other delivery within ten minutes gets the same landing (rule F18)."""
        ...

    def login_attempts(self, jar: Jar, transaction: LoginTransaction) -> tuple[int, SetCookie]:
        """How many sign-ins in a row led nowhere within 30 seconds, with this one, and the cookie that counts them."""
        ...

    async def keep_session(self, session: Session, jar: Jar) -> list[SetCookie]:
        """Seal a new session; raises ``SessionTooLarge``, or ``SessionEnded`` where it was ended before it was kept."""
        ...

    async def find_session(self, jar: Jar, *, bodiless: bool = False) -> Presented:
        """What this jar presents; refusals lie in it, only an outage raises (``SessionStoreUnavailable``).

        ``bodiless``: an expired generation counts as evidence; the second one 5 s after the first ends it (rule F5).
        """
        ...

    def cookies_due(self, presented: Presented, *, slides: bool) -> list[SetCookie]:
        """The session cookies of a response, decided in the instant it starts and nowhere else (rule F2)."""
        ...

    async def keep_generation(self, before: Session, after: Session, *, presented: Session | None = None) -> Session:
        """Make ``after`` the successor of ``before``; answers the one that stands, which may be another's (rule F4)."""
        ...

    async def newest(self, session: Session) -> Session:
        """The newest generation of a session that can be reached from this one."""
        ...

    def ended(self, session: Session) -> Reason | None:
        """Why this session is over, as far as this process knows, or None."""
        ...

    async def end_session(self, session: Session, reason: Reason, jar: Jar | None = None) -> list[SetCookie]:
        """Over from now on, in every generation; answers the deletions for the browser whose jar this is."""
        ...

    async def shred(self, mark: bytes) -> None:
        """What is stored of the ended session with this mark never opens again; in cookies nothing is stored (F9)."""
        ...

    async def end_replaced(self, transaction: LoginTransaction) -> Session | None:
        """End the session that this sign-in replaces (rule F23); answers it where it can still be read, to revoke."""
        ...

    def deletions(self, jar: Jar, *, ended: Session | None = None) -> list[SetCookie]:
        """Take every session cookie back; a session named here is remembered in this browser as ended (rule F2)."""
        ...

    def idle_end(self, presented: Presented) -> float:
        """The instant at which a presented session is over if nothing happens any more."""
        ...

    def tag(self, session: Session) -> str:
        """The session's public name."""
        ...

    def tag_matches(self, session: Session, claimed: str) -> bool:
        """Whether the page speaks for this session (rule F30)."""
        ...

    def logout_ticket(self, session: Session) -> str:
        """What a sign-out link carries (rule F32)."""
        ...

    def is_logout_ticket(self, ticket: str, session: Session) -> bool:
        """Whether the ticket is ours and this session's."""
        ...

    def keep_sign_out(self, url: str | None) -> SetCookie:
        """Seal the way on to the authorization server for 60 seconds (rule F31)."""
        ...

    def take_sign_out(self, jar: Jar) -> tuple[str | None, list[SetCookie]]:
        """The way on, or None, and the cookie's deletion."""
        ...

    def keep_logged_out_state(self, state: str) -> SetCookie:
        """Remember the ``state`` of an end-session request (rule F33)."""
        ...

    def check_logged_out(self, jar: Jar, state: str | None) -> list[SetCookie]:
        """Compare the ``state`` that came back, and forget ours."""
        ...

    async def aclose(self) -> None:
        """Finish what runs in the background."""
        ...
