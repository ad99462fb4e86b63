"""The verification of an access token, in numbered steps (RFC 9068 4, RFC 8725 3, and the Entra profile).

     1 shape      at most 16 KB; three segments of canonical base64url
     2 header     strict JSON; nothing that changes what is verified or brings a key along
     3 type       ``typ`` is the profile's
     4 algorithm  in our own list
     5 issuer     ``iss`` is exactly one that is trusted; so a stranger's token never makes us fetch keys
     6 key        published by that issuer under the token's ``kid``, for this algorithm
     7 signature  over the very bytes that are read
     8 key issuer the key's own ``issuer``, where it has one, is the token's
     9 audience   ``aud`` names us
    10 times      ``exp``, ``nbf``, ``iat``
    11 … 14       the profile's: kind, tenant, client, caller

Whatever comes, only InvalidToken and KeySetUnavailable leave this file.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from resource_api.clock import Clock
from resource_api.errors import InvalidToken
from resource_api.security.claims import Claims, text
from resource_api.security.key_set import KeySet
from resource_api.security.principal import Principal
from resource_api.security.profiles import PROFILES, V1_CURE, check_audience, check_times
from resource_api.security.rules import TokenRules
from resource_api.security.signature import MAX_KID_LENGTH, VerificationKey
from resource_api.security.strict_json import UnclearJSONError, parse_object

MAX_TOKEN_BYTES = 16 * 1024
_SEGMENTS = re.compile(rb"([A-Za-z0-9_-]{2,})\.([A-Za-z0-9_-]{2,})\.([A-Za-z0-9_-]{2,})").fullmatch
_STANDARD = bytes.maketrans(b"-_+/=", b"+/\0\0\0")
"""base64url to base64; what only the latter knows becomes what neither does."""
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_LAST = {0: _ALPHABET, 2: _ALPHABET[::16], 3: _ALPHABET[::4]}
"""By a segment's length modulo 4: the characters that may come last (RFC 4648 3.5)."""
_PADDING = (b"", b"", b"==", b"=")
_REFUSED_HEADERS = frozenset({"crit", "zip", "b64", "enc", "jku", "x5u", "jwk", "x5c"})


class AccessTokenVerifier:
    """Turns a token into the Principal it proves, by one set of rules and the keys of the issuers trusted."""

    def __init__(self, rules: TokenRules, key_sets: Mapping[str, KeySet], clock: Clock) -> None:
        self._rules = rules
        self._profile = PROFILES[rules.profile]
        self._key_sets = key_sets
        self._clock = clock

    async def verify(self, token: bytes) -> Principal:
        """The caller that this token proves. Raises InvalidToken, or KeySetUnavailable where nobody can tell."""
        header_segment, payload, signature = _segments(token)
        header = _header(header_segment)
        self._check_type(header)
        alg, kid = self._algorithm(header), _kid(header)
        claims = _claims(payload)
        key_set = self._trusted(claims)
        key = _signing_key(token.rpartition(b".")[0], signature, await key_set.matching(kid, alg))
        _check_key_issuer(key, claims)
        check_audience(claims, self._rules)
        check_times(claims, self._rules, self._clock.now())
        text(claims, "sub", "14 caller")
        return self._profile.principal(claims, self._rules)

    def _check_type(self, header: Mapping[str, Any]) -> None:
        typ = header.get("typ")
        if "typ" in header and not isinstance(typ, str):
            raise InvalidToken("3 type", "typ is not a string")
        if (typ.lower() if isinstance(typ, str) else None) not in self._profile.types:
            raise InvalidToken("3 type", f"typ is not one of profile {self._rules.profile}")

    def _algorithm(self, header: Mapping[str, Any]) -> str:
        alg = header.get("alg")
        if not isinstance(alg, str) or alg not in self._rules.algorithms:
            raise InvalidToken("4 algorithm", "alg is not in the list of algorithms")
        return alg

    def _trusted(self, claims: Claims) -> KeySet:
        issuer = claims.get("iss")
        key_set = self._key_sets.get(issuer) if isinstance(issuer, str) else None
        if key_set is None:
            trusted = ", ".join(self._key_sets)
            raise InvalidToken("5 issuer", V1_CURE if claims.get("ver") == "1.0" else f"iss is not one of: {trusted}")
        return key_set


def is_compact(token: bytes) -> bool:
    """Whether this could be a JWS at all; what could not is opaque, and only its issuer knows what it means."""
    return _SEGMENTS(token) is not None


def _segments(token: bytes) -> tuple[bytes, bytes, bytes]:
    """The header as it was sent, payload and signature decoded; one token has one spelling, so a digest is its name."""
    if len(token) > MAX_TOKEN_BYTES:
        raise InvalidToken("1 shape", f"longer than {MAX_TOKEN_BYTES} bytes")
    segments = token.split(b".", 3)
    if len(segments) != 3:  # noqa: PLR2004 — header, payload, signature (RFC 7515 7.1)
        raise InvalidToken("1 shape", "not three segments")
    header, payload, signature = segments
    return header, _decoded(payload), _decoded(signature)


def _decoded(segment: bytes) -> bytes:
    """Canonical base64url, without padding, white space, or a set bit that the last character has to spare."""
    spare = len(segment) % 4
    if not segment or spare == 1 or segment[-1] not in _LAST[spare]:
        raise InvalidToken("1 shape", "not canonical base64url")
    try:
        return binascii.a2b_base64(segment.translate(_STANDARD) + _PADDING[spare], strict_mode=True)
    except binascii.Error:
        raise InvalidToken("1 shape", "not base64url") from None


@lru_cache(maxsize=64)
def _header(segment: bytes) -> Mapping[str, Any]:
    """The header of this segment; an issuer's tokens share a few, so that each is read once."""
    try:
        header = parse_object(_decoded(segment))
    except UnclearJSONError as error:
        raise InvalidToken("2 header", str(error)) from error
    refused = header.keys() & _REFUSED_HEADERS
    if refused:
        raise InvalidToken("2 header", f"{', '.join(sorted(refused))} must not be there")
    return MappingProxyType(header)


def _kid(header: Mapping[str, Any]) -> str | None:
    kid = header.get("kid")
    if "kid" in header and not (isinstance(kid, str) and 0 < len(kid) <= MAX_KID_LENGTH):
        raise InvalidToken("6 key", f"kid is not a string of 1 to {MAX_KID_LENGTH} characters")
    return kid


def _claims(document: bytes) -> dict[str, Any]:
    try:
        return parse_object(document)
    except UnclearJSONError as error:
        raise InvalidToken("5 issuer", str(error)) from error


def _signing_key(signed: bytes, signature: bytes, keys: tuple[VerificationKey, ...]) -> VerificationKey:
    if not keys:
        raise InvalidToken("6 key", "the issuer publishes no such key")
    for key in keys:
        if key.made(signature, signed):
            return key
    raise InvalidToken("7 signature", "not this key's")


def _check_key_issuer(key: VerificationKey, claims: Claims) -> None:
    """A JWK may name the issuer it signs for, as a template over tenants (K-34)."""
    if key.issuer is None:
        return
    tenant = claims.get("tid")
    expected = key.issuer.replace("{tenantid}", tenant) if isinstance(tenant, str) else key.issuer
    if expected != claims["iss"]:
        raise InvalidToken("8 key issuer", "the key signs for another issuer")
