"""The authorization request, read strictly (RFC 6749 4.1.1, RFC 7636, OIDC Core 3.1.2.1)."""

from __future__ import annotations

import re
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec

from local_authority import scopes
from local_authority.clients.registrations import Registry
from local_authority.errors import (
    InvalidRequest,
    ProtocolRefusal,
    RequestNotSupported,
    RequestURINotSupported,
    UnsafeRequest,
    UnsupportedResponseType,
)
from local_authority.parameters import Parameters

ResponseMode = Literal["query", "fragment", "form_post"]
RESPONSE_MODES: Final[tuple[ResponseMode, ...]] = ("query", "fragment", "form_post")
PROMPTS: Final = ("none", "login", "create", "select_account", "consent")
S256_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
MAX_AGE: Final = re.compile(r"[0-9]{1,9}")
LONGEST: Final = 2_048


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where a response may go: a registered redirect URI of a known client. ``state`` is echoed."""

    client_id: str
    redirect_uri: str
    response_mode: ResponseMode = "query"
    state: str | None = None

    @property
    def origin(self) -> str:
        """Scheme, host and port of the redirect URI: what a page's ``form-action`` must name."""
        parts = urlsplit(self.redirect_uri)
        return f"{parts.scheme}://{parts.netloc}"


class AuthorizationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was checked. ``acr`` is the first of ``acr_values``; ``max_age`` is in seconds."""

    target: Target
    scopes: tuple[str, ...]
    code_challenge: str
    nonce: str | None = None
    prompts: tuple[str, ...] = ()
    max_age: int | None = None
    login_hint: str | None = None
    id_token_hint: str | None = None
    acr: str | None = None


def read_target(parameters: Parameters, registry: Registry) -> Target:
    """Who asks, and where the answer may go; UnsafeRequest where either is unknown, so that nothing is redirected."""
    if parameters.repeated & {"client_id", "redirect_uri"}:
        raise UnsafeRequest("client_id or redirect_uri was sent more than once.")
    client = registry.clients.get(parameters.text("client_id"))
    if client is None:
        raise UnsafeRequest("No application is registered under this client_id.")
    redirect_uri = parameters.text("redirect_uri")
    if redirect_uri not in client.redirect_uris:
        raise UnsafeRequest(f"This redirect_uri is not registered, character by character, for {client.name}.")
    asked = parameters.get("response_mode")
    return Target(
        client_id=client.client_id,
        redirect_uri=redirect_uri,
        response_mode=next((mode for mode in RESPONSE_MODES if mode == asked), "query"),
        state=None if "state" in parameters.repeated else parameters.get("state"),
    )


def read_request(parameters: Parameters, target: Target, registry: Registry, *, several: bool) -> AuthorizationRequest:
    """The rest of the request; a ProtocolRefusal goes back to ``target``. ``several`` permits several resources."""
    parameters.refuse_repeated()
    _refuse_unsupported(parameters)
    tokens = scopes.split(parameters.require("scope"))
    scopes.check(tokens, registry.clients[target.client_id], registry)
    if not several:
        scopes.one_resource(tokens, registry)
    return AuthorizationRequest(
        target=target,
        scopes=tokens,
        code_challenge=_code_challenge(parameters),
        nonce=_bounded(parameters, "nonce"),
        prompts=_prompts(parameters),
        max_age=_max_age(parameters),
        login_hint=_bounded(parameters, "login_hint"),
        id_token_hint=parameters.get("id_token_hint"),
        acr=next(iter((_bounded(parameters, "acr_values") or "").split()), None),
    )


def error_parameters(target: Target, refusal: ProtocolRefusal) -> dict[str, str]:
    """An authorization error response (RFC 6749 4.1.2.1)."""
    return {"error": refusal.code, "error_description": refusal.description, **_state(target)}


def code_parameters(target: Target, code: str) -> dict[str, str]:
    """An authorization response (RFC 6749 4.1.2)."""
    return {"code": code, **_state(target)}


def _state(target: Target) -> dict[str, str]:
    return {} if target.state is None else {"state": target.state}


def _refuse_unsupported(parameters: Parameters) -> None:
    if parameters.get("request") is not None:
        raise RequestNotSupported("Request objects are not supported.")
    if parameters.get("request_uri") is not None:
        raise RequestURINotSupported("Request objects are not supported.")
    if parameters.require("response_type") != "code":
        raise UnsupportedResponseType("Only response_type=code is supported.")
    if parameters.get("response_mode") not in {None, *RESPONSE_MODES}:
        raise InvalidRequest(f"response_mode must be one of {', '.join(RESPONSE_MODES)}.")


def _code_challenge(parameters: Parameters) -> str:
    challenge = parameters.get("code_challenge")
    if challenge is None or parameters.get("code_challenge_method") != "S256":
        raise InvalidRequest("PKCE is required: send code_challenge with code_challenge_method=S256.")
    if not S256_CHALLENGE.fullmatch(challenge):
        raise InvalidRequest("code_challenge is no base64url SHA-256 digest of 43 characters.")
    return challenge


def _prompts(parameters: Parameters) -> tuple[str, ...]:
    prompts = tuple((parameters.get("prompt") or "").split())
    if unknown := set(prompts) - set(PROMPTS):
        raise InvalidRequest(f"prompt must be of {', '.join(PROMPTS)}; {len(unknown)} of its values are not.")
    if "none" in prompts and len(prompts) > 1:
        raise InvalidRequest("prompt=none stands alone.")
    return prompts


def _max_age(parameters: Parameters) -> int | None:
    text = parameters.get("max_age")
    if text is None:
        return None
    if not MAX_AGE.fullmatch(text):
        raise InvalidRequest("max_age must be a number of seconds.")
    return int(text)


def _bounded(parameters: Parameters, name: str) -> str | None:
    value = parameters.get(name)
    if value is not None and len(value) > LONGEST:
        raise InvalidRequest(f"{name} is too long.")
    return value
