"""What the browser holds where sessions lie in a store: where its session is, and the key that opens it (rule F9).

Set at sign-in and never again, so that no lost response can lose it. It carries no generation.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from dataclasses import dataclass, field
from typing import Final, Self

from bff.session.marks import mark_of_sid
from bff.session.model import Session

_VERSION: Final = 1
_ID, _KEY = 16, 32
_CANONICAL: Final = re.compile(rb"[A-Za-z0-9_-]{66}")  # 49 bytes; with the longest name 82


@dataclass(frozen=True, slots=True)
class Ticket:
    """A session's id (ours, 128 bits) and 256 bits that nobody else has, the store and the servers included."""

    sid: str
    key: bytes = field(repr=False)

    @classmethod
    def issue(cls, sid: str) -> Self:
        """A new one, for a new session."""
        return cls(sid, secrets.token_bytes(_KEY))

    @classmethod
    def read(cls, value: bytes | None) -> Self | None:
        """The ticket in a cookie's value, in its one spelling (rule F20); None for anything else."""
        if value is None or not _CANONICAL.fullmatch(value):
            return None
        raw = base64.urlsafe_b64decode(value + b"==")
        if raw[0] != _VERSION or base64.urlsafe_b64encode(raw).rstrip(b"=") != value:
            return None
        return cls(base64.urlsafe_b64encode(raw[1 : 1 + _ID]).rstrip(b"=").decode(), raw[1 + _ID :])

    @property
    def value(self) -> bytes:
        """The cookie's value; ``ValueError`` for an id that is none of ours."""
        try:
            sid = base64.b64decode(self.sid + "==", altchars=b"-_", validate=True)
        except binascii.Error as error:
            raise ValueError("a session's id is base64url") from error
        if len(sid) != _ID:
            raise ValueError("a session's id has 16 bytes")
        return base64.urlsafe_b64encode(bytes([_VERSION]) + sid + self.key).rstrip(b"=")

    @property
    def mark(self) -> bytes:
        """Under which name its session lies in the store, which never sees the id itself."""
        return mark_of_sid(self.sid)


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketedSession(Session):
    """A session with the ticket that it was found by; every generation has the same."""

    ticket: Ticket

    @classmethod
    def of(cls, session: Session, ticket: Ticket) -> TicketedSession:
        """The same session, and its ticket."""
        return cls(**{name: getattr(session, name) for name in Session.__slots__}, ticket=ticket)
