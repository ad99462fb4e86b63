"""What the browser holds where sessions lie in a store: where its session is, and the key that opens it (rule F9).

Set at sign-in and never again, so that no lost response can lose it. It carries no generation. The key ring signs it:
what somebody made up is known for it before the store is asked.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import Final

from bff.session.cipher import Cipher
from bff.session.marks import mark_of_sid
from bff.session.model import Session

_VERSION: Final = 2
_KEY_ID, _ID, _KEY, _MAC = 4, 16, 32, 16
_SIGNED: Final = 1 + _KEY_ID + _ID + _KEY
# 69 bytes are 92 characters to the last bit, so that a ticket has one spelling (F20); with the longest name 108.
_CANONICAL: Final = re.compile(rb"[A-Za-z0-9_-]{92}")


@dataclass(frozen=True, slots=True)
class Ticket:
    """A session's id (ours, 128 bits) and 256 bits that nobody else has, the store and the servers included.

    ``value`` is the cookie's, ``key_id`` names the key of the ring that signed it.
    """

    sid: str
    key: bytes = field(repr=False)
    value: bytes = field(repr=False)
    key_id: str

    @property
    def mark(self) -> bytes:
        """Under which name its session lies in the store, which never sees the id itself."""
        return mark_of_sid(self.sid)


class Tickets:
    """Issues tickets and reads them back; a key has to stay in the ring for as long as sessions begun under it live."""

    def __init__(self, cipher: Cipher) -> None:
        self._cipher = cipher

    def issue(self, sid: str) -> Ticket:
        """A new one, for a new session; ``ValueError`` for an id that is none of ours."""
        key_id = self._cipher.ring.sealing_key.wire_id
        signed = bytes([_VERSION]) + key_id + _raw(sid) + secrets.token_bytes(_KEY)
        mac = self._mac(key_id, signed)
        assert mac is not None  # noqa: S101 — the sealing key is a key of the ring
        return _ticket(signed, base64.urlsafe_b64encode(signed + mac))

    def read(self, value: bytes | None) -> Ticket | None:
        """The ticket in a cookie's value; None for all that no key of the ring signed, an earlier version included."""
        if value is None or not _CANONICAL.fullmatch(value):
            return None
        raw = base64.urlsafe_b64decode(value)
        signed, claimed = raw[:_SIGNED], raw[_SIGNED:]
        if signed[0] != _VERSION:
            return None
        mac = self._mac(signed[1 : 1 + _KEY_ID], signed)
        return _ticket(signed, value) if mac is not None and hmac.compare_digest(mac, claimed) else None

    def _mac(self, key_id: bytes, signed: bytes) -> bytes | None:
        secret = self._cipher.signing_key("ticket", key_id)
        return None if secret is None else hmac.digest(secret, signed, "sha256")[:_MAC]


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketedSession(Session):
    """A session with the ticket that it was found by; every generation has the same."""

    ticket: Ticket

    @classmethod
    def of(cls, session: Session, ticket: Ticket) -> TicketedSession:
        """The same session, and its ticket."""
        return cls(**{name: getattr(session, name) for name in Session.__slots__}, ticket=ticket)


def _ticket(signed: bytes, value: bytes) -> Ticket:
    sid, key = signed[1 + _KEY_ID : -_KEY], signed[-_KEY:]
    return Ticket(_spelt(sid), key, value, signed[1 : 1 + _KEY_ID].hex())


def _spelt(sid: bytes) -> str:
    return base64.urlsafe_b64encode(sid).rstrip(b"=").decode()


def _raw(sid: str) -> bytes:
    try:
        raw = base64.b64decode(sid + "==", altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("a session's id is base64url") from error
    if len(raw) != _ID or _spelt(raw) != sid:
        raise ValueError("a session's id has 16 bytes, in one spelling")
    return raw
