"""What an operator permits below one path: which upstream, which methods, whose token, which limits."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Literal, Self

from bff.errors import MalformedRequest
from bff.gate.antiforgery import READING, RELAYED_KINDS
from bff.oidc.messages import Narrow
from bff.relay.header_names import (
    REQUEST_ALLOWED,
    RESPONSE_ALLOWED,
    RESPONSE_ALLOWED_PUBLIC,
    never_crosses,
    never_returns,
)
from bff.relay.paths import canonical

ALL_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
TOKEN_POLICIES: Final = frozenset({"user", "client", "user_or_client", "user_or_none", "none"})
CLIENT_POLICIES: Final = frozenset({"client", "user_or_client"})
USER_POLICIES: Final = frozenset({"user", "user_or_none"})
# Paths that the BFF itself answers: a route there would never be asked, or would take a sign-in for a call.
RESERVED: Final = frozenset({"", "bff", "docs", "assets", "livez", "readyz", "metrics"})
_NAME = re.compile(r"[a-z0-9-]+")
_SUBPROTOCOL = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_URL = re.compile(r"(https?)://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::([1-9][0-9]{0,4}))?(/.*)?")
_PORTS = {"http": 80, "https": 443}
_MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class UpstreamAddress:
    """An upstream's origin and path prefix, from settings only. ``prefix`` is empty, or ends without a slash."""

    scheme: str
    host: str
    port: int
    prefix: bytes = b""

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read ``http(s)://host[:port][/prefix]``; raise ValueError, with the cure, for anything else."""
        found = _URL.fullmatch(url)
        if found is None or int(found[3] or 1) > _MAX_PORT:
            raise ValueError("upstream is not http(s)://host[:port][/prefix]. Cure: write it so, without credentials")
        try:
            prefix = canonical((found[4] or "/").encode("ascii")).rstrip(b"/")
        except (MalformedRequest, UnicodeEncodeError):
            raise ValueError("upstream has an ambiguous path. Cure: plain segments, nothing encoded") from None
        return cls(found[1], found[2].lower(), int(found[3] or _PORTS[found[1]]), prefix)

    @property
    def default_port(self) -> int:
        """The port that a URL of this scheme means where it names none."""
        return _PORTS[self.scheme]

    @property
    def authority(self) -> bytes:
        """Host, with its port unless it is the scheme's own (RFC 9110 4.2.3): the value of Host."""
        return (self.host if self.port == self.default_port else f"{self.host}:{self.port}").encode()

    @property
    def origin(self) -> bytes:
        """Scheme and authority, without a slash."""
        return self.scheme.encode() + b"://" + self.authority


