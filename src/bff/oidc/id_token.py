"""Verification of an ID token: the steps of OIDC Core 3.1.3.7 under their own numbers, and of 12.2 for a refreshed one.

    0   it is one signed token of bearable size, whose header asks for nothing we do not do
    1   it is not encrypted: we register no encryption
    7   its algorithm is one of our settings      8   none of them is a MAC
    6   its signature is that of a key the issuer publishes
    2   iss is the issuer                         3   aud is us, and nobody we do not trust
    4   with several audiences there is an azp    5   azp is us
    9   exp has not passed                        10  iat is neither in the future nor long past
    11  nonce is the one we sent                  12  acr is one of those we asked for
    13  auth_time is recent enough, where we asked for that
    and beyond the list: sub names somebody, at_hash binds the access token, 12.2 binds a refreshed token to the first,
    and Authlib has read the same claims and agrees.

7, 8 and 6 come before the rest, so that nothing of an unsigned token is ever weighed; 12.2 comes before the dates.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from authlib.oidc.core import CodeIDToken
from joserfc.errors import JoseError

from bff.errors import InvalidIDToken
from bff.oidc.messages import Claims, LoginTransaction
from bff.oidc.signed_token import (
    KEY_NOT_PUBLISHED,
    MAX_CHARACTERS,
    MAX_SUBJECT_CHARACTERS,
    KeySource,
    audiences_of,
    instant_of,
    signed_claims,
)

__all__ = [
    "KEY_NOT_PUBLISHED",
    "MAX_AGE_SECONDS",
    "MAX_CHARACTERS",
    "UNDECIDED",
    "Expectation",
    "KeySource",
    "verify_id_token",
]

MAX_AGE_SECONDS = 600.0
"""How long before now an ID token may have been issued: the life of a code. (Entra dates its tokens 5 minutes back.)"""
_TYPES = frozenset({"JWT"})
UNDECIDED = frozenset({KEY_NOT_PUBLISHED, "9", "10"})
"""Steps that fail for a late key set or a wrong clock as well, and so alone prove nothing about a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What the ID token must agree with; ``now`` is an instant in seconds.

    A sign-in's token answers its ``transaction``; a refreshed one follows ``previous``, the first one's claims. One of
    the two is given. ``skew`` is the server's clock minus ours in seconds, to name a clock that is to blame.
    """

    issuer: str
    client_id: str
    algorithms: Sequence[str]
    now: float
    leeway: float = 30.0
    access_token: str | None = field(default=None, repr=False)
    transaction: LoginTransaction | None = None
    previous: Claims | None = field(default=None, repr=False)
    trusted_audiences: Sequence[str] = ()
    skew: float | None = None

    def __post_init__(self) -> None:
        if (self.transaction is None) == (self.previous is None):
            raise ValueError("an ID token answers a transaction or follows a first token, and always one of them")


async def verify_id_token(id_token: str, *, keys: KeySource, expected: Expectation) -> Claims:
    """The claims of a token that passed every step; raises InvalidIDToken with the number of the first that failed.

    Raises AuthorizationServerUnavailable where the issuer's keys cannot be had.
    """
    # Another type is another kind of token: a logout token, an access token (RFC 8725 3.11).
    header, claims = await signed_claims(
        id_token, keys=keys, algorithms=expected.algorithms, types=_TYPES, refuse=InvalidIDToken
    )
    _step_2_issuer(claims, expected)
    _step_3_audience(claims, expected)
    _step_4_and_5_authorized_party(claims, expected)
    if expected.previous is not None:
        _follows(claims, expected.previous)
    _step_9_expiry(claims, expected)
    _step_10_issued_at(claims, expected)
    if expected.transaction is not None:
        _step_11_nonce(claims, expected.transaction)
        _step_12_context(claims, expected.transaction)
        _step_13_authentication_time(claims, expected.transaction, expected)
    _names_a_subject(claims)
    _binds_the_access_token(claims, header["alg"], expected.access_token)
    _authlib_agrees(claims, header, expected)
    return claims


def _step_2_issuer(claims: Claims, expected: Expectation) -> None:
    if claims.get("iss") != expected.issuer:
        raise InvalidIDToken("2", "iss is not the issuer")


def _step_3_audience(claims: Claims, expected: Expectation) -> None:
    audiences = _audiences(claims)
    if expected.client_id not in audiences:
        raise InvalidIDToken("3", "aud does not name us")
    if not audiences <= {expected.client_id, *expected.trusted_audiences}:
        raise InvalidIDToken("3", "aud also names somebody we do not trust")


def _step_4_and_5_authorized_party(claims: Claims, expected: Expectation) -> None:
    if len(_audiences(claims)) > 1 and "azp" not in claims:
        raise InvalidIDToken("4", "it has several audiences and no azp")
    if claims.get("azp", expected.client_id) != expected.client_id:
        raise InvalidIDToken("5", "azp is not us")


def _step_9_expiry(claims: Claims, expected: Expectation) -> None:
    if _instant(claims, "exp", "9") + expected.leeway <= expected.now:
        raise InvalidIDToken("9", "it has expired", skew=expected.skew)


def _step_10_issued_at(claims: Claims, expected: Expectation) -> None:
    issued_at = _instant(claims, "iat", "10")
    if issued_at > expected.now + expected.leeway:
        raise InvalidIDToken("10", "it was issued in the future", skew=expected.skew)
    if issued_at + MAX_AGE_SECONDS + expected.leeway < expected.now:
        raise InvalidIDToken("10", "it was issued too long ago", skew=expected.skew)
    if expected.previous is not None and issued_at + expected.leeway < _instant(expected.previous, "iat", "10"):
        raise InvalidIDToken("10", "it was issued before the first ID token", skew=expected.skew)


def _step_11_nonce(claims: Claims, transaction: LoginTransaction) -> None:
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), transaction.nonce.encode()):
        raise InvalidIDToken("11", "nonce is not the one we sent")


def _step_12_context(claims: Claims, transaction: LoginTransaction) -> None:
    asked = (transaction.acr_values or "").split()
    if asked and claims.get("acr") not in asked:
        raise InvalidIDToken("12", "acr is none of those we asked for")


def _step_13_authentication_time(claims: Claims, transaction: LoginTransaction, expected: Expectation) -> None:
    if transaction.max_age is None:
        return
    authenticated_at = _instant(claims, "auth_time", "13")
    if authenticated_at > expected.now + expected.leeway:
        raise InvalidIDToken("13", "auth_time is in the future", skew=expected.skew)
    # Who signed in since our request began has done what was asked, however long a consent page took after it.
    oldest = min(transaction.began_at, expected.now - transaction.max_age)
    if authenticated_at + expected.leeway < oldest:
        raise InvalidIDToken("13", "auth_time is longer ago than we asked for", skew=expected.skew)


def _follows(claims: Claims, previous: Claims) -> None:
    """A refreshed token speaks of the same person, party and sign-in as the first (OIDC Core 12.2).

    Asked before any date is, because ``UNDECIDED`` excuses a date, and must never excuse another person.
    """
    differing = [name for name in ("iss", "sub", "azp") if claims.get(name) != previous.get(name)]
    differing += [name for name in ("nonce",) if name in claims and claims[name] != previous.get(name)]
    if "auth_time" in claims and "auth_time" in previous and claims["auth_time"] != previous["auth_time"]:
        differing.append("auth_time")
    if differing:
        raise InvalidIDToken("12.2", f"{', '.join(differing)} differ from the first ID token's")


def _names_a_subject(claims: Claims) -> None:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT_CHARACTERS:
        raise InvalidIDToken("sub", f"sub is no text of 1 to {MAX_SUBJECT_CHARACTERS} characters (OIDC Core 2)")


def _binds_the_access_token(claims: Claims, alg: str, access_token: str | None) -> None:
    """``at_hash``, where present, is the left half of the access token's hash (OIDC Core 3.1.3.6 and 3.1.3.8)."""
    if "at_hash" not in claims or access_token is None:
        return
    # EdDSA on Ed25519 hashes with SHA-512; the other names end in their hash's length.
    digest = hashlib.new("sha512" if alg == "EdDSA" else f"sha{alg[2:]}", access_token.encode()).digest()
    half = base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=")
    stated = claims["at_hash"]
    if not isinstance(stated, str) or not hmac.compare_digest(stated.encode(), half):
        raise InvalidIDToken("at_hash", "at_hash is not that of the access token")


def _authlib_agrees(claims: Claims, header: Mapping[str, Any], expected: Expectation) -> None:
    """Authlib reads the claims as well: nbf, jti and amr are its alone, and a rule it gains later is one more here.

    It is told issuer and audience, because by itself it accepts a foreign ``aud`` beside our ``azp``.
    """
    second = CodeIDToken(
        dict(claims),
        dict(header),
        {"iss": {"essential": True, "value": expected.issuer}, "aud": {"essential": True, "value": expected.client_id}},
        {
            "nonce": expected.transaction and expected.transaction.nonce,
            "client_id": expected.client_id,
            "access_token": expected.access_token,
        },
    )
    try:
        second.validate(now=int(expected.now), leeway=int(expected.leeway))
    except JoseError as refusal:
        raise InvalidIDToken("authlib", str(refusal), skew=expected.skew) from None


def _audiences(claims: Claims) -> frozenset[str]:
    return audiences_of(claims, "3", InvalidIDToken)


def _instant(claims: Claims, name: str, step: str) -> float:
    return instant_of(claims, name, step, InvalidIDToken)
