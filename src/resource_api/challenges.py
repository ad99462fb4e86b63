"""What ``WWW-Authenticate`` says: RFC 6750 3, RFC 9470 3, RFC 9728 5.1, and Entra's claims challenge.

Every value is our own: scope names and context names were judged when they were declared, URLs when they were read.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Protocol

from resource_api import errors


class Challenger(Protocol):
    """The resource server that a challenge speaks for."""

    @property
    def metadata_url(self) -> str | None:
        """Where its protected resource metadata is (RFC 9728 3)."""

    @property
    def authorization_endpoint(self) -> str | None:
        """Where its tokens come from, once that is known."""


def challenge(error: errors.ResourceAPIError, server: Challenger | None) -> str | None:
    """The one Bearer challenge for this refusal; None where no token would help."""
    if not isinstance(error, errors.AuthenticationError | errors.InsufficientScope):
        return None
    parameters = dict(_parameters(error, server))
    if server is not None and server.metadata_url is not None:
        parameters["resource_metadata"] = server.metadata_url
    return " ".join(["Bearer", ", ".join(f'{name}="{value}"' for name, value in parameters.items())]).rstrip()


def _parameters(error: errors.ResourceAPIError, server: Challenger | None) -> Iterator[tuple[str, str]]:
    """No code where no token was sent: there is nothing wrong with it (RFC 6750 3.1)."""
    match error:
        case errors.InvalidRequest():
            yield "error", "invalid_request"
        case errors.InvalidToken():
            yield "error", "invalid_token"
            yield "error_description", error.public
        case errors.InsufficientScope(scopes=scopes):
            yield "error", "insufficient_scope"
            if scopes:
                yield "scope", " ".join(scopes)
        case errors.InsufficientAuthentication():
            yield from _step_up(error)
        case errors.InsufficientClaims():
            yield from _claims(error, server)


def _step_up(error: errors.InsufficientAuthentication) -> Iterator[tuple[str, str]]:
    yield "error", "insufficient_user_authentication"
    yield "error_description", error.public
    if error.acr_values:
        yield "acr_values", " ".join(error.acr_values)
    if error.max_age is not None:
        yield "max_age", str(error.max_age)


def _claims(error: errors.InsufficientClaims, server: Challenger | None) -> Iterator[tuple[str, str]]:
    """The parameters in the order that Entra's documentation shows (K-60)."""
    yield "realm", ""
    if server is not None and server.authorization_endpoint is not None:
        yield "authorization_uri", server.authorization_endpoint
    yield "error", "insufficient_claims"
    yield "claims", base64.b64encode(json.dumps(error.claims, separators=(",", ":")).encode()).decode("ascii")
