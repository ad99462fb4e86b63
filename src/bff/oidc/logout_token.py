"""Verification of a logout token: the steps of OIDC Back-Channel Logout 2.6 under their own numbers.

    0   it is one signed token of bearable size, typed logout+jwt or not at all
    1   it is not encrypted: we register no encryption
    2   its signature is that of a key the issuer publishes
    3   its algorithm is one of our settings, and none of them is a MAC
    4   iss is the issuer, aud is us, iat is within five minutes of now, exp has not passed
    5   sub, sid or both name whose session is over
    6   events says that this is a logout
    7   there is no nonce, so that no ID token is ever taken for a logout token
    8   jti names it, so that it is heard once (session/authority_logouts.py remembers)

9 to 11 ask whether a session of this issuer, subject or sid is known here. They are not asked: what is ended is a fact
that also holds for a sign-in still under way (rule F11), and an unknown session is no error (2.8).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bff.errors import InvalidLogoutToken
from bff.oidc.messages import Claims, LogoutNotice
from bff.oidc.signed_token import KEY_NOT_PUBLISHED, KeySource, audiences_of, instant_of, signed_claims

EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
MAX_AGE_SECONDS: Final = 300.0
"""How far from now a logout token may have been issued; for so long a repeated one is recognised."""
MAX_NAME_CHARACTERS: Final = 255

_TYPES = frozenset({"LOGOUT+JWT"})
# OIDC Core's number of what both kinds of token have in common -> the number it has here.
_NUMBERS = {"7": "3", "6": "2", KEY_NOT_PUBLISHED: "2, key"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutExpectation:
    """What a logout token must agree with; ``now`` is an instant in seconds."""

    issuer: str
    client_id: str
    algorithms: Sequence[str]
    now: float
    leeway: float = 30.0


async def verify_logout_token(token: str, *, keys: KeySource, expected: LogoutExpectation) -> LogoutNotice:
    """Whose session is over; raises InvalidLogoutToken with the number of the first step that failed.

    Raises AuthorizationServerUnavailable where the issuer's keys cannot be had.
    """
    _, claims = await signed_claims(token, keys=keys, algorithms=expected.algorithms, types=_TYPES, refuse=_refused)
    issued_at = _step_4_from_whom_and_when(claims, expected)
    subject, authority_sid = _step_5_whose_session(claims)
    _step_6_event(claims)
    if "nonce" in claims:
        raise InvalidLogoutToken("7", "it holds a nonce")
    jti = _name(claims, "jti", "8")
    if jti is None:
        raise InvalidLogoutToken("8", "it has no jti")
    return LogoutNotice(
        issuer=expected.issuer, issued_at=issued_at, authority_sid=authority_sid, subject=subject, jti=jti
    )


def _refused(step: str, detail: str) -> InvalidLogoutToken:
    return InvalidLogoutToken(_NUMBERS.get(step, step), detail)


def _step_4_from_whom_and_when(claims: Claims, expected: LogoutExpectation) -> float:
    if claims.get("iss") != expected.issuer:
        raise InvalidLogoutToken("4", "iss is not the issuer")
    if audiences_of(claims, "4", InvalidLogoutToken) != {expected.client_id}:
        raise InvalidLogoutToken("4", "aud is not us alone")
    issued_at = instant_of(claims, "iat", "4", InvalidLogoutToken)
    if abs(expected.now - issued_at) > MAX_AGE_SECONDS + expected.leeway:
        raise InvalidLogoutToken("4", "it was not issued within the last five minutes")
    if instant_of(claims, "exp", "4", InvalidLogoutToken) + expected.leeway <= expected.now:
        raise InvalidLogoutToken("4", "it has expired")
    return issued_at


def _step_5_whose_session(claims: Claims) -> tuple[str | None, str | None]:
    subject, authority_sid = _name(claims, "sub", "5"), _name(claims, "sid", "5")
    if subject is None and authority_sid is None:
        raise InvalidLogoutToken("5", "it has neither sub nor sid")
    return subject, authority_sid


def _step_6_event(claims: Claims) -> None:
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(EVENT), dict):
        raise InvalidLogoutToken("6", "events does not say that this is a back-channel logout")


def _name(claims: Claims, claim: str, step: str) -> str | None:
    if claim not in claims:
        return None
    value = claims[claim]
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME_CHARACTERS:
        raise InvalidLogoutToken(step, f"{claim} is no text of 1 to {MAX_NAME_CHARACTERS} characters")
    return value
