"""Codes, grants and refresh tokens: each code and refresh token works once, and reuse ends everything it gave."""

from __future__ import annotations

from typing import Final

import msgspec

from local_authority.authorization import AuthorizationRequest
from local_authority.clock import Clock
from local_authority.errors import InvalidGrant
from local_authority.pkce import proves
from local_authority.secret_values import digest, new_id, new_secret
from local_authority.sessions import Session
from local_authority.store import Store

CODE_SECONDS: Final = 60
REUSE_WATCH_SECONDS: Final = 86_400


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What a person gave to a client at one sign-in: the family that all its tokens belong to."""

    grant_id: str
    client_id: str
    oid: str
    sid: str
    auth_time: int
    scopes: tuple[str, ...]
    nonce: str | None = None
    acr: str | None = None
    revoked: bool = False


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """An authorization code, by its digest, bound to client, redirect URI and code challenge."""

    grant: Grant
    redirect_uri: str
    code_challenge: str
    expires_at: float
    spent: bool = False


class RefreshToken(msgspec.Struct, frozen=True, kw_only=True):
    """A refresh token, by its digest. A spent one is remembered, so that its reuse is seen."""

    grant_id: str
    expires_at: float
    spent: bool = False
    works_until: float = 0.0


class Grants:
    """The families, on disk. ``refresh_seconds`` is each refresh token's life from its own making (K-52).

    A spent one works on for ``overlap_seconds``: none by default, the strictest rotation there is.
    """

    def __init__(self, store: Store, clock: Clock, *, refresh_seconds: int, overlap_seconds: int = 0) -> None:
        self._store = store
        self._clock = clock
        self._refresh_seconds = refresh_seconds
        self._overlap_seconds = overlap_seconds

    def issue_code(self, request: AuthorizationRequest, session: Session) -> str:
        """A code that lives 60 seconds (RFC 6749 4.1.2)."""
        grant = Grant(
            grant_id=new_id(),
            client_id=request.target.client_id,
            oid=session.oid,
            sid=session.sid,
            auth_time=session.auth_time,
            scopes=request.scopes,
            nonce=request.nonce,
            acr=request.acr,
        )
        code, expires_at = new_secret(), self._clock.now() + CODE_SECONDS
        record = Code(
            grant=grant,
            redirect_uri=request.target.redirect_uri,
            code_challenge=request.code_challenge,
            expires_at=expires_at,
        )
        self._store.put(digest(code), record, expires_at=expires_at + REUSE_WATCH_SECONDS)
        return code

    def redeem(self, code: str, *, client_id: str, redirect_uri: str | None, verifier: str) -> Grant:
        """The grant of a code, once. A second try revokes what the first one got (RFC 6749 4.1.2, 10.5).

        Any try of the code's own client spends it, a wrong ``verifier`` or ``redirect_uri`` included.
        """
        record = self._store.get(Code, digest(code))
        if record is None or record.grant.client_id != client_id:
            raise InvalidGrant("The code is unknown, or it was issued to another client.")
        if record.spent:
            self.revoke(record.grant.grant_id)
            raise InvalidGrant("The code was used before; the tokens it gave are revoked.")
        spent = msgspec.structs.replace(record, spent=True)
        self._store.put(digest(code), spent, expires_at=record.expires_at + REUSE_WATCH_SECONDS)
        if record.expires_at <= self._clock.now():
            raise InvalidGrant("The code has expired.")
        if record.redirect_uri != redirect_uri:
            raise InvalidGrant("The redirect_uri is not that of the authorization request.")
        if not proves(verifier, record.code_challenge):
            raise InvalidGrant("The code_verifier does not match the code_challenge.")
        self._store.put(record.grant.grant_id, record.grant)
        return record.grant

    def issue_refresh_token(self, grant: Grant) -> str:
        """The family's next refresh token."""
        token, expires_at = new_secret(), self._clock.now() + self._refresh_seconds
        record = RefreshToken(grant_id=grant.grant_id, expires_at=expires_at)
        self._store.put(digest(token), record, expires_at=expires_at + REUSE_WATCH_SECONDS)
        return token

    def spend(self, refresh_token: str, *, client_id: str) -> Grant:
        """The grant behind a refresh token, which is spent by this: strict rotation (RFC 9700 4.14.2).

        InvalidGrant where it is unknown, expired, revoked or another client's. One spent before, and not just now where
        rotation overlaps, ends its family.
        """
        record = self._store.get(RefreshToken, digest(refresh_token))
        grant = None if record is None else self._store.get(Grant, record.grant_id)
        if record is None or grant is None or grant.client_id != client_id:
            raise InvalidGrant("The refresh token is unknown, or it was issued to another client.")
        now = self._clock.now()
        if record.spent and record.works_until <= now:
            self.revoke(grant.grant_id)
            raise InvalidGrant("The refresh token was used before; the grant is revoked.")
        if grant.revoked or record.expires_at <= now:
            raise InvalidGrant("The refresh token has expired or was revoked.")
        if record.spent:
            return grant
        spent = msgspec.structs.replace(record, spent=True, works_until=now + self._overlap_seconds)
        self._store.put(digest(refresh_token), spent, expires_at=record.expires_at + REUSE_WATCH_SECONDS)
        return grant

    def of_refresh_token(self, refresh_token: str) -> Grant | None:
        """The grant of a refresh token, spent or not: for its revocation."""
        record = self._store.get(RefreshToken, digest(refresh_token))
        return None if record is None else self._store.get(Grant, record.grant_id)

    def find(self, grant_id: str) -> Grant | None:
        """The living grant with this id."""
        grant = self._store.get(Grant, grant_id)
        return grant if grant is not None and not grant.revoked else None

    def revoke(self, grant_id: str) -> None:
        """End the family: no refresh token of it works any more, nor an access token at userinfo."""
        grant = self._store.get(Grant, grant_id)
        if grant is not None:
            self._store.put(grant_id, msgspec.structs.replace(grant, revoked=True))
