"""This client's registration, found out by asking: the redirect URIs, the scopes, the credentials.

Nothing is granted: authorization requests say ``prompt=none`` with nobody signed in, and the code is made up.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx

from bff.check.finding import Finding, failed, passed, warned
from bff.clock import Clock
from bff.errors import AuthorizationServerUnavailable, ClientRefused, CodeRefused
from bff.oidc.back_channel import BackChannel
from bff.oidc.messages import LoginRequest
from bff.oidc.metadata import AuthorizationServer
from bff.oidc.relying_party import Registration, RelyingParty
from bff.oidc.token_client import TokenClient

# OIDC Core 3.1.2.6: what a server says to prompt=none when nobody is signed in, and all else is right.
_NOBODY = frozenset({"login_required", "interaction_required", "consent_required", "account_selection_required"})
# Entra shows these in a page in the place of a redirect.
_ENTRA = {"AADSTS50011": "redirect URI", "AADSTS700016": "client_id", "AADSTS65001": "consent"}
_STRANGER = "https://unregistered.invalid/bff/callback"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """How an endpoint answered: its status, whether it came back to us, and the error it brought."""

    status: int
    came_back: bool
    error: str = ""
    words: str = ""


async def check_credentials(
    registration: Registration, server: AuthorizationServer, back_channel: BackChannel, clock: Clock
) -> Finding:
    """A dry run: a made-up code must be answered with ``invalid_grant``, not ``invalid_client`` (RFC 6749 5.2)."""
    client = TokenClient(registration, back_channel, clock)
    try:
        await client.redeem(
            server,
            code=secrets.token_urlsafe(24),
            code_verifier=secrets.token_urlsafe(32),
            redirect_uri=registration.redirect_uri,
        )
    except CodeRefused:
        return passed("client credentials", "accepted: a made-up code was refused for itself.")
    except ClientRefused as refusal:
        return failed(
            "client credentials",
            f"the token endpoint refuses this client ({refusal.detail or 'invalid_client'}).",
            "copy client_id and secret again; see whether the secret has ended; try the other client_authentication",
        )
    except AuthorizationServerUnavailable as outage:
        return failed("client credentials", f"no answer: {outage.detail}.", "let this machine reach token_endpoint")
    return failed("client credentials", "the server took a made-up code.", "do not use this server")


async def check_redirect_uris(
    registration: Registration, server: AuthorizationServer, http: httpx.AsyncClient, clock: Clock
) -> list[Finding]:
    """Whether ``/bff/callback`` and ``/bff/logged-out`` are registered; a stranger's address is the comparison."""
    try:
        ours = await _authorize(registration, http, clock)
        strangers = await _authorize(replace(registration, redirect_uri=_STRANGER), http, clock)
        findings = [_callback(registration, ours, strangers)]
        if ours.came_back:
            findings.append(_scope(ours))
        if server.end_session_endpoint:
            findings.append(await _logged_out(registration, server.end_session_endpoint, http))
    except (httpx.HTTPError, AuthorizationServerUnavailable) as outage:
        name = type(outage).__name__
        return [warned("redirect uri", f"the authorization endpoint cannot be asked ({name}).", "try a sign-in")]
    return findings


async def _authorize(registration: Registration, http: httpx.AsyncClient, clock: Clock) -> _Seen:
    party = RelyingParty(registration, http=http, clock=clock)
    request, _ = await party.begin_login(LoginRequest(prompt="none"))
    return await _look(http, request.url, registration.redirect_uri)


async def _look(http: httpx.AsyncClient, url: str, back_to: str) -> _Seen:
    answer = await http.get(url, headers={"Accept": "text/html", "Sec-Fetch-Mode": "navigate"})
    location = answer.headers.get("Location", "")
    came_back = location.startswith(back_to) or back_to in answer.text  # a page with a form brings it back as well
    error = parse_qs(urlsplit(location).query).get("error", [""])[0] if location.startswith(back_to) else ""
    words = next((meaning for code, meaning in _ENTRA.items() if code in answer.text), "")
    return _Seen(status=answer.status_code, came_back=came_back and not words, error=error, words=words)


def _callback(registration: Registration, ours: _Seen, strangers: _Seen) -> Finding:
    uri = registration.redirect_uri
    if ours.words or ours.status >= httpx.codes.BAD_REQUEST:
        what = ours.words or "redirect URI or the client_id"
        return failed("redirect uri", f"the server refuses the {what}: {uri}.", f"register exactly {uri}, platform Web")
    if ours.came_back and strangers.came_back:
        return failed("redirect uri", "the server sends codes to any address.", "register exact redirect URIs only")
    if ours.came_back or strangers.status >= httpx.codes.BAD_REQUEST or strangers.words:
        return passed("redirect uri", f"{uri} is registered.")
    return warned("redirect uri", f"the server does not show whether {uri} is registered.", "try a sign-in")


def _scope(ours: _Seen) -> Finding:
    if ours.error in _NOBODY or not ours.error:
        return passed("scopes", "the server takes every scope that is asked for.")
    cure = "correct scopes; define them at the API and permit this client to ask for them"
    return failed("scopes", f"the server answers {ours.error!r:.60} to the sign-in request.", cure)


async def _logged_out(registration: Registration, endpoint: str, http: httpx.AsyncClient) -> Finding:
    uri = registration.post_logout_redirect_uri
    ours = await _look(http, _end_session(registration, endpoint, uri), uri)
    strangers = await _look(http, _end_session(registration, endpoint, _STRANGER), _STRANGER)
    if ours.status >= httpx.codes.BAD_REQUEST and strangers.status >= httpx.codes.BAD_REQUEST:
        return warned("sign-out uri", f"the server wants a hint before it looks at {uri}.", f"register {uri}")
    if ours.status >= httpx.codes.BAD_REQUEST:
        return failed("sign-out uri", f"the server refuses {uri}.", f"register {uri} for the way back from sign-out")
    if ours.came_back or strangers.status >= httpx.codes.BAD_REQUEST:
        return passed("sign-out uri", f"{uri} is registered.")
    return warned("sign-out uri", f"the server does not show whether {uri} is registered.", f"register {uri}")


def _end_session(registration: Registration, endpoint: str, uri: str) -> str:
    asked = {"client_id": registration.client_id, "post_logout_redirect_uri": uri, "state": secrets.token_urlsafe(16)}
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"
