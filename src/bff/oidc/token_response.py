"""The token endpoint's answer (RFC 6749 5), judged on plain values: tokens, a refusal with a code, or an outage."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from bff.errors import AuthorizationServerUnavailable, ClientRefused, CodeRefused, RefreshRefused
from bff.oidc.back_channel import Answer
from bff.oidc.messages import TokenSet

UNSTATED_SECONDS = 300.0
"""How long an access token is taken to live where ``expires_in`` is missing or senseless."""
MAX_SECONDS = 365 * 24 * 3600.0

_TOKEN = re.compile(r"[\x21-\x7e]+")
_ERROR_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_TRY_LATER = frozenset({408, 425, 429})
_NOTHING_DONE = frozenset({425, 429})
_OUTAGES = frozenset({"server_error", "temporarily_unavailable", "slow_down"})


def members_of(answer: Answer, invalid_grant: type[CodeRefused | RefreshRefused]) -> dict[str, Any]:
    """The members of a successful answer (RFC 6749 5.1); for a refusal (5.2) raises what its code means.

    ``invalid_grant`` alone speaks of the code or the refresh token, and only with a 4xx status. What asks to try later,
    408, 425, 429, 5xx, redirects and whatever cannot be read are AuthorizationServerUnavailable, ``answered``; 425 and
    429 say that nothing was done. Any other code says that our registration does not fit what we send: ClientRefused.
    """
    if answer.status in _TRY_LATER or not (answer.status == 200 or 400 <= answer.status < 500):  # noqa: PLR2004 — HTTP
        detail = f"the token endpoint answered {answer.status}"
        raise AuthorizationServerUnavailable(detail, sent=answer.status not in _NOTHING_DONE, answered=True)
    try:
        members = answer.members()
    except ValueError as malformed:
        raise AuthorizationServerUnavailable(
            f"the token endpoint answered {answer.status} with what is {malformed}", answered=True
        ) from None
    if answer.status == 200:  # noqa: PLR2004 — HTTP
        return members
    code = members.get("error")
    if not isinstance(code, str) or not _ERROR_CODE.fullmatch(code):
        detail = f"the token endpoint answered {answer.status} without an error code"
        raise AuthorizationServerUnavailable(detail, answered=True)
    # The code and Entra's numbers alone: the server's own text may repeat what we sent.
    detail = f"{code} {_numbers(members.get('error_codes'))}".rstrip()
    if code in _OUTAGES:
        raise AuthorizationServerUnavailable(detail, answered=True)
    raise (invalid_grant if code == "invalid_grant" else ClientRefused)(detail)


def token_set(members: Mapping[str, Any], *, now: float, unstated_scope: frozenset[str]) -> TokenSet:
    """The tokens of a successful answer; members we do not know are ignored (RFC 6749 5.1).

    ``unstated_scope`` is granted where the answer names none. Raises AuthorizationServerUnavailable for an answer that
    is no bearer token: what it lacks is the server's fault, and no session's.
    """
    token_type = members.get("token_type")
    if not isinstance(token_type, str) or token_type.lower() != "bearer":
        raise AuthorizationServerUnavailable(
            "the token endpoint answered with a token_type other than Bearer", answered=True
        )
    access_token = _token(members, "access_token")
    if access_token is None:
        raise AuthorizationServerUnavailable("the token endpoint answered without an access_token", answered=True)
    scope = members.get("scope")
    return TokenSet(
        access_token=access_token,
        expires_at=now + lifetime(members.get("expires_in")),
        refresh_token=_token(members, "refresh_token"),
        id_token=_token(members, "id_token"),
        scope=frozenset(scope.split()) if isinstance(scope, str) and scope.strip() else unstated_scope,
    )


def lifetime(expires_in: object) -> float:
    """Seconds an access token lives; some servers send text, and a missing or senseless number means 5 minutes."""
    if isinstance(expires_in, str) and expires_in.isascii() and expires_in.isdigit():
        expires_in = float(expires_in)
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float) or not math.isfinite(expires_in):
        return UNSTATED_SECONDS
    return min(float(expires_in), MAX_SECONDS) if expires_in > 0 else UNSTATED_SECONDS


def _token(members: Mapping[str, Any], name: str) -> str | None:
    value = members.get(name)
    if value is None or value == "":
        return None
    # Visible ASCII only: this will stand in a header.
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise AuthorizationServerUnavailable(f"the token endpoint answered with an unusable {name}", answered=True)
    return value


def _numbers(codes: object) -> str:
    # Entra's error_codes say which of many causes it was, and cannot carry a secret.
    if not isinstance(codes, list):
        return ""
    return " ".join(str(code) for code in codes[:5] if isinstance(code, int))
