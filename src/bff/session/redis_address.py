"""Where Redis or Valkey is: one URL, for a single server or for the Sentinels that know which one is the primary."""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from bff.errors import ConfigurationError
from bff.session.cipher import INSTANCE_BYTES

_CURE = "redis://HOST:6379/0, rediss://… for TLS, or redis+sentinel://HOST:26379,HOST:26379/NAME"
_SCHEMES = {"redis": 6379, "rediss": 6379, "redis+sentinel": 26379, "rediss+sentinel": 26379}


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisAddress:
    """Hosts with ports, the primary's name where they are Sentinels, and who we are there. TLS is always verified."""

    hosts: tuple[tuple[str, int], ...]
    service: str | None = None
    database: int = 0
    tls: bool = False
    ca_file: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> RedisAddress:
        """Read ``session.redis_url``; raises ``ConfigurationError``, which quotes nothing of it: it holds a password.

        The one option behind ``?`` is ``ca_file``. Whoever may turn verification off by a URL would.
        """
        try:
            parts = urlsplit(url)
            default = _SCHEMES[parts.scheme]
            credentials, _, hosts = parts.netloc.rpartition("@")
            found = tuple(_host(host, default) for host in hosts.split(","))
            options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        except (KeyError, ValueError):
            raise _fault(f"is no address of Redis or Valkey. Cure: {_CURE}") from None
        ca_file = options.pop("ca_file", None)
        sentinel = parts.scheme.endswith("+sentinel")
        service, database = _path(parts.path, sentinel=sentinel)
        if options or parts.fragment:
            raise _fault("has options that are none of ours. Cure: ca_file is the only one")
        if len(found) > 1 and not sentinel:
            raise _fault(f"names several servers. Cure: {_CURE}")
        tls = parts.scheme.startswith("rediss")
        if ca_file is not None:
            _refuse_unread(ca_file, tls=tls)
        username, _, password = credentials.partition(":")
        return cls(
            hosts=found,
            service=service,
            database=database,
            tls=tls,
            ca_file=ca_file,
            username=unquote(username) or None,
            password=unquote(password) or None,
        )

    @property
    def instance(self) -> bytes:
        """8 bytes that all who use this address share; it tells nothing of the credentials."""
        named = repr((sorted(self.hosts), self.service, self.database))
        return hashlib.sha256(named.encode()).digest()[:INSTANCE_BYTES]

    def __str__(self) -> str:
        """The hosts, for a log and for ``bff check``."""
        hosts = ",".join(f"{host}:{port}" for host, port in self.hosts)
        return f"{hosts} ({self.service})" if self.service else hosts


def _refuse_unread(ca_file: str, *, tls: bool) -> None:
    """An authority that nobody would ask, or that cannot be read, is found out at the start."""
    if not tls:
        raise _fault("names a ca_file and no TLS. Cure: rediss://, or no ca_file")
    if not Path(ca_file).is_file():
        raise _fault(f"names the ca_file {ca_file}, which is no file. Cure: create it, or correct the path")
    try:
        ssl.create_default_context(cafile=ca_file)
    except OSError:  # ssl.SSLError, a file without a certificate, is one too
        raise _fault(f"names the ca_file {ca_file}, which is unreadable. Cure: certificates in PEM form") from None


def _host(text: str, default: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError(text)
    return parts.hostname, parts.port or default


def _path(path: str, *, sentinel: bool) -> tuple[str | None, int]:
    words = [word for word in path.split("/") if word]
    service = words.pop(0) if sentinel and words else None
    if sentinel and service is None:
        raise _fault(f"does not name the primary. Cure: {_CURE}")
    if len(words) > 1 or (words and not words[0].isdecimal()):
        raise _fault(f"has a path that is no database's number. Cure: {_CURE}")
    return service, int(words[0]) if words else 0


def _fault(what: str) -> ConfigurationError:
    return ConfigurationError([f"session.redis_url {what}"])
