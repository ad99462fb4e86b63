"""The logout request, read strictly: nothing is redirected that is not registered (OIDC RP-Initiated Logout 2, 3)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec

from local_authority.clients.registrations import Client, Registry
from local_authority.errors import UnsafeRequest
from local_authority.keys import Keys
from local_authority.options import Options
from local_authority.parameters import Parameters
from local_authority.people import People
from local_authority.secret_values import same
from local_authority.sessions import Session


class EndSessionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was checked. ``sid`` is that of an ID token of ours; ``return_url`` holds the state already."""

    client_id: str | None = None
    sid: str | None = None
    logout_hint: str | None = None
    return_url: str | None = None


def read_end_session(parameters: Parameters, registry: Registry, keys: Keys, options: Options) -> EndSessionRequest:
    """UnsafeRequest for a foreign hint, clients that contradict each other, or an address that is not registered."""
    if parameters.repeated:
        raise UnsafeRequest(f"Sent more than once: {', '.join(sorted(parameters.repeated))}.")
    hint = _hint(parameters.get("id_token_hint"), keys, options)
    client_id = parameters.get("client_id") or hint.get("aud")
    if hint and hint.get("aud") != client_id:
        raise UnsafeRequest("client_id is not the one that id_token_hint was issued to.")
    client = registry.clients.get(client_id or "")
    return EndSessionRequest(
        client_id=None if client is None else client.client_id,
        sid=hint.get("sid"),
        logout_hint=parameters.get("logout_hint"),
        return_url=_return_url(parameters, client),
    )


def means(asked: EndSessionRequest, session: Session, people: People) -> bool:
    """Whether the request proves that it means this session: by its ``sid``, or its person's ``login_hint`` claim."""
    if asked.sid is not None:
        return same(asked.sid, session.sid)
    person = people.find(session.oid)
    return asked.client_id is not None and person is not None and asked.logout_hint == person.login_hint


def _hint(id_token: str | None, keys: Keys, options: Options) -> dict[str, Any]:
    """The claims of an ID token of ours, expired or not (RP-Initiated Logout 4); an access token is none."""
    if id_token is None:
        return {}
    claims = keys.verify(id_token)
    if claims is None or claims.get("iss") != options.issuer_identifier or "auth_time" not in claims:
        raise UnsafeRequest("id_token_hint is no ID token of this authority.")
    return claims


def _return_url(parameters: Parameters, client: Client | None) -> str | None:
    """``post_logout_redirect_uri`` must be registered, as such or as a redirect URI (K-24)."""
    uri, state = parameters.get("post_logout_redirect_uri"), parameters.get("state")
    if uri is None:
        return None
    if client is None:
        raise UnsafeRequest("post_logout_redirect_uri needs a client_id or an id_token_hint.")
    if uri not in client.post_logout_redirect_uris | client.redirect_uris:
        raise UnsafeRequest(
            f"This post_logout_redirect_uri is not registered, character by character, for {client.name}."
        )
    if state is None:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}{urlencode({'state': state})}"
