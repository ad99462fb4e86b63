"""A resource server (RFC 6749 1.1) as one value: whom it trusts, what it knows of tokens, and the keys it holds."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path

import httpx

from resource_api.clock import Clock, SystemClock
from resource_api.errors import ConfigurationError, InsufficientAuthentication, KeySetUnavailable
from resource_api.security.access_token import AccessTokenVerifier, is_compact
from resource_api.security.bearer import bearer_token
from resource_api.security.configuration import (
    configuration_faults,
    introspection_faults,
    resource_faults,
    well_known_url,
)
from resource_api.security.fetching import FETCH_SECONDS
from resource_api.security.introspection import TAKEN_SECONDS, Introspection, Introspector
from resource_api.security.issuers import Endpoints, Issuer, by_identifier
from resource_api.security.key_set import KeySet
from resource_api.security.needs import Needs, as_claims_challenge
from resource_api.security.principal import Principal
from resource_api.security.profiles import valid_owner
from resource_api.security.rules import TokenRules
from resource_api.security.verified_tokens import VerifiedTokens, digest_of


class ResourceServer:
    """Authenticates requests for one audience.

    ``scopes`` and ``app_roles`` describe what this API offers, name by name; where they are given, a rule that asks for
    another name stops the start. ``resource`` is the URL that callers know this API by; with it, metadata is published
    (RFC 9728). ``introspection`` is how opaque tokens are understood; without it they are refused. ``transport`` and
    ``clock`` are what a test replaces. Raises ConfigurationError.
    """

    def __init__(  # noqa: PLR0913 — because each is a decision of its own, named where it is made
        self,
        *,
        issuers: Iterable[Issuer | str],
        rules: TokenRules,
        scopes: Mapping[str, str] | None = None,
        app_roles: Mapping[str, str] | None = None,
        resource: str | None = None,
        introspection: Introspection | None = None,
        ca_file: Path | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        trusted = [Issuer(issuer) if isinstance(issuer, str) else issuer for issuer in issuers]
        causes = [
            *configuration_faults(trusted, rules),
            *resource_faults(resource),
            *introspection_faults(introspection, trusted, rules),
        ]
        if causes:
            raise ConfigurationError(causes)
        self.rules = rules
        self.scopes = scopes
        self.app_roles = app_roles
        self.resource = resource
        self.metadata_url = well_known_url(resource) if resource is not None else None
        self._trusted, self._introspection = trusted, introspection
        self._clock = clock or SystemClock()
        self._verified = VerifiedTokens(self._clock)
        self._client = _client(ca_file, transport)
        accepted = by_identifier(trusted, rules.tenants)
        self.issuers = tuple(accepted)
        self._issuers = {issuer: self._key_set(issuer) for issuer in dict.fromkeys(accepted.values())}
        self._key_sets = {identifier: self._issuers[issuer] for identifier, issuer in accepted.items()}
        self._verifier = AccessTokenVerifier(rules, self._key_sets, self._clock)
        self._introspector = (
            Introspector(introspection, issuer=self.issuers[0], rules=rules, client=self._client, clock=self._clock)
            if introspection is not None
            else None
        )

    def _key_set(self, issuer: Issuer) -> KeySet:
        return KeySet(
            issuer,
            client=self._client,
            clock=self._clock,
            algorithms=self.rules.algorithms,
            on_change=self._verified.forget_all,
        )

    def replica(self, transport: httpx.AsyncBaseTransport, *, clock: Clock | None = None) -> ResourceServer:
        """Another server of the same decisions, whose authorization server is found behind ``transport``: for tests."""
        return ResourceServer(
            issuers=self._trusted,
            rules=self.rules,
            scopes=self.scopes,
            app_roles=self.app_roles,
            resource=self.resource,
            introspection=self._introspection,
            transport=transport,
            clock=clock,
        )

    @property
    def trusted(self) -> tuple[Issuer, ...]:
        """The issuers as they were configured, templates unfilled."""
        return tuple(self._trusted)

    async def authenticate(self, headers: Iterable[tuple[bytes, bytes]]) -> Principal:
        """The caller of a request, by its ASGI headers. Raises AuthenticationError or Unavailable."""
        token = bearer_token(headers)
        digest = digest_of(token)
        return self._verified.find(digest) or await self._verify(token, digest)

    async def _verify(self, token: bytes, digest: bytes) -> Principal:
        """A token that is not remembered: verified, or asked about, and then remembered."""
        if self._introspector is not None and not is_compact(token):
            principal = await self._introspector.verify(token, digest)
            until = self._clock.monotonic() + TAKEN_SECONDS
        else:
            principal = await self._verifier.verify(token)
            held = self._key_sets[principal.issuer].held
            until = held.fresh_until if held is not None else float("-inf")
        self._verified.keep(digest, principal, keys_until=until)
        return principal

    def check_signed_in(self, needs: Needs, principal: Principal) -> None:
        """Raise unless the person signed in as these needs say, in the words that this profile's clients know."""
        try:
            needs.check_signed_in(principal, now=self._clock.now(), leeway=self.rules.leeway)
        except InsufficientAuthentication as error:
            if self.rules.profile == "entra-v2":
                raise as_claims_challenge(error, principal) from None
            raise

    @property
    def authorization_endpoint(self) -> str | None:
        """Where a person gets a token, once the metadata was read."""
        found = self.endpoints()
        return found.authorization_endpoint if found is not None else None

    def begin(self) -> None:
        """Fetch the issuers' keys in the background: the first call finds them there, and an outage stops no start."""
        for key_set in self._issuers.values():
            key_set.begin()

    async def check_keys(self) -> None:
        """Fetch what is not held yet. Raises KeySetUnavailable where an issuer's keys cannot be had."""
        for key_set in self._issuers.values():
            held = await key_set.current()
            if not held.keys:
                raise KeySetUnavailable(f"{key_set.issuer.identifier} publishes no key that can be used")

    def endpoints(self) -> Endpoints | None:
        """What the first issuer's metadata said when it was last read."""
        held = next(iter(self._issuers.values())).held
        return held.endpoints if held is not None else None

    def valid_owner(self, value: str) -> str | None:
        """``value`` as the ``owner`` of a principal of this profile, or None where none could ever have it."""
        return valid_owner(self.rules.profile, value)

    async def aclose(self) -> None:
        """Close the connections to the issuers."""
        for key_set in self._issuers.values():
            await key_set.aclose()
        if self._introspector is not None:
            await self._introspector.aclose()
        await self._client.aclose()


def _client(ca_file: Path | None, transport: httpx.AsyncBaseTransport | None) -> httpx.AsyncClient:
    verify: ssl.SSLContext | bool = True
    if ca_file is not None:
        try:
            verify = ssl.create_default_context(cafile=str(ca_file))
        except OSError as error:
            raise ConfigurationError([f"ca_file {ca_file} cannot be read. Cure: a PEM file of certificates"]) from error
    return httpx.AsyncClient(
        transport=transport,
        verify=verify,
        trust_env=False,
        follow_redirects=False,
        timeout=FETCH_SECONDS,
        headers={"Accept": "application/json", "Accept-Encoding": "identity"},
    )
