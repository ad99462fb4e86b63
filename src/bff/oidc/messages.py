"""The protocol's messages as frozen values. A type says what has been proven; a repr never shows a secret.

``AuthorizationResponse`` (arrived) → ``SignIn`` (verified). Whoever holds a ``SignIn`` holds a verified identity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bff.errors import InvalidAuthorizationResponse

Claims = Mapping[str, Any]

_MAX_PARAMETERS: Final = 32
_MAX_CHARACTERS: Final = {"state": 256, "code": 8192, "error": 256, "iss": 2048}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRequest:
    """What ``GET /bff/login`` may ask for (OIDC Core 3.1.2.1); each value has already passed its pattern.

    ``return_to`` is a local path. ``replaces`` names the session that this sign-in will end (rule F23).
    """

    return_to: str = "/"
    prompt: str | None = None
    login_hint: str | None = None
    acr_values: str | None = None
    max_age: int | None = None
    ui_locales: str | None = None
    replaces: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """The URL to send the browser to (RFC 6749 4.1.1, RFC 7636, OIDC Core 3.1.2.1)."""

    url: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginTransaction:
    """What must be remembered, sealed in the browser, between the authorization request and its response.

    ``issuer`` and ``redirect_uri`` are those of the request (RFC 9700 4.4.2, RFC 6749 4.1.3); ``began_at`` is an
    instant in seconds.
    """

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    code_verifier: str = field(repr=False)
    issuer: str
    redirect_uri: str
    return_to: str
    began_at: float
    max_age: int | None = None
    acr_values: str | None = None
    replaces: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationResponse:
    """An authorization response as it arrived (RFC 6749 4.1.2, RFC 9207): nothing about it is proven but its form."""

    state: str = field(repr=False)
    code: str | None = field(default=None, repr=False)
    error: str | None = None
    iss: str | None = None

    @classmethod
    def parse(cls, parameters: Sequence[tuple[str, str]]) -> AuthorizationResponse:
        """The response in the decoded parameters of a query or a form; raises InvalidAuthorizationResponse.

        No parameter, known or not, may come twice, and an empty one counts as absent (RFC 6749 3.1). There must be a
        ``state``, and a ``code`` or an ``error``. Its ``error_description`` is read by nobody.
        """
        given = dict(parameters)
        if len(parameters) > _MAX_PARAMETERS or len(given) != len(parameters):
            raise InvalidAuthorizationResponse("too many parameters, or one of them twice")
        for name, limit in _MAX_CHARACTERS.items():
            value = given.get(name, "")
            if len(value) > limit or not _is_visible_ascii(value):
                raise InvalidAuthorizationResponse(f"{name} is too long, or holds other than visible ASCII characters")
        state, code, error = given.get("state"), given.get("code") or None, given.get("error") or None
        if not state or (code is None and error is None):
            raise InvalidAuthorizationResponse("there is no state, or neither a code nor an error")
        return cls(state=state, code=code, error=error, iss=given.get("iss") or None)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSet:
    """Tokens of one answer of the token endpoint.

    ``expires_at`` is an instant in seconds; ``expires_in`` exists only on the wire.
    """

    access_token: str = field(repr=False)
    expires_at: float
    refresh_token: str | None = field(default=None, repr=False)
    id_token: str | None = field(default=None, repr=False)
    scope: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrow:
    """What one API's own token is asked for: a scope (RFC 6749 6), a resource (RFC 8707 2.2), an audience, or some."""

    scope: str = ""
    resource: str = ""
    audience: str = ""

    def parameters(self) -> dict[str, str]:
        """The parameters of the token request: those that say something."""
        named = {"scope": self.scope, "resource": self.resource, "audience": self.audience}
        return {name: value for name, value in named.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """A verified sign-in: the ID token passed every numbered step, and the tokens came from the same answer."""

    issuer: str
    subject: str
    claims: Claims = field(repr=False)
    tokens: TokenSet
    transaction: LoginTransaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """The answer to a refresh. ``claims`` are those of a new, verified ID token (OIDC Core 12.2), if one came."""

    tokens: TokenSet
    claims: Claims | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutNotice:
    """The authorization server says that one of its sessions is over (Back-Channel Logout 2.4, Front-Channel Logout 3).

    ``authority_sid`` is its session; where there is none, all that ``subject`` began until ``issued_at`` is meant.
    ``jti`` is the logout token's own name, which a front-channel notice does not have.
    """

    issuer: str
    issued_at: float
    authority_sid: str | None = None
    subject: str | None = None
    jti: str | None = None


def _is_visible_ascii(value: str) -> bool:
    return all("\x20" <= character <= "\x7e" for character in value)
