"""Every refusal and every outage of the resource API, as one tree that knows no HTTP.

    ResourceAPIError
    ├── ConfigurationError            the start is refused; all causes at once, each with its cure
    ├── AuthenticationError           nobody proved who calls
    │   ├── NoCredentials             no bearer token came
    │   ├── InvalidRequest            credentials came in a way that RFC 6750 forbids
    │   ├── InvalidToken              a token came, and one numbered check failed
    │   ├── InsufficientAuthentication  a person is known, and has to prove it better or anew
    │   └── InsufficientClaims        the same, as Entra's clients are told it
    ├── InsufficientScope             the caller is known, and may not do this
    ├── StepUpUnsupported             better proof is needed, and the client could not ask for it
    ├── RequestRefused                the request itself cannot be served
    │   ├── MalformedRequest          it cannot be read: JSON, path, framing
    │   ├── InvalidInput              it was read, and its values break a limit
    │   ├── UnknownTodo               no such item, or not the caller's: nobody learns which
    │   ├── PreconditionFailed        the item is at another version than the change was meant for
    │   ├── UnknownResource           the same, of an application that the kit protects
    │   ├── UnknownPath
    │   ├── MethodNotAllowed
    │   ├── RequestTooLarge
    │   └── UnsupportedMediaType
    ├── Unavailable                   an outage; never a 401
    │   ├── KeySetUnavailable         the issuer's keys cannot be had
    │   ├── IntrospectionUnavailable  the authorization server does not say what an opaque token is
    │   └── TodoStoreUnavailable      the database does not answer
    └── UnexpectedFailure             what no class above foresaw

The public text is a constant of the class; what a raiser adds is detail for the log, under the same trace id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class ResourceAPIError(Exception):
    """Root of the tree. ``detail`` goes to the log, ``public`` to the caller."""

    public: ClassVar[str] = "Something went wrong."

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or self.public)
        self.detail = detail


class ConfigurationError(ResourceAPIError):
    """What was configured or declared cannot work. ``causes`` holds one line each, with the cure in it."""

    public = "The configuration cannot work."

    def __init__(self, causes: list[str]) -> None:
        super().__init__("\n".join(causes))
        self.causes = causes


class AuthenticationError(ResourceAPIError):
    """Nobody proved who calls (RFC 6750 3)."""

    public = "The call is not authenticated."


class NoCredentials(AuthenticationError):
    """No bearer token came; the challenge says so without an error code (RFC 6750 3.1)."""

    public = "A bearer token is needed."


class InvalidRequest(AuthenticationError):
    """More than one Authorization field: no single token is meant (RFC 6750 3.1, ``invalid_request``)."""

    public = "The credentials were sent in a way that cannot be accepted."


class InvalidToken(AuthenticationError):
    """One numbered check failed (RFC 6750 3.1, ``invalid_token``). ``step`` names it, never a claim's value."""

    public = "The access token is invalid or has expired."

    def __init__(self, step: str, detail: str = "") -> None:
        super().__init__(f"{step}: {detail}" if detail else step)
        self.step = step


class InsufficientAuthentication(AuthenticationError):
    """A person is known, not by the means or not as lately as is needed (RFC 9470 3). ``max_age`` is in seconds."""

    public = "A stronger or more recent sign-in is needed."

    def __init__(self, acr_values: tuple[str, ...], max_age: int | None, detail: str = "") -> None:
        super().__init__(detail)
        self.acr_values = acr_values
        self.max_age = max_age


class InsufficientClaims(AuthenticationError):
    """The token lacks what ``claims`` asks for, in the form of OIDC Core 5.5: Entra's claims challenge (K-60)."""

    public = "A token with other claims is needed."

    def __init__(self, claims: Mapping[str, Any], detail: str = "") -> None:
        super().__init__(detail)
        self.claims = claims


class InsufficientScope(ResourceAPIError):
    """The token is good and does not reach this far. ``scopes`` are those of which any one would (RFC 6750 3.1)."""

    public = "The access token does not permit this."

    def __init__(self, scopes: tuple[str, ...], detail: str = "") -> None:
        super().__init__(detail)
        self.scopes = scopes


class StepUpUnsupported(ResourceAPIError):
    """Another token is needed, and the client did not say that it understands a claims challenge (K-63)."""

    public = "This needs a stronger sign-in, which the client cannot ask for."


class RequestRefused(ResourceAPIError):
    """The request itself cannot be served."""

    public = "The request cannot be served."


class MalformedRequest(RequestRefused):
    """The request cannot be read: its JSON, a part of its path, or its framing."""

    public = "The request cannot be read."


class InvalidInput(RequestRefused):
    """Values break a limit. ``fields`` maps our own field names to our own words, never to what was sent."""

    public = "Some values cannot be accepted."

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__(", ".join(f"{name} {reason}" for name, reason in fields.items()))
        self.fields = fields


class UnknownTodo(RequestRefused):
    """No such item, or another person's: the answer is the same, so that nobody learns what exists."""

    public = "There is no such to-do."


class PreconditionFailed(RequestRefused):
    """The item is at another version than the change was meant for (RFC 9110 13.1.1, 13.1.2); it was not changed."""

    public = "The to-do was changed meanwhile."


class UnknownResource(RequestRefused):
    """No such thing, or another's: the answer is the same, so that nobody learns what exists."""

    public = "There is no such thing."


class UnknownPath(RequestRefused):
    """No route has this path."""

    public = "There is nothing here."


class MethodNotAllowed(RequestRefused):
    """The path exists and takes other methods: ``allowed``."""

    public = "This path does not take that method."

    def __init__(self, allowed: tuple[str, ...], detail: str = "") -> None:
        super().__init__(detail)
        self.allowed = allowed


class RequestTooLarge(RequestRefused):
    """The body is larger than any valid one."""

    public = "The request body is too large."


class UnsupportedMediaType(RequestRefused):
    """The body is not ``application/json``."""

    public = "The body must be application/json."


class Unavailable(ResourceAPIError):
    """An outage. ``retry_after`` is in seconds."""

    public = "A service we need does not answer."
    retry_after: ClassVar[int] = 5


class KeySetUnavailable(Unavailable):
    """The issuer's keys cannot be had: the token may well be good, so this is never the caller's fault."""

    public = "Access tokens cannot be checked right now."


class IntrospectionUnavailable(Unavailable):
    """Nobody can say what an opaque token is (RFC 7662): it may well be good, so this is never the caller's fault."""

    public = "Access tokens cannot be checked right now."


class TodoStoreUnavailable(Unavailable):
    """The database does not answer; nothing was half-written."""

    public = "To-dos cannot be read or written right now."


class UnexpectedFailure(ResourceAPIError):
    """What no other class foresaw; the log has it, the caller has its trace id."""

    public = "Something went wrong on our side."
