"""The authorization server's signing keys (RFC 7517): cached, rotated, and never taken from a token."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey, import_key
from joserfc.jws import JWSRegistry
from joserfc.util import base64_to_int

from bff.clock import Clock
from bff.errors import AuthorizationServerUnavailable
from bff.oidc.back_channel import BackChannel
from bff.oidc.last_known_good import Fetched, LastKnownGood
from bff.oidc.metadata import Metadata

MIN_FRESH_SECONDS = 300.0
MAX_FRESH_SECONDS = 3600.0
MIN_RSA_BITS = 2048
MAX_KEYS = 100

ALGORITHMS: Final[Mapping[str, tuple[str, str | None]]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", None)),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
"""Signature algorithms that a setting may name, each with the key type and curve it is bound to (RFC 8725 3.1).

No MAC and no ``none`` is among them.
"""

_MEMBERS = {"RSA": ("kty", "n", "e"), "EC": ("kty", "crv", "x", "y"), "OKP": ("kty", "crv", "x")}
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})(?=$|[\s,])", re.IGNORECASE)
_WHOLLY_STALE = re.compile(r"(?:^|[\s,])no-(?:store|cache)(?=$|[\s,=])", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationKey:
    """One public key, with what the server says it is for. ``alg`` is None where the server does not say."""

    kid: str | None
    alg: str | None
    kty: str
    crv: str | None
    key: RSAKey | ECKey | OKPKey = field(repr=False)

    def fits(self, *, kid: str | None, alg: str) -> bool:
        """Whether this key may have made a signature under ``alg``; without a ``kid`` any may (OIDC Core 10.1)."""
        named = kid is None or kid == self.kid
        return named and self.alg in {None, alg} and ALGORITHMS[alg] == (self.kty, self.crv)

    def verifies(self, *, alg: str, signing_input: bytes, signature: bytes) -> bool:
        """Whether ``signature`` over ``signing_input`` is this key's (RFC 7515 5.2)."""
        # The algorithm itself, not joserfc's registry: that one warns of the name EdDSA at every single use.
        return JWSRegistry.algorithms[alg].verify(signing_input, signature, self.key)


class KeySet:
    """The keys at ``jwks_uri``: fresh for what Cache-Control says, 5 minutes to an hour; a day where it is down."""

    def __init__(self, *, metadata: Metadata, back_channel: BackChannel, clock: Clock) -> None:
        self._metadata = metadata
        self._back_channel = back_channel
        self._keys = LastKnownGood("key set", self._fetch, clock)

    async def current(self) -> Sequence[VerificationKey]:
        """All usable keys; raises AuthorizationServerUnavailable where none can be had."""
        return await self._keys.current()

    async def matching(self, *, kid: str | None, alg: str, refetch: bool = False) -> Sequence[VerificationKey]:
        """The keys that may have made a signature; with ``refetch``, after one more look at the server, if due."""
        keys = await (self._keys.renewed() if refetch else self._keys.current())
        return [key for key in keys if key.fits(kid=kid, alg=alg)]

    async def _fetch(self) -> Fetched[Sequence[VerificationKey]]:
        url = (await self._metadata.current()).jwks_uri
        document, headers = await self._back_channel.fetch_json(url)
        keys = usable_keys(document)
        if not keys:
            raise AuthorizationServerUnavailable(f"{url} holds no usable key", sent=False)
        return Fetched(document=keys, fresh_seconds=fresh_seconds(headers.get("Cache-Control", "")))


def usable_keys(document: Mapping[str, Any]) -> Sequence[VerificationKey]:
    """The keys of a JWK set that can verify an ID token.

    Others are passed over, as RFC 7517 5 asks, whatever is wrong with them: unknown, symmetric, weak, meant for
    encryption. So is a private key, because whoever read the set could sign with it.
    """
    entries = document.get("keys")
    if not isinstance(entries, list):
        return []
    return [key for entry in entries[:MAX_KEYS] if isinstance(entry, dict) and (key := _read_key(entry)) is not None]


def fresh_seconds(cache_control: str) -> float:
    """How long a key set may be believed: its max-age within 5 minutes and an hour; 5 minutes where nothing is said."""
    stated = _MAX_AGE.search(cache_control)
    if stated is None or _WHOLLY_STALE.search(cache_control):
        return MIN_FRESH_SECONDS
    return min(max(float(stated.group(1)), MIN_FRESH_SECONDS), MAX_FRESH_SECONDS)


def _read_key(jwk: dict[str, Any]) -> VerificationKey | None:
    kty, crv, alg, kid = jwk.get("kty"), jwk.get("crv"), jwk.get("alg"), jwk.get("kid")
    if (kty, crv if kty != "RSA" else None) not in ALGORITHMS.values() or "d" in jwk:
        return None
    if not isinstance(kid, str | None) or not isinstance(alg, str | None) or not _is_for_signatures(jwk):
        return None
    key = _import(jwk)
    if key is None or isinstance(key, OctKey):
        return None
    return VerificationKey(kid=kid, alg=alg, kty=str(kty), crv=None if kty == "RSA" else str(crv), key=key)


def _is_for_signatures(jwk: dict[str, Any]) -> bool:
    use, operations = jwk.get("use"), jwk.get("key_ops", ["verify"])
    return (use is None or use == "sig") and isinstance(operations, list) and "verify" in operations


def _import(jwk: dict[str, Any]) -> Key | None:
    # Only the members that make the key: a certificate or a label beside them has no say in what it is.
    members: dict[str, str | list[str]] = {
        name: value for name in _MEMBERS[jwk["kty"]] if isinstance(value := jwk.get(name), str)
    }
    try:
        # Measured first, because joserfc imports a weak key with a mere warning.
        if jwk["kty"] == "RSA" and base64_to_int(str(jwk.get("n"))).bit_length() < MIN_RSA_BITS:
            return None
        return import_key(members)
    except (JoseError, ValueError):
        return None
