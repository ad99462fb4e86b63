"""One process, its token server, and one signed-in browser: where a session's life is played through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bff.session.cookies import Jar
from bff.session.key_ring import KeyRing
from bff.session.ledger import Ledger
from bff.session.model import Lifetimes, Session
from bff.session.vault import Presented
from tests.bff.session.session_world import NOW, Browser, Process, TokenServer, a_process, a_session
from tests.world.clock import MovableClock


class House:
    """One process, its token server, and one signed-in browser whose access token ends in an hour."""

    def __init__(self, ledger: Callable[[MovableClock], Ledger], **options: Any) -> None:
        self.clock = MovableClock(NOW)
        self.ring = KeyRing.generate()
        self.make_ledger = ledger
        self.process = self.another(**options)
        self.server = TokenServer(self.clock)
        self.access = self.process.tokens_from(self.server)
        self.browser = Browser()

    def another(self, **options: Any) -> Process:
        """Another worker of the same machine, or the same one after a restart."""
        lifetimes = Lifetimes(idle=40_000)  # so that an hour without a call is nothing
        return a_process(clock=self.clock, ring=self.ring, ledger=self.make_ledger, lifetimes=lifetimes, **options)

    async def sign_in(self, **overrides: object) -> Session:
        """A new session, in the browser."""
        session = a_session(**overrides)
        self.browser.take(await self.process.vault.keep_session(session, Jar({})))
        return session

    async def present(self, jar: Jar | None = None) -> Presented:
        """What a request with this jar shows."""
        return await self.process.vault.find_session(jar or self.browser.jar())

    def answer(self, presented: Presented) -> list[str]:
        """A response starts: its cookies are decided now, and reach the browser."""
        return self.browser.take(self.process.vault.cookies_due(presented, slides=False))

    def until_the_token_ends(self, *, left: float = 5.0) -> None:
        """Move the clock to where the first access token has so many seconds left."""
        self.clock.advance(NOW + 3600 - left - self.clock.now())

    async def call(self, jar: Jar | None = None) -> Session:
        """One whole call."""
        presented = await self.present(jar)
        session = await self.access.fresh(presented)
        self.answer(presented)
        return session
