"""What is asked for: OpenID Connect scopes and those of one resource, written ``api://{client id}/{name}`` (K-26)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from local_authority.clients.registrations import API, OIDC_SCOPES, Client, Registry
from local_authority.errors import InvalidScope

DEFAULT: Final = ".default"


@dataclass(frozen=True, slots=True)
class Resource:
    """The one API of an access token, and the short names of its scopes in the order asked."""

    api: API
    names: tuple[str, ...]

    @property
    def scopes(self) -> tuple[str, ...]:
        """The full names, as they were asked for."""
        return tuple(f"{self.api.uri}/{name}" for name in self.names)


def split(scope: str) -> tuple[str, ...]:
    """The scope tokens without repetition, in order (RFC 6749 3.3); InvalidScope for none or an odd separator."""
    tokens = tuple(dict.fromkeys(scope.split(" ")))
    if not scope or "" in tokens or not scope.isprintable():
        raise InvalidScope("Ask for scopes by name, separated by single spaces.")
    return tokens


def check(tokens: tuple[str, ...], client: Client, registry: Registry) -> None:
    """InvalidScope for a scope that nobody registered or that the client was not granted (T-14, T-15)."""
    for token in tokens:
        if token not in OIDC_SCOPES and registry.api_of(token) is None:
            raise InvalidScope(f"There is no scope {_shown(token)}; ask as api://{{API client id}}/ToDoList.Read.")
        if token not in OIDC_SCOPES and not client.permits(token):
            raise InvalidScope(f"This client was not granted {_shown(token)}.")


def resources(tokens: tuple[str, ...], registry: Registry) -> list[Resource]:
    """The APIs among the scopes, each with its names, in the order asked."""
    found: dict[str, tuple[API, list[str]]] = {}
    for token in tokens:
        if match := registry.api_of(token):
            api, name = match
            found.setdefault(api.client_id, (api, []))[1].append(name)
    return [Resource(api, tuple(names)) for api, names in found.values()]


def one_resource(tokens: tuple[str, ...], registry: Registry) -> Resource | None:
    """The one resource among the scopes, None for OpenID Connect alone; InvalidScope for two (one audience a token)."""
    found = resources(tokens, registry)
    if len(found) > 1:
        raise InvalidScope("Scopes of more than one resource; an access token is for one.")
    return found[0] if found else None


def default_api(scope: str, registry: Registry) -> API:
    """The API of a client_credentials request: exactly ``api://{client id}/.default`` (T-19); else InvalidScope."""
    for api in registry.apis.values():
        if scope == f"{api.uri}/{DEFAULT}":
            return api
    raise InvalidScope("An app asks for exactly one scope: api://{API client id}/.default.")


def _shown(token: str) -> str:
    """The name in an error description, within the characters that RFC 6749 5.2 allows there."""
    return "".join(c if "\x20" < c < "\x7f" and c not in '"\\' else "?" for c in token[:120])
