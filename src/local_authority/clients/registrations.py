"""APIs and clients as they are registered (T-02…T-19), and what a client may ask for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from local_authority.clients.credentials import Credential
from local_authority.seeds import (
    API_CLIENT_ID,
    BFF_CLIENT_ID,
    DAEMON_CLIENT_ID,
    READ,
    READ_ALL,
    READ_WRITE,
    READ_WRITE_ALL,
)

OIDC_SCOPES: Final = ("openid", "profile", "email", "offline_access")


@dataclass(frozen=True, slots=True, kw_only=True)
class API:
    """A resource: ``scopes`` for users, ``app_roles`` for apps; asked for as ``api://{client_id}/{name}`` (K-26)."""

    client_id: str
    name: str
    scopes: tuple[str, ...]
    app_roles: tuple[str, ...] = ()

    @property
    def uri(self) -> str:
        """The application ID URI (T-03)."""
        return f"api://{self.client_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A confidential client. ``scopes`` None permits every scope of every API; ``app_roles`` are those consented to.

    ``oid`` is its service principal's object id: the ``oid`` and ``sub`` of its app-only tokens (K-05).
    """

    client_id: str
    name: str
    oid: str
    secret: str | None = field(default=None, repr=False)
    credentials: tuple[Credential, ...] = field(default=(), repr=False)
    redirect_uris: frozenset[str] = frozenset()
    post_logout_redirect_uris: frozenset[str] = frozenset()
    backchannel_logout_uri: str | None = None
    frontchannel_logout_uri: str | None = None
    scopes: frozenset[str] | None = None
    app_roles: frozenset[str] = frozenset()

    def permits(self, scope: str) -> bool:
        """Whether this client was granted the delegated permission ``api://…/name`` (T-14, T-15)."""
        return self.scopes is None or scope in self.scopes


@dataclass(frozen=True, slots=True)
class Registry:
    """Everything that is registered, by client id."""

    clients: dict[str, Client]
    apis: dict[str, API]

    @classmethod
    def of(cls, clients: Iterable[Client], apis: Iterable[API]) -> Registry:
        """A registry of these; the last of several with one id stands."""
        return cls({client.client_id: client for client in clients}, {api.client_id: api for api in apis})

    def api_of(self, scope: str) -> tuple[API, str] | None:
        """The API and the short name behind ``api://…/name``; None where there is no such scope."""
        for api in self.apis.values():
            name = scope.removeprefix(f"{api.uri}/")
            if name != scope and name in api.scopes:
                return api, name
        return None


def todo_api() -> API:
    """The to-do API with the seed's permissions (T-04, T-05, T-07, T-08)."""
    return API(
        client_id=API_CLIENT_ID,
        name="To-do API",
        scopes=(READ, READ_WRITE),
        app_roles=(READ_ALL, READ_WRITE_ALL),
    )


def bff_client(
    *, url: str, secret: str | None, credentials: tuple[Credential, ...] = (), redirects: Iterable[str] = ()
) -> Client:
    """The BFF at ``url``: its redirect URIs and its logout endpoints; ``redirects`` are further redirect URIs."""
    return Client(
        client_id=BFF_CLIENT_ID,
        name="To-do list",
        oid="6e0b4d92-a3c7-4185-9f6b-21c8d7e4f035",
        secret=secret,
        credentials=credentials,
        redirect_uris=frozenset({f"{url}/bff/callback", *redirects}),
        post_logout_redirect_uris=frozenset({f"{url}/bff/logged-out"}),
        backchannel_logout_uri=f"{url}/bff/backchannel-logout",
        frontchannel_logout_uri=f"{url}/bff/frontchannel-logout",
    )


def daemon_client(secret: str) -> Client:
    """The daemon of T-19, with both app roles consented."""
    return Client(
        client_id=DAEMON_CLIENT_ID,
        name="To-do daemon",
        oid="c7f51a38-4d0e-4b29-86a2-fe93b0d5c741",
        secret=secret,
        app_roles=frozenset({READ_ALL, READ_WRITE_ALL}),
    )
