"""The authority's own sign-in sessions (SSO): what lets ``prompt=none`` and a second client work without a form."""

from __future__ import annotations

from typing import Final

import msgspec

from local_authority.clock import Clock
from local_authority.secret_values import digest, new_id, new_secret, same
from local_authority.store import Store

SEPARATOR: Final = "."


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One browser's sign-in. ``clients`` are those that got a code in it; ``acr`` is what the last form satisfied."""

    sid: str
    secret_digest: str
    oid: str
    auth_time: int
    expires_at: float
    acr: str | None = None
    clients: list[str] = []


class Sessions:
    """Kept by ``sid``; the cookie holds ``sid.secret``. A session ends ``seconds`` after its last use (K-53)."""

    def __init__(self, store: Store, clock: Clock, *, seconds: int) -> None:
        self._store = store
        self._clock = clock
        self._seconds = seconds

    def begin(self, oid: str, *, acr: str | None, previous: Session | None) -> tuple[Session, str]:
        """A session and its cookie value, never one that was offered. The same person keeps the ``sid``."""
        self._store.trim(self._clock.now())
        again = previous is not None and previous.oid == oid
        if previous is not None:
            self.end(previous.sid)
        secret = new_secret()
        session = Session(
            sid=previous.sid if again and previous else new_id(),
            secret_digest=digest(secret),
            oid=oid,
            auth_time=int(self._clock.now()),
            expires_at=self._clock.now() + self._seconds,
            acr=acr,
            clients=previous.clients if again and previous else [],
        )
        self._keep(session)
        return session, f"{session.sid}{SEPARATOR}{secret}"

    def find(self, cookie: str | None) -> Session | None:
        """The living session of this cookie value."""
        sid, _, secret = (cookie or "").partition(SEPARATOR)
        session = self.of(sid)
        return session if session is not None and same(digest(secret), session.secret_digest) else None

    def of(self, sid: str) -> Session | None:
        """The living session with this ``sid``: for those who proved by a token of ours that they know it."""
        session = self._store.get(Session, sid)
        return session if session is not None and session.expires_at > self._clock.now() else None

    def used(self, session: Session, client_id: str) -> None:
        """``client_id`` got a code in this session: it lives on, and sign-out will tell that client."""
        clients = sorted({*session.clients, client_id})
        expires_at = self._clock.now() + self._seconds
        self._keep(msgspec.structs.replace(session, clients=clients, expires_at=expires_at))

    def end(self, sid: str) -> None:
        """Forget the session."""
        self._store.drop(Session, sid)

    def _keep(self, session: Session) -> None:
        self._store.put(session.sid, session, expires_at=session.expires_at)
