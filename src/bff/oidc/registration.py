"""What the authorization server and we have agreed on: who we are there, where it answers, what we ask and demand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from bff.errors import ConfigurationError
from bff.oidc.client_authentication import ClientAuthentication
from bff.oidc.key_set import ALGORITHMS
from bff.oidc.metadata import is_secure
from bff.oidc.rules import Rule, contradictions

RESERVED_PARAMETERS = frozenset({
    "client_id", "client_secret", "code", "code_challenge", "code_challenge_method", "code_verifier", "iss", "nonce",
    "redirect_uri", "request", "request_uri", "response_mode", "response_type", "scope", "state",
})  # fmt: skip
"""Authorization request parameters that protect the flow: ours alone to set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """One relying party at one authorization server.

    ``metadata_url`` is independent of ``issuer``. ``algorithms`` are those an ID token may be signed with, whatever the
    server's metadata offers. ``authorize_params`` go into every authorization request, below what the request itself
    asks for. ``sends_prompt_create`` is False for a server that is not known to honour it: its page is then the
    ordinary one. ``front_channel_sid_alone`` is for a server whose front-channel logout names no issuer. Raises
    ConfigurationError with all causes at once.
    """

    issuer: str
    metadata_url: str
    client_id: str
    authentication: ClientAuthentication
    redirect_uri: str
    post_logout_redirect_uri: str
    scopes: tuple[str, ...] = ("openid", "profile", "offline_access")
    algorithms: tuple[str, ...] = ("RS256", "PS256", "ES256", "EdDSA")
    leeway_seconds: float = 30.0
    authorize_params: Mapping[str, str] = field(default_factory=dict)
    response_mode: Literal["query", "form_post"] = "query"
    require: tuple[Rule, ...] = ()
    end_session_hint: Literal["logout_hint", "id_token_hint"] = "logout_hint"
    sends_prompt_create: bool = True
    front_channel_sid_alone: bool = False

    def __post_init__(self) -> None:
        causes = [*self._address_causes(), *self._parameter_causes(), *self._rule_causes()]
        if causes:
            raise ConfigurationError(causes)

    @property
    def scope(self) -> str:
        """The scope parameter; ``openid`` is always in it (OIDC Core 3.1.2.1)."""
        return " ".join(dict.fromkeys(("openid", *self.scopes)))

    def _address_causes(self) -> Iterator[str]:
        for name in ("issuer", "metadata_url", "redirect_uri", "post_logout_redirect_uri"):
            if not is_secure(getattr(self, name)):
                yield f"{name}: give an https URL, or http on this machine alone, without user name and fragment"
        if not self.client_id:
            yield "authority.client_id is missing. Cure: copy it from the registration"

    def _parameter_causes(self) -> Iterator[str]:
        if unknown := [name for name in self.algorithms if name not in ALGORITHMS]:
            yield f"authority.algorithms: {unknown} cannot be verified. Cure: choose from {', '.join(ALGORITHMS)}"
        if not self.algorithms:
            yield "authority.algorithms is empty, so no ID token could be accepted. Cure: leave it out"
        if taken := sorted(RESERVED_PARAMETERS.intersection(self.authorize_params)):
            yield f"authority.authorize_params: {taken} protect the sign-in. Cure: remove them"
        if any(not scope or set(scope) & set(' "\\') for scope in self.scopes):
            yield "authority.scopes: a scope is a single word. Cure: give each scope as its own entry"
        if not 0 <= self.leeway_seconds <= 120:  # noqa: PLR2004 — more than two minutes would hide a broken clock
            yield "authority.leeway_seconds: give 0 to 120"

    def _rule_causes(self) -> Iterator[str]:
        yield from contradictions((*self.require, Rule(claim="iss", equals=self.issuer)))
