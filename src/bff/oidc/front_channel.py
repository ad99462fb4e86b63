"""The front channel: what we put into the browser's address bar, and what we check of what comes back through it."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from bff.errors import AuthorizationRefused, InvalidAuthorizationResponse
from bff.oidc.messages import AuthorizationResponse, Claims, LoginRequest, LoginTransaction, LogoutNotice
from bff.oidc.metadata import AuthorizationServer
from bff.oidc.registration import Registration

MAX_URL_CHARACTERS = 7_000
MAX_SID_CHARACTERS = 255
ERROR_CODES = frozenset({
    "access_denied", "account_selection_required", "consent_required", "interaction_required", "invalid_scope",
    "login_required", "server_error", "temporarily_unavailable",
})  # fmt: skip
"""Errors that are passed on by name (RFC 6749 4.1.2.1, OIDC Core 3.1.2.6); every other one is ``other``."""


def asked_parameters(request: LoginRequest, registration: Registration, server: AuthorizationServer) -> dict[str, str]:
    """What this request asks for, over what the registration always asks for; what nobody asks for is not sent."""
    asked = {
        "response_mode": None if registration.response_mode == "query" else registration.response_mode,
        "prompt": _prompt(request.prompt or "", registration, server),
        "login_hint": request.login_hint,
        "acr_values": request.acr_values,
        "max_age": None if request.max_age is None else str(request.max_age),
        "ui_locales": request.ui_locales,
    }
    return {**registration.authorize_params, **{name: value for name, value in asked.items() if value is not None}}


def check_issuer(response: AuthorizationResponse, transaction: LoginTransaction, server: AuthorizationServer) -> None:
    """The response, an error too, comes from the server that was asked (RFC 9207 2.4, RFC 9700 4.4.2).

    Raises InvalidAuthorizationResponse. ``iss`` is compared as text, and missed where the server always sends it.
    """
    if transaction.issuer != server.issuer:
        raise InvalidAuthorizationResponse("the sign-in was begun at another authorization server")
    if response.iss is None and server.iss_parameter_supported:
        raise InvalidAuthorizationResponse("iss is missing, which this server always sends")
    if response.iss is not None and response.iss != transaction.issuer:
        raise InvalidAuthorizationResponse("iss is another authorization server's")


def code_of(response: AuthorizationResponse) -> str:
    """The code of a checked response; raises AuthorizationRefused with a word of ours where it is an error response."""
    if response.error is not None:
        known = response.error in ERROR_CODES
        raise AuthorizationRefused(response.error if known else "other", f"the server said {response.error:.64}")
    if response.code is None:
        raise InvalidAuthorizationResponse("there is no code")
    return response.code


def end_session_address(
    endpoint: str, registration: Registration, *, state: str, claims: Claims, id_token: str | None
) -> str:
    """The RP-initiated logout request (RP-Initiated Logout 2).

    The server knows us by ``client_id`` and the person by the ``login_hint`` claim, so that no ID token passes through
    the browser; one goes along only where the registration says ``id_token_hint``, and only where the URL stays short.
    """
    parameters = {
        "client_id": registration.client_id,
        "post_logout_redirect_uri": registration.post_logout_redirect_uri,
        "state": state,
    }
    if registration.end_session_hint == "id_token_hint" and id_token is not None:
        hinted = _with_query(endpoint, {**parameters, "id_token_hint": id_token})
        if len(hinted) <= MAX_URL_CHARACTERS:
            return hinted
    login_hint = claims.get("login_hint")
    if isinstance(login_hint, str) and login_hint:
        parameters["logout_hint"] = login_hint
    return _with_query(endpoint, parameters)


def front_channel_notice(
    parameters: Sequence[tuple[str, str]], registration: Registration, *, now: float
) -> LogoutNotice | None:
    """The session that a front-channel logout address names (Front-Channel Logout 3), or None.

    ``iss`` and ``sid`` come together, and once each. Where the registration says so, ``sid`` comes alone and means our
    one issuer (rule F34); an ``iss`` that is sent must be that issuer all the same.
    """
    given = dict(parameters)
    sid, issuer = given.get("sid", ""), given.get("iss")
    alone = issuer is None and registration.front_channel_sid_alone
    repeated = len(given) != len(parameters)
    if repeated or not 0 < len(sid) <= MAX_SID_CHARACTERS or not (alone or issuer == registration.issuer):
        return None
    return LogoutNotice(issuer=registration.issuer, issued_at=now, authority_sid=sid)


def origins_of(*endpoints: str | None) -> tuple[str, ...]:
    """The origins of these endpoints, each once (RFC 6454 6.2)."""
    parts = [urlsplit(endpoint) for endpoint in endpoints if endpoint is not None]
    return tuple(dict.fromkeys(f"{part.scheme}://{part.netloc}" for part in parts))


def _prompt(asked: str, registration: Registration, server: AuthorizationServer) -> str | None:
    # A server that does not know `create` may answer with an error page; its ordinary page has a way to sign up.
    known = server.prompt_values_supported
    sends_create = registration.sends_prompt_create and (not known or "create" in known)
    return " ".join(word for word in asked.split() if word != "create" or sends_create) or None


def _with_query(url: str, parameters: dict[str, str]) -> str:
    parts = urlsplit(url)
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *parameters.items()])
    return urlunsplit(parts._replace(query=query))
