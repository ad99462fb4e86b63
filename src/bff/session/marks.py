"""Names for sessions that tell nothing of the session: for the ledger, for the page, for our own small cookies."""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from bff.session.model import Session


@dataclass(frozen=True, slots=True)
class Marks:
    """What a session is looked up by (16 bytes each), and the instant, by our clock, at which it began.

    ``subject`` is for what the authorization server says of a person, by its clock, ``person`` for what an operator
    here says, by ours. ``authority_sid`` of a session whose ID token named none is that of all such of its subject.
    """

    sid: bytes
    authority_sid: bytes
    subject: bytes
    person: bytes
    began_at: float

    @classmethod
    def of(cls, session: Session) -> Marks:
        """The marks of one session; every generation has the same."""
        issuer, subject, authority_sid = session.issuer, session.subject, session.authority_sid
        return cls(
            sid=mark_of_sid(session.sid),
            authority_sid=mark_without_authority_sid(issuer, subject)
            if authority_sid is None
            else mark_of_authority_sid(issuer, authority_sid),
            subject=mark_of_subject(issuer, subject),
            person=mark_of_person(issuer, subject),
            began_at=session.began_at,
        )


def mark_of_sid(sid: str) -> bytes:
    """The mark of our own session id."""
    return _digest("sid", sid)


def mark_of_authority_sid(issuer: str, authority_sid: str) -> bytes:
    """The mark of one session at one authorization server (OIDC Back-Channel Logout 2.1)."""
    return _digest("authority sid", issuer, authority_sid)


def mark_without_authority_sid(issuer: str, subject: str) -> bytes:
    """The mark of all that one person began with ID tokens that named no session of the authorization server."""
    return _digest("no authority sid", issuer, subject)


def mark_of_subject(issuer: str, subject: str) -> bytes:
    """The mark of one person at one authorization server."""
    return _digest("subject", issuer, subject)


def mark_of_person(issuer: str, subject: str) -> bytes:
    """The mark of one person here: of the list of their sessions, and of what an operator ends."""
    return _digest("person", issuer, subject)


def mark_of_replaced(state: str) -> bytes:
    """The mark of what one login transaction remembers of the session that it will replace."""
    return _digest("replaced", state)


def mark_of_login(state: str) -> bytes:
    """The mark of one login transaction."""
    return _digest("login", state)


def mark_of_logout_token(issuer: str, jti: str) -> bytes:
    """The mark of one logout token, by which it is heard once (OIDC Back-Channel Logout 2.6, step 8)."""
    return _digest("logout token", issuer, jti)


def mark_of_heard(ending: bytes, before: float | None) -> bytes:
    """The mark of one end from outside, by which all processes together count it once."""
    return _digest("heard", shown(ending), repr(before))


def shown(mark: bytes) -> str:
    """A mark as people and logs write it."""
    return base64.urlsafe_b64encode(mark).rstrip(b"=").decode()


def tag(sid: str, purpose: str) -> str:
    """A public name for a session: an HMAC that the sid itself, 128 random bits, is the key of.

    It needs no key ring, so it is the same on every replica and outlives every rotation of keys.
    """
    mac = hmac.new(sid.encode(), purpose.encode(), sha256).digest()
    return base64.urlsafe_b64encode(mac[:16]).rstrip(b"=").decode()


def _digest(*parts: str) -> bytes:
    encoded = [part.encode() for part in parts]
    return sha256(b"".join(len(part).to_bytes(4) + part for part in encoded)).digest()[:16]


EVERYBODY: Final = _digest("everybody")
"""The mark of all sessions of all people."""
