"""A session as few bytes: MessagePack, tokens without their base64, then deflate. Read back by a strict schema only."""

from __future__ import annotations

import base64
import binascii
import zlib
from dataclasses import fields
from typing import Any

import msgspec

from bff.errors import SessionTooLarge
from bff.oidc.messages import LoginTransaction, TokenSet
from bff.session.model import Session

_INFLATED = 64 * 1024  # authenticated before it is inflated, and still capped (ATK-22)
_JWT_DOTS = 2

_Token = tuple[bytes, bytes, bytes] | str


class _Packed(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    sid: str
    generation: int
    issuer: str
    subject: str
    claims: dict[str, Any] | None  # None: they are exactly the ID token's payload
    access_token: _Token
    expires_at: float
    refresh_token: _Token | None
    id_token: _Token | None
    scope: list[str]
    began_at: float
    active_at: float
    absolute_end: float
    id_token_issued_at: float
    authority_sid: str | None


_encode = msgspec.msgpack.Encoder().encode
_packed_decoder = msgspec.msgpack.Decoder(_Packed)
_transaction_decoder = msgspec.msgpack.Decoder(LoginTransaction)


def pack(session: Session, *, keep_id_token: bool) -> bytes:
    """The session, deflated. Without ``keep_id_token`` its claims are kept and the ID token is not (rule F21).

    Raises ``SessionTooLarge`` for more than 64 KiB before deflating.
    """
    tokens = session.tokens
    id_token = _without_base64(tokens.id_token) if keep_id_token else None
    repeated = isinstance(id_token, tuple) and _same_claims(id_token[1], session)
    packed = _Packed(
        sid=session.sid,
        generation=session.generation,
        issuer=session.issuer,
        subject=session.subject,
        claims=None if repeated else dict(session.claims),
        access_token=_without_base64(tokens.access_token) or "",
        expires_at=tokens.expires_at,
        refresh_token=_without_base64(tokens.refresh_token),
        id_token=id_token,
        scope=sorted(tokens.scope),
        began_at=session.began_at,
        active_at=session.active_at,
        absolute_end=session.absolute_end,
        id_token_issued_at=session.id_token_issued_at,
        authority_sid=session.authority_sid,
    )
    plain = _encode(packed)
    if len(plain) > _INFLATED:  # it might deflate into a cookie, and would never be inflated again
        raise SessionTooLarge(f"{len(plain)} bytes; the largest parts are {largest_parts(session, keep_id_token)}")
    deflate = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflate.compress(plain) + deflate.flush()


def unpack(packed: bytes) -> Session | None:
    """The session, or None where this is no session of this version."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        plain = inflate.decompress(packed, _INFLATED)
        if not inflate.eof or inflate.unused_data:
            return None
        found = _packed_decoder.decode(plain)
        claims = msgspec.json.decode(found.id_token[1]) if found.claims is None and found.id_token else found.claims
    except (zlib.error, msgspec.MsgspecError):
        return None
    return Session(
        sid=found.sid,
        generation=found.generation,
        issuer=found.issuer,
        subject=found.subject,
        claims=claims or {},
        tokens=TokenSet(
            access_token=_with_base64(found.access_token) or "",
            expires_at=found.expires_at,
            refresh_token=_with_base64(found.refresh_token),
            id_token=_with_base64(found.id_token),
            scope=frozenset(found.scope),
        ),
        began_at=found.began_at,
        active_at=found.active_at,
        absolute_end=found.absolute_end,
        id_token_issued_at=found.id_token_issued_at,
        authority_sid=found.authority_sid,
    )


def largest_parts(session: Session, keep_id_token: bool) -> str:
    """The names and sizes, never the values, of what makes a session large: for whoever must make it smaller."""
    sizes = {f"claims.{name}": len(_encode(value)) for name, value in session.claims.items()}
    kept = ("access_token", "refresh_token", "id_token") if keep_id_token else ("access_token", "refresh_token")
    sizes |= {name: len(getattr(session.tokens, name) or "") for name in kept}
    largest = sorted(sizes.items(), key=lambda size: -size[1])[:5]
    return ", ".join(f"{name} {size} bytes" for name, size in largest)


def pack_transaction(transaction: LoginTransaction) -> bytes:
    """A login transaction; never deflated, since ``return_to`` is a stranger's choice (rule F40)."""
    return _encode({field.name: getattr(transaction, field.name) for field in fields(transaction)})


def unpack_transaction(packed: bytes) -> LoginTransaction | None:
    """The login transaction, or None where this is none of this version."""
    try:
        return _transaction_decoder.decode(packed)
    except msgspec.MsgspecError:
        return None


def _same_claims(payload: bytes, session: Session) -> bool:
    try:
        return _encode(msgspec.json.decode(payload)) == _encode(dict(session.claims))
    except msgspec.MsgspecError:
        return False


def _without_base64(token: str | None) -> _Token | None:
    """The three parts of a JWT as bytes, which deflate far better; what would not come back exactly stays text."""
    if token is None or token.count(".") != _JWT_DOTS:
        return token
    try:
        header, payload, signature = (
            base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split(".")
        )
    except (ValueError, binascii.Error):
        return token
    parts = (header, payload, signature)
    return parts if _with_base64(parts) == token else token


def _with_base64(token: _Token | None) -> str | None:
    if token is None or isinstance(token, str):
        return token
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in token)
