"""What the authority is started with. Frozen; ``check`` says everything that cannot work, each with its cure."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from local_authority.errors import ConfigurationError
from local_authority.seeds import TENANT_ID

Shape = Literal["full", "entra"]
LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """Seconds. Those of Entra by default, but for its random spread; a session ends that long after its last use."""

    access_token: int = 3_600
    id_token: int = 3_600
    refresh_token: int = 90 * 86_400
    session: int = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """``base_url`` is the origin of all endpoints, ``issuer`` the identifier in tokens: independent, as at Entra.

    ``metadata_host`` names the one host that serves the metadata. ``data`` None keeps everything in memory.
    ``client_secret`` and ``client_secret_file`` belong to the BFF's registration; with neither, one is made.
    ``refresh_overlap`` is for how many seconds a spent refresh token works on: a lost answer is forgiven.
    """

    host: str = "127.0.0.1"
    port: int = 3002
    base_url: str | None = None
    issuer: str | None = None
    metadata_host: str | None = None
    tenant_id: str = TENANT_ID
    shape: Shape = "full"
    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    data: Path | None = None
    config: Path | None = None
    bff_url: str = "http://localhost:3000"
    client_redirects: tuple[str, ...] = ()
    client_secret: str | None = field(default=None, repr=False)
    client_secret_file: Path | None = None
    client_certificate_file: Path | None = None
    refresh_overlap: int = 0
    password_cost: int = 2**14  # scrypt's N (RFC 7914 2); tests that sign in a thousand times take less

    @property
    def origin(self) -> str:
        """Scheme, host and port of the endpoints."""
        return self.base_url or _origin("http", self.host, self.port)

    @property
    def issuer_identifier(self) -> str:
        """The ``iss`` of tokens and metadata, exactly."""
        return self.issuer or f"{self.origin}/{self.tenant_id}/v2.0"

    @property
    def metadata_origin(self) -> str:
        """Scheme, host and port of the metadata."""
        if self.metadata_host is None:
            return self.origin
        parts = urlsplit(self.origin)
        return _origin(parts.scheme, self.metadata_host, parts.port)

    @property
    def metadata_url(self) -> str:
        """Where the metadata is (K-21)."""
        return f"{self.metadata_origin}/{self.tenant_id}/v2.0/.well-known/openid-configuration"

    @property
    def hosts(self) -> frozenset[str]:
        """The host names it answers under: its own and the loopback's; no name rebound to 127.0.0.1 reaches it."""
        named = {urlsplit(url).hostname or "" for url in (self.origin, self.issuer_identifier, self.metadata_origin)}
        return LOOPBACK_NAMES | named

    def check(self) -> None:
        """ConfigurationError for everything that cannot work, at once."""
        causes = [
            *_host_causes(self.host),
            *_url_causes("--base-url", self.base_url, path=False),
            *_url_causes("--issuer", self.issuer, path=True),
            *_url_causes("--bff-url", self.bff_url, path=False),
            *(cause for url in self.client_redirects for cause in _url_causes("--client-redirect", url, path=True)),
            *_lifetime_causes(self.lifetimes),
        ]
        if causes:
            raise ConfigurationError(causes)


def is_loopback(host: str) -> bool:
    """Whether a host to listen on is reachable from this machine only."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _origin(scheme: str, host: str, port: int | None) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}" if port is None else f"{scheme}://{name}:{port}"


def _host_causes(host: str) -> list[str]:
    if is_loopback(host):
        return []
    return [f"--host {host}: this authority is for development and listens on the loopback only; use 127.0.0.1."]


def _url_causes(option: str, url: str | None, *, path: bool) -> list[str]:
    if url is None:
        return []
    try:
        parts = urlsplit(url)
        sound = parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        return [f"{option} {url}: is no URL; write it like http://localhost:3000."]
    if not sound or parts.query or parts.fragment or parts.username is not None:
        return [f"{option} {url}: write scheme and host, without user, query and fragment, like http://localhost:3000."]
    if parts.path and not path:
        return [
            f"{option} {url}: write it without a path, like {_origin(parts.scheme, str(parts.hostname), parts.port)}."
        ]
    return []


def _lifetime_causes(lifetimes: Lifetimes) -> list[str]:
    seconds = {
        "--access-token-seconds": lifetimes.access_token,
        "--id-token-seconds": lifetimes.id_token,
        "--refresh-token-seconds": lifetimes.refresh_token,
        "--session-seconds": lifetimes.session,
    }
    return [f"{option} {value}: must be at least 1." for option, value in seconds.items() if value < 1]
