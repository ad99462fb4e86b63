"""Every refusal of the authority, as one tree.

    AuthorityError
    ├── ConfigurationError             the start is refused; all causes at once, each with its cure
    ├── ProtocolRefusal                an error that OAuth 2.0 or OpenID Connect has a code for
    │   ├── InvalidRequest             a parameter is missing, repeated, malformed
    │   ├── InvalidClient              the client did not prove who it is (401)
    │   ├── InvalidGrant               code or refresh token: spent, expired, revoked, another client's
    │   ├── UnauthorizedClient         the client may not use this grant
    │   ├── UnsupportedGrantType
    │   ├── UnsupportedResponseType
    │   ├── UnsupportedTokenType
    │   ├── InvalidScope               unknown, not permitted, or of two resources at once
    │   ├── RequestNotSupported        request objects (OIDC Core 6)
    │   ├── RequestURINotSupported
    │   ├── AccessDenied               the person cancelled
    │   └── LoginRequired              prompt=none, and nobody is signed in who fits
    ├── BearerRefused                  the access token at userinfo (RFC 6750 3)
    ├── UnsafeRequest                  it must never be answered by a redirect (RFC 6749 4.1.2.1): a page says why
    │   ├── ForeignPost                a form that was not ours, or not this browser's
    │   └── UnknownPage
    └── FormRefused                    what the person typed cannot be accepted: shown by the field
        └── TooManyAttempts

The texts are written for the developer who reads them; none holds a secret or a token.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class AuthorityError(Exception):
    """Root of the tree."""


class ConfigurationError(AuthorityError):
    """Options that cannot work. ``causes`` holds one line each, with the cure in it."""

    def __init__(self, causes: list[str]) -> None:
        super().__init__("\n".join(causes))
        self.causes = causes


class ProtocolRefusal(AuthorityError):
    """A refusal with a registered ``code``; ``status`` is that of the token endpoint (RFC 6749 5.2)."""

    code: ClassVar[str]
    status: ClassVar[int] = 400

    def __init__(self, description: str) -> None:
        super().__init__(description)
        self.description = description


class InvalidRequest(ProtocolRefusal):
    """RFC 6749 4.1.2.1 and 5.2: missing, repeated or malformed."""

    code = "invalid_request"


class InvalidClient(ProtocolRefusal):
    """RFC 6749 5.2: client authentication failed."""

    code = "invalid_client"
    status = 401


class InvalidGrant(ProtocolRefusal):
    """RFC 6749 5.2: the code or refresh token is spent, expired, revoked or was issued to another client."""

    code = "invalid_grant"


class UnauthorizedClient(ProtocolRefusal):
    """RFC 6749 5.2: the client may not use this grant."""

    code = "unauthorized_client"


class UnsupportedGrantType(ProtocolRefusal):
    """RFC 6749 5.2."""

    code = "unsupported_grant_type"


class UnsupportedResponseType(ProtocolRefusal):
    """RFC 6749 4.1.2.1: anything but ``code``."""

    code = "unsupported_response_type"


class UnsupportedTokenType(ProtocolRefusal):
    """RFC 7009 2.2.1: an ID token is nothing that could be revoked."""

    code = "unsupported_token_type"


class InvalidScope(ProtocolRefusal):
    """RFC 6749 4.1.2.1 and 5.2."""

    code = "invalid_scope"


class RequestNotSupported(ProtocolRefusal):
    """OIDC Core 3.1.2.6."""

    code = "request_not_supported"


class RequestURINotSupported(ProtocolRefusal):
    """OIDC Core 3.1.2.6."""

    code = "request_uri_not_supported"


class AccessDenied(ProtocolRefusal):
    """RFC 6749 4.1.2.1: the person cancelled."""

    code = "access_denied"


class LoginRequired(ProtocolRefusal):
    """OIDC Core 3.1.2.6: ``prompt=none`` and no session that fits."""

    code = "login_required"


class BearerRefused(AuthorityError):
    """RFC 6750 3.1. ``code`` is None where no token was sent at all: then the challenge carries no error."""

    def __init__(self, code: str | None, description: str = "") -> None:
        super().__init__(description or code or "no access token")
        self.code = code
        self.description = description


class UnsafeRequest(AuthorityError):
    """A request that cannot be answered by a redirect, because nothing proves where to: a page says why."""

    status: ClassVar[int] = 400
    title: ClassVar[str] = "This request cannot be answered"


class ForeignPost(UnsafeRequest):
    """A form that another site posted, that was changed, or that belongs to another browser."""

    status = 403
    title = "This form cannot be accepted"


class UnknownPage(UnsafeRequest):
    """No such page, or no such host."""

    status = 404
    title = "There is nothing here"


class FormRefused(AuthorityError):
    """``fields`` maps a form field's name to what is wrong with it; the key ``form`` speaks for the whole form."""

    status: ClassVar[int] = 422

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__(", ".join(fields))
        self.fields = dict(fields)


class TooManyAttempts(FormRefused):
    """Too many failed sign-ins for one email address."""

    status = 429
