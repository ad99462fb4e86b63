"""Whose tokens are trusted, and where that issuer publishes its keys (OIDC Discovery 1.0, RFC 8414)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from resource_api.errors import KeySetUnavailable
from resource_api.security.fetching import fetch_object

TENANT: Final = "{tenantid}"
"""What stands for a tenant in an issuer's identifier, as Entra's metadata for several tenants writes it (K-33)."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Issuer:
    """An issuer by its exact identifier. Its metadata may live under another name; ``jwks_uri`` goes without metadata.

    Entra External ID names ``https://{tenant-guid}.ciamlogin.com/…`` from ``https://{subdomain}.ciamlogin.com/…``: the
    two are never derived from each other. An identifier with ``{tenantid}`` in it is a template, for the tenants of an
    allow-list; its metadata names the template itself.
    """

    identifier: str
    metadata_url: str | None = None
    jwks_uri: str | None = None

    @property
    def document_url(self) -> str:
        """Where the metadata is, unless told otherwise (OIDC Discovery 4)."""
        return self.metadata_url or f"{self.identifier.rstrip('/')}/.well-known/openid-configuration"

    @property
    def is_template(self) -> bool:
        """Whether it stands for several tenants' issuers."""
        return TENANT in self.identifier

    @property
    def is_shared(self) -> bool:
        """A template with a document of its own: one set of keys for all its tenants (Entra's ``organizations``)."""
        return self.is_template and bool(self.metadata_url or self.jwks_uri)

    def of_tenant(self, tenant: str) -> Issuer:
        """The template, filled for one tenant: an exact identifier, and metadata of that tenant's own."""
        return Issuer(self.identifier.replace(TENANT, tenant))


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What an issuer's metadata says that we use."""

    jwks_uri: str
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None


def by_identifier(issuers: Iterable[Issuer], tenants: Iterable[str]) -> dict[str, Issuer]:
    """Each ``iss`` that is accepted, letter by letter, and the issuer whose keys sign for it (K-32, K-33).

    Nothing is matched against a pattern while a token is judged: a tenant that is not in the list is no key here.
    """
    known = sorted(tenants)
    accepted: dict[str, Issuer] = {}
    for issuer in issuers:
        if not issuer.is_template:
            accepted[issuer.identifier] = issuer
        for tenant in known if issuer.is_template else ():
            own = issuer.of_tenant(tenant)
            accepted[own.identifier] = issuer if issuer.is_shared else own
    return accepted


def is_safe_url(url: object) -> bool:
    """Whether documents may be fetched from here: https anywhere, http only on this very machine."""
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK))


async def discover(client: httpx.AsyncClient, issuer: Issuer) -> Endpoints:
    """Read the issuer's metadata; its ``issuer`` must equal ours exactly (OIDC Discovery 4.3, RFC 8414 3.3)."""
    if issuer.jwks_uri is not None:
        return Endpoints(issuer.jwks_uri)
    metadata, _ = await fetch_object(client, issuer.document_url)
    if metadata.get("issuer") != issuer.identifier:
        raise KeySetUnavailable(f"{issuer.document_url} names another issuer than {issuer.identifier}")
    jwks_uri = metadata.get("jwks_uri")
    if not isinstance(jwks_uri, str) or not is_safe_url(jwks_uri):
        raise KeySetUnavailable(f"{issuer.document_url} has no jwks_uri that may be fetched")
    return Endpoints(jwks_uri, _endpoint(metadata, "authorization_endpoint"), _endpoint(metadata, "token_endpoint"))


def _endpoint(metadata: Mapping[str, Any], name: str) -> str | None:
    url = metadata.get(name)
    return url if isinstance(url, str) and is_safe_url(url) else None
