"""Where a token may come from: one Authorization field, and nowhere else (RFC 6750 2.1)."""

from __future__ import annotations

from collections.abc import Iterable

from resource_api.errors import InvalidRequest, InvalidToken, NoCredentials

_CHARACTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/"
"""Of a b64token, before the ``=`` at its end (RFC 6750 2.1)."""


def bearer_token(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The token of the only ``Authorization: Bearer`` field; ``headers`` are ASGI's, names in lower case.

    The query and the body are never looked at (RFC 6750 2.2 and 2.3 leave too many copies of a token behind).
    Raises NoCredentials where no bearer token came (another scheme is none), InvalidRequest for more than one field,
    InvalidToken for what is no b64token.
    """
    fields = [value for name, value in headers if name == b"authorization"]
    if not fields:
        raise NoCredentials
    if len(fields) > 1:
        raise InvalidRequest("more than one Authorization field")
    scheme, _, credentials = fields[0].partition(b" ")
    if scheme.lower() != b"bearer":
        raise NoCredentials("another authentication scheme")
    token = credentials.strip(b" ")
    text = token.rstrip(b"=")
    if not text or text.translate(None, _CHARACTERS):
        raise InvalidToken("1 shape", "not a b64token")
    return token