@dataclass(frozen=True, kw_only=True)
class Route:
    """One ``[[route]]``, as it was declared; a RouteTable is the proof that it can work.

    A ``path`` that ends with a slash stands for all paths below it, any other for itself alone. The upstream is asked
    for its own prefix followed by the whole path: with ``/api/`` → ``http://api/v1`` a call of ``/api/todolist``
    becomes ``/v1/api/todolist``. ``timeout`` is in seconds, to connect, to answer, and between two blocks of a body;
    ``max_body`` in bytes. Header names are lower-case. ``cacheable`` lets a browser keep what it revalidates.
    ``encoded_slash`` admits ``%2F`` in a path: as a character of a segment, never as the way to another route.
    A ``client`` token is the application's own, for ``scope``, ``resource`` and ``audience`` (RFC 6749 4.4, RFC 8707);
    it goes out for people who are signed in, and for everybody where ``anonymous``. Where a route of a ``user`` names
    any of the three, its API sees a person's token for itself alone (RFC 6749 6).
    ``redirects="pass"`` lets a Location lead off this site; ``sandbox=False`` trusts the upstream's documents like our
    own page. An event stream may say nothing for ``stream_idle`` seconds, and ends with the token that it was opened
    with, unless it ``outlives_token``. So does a WebSocket, which a route takes only with ``websocket``: with one of
    its ``subprotocols`` or none, and messages of at most ``max_message`` bytes in either direction. No slots, for the
    properties that the hot path reads are computed once.
    """

    path: str
    upstream: str
    methods: frozenset[str] = ALL_METHODS
    token: Literal["user", "client", "user_or_client", "user_or_none", "none"] = "user"  # noqa: S105 — a policy's name
    anonymous: bool = False
    scope: str = ""
    resource: str = ""
    audience: str = ""
    antiforgery: Literal["header", "fetch-metadata"] = "header"
    encoded_slash: bool = False
    request_headers: frozenset[str] = frozenset()
    response_headers: frozenset[str] = frozenset()
    timeout: float = 30.0
    stream_idle: float = 300.0
    outlives_token: bool = False
    max_body: int = 1_048_576
    websocket: bool = False
    subprotocols: tuple[str, ...] = ()
    max_message: int = 1_048_576
    ca_file: Path | None = None
    redirects: Literal["refuse", "pass"] = "refuse"
    cacheable: bool = False
    sandbox: bool = True

    @cached_property
    def address(self) -> UpstreamAddress:
        """Where the upstream is; ValueError for a URL that a RouteTable refuses."""
        return UpstreamAddress.parse(self.upstream)

    @cached_property
    def upstream_key(self) -> tuple[str, str, int, Path | None]:
        """What two routes have in common that may share connections."""
        return self.address.scheme, self.address.host, self.address.port, self.ca_file

    @cached_property
    def crossing_names(self) -> frozenset[bytes]:
        """All request headers that cross as they are."""
        return REQUEST_ALLOWED | self.request_names

    @cached_property
    def host(self) -> tuple[bytes, bytes]:
        """The Host field of every request to the upstream."""
        return b"host", self.address.authority

    @cached_property
    def narrow(self) -> Narrow | None:
        """What a person's token for this API alone is asked for; None where the session's own token goes out."""
        if self.token not in USER_POLICIES or not (self.scope or self.resource or self.audience):
            return None
        return Narrow(scope=self.scope, resource=self.resource, audience=self.audience)

    @cached_property
    def request_names(self) -> frozenset[bytes]:
        """The request headers that cross besides everybody's."""
        return frozenset(name.encode() for name in self.request_headers)

    @cached_property
    def response_names(self) -> frozenset[bytes]:
        """The response headers that come back besides everybody's."""
        return frozenset(name.encode() for name in self.response_headers)

    @cached_property
    def returned_names(self) -> frozenset[bytes]:
        """All response headers that come back as they are."""
        public = RESPONSE_ALLOWED_PUBLIC if self.token == "none" else frozenset()  # noqa: S105 — the name of a policy
        return RESPONSE_ALLOWED | self.response_names | public

    @cached_property
    def own_response_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """What every response of this route says besides, in the upstream's place."""
        fields = [(b"x-content-type-options", b"nosniff"), (b"cross-origin-resource-policy", b"same-origin")]
        if self.token != "none":  # noqa: S105 — the name of a policy
            fields.append((b"cache-control", b"private, no-cache" if self.cacheable else b"no-store"))
            if self.cacheable:
                fields.append((b"vary", b"Cookie, Sec-Fetch-Site"))
        else:  # whatever else it depends on, nobody's cache may answer another site with it
            fields.append((b"vary", b"X-CSRF, Sec-Fetch-Site" if self.antiforgery == "header" else b"Sec-Fetch-Site"))
        return tuple(fields)

    @cached_property
    def answered_methods(self) -> frozenset[str]:
        """The declared methods, and HEAD wherever GET is (RFC 9110 9.3.2)."""
        return self.methods | {"HEAD"} if "GET" in self.methods else self.methods

    def causes(self) -> list[str]:
        """Why this route cannot work, one line each, with the cure; empty where it can."""
        found = [
            *self._address_causes(),
            *self._policy_causes(),
            *self._websocket_causes(),
            *self._header_causes(),
        ]
        return [f"route {self.path}: {cause}" for cause in found]

    def _address_causes(self) -> list[str]:
        causes = []
        try:
            first = canonical(self.path.encode("ascii")).split(b"/")[1].decode()
        except (MalformedRequest, UnicodeEncodeError):
            causes.append("no request can have this path. Cure: /name/ or /name, percent-encoded as browsers do")
        else:
            if first in RESERVED:
                causes.append(f"the BFF itself answers below /{first}. Cure: choose another first segment")
        try:
            UpstreamAddress.parse(self.upstream)
        except ValueError as error:
            causes.append(str(error))
        if self.ca_file is not None:
            try:
                ssl.create_default_context(cafile=self.ca_file)
            except OSError as error:  # ssl.SSLError, a file without a certificate, is one too
                causes.append(f"ca_file {self.ca_file}: {error.strerror or error}. Cure: name a readable PEM file")
        return causes

    def _policy_causes(self) -> list[str]:
        causes = []
        unknown = sorted(self.methods - ALL_METHODS)
        if unknown or not self.methods:
            causes.append(f"methods {unknown or 'is empty'}. Cure: list some of {', '.join(sorted(ALL_METHODS))}")
        if self.token not in TOKEN_POLICIES:
            causes.append(f"token = {self.token!r} is not offered. Cure: one of {', '.join(sorted(TOKEN_POLICIES))}")
        causes += self._client_causes()
        if self.antiforgery not in RELAYED_KINDS:
            causes.append(f"antiforgery = {self.antiforgery!r} is no kind of a relayed route. Cure: header")
        elif self.antiforgery == "fetch-metadata" and not self.methods <= READING:
            causes.append('antiforgery = "fetch-metadata" is for reading. Cure: methods = ["GET"]')
        if self.redirects not in {"refuse", "pass"}:
            causes.append(f"redirects = {self.redirects!r} is unknown. Cure: refuse or pass")
        if not min(self.timeout, self.stream_idle) > 0 or self.max_body < 0:
            causes.append(
                "timeout, stream_idle or max_body can never be met. Cure: times > 0 seconds, max_body >= 0 bytes"
            )
        return causes

    def _client_causes(self) -> list[str]:
        """Rule F16: the application's own token must not open to everybody what is meant for people."""
        named = self.scope or self.resource or self.audience
        if self.token == "none" and named:  # noqa: S105 — the name of a policy
            return ["scope, resource and audience are a token's, and token = none sends none. Cure: remove them"]
        if self.token not in CLIENT_POLICIES:
            cause = "anonymous is the application's own token's. Cure: token = client or user_or_client, or remove it"
            return [cause] if self.anonymous else []
        app_roles = not self.scope or any(one.endswith("/.default") for one in self.scope.split())
        if self.anonymous and app_roles and not self.methods <= READING:
            cause = (
                "anonymous = true with a scope that may hold app roles lets everybody change everything. "
                'Cure: methods = ["GET"], or anonymous = false, or a scope of its own'
            )
            return [cause]
        return []

    def _websocket_causes(self) -> list[str]:
        causes = []
        if self.websocket and "GET" not in self.methods:
            causes.append('websocket = true needs GET, which opens it (RFC 6455 4.1). Cure: methods = ["GET"]')
        if self.subprotocols and not self.websocket:
            causes.append("subprotocols belong to WebSockets. Cure: websocket = true, or remove them")
        causes += [
            f"{name!r} is no sub-protocol. Cure: write its registered name, like graphql-transport-ws"
            for name in self.subprotocols
            if not _SUBPROTOCOL.fullmatch(name)
        ]
        if not self.max_message > 0:
            causes.append("max_message can never be met. Cure: max_message > 0 bytes")
        return causes

    def _header_causes(self) -> list[str]:
        causes = []
        for name in sorted(self.request_headers | self.response_headers):
            if not _NAME.fullmatch(name):
                causes.append(f"{name!r} is no header name. Cure: lower-case letters, digits and hyphens")
            elif name in self.request_headers and never_crosses(name.encode()):
                causes.append(f"request header {name} never crosses. Cure: remove it")
            elif name in self.response_headers and never_returns(name.encode()):
                causes.append(f"response header {name} never comes back. Cure: remove it")
        return causes
