"""How a client proves who it is: by secret, in either way of RFC 6749 2.3.1, or by private_key_jwt (RFC 7523)."""

from __future__ import annotations

import binascii
from base64 import b64decode
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_plus

from local_authority.clients.assertions import ASSERTION_TYPE, Assertions
from local_authority.clients.registrations import Client, Registry
from local_authority.errors import InvalidClient, InvalidRequest
from local_authority.parameters import Parameters
from local_authority.secret_values import same

AZPACR_SECRET: Final = "1"  # noqa: S105 — the claim's value for "proved itself by a secret" (K-08)
AZPACR_KEY: Final = "2"
UNKNOWN: Final = "The client is unknown, or its credentials are wrong."


@dataclass(frozen=True, slots=True)
class AuthenticatedClient:
    """A client that proved who it is; ``azpacr`` says how (K-08)."""

    client: Client
    azpacr: str


@dataclass(frozen=True, slots=True)
class ClientAuthentication:
    """Reads exactly one method from a request: more than one is refused (RFC 6749 2.3)."""

    registry: Registry
    assertions: Assertions

    def authenticate(self, authorization: str | None, parameters: Parameters) -> AuthenticatedClient:
        """The client; InvalidClient where it proves nothing, InvalidRequest where it tries two ways at once."""
        assertion = parameters.get("client_assertion")
        ways = [authorization is not None, parameters.get("client_secret") is not None, assertion is not None]
        if sum(ways) > 1:
            raise InvalidRequest("Authenticate the client in one way, not in several.")
        if authorization is not None:
            return self._by_basic(authorization, parameters)
        if assertion is not None:
            return self._by_assertion(assertion, parameters)
        return self._by_secret(parameters.get("client_id") or "", parameters.get("client_secret") or "")

    def _by_basic(self, authorization: str, parameters: Parameters) -> AuthenticatedClient:
        scheme, _, encoded = authorization.partition(" ")
        try:
            client_id, separator, secret = b64decode(encoded.strip(), validate=True).decode().partition(":")
            client_id, secret = unquote_plus(client_id, errors="strict"), unquote_plus(secret, errors="strict")
        except (binascii.Error, ValueError) as error:
            raise InvalidClient("The Authorization header is not Basic with form-encoded id and secret.") from error
        if scheme.lower() != "basic" or not separator:
            raise InvalidClient("The Authorization header is not Basic with form-encoded id and secret.")
        if parameters.get("client_id") not in {None, client_id}:
            raise InvalidRequest("client_id is not the one that authenticates.")
        return self._by_secret(client_id, secret)

    def _by_secret(self, client_id: str, secret: str) -> AuthenticatedClient:
        client = self.registry.clients.get(client_id)
        if client is None or client.secret is None or not same(secret, client.secret):
            raise InvalidClient(UNKNOWN)
        return AuthenticatedClient(client, AZPACR_SECRET)

    def _by_assertion(self, assertion: str, parameters: Parameters) -> AuthenticatedClient:
        if parameters.get("client_assertion_type") != ASSERTION_TYPE:
            raise InvalidClient(f"client_assertion_type must be {ASSERTION_TYPE}.")
        client = self.assertions.verify(assertion, self.registry)
        if parameters.get("client_id") not in {None, client.client_id}:
            raise InvalidRequest("client_id is not the one that authenticates.")
        return AuthenticatedClient(client, AZPACR_KEY)
